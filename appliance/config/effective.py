"""What is in force: every key with its value, as JSON's values, and without secrets.

It is kept beside what is rendered, so that whoever looks needs no schema: reading one takes longer than the rest of a
command.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.base.durable import make_directory, replace_file

if TYPE_CHECKING:
    from appliance.config.schema import Configuration

_MOST_BYTES = 16 * 1024 * 1024


def tree_from(configuration: Configuration, *, only_given: bool = False) -> dict[str, Any]:
    """Sections, lists and values; with `only_given` those alone that differ from the defaults.

    What is secret is told by a few letters that change with it: that it was changed may be known, what it is may not.
    Keys of certificates lie in files of their own, and support's keys are public ones.
    """
    tree = configuration.model_dump(mode="json", exclude_defaults=only_given)
    for operator in tree.get("operators", ()):
        # A PIN has few digits: even its hash would tell it.
        operator["pin"] = f"(kept) {hashlib.sha256(operator['pin'].encode()).hexdigest()[:8]}"
    return tree


def keep_effective(file: Path, text: bytes, configuration: Configuration) -> None:
    """Keep what `configuration` says, which `text` is without any fault. OSError when it cannot be written."""
    kept = {
        "digest": hashlib.sha256(text).hexdigest(),
        "effective": tree_from(configuration),
        "given": tree_from(configuration, only_given=True),
    }
    make_directory(file.parent, 0o755)
    replace_file(file, json.dumps(kept, ensure_ascii=False).encode("utf-8"), 0o644)


def kept_effective(file: Path, text: bytes, *, only_given: bool) -> dict[str, Any] | None:
    """What was kept of exactly this `text`; None where nothing was."""
    try:
        with file.open("rb") as opened:
            kept = json.loads(opened.read(_MOST_BYTES))
        if kept["digest"] != hashlib.sha256(text).hexdigest():
            return None
        tree = kept["given" if only_given else "effective"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return tree if isinstance(tree, dict) else None
