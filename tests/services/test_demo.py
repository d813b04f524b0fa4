"""The demo by hand: used through its panel, stopped by Ctrl-C, started again; and what goes wrong at machines."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect, sync_playwright
from pydicom import Dataset

from appliance.base.asking import Asker, Refused, Unreachable
from appliance.base.errors import ApplianceError
from appliance.exam.facts import ExamFacts
from tests.peers import wait_until
from tests.services.demo_box import Demo, logs_of, prepare_site, running_demo, start_demo

DEVICES = "/api/devices"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One demo for all tests that leave it as they found it, with a digitizer whose patience is short."""
    directory = tmp_path_factory.mktemp("by-hand") / "demo"
    # The demo writes its own site at the first start; here a person has changed some values of it.
    site = prepare_site(directory)
    site.write_text(
        site.read_text()
        .replace("stall_seconds = 30.0", "stall_seconds = 5.0")
        .replace("gap_seconds = 10.0", "gap_seconds = 3.0")
        .replace("height_mm = 250.0", "height_mm = 350.0")
        .replace("resolution_dpi = 150", "resolution_dpi = 300")
    )
    with running_demo(directory) as running:
        assert running.panel
        yield running


@pytest.fixture
def exam(demo: Demo) -> Iterator[str]:
    """An exam on a scheduled entry; abandoned at the end if it is still open."""
    console = demo.console()
    exam_id = open_exam(console)
    yield exam_id
    current = console.ask("GET", "/api/exam", seconds=30)["exam"]
    if current is not None and current["state"] == "open":
        body = {"exam_id": current["exam_id"], "outcome": "COMPLETED"}
        console.ask("POST", "/api/exam/close", body, seconds=130)


def open_exam(console: Asker) -> str:
    def items() -> list[dict[str, Any]]:
        console.ask("POST", "/api/worklist/refresh", {}, seconds=30)
        return [item for item in console.ask("GET", "/api/worklist", seconds=30)["items"] if not item["examined"]]

    wait_until(items, "the worklist has entries")
    return str(console.ask("POST", "/api/exams", {"key": items()[0]["key"]}, seconds=30)["exam_id"])


def status_of(console: Asker, device: str) -> dict[str, Any]:
    devices = console.ask("GET", "/api/exam", seconds=30)["devices"]
    return dict(next(one for one in devices if one["device"] == device))


def finding_of(console: Asker, device: str, code: str) -> str:
    """The sentence of a finding, or nothing."""
    for finding in status_of(console, device).get("findings", ()):
        if finding["code"] == code:
            return str(finding["sentence"])
    return ""


def captured_by(console: Asker, device: str) -> list[str]:
    captured = console.ask("GET", "/api/exam", seconds=30)["captured"]
    return [one["sop_instance_uid"] for one in captured if one["device"] == device]


def take_still(console: Asker, exam_id: str) -> str:
    """A still, as soon as there is a picture."""
    taken: list[str] = []

    def is_taken() -> bool:
        try:
            body = {"exam_id": exam_id}
            taken.append(console.ask("POST", f"{DEVICES}/endoscope/still", body, seconds=60)["sop_instance_uid"])
        except ApplianceError:
            return False
        return True

    wait_until(is_taken, "a still is saved", 60)
    return taken[0]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("truncated", "broke off"),
        ("abort", "cancel"),
        ("not-an-image", "no image"),
        ("too-large", "pixels"),
    ],
)
def test_fail__a_bad_transfer_is_said_and_the_exam_goes_on(demo: Demo, exam: str, fault: str, words: str) -> None:
    console, machines = demo.console(), demo.machines()
    before = captured_by(console, "ultrasound")
    answer = machines.ask("POST", "/ultrasound/print", {"fault": fault}, seconds=120)
    assert not answer["acknowledged"]
    wait_until(lambda: finding_of(console, "ultrasound", "transfer_failed"), "the panel's sentence")
    sentence = finding_of(console, "ultrasound", "transfer_failed")
    assert words in sentence
    assert sentence in logs_of(demo.directory)
    assert captured_by(console, "ultrasound") == before

    good = machines.ask("POST", "/ultrasound/print", {"protocol": "1k"}, seconds=120)
    assert good["acknowledged"]
    wait_until(lambda: len(captured_by(console, "ultrasound")) == len(before) + 1, "the next image is saved")
    wait_until(lambda: not finding_of(console, "ultrasound", "transfer_failed"), "the finding goes away")


