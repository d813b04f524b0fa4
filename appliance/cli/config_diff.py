"""What `appliance config diff` and `schema` say: what would change, and what may stand in the file."""

from __future__ import annotations

import json
from pathlib import Path

from appliance.base.errors import counted
from appliance.base.paths import Paths
from appliance.cli.config_file import read_given
from appliance.config.changes import changes_between, settings_from
from appliance.config.in_force import read_in_force
from appliance.config.load import configuration_from
from appliance.config.restarts import restarts_between
from appliance.config.schema import Configuration


def show_difference(file: Path, *, as_json: bool) -> int:
    """Print what would change; 0 also where it is much. ApplianceError with all that is wrong with `file`."""
    before = read_in_force(Paths.from_environment().configuration).configuration
    after = configuration_from(read_given(file), file)
    changes, restarts = changes_between(settings_from(before), settings_from(after)), restarts_between(before, after)
    if as_json:
        told = {"is_changed": bool(changes), "changes": changes, "restarts": restarts}
        print(json.dumps(told, indent=1, ensure_ascii=False))
    elif not changes:
        print("Nothing would change.")
    else:
        services = f"{counted(len(restarts), 'service')} would start anew: {', '.join(restarts)}" if restarts else ""
        print("\n".join(filter(None, [*changes, services])))
    return 0


def print_schema() -> int:
    """Print the JSON Schema (draft 2020-12) of the file."""
    schema = Configuration.model_json_schema()
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Modality bridge", **schema}
    print(json.dumps(schema, indent=1, ensure_ascii=False))
    return 0
