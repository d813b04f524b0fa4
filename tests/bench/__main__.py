"""`python -m tests.bench`: every measurement in one run, some eight minutes. Exit 1 when one gave nothing."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from appliance.base.errors import ApplianceError
from tests.bench.box import CLIP_SECONDS, FILM, Box, running_box
from tests.bench.command import measure_commands, measure_help, measure_job
from tests.bench.decoders import measure_decoders
from tests.bench.films import measure_films
from tests.bench.fleet import measure_fleet
from tests.bench.load import IDLE_SECONDS, LoadMeter, rest, watch_picture
from tests.bench.network import measure_network
from tests.bench.panel import measure_endurance, measure_kiosk, measure_search, measure_taps
from tests.bench.processes import bytes_written
from tests.bench.stills import measure_stills
from tests.bench.tables import MIB, BenchError, Table
from tests.bench.video import measure_video
from tests.bench.writes import ExamWear, measure_exams, measure_writes

PARTS = (
    "help",
    "commands",
    "decoders",
    "job",
    "box",
    "films",
    "video",
    "network",
    "panel",
    "endurance",
    "wear",
    "fleet",
)
_ASKED_FOR = 3
"""As many of the last parts are measured only if somebody asks: half an hour, a part of `box`, and what takes root."""
CAPTURES, EXAMS = 10_000, 200


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure a running demo.")
    parser.add_argument("--directory", type=Path, default=Path(), help="on whose filesystem to measure (default: here)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to FILE too")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part (or several)")
    given = parser.parse_args()
    began = time.monotonic()
    given.directory.mkdir(parents=True, exist_ok=True)
    facts = machine_facts(given.directory)
    for name, value in facts.items():
        print(f"{name + ':':<12} {value}")
    tables: list[Table] = []

    def show(table: Table) -> None:
        tables.append(table)
        table.print()
        sys.stdout.flush()

    try:
        with tempfile.TemporaryDirectory(prefix=".bench-", dir=given.directory.absolute()) as name:
            for table in measure(Path(name), facts["filesystem"].partition(" ")[0], given.only or PARTS[:-_ASKED_FOR]):
                show(table)
    except (BenchError, ApplianceError, AssertionError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    seconds = time.monotonic() - began
    facts["load after"] = f"{os.getloadavg()[0]:.2f}"
    print(f"\nMeasured in {seconds:.0f} s; load {facts['load after']} at the end.")
    if given.json:
        document = {"machine": facts, "seconds": seconds, "tables": {table.name: table.values for table in tables}}
        given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


def measure(directory: Path, filesystem: str, parts: Sequence[str]) -> Iterator[Table]:
    """Each table as soon as it is measured."""
    if "help" in parts:
        yield measure_help()
    if "commands" in parts:
        with running_box(directory / "commands") as box:
            yield measure_commands(box.demo.directory)
    if "decoders" in parts:
        yield measure_decoders()
    if "job" in parts:
        yield measure_job(directory / "job")
    if "box" in parts:
        with running_box(directory / "demo") as box:
            yield from measure_box(box, filesystem)
    if "films" in parts:
        yield measure_films(directory / "films")
    if "video" in parts:
        yield measure_video(directory / "video")
    if "network" in parts:
        yield from measure_network(directory / "network")
    if "panel" in parts:
        yield from measure_panel(directory / "panel")
    if "endurance" in parts:
        with running_box(directory / "endurance") as box:
            yield measure_endurance(box, CAPTURES, EXAMS)
    if "wear" in parts:
        with running_box(directory / "wear") as box:
            yield measure_exams(box, [], filesystem)
    if "fleet" in parts:
        yield measure_fleet(directory / "fleet")


def measure_panel(directory: Path) -> Iterator[Table]:
    """What a finger waits for at the panel."""
    yield measure_search(directory / "search")
    with running_box(directory / "demo") as box:
        yield measure_kiosk(box)
        yield measure_taps(box)


def measure_box(box: Box, filesystem: str) -> list[Table]:
    """What needs the running demo: one exam from its first still to its commitment."""
    meter = LoadMeter(box)
    at_first = {name: bytes_written([pid]) for name, pid in box.own.items()}
    meter.measure("idle", rest)
    pictures = meter.measure("live picture", lambda: watch_picture(box))
    stills = meter.measure("stills", lambda: measure_stills(box), is_timed=True)
    clip = meter.measure("clip", box.record_clip)
    first = meter.measure("film", lambda: box.tap("film", "film"))
    meter.measure("second film", lambda: box.tap("film", "film"))
    writes = measure_writes(box, filesystem)
    objects: list[dict[str, Any]] = meter.measure("delivery", box.deliver)

    memory, cpu = meter.memory_table(), meter.cpu_table()
    size = sum(int(one["bytes"]) for one in objects)
    parts = {name: bytes_written([pid]) - at_first[name] for name, pid in box.own.items()}
    exams = measure_exams(box, [ExamWear("all of this", objects, parts)], filesystem)
    film = int(first["bytes"])
    grown = {}
    for phase in ("film", "second film"):
        used = meter.phases[phase]["acquire film"]
        grown[phase] = used.memory.peak - used.before.rss
    memory.notes += [
        f"idle and live picture {IDLE_SECONDS:g} s; clip {CLIP_SECONDS:g} s, {clip['frames']} frames, "
        f"{int(clip['bytes']) / MIB:.1f} MiB; films {FILM['width_mm']:g} x {FILM['height_mm']:g} mm at "
        f"{FILM['resolution_dpi']} dpi, 16 bits, {film / MIB:.1f} MiB; delivery: {size / MIB:.0f} MiB to the archive",
        "growth of acquire film from before to its peak: "
        + ", ".join(
            f"{phase} {value / MIB:.1f} MiB ({value / film:.0%} of the film)" for phase, value in grown.items()
        ),
    ]
    memory.values["film_bytes"], memory.values["film_growth_bytes"] = film, grown
    cpu.notes.append(f"live picture: {pictures} previews asked for over the console, no capture")
    return [stills, writes, exams, memory, cpu]


def machine_facts(directory: Path) -> dict[str, str]:
    """What the numbers depend on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    mount = subprocess.run(
        [
            "findmnt",
            "--first-only",
            "--noheadings",
            "--output",
            "FSTYPE,SOURCE,OPTIONS",
            "--target",
            str(directory.absolute()),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return {
        "processor": f"{model}, {len(os.sched_getaffinity(0))} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "filesystem": " ".join(mount),
        "python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.2f} before the start (others' work makes the numbers worse)",
    }


if __name__ == "__main__":
    sys.exit(main())
