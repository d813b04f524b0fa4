"""`appliance config edit`: what an editor leaves is applied."""

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
from appliance.base.paths import Paths
from appliance.cli.config_apply import apply_text
from appliance.cli.config_file import read_given
from appliance.config.load import configuration_from


def edit(given: argparse.Namespace) -> int:
    """Apply what the editor leaves; 0 also where it leaves everything as it was.

    ApplianceError where there is no editor, over SSH, and with all that is wrong; what was typed then stays in a file.
    """
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
        after = read_given(file)
        try:
            configuration_from(after, file)
        except ApplianceError:
            kept = Path.home() / "site.toml.rejected"
            replace_file(kept, after, 0o600)
            print(f"What you wrote is kept in {kept}.", file=sys.stderr)
            raise
    return apply_text(given, after, Paths.from_environment().configuration, "edit")
