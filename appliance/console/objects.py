"""Saved objects as the panel shows them: where one lies, what it is, and its pictures one by one.

Of a clip one frame is read, as it lies in the object; of uncompressed pixels only those that the panel can show. A film
that is compressed without loss is in memory while it is decoded, up to 96 MB of it.
"""

from __future__ import annotations

import io
import mmap
import struct
import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from appliance.base.errors import ApplianceError
from appliance.base.jpeg_ls import decode_jpeg_ls
from appliance.console.documents import Page, jpeg_from_page, pages_in
from appliance.exam.facts import ExamFacts
from appliance.spool.names import object_name_from
from appliance.spool.tree import UNASSIGNED, Spool

if TYPE_CHECKING:
    from pydicom import Dataset

THUMBNAIL_SIZE = (192, 144)
# What the largest panel shows; the browser makes it smaller.
MOST_SIDE = 1600
_MOST_FRAME_BYTES = 32 * 1024 * 1024
_MOST_DECODED_BYTES = 96 * 1024 * 1024
_MOST_FRAMES = 200_000
# What is longer is no header's: a document, which is read where its pages are wanted.
_DEFERRED_BYTES = 64 * 1024
_ITEM = struct.Struct("<HHL")
_REMEMBERED = 4
_JPEG_QUALITY = 85


@dataclass(frozen=True, slots=True)
class Picture:
    """How an object's frames lie in its file. `pixels_at` is where the first begins; of coded ones the first item.

    `is_dark`: its highest sample is black.
    """

    path: Path
    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    is_coded: bool
    is_jpeg_ls: bool
    is_dark: bool
    photometric: str
    frames: int
    frame_time_ms: float
    pixels_at: int
    modality: str
    description: str
    captured_at: str
    pages: tuple[Page, ...] = ()

    @property
    def has_window(self) -> bool:
        """Whether it has more grays than a screen."""
        return (self.is_jpeg_ls or not self.is_coded) and self.samples == 1 and self.bits_allocated == 16

    def view(self) -> dict[str, Any]:
        """What the panel is told of it."""
        return {
            "rows": self.rows,
            "columns": self.columns,
            "frames": self.frames,
            "frame_time_ms": self.frame_time_ms,
            "bits_stored": self.bits_stored,
            "has_window": self.has_window,
            "is_document": bool(self.pages),
            "modality": self.modality,
            "description": self.description,
            "captured_at": self.captured_at,
        }


class Pictures:
    """The pictures of the objects that lie here. Thread-safe."""

    def __init__(self, spool: Spool, facts: ExamFacts) -> None:
        self._spool = spool
        self._facts = facts
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[Picture, array[int]]] = OrderedDict()

    def look(self, uid: str) -> Picture:
        """What the object is. ApplianceError when it is not here, or cannot be shown."""
        return self._known_of(uid)[0]

    def frame(self, uid: str, number: int) -> bytes:
        """Frame `number`, from 0, as JPEG: as it lies there, or made of the pixels that a panel can show."""
        picture, offsets = self._known_of(uid)
        if not 0 <= number < picture.frames:
            raise ApplianceError("The image has no such frame.")
        if picture.pages:
            return jpeg_from_page(_document_in(picture.path), picture.pages[number], MOST_SIDE)
        with picture.path.open("rb") as file:
            if picture.is_coded and not picture.is_jpeg_ls:
                return _item_at(file, offsets[number])
            return _jpeg_from(picture, *_samples_in(picture, file, offsets), number, MOST_SIDE)

    def thumbnail(self, uid: str) -> bytes:
        """A small JPEG of the first frame."""
        picture, offsets = self._known_of(uid)
        if picture.pages:
            return jpeg_from_page(_document_in(picture.path), picture.pages[0], max(THUMBNAIL_SIZE))
        with picture.path.open("rb") as file:
            if not picture.is_coded or picture.is_jpeg_ls:
                return _jpeg_from(picture, *_samples_in(picture, file, offsets), 0, max(THUMBNAIL_SIZE))
            data = _item_at(file, offsets[0])
        return _small_from(data)

    def grays(self, uid: str) -> tuple[int, int, bytes]:
        """Columns, rows and 16-bit little-endian samples of an image with more grays than a screen, thinned out."""
        picture, offsets = self._known_of(uid)
        if not picture.has_window:
            raise ApplianceError("This image has no more grays than the screen.")
        with picture.path.open("rb") as file:
            return _thinned(picture, *_samples_in(picture, file, offsets), 0, MOST_SIDE)

    def _known_of(self, uid: str) -> tuple[Picture, array[int]]:
        path = self._find(uid)
        with self._lock:
            known = self._known.get(path.name)
            if known is not None and known[0].path == path:
                self._known.move_to_end(path.name)
                return known
        picture = _read_picture(path)
        offsets = _frame_offsets(picture)
        if picture.is_coded and not offsets:
            raise ApplianceError("This image cannot be shown.", "It is kept all the same.")
        with self._lock:
            self._known[path.name] = (picture, offsets)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return picture, offsets

    def _find(self, uid: str) -> Path:
        for directory in self._places():
            try:
                names = [entry.name for entry in directory.iterdir() if entry.name.startswith(f"{uid}~")]
            except FileNotFoundError:
                continue
            for name in names:
                if object_name_from(name) is not None:
                    return directory / name
        raise ApplianceError("This image is not on the box any more.")

    def _places(self) -> Iterator[Path]:
        open_exam = self._facts.open_exam_id()
        for exam_id in filter(None, (open_exam, UNASSIGNED)):
            for device in self._devices():
                yield self._spool.captured(device, exam_id)
                yield self._spool.discarded(device, exam_id)
        yield self._spool.outbox
        yield self._spool.kept

    def _devices(self) -> list[str]:
        top = self._spool.state / "discarded"
        return sorted({*self._spool.captured_devices(), *(entry.name for entry in top.iterdir() if entry.is_dir())})


