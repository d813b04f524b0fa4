"""The power-cut proof in small: 344 states of a job recorded a moment ago, 24 of them of a second power cut, in the
recovery from the first; two with real processes.
"""

from __future__ import annotations

import itertools
import random
import re
from pathlib import Path

import pytest

from tests.crash.again import First, recoveries, seed_of_first, seeds_among
from tests.crash.box import sealed
from tests.crash.check import Verdict, patients_of_the_day
from tests.crash.model import Cut, Rename, Sync
from tests.crash.mutations import RECORDED, RECORDED_AGAIN, RECOVERY, RECOVERY_AGAIN, broken
from tests.crash.prove import CUTS_OF_A_RECOVERY, Outcome, check_seeds, first_bad
from tests.crash.record import Note, Promise, Record, Side, Step, Tree
from tests.crash.sample import try_case
from tests.crash.states import Player, distinct_sample, place_of, sample_of, seed_of, seeds_near, torn_seeds_at

CLIP = re.compile(r"captured/[^/]+/[^/]+/\.part-[0-9.]+~[1-9][0-9]*")
PROCESS = re.compile(r"\.part-[0-9]+-")
STATES = 160
PARTS = 8
STATES_AGAIN = 24
PARTS_AGAIN = 2
MOST_UNTIL_CAUGHT = 60
# A sync a second is promised; what this computer was busy with may come between.
LONGEST_WITHOUT_SYNC = 4.0


def told(verdicts: list[Verdict], record_file: Path) -> str:
    texts = [verdict.text() for verdict in verdicts[:3]]
    seed = verdicts[0].case.name
    return "\n".join([*texts, f"explain: python -m tests.crash --record {record_file} --seed {seed}"])


def test_ok__the_job_is_recorded_whole(record: Record) -> None:
    assert record.findings == []
    notes = [event for event in record.events if isinstance(event, Note)]
    count = {promise: sum(note.promise is promise for note in notes) for promise in Promise}
    # Two patients; a still, a clip of JPEG and one of pixels, a transfer and two films; then a still, a clip of each
    # kind that is cut off, and a still.
    assert count[Promise.OPENED] == count[Promise.CLOSED] == 2
    assert count[Promise.SAVED] == 8
    assert count[Promise.COMMITTED] == 10
    assert count[Promise.SYNCED] >= 8
    assert count[Promise.ASKED] >= 2
    paths = {event.path for event in record.events if isinstance(event, Step) and event.side is Side.BOX}
    for part in ("exams/", "captured/", "outbox", "kept", "settled", "journal/journal.sqlite-wal", "worklist"):
        assert any(path.startswith(part) for path in paths), part


def test_ok__a_clip_under_way_is_synced_every_second(record: Record) -> None:
    clips: dict[str, list[float]] = {}
    for event in record.events:
        if isinstance(event, Step) and isinstance(event.operation, Sync) and CLIP.fullmatch(event.path):
            clips.setdefault(event.path, []).append(event.at)
    assert len(clips) == 4
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


def test_ok__a_seed_names_one_state_of_a_second_cut(
    record: Record, recovered: dict[int, Record], workplace: Path
) -> None:
    """Whoever records the recovery. Files' times and what SQLite draws by lot differ, at the same length."""
    first = seed_of_first(First.CLIP, record)
    with recoveries(workplace) as process:
        again = process.record(Player(record).case(first))
    for cut in (Cut.LOSE_ALL, Cut.TEAR):
        seed = seed_of(again.positions() // 2, cut, again, random.Random(1))
        once, twice = (Player(recovery).case(seed) for recovery in (recovered[first], again))
        assert once.name == twice.name == f"{first}/{seed}"
        assert (sizes_in(once.tree), len(once.lost)) == (sizes_in(twice.tree), len(twice.lost))
        objects = [path for path in once.tree if path.startswith(("captured/", "outbox/", "kept/"))]
        assert objects
        assert all(once.tree[path] == twice.tree[path] for path in objects)


def sizes_in(tree: Tree) -> dict[str, int]:
    """Length of each file. The process that wrote it is in a temporary name."""
    return {PROCESS.sub(".part-", path): -1 if content is None else len(content) for path, content in tree.items()}


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


@pytest.mark.parametrize("part", range(PARTS_AGAIN))
def test_ok__after_a_second_power_cut_in_the_recovery_nothing_acknowledged_is_lost(
    recovered: dict[int, Record], record_file: Path, workplace: Path, part: int
) -> None:
    outcome = Outcome()
    with sealed():
        for seed, recovery in list(recovered.items())[part::PARTS_AGAIN]:
            cuts = seeds_among(recovery, CUTS_OF_A_RECOVERY, random.Random(seed))
            outcome.take(check_seeds(recovery, cuts, patients_of_the_day(), workplace))
    assert len(outcome.keys) == STATES_AGAIN // PARTS_AGAIN
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
    near = seeds_near(wrong.record, wrong.places, MOST_UNTIL_CAUGHT, random.Random(1))
    seeds = itertools.chain(near, torn_seeds_at(wrong.record, wrong.places[-1] + 1, random.Random(1)))
    count, verdict = first_bad(wrong.record, seeds, patients_of_the_day(), workplace)
    assert verdict is not None, f"not noticed in {count} states"


@pytest.mark.parametrize("name", RECOVERY)
def test_ok__a_fault_in_the_recovery_is_noticed(record: Record, workplace: Path, sealed_box: None, name: str) -> None:
    seeds = seeds_near(record, RECOVERY[name].places_in(record), MOST_UNTIL_CAUGHT, random.Random(1))
    with broken(RECOVERY[name]):
        count, verdict = first_bad(record, seeds, patients_of_the_day(), workplace)
    assert verdict is not None, f"not noticed in {count} states"


@pytest.mark.parametrize("name", RECORDED_AGAIN)
def test_ok__a_fault_in_the_order_of_the_recoverys_writing_is_noticed(
    record: Record, recovered: dict[int, Record], workplace: Path, sealed_box: None, name: str
) -> None:
    first, mutate = RECORDED_AGAIN[name]
    wrong = mutate(recovered[seed_of_first(first, record)])
    near = seeds_near(wrong.record, wrong.places, MOST_UNTIL_CAUGHT, random.Random(1))
    seeds = itertools.chain(near, torn_seeds_at(wrong.record, wrong.places[-1] + 1, random.Random(1)))
    count, verdict = first_bad(wrong.record, seeds, patients_of_the_day(), workplace)
    assert verdict is not None, f"not noticed in {count} states"


@pytest.mark.parametrize("name", RECOVERY_AGAIN)
def test_ok__a_fault_that_only_a_second_recovery_meets_is_noticed(
    record: Record, recovered: dict[int, Record], workplace: Path, sealed_box: None, name: str
) -> None:
    first, fault = RECOVERY_AGAIN[name]
    recovery = recovered[seed_of_first(first, record)]
    seeds = seeds_near(recovery, fault.places_in(recovery), MOST_UNTIL_CAUGHT, random.Random(1))
    with broken(fault):
        count, verdict = first_bad(recovery, seeds, patients_of_the_day(), workplace)
    assert verdict is not None, f"not noticed in {count} states"
