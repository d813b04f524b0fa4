"""The forward process itself, against real peers in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.base.asking import Asker
from appliance.base.errors import ApplianceError
from appliance.base.paths import Paths
from appliance.config.load import load_configuration
from appliance.exam.answers import read_answer
from appliance.exam.exam import Outcome
from appliance.spool.tree import Spool
from tests.forward.hospital_job import PATIENT_ID, PATIENT_NAME, Job
from tests.peers import Peer, running, start_hospital, start_orthanc, start_storescp, wait_until
from tests.ports import pick_free_port

REPOSITORY = Path(__file__).parents[2]
DEVICES = """
[[devices]]
name = "ultrasound"
driver = "xmodem"
modality = "US"
line = "us.tty"
[[devices]]
name = "endoscope"
driver = "grabber"
modality = "ES"
source = "es.sock"
"""


class Box:
    """A box's directories, its configuration and its forward process."""

    def __init__(self, directory: Path) -> None:
        self.paths = Paths.below(directory)
        self.spool = Spool(self.paths.state)
        self.spool.make()
        self.port = pick_free_port()
        self.text = f'[listener]\nport = {self.port}\n[box]\nae_title = "BRIDGE"\n{DEVICES}'
        self.process: Peer | None = None
        self.log = directory / "forward.log"

    def add_destination(self, name: str, port: int, ae_title: str, more: str = "") -> None:
        self.text += (
            f'[[destinations]]\nname = "{name}"\nae_title = "{ae_title}"\nhost = "127.0.0.1"\nport = {port}\n'
            f"connect_seconds = 2\nanswer_seconds = 10\nretry_first_seconds = 0.3\nretry_longest_seconds = 1\n{more}\n"
        )

    def add_manager(self, port: int) -> None:
        self.text += f'[performed_step]\nae_title = "HOSPITAL"\nhost = "127.0.0.1"\nport = {port}\n'

    def add_worklist(self, port: int) -> None:
        self.text += (
            f'[[worklist]]\nname = "ris"\nae_title = "HOSPITAL"\nhost = "127.0.0.1"\nport = {port}\n'
            "every_seconds = 3600\nconnect_seconds = 2\nanswer_seconds = 10\n"
        )

    def job(self, *destinations: str, exam_id: str = "20261122-093000-0001") -> Job:
        self.write_configuration()
        return Job(self.spool, load_configuration(self.paths.configuration), destinations, exam_id)

    def write_configuration(self) -> None:
        self.paths.configuration.parent.mkdir(parents=True, exist_ok=True)
        self.paths.configuration.write_text(self.text)

    def start(self) -> None:
        self.write_configuration()
        command = [sys.executable, "-m", "appliance.services.forward"]
        environment = {"PYTHONPATH": str(REPOSITORY), **self.paths.environment()}
        self.process = Peer("forward", command, self.port, self.log, environment)
        self.process.start(self.is_answering)

    def is_answering(self) -> bool:
        try:
            self.ask("/status")
        except ApplianceError:
            return False
        return True

    def ask(self, path: str, method: str = "GET") -> dict[str, Any]:
        asker = Asker(self.paths.forward_socket, "forward")
        try:
            return asker.ask(method, path, seconds=30)
        finally:
            asker.close()

    def states(self, destination: str) -> dict[str, str]:
        objects = self.ask("/queue")["objects"]
        return {one["sop_instance_uid"]: one["destinations"][destination]["state"] for one in objects}

    def steps(self) -> dict[str, str]:
        return {one["modality"]: one["state"] for one in self.ask("/queue")["steps"]}

    def findings(self) -> set[str]:
        return {one["code"] for one in self.ask("/status")["findings"]}


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path / "box")
    yield box
    if box.process is not None:
        box.process.stop()
    said = box.log.read_text(errors="replace") if box.log.exists() else ""
    for secret in (PATIENT_ID, *PATIENT_NAME.split("^")):
        assert secret not in said


@pytest.fixture
def hospital(tmp_path: Path, box: Box) -> Iterator[Peer]:
    with running(start_hospital(tmp_path / "hospital", "--commitment-delay", "0.3", box_port=box.port)) as hospital:
        yield hospital


def hospital_steps(hospital: Peer) -> list[dict[str, Any]]:
    assert hospital.directory is not None
    return [json.loads(path.read_bytes()) for path in sorted((hospital.directory / "steps").glob("*.json"))]


