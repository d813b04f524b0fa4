"""The film runner with SANE's own test backend: a film, none, a stopped digitizer, cancelling, and memory."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless

from appliance.acquire.drivers import film_options_from
from appliance.acquire.films import FilmRunner
from appliance.acquire.gate import ExamGate, WrongExamError
from appliance.acquire.keeping import ObjectKeeper
from appliance.acquire.runner import State
from appliance.base.clock import SystemClock
from appliance.base.errors import ApplianceError
from appliance.base.jpeg_ls import decode_jpeg_ls
from appliance.config.schema import Box
from appliance.devices.errors import DeviceGone, DeviceTimeout, ScanCancelled
from appliance.simulator.machines.film import write_sane_configuration
from appliance.spool.tree import NoRoomError
from appliance.spool.writer import ObjectWriter
from tests.acquire.conftest import Room
from tests.acquire.world import begin_closing, errors_of, fragments_of, make_film, open_exam_of
from tests.peers import DEADLINE, wait_until

CLOCK = SystemClock()


class Digitizer:
    """A runner in its loop, and scans pressed in threads as the API does."""

    def __init__(self, room: Room, directory: Path, box: Box | None = None, **changes: object) -> None:
        self.room = room
        device = make_film(**changes)
        write_sane_configuration(directory / "machines" / "sane")
        room.gate = ExamGate(room.facts, CLOCK)
        keeper = ObjectKeeper(room.spool, box or room.box, device, CLOCK)
        options = film_options_from(device, directory)
        assert options.config_directory == directory / "machines" / "sane"
        self.runner = FilmRunner(device, options, keeper, room.gate, CLOCK, room.findings)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.runner.run, args=(self._stop, lambda: None), daemon=True)
        self._thread.start()
        self._pool = ThreadPoolExecutor()

    def press(self, exam_id: str | None = None) -> Future[object]:
        return self._pool.submit(self.runner.scan_film, exam_id)

    def wait_for_data(self) -> None:
        wait_until(lambda: (self.runner.progress() or {}).get("done"), "pixels arrive")

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()

    def close(self) -> None:
        self.stop()
        self._pool.shutdown()
        assert self.room.is_idle(), "a ticket was left over"
        assert self.room.temporaries() == []
        assert children() == []
        assert self.runner.state is State.IDLE


def children() -> list[int]:
    """scanimage's processes that belong to this one and live."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
        except (OSError, ValueError):
            continue
        fields = rest.split()
        if name == "scanimage" and fields[1] == str(os.getpid()) and fields[0] != "Z":
            found.append(int(entry.name))
    return found


@pytest.fixture
def digitizer(room: Room, tmp_path: Path) -> Iterator[Digitizer]:
    made = Digitizer(room, tmp_path)
    yield made
    made.close()


@pytest.fixture
def slow(room: Room, tmp_path: Path) -> Iterator[Digitizer]:
    """A digitizer that takes twenty seconds for a film."""
    delay = {"read-delay": "yes", "read-delay-duration": "100000", "read-limit": "yes", "read-limit-size": "65536"}
    made = Digitizer(room, tmp_path, options=delay, resolution_dpi=600, stall_seconds=2.0)
    yield made
    made.close()


def test_ok__a_film(digitizer: Digitizer) -> None:
    exam = open_exam_of(digitizer.room.facts)
    assert digitizer.runner.sentence() == "Ready: put a film in and press Scan film."
    saved = digitizer.runner.scan_film(exam.exam_id)
    path = digitizer.room.only_object("film", exam.exam_id)
    assert errors_of(path) == []
    read = dcmread(path)
    assert (saved.kind, saved.frames, saved.bytes) == ("film", 1, path.stat().st_size)
    assert (read.Columns, read.Rows, read.BitsStored) == (295, 354, 16)  # 100 × 120 mm at 75 dpi
    assert [float(one) for one in read.NominalScannedPixelSpacing] == pytest.approx([25.4 / 75] * 2, abs=1e-6)
    assert read.ConversionType == "DF"
    assert read.PixelData == expected_pixels(digitizer)
    thumbnail = Image.open(io.BytesIO(digitizer.runner.thumbnails.get(saved.sop_instance_uid) or b""))
    assert thumbnail.size == (99, 118)
    assert digitizer.runner.progress() is None