def _read_picture(path: Path) -> Picture:
    # pydicom costs 15 MB: only a console that shows images pays for it.
    from pydicom import dcmread
    from pydicom.uid import UID, EncapsulatedPDFStorage, JPEGLSLossless

    from appliance.spool.summary import DAMAGE

    try:
        with path.open("rb") as file:
            source = dcmread(file, defer_size=_DEFERRED_BYTES, stop_before_pixels=True)
            at = file.tell()
            element = file.read(12)
        if source.SOPClassUID == EncapsulatedPDFStorage:
            return _document_picture(path, source)
        syntax = UID(source.file_meta.TransferSyntaxUID)
        if element[:4] != b"\xe0\x7f\x10\x00" or syntax.is_implicit_VR:
            raise ApplianceError("This image cannot be shown.", "It is kept all the same.")
        photometric = str(source.PhotometricInterpretation)
        return Picture(
            path=path,
            rows=int(source.Rows),
            columns=int(source.Columns),
            samples=int(source.SamplesPerPixel),
            bits_allocated=int(source.BitsAllocated),
            bits_stored=int(source.BitsStored),
            is_coded=syntax.is_compressed,
            is_jpeg_ls=syntax == JPEGLSLossless,
            # Densities are dark where they are high, and the samples that the table makes them of are bright there.
            is_dark=photometric == "MONOCHROME1" and "ModalityLUTSequence" not in source,
            photometric=photometric,
            frames=min(int(source.get("NumberOfFrames") or 1), _MOST_FRAMES),
            frame_time_ms=float(source.get("FrameTime") or 0.0),
            pixels_at=at + 12,
            modality=str(source.get("Modality") or ""),
            description=str(source.get("SeriesDescription") or ""),
            captured_at="".join(str(source.get(key) or "") for key in ("AcquisitionDate", "AcquisitionTime")),
        )
    except DAMAGE as error:
        raise ApplianceError("This image cannot be shown.", "It is kept all the same.") from error


def _document_picture(path: Path, source: Dataset) -> Picture:
    """A document's pages, as frames that have no time of their own."""
    pages = pages_in(_document_in(path))
    if not pages:
        raise ApplianceError("This document cannot be shown.", "It is kept all the same.")
    return Picture(
        path=path,
        rows=pages[0].rows,
        columns=pages[0].columns,
        samples=1,
        bits_allocated=8,
        bits_stored=8,
        is_coded=False,
        is_jpeg_ls=False,
        is_dark=False,
        photometric="MONOCHROME2",
        frames=len(pages),
        frame_time_ms=0.0,
        pixels_at=0,
        modality=str(source.get("Modality") or ""),
        description=str(source.get("SeriesDescription") or ""),
        captured_at=str(source.get("AcquisitionDateTime") or ""),
        pages=pages,
    )


def _document_in(path: Path) -> bytes:
    from pydicom import dcmread

    if path.stat().st_size > _MOST_FRAME_BYTES:
        raise ApplianceError("This document cannot be shown.", "It is kept all the same.")
    document = dcmread(path, specific_tags=["EncapsulatedDocument"]).EncapsulatedDocument
    assert isinstance(document, bytes)
    return document


def _frame_offsets(picture: Picture) -> array[int]:
    """Where the item of each coded frame begins: the offset table is empty, one fragment is one frame (PS3.5 A.4)."""
    offsets = array("q")
    if not picture.is_coded:
        return offsets
    with picture.path.open("rb") as file:
        position = picture.pixels_at
        is_table = True
        while len(offsets) < picture.frames:
            file.seek(position)
            head = file.read(_ITEM.size)
            if len(head) < _ITEM.size:
                break
            group, element, length = _ITEM.unpack(head)
            if (group, element) != (0xFFFE, 0xE000):
                break
            if not is_table:
                offsets.append(position)
            is_table = False
            position += _ITEM.size + length
    return offsets


