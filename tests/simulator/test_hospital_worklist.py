"""The worklist as DCMTK's findscu sees it: every script, matching over the wire, cancelling."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from appliance.simulator.hospital.entries import SCHEDULE
from appliance.simulator.hospital.sop_classes import WORKLIST
from tests.simulator.hospitals import Hospital, run_dcmtk

STEP = "ScheduledProcedureStepSequence[0]"

# Names as they must be on the wire, by patient.
NAME_BYTES = {
    # Latin-1: ü FCH, ø F8H.
    "HS-100234": b"M\xfcller^J\xfcrgen^S\xf8ren^Dr.",
    # PS3.5 H.3.1, example 1: ESC $ B designates ISO-IR 87 to G0, ESC ( B ASCII again before each delimiter.
    "HS-100871": b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
    # PS3.5 H.2 (Arabic, ISO-IR 127).
    "HS-101455": b"\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1",
    # PS3.5 I.2: ESC $ ) C designates ISO-IR 149 to G1 again after each delimiter.
    "HS-101963": (b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf"),
    # PS3.5 K.3 (GB18030): two bytes a letter, no escape.
    "HS-102118": b"Zhang^XiaoDong=\xd5\xc5^\xd0\xa1\xb6\xab",
    # PS3.5 J.3 (UTF-8).
    "HS-102040": b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1",
    # PS3.5 H.2 (Hebrew, ISO-IR 138).
    "HS-102608": b"\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4",
    # ISO 8859-5, 8859-7, 8859-2, 8859-9: Python's codecs are the second opinion.
    "HS-101502": "Соколова^Анна^Петровна".encode("iso8859-5"),
    "HS-101777": "Παπαδόπουλος^Γεώργιος".encode("iso8859-7"),
    "HS-102417": "Wiśniewska^Małgorzata".encode("iso8859-2"),
    "HS-102733": "Yılmaz^Şule".encode("iso8859-9"),
}


def test_ok__every_entry_of_today_with_its_own_characters(hospital: Hospital, tmp_path: Path) -> None:
    before = datetime.now().astimezone().date()
    answers = hospital.find(tmp_path, "SpecificCharacterSet", "PatientName", "PatientID", f"{STEP}.{START_DATE}")
    days = {before, datetime.now().astimezone().date()}  # the test may run over midnight
    read = [dcmread(path) for path in answers]
    assert sorted(answer.PatientID for answer in read) == sorted(entry.patient_id for entry in SCHEDULE)
    found = {answer.PatientID: answer for answer in read}
    for entry in SCHEDULE:
        answer = found[entry.patient_id]
        assert answer.get("SpecificCharacterSet") == _value_of(entry.character_set)
        assert str(answer.PatientName) == entry.name
        (step,) = answer.ScheduledProcedureStepSequence
        assert step.ScheduledProcedureStepStartDate in {f"{day:%Y%m%d}" for day in days}


START_DATE = "ScheduledProcedureStepStartDate"


def _value_of(character_set: tuple[str, ...]) -> str | list[str] | None:
    if not character_set:
        return None
    return character_set[0] if len(character_set) == 1 else list(character_set)


@pytest.mark.parametrize("patient_id", NAME_BYTES)
def test_ok__names_on_the_wire(hospital: Hospital, tmp_path: Path, patient_id: str) -> None:
    (path,) = hospital.find(tmp_path, "PatientName", f"PatientID={patient_id}")
    content = path.read_bytes()
    # (0010,0010) PN in explicit VR little endian, behind it its length
    start = content.index(b"\x10\x00\x10\x00PN") + 8
    length = int.from_bytes(content[start - 2 : start], "little")
    assert content[start : start + length].rstrip(b" ") == NAME_BYTES[patient_id]


def test_ok__dcmtk_reads_the_same_names(hospital: Hospital, tmp_path: Path) -> None:
    """DCMTK's own conversion to UTF-8, not pydicom's. Debian's DCMTK converts by glibc, which has no ISO 2022 IR 87."""
    for path in hospital.find(tmp_path, "PatientName", "PatientID", "RequestedProcedureDescription"):
        converted = path.with_suffix(".utf8")
        done = run_dcmtk("dcmconv", "+U8", path, converted)
        if b"'ISO 2022 IR 87' is not supported" in done.stdout:
            assert dcmread(path).PatientID == "HS-100871"
            continue
        assert done.returncode == 0, done.stdout
        answer = json.loads(run_dcmtk("dcm2json", converted).stdout)
        entry = next(each for each in SCHEDULE if each.patient_id == answer["00100020"]["Value"][0])
        groups = answer["00100010"]["Value"][0]
        assert "=".join(groups.values()) == entry.name
        assert answer["00321060"].get("Value", [""]) == [entry.procedure]


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        ((f"{STEP}.Modality=US",), 6),
        ((f"{STEP}.Modality=ES",), 5),
        ((f"{STEP}.Modality=RG",), 3),
        ((f"{STEP}.Modality=MR",), 0),
        ((f"{STEP}.ScheduledStationAETitle=BRIDGE", f"{STEP}.Modality=*"), 14),
        ((f"{STEP}.ScheduledProcedureStepStartTime=0800-0859",), 3),
        ((f"{STEP}.ScheduledProcedureStepStartDate=19990101-20000101",), 0),
        (("PatientName=yamada*",), 1),
        (("PatientID=HS-1022??",), 2),
        (("PatientBirthDate=-19491231",), 3),
        (("PatientBirthName=ignored",), 17),
    ],
)
def test_ok__matching_over_the_wire(hospital: Hospital, tmp_path: Path, keys: tuple[str, ...], count: int) -> None:
    assert len(hospital.find(tmp_path, *keys)) == count


