"""Every kind of object, judged by those who did not make it: dciodvfy, DCMTK, GDCM, and pydicom's reader."""

from __future__ import annotations

import hashlib
import io
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom import FileDataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.encaps import generate_frames

from appliance.base.durable import SECTOR_BYTES
from appliance.base.errors import ApplianceError
from appliance.compose.attributes import DOCUMENT, OBJECT
from appliance.compose.encode import Slot, format_frame_time
from appliance.compose.instance import compose_clip, compose_film, compose_still
from appliance.compose.pixels import film_form_from, format_ratio, pixel_form_from
from appliance.compose.rows import Rows
from appliance.exam.exam import Exam
from tests.compose.world import (
    ALLOWED_ERROR,
    FILM,
    GRABBER,
    KINDS,
    SERIAL,
    UID,
    Made,
    clip_frames,
    ends_with_delimiter,
    exam_on,
    full_entry,
    gray16_frame,
    gray_frame,
    jpeg,
    jpeg_frame,
    make_clip,
    make_document,
    make_film,
    make_still,
    origins_of,
    picture,
    run,
    sparse_entry,
)

EXAMS: dict[str, Exam | None] = {
    "everything scheduled": exam_on(full_entry()),
    "next to nothing scheduled": exam_on(sparse_entry()),
    "unassigned": None,
}

# What dciodvfy may warn of, and why it stays. One that never comes must go from here.
ALLOWED_WARNINGS = {
    "</Laterality(0020,0060)> - is only permitted to be empty when actually unknown": (
        "nobody tells the box the side; absent would claim that the body part is unpaired (PS3.3 C.7.3.1, 2C)"
    ),
    "Unrecognized defined term = <99HOSP>": "a hospital's own coding scheme, as its worklist sent it (PS3.3 8.2)",
    "- Attribute is not present in standard DICOM IOD": "a Standard Extended SOP Class: each of them is held below",
    "</StudyID(0020,0010)> - Missing attribute or value that would be needed to build DICOMDIR": (
        "the worklist has no Requested Procedure ID, or there is no exam; nothing is invented"
    ),
    "</PatientID(0010,0020)> - Missing attribute or value that would be needed to build DICOMDIR": (
        "an unassigned object: nobody has said yet whose it is"
    ),
    "= <Nobody> - Retired Person Name form": "the worklist sent a name without components",
}

SOP_CLASSES = {
    "still": "1.2.840.10008.5.1.4.1.1.7",
    "page": "1.2.840.10008.5.1.4.1.1.7",
    "clip": "1.2.840.10008.5.1.4.1.1.7.4",
}
SOP_CLASSES |= {"film": "1.2.840.10008.5.1.4.1.1.7.3", "film, 8 bit": "1.2.840.10008.5.1.4.1.1.7.2"}
SOP_CLASSES["film, JPEG-LS, 8 bit"] = SOP_CLASSES["film, 8 bit"]
SOP_CLASSES |= {"film, dark": SOP_CLASSES["still"], "film, density": SOP_CLASSES["still"]}


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Made]:
    """Each kind for each exam, as files."""
    directory = tmp_path_factory.mktemp("objects")
    return {
        (kind, whose): make(directory / f"{kind}-{whose}.dcm".replace(" ", "_").replace(":", ""), exam)
        for kind, make in KINDS.items()
        for whose, exam in EXAMS.items()
    }


def test_ok__dciodvfy_finds_no_error_and_no_warning_without_a_reason(objects: dict[tuple[str, str], Made]) -> None:
    errors: list[str] = []
    warnings: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for key, made in objects.items():
        said = run("dciodvfy", "-new", made.path)
        lines = (said.stdout + said.stderr).splitlines()
        assert any("SCImage" in line for line in lines), (key, lines)  # it knew what it judged
        errors += [f"{key}: {line}" for line in lines if "Error" in line]
        for line in lines:
            if "Warning" in line:
                warnings[line].append(key)
    assert {error.partition("'")[2].partition("'")[0] for error in errors if ALLOWED_ERROR in error} == {
        "film, density"
    }
    assert not [error for error in errors if ALLOWED_ERROR not in error]
    unexplained = {line: keys for line, keys in warnings.items() if not any(part in line for part in ALLOWED_WARNINGS)}
    assert not unexplained
    assert not [part for part in ALLOWED_WARNINGS if not any(part in line for line in warnings)], "explained in vain"


def beyond_iod(rows: Rows, above: str = "") -> Iterator[str]:
    for row in rows:
        path = f"{above}/{row.keyword}"
        yield from (path,) if row.beyond_iod else beyond_iod(row.item, path)


