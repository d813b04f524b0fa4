"""`make crash`: at least so many states of one recorded job, and a sample of them with real processes.

python -m tests.crash                    10,000 states, a tenth of a second cut, and 20 with real processes
python -m tests.crash --seed N           one state again, explained
python -m tests.crash --seed N/M         one that the power cut M left in the middle of the recovery from N
python -m tests.crash --seed N --real    the same with real processes
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.crash.again import recoveries, seeds_among
from tests.crash.box import sealed
from tests.crash.check import Verdict, check_case, patients_of_the_day
from tests.crash.prove import (
    CUTS_OF_A_RECOVERY,
    Outcome,
    check_many,
    check_recoveries,
    explain,
    load_or_record,
    make_workplace,
)
from tests.crash.record import Note, Record
from tests.crash.sample import try_case
from tests.crash.states import Player, sample_of, seeds_in

RECORD = Path(".crash/record")
_TURNS_AT_ONCE = 4
# Of so many states one comes of a second cut.
_ONE_CUT_AGAIN = 10
_RECOVERIES_AT_ONCE = 50


def main() -> int:
    """0 when every state is good."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description="The power-cut proof.")
    parser.add_argument("--states", type=int, default=10_000, help="at least so many different ones (%(default)s)")
    parser.add_argument("--real", type=int, nargs="?", const=1, help="so many with real processes (20)")
    parser.add_argument(
        "--seed", type=_seeds_from, metavar="N[/M]", help="only this state, of the record that is there"
    )
    parser.add_argument("--record", type=Path, default=RECORD, help="where the record is kept (%(default)s)")
    given = parser.parse_args()
    workplace = make_workplace()
    try:
        record = load_or_record(given.record, workplace, is_fresh=given.seed is None)
        notes = sum(isinstance(event, Note) for event in record.events)
        print(f"{len(record.events)} events are recorded, {notes} of them promises; the record is {given.record}")
        if given.seed is not None:
            return _show_one(record, given.seed, bool(given.real), workplace)
        again = given.states // _ONE_CUT_AGAIN
        bad = _check_recoveries(record, again, workplace)
        bad += _check_states(record, given.states - again, workplace)
        bad += _try_real(record, 20 if given.real is None else given.real, workplace)
    finally:
        shutil.rmtree(workplace, ignore_errors=True)
    for verdict in bad[:10]:
        print(verdict.text())
    print(f"{len(bad)} states are wrong" if bad else "every state is good")
    if bad:
        print(f"explain one: python -m tests.crash --record {given.record} --seed {bad[0].case.name}")
    return 1 if bad else 0


def _seeds_from(text: str) -> list[int]:
    return [int(seed) for seed in text.split("/")]


def _show_one(record: Record, seeds: list[int], is_real: bool, workplace: Path) -> int:
    if len(seeds) > 1:
        with recoveries(workplace) as recorded:
            for seed in seeds[:-1]:
                record = recorded.record(Player(record).case(seed))
    case = Player(record).case(seeds[-1])
    if is_real:
        verdict = try_case(case, workplace / "real")
    else:
        with sealed():
            verdict = check_case(case, workplace / "one", patients_of_the_day())
    print("\n".join(explain(record, verdict)))
    print("  good" if verdict.is_good else "  wrong")
    return 0 if verdict.is_good else 1


def _check_states(record: Record, wanted: int, workplace: Path) -> list[Verdict]:
    total, turn, began = Outcome(), 0, time.monotonic()
    show = _progress_of(total)
    while len(total.keys) < wanted:
        # The first turns are every moment of the record; of the last ones a part is as good as any.
        seeds = list(seeds_in(record, range(turn, turn + _TURNS_AT_ONCE)))
        left = wanted - len(total.keys)
        if left < len(seeds) // 2:
            seeds = random.Random(turn).sample(seeds, min(len(seeds), left * 2))
        total.take(check_many(record, seeds, workplace, show))
        turn += _TURNS_AT_ONCE
    print(f"{len(total.keys)} different states in {time.monotonic() - began:.0f} s, {len(total.bad)} wrong", flush=True)
    return total.bad


def _check_recoveries(record: Record, wanted: int, workplace: Path) -> list[Verdict]:
    total, count, began = Outcome(), 0, time.monotonic()
    show = _progress_of(total)
    while len(total.keys) < wanted:
        left = -(-(wanted - len(total.keys)) // CUTS_OF_A_RECOVERY)
        firsts = seeds_among(record, min(left, _RECOVERIES_AT_ONCE), random.Random(count))
        total.take(check_recoveries(record, firsts, workplace, show))
        count += len(firsts)
    print(
        f"{len(total.keys)} different states of a second cut, in {count} recoveries, in"
        f" {time.monotonic() - began:.0f} s, {len(total.bad)} wrong",
        flush=True,
    )
    return total.bad


def _progress_of(total: Outcome) -> Callable[[Outcome], None]:
    began = shown = time.monotonic()

    def show(part: Outcome) -> None:
        nonlocal shown
        if time.monotonic() - shown > 10.0:
            shown = time.monotonic()
            count, bad = len(total.keys | part.keys), len(total.bad) + len(part.bad)
            print(f"  {count} states, {bad} wrong, {shown - began:.0f} s", flush=True)

    return show


def _try_real(record: Record, count: int, workplace: Path) -> list[Verdict]:
    seeds = random.Random(1).sample(sample_of(record, 400, random.Random(1)), count)
    bad, began = [], time.monotonic()
    for number, seed in enumerate(seeds, start=1):
        verdict = try_case(Player(record).case(seed), workplace / f"real-{seed}")
        print(
            f"  real processes, {number} of {count}, seed {seed}: {'good' if verdict.is_good else 'wrong'}", flush=True
        )
        if not verdict.is_good:
            bad.append(verdict)
    print(f"{count} states with real processes in {time.monotonic() - began:.0f} s, {len(bad)} wrong")
    return bad


if __name__ == "__main__":
    sys.exit(main())
