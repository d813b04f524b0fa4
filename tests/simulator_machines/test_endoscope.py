"""The simulated endoscope: frames as USB grabbers send them, readers that come, go and dawdle, faults on demand."""

from __future__ import annotations

import io
import random
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from appliance.base.clock import Deadline, SystemClock
from appliance.base.sockets import bind_unix
from appliance.devices.errors import BadFrame, NoSignal
from appliance.devices.video.jpeg import parse_jpeg, with_standard_huffman_tables
from appliance.devices.video.stream import FRAME_HEADER, StreamGrabber
from appliance.simulator.machines.endoscope import FrameRing, VideoFault, VideoServer
from appliance.simulator.machines.endoscope_picture import EndoscopePainter, black_frame, encode_as_grabber
from tests.peers import wait_until

CLOCK = SystemClock()


def small_frame(index: int) -> bytes:
    grain = random.Random(index).randbytes(64 * 48 * 3)  # so that most of a frame is its scan
    return encode_as_grabber(Image.frombytes("RGB", (64, 48), grain))


@dataclass
class Running:
    """A video server of five small frames, and a way to watch it."""

    path: Path
    server: VideoServer
    painted: list[int]
    open_grabber: Callable[[], StreamGrabber]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    painted: list[int] = []

    def paint(index: int) -> bytes:
        painted.append(index)
        return small_frame(index)

    path = tmp_path / "video.sock"
    server = VideoServer(bind_unix(path), FrameRing(5, lambda: paint), lambda: small_frame(0), CLOCK)
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    grabbers: list[StreamGrabber] = []

    def open_grabber() -> StreamGrabber:
        grabbers.append(StreamGrabber(str(path), 1 << 20, CLOCK, "endoscope"))
        grabbers[-1].open(Deadline.after(CLOCK, 20.0))
        return grabbers[-1]

    yield Running(path, server, painted, open_grabber)
    for grabber in grabbers:
        grabber.close()
    stop.set()
    server.wake()
    thread.join(20.0)
    assert not thread.is_alive()


def soon() -> Deadline:
    return Deadline.after(CLOCK, 20.0)


def test_ok__a_painted_frame_is_a_1080p_jpeg_without_huffman_tables() -> None:
    painter = EndoscopePainter(90)
    frames = [painter.paint_frame(index) for index in (0, 45)]
    for frame in frames:
        header = parse_jpeg(frame)
        assert (header.width, header.height, header.sampling) == (1920, 1080, ((2, 1), (1, 1), (1, 1)))  # 4:2:2
        assert not header.has_huffman_tables
        assert b"\xff\xc4" not in frame[: header.scan_offset]
        assert 120_000 < len(frame) < 260_000
    first, second = (Image.open(io.BytesIO(with_standard_huffman_tables(frame))) for frame in frames)
    # It moves, and what is shown is red flesh in a round view on a dark screen.
    assert ImageStat.Stat(ImageChops.difference(first, second).crop((800, 200, 1500, 900))).mean[0] > 5
    red, green, blue = ImageStat.Stat(first.crop((1300, 300, 1500, 800))).mean
    assert red > green + 20 > blue
    assert ImageStat.Stat(first.crop((1700, 20, 1900, 120))).mean[0] < 12


def test_ok__black_frame_is_black() -> None:
    picture = Image.open(io.BytesIO(with_standard_huffman_tables(black_frame())))
    assert picture.size == (1920, 1080)
    assert max(ImageStat.Stat(picture).mean) == 0


def test_ok__nothing_is_painted_before_somebody_watches(running: Running) -> None:
    assert running.painted == []
    running.open_grabber().read_frame(soon())
    wait_until(lambda: running.painted == [0, 1, 2, 3, 4], "all frames painted once")


def test_ok__frames_follow_each_other_at_thirty_a_second(running: Running) -> None:
    grabber = running.open_grabber()
    frames = [grabber.read_frame(soon()) for _ in range(31)]
    assert [frame.sequence for frame in frames] == list(range(frames[0].sequence, frames[0].sequence + 31))
    seconds = frames[-1].timestamp - frames[0].timestamp
    assert 0.95 < seconds < 3.0  # never quicker than real, and a busy computer may be late
    assert len({frame.data for frame in frames}) == 5


def test_ok__reader_that_dawdles_misses_frames_and_holds_nobody_up(running: Running) -> None:
    idle = running.open_grabber()
    reader = running.open_grabber()
    raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    raw.connect(str(running.path))
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    wait_until(lambda: running.server.status()["readers"] == 3, "three readers")
    wait_until(lambda: reader.read_frame(soon()) and int(str(running.server.status()["dropped"])) > 3, "drops")
    sequences = [reader.read_frame(soon()).sequence for _ in range(10)]
    assert sequences == list(range(sequences[0], sequences[0] + 10))
    # What the slow one gets is late, and whole.
    assert [FRAME_HEADER.size, b"MJPG"] == [24, raw.recv(4)]
    first = idle.read_frame(soon())
    wait_until(lambda: idle.read_frame(soon()).sequence > first.sequence + 5, "the slow reader catches up")
    raw.close()
    wait_until(lambda: reader.read_frame(soon()) and running.server.status()["readers"] == 2, "it is gone")


def test_ok__torn(running: Running) -> None:
    grabber = running.open_grabber()
    grabber.read_frame(soon())
    running.server.set_fault(VideoFault.TORN, 3)
    torn = 0

    def is_torn_three_times() -> bool:
        nonlocal torn
        try:
            grabber.read_frame(soon())
        except BadFrame as error:
            assert error.sentence == "A JPEG frame came without its end marker."
            torn += 1
        return torn == 3

    wait_until(is_torn_three_times, "three torn frames")
    grabber.read_frame(soon())
    assert running.server.status()["fault"] is None


def test_ok__freeze_and_black(running: Running) -> None:
    grabber = running.open_grabber()
    wait_until(lambda: len(running.painted) == 5 and grabber.read_frame(soon()), "the ring is full")
    running.server.set_fault(VideoFault.FREEZE, 1000)

    def is_frozen() -> bool:
        return len({grabber.read_frame(soon()).data for _ in range(10)}) == 1

    wait_until(is_frozen, "a frozen picture")
    black = with_standard_huffman_tables(small_frame(0))
    running.server.set_fault(VideoFault.BLACK, 1000)
    wait_until(lambda: all(grabber.read_frame(soon()).data == black for _ in range(10)), "a black picture")
    running.server.set_fault(None, 0)
    wait_until(lambda: not is_frozen(), "a moving picture")


def test_ok__no_signal_and_back(running: Running) -> None:
    grabber = running.open_grabber()
    running.server.set_fault(VideoFault.NO_SIGNAL, 100_000)

    def has_no_signal() -> bool:
        try:
            grabber.read_frame(Deadline.after(CLOCK, 0.5))
        except NoSignal:
            return True
        return False

    wait_until(has_no_signal, "no signal")
    running.server.set_fault(None, 0)
    grabber.read_frame(soon())
