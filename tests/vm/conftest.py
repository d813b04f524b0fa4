"""The booted box for the cases (`make vm-test`); what has no guest needs nothing of this."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.frozen import Frozen, build_image, freeze, thawed
from tests.vm.machine import Machine


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("the box as a virtual machine")
    group.addoption("--image", type=Path, help="the directory of an image; that of today's sources otherwise")
    group.addoption("--booted", action="store_true", help="go on from an earlier run's boot of the same image")


@pytest.fixture(scope="session")
def frozen(pytestconfig: pytest.Config) -> Frozen:
    """The image, booted once and kept."""
    image = pytestconfig.getoption("--image") or build_image()
    return freeze(image, is_fresh=not pytestconfig.getoption("--booted"))


@pytest.fixture
def guest(frozen: Frozen) -> Iterator[Machine]:
    """The box as it was when its boot had ended, for one case alone."""
    with thawed(frozen) as machine:
        yield machine
        print(machine.describe())  # shown when the case fails