def hospital_objects(hospital: Peer) -> set[str]:
    assert hospital.directory is not None
    return {path.stem for path in (hospital.directory / "objects").glob("*.dcm")}


def test_ok__the_whole_way_to_the_hospital(box: Box, hospital: Peer) -> None:
    box.add_destination("archive", hospital.port, "HOSPITAL")
    box.add_manager(hospital.port)
    box.add_worklist(hospital.port)
    job = box.job("archive")
    box.start()
    assert box.ask("/worklist/refresh", "POST")["answers"][0]["trouble"] == ""
    assert read_answer(box.paths.worklist, "ris").count >= 12
    job.capture("ultrasound")
    box.ask("/hint", "POST")
    wait_until(lambda: box.steps() == {"US": "in progress"}, "the first object makes the step begin")
    job.capture("endoscope")
    job.capture("ultrasound", size=700)
    job.close()
    job.hand_over()
    box.ask("/hint", "POST")
    wait_until(lambda: set(box.states("archive").values()) == {"committed"}, "all committed")
    wait_until(lambda: box.steps() == {"US": "completed", "ES": "completed"}, "both steps completed")
    wait_until(job.settled.exists, "the exam is settled")
    assert job.kept() == job.uids == hospital_objects(hospital)
    assert not list(box.spool.outbox.glob("*.dcm"))
    one = box.ask(f"/queue?exam_id={job.exam_id}")["objects"][0]
    assert one["patient_id"] == PATIENT_ID
    assert Path(one["path"]).exists()
    assert one["captured_at"].startswith("2026-11-22T09:30:00.25")
    assert one["destinations"]["archive"]["stored_at"] < one["destinations"]["archive"]["committed_at"]
    assert "forward ends" not in box.log.read_text()
    assert box.process and box.process.stop() == 0
    log = box.log.read_text()
    for uid in job.uids:
        assert log.count(f"object {uid} is stored at archive") == 1
        assert log.count(f"object {uid} is committed at archive") == 1
    assert log.count("forward ends") == 1


def test_ok__orthanc_stores_and_commits(box: Box, tmp_path: Path) -> None:
    with running(start_orthanc(tmp_path / "orthanc", box_port=box.port)) as orthanc:
        box.add_destination("archive", orthanc.port, "ORTHANC", "commitment_seconds = 20")
        job = box.job("archive")
        job.capture()
        job.capture(size=400)
        job.close()
        job.hand_over()
        box.start()
        wait_until(lambda: set(box.states("archive").values()) == {"committed"}, "Orthanc commits")
        assert set(orthanc.stored()) == job.uids
    wait_until(job.settled.exists, "settled; no performed-step manager is configured")
    assert box.steps() == {}


def test_ok__a_destination_that_is_down_or_without_commitment_touches_no_other(
    box: Box, hospital: Peer, tmp_path: Path
) -> None:
    with running(start_storescp(tmp_path / "plain")) as plain, socket.create_server(("127.0.0.1", 0)) as deaf:
        box.add_destination("archive", hospital.port, "HOSPITAL")
        box.add_destination("plain", plain.port, "PLAIN", "commitment = false")
        box.add_destination("gone", pick_free_port(), "GONE")
        box.add_destination("hangs", deaf.getsockname()[1], "HANGS")
        job = box.job("archive", "plain", "gone", "hangs")
        job.capture()
        job.close()
        job.hand_over()
        box.start()
        wait_until(lambda: set(box.states("archive").values()) == {"committed"}, "committed in spite of the others")
        wait_until(lambda: set(box.states("plain").values()) == {"stored_only"}, "stored only")
        wait_until(lambda: "destination-trouble" in box.findings(), "a finding on the one that is down")
        assert set(box.states("gone").values()) == {"pending"}
        assert not job.settled.exists()
        assert len(list(box.spool.outbox.glob("*.dcm"))) == 1
        status = box.ask("/status")
        assert "gone" in status["sentence"]
        assert [one["committed"] for one in status["destinations"]] == [1, 0, 0, 0]
        wait_until(
            lambda: box.ask("/queue")["objects"][0]["destinations"]["hangs"]["called_since"], "who hangs is called"
        )
        exams = box.ask(f"/exams?first={job.exam_id}&last={job.exam_id}")["exams"]
        (alike,) = exams[job.exam_id]["objects"]
        assert {"committed", "stored_only"} < set(alike["states"]) and alike["count"] == 1


