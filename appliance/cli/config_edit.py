"""`appliance config set`: one key, and every other letter of the file stays."""

from __future__ import annotations

from pathlib import Path

from appliance.base.durable import replace_file
from appliance.base.flash import in_words
from appliance.cli.config_view import read_given
from appliance.config.editing import text_with, value_from
from appliance.config.load import configuration_from


def changed_text(data: bytes, file: Path, key: str, value: str | None) -> bytes:
    """`data`, which is what `file` holds, with `value` at `key`; None takes it away.

    ApplianceError with all that is wrong, before and after it.
    """
    configuration_from(data, file)
    # Windows' mark at the beginning is no part of the text; it is not written again.
    text = data.decode("utf-8-sig")
    changed = text_with(text, key, None if value is None else value_from(value)).encode("utf-8")
    configuration_from(changed, file)
    return changed


def set_in_file(file: Path, key: str, value: str | None) -> int:
    """Change `file` durably; 0. ApplianceError when the key or its value cannot be, and nothing is changed."""
    changed = changed_text(read_given(file), file, key, value)
    with in_words(f"{file} cannot be written"):
        replace_file(file, changed, file.stat().st_mode & 0o777)
    return 0