@pytest.mark.parametrize(
    ("fault", "states"),
    [("refuse-association", {"pending"}), ("abort-in-store=1", {"pending", "storing"}), ("refuse-store", {"refused"})],
)
def test_fail__what_the_archive_does_not_take_stays_saved_and_gets_there_later(
    demo: Demo, exam: str, fault: str, states: set[str]
) -> None:
    """The association, the transfer, or the object itself: the last one is tried again when a person says so."""
    console = demo.console()
    still = take_still(console, exam)
    faults = demo.directory / "hospital" / "faults"
    faults.write_text(f"{fault}\n")
    try:
        console.ask("POST", "/api/exam/close", {"exam_id": exam, "outcome": "COMPLETED"}, seconds=130)

        def told() -> dict[str, Any]:
            objects = console.ask("GET", f"/api/queue?exam_id={exam}", seconds=30)["objects"]
            return dict(objects[0]["destinations"]["archive"]) if objects else {"state": "", "attempts": 0, "said": ""}

        def trouble() -> str:
            (destination,) = console.ask("GET", "/api/status", seconds=30)["destinations"]
            return str(told()["said"] or destination["trouble"])

        wait_until(lambda: told()["state"] in states and trouble(), "the archive's words", 60)
        assert list(demo.directory.glob(f"outbox/{still}~*.dcm"))
    finally:
        faults.unlink()
    if states == {"refused"}:
        assert console.ask("POST", "/api/queue/retry", {}, seconds=30)["retried"] == 1
    wait_until(lambda: told()["state"] == "committed", "the object is committed", 90)


def test_fail__torn_frames_are_left_out_and_said(demo: Demo, exam: str) -> None:
    console, machines = demo.console(), demo.machines()
    take_still(console, exam)
    machines.ask("POST", "/endoscope/fault", {"fault": "torn", "frames": 20}, seconds=30)
    wait_until(lambda: "end marker" in finding_of(console, "endoscope", "bad_frame"), "the panel's sentence")
    take_still(console, exam)
    wait_until(lambda: not finding_of(console, "endoscope", "bad_frame"), "good frames end the finding", 60)


def test_fail__no_signal_is_said_and_heals(demo: Demo, exam: str) -> None:
    console, machines = demo.console(), demo.machines()
    take_still(console, exam)
    machines.ask("POST", "/endoscope/fault", {"fault": "no-signal", "frames": 100_000}, seconds=30)
    wait_until(lambda: status_of(console, "endoscope")["state"] == "no signal", "no signal is noticed", 60)
    with pytest.raises(Refused, match="No picture"):
        console.ask("POST", f"{DEVICES}/endoscope/still", {"exam_id": exam}, seconds=60)
    machines.ask("POST", "/endoscope/fault", {"fault": None}, seconds=30)
    take_still(console, exam)


def test_fail__a_digitizer_that_hangs_is_stopped_and_said(demo: Demo, exam: str) -> None:
    """scanimage is stopped by SIGSTOP in the middle: within its patience the box kills it and says so."""
    console = demo.console()
    acquire = demo.pid_of("acquire-film")

    def scanning() -> list[int]:
        return [pid for pid in children_of(acquire) if "scanimage" in command_of(pid)]

    before = captured_by(console, "film")
    failed: list[str] = []
    for _ in range(20):  # a small film may be through before it is caught: then there is one film more
        failed.clear()
        outcome = FilmScan(demo, exam, failed)
        wait_until(lambda outcome=outcome: scanning() or outcome.is_over(), "the scan begins")
        for pid in scanning():
            os.kill(pid, signal.SIGSTOP)
        wait_until(outcome.is_over, "the scan ends", 60)
        if failed:
            break
        before = captured_by(console, "film")
    assert "stood still" in failed[0]
    assert "stood still" in finding_of(console, "film", "scan_failed")
    assert not scanning()
    assert captured_by(console, "film") == before
    assert not list(demo.directory.glob("captured/film/*/.part-*"))
    console.ask("POST", f"{DEVICES}/film/film", {"exam_id": exam}, seconds=120)
    assert finding_of(console, "film", "scan_failed") == ""


