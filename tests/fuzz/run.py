"""Runs a target in a process of its own, forked from this one, so that what is instrumented is imported once.

With atheris (Google's binding of libFuzzer) inputs are bred by the branches that they reach. Where it cannot be had, on
processors for which nobody builds it, the seeds are changed at random: that finds less, and says so.
"""

from __future__ import annotations

import faulthandler
import os
import random
import re
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tests.fuzz.target import Target

try:
    import atheris
except ImportError:  # there are wheels for x86-64 only
    atheris = None

WITHOUT_GUIDE = (
    "atheris is not installed: there is no wheel of it for this machine. The seeds are changed at random, without a "
    "guide by coverage."
)
_CHANGES = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run showed. `growth` is the process's peak above where it began, in MB; no `trouble`: all was well."""

    target: str
    runs: int
    seconds: float
    slowest: float
    growth: int
    trouble: str


def run_target(target: Target, directory: Path, *, runs: int = 0, seconds: int = 0) -> Outcome:
    """Fuzz `target` for so many runs or seconds. Its corpus and what made it fail are kept below `directory`."""
    corpus, log = directory / target.name, directory / f"{target.name}.log"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    begin, before = time.monotonic(), _resident()
    child = os.fork()
    if child == 0:
        _become(target, corpus, log, before, runs, seconds)
    _, status = os.waitpid(child, 0)
    took = time.monotonic() - begin
    said = log.read_text(errors="replace")
    numbers = {name: int(value) for name, value in re.findall(r"stat::(\w+):\s+(\d+)", said)}
    trouble = "" if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 else _trouble_in(said, status)
    growth = max(0, numbers.get("peak_rss_mb", 0) - before)
    if not trouble and growth > target.megabytes:
        trouble = f"it grew by {growth} MB; {target.megabytes} are its bound"
    return Outcome(
        target.name,
        numbers.get("number_of_executed_units", 0),
        took,
        numbers.get("slowest_unit_time_sec", 0),
        growth,
        trouble,
    )


def _become(target: Target, corpus: Path, log: Path, before: int, runs: int, seconds: int) -> None:
    """The child's whole life."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    sys.stdout = sys.stderr = os.fdopen(output, "w", buffering=1)
    faulthandler.enable(file=sys.stderr)
    target = replace(target, act=_noting(target.act, corpus.parent / f"{target.name}.input"))
    code = 1
    with suppress(BaseException):
        if atheris is None:
            _change_at_random(target, runs, seconds)
            code = 0
        else:
            _guide(target, corpus, before, runs, seconds)  # which ends the process itself
    os._exit(code)


def _noting(act: Callable[[bytes], None], path: Path) -> Callable[[bytes], None]:
    """`act`, which leaves the input that made it fail in `path`; what hangs, libFuzzer itself leaves beside it."""

    def noting(data: bytes) -> None:
        try:
            act(data)
        except BaseException:
            path.write_bytes(data)
            raise

    return noting


def _guide(target: Target, corpus: Path, before: int, runs: int, seconds: int) -> None:
    arguments = [
        "fuzz",
        str(corpus),
        f"-max_len={target.longest}",
        f"-timeout={target.seconds}",
        f"-rss_limit_mb={before + 2 * target.megabytes}",
        f"-artifact_prefix={corpus}/../{target.name}-",
        "-print_final_stats=1",
        "-verbosity=0",
        *([f"-runs={runs}"] if runs else []),
        *([f"-max_total_time={seconds}"] if seconds else []),
    ]
    atheris.Setup(arguments, target.act)
    atheris.Fuzz()


def _change_at_random(target: Target, runs: int, seconds: int) -> None:
    chance, seeds = random.Random(0), list(target.seeds())
    end = time.monotonic() + (seconds or 1e9)
    done, slowest = 0, 0.0
    while time.monotonic() < end and (not runs or done < runs):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randrange(_CHANGES) if done >= len(seeds) else 0):
            place = chance.randrange(len(data) + 1)
            match chance.randrange(4):
                case 0 if place < len(data):
                    data[place] = chance.randrange(256)
                case 1:
                    data[place:place] = chance.randbytes(chance.randrange(1, 5))
                case 2:
                    del data[place : place + chance.randrange(1, 9)]
                case 3:
                    data[place:place] = data[: chance.randrange(1, 40)]
        signal.alarm(target.seconds)
        began = time.monotonic()
        try:
            target.act(bytes(data[: target.longest]))
        except BaseException:
            sys.excepthook(*sys.exc_info())
            raise
        slowest = max(slowest, time.monotonic() - began)
        done += 1
    signal.alarm(0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"stat::number_of_executed_units: {done}\nstat::slowest_unit_time_sec: {slowest:.0f}")
    print(f"stat::peak_rss_mb: {peak}", flush=True)


def _trouble_in(said: str, status: int) -> str:
    """The exception's last words, or what libFuzzer said."""
    lines = [line for line in said.splitlines() if line.strip()]
    told = [line for line in lines if "Error" in line or "ERROR" in line or "Exception" in line or "SUMMARY" in line]
    return " | ".join(told[:3]) or f"it ended with status {status}: {' '.join(lines[-1:])}"


def _resident() -> int:
    """Of this process, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // (1024 * 1024)
