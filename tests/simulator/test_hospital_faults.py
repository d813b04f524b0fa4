"""The fault menu, each fault as a requestor meets it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset
from pynetdicom.association import Association

from appliance.base.errors import ApplianceError
from appliance.base.uids import new_uid
from appliance.simulator.hospital.faults import MENU, Chosen, Fault, FaultBoard, Unit, chosen_from_text
from appliance.simulator.hospital.malformed import malformed_identifiers, without_character_set
from appliance.simulator.hospital.sop_classes import PERFORMED_STEP, VERIFICATION, WORKLIST
from tests.peers import DEADLINE, SECONDARY_CAPTURE, small_object, wait_until
from tests.simulator.datasets import step_creation
from tests.simulator.hospitals import Hospital, run_dcmtk
from tests.simulator.test_hospital_commitment import Box, ask, listening, request, state_of

# The faults that the project demands of its hospital, in its words, and what each is called here.
DEMANDED = {
    "refuse association": "refuse-association",
    "wrong AE": "wrong-ae",
    "abort in the middle of a PDU": "abort-in-pdu",
    "accept no context": "no-context",
    "stall for ever": "stall",
    "one byte a second": "one-byte-a-second",
    "A700": "out-of-resources",
    "C000": "refuse-store",
    "B000": "store-warning",
    "success without keeping the object": "lose-objects",
    "commitment never": "no-commitment",
    "commitment late": "commitment-late",
    "commitment twice": "commitment-twice",
    "commitment partial": "commitment-partial",
    "commitment failed": "commitment-fails",
    "commitment on the same association": "commitment-same-association",
    "commitment before its request is answered": "commitment-first",
    "worklist empty": "worklist-empty",
    "worklist huge": "worklist-huge",
    "worklist malformed": "worklist-malformed",
    "worklist without character set": "worklist-without-charset",
    "performed step down": "steps-down",
    "performed step slow": "steps-slow",
    "performed step refusing": "steps-refusing",
}


def test_ok__everything_demanded_is_on_the_menu_once() -> None:
    assert [line.fault for line in MENU] == list(Fault)
    assert set(DEMANDED.values()) <= set(Fault)
    assert len(set(DEMANDED.values())) == len(DEMANDED)


def test_ok__help_prints_the_menu_and_the_command_line_takes_each_of_it(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "appliance.services.hospital"]
    told = subprocess.run([*program, "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
    for line in MENU:
        parameter = f"[:{line.unit}]" if line.unit is not Unit.NOTHING else ""
        assert f"\n  {line.fault}{parameter} " in told
        assert line.sentence in told
    faults = [argument for name in DEMANDED.values() for argument in ("--fault", f"{name}=1")]
    refused = [*program, "--directory", str(tmp_path), "--port", "1", *faults, "--fault", "earthquake"]
    done = subprocess.run(refused, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert 'There is no fault "earthquake".' in done.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("refuse-store", Chosen(Fault.REFUSE_STORE, 0)),
        ("refuse-store=2", Chosen(Fault.REFUSE_STORE, 0, 2)),
        ("abort-in-store", Chosen(Fault.ABORT_IN_STORE, 1)),
        (" abort-in-store:3 ", Chosen(Fault.ABORT_IN_STORE, 3)),
        ("commitment-fails:0119=1", Chosen(Fault.COMMITMENT_FAILS, 0x0119, 1)),
        ("commitment-fails", Chosen(Fault.COMMITMENT_FAILS, 0x0112)),
        ("steps-slow:0.5", Chosen(Fault.STEPS_SLOW, 0.5)),
        ("stall:0", Chosen(Fault.STALL, 0)),
    ],
)
def test_ok__chosen_from_text(text: str, expected: Chosen) -> None:
    assert chosen_from_text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing",
        "refuse-store:1",
        "refuse-store=0",
        "refuse-store=",
        "refuse-store=x",
        "abort-in-store:",
        "abort-in-store:0",
        "abort-in-store:x",
        "steps-slow:0",
        "steps-slow:90000",
        "steps-refusing:11",
        "stall:-1",
        "slow-line:0",
    ],
)
def test_fail__chosen_from_text(text: str) -> None:
    with pytest.raises(ApplianceError):
        chosen_from_text(text)


def test_ok__the_file_replaces_the_command_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    board = FaultBoard(tmp_path / "faults", ["refuse-store"])
    assert board.in_force() == {Fault.REFUSE_STORE: 0}
    (tmp_path / "faults").write_text("# a comment\n\nabort-in-store:2\nsteps-up\n")
    assert board.in_force() == {Fault.ABORT_IN_STORE: 2}
    assert "steps-up" in caplog.text
    (tmp_path / "faults").write_text("")
    assert board.in_force() == {}
    (tmp_path / "faults").unlink()
    assert board.in_force() == {Fault.REFUSE_STORE: 0}


def test_ok__so_many_times_and_again_with_a_new_file(tmp_path: Path) -> None:
    board = FaultBoard(tmp_path / "faults", ["steps-slow:3=2"])
    assert [board.strike(Fault.STEPS_SLOW) for _ in range(3)] == [3, 3, None]
    assert not board.has(Fault.STEPS_SLOW)
    assert board.strike(Fault.STEPS_DOWN) is None
    (tmp_path / "faults").write_text("steps-slow:4=1\nsteps-down")
    assert [board.strike(Fault.STEPS_SLOW) for _ in range(2)] == [4, None]
    assert [board.strike(Fault.STEPS_DOWN) for _ in range(3)] == [0, 0, 0]


def test_ok__refuse_association(hospital: Hospital) -> None:
    with hospital.faults("refuse-association"):
        done = run_dcmtk("echoscu", "127.0.0.1", str(hospital.port))
        assert done.returncode != 0
        assert b"Rejected Transient" in done.stdout
    with hospital.faults("wrong-ae=1"):
        done = run_dcmtk("echoscu", "127.0.0.1", str(hospital.port))
        assert b"Called AE Title Not Recognized" in done.stdout
        assert run_dcmtk("echoscu", "127.0.0.1", str(hospital.port)).returncode == 0


def test_ok__no_context(hospital: Hospital) -> None:
    with hospital.faults("no-context"):
        done = run_dcmtk("echoscu", "127.0.0.1", str(hospital.port))
    assert done.returncode != 0
    assert b"No Acceptable Presentation Contexts" in done.stdout


def test_ok__a_line_that_stands_still(hospital: Hospital) -> None:
    """Before the association and in the middle of an object; the hospital itself goes on."""
    instance = small_object(size=600)
    for fault in ("stall=1", "stall:100000=1"):
        with hospital.faults(fault):
            begun = time.monotonic()
            waiting = run_dcmtk("storescu", "-ta", "1", "-td", "1", "127.0.0.1", str(hospital.port), saved(instance))
            assert waiting.returncode != 0
            assert time.monotonic() - begun < DEADLINE
            assert run_dcmtk("echoscu", "127.0.0.1", str(hospital.port)).returncode == 0
    assert instance.SOPInstanceUID not in hospital.objects()


@pytest.fixture(autouse=True)
def _directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def saved(instance: Dataset) -> Path:
    path = Path(f"{instance.SOPInstanceUID}.dcm")
    instance.save_as(path, enforce_file_format=True)
    return path


def test_ok__one_byte_a_second(hospital: Hospital) -> None:
    """A-ASSOCIATE-AC has 74 bytes and its items: at 5 ms each they take longer than a third of a second."""
    with hospital.faults("one-byte-a-second:0.005"):
        begun = time.monotonic()
        assert run_dcmtk("echoscu", "127.0.0.1", str(hospital.port)).returncode == 0
        assert time.monotonic() - begun > 0.37


def test_ok__slow_line(hospital: Hospital) -> None:
    instance = small_object(size=600)
    with hospital.faults("slow-line:300000"):
        begun = time.monotonic()
        assert hospital.store(instance) == [0x0000]
        assert time.monotonic() - begun > 0.8  # 360 kB
    assert instance.SOPInstanceUID in hospital.objects()


@pytest.mark.parametrize("fault", ["abort-in-pdu", "cut-in-answer"])
def test_ok__a_line_that_ends_in_the_middle(hospital: Hospital, fault: str) -> None:
    instance = small_object(size=100)
    with hospital.faults(fault):
        association = hospital.request_association(SECONDARY_CAPTURE)
        assert "Status" not in association.send_c_store(instance)
        wait_until(lambda: association.is_aborted, "the requestor hears of the end")
    assert (instance.SOPInstanceUID in hospital.objects()) == (fault == "cut-in-answer")


@pytest.mark.parametrize(
    ("fault", "status", "is_kept"),
    [
        ("refuse-store", 0xC000, False),
        ("out-of-resources", 0xA700, False),
        ("store-warning", 0xB000, True),
        ("lose-objects", 0x0000, False),
    ],
)
def test_ok__store_statuses(hospital: Hospital, fault: str, status: int, is_kept: bool) -> None:
    instance = small_object()
    with hospital.faults(fault):
        assert hospital.store(instance) == [status]
    assert (instance.SOPInstanceUID in hospital.objects()) == is_kept
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
    own = start_own_hospital("--fault", "abort-in-store:3")
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
            wait_until(lambda: state_of(hospital, wanted.TransactionUID) == "silenced", "its turn comes")
        again = request(instance)
        assert ask(hospital, again) == 0x0000
        wait_until(lambda: again.TransactionUID in box.reports, "the report on the next one")
        assert wanted.TransactionUID not in box.reports


def test_ok__commitment_late(hospital: Hospital) -> None:
    first, second = small_object(), small_object()
    hospital.store(first, second)
    with listening(Box(), hospital.box_port) as box, hospital.faults("commitment-late:1.5=1"):
        late, usual = request(first), request(second)
        for wanted in (late, usual):
            assert ask(hospital, wanted) == 0x0000
        wait_until(lambda: len(box.reports) == 2, "both reports")
    assert list(box.reports) == [usual.TransactionUID, late.TransactionUID]


@pytest.mark.parametrize(("fault", "reason"), [("commitment-fails", 0x0112), ("commitment-fails:0119", 0x0119)])
def test_ok__commitment_fails(hospital: Hospital, fault: str, reason: int) -> None:
    instance = small_object()
    hospital.store(instance)
    with listening(Box(), hospital.box_port) as box, hospital.faults(fault):
        wanted = request(instance)
        assert ask(hospital, wanted) == 0x0000
        wait_until(lambda: wanted.TransactionUID in box.reports, "the report")
    event_type, information = box.reports[wanted.TransactionUID]
    assert event_type == 2
    assert [item.FailureReason for item in information.FailedSOPSequence] == [reason]


def test_ok__commitment_twice_by_a_stranger_and_of_an_unknown_one(hospital: Hospital) -> None:
    instance = small_object()
    hospital.store(instance)
    with (
        listening(Box(), hospital.box_port) as box,
        hospital.faults("commitment-twice", "commitment-stranger", "commitment-unknown"),
    ):
        wanted = request(instance)
        assert ask(hospital, wanted) == 0x0000
        wait_until(lambda: state_of(hospital, wanted.TransactionUID) == "reported", "the reports")
    assert box.attempts == 3
    assert set(box.callers) == {"STRANGER"}
    assert len(box.reports) == 2
    assert wanted.TransactionUID in box.reports


def test_ok__commitment_partial(hospital: Hospital) -> None:
    first, second = small_object(), small_object()
    hospital.store(first, second)
    with listening(Box(), hospital.box_port) as box, hospital.faults("commitment-partial"):
        wanted = request(first, second)
        assert ask(hospital, wanted) == 0x0000
        wait_until(lambda: wanted.TransactionUID in box.reports, "the report")
    event_type, information = box.reports[wanted.TransactionUID]
    assert event_type == 1
    assert [item.ReferencedSOPInstanceUID for item in information.ReferencedSOPSequence] == [first.SOPInstanceUID]


def test_ok__commitment_before_the_answer(hospital: Hospital) -> None:
    instance = small_object()
    hospital.store(instance)
    with listening(Box(), hospital.box_port) as box, hospital.faults("commitment-first"):
        wanted = request(instance)
        assert ask(hospital, wanted) == 0x0000
        assert wanted.TransactionUID in box.reports


def test_ok__steps_down(hospital: Hospital) -> None:
    def create(association: Association) -> int:
        return association.send_n_create(step_creation(), PERFORMED_STEP, new_uid())[0].Status

    with hospital.associated(PERFORMED_STEP) as open_before:
        with hospital.faults("steps-down"):
            refused = hospital.request_association(VERIFICATION, PERFORMED_STEP)
            assert [context.abstract_syntax for context in refused.rejected_contexts] == [PERFORMED_STEP]
            refused.release()
            assert create(open_before) == 0x0110
        with hospital.faults("steps-refusing:0213"):
            assert create(open_before) == 0x0213
        with hospital.faults("steps-slow:0.4"):
            begun = time.monotonic()
            assert create(open_before) == 0x0000
            assert time.monotonic() - begun > 0.4


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_ok__worklists(hospital: Hospital, tmp_path: Path) -> None:
    with hospital.faults("worklist-empty=1", "worklist-huge:40"):
        assert hospital.find(tmp_path, "PatientID") == []
        assert len(hospital.find(tmp_path, "PatientID")) == 40
    query = Dataset()
    query.SpecificCharacterSet = ""
    query.PatientID = "HS-100234"
    query.PatientName = ""
    with hospital.faults("worklist-without-charset"), hospital.associated(WORKLIST) as association:
        (_, answer), _ = association.send_c_find(query, WORKLIST)
    assert "SpecificCharacterSet" not in answer
    assert answer.PatientName.original_string == b"M\xfcller^J\xfcrgen^S\xf8ren^Dr."
    query.PatientID = ""
    with hospital.faults("worklist-malformed"), hospital.associated(WORKLIST) as association:
        answers = [status.Status for status, _ in association.send_c_find(query, WORKLIST)]
    assert len(answers) > 16  # sixteen good ones, the end, and what this client could make of the others


def test_ok__malformed_identifiers_are_of_every_kind() -> None:
    good = bytes.fromhex("08 00 05 00 43 53 0A 00") + b"ISO_IR 192" + bytes.fromhex("10 00 20 00 4C 4F 02 00") + b"AB"
    kinds = [one for number in range(1, 20) for one in malformed_identifiers(good, number)]
    assert len(kinds) == len(set(kinds)) == 7
    assert good not in kinds
    assert without_character_set(good) == good[18:]
    implicit = bytes.fromhex("08 00 05 00 0A 00 00 00") + b"ISO_IR 192" + good[18:]
    assert without_character_set(implicit) == good[18:]
    assert without_character_set(good[18:]) == good[18:]
