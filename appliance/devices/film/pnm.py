"""The header of a portable graymap (netpbm's pgm(5), binary P5), read byte by byte as it arrives."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.devices.errors import BadTransfer

_LONGEST_HEADER = 1024
_LONGEST_NUMBER = 6


@dataclass(frozen=True, slots=True)
class PnmHeader:
    """`width` × `height` samples of `bits` bits, big-endian where that is 16; `size` is the header's own length."""

    width: int
    height: int
    bits: int
    size: int

    @property
    def data_bytes(self) -> int:
        return self.width * self.height * (self.bits // 8)


def pnm_header_from(data: bytes | bytearray) -> PnmHeader | None:
    """The header at the beginning of `data`; none while it is not there in full.

    "P5", whitespace and comments, width, height, the highest value (65535 or 255), one whitespace. Raises BadTransfer
    for anything else, and for a header that does not end.
    """
    if data[:2] != b"P5"[: len(data[:2])]:
        raise BadTransfer(
            "The film digitizer sends no gray image.", "Check the mode it is set to in the configuration."
        )
    numbers: list[int] = []
    position = 2
    while len(numbers) < 3:
        token, position = _next_token(data, position)
        if token is None:
            if len(data) > _LONGEST_HEADER:
                raise BadTransfer("The film digitizer's image has a header that does not end.")
            return None
        if not token.isdigit() or len(token) > _LONGEST_NUMBER:
            raise BadTransfer("The film digitizer's image has a damaged header.")
        numbers.append(int(token))
    width, height, highest = numbers
    if not width or not height or highest not in (255, 65535):
        raise BadTransfer("The film digitizer's image has a header that is not accepted.")
    return PnmHeader(width, height, 16 if highest == 65535 else 8, position)


def _next_token(data: bytes | bytearray, position: int) -> tuple[bytes | None, int]:
    """The next word and the position behind the whitespace that ends it; none while its end is not there."""
    while position < len(data):
        if data[position] == ord("#"):
            end = data.find(b"\n", position)
            if end < 0:
                return None, position
            position = end + 1
        elif data[position : position + 1].isspace():
            position += 1
        else:
            break
    start = position
    while position < len(data) and not data[position : position + 1].isspace():
        position += 1
    if position >= len(data):
        return None, start
    return bytes(data[start:position]), position + 1
