"""Encapsulated PDF, judged by those who did not make it: dciodvfy, DCMTK, pydicom's reader, and Ghostscript."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image, ImageChops
from pydicom import dcmread

from appliance.compose.attributes import CLOCK_IN_DOUBT
from appliance.config.text_profiles import load_profile
from appliance.devices.text.drawing import DPI, pages_from_reading, pdf_from_pages
from appliance.devices.text.reading import reading_from_text
from appliance.exam.exam import Exam
from tests.compose.test_objects import ALLOWED_WARNINGS, EXAMS
from tests.compose.world import SERIAL, UID, gray_frame, make_document, make_still, run

LENSES = b"DLM\x02IDNIDEK/LM-600P\x17 R-06.50-01.50010\x17PR00.00I\x17 L-05.75-01.50179\x17"


@pytest.fixture(scope="module")
def pdf() -> bytes:
    pages, _ = pages_from_reading(reading_from_text(LENSES, load_profile("nidek-lm")), "Lensmeter")
    return pdf_from_pages(pages, "Lensmeter", datetime(2026, 11, 23, tzinfo=UTC))


@pytest.mark.parametrize("exam", EXAMS.values(), ids=EXAMS)
@pytest.mark.parametrize("is_trusted", [True, False])
def test_ok__dciodvfy_finds_nothing(tmp_path: Path, pdf: bytes, exam: Exam | None, is_trusted: bool) -> None:
    made = make_document(tmp_path / "document.dcm", exam, pdf, is_trusted)
    said = run("dciodvfy", "-new", made.path)
    lines = (said.stdout + said.stderr).splitlines()
    assert any("EncapsulatedPDF" in line for line in lines), lines  # it knew what it judged
    assert [line for line in lines if "Error" in line] == []
    warnings = [line for line in lines if "Warning" in line]
    assert [line for line in warnings if not any(part in line for part in ALLOWED_WARNINGS)] == []
    dumped = run("dcmdump", made.path)
    assert (dumped.returncode, dumped.stderr) == (0, "")


@pytest.mark.parametrize("rest", [b"", b"\n"])
def test_ok__the_file_comes_back_and_stands_beside_the_images(tmp_path: Path, pdf: bytes, rest: bytes) -> None:
    exam = EXAMS["everything scheduled"]
    made = make_document(tmp_path / "document.dcm", exam, pdf + rest)
    dataset = dcmread(made.path)
    image = dcmread(make_still(tmp_path / "image.dcm", exam, SERIAL, gray_frame()).path)
    assert dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength] == pdf + rest
    assert (dataset.SOPClassUID, dataset.SOPInstanceUID) == ("1.2.840.10008.5.1.4.1.1.104.1", UID)
    assert dataset.MIMETypeOfEncapsulatedDocument == "application/pdf"
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "StudyDate", "AccessionNumber", "Modality"):
        assert dataset[keyword] == image[keyword]
    assert dataset.SeriesInstanceUID != image.SeriesInstanceUID
    assert dataset.AcquisitionDateTime == "20261122094107.250000+0100"
    assert run("pdf2dcm", "--version").returncode == 0
    taken = run("dcm2pdf", made.path, tmp_path / "taken.pdf")  # DCMTK's reader of these objects
    assert taken.returncode == 0, taken.stderr
    assert (tmp_path / "taken.pdf").read_bytes()[: len(pdf)] == pdf


def test_ok__a_doubt_of_the_clock_stands_in_the_title(tmp_path: Path) -> None:
    dataset = dcmread(make_document(tmp_path / "document.dcm", None, is_trusted=False).path)
    assert dataset.DocumentTitle == f"Lensmeter: Results. {CLOCK_IN_DOUBT}"


def test_ok__the_pdfs_pages_are_the_images_pixel_for_pixel_in_two_colours(tmp_path: Path) -> None:
    payload = LENSES + b"X" * 4000 + b"\x17" + b"".join(b"line %d\x17" % number for number in range(100))
    pages, is_cut = pages_from_reading(reading_from_text(payload, load_profile("nidek-lm")), "Lensmeter")
    assert len(pages) == 4 and not is_cut
    (tmp_path / "file.pdf").write_bytes(pdf_from_pages(pages, "Lensmeter", datetime(2026, 11, 23, tzinfo=UTC)))
    options = ["-q", "-dSAFER", "-dNOPAUSE", "-dBATCH", "-sDEVICE=pbmraw", f"-r{DPI}"]
    drawn = run("gs", *options, f"-sOutputFile={tmp_path}/page%d.pbm", tmp_path / "file.pdf")
    assert drawn.returncode == 0, drawn.stderr
    assert len(list(tmp_path.glob("*.pbm"))) == 4
    for number, page in enumerate(pages, 1):
        with Image.open(tmp_path / f"page{number}.pbm") as seen:
            expected = page.draw().convert("1", dither=Image.Dither.NONE)
            assert ImageChops.difference(seen.convert("L"), expected.convert("L")).getbbox() is None
            assert seen.convert("L").getextrema() == (0, 255)
