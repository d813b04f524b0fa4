"""`appliance config set`: one key, and every other letter of the file stays."""

from __future__ import annotations

import argparse
from pathlib import Path

from appliance.base.durable import replace_file
from appliance.base.flash import in_words
from appliance.base.paths import Paths
from appliance.cli.config_file import read_given
from appliance.config.editing import text_with, value_from
from appliance.config.positions import EditError


def changed_text(data: bytes, file: Path, key: str, value: str | None) -> bytes:
    """`data`, which is what `file` holds, with `value` at `key`; None takes it away. ApplianceError: it cannot be."""
    try:
        # Windows' mark at the beginning is no part of the text; it is not written again.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise EditError(f"{file} is no text in UTF-8, and cannot be changed so.") from error
    return text_with(text, key, None if value is None else value_from(value)).encode("utf-8")


def set_in_file(file: Path, key: str, value: str | None) -> int:
    """Change `file` durably; 0. ApplianceError when the key or its value cannot be, and nothing is changed."""
    from appliance.config.load import configuration_from

    before = read_given(file)
    try:
        changed = changed_text(before, file, key, value)
    except EditError:
        # Where the file is none itself, all that is wrong with it is told.
        configuration_from(before, file)
        raise
    configuration_from(changed, file)
    with in_words(f"{file} cannot be written"):
        replace_file(file, changed, file.stat().st_mode & 0o777)
    return 0


def set_in_force(given: argparse.Namespace) -> int:
    """Apply what is in force with one key set; who applies it checks it. Errors as of `config_apply.apply_text`."""
    from appliance.cli.config_apply import apply_text

    file = Paths.from_environment().configuration
    return apply_text(given, changed_text(read_given(file), file, given.key, given.value), file, "set")
