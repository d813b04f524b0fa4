"""`make fuzz`: every decoder that reads bytes from a wire, for a while; or some of them, by their names."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.fuzz.every import every_target
from tests.fuzz.run import WITHOUT_GUIDE, atheris, run_target

DIRECTORY = Path(".fuzz")


def main() -> int:
    """A table; exit status 1 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", help="targets; without any, all of them")
    parser.add_argument("--seconds", type=int, default=30, help="for each target (30)")
    parser.add_argument("--runs", type=int, default=0, help="so many inputs instead")
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="where corpora and findings are kept")
    given = parser.parse_args()
    if atheris is None:
        print(WITHOUT_GUIDE)
    targets = [one for one in every_target() if not given.names or one.name in given.names]
    unknown = set(given.names) - {one.name for one in targets}
    if unknown:
        parser.error(f"no target is called {', '.join(sorted(unknown))}")
    print(f"{'target':16} {'inputs':>10} {'a second':>9} {'slowest':>8} {'grew':>7} {'bound':>7}")
    troubles = 0
    for target in targets:
        done = run_target(target, given.directory, runs=given.runs, seconds=0 if given.runs else given.seconds)
        rate = done.runs / done.seconds if done.seconds else 0
        print(
            f"{done.target:16} {done.runs:>10,} {rate:>9,.0f} {done.slowest:>6.0f} s {done.growth:>4} MB "
            f"{target.megabytes:>4} MB  {done.trouble}",
            flush=True,
        )
        troubles += bool(done.trouble)
    if troubles:
        print(f"{troubles} found something: inputs and logs are in {given.directory}.", file=sys.stderr)
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main())