def expected_pixels(digitizer: Digitizer) -> bytes:
    """The same film by scanimage itself, turned to little-endian."""
    options = digitizer.runner._options
    environment = {**os.environ, "SANE_CONFIG_DIR": str(options.config_directory)}
    run = subprocess.run(options.argv(), env=environment, capture_output=True, timeout=60, check=True)
    data = run.stdout[-295 * 354 * 2 :]
    swapped = bytearray(len(data))
    swapped[0::2], swapped[1::2] = data[1::2], data[0::2]
    return bytes(swapped)


def test_fail__a_digitizer_that_stands_still(slow: Digitizer) -> None:
    exam = open_exam_of(slow.room.facts)
    pressed = slow.press(exam.exam_id)
    slow.wait_for_data()
    (child,) = children()
    os.kill(child, signal.SIGSTOP)
    before = time.monotonic()
    with pytest.raises(DeviceTimeout, match=r"The film stood still for 2 s; the scan was stopped\."):
        pressed.result(DEADLINE)
    assert time.monotonic() - before < 20
    assert "stood still" in slow.room.finding("scan_failed")
    assert slow.room.objects("film", exam.exam_id) == [] == slow.room.temporaries()
    assert children() == []


def test_ok__progress_and_cancel(slow: Digitizer) -> None:
    pressed = slow.press()
    slow.wait_for_data()
    progress = slow.runner.progress()
    assert progress is not None
    assert progress["total"] == 2362 * 2834 * 2 and 0 < progress["done"] < progress["total"]
    assert progress["unit"] == "bytes"
    assert slow.runner.state is State.SCANNING
    assert slow.runner.sentence().startswith("Scanning a film, ")
    with pytest.raises(ApplianceError, match="being scanned already"):
        slow.runner.scan_film(None)
    assert slow.runner.state is State.SCANNING
    slow.runner.cancel()
    with pytest.raises(ScanCancelled):
        pressed.result(DEADLINE)
    assert slow.room.finding("scan_failed") == ""  # a person wanted it
    slow.runner.cancel()  # pressed twice; the next scan knows nothing of it
    again = slow.press()
    slow.wait_for_data()
    slow.runner.cancel()
    with pytest.raises(ScanCancelled):
        again.result(DEADLINE)


def test_ok__stopping_the_process_lets_go_of_the_digitizer(slow: Digitizer) -> None:
    pressed = slow.press()
    slow.wait_for_data()
    slow.stop()
    assert children() == [] == slow.room.temporaries()  # when the loop has ended, not some time later
    with pytest.raises(ScanCancelled):
        pressed.result(DEADLINE)
    with pytest.raises(ScanCancelled):
        slow.runner.scan_film(None)


def test_fail__no_digitizer(room: Room, tmp_path: Path) -> None:
    made = Digitizer(room, tmp_path, sane_device="test:7")
    with pytest.raises(DeviceGone, match="is not there"):
        made.runner.scan_film(None)
    assert "is not there" in room.finding("scan_failed")
    made.runner._options = replace(made.runner._options, device="test:0")
    made.runner.scan_film(None)
    assert room.finding("scan_failed") == ""
    made.close()


def test_fail__the_wrong_exam_scans_nothing(digitizer: Digitizer) -> None:
    exam = open_exam_of(digitizer.room.facts)
    begin_closing(digitizer.room.facts, exam)
    with pytest.raises(WrongExamError):
        digitizer.runner.scan_film(exam.exam_id)
    assert digitizer.room.finding("scan_failed") == ""  # who pressed was told; nothing is wrong with the digitizer


def test_fail__a_device_that_the_exam_does_not_know(room: Room, tmp_path: Path) -> None:
    open_exam_of(room.facts)
    made = Digitizer(room, tmp_path, modality="CR")
    with pytest.raises(ApplianceError, match="set up after this exam was opened"):
        made.runner.scan_film(None)
    made.close()


def test_fail__no_room(room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Digitizer(room, tmp_path, box=Box(reserve_bytes=1 << 60))
    monkeypatch.setattr("appliance.acquire.films.scan_film", lambda *_, **__: pytest.fail("the film was taken in"))
    with pytest.raises(NoRoomError):
        made.runner.scan_film(None)
    assert "flash is full" in room.finding("scan_failed")
    made.close()


def test_fail__flash_fails_in_the_middle(digitizer: Digitizer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ObjectWriter, "append", fail)
    with pytest.raises(ApplianceError, match=r"was not saved: the flash is full\."):
        digitizer.runner.scan_film(None)
    assert "was not saved" in digitizer.room.finding("scan_failed")


@pytest.mark.parametrize(("compression", "times"), [("none", 1.5), ("jpeg-ls", 4.0)])
def test_ok__a_film_of_42_mb_takes_so_many_times_its_size(tmp_path: Path, compression: str, times: float) -> None:
    """In a process of its own, as the kernel counts: streamed it takes next to nothing, compressed it is held twice."""
    command = [sys.executable, "-m", "tests.acquire.film_memory", tmp_path, compression]
    told = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=DEADLINE * 4).stdout)
    assert told["bytes"] > 42_000_000
    assert told["peak"] - told["idle"] < times * 42_000_000


