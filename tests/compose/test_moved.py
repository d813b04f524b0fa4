"""An object that goes to the right patient: the same as if it had been captured for that one, nothing of the other."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import EncapsulatedPDFStorage

from appliance.compose.attributes import CLOCK_IN_DOUBT
from appliance.compose.instance import compose_still
from appliance.compose.moved import captured_at_of, object_as_moved, read_around
from appliance.compose.note import compose_note
from appliance.compose.pixels import pixel_form_from
from appliance.exam.exam import Exam, Instance, PlannedSeries, open_exam
from tests.compose.world import (
    BOX,
    CAPTURED_AT,
    OPENED_AT,
    SERIAL,
    UID,
    exam_on,
    full_entry,
    gray_frame,
    item_from_entry,
    make_document,
    make_film,
    make_still,
    named_entry,
    origins_of,
    rgb_frame,
    run,
    sparse_entry,
)
from tests.conformance.test_objects_as_stated import DEVICES, MADE

NEW_UID = "2.25.987654321"
WRONG = exam_on(full_entry(), DEVICES)
# Values that say nothing of a patient, and that both entries may share.
_HARMLESS = {
    "ISO_IR 100",
    "99HOSP",
    "I10",
    "TEXT",
    "ISO",
    "US",
    "20261122",
    "093000",
    "M",
    "4",
    "1.2.840.10008.3.1.2.3.1",
}


def right_exam(name: str = "Sørensen^Åse", terms: str = "ISO_IR 100") -> Exam:
    """Another patient's exam: nothing in its entry is in the other one."""
    entry = named_entry(terms, name, "Knee")
    for element in list(entry):
        if element.VR == "SQ" and element.keyword != "ScheduledProcedureStepSequence":
            del entry[element.tag]
    entry.PatientID, entry.IssuerOfPatientID, entry.PatientBirthDate, entry.PatientSex = "R-2", "RIGHT", "19870102", "F"
    entry.AccessionNumber, entry.RequestedProcedureID, entry.AdmissionID = "R-ACC", "R-RP", "R-ADM"
    entry.StudyInstanceUID, entry.ReferringPhysicianName = "1.2.3.77", "Right^Doctor"
    entry.PatientSize, entry.PatientWeight, entry.InstitutionName = "1.51", "51.5", "Other house"
    for keyword in ("RequestingPhysician", "RequestingService", "RouteOfAdmissions", "ReasonForTheRequestedProcedure"):
        setattr(entry, keyword, f"Right {keyword}"[:16])
    step = entry.ScheduledProcedureStepSequence[0]
    step.ScheduledPerformingPhysicianName, step.ScheduledProcedureStepID = "Right^Arzt", "R-SPS"
    step.ScheduledProcedureStepDescription = "Right knee"
    del step.ScheduledProtocolCodeSequence
    return open_exam(item_from_entry(entry), DEVICES, OPENED_AT + timedelta(minutes=20), "E000002-20261122-095015")


def moved_bytes(path: Path, exam: Exam, device: str, number: int = 7) -> bytes:
    with path.open("rb") as file:
        source, start, end = read_around(file)
        made = object_as_moved(source, exam, device, BOX, NEW_UID, number)
        file.seek(start)
        return made.header + file.read(end - start) + made.trailer


