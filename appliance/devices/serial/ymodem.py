"""The header block of a YMODEM batch (Forsberg, "XMODEM/YMODEM Protocol Reference", 1988, chapter 5).

Block 0 of a file is its name, a zero byte, and in decimal its length, then in octal its time and its mode, each behind
a space and each left out as one likes; lrzsz and others go on with a serial number and how many files are left, this
one among them. A block 0 without a name ends the batch. A name may be a patient's: nothing here writes or tells it.
"""

from __future__ import annotations

from dataclasses import dataclass

_FILES_LEFT = 4
_SPACE, _DELETE = 0x20, 0x7F
_LONGEST_NUMBER = 19  # of digits: what fits in 64 bits


@dataclass(frozen=True, slots=True)
class FileHeader:
    """What block 0 says of its file. `size` in bytes and `files_left` are None where it does not say them."""

    name: bytes
    size: int | None = None
    files_left: int | None = None

    @property
    def is_end_of_batch(self) -> bool:
        return not self.name

    @property
    def has_more_behind(self) -> bool:
        """True when the sender has said that this is not its last file."""
        return self.files_left is not None and self.files_left > 1


def header_from_block(data: bytes) -> FileHeader:
    """The header in the 128 or 1024 bytes of block 0. ValueError for what is none: the 256th block of an image, say.

    A number that is none counts as left out: without a length a file is what came until its end.
    """
    name, mark, rest = data.partition(b"\0")
    text = rest.partition(b"\0")[0]
    if mark and not name:
        return FileHeader(b"")  # behind which lrzsz leaves what stood in its buffer
    if not mark or min(name) < _SPACE or not all(_SPACE <= one < _DELETE for one in text):
        raise ValueError("no header of a file")
    fields = text.split()
    return FileHeader(name, _number_in(fields, 0), _number_in(fields, _FILES_LEFT))


def _number_in(fields: list[bytes], place: int) -> int | None:
    if place >= len(fields) or not fields[place].isdigit() or len(fields[place]) > _LONGEST_NUMBER:
        return None
    return int(fields[place])


def file_from_payload(payload: bytes, header: FileHeader, block: int) -> bytes:
    """The file without its last block's padding, a block being of `block` bytes at most.

    ValueError, with what a sentence says of its sender, when the file is not as long as its header announced.
    """
    size = header.size
    if size is None:
        return payload
    if len(payload) < size:
        raise ValueError(f"sent {len(payload):,} of the {size:,} bytes that it had announced")
    if len(payload) - size >= block:
        raise ValueError(f"sent {len(payload):,} bytes, and had announced {size:,}")
    return payload[:size]
