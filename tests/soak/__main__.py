"""`python -m tests.soak`: a compressed month, 3,000 exams; exit 1 when anything was lost, doubled, altered or grew."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.soak.month import Outcome, Plan, run_month


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Run a compressed month.")
    parser.add_argument("--exams", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--directory", type=Path, default=Path(), help="on whose filesystem to run (default: here)")
    given = parser.parse_args()
    given.directory.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {line}", flush=True)

    with tempfile.TemporaryDirectory(prefix=".soak-", dir=given.directory.absolute()) as name:
        outcome = run_month(Path(name) / "box", Plan(given.exams, given.seed), say)
    print_outcome(outcome)
    return 1 if outcome.faults or outcome.growths else 0


def print_outcome(outcome: Outcome) -> None:
    """For people."""
    print(f"\n{outcome.exams} exams in {outcome.seconds:.0f} s; {outcome.taps_lost} taps had to be repeated.")
    killed = ", ".join(f"{name} {times}" for name, times in sorted(outcome.kills.items()))
    print(f"Killed: {killed or 'nobody'}.")
    for name in ("saved", "stored", "committed", "expired", "lost", "duplicated", "altered"):
        print(f"  {name:<11}{getattr(outcome, name):>7}")
    if outcome.meter is not None:
        outcome.meter.table().print()
    for fault in (*outcome.faults, *outcome.growths):
        print(f"FAULT: {fault}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
