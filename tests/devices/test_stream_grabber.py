"""The grabber's stream over a real unix socket: whole frames, torn ones, silence, and ends of every kind."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.base.clock import Deadline, SystemClock
from appliance.devices.errors import BadFrame, DeviceGone, NoSignal
from appliance.devices.frame import Encoding
from appliance.devices.video.source import VideoSource
from appliance.devices.video.stream import StreamGrabber
from tests.devices.test_jpeg import make_jpeg, strip_huffman

CLOCK = SystemClock()
WHOLE = make_jpeg()
BARE = strip_huffman(WHOLE)
LIMIT = 1 << 20


def soon(seconds: float = 30.0) -> Deadline:
    return Deadline.after(CLOCK, seconds)


def framed(data: bytes, sequence: int = 0, nanoseconds: int = 0) -> bytes:
    return (
        b"MJPG"  # the mark
        + struct.pack(">I", len(data))  # length of the image
        + struct.pack(">Q", sequence)
        + struct.pack(">Q", nanoseconds)  # CLOCK_MONOTONIC
        + data
    )


class FarGrabber:
    """A listener that takes one reader and sends what the test says."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self.connection: socket.socket | None = None

    def accept(self) -> None:
        self.connection, _ = self._listener.accept()

    def send(self, data: bytes) -> None:
        assert self.connection is not None
        self.connection.sendall(data)

    def hang_up(self) -> None:
        assert self.connection is not None
        self.connection.close()

    def close(self) -> None:
        self._listener.close()
        if self.connection is not None:
            self.connection.close()


@pytest.fixture
def far(tmp_path: Path) -> Iterator[FarGrabber]:
    made = FarGrabber(tmp_path / "video.sock")
    yield made
    made.close()


@pytest.fixture
def grabber(tmp_path: Path, far: FarGrabber) -> Iterator[StreamGrabber]:
    made = StreamGrabber(str(tmp_path / "video.sock"), LIMIT, CLOCK, "endoscope")
    made.open(soon())
    far.accept()
    yield made
    made.close()


def test_ok__frames_come_out_whole_with_sequence_and_moment(far: FarGrabber, grabber: VideoSource) -> None:
    far.send(framed(BARE, 41, 1_500_000_000) + framed(WHOLE + bytes(100), 43, 1_600_000_000))
    first, second = grabber.read_frame(soon()), grabber.read_frame(soon())
    assert (first.encoding, first.width, first.height, first.bits_stored) == (Encoding.JPEG, 96, 64, 8)
    assert (first.sequence, first.timestamp) == (41, 1.5)
    assert (second.sequence, second.timestamp, second.data) == (43, 1.6, WHOLE)
    # Bare frames get the standard tables; the scan is what it was.
    assert first.data[-2000:] == WHOLE[-2000:]
    assert len(first.data) == len(WHOLE)


def test_ok__a_frame_may_arrive_byte_by_byte(far: FarGrabber, grabber: StreamGrabber) -> None:
    stream = framed(BARE, 1) * 2

    def send() -> None:
        for i in range(0, len(stream), 7):
            far.send(stream[i : i + 7])

    thread = threading.Thread(target=send)
    thread.start()
    assert [grabber.read_frame(soon()).width for _ in range(2)] == [96, 96]
    thread.join()


def test_ok__what_arrived_before_a_deadline_counts_for_the_next_call(far: FarGrabber, grabber: StreamGrabber) -> None:
    stream = framed(BARE, 9)
    for begin, end in ((0, 10), (10, 300)):
        far.send(stream[begin:end])
        with pytest.raises(NoSignal):
            grabber.read_frame(soon(0.05))
    far.send(stream[300:])
    assert grabber.read_frame(soon()).sequence == 9


def test_fail__no_signal(far: FarGrabber, grabber: StreamGrabber) -> None:
    with pytest.raises(NoSignal, match="No picture comes from the endoscope"):
        grabber.read_frame(soon(0.05))
    far.send(framed(BARE, 1))
    assert grabber.read_frame(soon()).sequence == 1


@pytest.mark.parametrize("damaged", [BARE[:-2], BARE[: len(BARE) // 2], b"", b"garbage", WHOLE[:300]])
def test_fail__damaged_frame_and_the_next_is_good(far: FarGrabber, grabber: StreamGrabber, damaged: bytes) -> None:
    far.send(framed(damaged, 1) + framed(BARE, 2))
    with pytest.raises(BadFrame):
        grabber.read_frame(soon())
    assert grabber.read_frame(soon()).sequence == 2


def test_fail__rgb_is_not_taken_for_ycbcr(far: FarGrabber, grabber: StreamGrabber) -> None:
    far.send(framed(make_jpeg("4:4:4", keep_rgb=True), 1) + framed(BARE, 2))
    with pytest.raises(BadFrame, match="sends JPEG frames in RGB"):
        grabber.read_frame(soon())
    assert grabber.read_frame(soon()).sequence == 2


def test_fail__torn_frame_says_so(far: FarGrabber, grabber: StreamGrabber) -> None:
    far.send(framed(BARE[:-2]))
    with pytest.raises(BadFrame, match="A JPEG frame came without its end marker"):
        grabber.read_frame(soon())


@pytest.mark.parametrize(
    "header", [b"RIFF" + framed(BARE)[4:], b"MJPG" + struct.pack(">IQQ", LIMIT + 1, 0, 0), bytes(24)]
)
def test_fail__framing_that_is_lost(far: FarGrabber, grabber: StreamGrabber, header: bytes) -> None:
    far.send(header)
    with pytest.raises(DeviceGone, match="lost its framing"):
        grabber.read_frame(soon())
    with pytest.raises(DeviceGone, match="is not open"):
        grabber.read_frame(soon())


@pytest.mark.parametrize("before", [b"", b"MJPG", framed(BARE)[:500]])
def test_fail__grabber_hangs_up_and_is_opened_again(far: FarGrabber, grabber: StreamGrabber, before: bytes) -> None:
    far.send(before)
    far.hang_up()
    with pytest.raises(DeviceGone, match=r"endoscope's video (ended|broke off)"):
        grabber.read_frame(soon())
    grabber.open(soon())
    far.accept()
    far.send(framed(BARE, 5))
    assert grabber.read_frame(soon()).sequence == 5


def test_fail__nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(DeviceGone, match="is not there"):
        StreamGrabber(str(tmp_path / "nothing"), LIMIT, CLOCK).open(soon())


def test_ok__closing_twice_is_harmless(grabber: StreamGrabber) -> None:
    grabber.close()
    grabber.close()