def test_ok__what_no_module_has_is_what_is_said_to_be_beyond_it(tmp_path: Path) -> None:
    """By dciodvfy, of objects with everything that a worklist may say: no class is extended by anything else."""
    found: set[str] = set()
    exam = EXAMS["everything scheduled"]
    made = [make(tmp_path / f"{number}.dcm", exam).path for number, make in enumerate(KINDS.values())]
    for path in (*made, make_document(tmp_path / "document.dcm", exam).path):
        for line in (run("dciodvfy", "-new", path).stderr or "").splitlines():
            if "not present in standard DICOM IOD" in line:
                found.add(re.sub(r"\(....,....\)(\[\d+\])?", "", line.split("<")[1].split(">")[0]))
    stated = set(beyond_iod(OBJECT)) | set(beyond_iod(DOCUMENT))
    # What stands in the item of one that is beyond is beyond with it.
    assert {one for one in found if not any(one.startswith(f"{path}/") for path in stated)} == stated


def test_ok__dcmtk_and_gdcm_read_every_object(objects: dict[tuple[str, str], Made]) -> None:
    for key, made in objects.items():
        dumped = run("dcmdump", made.path)
        assert dumped.returncode == 0, (key, dumped.stderr)
        assert "W:" not in dumped.stderr and "E:" not in dumped.stderr, (key, dumped.stderr)
        seen = run("gdcminfo", made.path)
        assert seen.returncode == 0, (key, seen.stderr)
        dataset = dcmread(made.path)
        dimensions = f"({dataset.Columns},{dataset.Rows},{dataset.get('NumberOfFrames', 1)})"
        assert f"Dimensions: {dimensions}" in seen.stdout.replace(", ", ","), (key, seen.stdout)


def test_ok__identity_and_class(objects: dict[tuple[str, str], Made]) -> None:
    for (kind, _), made in objects.items():
        dataset = dcmread(made.path)
        assert (
            dataset.SOPClassUID
            == SOP_CLASSES.get(kind, SOP_CLASSES[kind.partition(",")[0]])
            == made.composed.sop_class_uid
        )
        assert dataset.SOPInstanceUID == UID == made.composed.sop_instance_uid
        assert dataset.file_meta.MediaStorageSOPInstanceUID == UID
        assert dataset.file_meta.MediaStorageSOPClassUID == dataset.SOPClassUID
        assert dataset.file_meta.TransferSyntaxUID == made.composed.transfer_syntax_uid
        assert dataset.StudyDate == "20261122"
        assert dataset.TimezoneOffsetFromUTC == "+0100"
        assert [element.tag for element in dataset] == sorted(element.tag for element in dataset)


