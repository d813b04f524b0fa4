"""A second power cut, in the middle of the recovery from the first.

The recovery is recorded as the job was: one process, followed by strace, lays out state after state and recovers each
(`python -m tests.crash.again`); what it did and promised is a record like the job's, so that everything that is made
and held of a job's states is made and held of a recovery's.
"""

from __future__ import annotations

import gc
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.crash.archive import Archive
from tests.crash.box import SteppedClock, sealed
from tests.crash.check import Verdict, patients_of_the_day, recover
from tests.crash.model import Cut, Link, Write
from tests.crash.record import Note, Promise, Record, Side
from tests.crash.recorder import CLIP, Recorder, is_native, voiced
from tests.crash.recording import check_faithful, strace_into
from tests.crash.states import Case, distinct_cases, sample_of, seed_of, write_tree
from tests.crash.world import REPOSITORY

# Of so many cuts, at promises, at new names and anywhere else, a few are taken.
_OFFERED = 400
_END_SECONDS = 60.0


class RecoveryFailed(AssertionError):
    """The first recovery already is wrong: there is nothing to cut."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.text())
        self.verdict = verdict


class Recoveries:
    """Recovers states in a process that strace follows."""

    def __init__(self, workplace: Path) -> None:
        """`workplace` is a directory in memory, which whoever made it removes."""
        self._directory = Path(tempfile.mkdtemp(prefix="again-", dir=workplace))
        self._trace = self._directory / "trace"
        self._child = subprocess.Popen(
            [*strace_into(self._trace), sys.executable, "-m", "tests.crash.again", str(self._directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            start_new_session=True,
        )
        self._pid = int(self._read())

    def _read(self) -> Any:
        assert self._child.stdout is not None
        try:
            return pickle.load(self._child.stdout)
        except EOFError as error:
            raise AssertionError("the process that recovers has ended") from error

    def record(self, case: Case) -> Record:
        """The whole recovery from `case`, and the finishing of the job. RecoveryFailed when it did not succeed."""
        assert self._child.stdin is not None
        for name in ("state", "run", "hospital"):
            shutil.rmtree(self._directory / name, ignore_errors=True)
        write_tree(case.tree, case.same, self._directory / "state")
        write_tree(case.hospital, {}, self._directory / "hospital")
        os.truncate(self._trace, 0)
        pickle.dump(case, self._child.stdin)
        self._child.stdin.flush()
        wrong = self._read()
        if wrong:
            raise RecoveryFailed(Verdict(case, wrong))
        roots = {Side.BOX: self._directory / "state", Side.HOSPITAL: self._directory / "hospital"}
        start = Record([], case.tree, case.hospital, case.same, case.notes, (*case.after, case.seed))
        recorder = Recorder(roots, start, {self._pid: "recovery"})
        with self._trace.open(encoding="ascii", errors="replace") as lines:
            record = recorder.follow(lines)
        for side, root in roots.items():
            check_faithful(recorder.systems[side].live_tree(), root)
        return record

    def end(self) -> None:
        """The process ends by itself when nothing more is asked of it."""
        for pipe in (self._child.stdin, self._child.stdout):
            assert pipe is not None
            pipe.close()
        try:
            self._child.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()


@contextmanager
def recoveries(workplace: Path) -> Iterator[Recoveries]:
    """The process for the block."""
    one = Recoveries(workplace)
    try:
        yield one
    finally:
        one.end()


class First(StrEnum):
    """States of the job whose recovery has something of its own to do."""

    ONE_FRAME = "a clip of one frame, which becomes a still"
    CLIP = "a clip of many frames"
    NATIVE = "a clip of many native frames"
    HAND_OVER = "an exam that has its list and was not handed over"
    OWED = "a commitment report that is owed"


def seed_of_first(first: First, record: Record) -> int:
    """The seed of this state of the job: at the last such moment, with everything kept."""
    places: dict[First, int] = {}
    for index, event in enumerate(record.events):
        if isinstance(event, Note):
            if event.promise is Promise.SYNCED:
                places[First.NATIVE if is_native(event.content, event.count) else First.CLIP] = index + 1
            elif event.promise is Promise.ASKED:
                places[First.OWED] = index + 1
        elif isinstance(event.operation, Write):
            clip = CLIP.fullmatch(event.path.rpartition("/")[2])
            if clip is not None and event.operation.offset == int(clip["offset"]):
                places[First.ONE_FRAME] = index + 1
        elif isinstance(event.operation, Link) and event.path.endswith("/closed.json"):
            places[First.HAND_OVER] = index + 1
    return seed_of(places[first], Cut.KEEP_ALL, record, random.Random(0))


def seeds_among(record: Record, count: int, choose: random.Random) -> list[int]:
    """`count` seeds of different states: at promises, at new names, and anywhere, as `choose` wants."""
    offered = sample_of(record, _OFFERED, choose)
    taken = choose.sample(offered, min(2 * count, len(offered)))
    return [case.seed for case in distinct_cases(record, taken)][:count]


def main(directory: Path) -> None:
    """Recover from each case that comes, and answer with what was wrong."""
    answers, sys.stdout = sys.stdout.buffer, sys.stderr
    nowhere = os.open(os.devnull, os.O_WRONLY)
    items = patients_of_the_day()

    def answer(told: object) -> None:
        answers.write(pickle.dumps(told))
        answers.flush()

    def voice(*told: Any) -> None:
        os.write(nowhere, voiced(*told))

    answer(os.getpid())
    with sealed():
        while True:
            try:
                case: Case = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            gc.collect()  # what the recovery before left open must not be closed in this one
            archive = Archive.from_tree(case.hospital, SteppedClock(len(case.after)), directory / "hospital")
            with _repeatable(case.name):
                answer(recover(case, directory, archive, items, is_thorough=False, voice=voice))


@contextmanager
def _repeatable(name: str) -> Iterator[None]:
    """New UIDs are the same whenever the state of this name is recovered."""
    choose, original = random.Random(name), uuid.uuid4
    uuid.uuid4 = lambda: uuid.UUID(int=choose.getrandbits(128), version=4)
    try:
        yield
    finally:
        uuid.uuid4 = original


if __name__ == "__main__":
    main(Path(sys.argv[1]))
