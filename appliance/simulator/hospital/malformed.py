"""Worklist identifiers that break the rules, made from the bytes of a good one: pure."""

from __future__ import annotations

import struct

# Specific Character Set (0008,0005) is the first element of an identifier that has it.
_CHARACTER_SET = bytes.fromhex("08 00 05 00")
_PATIENT_NAME = bytes.fromhex("10 00 10 00")
_PATIENT_ID = bytes.fromhex("10 00 20 00")


def without_character_set(identifier: bytes) -> bytes:
    """The little endian `identifier` without (0008,0005), every other byte as it was."""
    if identifier[:4] != _CHARACTER_SET:
        return identifier
    if identifier[4:6] == b"CS":  # explicit VR: two bytes of VR, two of length (PS3.5 7.1.2)
        return identifier[8 + int(struct.unpack_from("<H", identifier, 6)[0]) :]
    return identifier[8 + int(struct.unpack_from("<L", identifier, 4)[0]) :]


def malformed_identifiers(identifier: bytes, number: int) -> list[bytes]:
    """One for each `number` of an answer, every kind in turn; none once each has been there."""
    kinds = [
        identifier[: len(identifier) // 2],  # ends in the middle of an element
        identifier[:-1],  # ends a byte early
        bytes(range(1, 256)),  # no data set at all
        struct.pack("<HH2sH", 0x0010, 0x0010, b"PN", 0xFFFE) + b"Short^One",  # longer than what follows
        struct.pack("<HHL", 0x0010, 0x0010, 0xFFFFFFFE) + b"Short^One",  # the same in implicit VR
        identifier.replace(_PATIENT_ID, _PATIENT_NAME),  # an element twice
        _nested(200),
    ]
    return kinds[number - 1 : number]


def _nested(depth: int) -> bytes:
    """Scheduled Procedure Step Sequences (0040,0100) in one another, none of which ends (PS3.5 7.5)."""
    sequence = struct.pack("<HH2sHL", 0x0040, 0x0100, b"SQ", 0, 0xFFFFFFFF)
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    return (sequence + item) * depth
