"""`python -m tests.acquire.film_memory DIRECTORY none|jpeg-ls`: a film in a process of its own, and the memory it took.

Prints {bytes, idle, peak} as JSON: of the film, VmRSS before it and VmHWM after it. The film is noise: what cannot be
compressed takes the most.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

from appliance.acquire.films import FilmRunner
from appliance.acquire.gate import ExamGate
from appliance.acquire.keeping import ObjectKeeper
from appliance.base.clock import SystemClock
from appliance.base.findings import FindingBoard
from appliance.base.jpeg_ls import encode_jpeg_ls
from appliance.devices.film.scan import CHUNK_BYTES, FilmHeader, FilmScan
from appliance.exam.facts import ExamFacts
from appliance.services.acquire import film_options_from
from appliance.simulator.machines.film import write_sane_configuration
from appliance.spool.tree import Spool
from tests.acquire.world import make_configuration, make_film
from tests.bench.processes import memory_of, reset_peak

# A sheet of 14 by 17 inches, 300 dpi: 4204 × 5102 pixels of two bytes.
SHEET = {"resolution_dpi": 300, "width_mm": 356.0, "height_mm": 432.0}


def main(directory: Path, compression: str) -> None:
    clock, spool = SystemClock(), Spool(directory / "state")
    spool.make()
    device = make_film(**SHEET, compression=compression)
    write_sane_configuration(directory / "machines" / "sane")
    facts = ExamFacts(spool.exams)
    keeper = ObjectKeeper(spool, make_configuration().box, device, clock)
    options = film_options_from(device, directory)
    runner = FilmRunner(device, options, keeper, ExamGate(facts, clock), clock, FindingBoard())
    small = make_film(compression=compression)
    runner._options = film_options_from(small, directory)
    runner.scan_film(None)  # whatever is imported and made once
    encode_jpeg_ls(bytes(200), 10, 10, 16)
    runner._options = options
    pid = os.getpid()
    reset_peak(pid)
    idle = memory_of(pid).rss
    with patch("appliance.acquire.films.scan_film", _scan_noise) if compression != "none" else contextlib.nullcontext():
        saved = runner.scan_film(None)
    print(json.dumps({"bytes": saved.bytes, "idle": idle, "peak": memory_of(pid).peak}))


@contextlib.contextmanager
def _scan_noise(*_: object, **__: object) -> Iterator[FilmScan]:
    header = FilmHeader(4204, 5102, 16, 300)

    def chunks() -> Iterator[bytes]:
        left = header.data_bytes
        while left:
            yield os.urandom(min(left, CHUNK_BYTES))
            left -= min(left, CHUNK_BYTES)

    yield FilmScan(header, chunks())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
