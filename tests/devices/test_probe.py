"""Probing: a grabber on the ioctl-level fake, a serial line with a real sender, SANE's test backend."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.base.clock import SystemClock
from appliance.devices.errors import DeviceGone
from appliance.devices.film.options import FilmOptions
from appliance.devices.plugging.probe_scanner import FoundScanner, list_scanners, scanners_from
from appliance.devices.plugging.probe_serial import probe_serial
from appliance.devices.plugging.probe_video import VideoProbe, probe_video
from appliance.devices.serial.line import SerialLine
from appliance.devices.video import v4l2_abi as abi
from appliance.devices.video.layout import PixelFormat
from appliance.devices.video.v4l2_mode import CaptureWish
from appliance.devices.video.v4l2_stream import V4l2Grabber
from tests.devices.v4l2_fake import FakeInput, FakeKernel, FakeMode, FakeTime

_SIZE = (64, 32)
_BYTES = _SIZE[0] * _SIZE[1]


class Camera(FakeTime):
    """A clock with a camera on it: waiting gives its next picture."""

    def __init__(self, picture: Callable[[int], bytes | None], rate: float = 30.0) -> None:
        super().__init__()
        self.picture, self.rate, self.number = picture, rate, 0
        self.kernel = FakeKernel(self, FakeMode(PixelFormat.GREY, {_SIZE: (30,)}))

    def turn(self, seconds: float) -> None:
        step = 1 / self.rate
        if not self.kernel.is_streaming or seconds < 0.001:
            super().turn(seconds)
            return
        super().turn(step)
        picture = self.picture(self.number)
        if picture is not None:
            self.kernel.deliver(picture, sequence=self.number)
        self.number += 1

    def probe(self, seconds: float = 3.0) -> VideoProbe:
        wish = CaptureWish(formats=("GREY",), rate=30.0, max_frame_bytes=1 << 20)
        return probe_video(V4l2Grabber("/dev/video-fake", wish, self, "endoscope", self.kernel), self, seconds)


def _moving(number: int) -> bytes:
    return bytes([100 + number % 50]) * _BYTES


def test_ok__a_picture_that_moves() -> None:
    found = Camera(_moving).probe()
    assert found.trouble == ""
    assert 88 <= found.frames <= 91 and (found.lost, found.damaged, found.black_first) == (0, 0, 0)
    assert found.rate == pytest.approx(30.0, rel=0.01) and found.usual_rate == 30.0
    assert not found.is_black and not found.is_still
    assert found.picture is not None
    assert (found.picture.width, found.picture.height, found.picture.format) == (64, 32, "GREY")


def test_ok__what_never_came_and_what_came_torn_is_counted() -> None:
    camera = Camera(lambda number: None if number % 10 == 5 else _moving(number)[: 100 if number % 10 == 7 else None])
    found = camera.probe()
    assert found.trouble == ""
    assert found.lost == pytest.approx(9, abs=1) and found.damaged == pytest.approx(9, abs=1)
    assert found.frames == pytest.approx(72, abs=2)


def test_ok__black_first_pictures_are_counted_and_then_forgotten() -> None:
    found = Camera(lambda number: bytes(_BYTES) if number < 4 else _moving(number)).probe()
    assert (found.black_first, found.is_black) == (4, False)


def test_ok__a_picture_that_is_black_and_one_that_stands_still() -> None:
    assert Camera(lambda number: bytes(_BYTES)).probe().is_black
    found = Camera(lambda number: _moving(0)).probe()
    assert found.is_still and not found.is_black


@pytest.mark.parametrize(
    ("rate", "usual"), [(29.97, 30.0), (25.0, 25.0), (23.976, 24.0), (59.94, 60.0), (7.5, 7.5), (12.34, 12.3)]
)
def test_ok__a_measured_rate_is_a_usual_one_where_it_is_near(rate: float, usual: float) -> None:
    assert VideoProbe(rate=rate).usual_rate == usual


def test_fail__no_picture_comes() -> None:
    found = Camera(lambda number: None).probe()
    assert found.picture is None and found.frames == 0
    assert "endoscope" in found.trouble and found.suggestion


def test_fail__no_signal() -> None:
    camera = Camera(_moving)
    camera.kernel.inputs = [FakeInput("HDMI", status=abi.IN_ST_NO_SIGNAL)]
    found = camera.probe()
    assert (found.trouble, found.picture) == ("The endoscope's grabber receives no signal.", None)


def test_fail__unplugged_in_the_middle() -> None:
    camera = Camera(_moving)

    def picture(number: int) -> bytes:
        if number == 30:
            camera.kernel.unplug()
        return _moving(number)

    camera.picture = picture
    found = camera.probe()
    assert found.trouble == "The endoscope's video is not there." and found.frames > 20


def test_fail__somebody_else_has_it_and_the_bus_is_full() -> None:
    camera = Camera(_moving)
    camera.kernel.is_busy = True
    assert "Another program" in camera.probe().trouble
    camera = Camera(_moving)
    camera.kernel.stream_error = errno.ENOSPC
    assert "no room" in camera.probe().trouble


@contextmanager
def _line() -> Iterator[tuple[int, Callable[[int], SerialLine], list[int]]]:
    """The machine's end, and how the box opens its own; with the speeds at which it did."""
    far, near = os.openpty()
    tty.setraw(near)
    asked: list[int] = []

    def make(baud: int) -> SerialLine:
        asked.append(baud)
        return SerialLine(os.ttyname(near), SystemClock(), baud=baud)

    try:
        yield far, make, asked
    finally:
        os.close(far)
        os.close(near)


