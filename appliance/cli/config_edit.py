"""`appliance config set` and `edit`: one key, and every other letter of the file stays; or what an editor leaves."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from appliance.base.durable import replace_file
from appliance.base.errors import ApplianceError
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
    configuration_from(before, file)
    changed = changed_text(before, file, key, value)
    configuration_from(changed, file)
    with in_words(f"{file} cannot be written"):
        replace_file(file, changed, file.stat().st_mode & 0o777)
    return 0


def set_in_force(given: argparse.Namespace) -> int:
    """Apply what is in force with one key set; who applies it checks it. Errors as of `config_apply.apply_text`."""
    from appliance.cli.config_apply import apply_text

    file = Paths.from_environment().configuration
    return apply_text(given, changed_text(read_given(file), file, given.key, given.value), file, "set")


def edit(given: argparse.Namespace) -> int:
    """Apply what the editor leaves; 0 also where it leaves everything as it was.

    ApplianceError where there is no editor, over SSH, and with all that is wrong; what was typed then stays in a file.
    """
    from appliance.cli.config_apply import apply_text

    if os.environ.get("APPLIANCE_SUPPORT_SHELL"):
        raise ApplianceError(
            "An editor would be a shell, which is not open to you here.",
            "Edit on your own computer: ssh BOX config export > site.toml, then ssh BOX config import < site.toml",
        )
    editor = os.environ.get("EDITOR", "")
    if not editor:
        raise ApplianceError("Which editor you like is not known.", "Set EDITOR, to nano for instance.")
    before = read_given(Paths.from_environment().configuration)
    with tempfile.TemporaryDirectory(prefix="appliance-") as directory:
        file = Path(directory) / "site.toml"
        replace_file(file, before, 0o600)
        if subprocess.run([*shlex.split(editor), str(file)], check=False).returncode:
            raise ApplianceError(f"{editor} ended with an error.", "Nothing was changed.")
        from appliance.config.load import configuration_from

        after = read_given(file)
        try:
            configuration_from(after, file)
        except ApplianceError:
            kept = Path.home() / "site.toml.rejected"
            replace_file(kept, after, 0o600)
            print(f"What you wrote is kept in {kept}.", file=sys.stderr)
            raise
    return apply_text(given, after, Paths.from_environment().configuration, "edit")
