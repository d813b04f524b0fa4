"""Tap to saved for a 1080p still, beside the bare cost of making the same bytes durable, turn and turn about."""

from __future__ import annotations

import bisect
import os
import random
import socket
import statistics
import threading
import time
from datetime import datetime
from pathlib import Path

from appliance.devices.video.stream import FRAME_HEADER
from tests.bench.box import Box
from tests.bench.tables import SPREAD_HEAD, BenchError, Table, spread_of

STILLS = 50
_WARM_UP = 3
_FRAME_SECONDS = 1 / 30


class FrameMoments:
    """Reads the endoscope's video beside the box and notes each frame's moment (CLOCK_MONOTONIC, as the box uses)."""

    def __init__(self, path: Path) -> None:
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._connection.settimeout(5.0)
        self._connection.connect(str(path))
        self._moments: list[float] = []
        self._after_gap: set[float] = set()  # moments before which this reader missed frames
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="frame-moments")

    def __enter__(self) -> FrameMoments:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._connection.close()

    def first_after(self, moment: float) -> float | None:
        """When the first frame after `moment` was captured; None if it was missed. BenchError when none was seen."""
        moments = list(self._moments)
        index = bisect.bisect_left(moments, moment)
        if index == len(moments):
            raise BenchError("The endoscope's frames were not seen.")
        return None if moments[index] in self._after_gap else moments[index]

    def _read(self) -> None:
        header, body = bytearray(FRAME_HEADER.size), bytearray(8 << 20)
        expected = None
        while not self._stop.is_set():
            self._fill(memoryview(header))
            _, length, sequence, nanoseconds = FRAME_HEADER.unpack(header)
            if sequence != expected:
                self._after_gap.add(nanoseconds / 1e9)
            expected = sequence + 1
            self._moments.append(nanoseconds / 1e9)
            self._fill(memoryview(body)[:length])

    def _fill(self, view: memoryview) -> None:
        while view:
            count = self._connection.recv_into(view)
            if not count:
                raise BenchError("The endoscope's video ended.")
            view = view[count:]


def save_bare(target: Path, data: bytes) -> float:
    """Seconds to write `data` under a temporary name, sync it, rename it, and sync its directory."""
    temporary = target.with_suffix(".bare")
    began = time.perf_counter()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    os.write(descriptor, data)
    os.fsync(descriptor)
    os.rename(temporary, target)
    directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(directory)
    os.close(directory)
    seconds = time.perf_counter() - began
    os.close(descriptor)
    if target.stat().st_size != len(data):
        raise BenchError("The bare write was cut short.")
    return seconds


def measure_stills(box: Box) -> Table:
    """STILLS taps through the console, each followed by the bare write of the same file in the same directory."""
    answered, durable, bare, sizes = [], [], [], []
    directory = box.captured("endoscope")
    written: list[Path] = []
    chance = random.Random(1)  # taps fall anywhere between two frames
    taps = []
    for _ in range(_WARM_UP):
        box.tap("endoscope", "still")
    with FrameMoments(box.demo.paths.run / "machines" / "endoscope.sock") as frames:
        for number in range(STILLS):
            time.sleep(chance.uniform(0.05, 0.05 + 2 * _FRAME_SECONDS))
            tapped_wall, tapped = time.time(), time.monotonic()
            answer = box.tap("endoscope", "still")
            answered.append(time.monotonic() - tapped)
            durable.append(datetime.fromisoformat(answer["saved_at"]).timestamp() - tapped_wall)
            taps.append(tapped)
            data = (directory / answer["file_name"]).read_bytes()
            time.sleep(0.02)
            bare.append(save_bare(directory / f"bench-{number}", data))
            written.append(directory / f"bench-{number}")
            sizes.append(len(data))
        firsts = [frames.first_after(tapped) for tapped in taps]
    for path in written:
        path.unlink()
    seen = [index for index, first in enumerate(firsts) if first is not None]
    waits = [firsts[index] - taps[index] for index in seen]
    own = [durable[index] - wait for index, wait in zip(seen, waits, strict=True)]
    named = {
        "tap to answered": spread_of(answered),
        "tap to durable": spread_of(durable),
        "of it: wait for the frame": spread_of(waits),
        "of it: the box": spread_of(own),
        "bare write and sync": spread_of(bare),
    }
    table = Table(
        "stills",
        "Tap to saved, 1080p still (ms)",
        f"{STILLS} taps at console.sock at random moments of a 30/s video, each followed by a bare write, fsync, "
        f"rename, fsync of the directory; the same {statistics.median(sizes) / 1000:.0f} kB in the same directory",
        ("", *SPREAD_HEAD),
        [(name, *spread.cells(1000)) for name, spread in named.items()],
    )
    bare_median = named["bare write and sync"].median
    ratios = {name: spread.median / bare_median for name, spread in list(named.items())[:4]}
    table.notes = [
        "ratio to the bare cost, of medians: "
        + ", ".join(f"{name.removeprefix('of it: ')} {ratio:.1f}" for name, ratio in ratios.items()),
        "durable: the box's own saved_at; answered: the panel knows it too (thumbnail made, two HTTP answers)",
        "the frame is the first one captured after the tap: 17 ms to wait on average at 30/s, 33 ms at most; "
        f"{len(seen)} of {STILLS} waits seen",
    ]
    table.values = {
        "milliseconds": {name: {k: v * 1000 for k, v in vars(spread).items()} for name, spread in named.items()},
        "ratio_to_bare": ratios,
        "bytes": statistics.median(sizes),
    }
    return table
