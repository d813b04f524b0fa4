"""The main job in the box's own image under its own units: worklist, serial image, store, storage commitment."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from appliance.services.orthanc import write_worklist
from tests.acquire.world import picture
from tests.peers import Orthanc, running, start_orthanc
from tests.ports import pick_free_port
from tests.vm.box import HOST, LISTENER, STATE, Box
from tests.vm.frozen import Frozen, thawed
from tests.vm.serial_adapter import SerialAdapter, plugged
from tests.vm.vivid import RULE as VIVID_RULE
from tests.vm.vivid import Vivid

SERIAL = "FT4X1ABC"
RULES = f'SUBSYSTEM=="tty", ENV{{ID_SERIAL_SHORT}}=="{SERIAL}", ENV{{APPLIANCE_NAME}}="ultrasound"\n'
CONFIGURATION = f"""
[box]
name = "bridge"
ae_title = "BRIDGE"
reserve_bytes = 1000000
[listener]
host = "0.0.0.0"
port = {LISTENER}
[[worklist]]
name = "ris"
ae_title = "ORTHANC"
host = "{HOST}"
port = {{port}}
[[destinations]]
name = "archive"
ae_title = "ORTHANC"
host = "{HOST}"
port = {{port}}
retry_first_seconds = 1
retry_longest_seconds = 5
[[devices]]
name = "ultrasound"
driver = "xmodem"
title = "Ultrasound"
modality = "US"
line = "/dev/appliance/ultrasound"
gap_seconds = 60
"""
_TWO_MORE = """
[[devices]]
name = "scope"
driver = "grabber"
title = "Scope"
modality = "ES"
source = "/dev/appliance/scope"
formats = ["YUYV"]
size = [320, 180]
frames_per_second = 5.0
frame_seconds = 10.0
[[devices]]
name = "film"
driver = "sane"
title = "Film digitizer"
modality = "RG"
sane_device = "test:0"
sane_config_directory = "/run/sane"
width_mm = 60.0
height_mm = 80.0
stall_seconds = 300.0
"""
# SANE's test backend has no device; any that is plugged in stands for it.
_FILM_SERIAL = "FD16"
_FILM_RULE = f'SUBSYSTEM=="usb", ENV{{ID_SERIAL_SHORT}}=="{_FILM_SERIAL}", ENV{{APPLIANCE_NAME}}="film"\n'
ACQUIRE = "appliance-acquire@ultrasound.service"
SECONDS = 1800.0


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """Orthanc with the day's schedule; it reports to a port of this machine that leads into the guest."""
    directory = tmp_path_factory.mktemp("hospital")
    with running(start_orthanc(directory, box_port=pick_free_port())) as archive:
        write_worklist(directory / "worklists", date.today(), "BRIDGE")
        yield archive


@pytest.fixture
def box(configured: Callable[[str, str], Frozen], hospital: Orthanc) -> Iterator[Box]:
    """Configured for three machines, none of which is plugged in yet."""
    site = CONFIGURATION.format(port=hospital.port) + _TWO_MORE
    ready = configured(site, RULES + VIVID_RULE + _FILM_RULE)
    with thawed(ready, {report_port(hospital): LISTENER}) as guest:
        made = Box(guest)
        made.trust_clock()
        yield made
        assert "Traceback" not in made.journal()


def test_ok__a_serial_image_is_committed(box: Box, hospital: Orthanc, tmp_path: Path) -> None:
    guest, before = box.guest, set(hospital.stored())
    with plugged(guest, SERIAL) as adapter:
        box.wait_active(ACQUIRE)
        exam = box.open_exam()
        send_image(adapter, tmp_path / "image.jpg")
        (name,) = box.objects(exam, "ultrasound")
        box.close_exam(exam)
        guest.shell.wait_until(f"test -e {STATE}/settled/{exam}.json", SECONDS)
        (kept,) = guest.shell.run(f"find {STATE}/kept -name '{name}'").split()
        data = guest.shell.read_file(kept)
    stored = hospital.stored()
    (uid,) = set(stored) - before
    assert name.startswith(f"{uid}~")
    assert _data_set(hospital.file(stored[uid])) == _data_set(data)
    guest.shell.wait_until(f"test $(systemctl is-active {ACQUIRE}) = inactive")
    assert guest.shell.run("systemctl list-units --failed --plain --no-legend") == ""


def test_ok__three_machines_images_of_one_exam_are_committed(box: Box, hospital: Orthanc, tmp_path: Path) -> None:
    """A serial line, video and a film digitizer, each in a process of its own."""
    guest, before = box.guest, set(hospital.stored())
    guest.shell.run("mkdir /run/sane; echo test > /run/sane/dll.conf")
    guest.shell.write_file("/run/sane/test.conf", b"number_of_devices 1\nmode Gray\ndepth 16\n")
    guest.monitor.execute("device_add", driver="usb-mouse", id="film", bus="usb.0", serial=_FILM_SERIAL)
    Vivid(guest)
    with plugged(guest, SERIAL) as adapter:
        box.wait_active(ACQUIRE, "appliance-acquire@scope.service", "appliance-acquire@film.service")
        exam = box.open_exam()
        send_image(adapter, tmp_path / "image.jpg")
        for _ in range(2):
            box.ask("acquire-scope", "POST", "/still", {"exam_id": exam})
        box.ask("acquire-film", "POST", "/film", {"exam_id": exam})
        saved = [name for device in ("ultrasound", "scope", "film") for name in box.objects(exam, device)]
        assert len(saved) == 4
        box.close_exam(exam)
        guest.shell.wait_until(f"test -e {STATE}/settled/{exam}.json", SECONDS)
    assert set(hospital.stored()) - before == {name.partition("~")[0] for name in saved}


def test_ok__a_transfer_that_is_pulled_out_leaves_no_object_and_the_next_one_comes(box: Box, tmp_path: Path) -> None:
    guest = box.guest
    with plugged(guest, SERIAL) as adapter:
        box.wait_active(ACQUIRE)
        exam = box.open_exam()
        adapter.line.settimeout(SECONDS)
        assert adapter.line.recv(1) in (b"C", b"\x15")  # the receiver asks for the first block
        # Half of a block of 1 KiB (STX, number, complement).
        adapter.line.sendall(b"\x02\x01\xfe" + bytes(512))
        adapter.unplug()
    guest.shell.wait_until(f"test $(systemctl is-active {ACQUIRE}) = inactive", SECONDS)
    assert box.objects(exam, "ultrasound") == []
    # Plugged in again the same machine goes on.
    with plugged(guest, SERIAL) as adapter:
        box.wait_active(ACQUIRE)
        send_image(adapter, tmp_path / "image.jpg")
        assert len(box.objects(exam, "ultrasound")) == 1


def send_image(adapter: SerialAdapter, file: Path, number: int = 1) -> None:
    """Press Print: lrzsz's sender at the other end of the line, until it has its acknowledgement."""
    file.write_bytes(picture(number, (64, 48)))
    # What the receiver asked before belongs to no block of this file.
    adapter.line.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while adapter.line.recv(4096):
            pass
    adapter.line.setblocking(True)
    subprocess.run(
        ["/usr/bin/sx", "-q", "-k", str(file)],
        stdin=adapter.line.fileno(),
        stdout=adapter.line.fileno(),
        check=True,
        timeout=SECONDS,
    )


def report_port(archive: Orthanc) -> int:
    return int(archive.ask("/modalities/bridge/configuration")["Port"])


def _data_set(data: bytes) -> bytes:
    """The file without its meta information, which the receiver writes anew (PS3.10 7.1)."""
    return data[144 + int.from_bytes(data[140:144], "little") :]
