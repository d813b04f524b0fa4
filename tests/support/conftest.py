"""What `make test` leaves to `make support-test` is deselected, and pytest counts it."""

from __future__ import annotations

import pytest

from tests.support.test_rollback import IS_ALL


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without SUPPORT_ALL, no new box is started: each is a boot of its own."""
    boots = [] if IS_ALL else [one for one in items if one.path.name == "test_first_contact.py" and _has_box(one)]
    if boots:
        config.hook.pytest_deselected(items=boots)
        items[:] = [one for one in items if one not in boots]


def _has_box(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and "box" in item.fixturenames
