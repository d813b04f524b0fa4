"""`appliance device probe`: what people and programs are told, and that nobody's capture is disturbed."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from appliance.base.lock import ProcessLock
from appliance.base.paths import Paths
from appliance.cli import device_probe, device_probe_scanner, device_probe_video
from appliance.cli.device_probe_serial import hexdump_lines
from appliance.cli.main import main
from appliance.devices.film.offered import Offered
from appliance.devices.plugging.attached import Attached, Kind
from appliance.devices.plugging.probe_scanner import FoundScanner
from appliance.devices.video.v4l2_mode import CaptureWish
from appliance.devices.video.v4l2_stream import V4l2Grabber
from tests.devices.test_probe import Camera
from tests.devices.xmodem_world import block

_GRABBER = Attached(Kind.VIDEO, "/dev/video0", usb_id="534d:2109", model="USB Video", port="p")
_PEDAL = Attached(Kind.INPUT, "/dev/input/event7", model="FootSwitch")
_SCANNER = Attached(Kind.SCANNER, "/dev/bus/usb/001/009", usb_id="04b8:012c", bus_address="001:009")
_CONFIGURATION = """
[[devices]]
name = "endoscope"
title = "Endoscope"
driver = "grabber"
modality = "ES"
source = "/dev/video0"
[[devices]]
name = "film"
driver = "sane"
modality = "RG"
sane_device = "test:0"
sane_config_directory = "sane"
"""


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A box, with what is plugged in."""
    made = Paths.below(tmp_path)
    made.configuration.parent.mkdir(parents=True)
    made.configuration.write_text(_CONFIGURATION)
    for name, value in made.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(device_probe, "list_attached", lambda: [_GRABBER, _PEDAL, _SCANNER])
    return made


def _moving(number: int) -> bytes:
    return bytes([100 + number % 50]) * (64 * 32)


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> Camera:
    """What the grabber gives, in a time of its own."""
    made = Camera(_moving)

    def make_source(device: object, run: Path, clock: object) -> V4l2Grabber:
        wish = CaptureWish(formats=("GREY",), rate=30.0, max_frame_bytes=1 << 20)
        return V4l2Grabber("/dev/video-fake", wish, made, "endoscope", made.kernel)

    monkeypatch.setattr(device_probe_video, "make_source", make_source)
    monkeypatch.setattr(device_probe_video, "SystemClock", lambda: made)
    return made


