"""Identifiers as they come: every VR, nested and open sequences, and bytes that break off or lie about their length."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pynetdicom.dsutils import encode

from appliance.dimse.identifier import MAX_IDENTIFIER_BYTES, elements_from

# Explicit VR Little Endian
_NAME = bytes.fromhex("10001000 504e 0400") + b"A^B "
_WEIGHT = bytes.fromhex("10003010 4453 0600") + b"heavy!"
_UID = bytes.fromhex("20000d00 5549 0400") + b"1.2\0"
# (0040,0100) of undefined length, one open item with (0008,0060) US and (0040,0009) S1
_STEPS = (
    bytes.fromhex("40000001 5351 0000 ffffffff feff00e0 ffffffff")
    + bytes.fromhex("08006000 4353 0200")
    + b"US"
    + bytes.fromhex("40000900 5348 0200")
    + b"S1"
    + bytes.fromhex("feff0de0 00000000 feffdde0 00000000")
)


def _elements(received: bytes, *, is_implicit: bool = False) -> dict[str, Any]:
    elements, findings = elements_from(received, is_implicit, "ISO_IR 100")
    assert findings == ()
    return elements


def test_ok__open_sequences_and_the_rest() -> None:
    assert _elements(_NAME + _UID + _STEPS) == {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "A^B"}]},
        "0020000D": {"vr": "UI", "Value": ["1.2"]},
        "00400100": {
            "vr": "SQ",
            "Value": [{"00080060": {"vr": "CS", "Value": ["US"]}, "00400009": {"vr": "SH", "Value": ["S1"]}}],
        },
    }


@pytest.mark.parametrize("is_implicit", [True, False])
def test_ok__every_vr_as_the_library_reads_it(is_implicit: bool) -> None:
    dataset = Dataset.from_json(
        {
            "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
            "00080008": {"vr": "CS", "Value": ["ORIGINAL", "PRIMARY"]},
            "00080050": {"vr": "SH", "Value": ["Ä-1"]},
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Mül^A", "Ideographic": "山^太", "Phonetic": "や"}]},
            "00100020": {"vr": "LO", "Value": ["1", "2"]},
            "00101010": {"vr": "AS", "Value": ["040Y"]},
            "00101030": {"vr": "DS", "Value": [81.5]},
            "00104000": {"vr": "LT", "Value": ["two\\lines\r\nof text"]},
            "0020000D": {"vr": "UI", "Value": ["1.2.3"]},
            "00200013": {"vr": "IS", "Value": [12, -3]},
            "00280009": {"vr": "AT", "Value": ["00181063"]},
            "00280010": {"vr": "US", "Value": [512]},
            "00321060": {"vr": "LO"},
            "00400002": {"vr": "DA", "Value": ["20261122"]},
            "00400008": {
                "vr": "SQ",
                "Value": [{"00080100": {"vr": "SH", "Value": ["C1"]}, "00400440": {"vr": "SQ", "Value": [{}]}}],
            },
            "00720060": {"vr": "AT", "Value": ["00100010", "00100020"]},
            "00720074": {"vr": "FD", "Value": [1.5, 2.25]},
            "0072006E": {"vr": "ST", "Value": ["x"]},
            "00091001": {"vr": "OB", "InlineBinary": "AAEC"},
        }
    )
    written = encode(dataset, is_implicit, True)
    assert written is not None
    found = _elements(written, is_implicit=is_implicit)
    expected = Dataset.from_json(dataset.to_json_dict()).to_json_dict()
    private = found.pop("00091001")
    assert private == {"vr": "UN" if is_implicit else "OB", "InlineBinary": "AAECAA=="}
    del expected["00091001"]
    assert found == expected
    assert Dataset.from_json(found).to_json_dict() == expected


def test_ok__an_unknown_element_is_what_the_dictionary_says() -> None:
    # UN with 4 bytes of length: (0008,0050) as text; (0040,0100) of undefined length with an implicit item
    written = bytes.fromhex("08005000 554e 0000 04000000") + b"A-1 "
    written += bytes.fromhex("40000001 554e 0000 ffffffff feff00e0 0a000000 40000900 02000000") + b"S1"
    written += bytes.fromhex("feffdde0 00000000")
    assert _elements(written) == {
        "00080050": {"vr": "SH", "Value": ["A-1"]},
        "00400100": {"vr": "SQ", "Value": [{"00400009": {"vr": "SH", "Value": ["S1"]}}]},
    }


@pytest.mark.parametrize(
    ("received", "tags", "finding"),
    [
        (_NAME + _WEIGHT + _UID, {"00100010", "00101030", "0020000D"}, "Patient's Weight cannot be read"),
        (_NAME + _UID[:-2], {"00100010"}, "The entry is malformed after Patient's Name"),
        (_NAME + b"\x20\0\x0d", {"00100010"}, "The entry is malformed after Patient's Name"),
        (_NAME + bytes.fromhex("20000d00 5549 ffff") + b"1.2\0", {"00100010"}, "malformed after Patient's Name"),
        (_NAME + b"\x20\0\x0d\0ui\4\x001.2\0", {"00100010"}, "malformed after Patient's Name"),
        (_NAME + _STEPS[:-8], {"00100010", "00400100"}, "malformed after Scheduled Procedure Step Sequence"),
        (_NAME + _STEPS[:26], {"00100010", "00400100"}, "malformed after Scheduled Procedure Step Sequence"),
        (b"\xff" * 7, set(), "The entry is malformed"),
        (_NAME + bytes.fromhex("08006000 4353 0200 ffff"), {"00080060", "00100010"}, "Modality cannot be read"),
        # a sequence of 4 bytes in which there is no item; what stands behind it is read
        (
            bytes.fromhex("40000800 5351 0000 04000000 00000000") + bytes.fromhex("40000110 5348 0200") + b"R1",
            {"00400008", "00401001"},
            "Scheduled Protocol Code Sequence is malformed",
        ),
    ],
)
def test_ok__a_fault_costs_only_what_it_is_in(received: bytes, tags: set[str], finding: str) -> None:
    elements, findings = elements_from(received, False, "ISO_IR 100")
    assert set(elements) == tags
    assert len(findings) == 1
    assert finding in findings[0]


def test_ok__no_number_that_json_lacks() -> None:
    for value in ("nan", "inf", "1e999"):
        received = bytes.fromhex("10003010 4453") + len(value).to_bytes(2, "little") + value.encode()
        elements, findings = elements_from(received, False, "")
        assert (elements, findings) == ({"00101030": {"vr": "DS"}}, ("Patient's Weight cannot be read",))


def test_ok__too_deep_and_too_long() -> None:
    nested = b""
    for _ in range(40):
        nested = bytes.fromhex("40000800 5351 0000 ffffffff feff00e0 ffffffff") + nested
    assert elements_from(nested, False, "")[1] == ("The entry is malformed after Scheduled Protocol Code Sequence",)
    long = (_NAME * (MAX_IDENTIFIER_BYTES // len(_NAME) + 1), False, "")
    assert f"The entry is longer than {MAX_IDENTIFIER_BYTES} bytes" in elements_from(*long)[1]


@given(st.binary(max_size=200), st.booleans())
def test_ok__any_bytes_are_some_elements(received: bytes, is_implicit: bool) -> None:
    elements, findings = elements_from(_NAME + received, is_implicit, "ISO_IR 192")
    assert len(findings) <= 8
    assert is_implicit or "00100010" in elements


@given(st.data())
def test_ok__one_changed_byte_loses_no_more_than_what_follows(data: st.DataObject) -> None:
    whole = bytearray(_NAME + _UID + _STEPS)
    place = data.draw(st.integers(len(_NAME), len(whole) - 1))
    whole[place] = data.draw(st.integers(0, 255))
    elements, _ = elements_from(bytes(whole), False, "")
    assert "A^B" in str(elements)
