"""The command line: how fast its help comes, what that imports, and the whole job by `appliance demo --once`."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.tables import SPREAD_HEAD, BenchError, Table, spread_of
from tests.services.demo_box import run_job

_RUNS = 10
_PEERLESS = (
    "status",
    "queue",
    "exam list",
    "worklist",
    "clock",
    "metrics",
    "panel",
    "audit",
    "device list",
    "config show",
    "config get box.name",
    "config log",
    "config export",
    "config example",
    "config schema",
    "config check FILE",
    "config diff FILE",
    "config diff OTHER",
    "config set box.name other --file OTHER",
    "doctor --no-peers",
)
# As on a box, whose sources are compiled once: the first run writes what the others read.
_COMPILED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
_FORBIDDEN = ("pydicom", "pynetdicom", "numpy")


def measure_help() -> Table:
    """`appliance --help` and an empty program of the same interpreter, turn and turn about."""
    bare = [sys.executable, "-c", "pass"]
    shown = [sys.executable, "-m", "appliance", "--help"]
    _seconds_of(bare), _seconds_of(shown)  # into the page cache
    pairs = [(_seconds_of(bare), _seconds_of(shown)) for _ in range(_RUNS)]
    empty, helped = spread_of([one for one, _ in pairs]), spread_of([two for _, two in pairs])
    ratio = statistics.median(two / one for one, two in pairs)
    # Each import as the interpreter itself reports it; the name is the last column.
    told = subprocess.run([sys.executable, "-X", "importtime", *shown[1:]], capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in told.stderr.splitlines() if "|" in line}
    if "argparse" not in imported:
        raise BenchError("The interpreter does not tell what `appliance --help` imports.")
    heavy = sorted({name.partition(".")[0] for name in imported} & set(_FORBIDDEN))
    return Table(
        "help",
        "appliance --help (ms)",
        f"{_RUNS} runs each, turn and turn about, after one to warm up",
        ("", *SPREAD_HEAD),
        [("python3 -c pass", *empty.cells(1000)), ("appliance --help", *helped.cells(1000))],
        [
            f"median of the pairs' ratios: {ratio:.2f}",
            f"of {', '.join(_FORBIDDEN)} it imports: {', '.join(heavy) or 'none'} ({len(imported)} modules in all)",
        ],
        {"ratio": ratio, "pass_ms": empty.median * 1000, "help_ms": helped.median * 1000, "imports": heavy},
    )


def measure_commands(box: Path) -> Table:
    """Commands that talk to no peer, on the running box below `box`, each beside an empty program in turns."""
    bare = [sys.executable, "-c", "pass"]
    _seconds_of(bare)
    active, other = box / "config/active.toml", box / "other.toml"
    other.write_text(active.read_text(encoding="utf-8") + "\n# The same, and yet another text.\n", encoding="utf-8")
    places = {"FILE": str(active), "OTHER": str(other)}
    rows, values = [], {}
    for words in _PEERLESS:
        given = [places.get(word, word) for word in words.split()]
        command = [sys.executable, "-m", "appliance", "--box", str(box), *given]
        _seconds_of(command)
        pairs = [(_seconds_of(bare), _seconds_of(command)) for _ in range(_RUNS)]
        taken, ratio = spread_of([two for _, two in pairs]), statistics.median(two / one for one, two in pairs)
        rows.append((f"appliance {words}", *taken.cells(1000), f"{ratio:.1f}"))
        values[words] = {"ms": taken.median * 1000, "ratio": ratio}
    slowest = max(one["ms"] for one in values.values())
    return Table(
        "commands",
        "commands that talk to no peer (ms)",
        f"{_RUNS} runs each from start to end, beside python3 -c pass",
        ("", *SPREAD_HEAD, "ratio"),
        rows,
        [f"the slowest has a median of {slowest:.0f} ms; 300 are wanted"],
        values,
    )


def _seconds_of(command: list[str]) -> float:
    began = time.perf_counter()
    # Without a time limit: with one Python looks in growing steps of up to 50 ms whether the program has ended.
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False, env=_COMPILED)
    seconds = time.perf_counter() - began
    if done.returncode not in (0, 1):  # 1: what it found is not well
        raise BenchError(f"{' '.join(command)} ended with {done.returncode}.")
    return seconds


def measure_job(directory: Path) -> Table:
    """The unattended job from the first process to the last. BenchError when it is not complete."""
    began = time.monotonic()
    job = run_job(directory, "--deadline", "60")
    seconds = time.monotonic() - began
    if job.status != 0:
        raise BenchError(f"The job did not end well: {job.errors.strip() or job.document.get('missing')}")

    def shown(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f}"

    rows = [
        (
            f"{one['device']} {one['modality']}",
            str(one["frames"]),
            f"{one['bytes'] / 1000:.0f}",
            one["state"],
            *(shown(one[f"seconds_to_{state}"]) for state in ("saved", "stored", "committed")),
        )
        for one in job.objects
    ]
    return Table(
        "job",
        f"appliance demo --once: {seconds:.1f} s from start to end",
        "a fresh directory, the example's settings; 5 s of it are the clip; seconds from each capture's beginning",
        ("", "frames", "kB", "state", "saved s", "stored s", "committed s"),
        rows,
        values={"seconds": seconds, "objects": job.objects},
    )
