"""One recording of the job, and of some recoveries, for all tests, however many workers run them; anew in every run."""

from __future__ import annotations

import fcntl
import pickle
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.again import First, recoveries, seed_of_first, seeds_among
from tests.crash.box import sealed
from tests.crash.prove import load_or_record, make_workplace
from tests.crash.record import Record
from tests.crash.states import Player

_ANY_RECOVERIES = 1


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


@pytest.fixture(scope="session")
def recovered(record: Record, record_file: Path, workplace: Path) -> dict[int, Record]:
    """The records of some recoveries by the seed of the state that they began with: those of `First`, and any."""
    file = record_file.with_suffix(".recovered")
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            seeds = [seed_of_first(first, record) for first in First]
            seeds += seeds_among(record, _ANY_RECOVERIES, random.Random(1))
            with recoveries(workplace) as process:
                found = {seed: process.record(Player(record).case(seed)) for seed in seeds}
            file.write_bytes(pickle.dumps(found))
        known: dict[int, Record] = pickle.loads(file.read_bytes())
        return known


@pytest.fixture(scope="module")
def sealed_box() -> Iterator[None]:
    with sealed():
        yield
