"""One recording of the job for all tests, however many workers run them; it is made anew in every run."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.box import sealed
from tests.crash.prove import load_or_record, make_workplace
from tests.crash.record import Record


@pytest.fixture(scope="session")
def workplace() -> Iterator[Path]:
    """A directory in memory for this worker."""
    directory = make_workplace()
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def record_file(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Where this run keeps its record; what a failing test names, so that the state can be had again."""
    base = tmp_path_factory.getbasetemp()
    return (base if worker_id == "master" else base.parent) / "crash-record"


@pytest.fixture(scope="session")
def record(record_file: Path, workplace: Path) -> Record:
    with record_file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return load_or_record(record_file, workplace, is_fresh=False)


@pytest.fixture(scope="module")
def sealed_box() -> Iterator[None]:
    with sealed():
        yield