def test_ok__an_archive_that_aborts_and_then_recovers(box: Box, hospital: Peer) -> None:
    assert hospital.directory is not None
    faults = hospital.directory / "faults"
    faults.write_text("abort-in-store=2\n")
    box.add_destination("archive", hospital.port, "HOSPITAL")
    job = box.job("archive")
    box.start()  # before there is anything to send: of a journal that was not there before nobody need hear
    for _ in range(5):
        job.capture()
    job.close()
    job.hand_over()
    wait_until(lambda: "destination-trouble" in box.findings(), "the abort is told")
    faults.write_text("out-of-resources\n")
    wait_until(lambda: any("A700" in one["sentence"] for one in box.ask("/status")["findings"]), "A700 is told")
    faults.write_text("")
    wait_until(lambda: set(box.states("archive").values()) == {"committed"}, "all committed at last")
    wait_until(lambda: box.findings() == set(), "no finding is left")
    assert hospital_objects(hospital) == job.uids


def test_ok__refused_objects_stay_saved_and_say_why(box: Box, hospital: Peer) -> None:
    assert hospital.directory is not None
    (hospital.directory / "faults").write_text("refuse-store\n")
    box.add_destination("archive", hospital.port, "HOSPITAL")
    job = box.job("archive")
    job.capture()
    job.close()
    job.hand_over()
    box.start()
    wait_until(lambda: set(box.states("archive").values()) == {"refused"}, "refused")
    one = box.ask("/queue")["objects"][0]
    assert "C000H" in one["destinations"]["archive"]["said"]
    assert "object-refused" in box.findings()
    assert Path(one["path"]).exists()


def test_ok__no_report_is_asked_again_and_0112_is_stored_again(box: Box, hospital: Peer) -> None:
    assert hospital.directory is not None
    faults = hospital.directory / "faults"
    faults.write_text("no-commitment\n")
    box.add_destination("archive", hospital.port, "HOSPITAL", "commitment_seconds = 1")
    job = box.job("archive")
    job.capture()
    job.close()
    job.hand_over()
    box.start()
    wait_until(lambda: box.states("archive"), "taken in")
    wait_until(
        lambda: "did not report" in box.ask("/queue")["objects"][0]["destinations"]["archive"]["said"],
        "the deadline passes",
    )
    faults.write_text("commitment-fails\n")
    wait_until(lambda: box.ask("/queue")["objects"][0]["destinations"]["archive"]["attempts"] > 1, "stored again")
    faults.write_text("")
    wait_until(lambda: set(box.states("archive").values()) == {"committed"}, "committed")


def test_ok__a_manager_that_is_down_delays_nothing_and_hears_in_order(box: Box, hospital: Peer) -> None:
    assert hospital.directory is not None
    faults = hospital.directory / "faults"
    faults.write_text("steps-down\n")
    box.add_destination("archive", hospital.port, "HOSPITAL")
    box.add_manager(hospital.port)
    job = box.job("archive")
    job.capture()
    job.close(Outcome.DISCONTINUED)
    job.hand_over()
    box.start()
    wait_until(lambda: set(box.states("archive").values()) == {"committed"}, "objects do not wait for the step")
    assert box.steps() == {"US": "due"}
    faults.write_text("")
    wait_until(lambda: box.steps() == {"US": "discontinued"}, "the manager has heard")
    wait_until(job.settled.exists, "settled")
    steps = hospital_steps(hospital)
    assert len(steps) == 1


def test_ok__killed_at_many_moments_it_finishes(box: Box, hospital: Peer) -> None:
    box.add_destination("archive", hospital.port, "HOSPITAL", "commitment_seconds = 5")
    box.add_manager(hospital.port)
    job = box.job("archive")
    for number in range(6):
        job.capture("ultrasound" if number % 2 else "endoscope", size=200 * number + 8)
    job.close()
    job.hand_over()
    for pause in (0.0, 0.1, 0.25, 0.4, 0.7):
        box.start()
        assert box.process is not None and box.process.process is not None
        try:
            box.process.process.wait(pause)
        except subprocess.TimeoutExpired:
            box.process.kill()
    box.start()
    wait_until(job.settled.exists, "settled after all")
    assert set(box.states("archive").values()) == {"committed"}
    assert box.steps() == {"US": "completed", "ES": "completed"}
    assert hospital_objects(hospital) == job.uids
    assert hospital.directory is not None
    conflicts = hospital.directory / "conflicts"
    assert not conflicts.exists() or not list(conflicts.iterdir()), "the same UID came with other bytes"
    assert len(hospital_steps(hospital)) == 2