def texts_of(dataset: Dataset) -> Iterator[str]:
    """Every value in the data set and below, as text."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from texts_of(item)
        elif element.value is not None:
            values = element.value if element.VM > 1 else [element.value]
            for value in values:
                yield str(value)
                yield from str(value).replace("=", "^").split("^") if element.VR == "PN" else ()


@pytest.mark.parametrize("whose", ["another patient", "nobody"])
@pytest.mark.parametrize("kind", MADE)
def test_ok__it_is_as_if_it_had_been_captured_for_the_right_patient(tmp_path: Path, kind: str, whose: str) -> None:
    right = right_exam()
    device, _form, make = MADE[kind]
    old = make(tmp_path / "old.dcm", WRONG if whose == "another patient" else None)
    expected = make(tmp_path / "expected.dcm", right)
    data = moved_bytes(old.path, right, device.name)
    moved, direct = dcmread(io.BytesIO(data)), dcmread(expected.path)
    assert moved.SOPInstanceUID == moved.file_meta.MediaStorageSOPInstanceUID == NEW_UID
    del moved.SOPInstanceUID, direct.SOPInstanceUID
    assert moved == direct
    assert moved.file_meta.TransferSyntaxUID == direct.file_meta.TransferSyntaxUID
    kept = moved.PixelData if "PixelData" in moved else moved.EncapsulatedDocument
    assert data.count(kept) == old.path.read_bytes().count(kept) == 1
    (tmp_path / "new.dcm").write_bytes(data)
    # What dciodvfy may say of an object as it is captured is held elsewhere; of one that was moved it says the same.
    assert errors_of(tmp_path / "new.dcm") == errors_of(expected.path)


def errors_of(path: Path) -> list[str]:
    said = run("dciodvfy", "-new", path)
    lines = (said.stdout + said.stderr).splitlines()
    assert any("SCImage" in line or "EncapsulatedPDF" in line for line in lines), lines  # it knew what it judged
    return [line for line in lines if "Error" in line]


@pytest.mark.parametrize("kind", MADE)
def test_ok__no_byte_of_the_wrong_patient_is_left(tmp_path: Path, kind: str) -> None:
    right = right_exam()
    device, _form, make = MADE[kind]
    old = make(tmp_path / "old.dcm", WRONG)
    data = moved_bytes(old.path, right, device.name)
    old_ids = [WRONG.exam_id, UID, *(one.series_instance_uid for one in WRONG.series)]
    old_ids += [text for step in WRONG.steps for text in (step.sop_instance_uid, step.performed_procedure_step_id)]
    wrong = {text for text in texts_of(full_entry()) if len(text) > 2} - _HARMLESS
    assert {"Müller", "PAT-0815", "19560708", "ACC-4711", "RP-31", "1.2.276.0.7230010.3.2.4711"} <= wrong
    before = old.path.read_bytes()
    found = 0
    for text in [*wrong, *old_ids]:
        for codec in ("latin-1", "utf-8"):
            found += text.encode(codec) in before
            assert text.encode(codec) not in data, text
    assert found > 40  # they really were there


def test_ok__what_was_cut_short_and_printed_stays_so(tmp_path: Path) -> None:
    made = make_still(tmp_path / "page.dcm", WRONG, SERIAL, gray_frame(), printed_text="T-score\n-2.1")
    marked = b"CUT SHORT".ljust(128, b"\0") + made.path.read_bytes()[128:]
    made.path.write_bytes(marked)
    data = moved_bytes(made.path, right_exam(), "ultrasound")
    assert data[:128] == marked[:128]
    assert "T-score" in dcmread(io.BytesIO(data)).ImageComments


def test_ok__times_in_doubt_are_said_to_be_once(tmp_path: Path) -> None:
    doubted = replace(right_exam(), is_clock_trusted=False)
    made = make_still(tmp_path / "still.dcm", WRONG, SERIAL, rgb_frame())
    assert dcmread(io.BytesIO(moved_bytes(made.path, doubted, "ultrasound"))).ImageComments == CLOCK_IN_DOUBT
    document = make_document(tmp_path / "document.dcm", WRONG)
    title = dcmread(io.BytesIO(moved_bytes(document.path, doubted, "ultrasound"))).DocumentTitle
    assert title == f"Lensmeter: Results. {CLOCK_IN_DOUBT}"
    again = make_still(tmp_path / "doubted.dcm", doubted, SERIAL, rgb_frame())
    assert dcmread(io.BytesIO(moved_bytes(again.path, doubted, "ultrasound"))).ImageComments == CLOCK_IN_DOUBT


@pytest.mark.parametrize(
    ("terms", "name", "expected"), [("ISO_IR 192", "山田^太郎", "ISO_IR 192"), ("", "Doe^Jane", None)]
)
def test_ok__the_character_set_is_that_of_the_right_patient(
    tmp_path: Path, terms: str, name: str, expected: str | None
) -> None:
    made = make_film(tmp_path / "film.dcm", WRONG)
    moved = dcmread(io.BytesIO(moved_bytes(made.path, right_exam(name, terms), "film")))
    assert str(moved.PatientName) == name
    assert moved.get("SpecificCharacterSet") == (expected or moved.get("SpecificCharacterSet"))


def test_ok__it_was_captured_when_it_was_captured(tmp_path: Path) -> None:
    made = make_film(tmp_path / "film.dcm", None)
    moved = dcmread(io.BytesIO(moved_bytes(made.path, right_exam(), "film")))
    assert captured_at_of(moved) == CAPTURED_AT


def test_fail__a_device_that_the_exam_does_not_know(tmp_path: Path) -> None:
    made = make_film(tmp_path / "film.dcm", None)
    with pytest.raises(KeyError):
        moved_bytes(made.path, exam_on(sparse_entry(), (SERIAL,)), "film")


def test_fail__an_object_that_does_not_say_when_it_was_captured(tmp_path: Path) -> None:
    made = make_film(tmp_path / "film.dcm", None)
    source = dcmread(made.path, stop_before_pixels=True)
    del source.AcquisitionDate
    with pytest.raises(ValueError, match="captured"):
        object_as_moved(source, right_exam(), "film", BOX, NEW_UID, 1)


def note_of(exam: Exam, count: int = 3, *, sop_class_uid: str = "") -> bytes:
    own = replace(exam, series=(PlannedSeries("film", "KO", "1.2.3.9", 103, "Rejection note"),), steps=())
    form = pixel_form_from(gray_frame())
    composed = [compose_still(origins_of(exam, SERIAL), form, 135) for _ in range(count)]
    rejected = [
        Instance(
            sop_class_uid or one.sop_class_uid,
            f"{one.sop_instance_uid}.{number}",
            one.transfer_syntax_uid,
            exam.series_of("ultrasound").series_instance_uid,
            "ultrasound",
            "US",
            "file",
            1,
        )
        for number, one in enumerate(composed)
    ]
    return compose_note(own, BOX, "film", NEW_UID, rejected)


@pytest.mark.parametrize("whose", ["everything scheduled", "next to nothing"])
def test_ok__a_rejection_note_says_which_images_and_why(tmp_path: Path, whose: str) -> None:
    exam = WRONG if whose == "everything scheduled" else exam_on(sparse_entry())
    path = tmp_path / "note.dcm"
    path.write_bytes(note_of(exam))
    note = dcmread(path)
    assert note.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.59"
    assert (note.Modality, note.StudyInstanceUID) == ("KO", exam.study_instance_uid)
    title = note.ConceptNameCodeSequence[0]
    assert (title.CodeValue, title.CodingSchemeDesignator) == ("113038", "DCM")
    assert title.CodeMeaning == "Incorrect Modality Worklist Entry"
    series = note.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert [one.SeriesInstanceUID for one in series] == [exam.series_of("ultrasound").series_instance_uid]
    uids = [f"{UID}.{number}" for number in range(3)]
    assert [one.ReferencedSOPInstanceUID for one in series[0].ReferencedSOPSequence] == uids
    assert [one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for one in note.ContentSequence] == uids
    assert note.PatientID == exam.item.patient_id
    said = run("dciodvfy", "-new", path)
    text = said.stdout + said.stderr
    assert "KeyObjectSelectionDocument" in text
    assert "Error" not in text, text
    read = run("dsrdump", path)
    assert read.returncode == 0, read.stderr
    assert read.stdout.count("<contains IMAGE") == 3, read.stdout
    # A document of the wrong patient is no image (PS3.16 TID 2010).
    path.write_bytes(note_of(exam, 1, sop_class_uid=EncapsulatedPDFStorage))
    judged = run("dciodvfy", "-new", path)
    assert "Error" not in judged.stdout + judged.stderr
    assert "<contains COMPOSITE" in run("dsrdump", path).stdout
    assert "113038" in read.stdout or "Incorrect Modality Worklist Entry" in read.stdout
