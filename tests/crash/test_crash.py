"""The power-cut proof in small: 500 states of a job recorded a moment ago, two of them with real processes."""

from __future__ import annotations

import itertools
import random
import re
from pathlib import Path

import pytest

from tests.crash.box import sealed
from tests.crash.check import Verdict, patients_of_the_day
from tests.crash.model import Cut, Rename, Sync
from tests.crash.mutations import RECORDED, RECOVERY, broken
from tests.crash.prove import check_seeds, first_bad
from tests.crash.record import Note, Promise, Record, Side, Step
from tests.crash.sample import try_case
from tests.crash.states import Player, distinct_sample, place_of, sample_of, seed_of, seeds_near

CLIP = re.compile(r"captured/[^/]+/[^/]+/\.part-[0-9.]+~[1-9][0-9]*")
STATES = 504
PARTS = 8
MOST_UNTIL_CAUGHT = 60
# A sync a second is promised; what this computer was busy with may come between.
LONGEST_WITHOUT_SYNC = 4.0


def told(verdicts: list[Verdict], record_file: Path) -> str:
    texts = [verdict.text() for verdict in verdicts[:3]]
    seed = verdicts[0].case.seed
    return "\n".join([*texts, f"explain: python -m tests.crash --record {record_file} --seed {seed}"])


def test_ok__the_job_is_recorded_whole(record: Record) -> None:
    assert record.findings == []
    notes = [event for event in record.events if isinstance(event, Note)]
    count = {promise: sum(note.promise is promise for note in notes) for promise in Promise}
    # Two patients; two stills, a clip, a transfer and a film; then a clip that is cut off, and a still.
    assert count[Promise.OPENED] == count[Promise.CLOSED] == 2
    assert count[Promise.SAVED] == 6
    assert count[Promise.COMMITTED] == 7
    assert count[Promise.SYNCED] >= 4
    assert count[Promise.ASKED] >= 2
    paths = {event.path for event in record.events if isinstance(event, Step) and event.side is Side.BOX}
    for part in ("exams/", "captured/", "outbox", "kept", "settled", "journal/journal.sqlite-wal", "worklist"):
        assert any(path.startswith(part) for path in paths), part


def test_ok__a_clip_under_way_is_synced_every_second(record: Record) -> None:
    clips: dict[str, list[float]] = {}
    for event in record.events:
        if isinstance(event, Step) and isinstance(event.operation, Sync) and CLIP.fullmatch(event.path):
            clips.setdefault(event.path, []).append(event.at)
    assert len(clips) == 2
    for times in clips.values():
        gaps = [after - before for before, after in itertools.pairwise(times)]
        assert gaps
        assert max(gaps) < LONGEST_WITHOUT_SYNC


def test_ok__a_seed_names_one_state(record: Record) -> None:
    seed = seed_of(record.positions() // 2, Cut.TEAR, record, random.Random(3))
    assert place_of(seed, record) == (record.positions() // 2, Cut.TEAR)
    player = Player(record)
    once = player.case(seed)
    player.case(record.positions() - 1)
    assert player.case(seed).key() == once.key() == Player(record).case(seed).key()


def test_ok__the_sample_has_every_promise_and_every_new_name(record: Record) -> None:
    places = {place_of(seed, record) for seed in sample_of(record, STATES, random.Random(1))}
    assert {cut for _, cut in places} == set(Cut)
    for index, event in enumerate(record.events):
        if isinstance(event, Note):
            assert (index + 1, Cut.LOSE_ALL) in places
        elif event.side is Side.BOX and isinstance(event.operation, Rename):
            assert (index + 1, Cut.LOSE_DATA) in places


@pytest.mark.parametrize("part", range(PARTS))
def test_ok__after_any_power_cut_nothing_acknowledged_is_lost(
    record: Record, record_file: Path, workplace: Path, part: int
) -> None:
    seeds = distinct_sample(record, STATES, part, PARTS, random.Random(1))
    with sealed():
        outcome = check_seeds(record, seeds, patients_of_the_day(), workplace)
    assert len(outcome.keys) == STATES // PARTS
    assert not outcome.bad, told(outcome.bad, record_file)


@pytest.mark.parametrize("number", range(2))
def test_ok__real_processes_finish_the_job(record: Record, record_file: Path, workplace: Path, number: int) -> None:
    """In the middle of the second clip, and between the commitment's request and its report."""
    promise = (Promise.SYNCED, Promise.ASKED)[number]
    last = max(
        index for index, event in enumerate(record.events) if isinstance(event, Note) and event.promise is promise
    )
    case = Player(record).case(seed_of(last + 1, Cut.TEAR, record, random.Random(number)))
    verdict = try_case(case, workplace / "real")
    assert verdict.is_good, told([verdict], record_file)


@pytest.mark.parametrize("name", RECORDED)
def test_ok__a_fault_in_the_order_of_writing_is_noticed(
    record: Record, workplace: Path, sealed_box: None, name: str
) -> None:
    wrong = RECORDED[name](record)
    seeds = seeds_near(wrong.record, wrong.places, MOST_UNTIL_CAUGHT, random.Random(1))
    count, verdict = first_bad(wrong.record, seeds, patients_of_the_day(), workplace)
    assert verdict is not None, f"not noticed in {count} states"


@pytest.mark.parametrize("name", RECOVERY)
def test_ok__a_fault_in_the_recovery_is_noticed(record: Record, workplace: Path, sealed_box: None, name: str) -> None:
    seeds = seeds_near(record, RECOVERY[name].places_in(record), MOST_UNTIL_CAUGHT, random.Random(1))
    with broken(RECOVERY[name]):
        count, verdict = first_bad(record, seeds, patients_of_the_day(), workplace)
    assert verdict is not None, f"not noticed in {count} states"
