"""What the attribute table must know of a frame's pixels (PS3.3 C.7.6.3), and how Pixel Data holds them (PS3.5 A.4).

Nothing is recoded: a JPEG frame becomes one fragment as it is, other pixels stay as the device gave them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGLSLossless

from appliance.compose.rows import Presence, Row, Rows, device
from appliance.devices.frame import Encoding, Frame
from appliance.devices.video.jpeg import parse_jpeg

PIXEL_DATA: Rows = (Row("PixelData", "1", Presence.ALWAYS, (device("pixels"),)),)
"""What stands behind every header, as a table for those who state it."""

_ITEM = struct.Struct("<HHL")
EMPTY_OFFSET_TABLE = _ITEM.pack(0xFFFE, 0xE000, 0)
SEQUENCE_DELIMITER = _ITEM.pack(0xFFFE, 0xE0DD, 0)
UNDEFINED_LENGTH = 0xFFFFFFFF
# Explicit VR Little Endian, a VR with a 32-bit length: tag, VR, two reserved bytes, length (PS3.5 7.1.2).
_PIXEL_DATA = struct.Struct("<HH2sHL")
_LENGTH = struct.Struct("<L")
ITEM_HEADER_BYTES = _ITEM.size
# Samples per Pixel and Photometric Interpretation of what lies in an object without compression.
_NATIVE = {
    Encoding.RGB: (3, "RGB"),
    Encoding.YBR: (3, "YBR_FULL"),
    Encoding.GRAY8: (1, "MONOCHROME2"),
    Encoding.GRAY16: (1, "MONOCHROME2"),
}


@dataclass(frozen=True, slots=True)
class PixelForm:
    """The Image Pixel module's values. `lossy_method` is empty where nothing was ever lost (ISO_10918_1: JPEG)."""

    transfer_syntax_uid: str
    rows: int
    columns: int
    samples: int
    photometric: str
    bits_allocated: int
    bits_stored: int
    lossy_method: str = ""

    @property
    def is_native(self) -> bool:
        """Whether the pixels lie in the object one by one, without compression."""
        return not UID(self.transfer_syntax_uid).is_compressed

    @property
    def pixel_vr(self) -> bytes:
        """The VR of the pixel data (PS3.5 8.2, A.2)."""
        return b"OW" if self.bits_allocated > 8 else b"OB"

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame without compression."""
        return self.rows * self.columns * self.samples * self.bits_allocated // 8


def pixel_form_from(frame: Frame) -> PixelForm:
    """The form in which `frame` is kept, which is not a raw one. BadFrame when a JPEG frame is none."""
    if frame.encoding is not Encoding.JPEG:
        samples, photometric = _NATIVE[frame.encoding]
        return PixelForm(
            transfer_syntax_uid=ExplicitVRLittleEndian,
            rows=frame.height,
            columns=frame.width,
            samples=samples,
            photometric=photometric,
            bits_allocated=16 if frame.encoding is Encoding.GRAY16 else 8,
            bits_stored=frame.bits_stored,
            lossy_method="ISO_10918_1" if frame.lossy_bytes else "",
        )
    header = parse_jpeg(frame.data)
    return PixelForm(
        transfer_syntax_uid=JPEGBaseline8Bit,
        rows=header.height,
        columns=header.width,
        samples=header.components,
        # PS3.5 8.2.1: baseline JPEG in YCbCr is YBR_FULL_422, however its chrominance was sampled.
        photometric="MONOCHROME2" if header.components == 1 else "YBR_FULL_422",
        bits_allocated=8,
        bits_stored=8,
        lossy_method="ISO_10918_1",
    )


def film_form_from(
    width: int, height: int, bits_stored: int, *, photometric: str = "MONOCHROME2", is_jpeg_ls: bool = False
) -> PixelForm:
    """The form of a film of `width` × `height` grays of 8 to 16 bits; with `is_jpeg_ls` in JPEG-LS, without loss."""
    syntax = JPEGLSLossless if is_jpeg_ls else ExplicitVRLittleEndian
    return PixelForm(syntax, height, width, 1, photometric, 8 if bits_stored == 8 else 16, bits_stored)


def pixel_data_header(vr: bytes, length: int) -> bytes:
    """The header of (7FE0,0010) with `length` bytes, or of undefined length and with its empty Basic Offset Table."""
    header = _PIXEL_DATA.pack(0x7FE0, 0x0010, vr, 0, length)
    return header + EMPTY_OFFSET_TABLE if length == UNDEFINED_LENGTH else header


def native_length(length: int) -> bytes:
    """The last four bytes of the header of native pixel data, patched in where the length is known only at the end."""
    return _LENGTH.pack(length)


def fragment_header(length: int) -> bytes:
    """The item header of one fragment of `length` bytes (even; see `padding`)."""
    return _ITEM.pack(0xFFFE, 0xE000, length)


def padding(length: int) -> bytes:
    """What makes `length` even: a fragment and a value have an even length (PS3.5 A.4, 7.1.1)."""
    return b"\0" * (length % 2)


def format_ratio(uncompressed: int, compressed: int) -> str:
    """Lossy Image Compression Ratio (0028,2112), as `19.62`; at most 8 characters: see `Slot.fill`."""
    return f"{min(uncompressed / max(compressed, 1), 99_999):.2f}"
