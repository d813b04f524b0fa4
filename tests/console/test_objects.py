"""Pictures of saved objects for the panel: every kind that the box makes, one frame at a time."""

from __future__ import annotations

import io
import re
from array import array
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import generate_frames

from appliance.base.errors import ApplianceError
from appliance.console import objects
from appliance.console.objects import Pictures
from appliance.devices.text.drawing import pages_from_reading, pdf_from_pages
from appliance.devices.text.reading import Reading
from appliance.exam.exam import Exam
from appliance.exam.facts import ExamFacts
from appliance.spool.names import ObjectName
from appliance.spool.tree import Spool
from tests.compose.world import KINDS, UID, exam_on, full_entry, make_document, picture

EXAM = exam_on(full_entry())


class Place:
    """A spool with one object in it."""

    def __init__(self, state: Path) -> None:
        self.spool = Spool(state)
        self.spool.make()
        self.pictures = Pictures(self.spool, ExamFacts(self.spool.exams))

    def put(self, make: Callable[[Path, Exam | None], object], directory: Path | None = None) -> Path:
        directory = directory or self.spool.captured("film", None)
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / str(ObjectName(UID, 0, "ab" * 32, 1))
        make(path, EXAM)
        return path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def size_of(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "JPEG"
        return image.size


@pytest.mark.parametrize("kind", KINDS)
def test_ok__every_kind_is_shown(place: Place, kind: str) -> None:
    dataset = dcmread(place.put(KINDS[kind]))
    seen = place.pictures.look(UID)
    assert (seen.rows, seen.columns) == (dataset.Rows, dataset.Columns)
    assert seen.frames == int(dataset.get("NumberOfFrames", 1))
    for number in range(seen.frames):
        assert size_of(place.pictures.frame(UID, number)) == (seen.columns, seen.rows)
    width, height = size_of(place.pictures.thumbnail(UID))
    assert width <= 192 and height <= 192
    with pytest.raises(ApplianceError, match="no such frame"):
        place.pictures.frame(UID, seen.frames)


def test_ok__a_clips_frame_is_shown_as_it_lies_there(place: Place) -> None:
    path = place.put(KINDS["clip"])
    frames = list(generate_frames(dcmread(path).PixelData, number_of_frames=3))
    assert [place.pictures.frame(UID, number) for number in range(3)] == frames


def test_ok__colours_are_right(place: Place) -> None:
    place.put(KINDS["still, RGB"])
    with Image.open(io.BytesIO(place.pictures.frame(UID, 0))) as image:
        seen = image.convert("RGB").getpixel((7, 4))
    assert all(abs(int(one) - int(other)) < 40 for one, other in zip(seen, picture(15, 9)[4, 7], strict=True))  # type: ignore[arg-type]


def test_ok__a_films_grays_are_thinned_to_the_panel(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = array("H", dcmread(place.put(KINDS["film"])).PixelData)
    assert place.pictures.look(UID).view()["has_window"] is True
    assert place.pictures.grays(UID) == (15, 9, samples.tobytes())
    monkeypatch.setattr(objects, "MOST_SIDE", 5)
    columns, rows, data = place.pictures.grays(UID)
    assert (columns, rows) == (5, 3)
    assert list(array("H", data)) == [samples[row * 15 + column] for row in (0, 3, 6) for column in (0, 3, 6, 9, 12)]


@pytest.mark.parametrize("kind", ["still, RGB", "still, 8 bit gray"])
def test_ok__pixels_are_thinned_whole(place: Place, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put(KINDS[kind])
    monkeypatch.setattr(objects, "MOST_SIDE", 5)
    assert size_of(place.pictures.frame(UID, 0)) == (5, 3)
    with pytest.raises(ApplianceError, match="no more grays"):
        place.pictures.grays(UID)


@pytest.mark.parametrize("where", ["outbox", "kept", "discarded"])
def test_ok__it_is_found_where_it_lies(place: Place, where: str) -> None:
    directory = place.spool.discarded("film", None) if where == "discarded" else place.spool.state / where
    place.put(KINDS["film"], directory)
    assert place.pictures.look(UID).rows == 9


def test_fail__what_is_not_here_is_said_to_be_gone(place: Place) -> None:
    with pytest.raises(ApplianceError, match="not on the box"):
        place.pictures.look(UID)
    for uid in ("", "..", "2.25"):
        with pytest.raises(ApplianceError):
            place.pictures.look(uid)


@pytest.mark.parametrize("keep", [0, 200, -200, -40_000])
def test_fail__a_file_that_was_cut_off_is_said_not_to_be_shown(place: Place, keep: int) -> None:
    path = place.put(KINDS["film"] if keep > -300 else KINDS["clip"])
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises((ApplianceError, OSError)):
        place.pictures.frame(UID, 0)


def test_ok__a_film_is_the_same_however_it_is_stored(tmp_path: Path) -> None:
    """Compressed without loss, and with its highest sample black: bright on the screen is bright on the film."""
    seen = {}
    for number, kind in enumerate(("film", "film, JPEG-LS", "film, dark")):
        here = Place(tmp_path / str(number))
        path = here.put(KINDS[kind])
        columns, rows, samples = here.pictures.grays(UID)
        seen[kind] = (columns, rows, np.frombuffer(samples, "<u2").astype(int), int(dcmread(path).BitsStored))
    _, _, plain, bits = seen["film"]
    assert (seen["film, dark"][2] == (1 << bits) - 1 - plain).all()
    packed = seen["film, JPEG-LS"]
    assert packed[:2] != (0, 0) and packed[2].max() > packed[2].min()


def _document(pages: int) -> tuple[bytes, list[Image.Image]]:
    """A PDF as the box makes it of a machine's text, and the pages that were drawn for it."""
    lines = tuple(f"SPH {number / 4:+.2f} CYL -0.50 AXIS {number % 180}" for number in range(pages * 40))
    drawn, _ = pages_from_reading(Reading("Results", lines), "Lensmeter")
    return pdf_from_pages(drawn, "Results", datetime(2026, 11, 23, tzinfo=UTC)), [page.draw() for page in drawn]


def test_ok__a_documents_pages_are_shown_as_they_were_drawn(place: Place) -> None:
    pdf, drawn = _document(3)
    place.put(lambda path, exam: make_document(path, exam, pdf))
    view = place.pictures.look(UID).view()
    assert (view["frames"], view["is_document"], view["frame_time_ms"]) == (len(drawn), True, 0.0)
    assert len(drawn) >= 3
    for number, page in enumerate(drawn):
        with Image.open(io.BytesIO(place.pictures.frame(UID, number))) as shown:
            expected = page.convert("1", dither=Image.Dither.NONE).convert("L").resize(shown.size)
            difference = np.abs(np.asarray(shown, dtype=int) - np.asarray(expected, dtype=int))
        assert difference.mean() < 12  # the same page, made smaller
        others = [other for other in drawn if other is not page]
        assert all(difference.mean() < _difference(place.pictures.frame(UID, number), other) for other in others)
    assert max(size_of(place.pictures.thumbnail(UID))) == 192
    with pytest.raises(ApplianceError, match="no such frame"):
        place.pictures.frame(UID, len(drawn))


def _difference(data: bytes, page: Image.Image) -> float:
    with Image.open(io.BytesIO(data)) as shown:
        expected = page.convert("1", dither=Image.Dither.NONE).convert("L").resize(shown.size)
        return float(np.abs(np.asarray(shown, dtype=int) - np.asarray(expected, dtype=int)).mean())


@pytest.mark.parametrize(
    "change",
    [
        lambda pdf: b"%PDF-1.4\n%%EOF",
        lambda pdf: pdf.replace(b"/CCITTFaxDecode", b"/DCTDecode     "),
        lambda pdf: re.sub(rb"/Length \d+", b"/Length 999999999", pdf),
    ],
)
def test_fail__a_document_of_somebody_else(place: Place, change: Callable[[bytes], bytes]) -> None:
    pdf = change(_document(1)[0])
    place.put(lambda path, exam: make_document(path, exam, pdf))
    with pytest.raises(ApplianceError, match="cannot be shown"):
        place.pictures.frame(UID, 0)