@pytest.mark.parametrize("target", ["endoscope", "/dev/video0"])
def test_ok__a_grabber(
    paths: Paths, camera: Camera, tmp_path: Path, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "picture.jpg"
    assert main(["device", "probe", target, "--picture", str(picture)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Endoscope: /dev/video0, HDMI grabber with MacroSilicon MS2109"
    assert said[1:3] == ["signal    yes", "format    GREY 64×32, whole pictures, asked for 30/s"]
    assert said[3].startswith("measured  30.00/s: ") and said[3].endswith(" lost, 0 damaged")
    assert said[4] == f"picture   it moves; written to {picture}"
    assert said[5:] == [
        "USB 2 only: MJPEG alone reaches a high rate, its uncompressed format is slow.",
        "What the configuration could have for it:",
        '    hardware = "macrosilicon-ms2109"',
        '    formats = ["GREY"]',
        "    size = [64, 32]",
        "    frames_per_second = 30.0",
    ]
    assert Image.open(io.BytesIO(picture.read_bytes())).size == (64, 32)
    assert picture.stat().st_mode & 0o777 == 0o600


def test_ok__a_grabber_for_programs(paths: Paths, camera: Camera, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["device", "probe", "endoscope", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["has_signal"] and document["rate"] == pytest.approx(30.0, rel=0.01)
    assert (document["format"], document["width"], document["lost"], document["picture"]) == ("GREY", 64, 0, "")


def test_fail__a_black_picture_and_none(paths: Paths, camera: Camera, capsys: pytest.CaptureFixture[str]) -> None:
    camera.picture = lambda number: bytes(64 * 32)
    assert main(["device", "probe", "endoscope"]) == 1
    assert "picture   black all over" in capsys.readouterr().out
    camera.picture = lambda number: None
    assert main(["device", "probe", "endoscope"]) == 1
    said = capsys.readouterr().out
    assert "signal  no picture came" in said and "! No picture comes from the endoscope." in said


def test_fail__its_acquire_process_has_it(paths: Paths, camera: Camera, capsys: pytest.CaptureFixture[str]) -> None:
    held = ProcessLock(paths.acquire_lock("endoscope"), "Somebody")
    try:
        for target in ("endoscope", "/dev/video0"):
            assert main(["device", "probe", target]) == 1
            said = capsys.readouterr()
            assert said.out == "" and "The acquire process of endoscope has it." in said.err
            assert "systemctl stop appliance-acquire@endoscope" in said.err
    finally:
        held.release()
    assert camera.kernel.opened == 0
    assert main(["device", "probe", "endoscope"]) == 0  # and it is free again afterwards
    ProcessLock(paths.acquire_lock("endoscope"), "Somebody").release()


def test_ok__where_no_acquire_process_ever_ran_no_lock_is_left_in_its_way(paths: Paths, camera: Camera) -> None:
    assert main(["device", "probe", "endoscope"]) == 0
    assert not paths.acquire_lock("endoscope").exists()


def test_fail__nobody_is_called_so_and_a_pedal(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["device", "probe", "nobody"]) == 1
    assert "There are: endoscope, film, /dev/video0," in capsys.readouterr().err
    assert main(["device", "probe", "/dev/input/event7"]) == 1
    assert "has keys, and nothing to be measured" in capsys.readouterr().err


@pytest.fixture
def line(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The machine's end of a serial line; the box's is plugged in."""
    far, near = os.openpty()
    tty.setraw(near)
    attached = Attached(Kind.SERIAL, os.ttyname(near), usb_id="0403:6001", serial="A1")
    monkeypatch.setattr(device_probe, "list_attached", lambda: [attached])
    yield far
    os.close(far)
    os.close(near)


def _probe_line(*words: str) -> int:
    node = device_probe.list_attached()[0].node
    return main(["device", "probe", node, "--seconds", "20", "--baud", "9600", *words])


def test_ok__a_serial_line_with_lrzszs_sender(line: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "image").write_bytes(b"x" * 3000)
    sender = subprocess.Popen(["sx", "-q", tmp_path / "image"], stdin=line, stdout=line, stderr=subprocess.DEVNULL)
    try:
        assert _probe_line("--invite") == 0
    finally:
        sender.kill()
        sender.wait()
    said = capsys.readouterr()
    assert re.search(r"9600 baud  13[23] bytes: is XMODEM \(a numbered block\)", said.out)
    assert '    driver = "xmodem"\n    baud = 9600\n' in said.out
    assert said.err == "Listening at 9600 baud for 20 s: let the machine send now.\n"
    assert "xxxx" not in said.out, "what came is shown when it is asked for"


def test_fail__nothing_comes_over_a_line(line: int, capsys: pytest.CaptureFixture[str]) -> None:
    node = device_probe.list_attached()[0].node
    assert main(["device", "probe", node, "--seconds", "0.2", "--baud", "9600", "--baud", "1200"]) == 1
    said = capsys.readouterr().out
    assert "9600 baud  nothing came" in said and "1200 baud  nothing came" in said
    assert "--invite" in said


def test_ok__bytes_are_shown_as_support_reads_them() -> None:
    assert hexdump_lines(block(1, b"ab\x1b" + bytes(125))[:18]) == [
        "0000  01 01 fe 61 62 1b 00 00 00 00 00 00 00 00 00 00  ...ab...........",
        "0010  00 00                                            ..",
    ]


def test_ok__a_film_digitizer(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    (paths.run / "sane").mkdir(parents=True)
    (paths.run / "sane" / "dll.conf").write_text("test\n")
    (paths.run / "sane" / "test.conf").write_text("geometry_max 450\n")
    assert main(["device", "probe", "film"]) == 0
    said = capsys.readouterr().out
    assert "SANE's name  test:0\n" in said
    assert "depth        1, 8, 16\n" in said
    assert "source       Flatbed, Automatic Document Feeder\n" in said
    assert '    sane_device = "test:0"\n    width_mm = 450.0   # at most\n    height_mm = 450.0   # at most\n' in said
    assert "Further options: hand-scanner, " in said
    paths.configuration.write_text(_CONFIGURATION + 'source = "Lid"\n')
    assert main(["device", "probe", "film"]) == 1
    assert "! The film cannot be set to source Lid. It has Flatbed, " in capsys.readouterr().out
    paths.configuration.write_text(_CONFIGURATION.replace("test:0", "nobody:0"))
    assert main(["device", "probe", "film"]) == 1
    assert "SANE cannot open nobody:0." in capsys.readouterr().err


def test_ok__an_unconfigured_digitizer_is_found_by_its_place_on_the_bus(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [FoundScanner("epson2:libusb:001:008", "Epson", "scanner")]
    offered = {"mode": Offered("mode", ("Binary", "Color")), "depth": Offered("depth", ("8",))}
    monkeypatch.setattr(device_probe_scanner, "list_scanners", lambda options, clock: found)
    monkeypatch.setattr(device_probe_scanner, "read_offered", lambda options, clock: offered)
    assert main(["device", "probe", "/dev/bus/usb/001/009"]) == 1
    assert "It finds: epson2:libusb:001:008, Epson." in capsys.readouterr().err
    found.append(FoundScanner("epson2:libusb:001:009", "Epson V700", "scanner"))
    assert main(["device", "probe", "/dev/bus/usb/001/009"]) == 1  # one that gives no gray
    said = capsys.readouterr().out
    assert "SANE's name  epson2:libusb:001:009" in said and "! It has no mode Gray" in said
    assert "It gives no 16 bits a sample: set depth to one of 8." in said
    offered["mode"] = Offered("mode", ("Gray", "Color"))
    assert main(["device", "probe", "/dev/bus/usb/001/009"]) == 0