def test_ok__an_xmodem_sender_shows_itself_when_it_is_asked(tmp_path: Path) -> None:
    """lrzsz's sx, which says nothing before."""
    (tmp_path / "image").write_bytes(b"x" * 3000)
    with _line() as (far, make, asked):
        sender = subprocess.Popen(
            ["sx", "-q", str(tmp_path / "image")], stdin=far, stdout=far, stderr=subprocess.DEVNULL
        )
        try:
            (found,) = probe_serial(make, SystemClock(), (9600,), 20.0, is_inviting=True)
            assert found.guesses[0].protocol.startswith("XMODEM") and found.guesses[0].settings
            assert sender.wait(60) != 0, "it was told that nobody wants the file"
        finally:
            sender.kill()
            sender.wait()
    assert asked == [9600]


def test_ok__without_being_invited_not_a_byte_is_sent() -> None:
    with _line() as (far, make, asked):
        os.set_blocking(far, False)
        found = probe_serial(make, SystemClock(), (9600, 1200), 0.3)
        assert [one.data for one in found] == [b"", b""] and asked == [9600, 1200]
        with pytest.raises(BlockingIOError):
            os.read(far, 1)


def test_ok__the_speed_at_which_it_is_certain_is_the_last_one_and_the_first_to_be_told() -> None:
    with _line() as (far, make, asked):
        sent = {9600: b"\xff\x00\x80\x81\x82", 115_200: b"\x1bE\x1b&l0O\x1b*b1W\xff"}

        def make_and_send(baud: int) -> SerialLine:
            made = make(baud)
            made.open, opened = lambda: (opened(), os.write(far, sent[baud]))[0], made.open  # type: ignore[method-assign]
            return made

        found = probe_serial(make_and_send, SystemClock(), (9600, 115_200, 1200), 2.0)
        assert asked == [9600, 115_200]
        assert [one.baud for one in found] == [115_200, 9600]
        assert found[0].guesses[0].protocol == "PCL" and found[1].guesses == ()


def test_ok__a_flood_is_cut() -> None:
    with _line() as (far, make, _asked):
        is_over = threading.Event()

        def flood() -> None:
            os.set_blocking(far, False)
            while not is_over.is_set():
                try:
                    os.write(far, bytes(4096))
                except BlockingIOError:
                    is_over.wait(0.001)
                except OSError:
                    return

        thread = threading.Thread(target=flood)
        thread.start()
        try:
            (found,) = probe_serial(make, SystemClock(), (9600,), 60.0)
        finally:
            is_over.set()
            thread.join(20)
        assert len(found.data) == 65_536


def test_fail__a_line_that_is_not_there() -> None:
    with pytest.raises(DeviceGone):
        probe_serial(lambda baud: SerialLine("/dev/nothing", SystemClock(), baud=baud), SystemClock(), (9600,), 1.0)


def test_ok__what_sane_finds(tmp_path: Path) -> None:
    (tmp_path / "dll.conf").write_text("test\n")
    (tmp_path / "test.conf").write_text("geometry_max 450\n")
    found = list_scanners(FilmOptions("", 0, 0, 0, config_directory=tmp_path), SystemClock())
    assert found[0] == FoundScanner("test:0", "Noname frontend-tester", "virtual device")
    assert [one.name for one in found] == ["test:0", "test:1"]


def test_ok__a_line_of_another_form_is_no_digitizer() -> None:
    text = "[bjnp] something to say\nepson2:libusb:001:009|Epson V700|flatbed | scanner\n"
    assert scanners_from(text) == [FoundScanner("epson2:libusb:001:009", "Epson V700", "flatbed | scanner")]


def test_fail__no_program_to_ask() -> None:
    with pytest.raises(DeviceGone, match="sane-utils"):
        list_scanners(FilmOptions("", 0, 0, 0, command=("/no/such/scanimage",)), SystemClock())
