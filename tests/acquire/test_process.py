"""The acquire process of each driver, as it is started on the box, in front of the simulated machines."""

from __future__ import annotations

import io
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydicom import dcmread

from appliance.base.asking import Refused
from appliance.base.clock import SystemClock
from appliance.base.clock_trust import ClockTrust
from appliance.base.errors import ApplianceError
from appliance.base.findings import FindingBoard
from appliance.base.lock import ProcessLock
from appliance.base.paths import Paths
from appliance.exam.exam import Exam, open_exam
from appliance.exam.facts import ExamFacts
from appliance.services.acquire import main, make_runner, run_acquire
from appliance.spool.room import largest_capture_bytes
from appliance.spool.tree import NoRoomError, Spool
from tests.acquire.boxes import Box
from tests.acquire.world import (
    CONFIGURATION,
    START,
    begin_closing,
    close_exam,
    errors_of,
    fragments_of,
    make_configuration,
    make_item,
    open_exam_of,
)
from tests.peers import DEADLINE, wait_until

# A digitizer that takes half a minute for a film.
SLOW_FILM = (
    CONFIGURATION.replace("resolution_dpi = 75", "resolution_dpi = 600")
    + """
[devices.options]
read-delay = "yes"
read-delay-duration = "200000"
read-limit = "yes"
read-limit-size = "65536"
"""
)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """One box for all of these tests; each opens an exam of its own, and starts again what it ends."""
    made = Box(tmp_path_factory.mktemp("b"), SLOW_FILM)
    try:
        made.start_machines()
        made.start("ultrasound", "endoscope")
        yield made
    finally:
        made.close()


_numbers = iter(range(1, 60))


@pytest.fixture
def exam(box: Box) -> Iterator[Exam]:
    made = open_exam_of(box.facts, next(_numbers))
    yield made
    close_exam(box.facts, made)
    assert box.temporaries() == []


def start_clip(box: Box, exam: Exam, size: int = 3_000_000) -> str:
    """Record until `size` bytes of the clip are on flash; its UID."""
    box.wait_for_state("endoscope", "idle")
    uid = box.ask("endoscope", "POST", "/clip/start", {"exam_id": exam.exam_id})["sop_instance_uid"]

    def has_grown() -> bool:
        return any(uid in one.name and one.stat().st_size > size for one in box.temporaries())

    wait_until(has_grown, "the clip grows")
    return str(uid)


def findings(box: Box, device: str) -> dict[str, str]:
    return {one["code"]: one["sentence"] for one in box.status(device)["findings"]}


def only_object(box: Box, device: str, exam_id: str | None) -> Path:
    ((path, _),) = box.objects(device, exam_id)
    return path


def test_ok__still_and_clip(box: Box, exam: Exam) -> None:
    box.wait_for_state("endoscope", "idle")
    still = box.ask("endoscope", "POST", "/still", {"exam_id": exam.exam_id})
    ClockTrust(box.paths.clock).take_word()  # nobody had judged the clock before
    uid = start_clip(box, exam)
    assert box.status("endoscope")["state"] == "recording"
    clip = box.ask("endoscope", "POST", "/clip/stop", {"exam_id": exam.exam_id})
    assert (clip["sop_instance_uid"], clip["kind"], still["kind"]) == (uid, "clip", "still")
    for answer in (still, clip):
        path = box.spool.captured("endoscope", exam.exam_id) / answer["file_name"]
        assert errors_of(path) == []
        comments = dcmread(path, stop_before_pixels=True).get("ImageComments", "")
        assert ("dates and times may be wrong" in comments) is (answer is still)
        assert (len(fragments_of(path)), path.stat().st_size) == (answer["frames"], answer["bytes"])
        thumbnail = Image.open(io.BytesIO(box.picture("endoscope", f"/thumbnail/{answer['sop_instance_uid']}")))
        assert max(thumbnail.size) == 192
    assert Image.open(io.BytesIO(box.picture("endoscope", "/preview"))).width == 960  # half of what came: 640 at least
    assert len(box.objects("endoscope", exam.exam_id)) == 2
    assert box.status("endoscope")["captured"][-2:] == [still, clip]
    # The machine gives thirty frames a second, and what this computer missed is in the mean.
    assert 30 < float(dcmread(path).FrameTime) < 500


def test_ok__closing_ends_the_clip_and_drains(box: Box, exam: Exam) -> None:
    uid = start_clip(box, exam, 500_000)
    begin_closing(box.facts, exam)
    assert box.ask("endoscope", "POST", "/drain", {"exam_id": exam.exam_id, "seconds": 30}) == {"drained": True}
    ((_, name),) = box.objects("endoscope", exam.exam_id)
    assert name.sop_instance_uid == uid
    with pytest.raises(Refused, match="not open any more"):
        box.ask("endoscope", "POST", "/still", {"exam_id": exam.exam_id})


