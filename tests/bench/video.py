"""A long clip of 1080 lines at sixty a second, what the preview costs, and what a mask does: one acquire process."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from appliance.simulator.machines.endoscope_picture import EndoscopePainter
from tests.acquire.boxes import Box
from tests.bench.processes import cpu_seconds, memory_of
from tests.bench.tables import MIB, Table
from tests.bench.trace import tracing

CLIP_SECONDS = 60.0
RATE = 60.0
_LOOK_SECONDS = 10.0
_TRACED_SECONDS = 5.0
_PICTURES_PER_SECOND = 10.0
_PANEL_WIDTH = 640
_SITE = """
[box]
name = "bridge"
reserve_bytes = 1000000
[[devices]]
name = "endoscope"
driver = "grabber"
modality = "ES"
source = "machines/endoscope.sock"
frames_per_second = 60.0
max_clip_bytes = 4000000000
"""


def measure_video(directory: Path) -> Table:
    """Each line with its processor time, its memory, and the frames that were lost on the way."""
    table = Table(
        "video",
        "A grabber of 1920 × 1080 at 60/s: one acquire process",
        "frames from a simulated source over a unix socket, JPEG 4:2:2 as the demo's; processor time of all threads "
        "from /proc/PID/stat; RSS each second",
        ("", "seconds", "frames", "lost", "sender late", "ms/frame", "RSS first", "RSS last", "RSS most"),
    )
    with _running(directory / "plain", _SITE) as video:
        video.measure(table, "nobody looks", _LOOK_SECONDS)
        before = cpu_seconds(video.pid)
        pictures = video.look(_LOOK_SECONDS)
        spent = cpu_seconds(video.pid) - before
        idle = float(table.values["nobody looks"]["cpu_seconds"])
        video.measure(table, f"clip of {CLIP_SECONDS:g} s", CLIP_SECONDS, is_clip=True)
        with tracing([video.pid], directory / "plain") as trace:
            saved = video.record(_TRACED_SECONDS)
    masked = _SITE + "masks = [[0, 0, 640, 120]]\n"
    with _running(directory / "masked", masked) as video:
        video.measure(table, "clip with a mask", _LOOK_SECONDS, is_clip=True)
    per_picture, bare = (spent - idle) / pictures * 1000, _bare_picture() * 1000
    writes = trace.writes / saved["frames"]
    table.notes += [
        f"preview: {pictures} pictures in {_LOOK_SECONDS:g} s, {per_picture:.1f} ms each above what reading takes; "
        f"decoding one at that size, 960 x 540, bare: {bare:.1f} ms; the rest codes it for the browser and answers",
        f"writes: {trace.writes} calls for {saved['frames']} frames of a clip under strace, {writes:.3f} a frame",
    ]
    table.values |= {"preview_ms": per_picture, "bare_preview_ms": bare, "writes_per_frame": writes}
    return table


class _Video:
    """A grabber of ours and the box's acquire process on it."""

    def __init__(self, box: Box, grabber: subprocess.Popen[str]) -> None:
        self._box, self._grabber = box, grabber
        self.pid = box.processes["endoscope"].pid

    def measure(self, table: Table, name: str, seconds: float, *, is_clip: bool = False) -> None:
        """A row for `seconds` of it. What was lost on the way is in the frames' numbers, and the box tells of it."""
        at_first = self._counts()
        before, began, sizes = cpu_seconds(self.pid), time.monotonic(), []
        if is_clip:
            self._box.ask("endoscope", "POST", "/clip/start", {})
        while time.monotonic() - began < seconds:
            sizes.append(memory_of(self.pid).rss)
            time.sleep(1.0)
        saved = self._box.ask("endoscope", "POST", "/clip/stop", {}) if is_clip else None
        spent = cpu_seconds(self.pid) - before
        told = {one["code"]: one["sentence"] for one in self._box.status("endoscope")["findings"]}
        sent, lost, late = (after - first for after, first in zip(self._counts(), at_first, strict=True))
        frames = int(saved["frames"]) if saved else sent
        if is_clip and "clip_ended" in told:
            table.notes.append(f"{name}: {told['clip_ended']}")
        row = (name, f"{seconds:g}", str(frames), str(lost), str(late), f"{spent / frames * 1000:.2f}")
        first, last = sizes[min(5, len(sizes) - 1)], sizes[-1]
        table.rows.append((*row, *(f"{size / MIB:.1f}" for size in (first, last, max(sizes)))))
        table.values[name] = {
            "seconds": seconds,
            "frames": frames,
            "lost": lost,
            "late": late,
            "cpu_seconds": spent,
            "rss_first": first,
            "rss_last": last,
            "rss_most": max(sizes),
            "bytes": int(saved["bytes"]) if saved else 0,
        }

    def _counts(self) -> tuple[int, int, int]:
        """Frames so far: sent, dropped since the box took them too slowly, not sent since the sender was late."""
        assert self._grabber.stdout is not None
        self._grabber.send_signal(signal.SIGUSR1)
        told = json.loads(self._grabber.stdout.readline())
        return told["sent"], told["dropped"], told["late"]

    def look(self, seconds: float) -> int:
        """Ask for the picture as an open panel does; how many came."""
        count, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            due = time.monotonic() + 1 / _PICTURES_PER_SECOND
            self._box.picture("endoscope", "/preview")
            count += 1
            time.sleep(max(0.0, due - time.monotonic()))
        return count

    def record(self, seconds: float) -> dict[str, int]:
        self._box.ask("endoscope", "POST", "/clip/start", {})
        time.sleep(seconds)
        return self._box.ask("endoscope", "POST", "/clip/stop", {})


@contextlib.contextmanager
def _running(directory: Path, site: str) -> Iterator[_Video]:
    box = Box(directory, site)
    path = box.paths.run / "machines" / "endoscope.sock"
    path.parent.mkdir(parents=True)
    command = [sys.executable, "-m", "tests.bench.grabber", str(path), str(RATE)]
    grabber = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert grabber.stdout is not None
        json.loads(grabber.stdout.readline())
        box.start("endoscope")
        box.wait_for_state("endoscope", "idle")
        time.sleep(2.0)
        yield _Video(box, grabber)
    finally:
        grabber.terminate()
        grabber.communicate(timeout=15)
        box.close()  # which may have something to say


def _bare_picture() -> float:
    """Seconds of processor time to decode a frame at the size of the live picture, in this process."""
    painter = EndoscopePainter(3)
    frames = [painter.paint_frame(index) for index in range(3)]
    began, count = time.process_time(), 60
    for number in range(count):
        picture = Image.open(io.BytesIO(frames[number % 3]))
        picture.draft("RGB", (_PANEL_WIDTH, 1))
        picture.load()
    return (time.process_time() - began) / count
