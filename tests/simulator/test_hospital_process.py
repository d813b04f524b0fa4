"""The hospital as a process: how it starts, ends and refuses to start, and what it must not log."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.base.uids import new_uid
from appliance.simulator.hospital.entries import SCHEDULE
from appliance.simulator.hospital.sop_classes import PERFORMED_STEP, WORKLIST
from appliance.simulator.hospital.uid_names import is_uid
from tests.peers import DEADLINE, small_object, wait_until
from tests.ports import pick_free_port
from tests.simulator.datasets import step_creation
from tests.simulator.hospitals import Hospital
from tests.simulator.test_hospital_commitment import ask, request


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ok__ends_cleanly(start_own_hospital: Callable[..., Hospital], number: int) -> None:
    own = start_own_hospital()
    with own.associated(WORKLIST) as association:  # an open association must not hold it
        assert own.stop(number) == 0
        assert association is not None
    assert "hospital ends" in own.log.read_text()
    assert "Traceback" not in own.log.read_text()


def test_ok__tells_systemd_that_it_is_ready(start_own_hospital: Callable[..., Hospital], tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified, pytest.MonkeyPatch.context() as patch:
        notified.bind(str(tmp_path / "notify"))
        notified.settimeout(30)
        patch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        own = start_own_hospital()
        assert notified.recv(1000).decode() == f"READY=1\nSTATUS=The hospital HOSPITAL listens on port {own.port}."
        own.stop()
        assert notified.recv(1000) == b"STOPPING=1"


def run_briefly(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "appliance.services.hospital", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_fail__a_second_one_in_the_directory(hospital: Hospital) -> None:
    done = run_briefly("--directory", str(hospital.state), "--port", str(pick_free_port()))
    assert done.returncode == 1
    assert "is running already" in done.stderr


def test_fail__port_in_use(hospital: Hospital, tmp_path: Path) -> None:
    done = run_briefly("--directory", str(tmp_path), "--port", str(hospital.port))
    assert done.returncode == 1
    assert f"cannot listen on port {hospital.port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_fail__unknown_fault(tmp_path: Path) -> None:
    done = run_briefly("--directory", str(tmp_path), "--port", "1", "--fault", "earthquake")
    assert done.returncode == 1
    assert 'There is no fault "earthquake".' in done.stderr


def test_fail__a_reporter_that_cannot_go_on_ends_the_hospital(start_own_hospital: Callable[..., Hospital]) -> None:
    own = start_own_hospital("--commitment-delay", "0.5")
    wanted = request(small_object())
    assert ask(own, wanted) == 0x0000
    (own.state / "commitments" / f"{wanted.TransactionUID}.json").write_text("damaged")
    assert own.process is not None
    assert own.process.wait(DEADLINE) == 1
    assert "cannot report on commitments any more" in own.log.read_text()


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_ok__no_patient_in_the_log(hospital: Hospital, tmp_path: Path) -> None:
    """Worklist, storage, a conflict, a step and refused ones: everything that holds a name passes once."""
    hospital.find(tmp_path, "PatientName=M*", "PatientID", "PatientBirthDate")
    hospital.store(small_object(name="Secret^Person", patient_id="HS-SECRET"))
    bad = step_creation()
    bad.PatientName, bad.PatientSex = "Secret^Person", "Secret^Person"
    with hospital.associated(PERFORMED_STEP) as association:
        association.send_n_create(step_creation(), PERFORMED_STEP, new_uid())
        assert association.send_n_create(bad, PERFORMED_STEP, new_uid())[0].Status == 0x0106
    wait_until(lambda: "0106H" in hospital.log.read_text(), "the refusal is logged")
    log = hospital.log.read_text()
    words = {word for entry in SCHEDULE for word in (entry.patient_id, entry.name, entry.name.split("^")[0])}
    for word in {*words, "Secret", "HS-SECRET", "Nobody", "HS-999999"}:
        assert word not in log


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.2.840", True),
        ("2.25.0", True),
        ("1", False),
        ("1.02", False),
        ("3.1", False),
        ("1..2", False),
        ("../../etc/passwd", False),
        ("1.2/3", False),
        ("1." + "1" * 62, True),
        ("1." + "1" * 63, False),
        ("", False),
    ],
)
def test_ok__what_is_a_uid(text: str, expected: bool) -> None:
    assert is_uid(text) is expected
