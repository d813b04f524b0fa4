"""`make flash`: every operation of the whole job, in every way in which a flash fails there.

python -m tests.flash                         all of it, on every core
python -m tests.flash --every 7 --kind erofs  each seventh case, of one kind (or several)
python -m tests.flash --short --sample 300    so many cases of the short job, always the same (--part 1/2: a half)
python -m tests.flash --seed N                one case again, with everything that people were told
python -m tests.flash --fault NAME            the cases again with a fault put in on purpose: at least one must be bad
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from appliance.exam.item import WorklistItem
from tests.crash.box import sealed
from tests.crash.check import patients_of_the_day
from tests.crash.prove import make_workplace
from tests.flash.check import KINDS, Case, Verdict, cases_of, check_case, measure
from tests.flash.layer import Flash, Kind, Operation, build_layer, environment_with, is_loaded
from tests.flash.mutations import FAULTS, with_fault

_SHOWN = 12
_AT_ONCE = 16


def main(arguments: list[str]) -> int:
    """0 when every case is good; with a fault put in, when one is bad."""
    given = _options(arguments)
    workplace = make_workplace()
    try:
        if not is_loaded():
            library = build_layer(workplace)
            command = [sys.executable, "-m", "tests.flash", *arguments]
            return os.spawnve(os.P_WAIT, sys.executable, command, environment_with(library))
        return _prove(given, workplace)
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.flash", description="The bad-flash proof.")
    parser.add_argument("--kind", choices=[str(kind) for kind in KINDS], action="append", help="only these")
    parser.add_argument("--every", type=int, default=1, help="only each so many-th case (%(default)s)")
    parser.add_argument("--sample", type=int, help="only so many, chosen alike each time")
    parser.add_argument("--part", default="1/1", help="only this part of them, as 1/2")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="so many at a time (%(default)s)")
    parser.add_argument("--short", action="store_true", help="the short job")
    parser.add_argument("--seed", type=int, action="append", help="only these cases")
    parser.add_argument("--fault", choices=list(FAULTS), action="append", help="until it is noticed")
    return parser.parse_args(arguments)


def _prove(given: argparse.Namespace, workplace: Path) -> int:
    flash, items = Flash(), patients_of_the_day()
    with sealed():
        if given.seed:
            return _show(given.seed, workplace, items, flash)
        operations = measure(workplace / "job", items, flash, is_short=given.short)
        cases = cases_of(operations, [Kind(one) for one in given.kind or KINDS], is_short=given.short)
        if given.fault:
            return max(_put_in(name, operations, cases, workplace, items, flash) for name in given.fault)
        cases = _chosen(given, cases)
        print(f"the job has {len(operations)} operations; {len(cases)} cases are tried", flush=True)
        began, total, bad = time.monotonic(), Counter[Kind](), list[Verdict]()
        told = began
        for verdict in _verdicts(given, cases, workplace, items, flash):
            total[verdict.case.kind] += 1
            if not verdict.is_good:
                bad.append(verdict)
                if len(bad) <= _SHOWN:
                    print(verdict.text(), flush=True)
            if time.monotonic() - told > 20.0:
                told = time.monotonic()
                print(f"  {total.total()} cases, {len(bad)} bad, {told - began:.0f} s", flush=True)
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(total.items()))
    print(f"{total.total()} cases in {time.monotonic() - began:.0f} s ({kinds}): {len(bad)} bad")
    if bad:
        print(f"explain one: python -m tests.flash --seed {bad[0].case.seed}")
        print("seeds:", *(verdict.case.seed for verdict in bad[:200]))
    return 1 if bad else 0


def _put_in(
    name: str,
    operations: list[Operation],
    cases: list[Case],
    workplace: Path,
    items: Sequence[WorklistItem],
    flash: Flash,
) -> int:
    """0 when the fault is noticed."""
    fault = FAULTS[name]
    near = {at for at, one in enumerate(operations, 1) if re.fullmatch(fault.near, f"{one.call} {one.path}")}
    cases = [case for case in cases if case.kind in fault.kinds and case.at in near]
    random.Random(1).shuffle(cases)
    with with_fault(name):
        for count, case in enumerate(cases, start=1):
            verdict = check_case(case, workplace / "one", items, flash)
            if not verdict.is_good:
                print(f"noticed in {count} cases: {name}\n{verdict.text()}", flush=True)
                return 0
    print(f"not noticed in {len(cases)} cases: {name}")
    return 1


def _chosen(given: argparse.Namespace, cases: list[Case]) -> list[Case]:
    cases = cases[:: given.every]
    if given.sample:
        cases = sorted(random.Random(1).sample(cases, min(given.sample, len(cases))))
    part, parts = map(int, given.part.split("/"))
    return cases[part - 1 :: parts]


def _show(seeds: list[int], workplace: Path, items: Sequence[WorklistItem], flash: Flash) -> int:
    verdicts = [check_case(Case.of(seed), workplace / "one", items, flash) for seed in seeds]
    for verdict in verdicts:
        print(verdict.text())
        print("  people were told:")
        for sentence in dict.fromkeys([*verdict.told.sentences, *verdict.told.logged]):
            print(f"    {sentence}")
        print("  good" if verdict.is_good else "  bad")
    return 0 if all(verdict.is_good for verdict in verdicts) else 1


def _verdicts(
    given: argparse.Namespace, cases: list[Case], workplace: Path, items: Sequence[WorklistItem], flash: Flash
) -> Iterator[Verdict]:
    if given.workers == 1:
        yield from (check_case(case, workplace / "one", items, flash) for case in cases)
        return
    _shared.append((workplace, items, flash))
    parts = [cases[at : at + _AT_ONCE] for at in range(0, len(cases), _AT_ONCE)]
    with ProcessPoolExecutor(given.workers, mp_context=multiprocessing.get_context("fork")) as pool:
        for verdicts in pool.map(_check_part, parts):
            yield from verdicts


_shared: list[tuple[Path, Sequence[WorklistItem], Flash]] = []


def _check_part(cases: list[Case]) -> list[Verdict]:
    workplace, items, flash = _shared[0]
    flash.begin_trace()  # a forked worker's own
    return [check_case(case, workplace / str(os.getpid()), items, flash) for case in cases]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
