"""Many states, on every core: each is laid out in memory, recovered, and looked at; of some the recovery is cut too."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import random
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from appliance.exam.item import WorklistItem
from tests.crash.again import Recoveries, RecoveryFailed, seeds_among
from tests.crash.box import sealed
from tests.crash.check import Verdict, check_case, patients_of_the_day
from tests.crash.record import Record, words_of
from tests.crash.recording import record_job
from tests.crash.states import Player, distinct_cases, place_of

_POSITIONS_AT_ONCE = 16
CUTS_OF_A_RECOVERY = 4


def make_workplace() -> Path:
    """A new directory in memory, if there is such a place: the states are many, and their disk is a model."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="crash-", dir=memory if os.access(memory, os.W_OK) else None))


def load_or_record(file: Path, workplace: Path, *, is_fresh: bool) -> Record:
    """The record in `file`; recorded anew if there is none, or if a fresh one is wanted."""
    if file.exists() and not is_fresh:
        record: Record = pickle.loads(file.read_bytes())
        return record
    record = record_job(workplace / "job")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pickle.dumps(record))
    return record


@dataclass
class Outcome:
    """What came of many seeds. `keys` tells the states apart."""

    keys: set[bytes] = field(default_factory=set)
    bad: list[Verdict] = field(default_factory=list)

    def take(self, other: Outcome) -> None:
        self.keys |= other.keys
        self.bad += other.bad


def check_seeds(record: Record, seeds: Iterable[int], items: Sequence[WorklistItem], workplace: Path) -> Outcome:
    """Check every distinct state of `seeds`, here and now. Must run inside `sealed`."""
    outcome = Outcome()
    for case in distinct_cases(record, seeds):
        outcome.keys.add(case.key())
        verdict = check_case(case, workplace / f"{os.getpid()}-{case.seed}", items)
        if not verdict.is_good:
            outcome.bad.append(verdict)
    return outcome


def check_many(
    record: Record, seeds: Iterable[int], workplace: Path, on_progress: Callable[[Outcome], None]
) -> Outcome:
    """Check the states of `seeds` on every core; `on_progress` hears of each part."""
    by_place: dict[int, list[int]] = {}
    for seed in seeds:
        by_place.setdefault(place_of(seed, record)[0] // _POSITIONS_AT_ONCE, []).append(seed)
    return _on_every_core(_check_part, by_place.values(), record, workplace, on_progress)


def check_recoveries(
    record: Record, seeds: Iterable[int], workplace: Path, on_progress: Callable[[Outcome], None]
) -> Outcome:
    """Cut the recovery from each state of `seeds` a few times, and check what that leaves."""
    return _on_every_core(_check_recovery, seeds, record, workplace, on_progress)


def _on_every_core(
    check: Callable[[Any], Outcome],
    parts: Iterable[Any],
    record: Record,
    workplace: Path,
    on_progress: Callable[[Outcome], None],
) -> Outcome:
    total = Outcome()
    with ProcessPoolExecutor(
        mp_context=multiprocessing.get_context("fork"),
        initializer=_begin,
        initargs=(record, patients_of_the_day(), workplace),
    ) as pool:
        for part in pool.map(check, parts):
            total.take(part)
            on_progress(total)
    return total


_worker: list[tuple[Record, Sequence[WorklistItem], Path]] = []
_open: contextlib.ExitStack = contextlib.ExitStack()


def _begin(record: Record, items: Sequence[WorklistItem], workplace: Path) -> None:
    _worker.append((record, items, workplace))
    _open.enter_context(sealed())


def _check_part(seeds: list[int]) -> Outcome:
    record, items, workplace = _worker[0]
    return check_seeds(record, seeds, items, workplace)


@cache
def _recoveries(workplace: Path) -> Recoveries:
    """This worker's, for as long as it lives."""
    return Recoveries(workplace)


def _check_recovery(seed: int) -> Outcome:
    record, items, workplace = _worker[0]
    try:
        recovery = _recoveries(workplace).record(Player(record).case(seed))
    except RecoveryFailed as error:
        return Outcome({error.verdict.case.key()}, [error.verdict])
    cuts = seeds_among(recovery, CUTS_OF_A_RECOVERY, random.Random(seed))
    return check_seeds(recovery, cuts, items, workplace)


def first_bad(
    record: Record, seeds: Iterable[int], items: Sequence[WorklistItem], workplace: Path
) -> tuple[int, Verdict | None]:
    """Check state after state until one is bad: how many that took, and which it is. Must run inside `sealed`."""
    player, count = Player(record), 0
    for count, seed in enumerate(seeds, start=1):
        verdict = check_case(player.case(seed), workplace / f"{os.getpid()}-{seed}", items)
        if not verdict.is_good:
            return count, verdict
    return count, None


def explain(record: Record, verdict: Verdict) -> Iterator[str]:
    """Everything that helps to understand a state."""
    position = verdict.case.position
    yield verdict.text()
    yield "  the last that was done before it:"
    for number, event in enumerate(record.events[max(0, position - 12) : position], start=max(0, position - 12)):
        yield f"    {number}: {words_of(event)}"
    yield "  on the medium:"
    for path, content in verdict.case.tree.items():
        same = verdict.case.same.get(path)
        size = "directory" if content is None else f"{len(content)} bytes"
        yield f"    {path}: {size}{f', the same file as {same}' if same else ''}"
