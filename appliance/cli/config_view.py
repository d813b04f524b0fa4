"""What `appliance config show` and `get` say: what is in force. Where that was kept, nothing heavy is imported."""

from __future__ import annotations

import json
from typing import Any

from appliance.base.errors import ApplianceError
from appliance.base.paths import Paths
from appliance.config.changes import settings_in
from appliance.config.glance import read_tree
from appliance.config.positions import keys_from


def show_keys(*, only_given: bool, as_json: bool) -> int:
    """Print what is in force. ApplianceError when it cannot be read."""
    _show(read_tree(Paths.from_environment(), only_given=only_given), as_json=as_json)
    return 0


def show_key(key: str, *, as_json: bool) -> int:
    """Print the value of `key`; 1 where it has none. ApplianceError when there is no such key."""
    everything = read_tree(Paths.from_environment())
    tree: Any = everything
    for part in keys_from(key, everything):
        is_there = part in tree if isinstance(tree, dict) else isinstance(part, int) and part < len(tree)
        if not is_there:
            raise ApplianceError(
                f'There is no key "{key}".', f"{_nearest(key, everything)}See all of them: config show"
            )
        tree = tree[part]
    is_section = isinstance(tree, dict) or (isinstance(tree, list) and any(isinstance(one, dict) for one in tree))
    if is_section and not as_json:
        _show(tree, as_json=False)
    elif tree is not None:
        print(tree if isinstance(tree, str) and not as_json else json.dumps(tree, ensure_ascii=False))
    return 0 if tree is not None else 1


def _nearest(key: str, tree: dict[str, Any]) -> str:
    import difflib

    close = difflib.get_close_matches(key, settings_in(tree), n=1, cutoff=0.7)
    return f"Did you mean {close[0]}? " if close else ""


def _show(tree: Any, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(tree, indent=1, ensure_ascii=False))
    else:
        print("\n".join(f"{key} = {value}" for key, value in settings_in(tree).items()))
