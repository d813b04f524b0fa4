"""An object's header read back, and files that are none."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.spool import summary
from appliance.spool.summary import DamagedObjectError, read_summary
from tests.peers import save_object, small_object

NAME = "Okafor^Adaeze"
PATIENT = "HS-102290"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield save_object(tmp_path_factory.mktemp("object"), small_object(uid="1.2.3", patient_id=PATIENT, name=NAME))


def test_ok__what_the_header_says(path: Path) -> None:
    summary = read_summary(path)
    assert (summary.sop_instance_uid, summary.patient_id, summary.accession_number) == ("1.2.3", PATIENT, "ACC00001")
    assert summary.sop_class_uid == "1.2.840.10008.5.1.4.1.1.7"
    assert summary.transfer_syntax_uid == "1.2.840.10008.1.2.1"
    assert (summary.modality, summary.frames, summary.captured_at) == ("US", 1, "20261122093000.250000")
    assert (summary.bytes, summary.saved_at.timestamp()) == (path.stat().st_size, pytest.approx(path.stat().st_mtime))
    assert summary.study_instance_uid.startswith("2.25.") and summary.series_instance_uid.startswith("2.25.")


def test_ok__an_object_of_nobody_and_of_many_frames(tmp_path: Path) -> None:
    instance = small_object(uid="1.2.4", patient_id="")
    instance.AccessionNumber = ""
    instance.NumberOfFrames = "120"
    del instance.Modality
    summary = read_summary(save_object(tmp_path, instance))
    assert (summary.patient_id, summary.accession_number, summary.modality, summary.frames) == ("", "", "", 120)


def test_ok__the_moment_of_capture_has_the_objects_offset_from_utc(tmp_path: Path) -> None:
    instance = small_object(uid="1.2.5")
    instance.TimezoneOffsetFromUTC = "-0330"
    assert read_summary(save_object(tmp_path, instance)).captured_at == "20261122093000.250000-0330"


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 200, b"\0" * 128 + b"DICM", b"\0" * 128 + b"DICM\x02\x00"])
def test_fail__a_file_that_is_no_object(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.dcm").write_bytes(content)
    with pytest.raises(DamagedObjectError, match=r"file\.dcm is not a readable object"):
        read_summary(tmp_path / "file.dcm")


def test_ok__what_the_medium_gives_wrongly_once_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_object(tmp_path, small_object())
    expected = read_summary(path)
    content = path.read_bytes()
    read, readings = summary.dcmread, iter([content.replace(b"DICM", b"DICL", 1)[:200], content])
    monkeypatch.setattr(summary, "dcmread", lambda _path, **given: read(BytesIO(next(readings)), **given))
    assert read_summary(path) == expected


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"])
def test_fail__an_object_without_its_identity(tmp_path: Path, keyword: str) -> None:
    path = save_object(tmp_path, small_object())
    instance = small_object()
    delattr(instance, keyword)
    instance.save_as(path, enforce_file_format=False)
    with pytest.raises(DamagedObjectError):
        read_summary(path)


def test_fail__a_medium_that_cannot_be_read_is_another_thing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_summary(tmp_path / "none.dcm")
    with pytest.raises(IsADirectoryError):
        read_summary(tmp_path)


@pytest.mark.filterwarnings("ignore::UserWarning")
@given(st.data())
def test_fail__a_damaged_object_is_damaged_or_readable_and_never_names_the_patient(
    path: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(128, len(content) - 1))] = data.draw(st.integers(0, 255))
    spoiled = tmp_path_factory.getbasetemp() / "spoiled.dcm"
    spoiled.write_bytes(content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))])
    try:
        read_summary(spoiled)
    except DamagedObjectError as error:
        assert "Okafor" not in str(error) and PATIENT not in str(error)
