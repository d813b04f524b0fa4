"""The exported set as others read it: DCMTK, dicom3tools, GDCM, pydicom's FileSet; and names that FAT takes."""

from __future__ import annotations

import os
import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.fileset import FileSet

from appliance.exam.exam import open_exam
from appliance.exam.unscheduled import unscheduled_item_from
from appliance.export.selection import Wanted
from tests.compose.world import DEVICES, OPENED_AT
from tests.export.world import Box, patient, uid_of


def run(*command: str | Path, cwd: Path) -> str:
    """What the program prints; the test fails with it when the program does."""
    line = [f"/usr/bin/{command[0]}", *map(str, command[1:])]
    done = subprocess.run(line, cwd=cwd, capture_output=True, text=True, errors="replace", timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Box:
    """A stick with everything that makes a directory hard to write: exported once, read by all."""
    made = Box(tmp_path_factory.mktemp("media"))
    first = made.open(patient("Müller^Jörg", "PAT-1"))
    made.still(first)
    made.still(first, is_jpeg=False)
    made.clip(first)
    made.end(first)
    japanese = made.open(patient("Yamada^Tarou=山田^太郎=やまだ^たろう", "PAT-2", ["", "ISO 2022 IR 87"]))
    made.still(japanese)
    made.end(japanese)
    # Another hospital's patient of the same number.
    same = made.open(patient("Иванов^Пётр", "PAT-1", "ISO_IR 192", issuer="OTHER"))
    made.still(same)
    made.end(same, into="kept")
    running = made.open(patient("Open^Exam", "PAT-3"))
    made.still(running)
    made.still(None)
    made.still(None)
    exported = made.export()
    assert (exported.trouble, exported.findings, len(exported.safe), exported.listed) == ("", (), 8, 8)
    return made


def test_ok__what_lies_on_the_stick_is_byte_identical(box: Box) -> None:
    sources = {uid_of(path): path for path in box.spool.state.rglob("*.dcm")}
    assert set(box.on_stick()) == set(sources) and len(sources) == 8
    for uid, path in box.on_stick().items():
        assert path.read_bytes() == sources[uid].read_bytes()


def test_ok__names_are_file_ids_that_fat_takes(box: Box) -> None:
    names = [path.relative_to(box.stick).parts for path in box.stick.rglob("*")]
    assert all(len(parts) <= 8 and re.fullmatch(r"[A-Z0-9_]{1,8}", parts[-1]) for parts in names)
    folders = {"/".join(parts[:3]) for parts in names if len(parts) == 4}
    assert folders == {"/".join(exam_id.split("-")) for exam_id in box.facts.exam_ids()}


def test_ok__every_file_is_read_by_dcmtk_and_gdcm(box: Box) -> None:
    paths = box.on_stick()
    assert not re.search(r"^[WEF]:", run("dcmdump", *paths.values(), cwd=box.stick), re.MULTILINE)
    scanned = run("gdcmscanner", "-r", "-d", box.stick, "-t", "8,18", "-p", cwd=box.stick)
    assert scanned.count("(could be read)") == len(paths) + 1
    assert all(f"[{uid}" in scanned for uid in paths)


def test_ok__the_directory_is_a_valid_dicomdir(box: Box) -> None:
    directory = box.stick / "DICOMDIR"
    said = run("dciodvfy", "-new", directory, cwd=box.stick)
    assert "BasicDirectory" in said and "Error" not in said
    assert not re.search(r"^[WEF]:", run("dcmdump", directory, cwd=box.stick), re.MULTILINE)
    assert "Media Storage Directory Storage" in run("gdcminfo", directory, cwd=box.stick)


def test_ok__pydicom_finds_every_file_through_the_directory(box: Box) -> None:
    files = FileSet(box.stick / "DICOMDIR")
    found = {str(one.SOPInstanceUID): Path(one.path) for one in files}
    assert found == box.on_stick()
    assert {str(one.SOPClassUID) for one in files} == {
        "1.2.840.10008.5.1.4.1.1.7",
        "1.2.840.10008.5.1.4.1.1.7.4",
    }
    for one in files:
        header = dcmread(one.path, stop_before_pixels=True)
        assert one.PatientName == header.PatientName
        assert one.StudyInstanceUID == header.StudyInstanceUID
        assert one.TransferSyntaxUID == header.file_meta.TransferSyntaxUID


def test_ok__each_patient_record_is_one_person(box: Box) -> None:
    """Two patients of one number are two records with IDs of their own, and so are two images of nobody."""
    patients = [record for record in records_of(box.stick / "DICOMDIR") if record.DirectoryRecordType == "PATIENT"]
    told = [(str(record.PatientID), str(record.get("PatientName", ""))) for record in patients]
    assert sorted(told) == [
        ("NO-PATIENT", ""),
        ("NO-PATIENT (2)", ""),
        ("PAT-1", "Müller^Jörg"),
        ("PAT-1 (2)", "Иванов^Пётр"),
        ("PAT-2", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("PAT-3", "Open^Exam"),
    ]


def test_ok__the_records_are_those_that_dcmtk_writes(tmp_path: Path) -> None:
    """For the profile STD-GEN-USB-JPEG, which checks the files too; but for what each program calls itself."""
    box = Box(tmp_path)
    exam = box.open(patient("Müller^Jörg", "PAT-1"))
    for make in (box.still, box.clip, box.still):
        make(exam)
    box.still(exam, is_jpeg=False)
    box.export()
    (box.stick / "DICOMDIR").rename(tmp_path / "OURS")
    said = run("dcmmkdir", "--usb-and-flash-jpeg", "+r", "+D", tmp_path / "THEIRS", "+id", box.stick, cwd=tmp_path)
    assert not said
    ours, theirs = (records_of(tmp_path / name) for name in ("OURS", "THEIRS"))
    assert sorted(map(text_of, ours)) == sorted(map(text_of, theirs)) and len(ours) == 8


def test_ok__an_exam_of_a_typed_patient_has_what_a_directory_needs(tmp_path: Path) -> None:
    """Nothing scheduled gives no Study ID, which is of type 1 in the directory (PS3.3 F.5.2)."""
    box = Box(tmp_path)
    item = unscheduled_item_from("Doe^Jane", "X-1", "", "", OPENED_AT.date())
    exam = open_exam(item, DEVICES, OPENED_AT, "E000001-20261122-093015")
    box.facts.write(exam.exam_id, "exam", exam)
    box.still(exam)
    box.export()
    study = next(one for one in records_of(box.stick / "DICOMDIR") if one.DirectoryRecordType == "STUDY")
    assert (study.StudyID, study.AccessionNumber) == ("NO-NUMBER", "")
    assert "Error" not in run("dciodvfy", "-new", box.stick / "DICOMDIR", cwd=tmp_path)


def test_ok__a_document_is_listed_as_what_it_is(tmp_path: Path) -> None:
    box = Box(tmp_path)
    exam = box.open(patient("Test^One", "PAT-1"))
    box.still(exam)
    document = box.document(exam)
    box.end(exam)
    box.export()
    directory = box.stick / "DICOMDIR"
    assert "Error" not in run("dciodvfy", "-new", directory, cwd=tmp_path)
    assert not re.search(r"^[WEF]:", run("dcmdump", directory, cwd=tmp_path), re.MULTILINE)
    records = dcmread(directory).DirectoryRecordSequence
    kinds = [record.DirectoryRecordType for record in records]
    assert sorted(kinds) == ["ENCAP DOC", "IMAGE", "PATIENT", "SERIES", "SERIES", "STUDY"]
    (record,) = (one for one in records if one.DirectoryRecordType == "ENCAP DOC")
    assert record.DocumentTitle == "Densitometer: Ergebnisse für Ärzte"
    assert record.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert uid_of(document) in {str(one.SOPInstanceUID) for one in FileSet(directory)}


def test_ok__a_rejection_note_is_listed_as_what_it_is(tmp_path: Path) -> None:
    """A reader that takes it for an image finds no pixels."""
    box = Box(tmp_path)
    exam = box.open(patient("Test^One", "PAT-1"))
    image = box.still(exam)
    note = box.note(exam, uid_of(image))
    box.end(exam)
    box.export()
    directory = box.stick / "DICOMDIR"
    assert "Error" not in run("dciodvfy", "-new", directory, cwd=tmp_path)
    records = dcmread(directory).DirectoryRecordSequence
    (record,) = (one for one in records if one.DirectoryRecordType == "KEY OBJECT DOC")
    assert record.ReferencedSOPInstanceUIDInFile == uid_of(note)
    assert record.ConceptNameCodeSequence[0].CodeValue == "113038"
    assert record.InstanceNumber == 1 and record.ContentDate and record.ContentTime


def test_ok__images_stand_in_the_order_of_their_numbers(box: Box) -> None:
    numbers: list[tuple[str, int]] = []
    for record in records_of(box.stick / "DICOMDIR"):
        if record.DirectoryRecordType == "SERIES":
            series = str(record.SeriesInstanceUID)
        elif record.DirectoryRecordType == "IMAGE":
            numbers.append((series, int(record.InstanceNumber)))
    assert all(second > first for (one, first), (two, second) in pairwise(numbers) if one == two)


def test_ok__a_directory_that_is_ours_grows_with_the_next_export(tmp_path: Path) -> None:
    box = Box(tmp_path)
    first = box.open(patient("First^One", "PAT-1"))
    box.still(first)
    box.end(first)
    box.export()
    second = box.open(patient("Second^One", "PAT-2"))
    box.still(second)
    box.end(second)
    exported = box.export(Wanted(exams=(second.exam_id,)))
    assert (len(exported.safe), exported.listed) == (1, 2)
    assert len(list(FileSet(box.stick / "DICOMDIR"))) == 2


def test_ok__neither_links_nor_modes_are_asked_of_the_medium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAT has none; the box's own files were all written before."""
    box = Box(tmp_path)
    box.still(None)
    box.export()

    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    box.still(None)
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "symlink", refuse)
    real = os.chmod
    monkeypatch.setattr(os, "chmod", lambda path, *rest: refuse() if "fd" in str(path) else real(path, *rest))
    exported = box.export()
    assert (exported.trouble, exported.listed) == ("", 2)


def records_of(path: Path) -> list[Dataset]:
    return list(dcmread(path).DirectoryRecordSequence)


def text_of(record: Dataset) -> str:
    """The record without its offsets, which depend on the order."""
    keys = {0x00041400, 0x00041420}
    return "\n".join(str(element) for element in record if int(element.tag) not in keys)
