"""What is in force: every key with its value, as JSON's values, and without secrets."""

from __future__ import annotations

import hashlib
from typing import Any

from appliance.config.schema import Configuration


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