def test_ok__a_transfer(box: Box, exam: Exam) -> None:
    box.wait_for_state("ultrasound", "idle")
    with ThreadPoolExecutor() as pool:
        wish = {"format": "jpeg", "protocol": "1k"}
        pressed = pool.submit(box.ask, "machines", "POST", "/ultrasound/print", wish)
        box.wait_for_state("ultrasound", "receiving")
        assert pressed.result(DEADLINE)["acknowledged"] is True
    path = only_object(box, "ultrasound", exam.exam_id)
    assert errors_of(path) == []
    assert dcmread(path).pixel_array.shape == (480, 640)
    refused = box.ask("machines", "POST", "/ultrasound/print", {"protocol": "1k", "fault": "not-an-image"})
    assert refused["acknowledged"] is False
    wait_until(lambda: "transfer_failed" in findings(box, "ultrasound"), "the failure is shown")
    assert "is no image" in findings(box, "ultrasound")["transfer_failed"]
    assert len(box.objects("ultrasound", exam.exam_id)) == 1


def test_ok__killed_in_the_middle_of_a_clip_and_salvaged_at_the_next_start(box: Box, exam: Exam) -> None:
    uid = start_clip(box, exam)
    box.end("endoscope", signal.SIGKILL)
    assert box.objects("endoscope", exam.exam_id) == []
    box.start("endoscope")
    path = only_object(box, "endoscope", exam.exam_id)
    assert errors_of(path) == []
    read = dcmread(path, stop_before_pixels=True)
    assert read.SOPInstanceUID == uid
    assert read.NumberOfFrames == len(fragments_of(path)) > 10
    sentence = f"A clip was cut short by an interruption; its {read.NumberOfFrames} frames up to there are saved."
    assert findings(box, "endoscope")["interrupted"] == sentence
    box.wait_for_state("endoscope", "idle")
    box.ask("endoscope", "POST", "/still", {"exam_id": exam.exam_id})
    assert "interrupted" not in findings(box, "endoscope")


def test_ok__recover_salvages_what_no_device_is_there_for(box: Box, exam: Exam) -> None:
    """The box was switched off, the exam was ended without the device, and the grabber is not plugged in any more."""
    uid = start_clip(box, exam)
    box.end("endoscope", signal.SIGKILL)
    close_exam(box.facts, exam)
    assert box.recover() == 0
    ((path, name),) = box.objects("endoscope", None)
    assert name.sop_instance_uid == uid
    assert errors_of(path) == []
    assert box.objects("endoscope", exam.exam_id) == []
    assert "1 interrupted captures, 1 of them saved" in box.log("recover").read_text()
    path.unlink()
    box.start("endoscope")


def test_ok__recover_leaves_a_running_device_alone(box: Box, exam: Exam) -> None:
    start_clip(box, exam)
    assert box.recover() == 0
    clip = box.ask("endoscope", "POST", "/clip/stop", {})
    assert clip["frames"] > 10
    assert "The acquire process of endoscope is running already." in box.log("recover").read_text()


def test_ok__told_to_stop_in_the_middle_of_a_clip(box: Box, exam: Exam) -> None:
    uid = start_clip(box, exam)
    assert box.end("endoscope") == 0
    path = only_object(box, "endoscope", exam.exam_id)
    assert errors_of(path) == []
    assert path.name.startswith(f"{uid}~")
    box.start("endoscope")
    assert "interrupted" not in findings(box, "endoscope")


def test_ok__a_film_told_to_stop_answers_and_leaves_nothing(box: Box, exam: Exam) -> None:
    box.start("film")
    with ThreadPoolExecutor() as pool:
        pressed = pool.submit(box.ask, "film", "POST", "/film", {"exam_id": exam.exam_id})
        wait_until(lambda: (box.status("film")["progress"] or {}).get("done"), "pixels arrive")
        (scanner,) = scanners_of(box.processes["film"].pid)
        assert box.end("film") == 0
        with pytest.raises(Refused, match="was stopped"):
            pressed.result(DEADLINE)
    assert box.objects("film", exam.exam_id) == []
    assert not Path(f"/proc/{scanner}").exists()