@pytest.mark.parametrize("syntax", ["-xe", "-xi"])
def test_ok__both_uncompressed_syntaxes(hospital: Hospital, tmp_path: Path, syntax: str) -> None:
    (answer,) = hospital.find(tmp_path, "PatientName", "PatientID=HS-100871", options=(syntax,))
    assert str(dcmread(answer).PatientName) == "Yamada^Tarou=山田^太郎=やまだ^たろう"


def test_ok__only_what_was_asked_for(hospital: Hospital, tmp_path: Path) -> None:
    (path,) = hospital.find(tmp_path, "PatientID=EMERGENCY-0731", "PatientBirthDate", "PregnancyStatus")
    answer = dcmread(path)
    assert [element.keyword for element in answer] == ["PatientID", "PatientBirthDate", "PregnancyStatus"]
    assert answer["PatientBirthDate"].is_empty
    assert answer["PregnancyStatus"].is_empty


def test_ok__studies_keep_their_identifiers_over_a_restart(start_own_hospital, tmp_path: Path) -> None:
    own = start_own_hospital()
    keys = ("StudyInstanceUID", "AccessionNumber", "PatientID")
    before = [dcmread(path) for path in own.find(tmp_path, *keys)]
    assert own.stop() == 0
    own.start()
    assert [dcmread(path) for path in own.find(tmp_path, *keys)] == before


def test_ok__a_query_in_another_character_set_finds_the_name(hospital: Hospital) -> None:
    """The entry is Latin-1, the query UTF-8: what is compared is text."""
    query = Dataset()
    query.SpecificCharacterSet = "ISO_IR 192"
    query.PatientName = "Müller*"
    query.PatientID = ""
    assert [answer.PatientID for answer in _found(hospital, query)] == ["HS-100234"]
    query.PatientName = "山田*"
    assert [answer.PatientID for answer in _found(hospital, query)] == ["HS-100871"]


def _found(hospital: Hospital, query: Dataset) -> list[Dataset]:
    with hospital.associated(WORKLIST) as association:
        answers = list(association.send_c_find(query, WORKLIST))
    assert [status.Status for status, _ in answers] == [0xFF00] * (len(answers) - 1) + [0x0000]
    return [identifier for _, identifier in answers[:-1]]


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_fail__malformed_key(hospital: Hospital) -> None:
    step = Dataset()
    step.ScheduledProcedureStepStartDate = "19000101-29991231"  # any day: the time is looked at
    step.ScheduledProcedureStepStartTime = "25"
    query = Dataset()
    query.ScheduledProcedureStepSequence = Sequence([step])
    with hospital.associated(WORKLIST) as association:
        (answer,) = association.send_c_find(query, WORKLIST)
    assert answer[0].Status == 0xA900


def test_ok__unsupported_keys_are_told(hospital: Hospital) -> None:
    query = Dataset()
    query.PatientID = "HS-100234"
    query.PatientBirthName = ""
    with hospital.associated(WORKLIST) as association:
        statuses = [status.Status for status, _ in association.send_c_find(query, WORKLIST)]
    assert statuses == [0xFF01, 0x0000]


def test_ok__cancel(hospital: Hospital, tmp_path: Path) -> None:
    """DCMTK counts what arrives before the hospital has seen the C-CANCEL; it ends with the status of a cancel or,
    when all had been sent, of success."""
    done = run_dcmtk("findscu", "-W", "-v", "--cancel", "1", "-k", "PatientID", "127.0.0.1", str(hospital.port))
    assert done.returncode == 0
    assert b"Sending Cancel Request" in done.stdout
    assert (
        b"Received Final Find Response (Cancel" in done.stdout
        or b"Received Final Find Response (Success)" in done.stdout
    )