def _item_at(file: BinaryIO, position: int, most_bytes: int = _MOST_FRAME_BYTES) -> bytes:
    file.seek(position)
    head = file.read(_ITEM.size)
    length = _ITEM.unpack(head)[2] if len(head) == _ITEM.size else 0
    if not 0 < length <= most_bytes:
        raise ApplianceError("This frame cannot be shown.", "It is kept all the same.")
    return file.read(length)


class _Samples(Protocol):
    """Uncompressed samples, wherever they lie: a file, or memory."""

    def seek(self, position: int, /) -> object: ...

    def read(self, size: int, /) -> bytes: ...


def _samples_in(picture: Picture, file: BinaryIO, offsets: array[int]) -> tuple[_Samples, int]:
    """The samples and where they begin. What is compressed without loss is in memory meanwhile."""
    if not picture.is_jpeg_ls:
        return file, picture.pixels_at
    if picture.rows * picture.columns * picture.bits_allocated // 8 > _MOST_DECODED_BYTES:
        raise ApplianceError("This film is too large to be shown here.", "It is kept all the same.")
    coded = _item_at(file, offsets[0], _MOST_DECODED_BYTES)
    decoded = decode_jpeg_ls(coded, picture.columns, picture.rows, picture.bits_stored).obj
    assert isinstance(decoded, mmap.mmap)
    return decoded, 0


def _thinned(picture: Picture, source: _Samples, base: int, number: int, side: int) -> tuple[int, int, bytes]:
    """Columns, rows and samples of every n-th pixel of every n-th row of a frame, so that no side is longer."""
    step = max(1, -(-picture.columns // side), -(-picture.rows // side))
    pixel_bytes = picture.samples * picture.bits_allocated // 8
    row_bytes = picture.columns * pixel_bytes
    start = base + number * row_bytes * picture.rows
    columns = -(-picture.columns // step)
    lines = []
    for row in range(0, picture.rows, step):
        source.seek(start + row * row_bytes)
        line = source.read(row_bytes)
        if len(line) < row_bytes:
            raise ApplianceError("This image cannot be shown.", "It is kept all the same.")
        lines.append(_every(line, step, pixel_bytes))
    samples = b"".join(lines)
    return columns, len(lines), _turned(picture, samples) if picture.is_dark else samples


def _turned(picture: Picture, samples: bytes) -> bytes:
    """Bright for dark, so that whoever shows them need not know."""
    most = (1 << picture.bits_stored) - 1
    if picture.bits_allocated == 8:
        return samples.translate(bytes(max(0, most - value) for value in range(256)))
    return array("H", (max(0, most - value) for value in memoryview(samples).cast("H"))).tobytes()


def _every(line: bytes, step: int, pixel_bytes: int) -> bytes:
    if step == 1:
        return line
    if pixel_bytes == 2:
        return memoryview(line).cast("H")[::step].tobytes()
    if pixel_bytes == 1:
        return line[::step]
    thinned = bytearray(-(-(len(line) // pixel_bytes) // step) * pixel_bytes)
    for sample in range(pixel_bytes):
        thinned[sample::pixel_bytes] = line[sample :: step * pixel_bytes]
    return bytes(thinned)


_MODES = {"RGB": "RGB", "YBR_FULL": "YCbCr", "MONOCHROME1": "L", "MONOCHROME2": "L"}


def _jpeg_from(picture: Picture, source: _Samples, base: int, number: int, side: int) -> bytes:
    from PIL import Image

    columns, rows, data = _thinned(picture, source, base, number, side)
    mode = _MODES.get(picture.photometric)
    if mode is None:
        raise ApplianceError("This image cannot be shown.", "It is kept all the same.")
    if picture.bits_allocated == 16:
        data = _eight_bit(data)
    buffer = io.BytesIO()
    Image.frombytes(mode, (columns, rows), data).save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()


def _eight_bit(samples: bytes) -> bytes:
    """16-bit grays stretched from the darkest to the brightest that are there."""
    values = memoryview(samples).cast("H")
    low, high = min(values), max(values)
    span = max(1, high - low)
    return bytes((value - low) * 255 // span for value in values)


def _small_from(data: bytes) -> bytes:
    from PIL import Image

    try:
        image: Image.Image = Image.open(io.BytesIO(data))
        image.draft("RGB", THUMBNAIL_SIZE)  # libjpeg decodes at 1/2, 1/4 or 1/8 without touching the rest
        image.thumbnail(THUMBNAIL_SIZE)
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "JPEG", quality=_JPEG_QUALITY)
    except (OSError, ValueError, SyntaxError) as error:
        raise ApplianceError("This image cannot be shown.", "It is kept all the same.") from error
    return buffer.getvalue()