def _fragments(dataset: FileDataset) -> list[bytes]:
    return list(generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames", 1))))


@pytest.mark.parametrize("is_odd", [True, False])
@pytest.mark.parametrize("subsampling", ["4:2:2", "4:2:0", "4:4:4", "gray"])
def test_ok__a_jpeg_image_is_kept_bit_for_bit(tmp_path: Path, subsampling: str, is_odd: bool) -> None:
    data = jpeg(
        gray=subsampling == "gray", is_odd=is_odd, **({} if subsampling == "gray" else {"subsampling": subsampling})
    )
    made = make_still(tmp_path / "still.dcm", None, GRABBER, jpeg_frame(data))
    dataset = dcmread(made.path)
    assert _fragments(dataset) == [data + b"\0" * is_odd]
    assert dataset.PhotometricInterpretation == ("MONOCHROME2" if subsampling == "gray" else "YBR_FULL_422")
    assert (dataset.LossyImageCompression, dataset.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    uncompressed = 48 * 32 * (1 if subsampling == "gray" else 3)
    assert float(dataset.LossyImageCompressionRatio) == pytest.approx(uncompressed / len(data), abs=0.01)
    assert ends_with_delimiter(made)


@pytest.mark.parametrize("subsampling", ["4:2:2", "4:2:0", "4:4:4"])
def test_ok__dcmtk_shows_the_colours_that_were_there(tmp_path: Path, subsampling: str) -> None:
    """However the chrominance was sampled, "YBR_FULL_422" must not lead a decoder astray."""
    made = make_still(tmp_path / "still.dcm", None, GRABBER, jpeg_frame(jpeg(subsampling=subsampling, is_odd=True)))
    shown = run("dcmj2pnm", "+op", made.path, tmp_path / "shown.ppm")
    assert shown.returncode == 0, shown.stderr
    with Image.open(tmp_path / "shown.ppm") as image, Image.open(io.BytesIO(made.pixels)) as kept:
        difference = np.abs(np.asarray(image, int) - np.asarray(kept.convert("RGB"), int))
    assert difference.mean() < 6


def test_ok__a_clip_keeps_every_frame_bit_for_bit(tmp_path: Path) -> None:
    frames = clip_frames()
    made = make_clip(tmp_path / "clip.dcm", None, frames)
    dataset = dcmread(made.path)
    assert _fragments(dataset) == [frame + b"\0" * (len(frame) % 2) for frame in frames]
    assert dataset.NumberOfFrames == 3
    assert float(dataset.FrameTime) == 33.3667
    assert dataset.FrameIncrementPointer == 0x00181063
    assert float(dataset.LossyImageCompressionRatio) == pytest.approx(3 * 48 * 32 * 3 / sum(map(len, frames)), abs=0.01)
    assert ends_with_delimiter(made)
    # DCMTK takes the fragments apart by itself; the first is the empty offset table.
    (tmp_path / "raw").mkdir()
    assert run("dcmdump", "+W", tmp_path / "raw", made.path).returncode == 0
    raw = sorted((tmp_path / "raw").iterdir(), key=lambda path: int(path.suffixes[-2].strip(".")))
    assert [path.read_bytes() for path in raw] == [b"", *(frame + b"\0" * (len(frame) % 2) for frame in frames)]


@pytest.mark.parametrize(
    ("make", "bits", "dtype", "samples"),
    [
        ("still, RGB", (8, 8, 7), "u1", 3),
        ("still, RGB that was JPEG", (8, 8, 7), "u1", 3),
        ("still, 8 bit gray", (8, 8, 7), "u1", 1),
        ("still, 12 bit gray", (16, 12, 11), "<u2", 1),
        ("film", (16, 16, 15), "<u2", 1),
    ],
)
def test_ok__uncompressed_pixels_come_back(
    tmp_path: Path, make: str, bits: tuple[int, int, int], dtype: str, samples: int
) -> None:
    made = KINDS[make](tmp_path / "object.dcm", EXAMS["everything scheduled"])
    dataset = dcmread(made.path)
    expected = np.frombuffer(made.pixels, dtype).reshape((9, 15, 3) if samples == 3 else (9, 15))
    assert np.array_equal(dataset.pixel_array, expected)
    assert (dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit) == bits
    assert dataset.SamplesPerPixel == samples
    assert dataset.get("PlanarConfiguration") == (0 if samples == 3 else None)
    assert len(dataset.PixelData) == len(made.pixels) + len(made.pixels) % 2  # 15 x 9 samples of 8 bits are odd
    lossy = "that was JPEG" in make
    assert dataset.LossyImageCompression == ("01" if lossy else "00")
    assert ("LossyImageCompressionRatio" in dataset) == lossy
    if lossy:
        assert float(dataset.LossyImageCompressionRatio) == pytest.approx(15 * 9 * 3 / 100, abs=0.01)
    # An independent reader of the pixels: GDCM writes them as they are.
    raw = tmp_path / "pixels"
    assert run("gdcmraw", "-i", made.path, "-o", raw).returncode == 0
    assert raw.read_bytes()[: len(made.pixels)] == made.pixels


@pytest.mark.parametrize("frame", [gray_frame(3, 3), gray_frame(4, 3), gray16_frame(3, 3)])
def test_ok__values_have_an_even_length(tmp_path: Path, frame: object) -> None:
    made = make_still(tmp_path / "still.dcm", None, SERIAL, frame)  # type: ignore[arg-type]
    assert made.path.stat().st_size % 2 == 0
    assert dcmread(made.path).PixelData[: len(made.pixels)] == made.pixels


def test_ok__a_film_says_where_its_pixels_lie_on_the_film(tmp_path: Path) -> None:
    dataset = dcmread(make_film(tmp_path / "film.dcm", None).path)
    assert [float(one) for one in dataset.NominalScannedPixelSpacing] == pytest.approx([25.4 / 150] * 2, rel=1e-5)
    assert (dataset.NumberOfFrames, dataset.ConversionType, dataset.PresentationLUTShape) == (1, "DF", "IDENTITY")
    assert (dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType) == (0, 1, "US")
    assert "FrameIncrementPointer" not in dataset


@pytest.mark.parametrize("whose", EXAMS)
def test_ok__the_slots_of_a_clip_are_where_a_reader_finds_the_values(whose: str) -> None:
    """Also behind texts whose length in bytes is not their length in characters."""
    exam = EXAMS[whose]
    composed = compose_clip(origins_of(exam, GRABBER), pixel_form_from(jpeg_frame(clip_frames()[0])), 1000 / 29.97)
    dataset = dcmread(io.BytesIO(composed.header), stop_before_pixels=True)
    assert set(composed.slots) == {"NumberOfFrames", "FrameTime", "LossyImageCompressionRatio"}
    for keyword, slot in composed.slots.items():
        raw = dataset.get_item(keyword)
        assert isinstance(raw, RawDataElement)
        assert (raw.value_tell, raw.length) == (slot.position, slot.width), keyword
    widths = {keyword: slot.width for keyword, slot in composed.slots.items()}
    assert widths == {"NumberOfFrames": 12, "FrameTime": 16, "LossyImageCompressionRatio": 16}  # VR IS and DS
    # What is there before it is patched is what a salvage without any patch may be read with.
    assert (dataset.NumberOfFrames, float(dataset.FrameTime)) == (1, pytest.approx(33.366700, abs=1e-6))


def test_fail__a_slot_takes_no_value_that_is_too_long() -> None:
    composed = compose_clip(origins_of(None, GRABBER), pixel_form_from(jpeg_frame(clip_frames()[0])), 40.0)
    slot = composed.slots["NumberOfFrames"]
    assert slot.fill("120") == b"120         "
    with pytest.raises(ValueError, match="does not fit"):
        slot.fill("1" * 13)


@given(st.integers(0, 4 * SECTOR_BYTES), st.sampled_from([12, 16]), st.data())
def test_ok__a_slot_that_is_torn_between_sectors_has_the_old_value_or_the_new(
    position: int, width: int, data: st.DataObject
) -> None:
    """Whatever is patched there has at most half the slot's width: six digits of frames, eight characters of DS."""
    value = st.from_regex(rf"[0-9]{{1,{width // 2}}}", fullmatch=True)
    slot, old, new = Slot(position, width), data.draw(value), data.draw(value)
    front = -position % SECTOR_BYTES
    before, after = slot.fill(old), slot.fill(new)
    assert len(before) == width and before.decode().strip() == old
    for torn in (before[:front] + after[front:], after[:front] + before[front:]):
        assert torn.decode().strip() in (old, new)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(1000 / 29.97, "33.36670"), (1000 / 60, "16.66667"), (40.0, "40.00000"), (2000.0, "2000.000"), (0.5, "0.50000")],
)
def test_ok__a_frame_time_fits_into_half_its_slot(milliseconds: float, text: str) -> None:
    assert format_frame_time(milliseconds) == text
    assert len(format_frame_time(10.0**12)) == len("99999999")


