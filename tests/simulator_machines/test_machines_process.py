"""The three machines as one process, and the box's own drivers on the near side of each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.base.asking import Refused
from appliance.base.clock import Deadline, SystemClock
from appliance.devices.errors import BadImage, BadTransfer, DeviceGone
from appliance.devices.film.options import FilmOptions
from appliance.devices.film.scan import scan_film
from appliance.devices.frame import Encoding, Frame
from appliance.devices.serial.line import SerialLine
from appliance.devices.serial.picture import picture_from_file
from appliance.devices.serial.receiver import Transfer, XmodemReceiver
from appliance.devices.serial.xmodem import TransferLimits
from appliance.devices.video.stream import StreamGrabber
from tests.peers import wait_until
from tests.simulator_machines.conftest import Machines, start_machines

CLOCK = SystemClock()
MAX_PIXELS = 16_000_000
QUICK = TransferLimits(poll=0.3, silence=5.0)


class Box:
    """The box's end of the ultrasound's line."""

    def __init__(self, machines: Machines) -> None:
        self._line = SerialLine(str(machines.options.ultrasound_line), CLOCK, name="ultrasound")
        self._line.open()
        self._receiver = XmodemReceiver(self._line, CLOCK, QUICK)

    def receive(self) -> Transfer:
        stop = threading.Event()
        end = Deadline.after(CLOCK, 90.0)
        while not self._receiver.wait_for_sender(stop):
            assert not end.is_over(), "no transfer began"
        return self._receiver.receive_transfer()

    def receive_picture(self) -> Frame:
        """As the product does: decide about the payload, then answer the sender."""
        transfer = self.receive()
        try:
            frame = picture_from_file(transfer.payload, MAX_PIXELS)
        except BadImage:
            transfer.refuse()
            raise
        transfer.acknowledge()
        return frame

    def idle_until(self, future: Future[dict[str, Any]]) -> dict[str, Any]:
        """Go on inviting until the machine has ended its print; its answer."""
        wait_until(lambda: self._receiver.wait_for_sender(threading.Event(), 0.1) or future.done(), "the print ends")
        return future.result()

    def close(self) -> None:
        self._line.close()


@pytest.fixture
def box(machines: Machines) -> Iterator[Box]:
    made = Box(machines)
    yield made
    made.close()


@pytest.fixture
def press(machines: Machines) -> Iterator[Callable[..., Future[dict[str, Any]]]]:
    with ThreadPoolExecutor() as pool:
        yield lambda **wish: pool.submit(machines.press_print, **wish)


Press = Callable[..., "Future[dict[str, Any]]"]


@pytest.mark.parametrize(
    ("wish", "encoding"),
    [
        ({"format": "png"}, Encoding.GRAY8),
        ({"format": "bmp", "protocol": "1k"}, Encoding.GRAY8),
        ({"format": "jpeg", "protocol": "checksum"}, Encoding.JPEG),
        ({"format": "jpeg", "protocol": "crc", "fault": "noise"}, Encoding.JPEG),
    ],
)
def test_ok__a_print_arrives(box: Box, press: Press, wish: dict[str, str], encoding: Encoding) -> None:
    pressed = press(**wish)
    frame = box.receive_picture()
    assert (frame.encoding, frame.width, frame.height) == (encoding, 640, 480)
    answer = box.idle_until(pressed)
    assert answer["acknowledged"] is True
    assert answer["sentence"] == f"{answer['sent']:,} bytes were sent and acknowledged."


def test_ok__no_two_prints_are_alike(box: Box, press: Press) -> None:
    pictures = []
    for _ in range(2):
        pressed = press(format="png", protocol="1k")
        pictures.append(box.receive_picture().data)
        box.idle_until(pressed)
    assert pictures[0] != pictures[1]


@pytest.mark.parametrize(
    ("fault", "kind", "sentence"),
    [
        ("truncated", BadTransfer, r"The ultrasound broke off its transfer after [\d,]+ bytes\."),
        ("abort", BadTransfer, r"The ultrasound cancelled its transfer after [\d,]+ bytes\."),
        ("not-an-image", BadImage, r"The file that arrived is no image\."),
        ("too-large", BadImage, r"The image is larger than the 16,000,000 pixels that are accepted\."),
    ],
)
def test_fail__faults_end_in_one_sentence_and_the_next_print_arrives(
    *, box: Box, press: Press, fault: str, kind: type[Exception], sentence: str
) -> None:
    pressed = press(format="jpeg", protocol="1k", fault=fault)
    with pytest.raises(kind, match=sentence):
        box.receive_picture()
    answer = box.idle_until(pressed)
    assert answer["acknowledged"] is False
    assert answer["sentence"]
    pressed = press(format="jpeg", protocol="1k")
    assert box.receive_picture().width == 640
    assert box.idle_until(pressed)["acknowledged"] is True


def test_ok__a_box_that_died_before_its_answer_is_told_nothing_false(box: Box, press: Press) -> None:
    """The payload of a transfer that was never acknowledged is lost, and the machine knows it."""
    pressed = press(format="jpeg", protocol="1k")
    box.receive()  # and the process that had it is gone
    box._receiver = XmodemReceiver(box._line, CLOCK, QUICK)
    answer = box.idle_until(pressed)
    assert answer["acknowledged"] is False


def test_fail__second_print_while_one_is_going_on(machines: Machines, box: Box, press: Press) -> None:
    pressed = press(format="png")
    wait_until(lambda: machines.asker.ask("GET", "/status")["ultrasound"]["printing"], "the print begins")
    with pytest.raises(Refused, match="is printing already"):
        machines.press_print(format="png")
    box.receive_picture()
    box.idle_until(pressed)


@pytest.mark.parametrize(
    ("path", "wish", "sentence"),
    [
        ("/ultrasound/print", {"format": "gif"}, "format must be one of: png, bmp, jpeg"),
        ("/ultrasound/print", {"protocol": "zmodem"}, "protocol must be one of"),
        ("/ultrasound/print", {"fault": "fire"}, "fault"),
        ("/ultrasound/print", {"fault": 3}, "fault"),
        ("/endoscope/fault", {"fault": "fire"}, "fault must be one of: torn, freeze, no-signal, black"),
        ("/endoscope/fault", {"fault": "torn", "frames": -1}, "frames must be"),
        ("/endoscope/fault", {"fault": "torn", "frames": "x"}, "frames must be"),
    ],
)
def test_fail__wishes_that_are_not_known(machines: Machines, path: str, wish: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        machines.asker.ask("POST", path, wish)


def test_ok__endoscope_at_full_size(machines: Machines) -> None:
    grabber = StreamGrabber(str(machines.options.endoscope_socket), 8 << 20, CLOCK, "endoscope")
    grabber.open(Deadline.after(CLOCK, 10.0))
    frames = [grabber.read_frame(Deadline.after(CLOCK, 30.0)) for _ in range(20)]
    assert {(frame.width, frame.height) for frame in frames} == {(1920, 1080)}
    assert machines.asker.ask("POST", "/endoscope/fault", {"fault": "torn", "frames": 1})["fault"] in ("torn", None)
    grabber.close()


def test_ok__film_by_the_settings_that_the_machines_wrote(machines: Machines) -> None:
    options = FilmOptions(
        "test:0", 50, 200, 250, extra={"test-picture": "Grid"}, config_directory=machines.options.sane_configuration
    )
    with scan_film(options, CLOCK) as film:
        assert sum(map(len, film.chunks)) == film.header.data_bytes


def test_ok__page_loads_nothing_from_elsewhere(machines: Machines) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{machines.options.control_port}") as browser:
        page = browser.get("/")
        assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert "http" not in page.text.replace("http-equiv", "")
        assert "<script src=" in page.text
        assert "onclick" not in page.text
        for asset in ("/machines.css", "/machines.js"):
            assert browser.get(asset).status_code == 200
        assert browser.get("/status").json()["ultrasound"]
        assert browser.get("/../options.py").status_code == 404


def test_fail__keys_are_not_for_other_sites(machines: Machines) -> None:
    base = f"http://127.0.0.1:{machines.options.control_port}"
    form = httpx.post(f"{base}/endoscope/fault", data={"fault": "torn"})
    assert form.status_code == 415
    rebound = httpx.get(f"{base}/status", headers={"Host": "evil.example"})
    assert rebound.status_code == 421


def test_ok__started_again_it_goes_on_counting_and_makes_a_new_line(tmp_path: Path) -> None:
    first = start_machines(tmp_path, None)
    line = SerialLine(str(first.options.ultrasound_line), CLOCK, name="ultrasound")
    line.open()
    with pytest.raises(Refused):
        first.asker.ask("POST", "/ultrasound/print", {"format": "gif"})
    first.options.memory.write_bytes(b"41")
    first.process.kill()
    first.process.wait()
    with pytest.raises(DeviceGone, match="serial line vanished"):
        while True:
            line.read(1.0)
    line.close()
    second = start_machines(tmp_path, None)
    try:
        assert second.asker.ask("GET", "/status")["ultrasound"]["prints"] == 41
        line.open()
        assert line.read(0.01) == b""
    finally:
        line.close()
        second.process.terminate()
        assert second.process.wait(30.0) == 0, second.log.read_text()
    assert "Traceback" not in second.log.read_text()