def scanners_of(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task")
    return [int(pid) for task in children.iterdir() for pid in (task / "children").read_text().split()]


def test_ok__a_film(box: Box, exam: Exam) -> None:
    box.paths.configuration.write_text(CONFIGURATION)  # the quick digitizer
    try:
        box.start("film")
    finally:
        box.paths.configuration.write_text(SLOW_FILM)
    film = box.ask("film", "POST", "/film", {"exam_id": exam.exam_id})
    path = only_object(box, "film", exam.exam_id)
    assert (path.name, film["kind"]) == (film["file_name"], "film")
    assert errors_of(path) == []
    assert Image.open(io.BytesIO(box.picture("film", f"/thumbnail/{film['sop_instance_uid']}"))).size == (99, 118)
    assert box.end("film") == 0


def test_fail__a_second_copy_refuses_to_start(box: Box) -> None:
    assert box.spawn("second", "acquire", "endoscope").wait(DEADLINE) == 1
    assert "The acquire process of endoscope is running already." in box.log("second").read_text()
    assert box.status("endoscope")["device"] == "endoscope"  # and it took nothing from the first


def test_fail__a_second_recovery_refuses_to_start(box: Box) -> None:
    first = ProcessLock(box.paths.recover_lock, "The first")
    try:
        assert box.recover() == 1
    finally:
        first.release()
    assert "The recovery is running already." in box.log("recover").read_text()


def test_fail__what_another_device_may_need_is_left_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The film digitizer is not even running: its largest film stays free, so that it can always be scanned."""
    configuration, spool, clock = make_configuration(), Spool(tmp_path), SystemClock()
    floor = configuration.box.reserve_bytes + sum(map(largest_capture_bytes, configuration.devices))
    for device in configuration.devices:
        facts, findings = ExamFacts(spool.exams), FindingBoard()
        runner = make_runner(Paths.below(tmp_path), configuration, device, spool, facts, findings, clock)
        monkeypatch.setattr("appliance.spool.tree.free_bytes", lambda _directory: floor)
        runner.keeper.ensure_room()
        monkeypatch.setattr("appliance.spool.tree.free_bytes", lambda _directory: floor - 1)
        with pytest.raises(NoRoomError, match="flash is full"):
            runner.keeper.ensure_room()


def test_fail__no_such_device(box: Box) -> None:
    with pytest.raises(ApplianceError, match="No device is called 'nobody'") as refused:
        run_acquire(box.paths, "nobody")
    assert refused.value.suggestion == "The configuration has: ultrasound, endoscope, film."
    assert main([]) == 2


def test_ok__what_systemd_hears(box: Box, tmp_path: Path) -> None:
    """READY after the sweep, WATCHDOG from the loop that works, but not for every frame, STOPPING at the end."""
    heard: list[str] = []
    fed = "WATCHDOG=1\nSTATUS=Ready: put a film in and press Scan film."
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "n"))
        listener.settimeout(0.2)
        process = box.spawn("film", "acquire", "film", NOTIFY_SOCKET=str(tmp_path / "n"))
        over = threading.Event()

        def listen() -> None:
            while not over.is_set():
                try:
                    heard.append(listener.recv(4096).decode())
                except TimeoutError:
                    continue

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            wait_until(lambda: heard.count(fed) >= 2, "the watchdog is fed")
            process.terminate()
            assert process.wait(DEADLINE) == 0
            wait_until(lambda: "STOPPING=1" in heard, "it says that it stops")
        finally:
            over.set()
            thread.join(30)
    assert "READY=1\nSTATUS=Ready: put a film in and press Scan film." in heard
    assert heard.count(fed) < 20


def test_ok__no_log_holds_what_the_worklist_says(box: Box) -> None:
    """A date of birth that is none: pydicom would print it with its warning, into the journal for ever."""
    item = make_item()
    elements: dict[str, Any] = {**item.elements, "00100030": {"vr": "DA", "Value": ["1948-05-17"]}}
    secret = "Quetzal" + "l" * 70
    elements["00100020"] = {"vr": "LO", "Value": [secret]}
    made = open_exam(replace(item, elements=elements), make_configuration().devices, START, "20261122-093059-0000")
    assert box.facts.write(made.exam_id, "exam", made)
    try:
        box.wait_for_state("endoscope", "idle")
        box.ask("endoscope", "POST", "/still", {"exam_id": made.exam_id})
        start_clip(box, made, 500_000)
        box.end("endoscope", signal.SIGKILL)
        box.start("endoscope")
    finally:
        close_exam(box.facts, made)
    assert len(box.objects("endoscope", made.exam_id)) == 2
    for log in box.paths.state.glob("*.log"):
        text = log.read_text()
        assert "1948-05" not in text and "Quetzal" not in text, text


def test_ok__the_logs_say_what_happened(box: Box) -> None:
    """For support: by exam and UID. (That no log names the patient is looked at when the box is put away.)"""
    text = box.log("endoscope").read_text()
    for words in ("saved still 2.25.", "saved clip 2.25.", "salvage of 2.25.", "for exam 20261122-"):
        assert words in text