def test_ok__nobody_is_in_an_unassigned_object(tmp_path: Path) -> None:
    for kind, make in KINDS.items():
        first, second = (dcmread(make(tmp_path / name, None).path) for name in ("a.dcm", "b.dcm"))
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"):
            assert keyword in first and not first[keyword].value, (kind, keyword)
        for keyword in (
            "RequestAttributesSequence",
            "ReferencedPerformedProcedureStepSequence",
            "PerformedProcedureStepID",
            "OperatorsName",
            "StudyDescription",
        ):
            assert keyword not in first, (kind, keyword)
        # Each in a study of its own: nobody knows yet what belongs together.
        assert first.StudyInstanceUID != second.StudyInstanceUID
        assert first.SeriesInstanceUID != second.SeriesInstanceUID
        assert (first.StudyDate, first.StudyTime) == ("20261122", "094107.250000")  # of the capture


def test_ok__a_repeated_composition_gives_the_same_bytes() -> None:
    """A retry after a crash must not make another object under the same UID (DESIGN, invariant 3)."""
    exam = EXAMS["everything scheduled"]
    frame = gray_frame()
    made = [compose_still(origins_of(exam, SERIAL), pixel_form_from(frame), len(frame.data)) for _ in range(2)]
    assert len({hashlib.sha256(one.header + one.trailer).hexdigest() for one in made}) == 1


def test_fail__a_clip_of_gray_frames_is_refused_in_a_sentence() -> None:
    form = pixel_form_from(jpeg_frame(jpeg(gray=True, is_odd=False)))
    with pytest.raises(ApplianceError, match="MONOCHROME2, which a clip cannot hold") as refused:
        compose_clip(origins_of(None, GRABBER), form, 40.0)
    assert refused.value.suggestion


def test_fail__what_no_object_can_hold_is_refused_before_a_byte_is_written() -> None:
    with pytest.raises(ApplianceError, match="Lower the resolution"):
        compose_film(origins_of(None, FILM), film_form_from(40_000, 40_000, 16), 4800)


@pytest.mark.parametrize(
    ("uncompressed", "compressed", "text"),
    [(6_220_800, 317_000, "19.62"), (10, 10, "1.00"), (1, 0, "1.00"), (10**12, 1, "99999.00"), (1, 3, "0.33")],
)
def test_ok__ratios_fit_their_slot(uncompressed: int, compressed: int, text: str) -> None:
    assert format_ratio(uncompressed, compressed) == text
    assert re.fullmatch(r"[0-9.]{1,8}", text)


def test_ok__pictures_of_the_tests_are_not_flat() -> None:
    assert picture(48, 32).std() > 50
