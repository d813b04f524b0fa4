"""An object's elements as bytes: read as pydicom wrote them, written as pydicom reads them, and any bytes survived."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian

from appliance.dimse.elements import Element, Header, NotAnObject, encode_elements, read_file_meta, read_header
from tests.compose.world import full_entry
from tests.peers import save_object, small_object


def _encoded(dataset: Dataset, *, is_implicit: bool = False) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, is_implicit
    write_dataset(buffer, dataset)
    value: bytes = buffer.getvalue()
    return value


def _header(data: bytes) -> Header:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return read_header(file.fileno(), 0)


def _read(data: bytes, *, is_implicit: bool) -> dict[str, object]:
    return read_dataset(DicomBytesIO(data), is_implicit, True).to_json_dict()


def _open_sequences(dataset: Dataset) -> None:
    """Sequences and items with delimiters instead of lengths (PS3.5 7.5)."""
    for element in dataset:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
                _open_sequences(item)


@pytest.mark.parametrize("is_open", [False, True], ids=["lengths", "delimiters"])
def test_ok__nested_sequences_in_either_form(is_open: bool) -> None:
    entry = full_entry()
    expected = entry.to_json_dict()
    if is_open:
        _open_sequences(entry)
    data = _encoded(entry)
    header = _header(data)
    for is_implicit in (False, True):
        assert _read(encode_elements(header.elements, is_implicit=is_implicit), is_implicit=is_implicit) == expected
    if not is_open:
        assert encode_elements(header.elements, is_implicit=False) == data
        assert encode_elements(header.elements, is_implicit=True) == _encoded(entry, is_implicit=True)


def test_ok__a_value_is_not_touched_whatever_its_bytes_mean() -> None:
    # Patient's Name PN, 4 bytes that no character set has; a private UN; Manufacturer LO padded with NUL.
    data = bytes.fromhex("08007000 4c4f 0400 41424300 09001010 554e 0000 03000000 000102 10001000 504e 0400 ff1b24fe")
    elements = _header(data).elements
    assert [one.value for one in elements] == [b"ABC\0", b"\0\1\2", b"\xff\x1b$\xfe"]
    assert encode_elements(elements, is_implicit=False) == data


def test_ok__an_unknown_sequence_of_undefined_length_is_kept_as_it_is() -> None:
    """PS3.5 6.2.2: UN of undefined length holds items in implicit VR, here one in another."""
    inner = bytes.fromhex("feff00e0 0c000000 08000500 04000000 49534f20")  # an item with one element
    nested = bytes.fromhex("09001110 ffffffff") + inner + bytes.fromhex("feffdde0 00000000")
    items = bytes.fromhex("feff00e0 ffffffff") + nested + bytes.fromhex("feff0de0 00000000 feffdde0 00000000")
    behind = bytes.fromhex("10002000 4c4f 0200 5831")
    data = bytes.fromhex("09001010 554e 0000 ffffffff") + items + behind
    elements = _header(data).elements
    assert [(one.tag, one.is_open) for one in elements] == [(0x00091010, True), (0x00100020, False)]
    assert encode_elements(elements, is_implicit=False) == data
    assert encode_elements(elements, is_implicit=True) == (
        bytes.fromhex("09001010 ffffffff") + items + bytes.fromhex("10002000 02000000 5831")
    )


def test_ok__group_lengths_are_left_out() -> None:
    assert encode_elements([Element(0x00080000, b"UL", b"\1\0\0\0")], is_implicit=True) == b""


def test_ok__a_header_longer_than_the_first_read(tmp_path: Path) -> None:
    instance = small_object()
    instance.TextValue = "long " * 40_000
    path = save_object(tmp_path, instance)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        meta = read_file_meta(descriptor)
        header = read_header(descriptor, meta.data_set_at)
    finally:
        os.close(descriptor)
    assert (meta.sop_instance_uid, meta.transfer_syntax_uid) == (instance.SOPInstanceUID, ExplicitVRLittleEndian)
    assert header.pixels_at is not None
    assert header.pixels_at + header.pixels_length == path.stat().st_size
    assert path.read_bytes()[header.pixels_at :] == instance.PixelData


def test_ok__meta_of_our_objects_is_as_pydicom_reads_it(tmp_path: Path) -> None:
    path = save_object(tmp_path, small_object())
    expected = dcmread(path).file_meta
    descriptor = os.open(path, os.O_RDONLY)
    try:
        meta = read_file_meta(descriptor)
    finally:
        os.close(descriptor)
    assert isinstance(expected, FileMetaDataset)
    assert meta.sop_class_uid == expected.MediaStorageSOPClassUID
    # The preamble, the prefix, and the group length with what it counts (PS3.10 7.1).
    assert meta.data_set_at == 132 + 12 + expected.FileMetaInformationGroupLength


_META = bytes(128) + b"DICM" + bytes.fromhex("02000000 554c 0400")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        bytes(132),
        _META + b"\xff\xff\xff\x7f",
        _META + b"\0\0\0\0",
        _META + b"\x08\0\0\0" + bytes.fromhex("02001000 5549 0900"),
    ],
)
def test_fail__no_file_meta_information(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with pytest.raises(NotAnObject):
            read_file_meta(descriptor)
    finally:
        os.close(descriptor)


def test_fail__sequences_without_an_end() -> None:
    deep = bytes.fromhex("08001011 5351 0000 ffffffff feff00e0 ffffffff")
    with pytest.raises(NotAnObject, match="nested too deeply"):
        _header(deep * 40)
    with pytest.raises(NotAnObject, match="end within"):
        _header(deep)


@given(st.binary(max_size=120), st.booleans())
@settings(max_examples=150)
def test_ok__any_bytes_are_a_header_or_refused(tail: bytes, has_sequence: bool) -> None:
    data = bytes.fromhex("08001011 5351 0000 ffffffff feff00e0 ffffffff") + tail if has_sequence else tail
    try:
        elements = _header(data).elements
    except NotAnObject:
        return
    assert len(encode_elements(elements, is_implicit=False)) <= len(data)
