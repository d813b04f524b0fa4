"""Frames of ASTM E1381 and of NIDEK's lensmeters by the book, for the tests of framed text."""

from __future__ import annotations

from collections.abc import Sequence

ENQ, ACK, NAK, EOT, STX, ETX, ETB = b"\x05", b"\x06", b"\x15", b"\x04", b"\x02", b"\x03", b"\x17"
PATIENT = "Qvistgaard^Zenobia"
PATIENT_ID = "PID-7431-XQ"
RECORDS = (
    "H|\\^&|||DENSITO 3^1.2|||||||P|1|20261122093015",
    f"P|1|{PATIENT_ID}|LAB-9||{PATIENT}||19480517|F",
    "O|1|SPEC-1||^^^BMD",
    "R|1|^^^BMD-L1|0.912|g/cm2|0.8^1.2|N||F||||20261122093010",
    "R|2|^^^BMD-L2|0.744|g/cm2|0.8^1.2|L||F||||20261122093012",
    "C|1|I|repeat &F& scan",
    "L|1|N",
)


def astm_frame(number: int, text: bytes, end: bytes = ETX) -> bytes:
    """STX, number, text, ETX or ETB, the sum from the number through the end in two hexadecimal digits, CR LF."""
    counted = b"%d" % (number % 8) + text + end
    return STX + counted + b"%02X" % (sum(counted) % 256) + b"\r\n"


def astm_frames(records: Sequence[str], size: int = 240) -> list[bytes]:
    """A session's frames, one record after another, long ones in several frames."""
    frames: list[bytes] = []
    for record in records:
        data = record.encode("latin-1") + b"\r"
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        for index, piece in enumerate(pieces):
            end = ETX if index == len(pieces) - 1 else ETB
            frames.append(astm_frame(len(frames) + 1, piece, end))
    return frames


def nidek(*items: str, checksum: bool = True, carriage_return: bool = False) -> bytes:
    """A lensmeter's message: SOH, DLM, STX, items each ended by ETB, EOT, and the sum of all that in four digits."""
    behind = "\r" if carriage_return else ""
    data = ("\x01DLM\x02" + "".join(f"{item}\x17{behind}" for item in items) + "\x04").encode("ascii")
    counted = data.replace(b"\r", b"")
    return data + (b"%04X" % (sum(counted) & 0xFFFF) if checksum else b"") + behind.encode()


LENSES = ("IDNIDEK/LM-600P", " R-06.50-01.50010", "PR00.00I", "PR00.00U", " L-05.75-01.50179", "PL00.00O", "PL00.00U")
