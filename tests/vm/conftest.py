"""The booted box for the cases (`make vm-test`); what has no guest needs nothing of this."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.vm.frozen import Frozen, build_image, freeze, thawed
from tests.vm.machine import Machine


@pytest.fixture(scope="session")
def frozen() -> Frozen:
    """The image, booted once and kept."""
    return freeze(build_image())


@pytest.fixture
def guest(frozen: Frozen) -> Iterator[Machine]:
    """The box as it was when its boot had ended, for one case alone."""
    with thawed(frozen) as machine:
        yield machine