def test_ok__a_lost_or_damaged_journal_is_rebuilt(box: Box, hospital: Peer) -> None:
    box.add_destination("archive", hospital.port, "HOSPITAL")
    box.add_manager(hospital.port)
    settled = box.job("archive")
    settled.capture()
    settled.close()
    settled.hand_over()
    box.start()
    wait_until(settled.settled.exists, "settled")
    assert box.process is not None
    box.process.stop()
    second = box.job("archive", exam_id="20261122-100000-0002")
    second.capture()
    second.close()
    second.hand_over()
    journal = box.paths.journal
    journal.write_bytes(b"SQLite format 3\x00" + b"\xff" * 5000)
    box.start()
    wait_until(second.settled.exists, "the second exam goes on from the files")
    assert (journal.parent / "damaged-1" / journal.name).exists()
    told = [one["sentence"] for one in box.ask("/status")["findings"] if one["code"] == "journal-rebuilt"]
    assert len(told) == 1 and "journal/damaged-1. 1 exam is stored" in told[0]
    states = box.states("archive")
    assert states == dict.fromkeys(settled.uids | second.uids, "committed")
    first = box.ask(f"/queue?exam_id={settled.exam_id}")["objects"][0]
    assert first["destinations"]["archive"]["attempts"] == 0, "what was settled is not stored again"
    assert Path(first["path"]).exists()


def test_ok__a_damaged_object_is_set_aside_and_the_others_go_on(box: Box, hospital: Peer) -> None:
    box.add_destination("archive", hospital.port, "HOSPITAL")
    job = box.job("archive")
    bad = job.capture()
    good = job.capture()
    job.close()
    job.hand_over()
    flip_last_bit(box.spool.outbox / bad.file_name)
    box.start()
    wait_until(lambda: box.states("archive").get(good.sop_instance_uid) == "committed", "the good one is committed")
    assert box.states("archive")[bad.sop_instance_uid] == "pending"
    assert (box.spool.quarantine / bad.file_name).exists()
    assert "object-damaged" in box.findings()
    assert not job.settled.exists()


def test_ok__what_is_damaged_while_it_waits_never_arrives(box: Box, hospital: Peer) -> None:
    """Behind the look at what came into the outbox: the sender itself holds it back."""
    assert hospital.directory is not None
    (hospital.directory / "faults").write_text("out-of-resources")
    box.add_destination("archive", hospital.port, "HOSPITAL")
    job = box.job("archive")
    bad, good = job.capture(size=700), job.capture(size=700)
    job.close()
    job.hand_over()
    box.start()
    wait_until(lambda: "destination-trouble" in box.findings(), "the archive takes nothing")
    flip_last_bit(box.spool.outbox / bad.file_name)
    (hospital.directory / "faults").write_text("")
    wait_until(lambda: box.states("archive").get(good.sop_instance_uid) == "committed", "the good one is committed")
    wait_until(lambda: "object-damaged" in box.findings(), "the other one is set aside")
    assert (box.spool.quarantine / bad.file_name).exists()
    assert hospital_objects(hospital) == {good.sop_instance_uid}


def flip_last_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_ok__idle_it_costs_little(box: Box, hospital: Peer) -> None:
    box.add_destination("archive", hospital.port, "HOSPITAL")
    box.add_manager(hospital.port)
    box.add_worklist(hospital.port)
    box.start()
    box.ask("/worklist/refresh", "POST")
    assert box.process is not None and box.process.process is not None
    process = box.process.process
    used = _cpu_seconds(process.pid)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(4)
    assert (_cpu_seconds(process.pid) - used) / 4 < 0.02


def test_ok__asked_to_stop_it_does_not_wait_for_a_silent_archive(box: Box) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        box.add_destination("archive", silent.getsockname()[1], "SILENT")
        job = box.job("archive")
        job.capture()
        job.close()
        job.hand_over()
        box.start()
        connection, _ = silent.accept()
        begun = time.monotonic()
        assert box.process is not None and box.process.stop() == 0
        assert time.monotonic() - begun < 8
        connection.close()


def test_fail__a_second_one_refuses_to_start(box: Box) -> None:
    box.start()
    assert box.process is not None
    second = Peer("forward", box.process.command, box.port, box.log, box.process.environment)
    with box.log.open("ab") as log:
        done = subprocess.run(second.command, env={**os.environ, **second.environment}, stderr=log, timeout=30)
    assert done.returncode == 1
    assert "running already" in box.log.read_text()
    assert box.process.stop(signal.SIGINT) == 0


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
