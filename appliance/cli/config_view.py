"""What `appliance config` shows: what is in force, what would change, the schema."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from appliance.base.errors import ApplianceError, counted
from appliance.base.paths import Paths
from appliance.cli.config_file import read_given
from appliance.config.changes import changes_between, settings_from, settings_in
from appliance.config.editing import keys_from
from appliance.config.effective import tree_from
from appliance.config.load import EXAMPLE, configuration_from, load_configuration
from appliance.config.restarts import restarts_between
from appliance.config.schema import Configuration

__all__ = ["EXAMPLE", "print_file", "print_schema", "show_difference", "show_key", "show_keys"]


def show_keys(*, only_given: bool, as_json: bool) -> int:
    """Print what is in force. ApplianceError when it cannot be read."""
    configuration = load_configuration(Paths.from_environment().configuration)
    _show(tree_from(configuration, only_given=only_given), as_json=as_json)
    return 0


def show_key(key: str, *, as_json: bool) -> int:
    """Print the value of `key`; 1 where it has none. ApplianceError when there is no such key."""
    tree: Any = tree_from(load_configuration(Paths.from_environment().configuration))
    for part in keys_from(key, tree):
        is_there = part in tree if isinstance(tree, dict) else isinstance(part, int) and part < len(tree)
        if not is_there:
            raise ApplianceError(f'There is no key "{key}".', "`appliance config show` has all of them.")
        tree = tree[part]
    if isinstance(tree, dict | list) and not as_json:
        _show(tree, as_json=False)
    elif tree is not None:
        print(tree if isinstance(tree, str) and not as_json else json.dumps(tree, indent=1, ensure_ascii=False))
    return 0 if tree is not None else 1


def _show(tree: Any, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(tree, indent=1, ensure_ascii=False))
    else:
        print("\n".join(f"{key} = {value}" for key, value in settings_in(tree).items()))


def show_difference(file: Path, *, as_json: bool) -> int:
    """Print what would change; 0 also where it is much. ApplianceError with all that is wrong with `file`."""
    before = load_configuration(Paths.from_environment().configuration)
    after = configuration_from(read_given(file), file)
    changes, restarts = changes_between(settings_from(before), settings_from(after)), restarts_between(before, after)
    if as_json:
        told = {"is_changed": bool(changes), "changes": changes, "restarts": restarts}
        print(json.dumps(told, indent=1, ensure_ascii=False))
    else:
        print("\n".join(lines_of_changes(changes, restarts)))
    return 0


def lines_of_changes(changes: list[str], restarts: tuple[str, ...]) -> list[str]:
    """The difference for people."""
    if not changes:
        return ["Nothing would change."]
    services = [f"{counted(len(restarts), 'service')} would start anew: {', '.join(restarts)}"] if restarts else []
    return [*changes, *services]


def print_schema() -> int:
    """Print the JSON Schema (draft 2020-12) of the file."""
    schema = Configuration.model_json_schema()
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Modality bridge", **schema}
    print(json.dumps(schema, indent=1, ensure_ascii=False))
    return 0


def print_file(file: Path) -> int:
    """Print `file` as it is. ApplianceError when it cannot be read."""
    sys.stdout.flush()
    sys.stdout.buffer.write(read_given(file))
    return 0
