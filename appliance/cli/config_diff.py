"""What `appliance config diff` says: what would change, and which services would start anew."""

from __future__ import annotations

import json
from pathlib import Path

from appliance.base.errors import counted
from appliance.base.paths import Paths
from appliance.cli.config_file import read_given
from appliance.config.glance import is_in_force


def show_difference(file: Path, *, as_json: bool) -> int:
    """Print what would change; 0 also where it is much. ApplianceError with all that is wrong with `file`."""
    paths, text = Paths.from_environment(), read_given(file)
    # What is in force as it stands needs no comparing: of a fleet's boxes most are asked for no more.
    changes, restarts = ([], ()) if is_in_force(text, paths) else _difference(text, file, paths)
    if as_json:
        told = {"is_changed": bool(changes), "changes": changes, "restarts": restarts}
        print(json.dumps(told, indent=1, ensure_ascii=False))
    elif not changes:
        print("Nothing would change.")
    else:
        services = f"{counted(len(restarts), 'service')} would start anew: {', '.join(restarts)}" if restarts else ""
        print("\n".join(filter(None, [*changes, services])))
    return 0


def _difference(text: bytes, file: Path, paths: Paths) -> tuple[list[str], tuple[str, ...]]:
    """What would change, and what would start anew."""
    from appliance.config.changes import changes_between, settings_from
    from appliance.config.in_force import read_in_force
    from appliance.config.load import configuration_from
    from appliance.config.restarts import restarts_between

    before = read_in_force(paths.configuration).configuration
    after = configuration_from(text, file)
    return changes_between(settings_from(before), settings_from(after)), restarts_between(before, after)