class FilmScan:
    """POST of a film in a thread of its own."""

    def __init__(self, demo: Demo, exam_id: str, failed: list[str]) -> None:
        def scan() -> None:
            try:
                demo.console().ask("POST", f"{DEVICES}/film/film", {"exam_id": exam_id}, seconds=120)
            except ApplianceError as error:
                failed.append(error.sentence)

        self._thread = threading.Thread(target=scan, daemon=True)
        self._thread.start()

    def is_over(self) -> bool:
        return not self._thread.is_alive()


def children_of(parent: int | None) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == parent:
                found.append(int(entry.name))
    return found


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def test_ok__the_whole_job_in_a_browser(demo: Demo) -> None:
    """What the README's first page says, tapped in Chromium against the real services."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
        )
        page = browser.new_page(viewport={"width": 1024, "height": 600}, has_touch=True)
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        page.goto(demo.panel)

        def tap(test_id: str) -> None:
            page.get_by_test_id(test_id).first.tap()

        def device(name: str) -> None:
            page.locator(f"[data-testid=device-tab][data-device={name}]").tap()

        row = page.locator("[data-testid=worklist-row][data-examined=false]").first
        patient = row.get_attribute("data-patient-id")
        row.tap()
        expect(page.get_by_test_id("confirm-patient-id")).to_contain_text(str(patient))
        tap("open-exam")
        strip = page.get_by_test_id("strip-item")
        device("endoscope")
        expect(page.get_by_test_id("preview")).to_have_attribute("data-frames", re.compile(r"^([5-9]|\d\d+)$"))
        tap("capture")
        expect(strip).to_have_count(1)
        tap("record")
        expect(page.get_by_test_id("stop")).to_be_visible()
        expect(page.get_by_test_id("device-sentence").first).to_contain_text(re.compile(r"[2-9] s"))
        tap("stop")
        expect(strip).to_have_count(2)
        device("film")
        tap("scan")
        expect(strip).to_have_count(3)
        device("ultrasound")
        demo.machines().ask("POST", "/ultrasound/print", {"protocol": "1k"}, seconds=120)
        expect(strip).to_have_count(4)
        expect(page.locator("[data-testid=strip-item] [data-testid=saved]")).to_have_count(4)
        expect(page.get_by_test_id("patient-banner")).to_contain_text(str(patient))
        tap("end-exam")
        tap("confirm-end")
        expect(page.locator("body")).to_have_attribute("data-screen", "worklist")
        tap("show-queue")
        ended = page.get_by_test_id("queue-exam").first
        expect(ended.locator("[data-testid=committed][data-yes=true]")).to_have_count(4)
        expect(ended.locator("[data-testid=step][data-state=completed]")).to_have_count(3)
        browser.close()


def test_ok__stopped_in_an_exam_and_started_again_it_goes_on(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    first = start_demo(directory)
    try:
        panel = first.panel
        assert httpx.get(panel, timeout=20, follow_redirects=True).status_code == 200
        assert str(directory) in first.text()
        exam_id = open_exam(first.console())
        still = take_still(first.console(), exam_id)
        children = children_of(first.process.pid)
        assert len(children) >= 7
    finally:
        assert first.stop() == 0
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]

    with running_demo(directory) as second:
        assert second.panel
        console = second.console()
        wait_until(lambda: console.ask("GET", "/api/exam", seconds=30)["exam"], "the exam is offered again")
        assert console.ask("GET", "/api/exam")["exam"]["exam_id"] == exam_id
        assert captured_by(console, "endoscope") == [still]
        third = start_demo(directory)
        assert third.wait(60) == 1  # a second demo in the same directory
        assert "is running already" in third.text()
        console.ask("POST", "/api/exam/close", {"exam_id": exam_id, "outcome": "COMPLETED"}, seconds=130)

        def is_committed() -> bool:
            (one,) = console.ask("GET", f"/api/queue?exam_id={exam_id}", seconds=30)["objects"] or [None]
            return one is not None and {told["state"] for told in one["destinations"].values()} == {"committed"}

        wait_until(is_committed, "the still of the first run is committed", 60)


def test_ok__killed_without_a_word_it_leaves_no_process_behind(tmp_path: Path) -> None:
    demo = start_demo(tmp_path / "demo")
    assert demo.panel
    children = children_of(demo.process.pid)
    assert children
    demo.process.kill()
    demo.process.wait(30)
    wait_until(lambda: not [pid for pid in children if is_running(pid)], "all processes of the demo end", 60)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_ok__each_process_ends_by_itself_within_seconds(demo: Demo) -> None:
    """systemd stops services in any order: none may wait for another one."""
    for service in ("console", "acquire-film", "forward", "acquire-endoscope"):
        pid = demo.pid_of(service)
        assert pid is not None
        began = time.monotonic()
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda pid=pid: not is_running(pid), f"{service} ends", 20)
        assert time.monotonic() - began < 12, service
        wait_until(lambda service=service, pid=pid: demo.pid_of(service) not in (None, pid), f"{service} is restarted")


def test_ok__unscheduled_appended_and_on_the_wrong_entry(demo: Demo) -> None:
    """Four exams through every process: what the hospital keeps of them says what kind each was."""
    console = demo.console()

    def examine(chosen: dict[str, Any], outcome: str = "COMPLETED", reason: str = "", stills: int = 1) -> str:
        exam_id = str(console.ask("POST", "/api/exams", chosen, seconds=30)["exam_id"])
        for _ in range(stills):
            take_still(console, exam_id)
        body = {"exam_id": exam_id, "outcome": outcome, "reason": reason}
        console.ask("POST", "/api/exam/close", body, seconds=130)
        return exam_id

    def entries() -> list[dict[str, Any]]:
        console.ask("POST", "/api/worklist/refresh", {}, seconds=30)
        return [item for item in console.ask("GET", "/api/worklist", seconds=30)["items"] if not item["examined"]]

    def has_entries() -> bool:
        try:
            return bool(entries())
        except Unreachable:  # forward may just have been restarted
            return False

    wait_until(has_entries, "the worklist has entries", 60)
    entry = {"keys": [entries()[-1]["key"]]}
    patient = {"name": "Núñez^Íñigo", "patient_id": "EMERGENCY-1", "birth_date": "19750801", "sex": "M"}
    unscheduled = examine({"patient": patient})
    first, second = examine(entry), examine(entry)
    empty = examine(entry, "DISCONTINUED", "110514", stills=0)
    wrong = examine(entry, "DISCONTINUED", "110514")

    facts = ExamFacts(demo.paths.state / "exams")
    exams = {exam_id: facts.exam(exam_id) for exam_id in (unscheduled, first, second, empty, wrong)}
    uids = {exam_id: exam.step_of("ES").sop_instance_uid for exam_id, exam in exams.items() if exam is not None}
    studies = {exam.study_instance_uid for exam in exams.values() if exam is not None}
    assert len(studies) == 2  # one of the unscheduled patient, one to which the others were added

    def told(exam_id: str) -> Dataset | None:
        path = demo.directory / "hospital" / "steps" / f"{uids[exam_id]}.json"
        step = Dataset.from_json(path.read_text(encoding="utf-8")) if path.exists() else None
        return step if step is not None and step.PerformedProcedureStepStatus != "IN PROGRESS" else None

    wait_until(lambda: all(told(one) for one in (unscheduled, first, second, wrong)), "every step has ended", 60)
    assert told(empty) is None and not (demo.directory / "hospital" / "steps" / f"{uids[empty]}.json").exists()
    kept = {exam_id: told(exam_id) for exam_id in (unscheduled, first, second, wrong)}
    of_nobody = kept[unscheduled]
    assert of_nobody is not None
    assert (of_nobody.PatientName, of_nobody.PatientID) == ("Núñez^Íñigo", "EMERGENCY-1")
    (item,) = of_nobody.ScheduledStepAttributesSequence
    assert not (item.AccessionNumber or item.RequestedProcedureID or item.ScheduledProcedureStepID)
    assert len({step.PerformedProcedureStepID for step in kept.values() if step is not None}) == 4
    codes = {
        exam_id: [one.CodeValue for one in step.PerformedProcedureStepDiscontinuationReasonCodeSequence or ()]
        for exam_id, step in kept.items()
        if step is not None
    }
    assert codes == {unscheduled: [], first: [], second: [], wrong: ["110514"]}
