"""What a film takes of memory, streamed and compressed, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.bench.tables import MIB, Table


def measure_films(directory: Path) -> Table:
    """A sheet of 14 by 17 inches at 300 dpi and 16 bits: streamed from SANE, and noise in JPEG-LS, its worst case."""
    table = Table(
        "films",
        "Memory of a film of 41 MiB (MiB)",
        "VmHWM of a process that scans one film above its VmRSS before; the compressed one is noise, which becomes no "
        "smaller and takes the most",
        ("", "film", "idle", "peak", "growth", "times the film"),
    )
    for compression in ("none", "jpeg-ls"):
        place = directory / compression
        place.mkdir(parents=True)
        command = [sys.executable, "-m", "tests.acquire.film_memory", str(place), compression]
        told = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=120).stdout)
        growth = told["peak"] - told["idle"]
        cells = (f"{value / MIB:.1f}" for value in (told["bytes"], told["idle"], told["peak"], growth))
        table.rows.append((f"compression {compression}", *cells, f"{growth / told['bytes']:.2f}"))
        table.values[compression] = {**told, "growth": growth}
    return table
