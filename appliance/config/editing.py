"""Changing single keys of a configuration's text: its comments, order and writing stay as people left them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT

from appliance.config.positions import EditError, Keys, keys_from


def value_from(written: str) -> Any:
    """What a person typed: a value of TOML (`104`, `true`, `["US"]`, `"text"`), and everything else is a text."""
    try:
        tree = tomllib.loads(f"value = {written}")
    except (ValueError, RecursionError):
        return written
    return tree["value"] if set(tree) == {"value"} else written


def text_with(text: str, written: str, value: Any) -> str:
    """`text` with `value` at the key `written`; None takes it away. EditError, also when `text` is no TOML."""
    try:
        document = tomlkit.parse(text)
        before = tomllib.loads(text)
        keys = keys_from(written, before)
        _place(document, keys, _as_written(value), written)
        changed = tomlkit.dumps(document)
        after = tomllib.loads(changed)
    except (TOMLKitError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise EditError(f"{written} cannot be set: the file is not TOML ({error}).") from error
    _place(before, keys, value, written)
    if after != before:
        raise EditError(f"{written} cannot be set without changing more.", "Change it in the file: config edit")
    return changed


def _as_written(value: Any) -> Any:
    """A table that is typed on one line is written on one line."""
    if not isinstance(value, dict):
        return value
    inline = tomlkit.inline_table()
    inline.update(value)
    return inline


def _place(tree: Any, keys: Keys, value: Any, written: str) -> None:
    for place, key in enumerate(keys[:-1]):
        if isinstance(key, str):
            if not isinstance(tree, Mapping):
                raise EditError(f"{written}: what stands there is no section.")
            if key not in tree:
                is_list = isinstance(keys[place + 1], int)
                tree[key] = _new_list(tree) if is_list else _new_table(tree)  # type: ignore[index]
        elif isinstance(tree, Mapping):
            raise EditError(f"{written}: what stands there is no list.")
        elif key == len(tree):
            tree.append(_new_table(tree))
        tree = tree[key]
    last = keys[-1]
    if isinstance(tree, Mapping) != isinstance(last, str):
        raise EditError(f"{written}: what stands there is no section.")
    if value is not None:
        if isinstance(last, int) and last == len(tree):
            tree.append(value)
        else:
            tree[last] = value
    elif last in tree if isinstance(last, str) else last < len(tree):
        del tree[last]
    else:
        raise EditError(f"{written} is not set here.", "What is not set has its default's value.")


def _new_list(beside: Any) -> Any:
    return [] if type(beside) is dict else AoT([])


def _new_table(beside: Any) -> Any:
    return {} if type(beside) in (dict, list) else tomlkit.table()
