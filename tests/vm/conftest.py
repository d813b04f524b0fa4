"""The booted box for the cases (`make vm-test`); what has no guest needs nothing of this."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.vm.box import Box
from tests.vm.frozen import Frozen, alone, build_image, freeze, thawed, to_be_frozen
from tests.vm.machine import Machine


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("the box as a virtual machine")
    group.addoption("--image", type=Path, help="the directory of an image; that of today's sources otherwise")
    group.addoption("--booted", action="store_true", help="go on from an earlier run's boot of the same image")


# Of two processes one would have nothing to do while the other began with these last.
_LONGEST = ("case_power", "case_update", "case_support")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {name: rank for rank, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(ranks)))


@pytest.fixture(scope="session")
def frozen(pytestconfig: pytest.Config) -> Frozen:
    """The image, booted once and kept, also for the others of a run in several processes (pytest-xdist)."""
    image = pytestconfig.getoption("--image") or build_image()
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")
    with alone(image):
        return freeze(image, is_fresh=not pytestconfig.getoption("--booted"), run=run)


@pytest.fixture(scope="session")
def configured(frozen: Frozen, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Frozen]:
    """The box with a configuration and rules of udev, and its services up with them: made once for all who ask."""
    known: dict[tuple[str, str], Frozen] = {}

    def made_with(configuration: str, rules: str) -> Frozen:
        if (configuration, rules) not in known:
            place = tmp_path_factory.mktemp("configured") / "box"
            with to_be_frozen(frozen, place) as (made, machine):
                Box(machine).configure(configuration, rules)
            known[configuration, rules] = made
        return known[configuration, rules]

    return made_with


@pytest.fixture
def guest(frozen: Frozen) -> Iterator[Machine]:
    """The box as it was when its boot had ended, for one case alone."""
    with thawed(frozen) as machine:
        yield machine
        print(machine.describe())  # shown when the case fails
