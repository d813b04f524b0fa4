"""The fault menu, each fault as a requestor meets it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pynetdicom.association import Association

from appliance.base.errors import ApplianceError
from appliance.base.uids import new_uid
from appliance.simulator.hospital.faults import MENU, Fault, FaultBoard, fault_from_text
from appliance.simulator.hospital.sop_classes import PERFORMED_STEP, VERIFICATION
from tests.peers import SECONDARY_CAPTURE, small_object, wait_until
from tests.simulator.datasets import step_creation
from tests.simulator.hospitals import Hospital, run_dcmtk
from tests.simulator.test_hospital_commitment import Box, ask, listening, request, state_of


def test_ok__every_fault_is_on_the_menu() -> None:
    assert [line.fault for line in MENU] == list(Fault)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("refuse-store", (Fault.REFUSE_STORE, 0)),
        ("abort-in-store", (Fault.ABORT_IN_STORE, 1)),
        (" abort-in-store=3 ", (Fault.ABORT_IN_STORE, 3)),
    ],
)
def test_ok__fault_from_text(text: str, expected: tuple[Fault, int]) -> None:
    assert fault_from_text(text) == expected


@pytest.mark.parametrize(
    "text", ["", "nothing", "refuse-store=1", "abort-in-store=", "abort-in-store=0", "abort-in-store=x"]
)
def test_fail__fault_from_text(text: str) -> None:
    with pytest.raises(ApplianceError):
        fault_from_text(text)


def test_ok__the_file_replaces_the_command_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    board = FaultBoard(tmp_path / "faults", ["refuse-store"])
    assert board.in_force() == {Fault.REFUSE_STORE: 0}
    (tmp_path / "faults").write_text("# a comment\n\nabort-in-store=2\nsteps-up\n")
    assert board.in_force() == {Fault.ABORT_IN_STORE: 2}
    assert "steps-up" in caplog.text
    (tmp_path / "faults").write_text("")
    assert board.in_force() == {}


def test_ok__refuse_association(hospital: Hospital) -> None:
    with hospital.faults("refuse-association"):
        done = run_dcmtk("echoscu", "127.0.0.1", str(hospital.port))
        assert done.returncode != 0
        assert b"Rejected Transient" in done.stdout
        association = hospital.request_association(VERIFICATION)
        assert association.is_rejected
    assert run_dcmtk("echoscu", "127.0.0.1", str(hospital.port)).returncode == 0


@pytest.mark.parametrize(("fault", "status"), [("refuse-store", 0xC000), ("out-of-resources", 0xA700)])
def test_ok__store_statuses(hospital: Hospital, fault: str, status: int) -> None:
    instance = small_object()
    with hospital.faults(fault):
        assert hospital.store(instance) == [status]
    assert instance.SOPInstanceUID not in hospital.objects()
    assert hospital.store(instance) == [0x0000]


@pytest.mark.parametrize("size", [8, 1024])
def test_ok__abort_in_store(hospital: Hospital, size: int) -> None:
    """One PDU of data and many."""
    instance = small_object(size=size)
    with hospital.faults("abort-in-store"):
        association = hospital.request_association(SECONDARY_CAPTURE)
        assert "Status" not in association.send_c_store(instance)
        wait_until(lambda: association.is_aborted, "the requestor hears of the abort")
    assert instance.SOPInstanceUID not in hospital.objects()
    assert hospital.store(instance) == [0x0000]
    assert instance.SOPInstanceUID in hospital.objects()


def test_ok__abort_in_every_third_store(start_own_hospital: Callable[..., Hospital]) -> None:
    own = start_own_hospital("--fault", "abort-in-store=3")
    instances = [small_object(size=600) for _ in range(4)]
    assert own.store(*instances) == [0x0000, 0x0000, None, None]
    assert own.store(*instances[2:]) == [0x0000, 0x0000]
    assert len(own.objects()) == 4
    assert own.stop() == 0


def test_ok__no_commitment(hospital: Hospital) -> None:
    instance = small_object()
    hospital.store(instance)
    with listening(Box(), hospital.box_port) as box:
        with hospital.faults("no-commitment"):
            wanted = request(instance)
            assert ask(hospital, wanted) == 0x0000
            # Absence shows only by waiting: three times the delay of 0.3 s. A slow machine cannot make this fail.
            over = time.monotonic() + 0.9
            wait_until(lambda: time.monotonic() > over, "three delays")
            assert state_of(hospital, wanted.TransactionUID) == "pending"
            assert box.attempts == 0
        wait_until(lambda: wanted.TransactionUID in box.reports, "the report once the fault is gone")


def test_ok__commitment_fails(hospital: Hospital) -> None:
    instance = small_object()
    hospital.store(instance)
    with listening(Box(), hospital.box_port) as box, hospital.faults("commitment-fails"):
        wanted = request(instance)
        assert ask(hospital, wanted) == 0x0000
        wait_until(lambda: wanted.TransactionUID in box.reports, "the report")
    event_type, information = box.reports[wanted.TransactionUID]
    assert event_type == 2
    assert [item.FailureReason for item in information.FailedSOPSequence] == [0x0112]


def test_ok__steps_down(hospital: Hospital) -> None:
    def create(association: Association) -> int:
        return association.send_n_create(step_creation(), PERFORMED_STEP, new_uid())[0].Status

    with hospital.associated(PERFORMED_STEP) as open_before:
        with hospital.faults("steps-down"):
            refused = hospital.request_association(VERIFICATION, PERFORMED_STEP)
            assert [context.abstract_syntax for context in refused.rejected_contexts] == [PERFORMED_STEP]
            refused.release()
            assert create(open_before) == 0x0110
        assert create(open_before) == 0x0000
