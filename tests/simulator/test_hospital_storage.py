"""Storage as DCMTK's storescu sees it, and what lies on the disk afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread, uid
from pydicom.dataset import Dataset
from pynetdicom import _config

from appliance.base.uids import new_uid
from tests.peers import SECONDARY_CAPTURE, small_object
from tests.simulator.datasets import encapsulated_object
from tests.simulator.hospitals import Hospital, run_dcmtk


def save(directory: Path, instance: Dataset) -> Path:
    path = directory / f"{instance.SOPInstanceUID}.dcm"
    instance.save_as(path, enforce_file_format=True)
    return path


def test_ok__echo(hospital: Hospital) -> None:
    assert run_dcmtk("echoscu", "127.0.0.1", str(hospital.port)).returncode == 0


@pytest.mark.parametrize(
    ("option", "syntax"),
    [
        ("-xe", uid.ExplicitVRLittleEndian),
        ("-xi", uid.ImplicitVRLittleEndian),
        ("-xy", uid.JPEGBaseline8Bit),
        ("-xs", uid.JPEGLosslessSV1),
        ("-xt", uid.JPEGLSLossless),
        ("-xv", uid.JPEG2000Lossless),
        ("-xr", uid.RLELossless),
        ("-xm", uid.MPEG2MPML),
        ("-xn", uid.MPEG4HP41),
    ],
)
def test_ok__transfer_syntaxes(hospital: Hospital, tmp_path: Path, option: str, syntax: uid.UID) -> None:
    fragment = bytes(range(256)) * 4
    instance = encapsulated_object(syntax, fragment) if syntax.is_encapsulated else small_object()
    path = save(tmp_path, instance)
    done = run_dcmtk("storescu", "-R", option, "127.0.0.1", str(hospital.port), path)
    assert done.returncode == 0, done.stdout
    kept = dcmread(hospital.objects()[instance.SOPInstanceUID])
    assert kept.file_meta.TransferSyntaxUID == syntax
    assert kept.PatientName == instance.PatientName
    if syntax.is_encapsulated:
        assert fragment in kept.PixelData
    else:
        assert kept.PixelData == instance.PixelData


@pytest.mark.parametrize(
    "sop_class",
    [
        "1.2.840.10008.5.1.4.1.1.7.2",  # Multi-frame Grayscale Byte Secondary Capture
        "1.2.840.10008.5.1.4.1.1.7.3",  # Multi-frame Grayscale Word Secondary Capture
        "1.2.840.10008.5.1.4.1.1.7.4",  # Multi-frame True Color Secondary Capture
        "1.2.840.10008.5.1.4.1.1.77.1.1",  # VL Endoscopic
        "1.2.840.10008.5.1.4.1.1.77.1.1.1",  # Video Endoscopic
        "1.2.840.10008.5.1.4.1.1.6.1",  # Ultrasound
        "1.2.840.10008.5.1.4.1.1.104.1",  # Encapsulated PDF
    ],
)
def test_ok__storage_classes(hospital: Hospital, sop_class: str) -> None:
    instance = small_object()
    instance.SOPClassUID = sop_class
    assert hospital.store(instance) == [0x0000]
    kept = dcmread(hospital.objects()[instance.SOPInstanceUID])
    assert kept.file_meta.MediaStorageSOPClassUID == sop_class


def test_ok__the_bytes_are_kept_as_received(
    hospital: Hospital, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent from the file, not re-encoded: the data set behind the file meta information must be the very bytes."""
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)
    instance = small_object(size=512)
    path = save(tmp_path, instance)
    with hospital.associated(SECONDARY_CAPTURE) as association:
        assert association.send_c_store(path).Status == 0x0000
    sent, kept = path.read_bytes(), hospital.objects()[instance.SOPInstanceUID].read_bytes()
    assert _data_set_of(kept) == _data_set_of(sent)


def _data_set_of(content: bytes) -> bytes:
    """Behind preamble (128), DICM (4), (0002,0000) UL (8 + 4) and the group's length that it tells."""
    length = int.from_bytes(content[140:144], "little")
    return content[144 + length :]


def test_ok__the_same_again_is_kept_once(hospital: Hospital) -> None:
    instance = small_object()
    assert hospital.store(instance, instance) == [0x0000, 0x0000]
    assert hospital.store(instance) == [0x0000]
    assert hospital.conflicts(instance.SOPInstanceUID) == []


def test_ok__other_content_under_the_uid_is_a_conflict(hospital: Hospital) -> None:
    first = small_object()
    second = small_object(uid=first.SOPInstanceUID)
    second.StudyInstanceUID, second.PixelData = first.StudyInstanceUID, bytes(64)
    assert hospital.store(first, second, second) == [0x0000, 0x0000, 0x0000]
    assert dcmread(hospital.objects()[first.SOPInstanceUID]).PixelData == first.PixelData
    (conflict,) = hospital.conflicts(first.SOPInstanceUID)
    assert dcmread(conflict).PixelData == bytes(64)
    assert f"store {first.SOPInstanceUID}: other content" in hospital.log.read_text()


def test_fail__command_and_data_set_name_different_objects(hospital: Hospital, tmp_path: Path) -> None:
    instance = small_object()
    announced = new_uid()
    instance.file_meta.MediaStorageSOPInstanceUID = announced
    instance.file_meta.MediaStorageSOPClassUID = SECONDARY_CAPTURE
    with hospital.associated(SECONDARY_CAPTURE) as association, pytest.MonkeyPatch.context() as patch:
        patch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)
        path = tmp_path / "lying.dcm"
        instance.preamble = bytes(128)
        instance.save_as(path, enforce_file_format=False)
        status = association.send_c_store(path).Status
    assert status == 0xA900
    assert not {announced, instance.SOPInstanceUID} & set(hospital.objects())


def test_ok__objects_and_their_restart(start_own_hospital) -> None:
    own = start_own_hospital()
    first, second = small_object(), small_object()
    assert own.store(first) == [0x0000]
    own.kill()
    (own.state / "objects" / ".part-1-left.dcm").write_bytes(b"half")
    own.start()
    assert own.store(first, second) == [0x0000, 0x0000]
    assert sorted(own.objects()) == sorted([first.SOPInstanceUID, second.SOPInstanceUID])
    assert not list((own.state / "objects").glob(".part-*"))
    assert own.conflicts(first.SOPInstanceUID) == []