def test_fail__what_the_digitizer_does_not_have_is_said_before_a_film_is_fed(room: Room, tmp_path: Path) -> None:
    made = Digitizer(room, tmp_path, source="Drum")
    with pytest.raises(ApplianceError, match="The film cannot be set to source Drum"):
        made.runner.scan_film(None)
    assert room.finding("scan_failed") == "The film cannot be set to source Drum."
    made.close()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ("1.2.840.10008.5.1.4.1.1.7.3", "MONOCHROME2", 16)),
        ({"depth": 8}, ("1.2.840.10008.5.1.4.1.1.7.2", "MONOCHROME2", 8)),
        ({"photometric": "MONOCHROME1"}, ("1.2.840.10008.5.1.4.1.1.7", "MONOCHROME1", 16)),
        ({"photometric": "MONOCHROME1", "depth": 8}, ("1.2.840.10008.5.1.4.1.1.7", "MONOCHROME1", 8)),
    ],
)
def test_ok__a_film_as_it_is_configured(
    room: Room, tmp_path: Path, changes: dict[str, object], said: tuple[str, str, int]
) -> None:
    made = Digitizer(room, tmp_path, options={"test-picture": "Grid"}, **changes)
    saved = made.runner.scan_film(None)
    path = room.only_object("film", None)
    assert errors_of(path) == []
    stored = dcmread(path)
    assert (stored.SOPClassUID, stored.PhotometricInterpretation, stored.BitsStored) == said
    assert [float(one) for one in stored.NominalScannedPixelSpacing] == pytest.approx([25.4 / 75] * 2, abs=1e-6)
    assert len(stored.PixelData) == 295 * 354 * (1 if said[2] == 8 else 2)
    thumbnail = made.runner.thumbnails.get(saved.sop_instance_uid) or b""
    corner, shown = stored.pixel_array[5, 5], Image.open(io.BytesIO(thumbnail))
    assert corner  # the grid begins with a white square
    assert (shown.getpixel((2, 2)) > 128) is (said[1] == "MONOCHROME2")
    made.close()


def test_ok__a_film_in_optical_densities(room: Room, tmp_path: Path) -> None:
    made = Digitizer(room, tmp_path, density_steps=((100, 3.0), (30000, 1.5), (65000, 0.1)))
    made.runner.scan_film(None)
    stored = dcmread(room.only_object("film", None))
    assert stored.PhotometricInterpretation == "MONOCHROME1"
    assert stored.ModalityLUTSequence[0].ModalityLUTType == "OD"
    assert stored.PixelData == expected_pixels(made)  # as the digitizer gave them
    made.close()


def test_ok__a_film_in_jpeg_ls(room: Room, tmp_path: Path) -> None:
    made = Digitizer(room, tmp_path, compression="jpeg-ls", options={"test-picture": "Grid"})
    saved = made.runner.scan_film(None)
    path = room.only_object("film", None)
    assert errors_of(path) == []
    stored = dcmread(path)
    assert stored.file_meta.TransferSyntaxUID == JPEGLSLossless
    assert (stored.LossyImageCompression, stored.BitsStored) == ("00", 16)
    (fragment,) = fragments_of(path)
    assert bytes(decode_jpeg_ls(fragment, 295, 354, 16)) == expected_pixels(made)
    assert saved.bytes == path.stat().st_size < 295 * 354
    assert made.runner.thumbnails.get(saved.sop_instance_uid)
    made.close()


def test_ok__a_film_that_does_not_become_smaller_is_not_compressed(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.acquire.films.encode_jpeg_ls", lambda *_: None)
    made = Digitizer(room, tmp_path, compression="jpeg-ls")
    made.runner.scan_film(None)
    stored = dcmread(room.only_object("film", None))
    assert (stored.file_meta.TransferSyntaxUID, stored.PixelData) == (ExplicitVRLittleEndian, expected_pixels(made))
    made.close()
