"""What leaves is what was saved: each byte is hashed on its way, and a wrong one holds the last ones back."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.dimse.verified import DamagedContent, VerifiedSource
from appliance.spool.names import ObjectName


def name_of(content: bytes, offset: int) -> ObjectName:
    return ObjectName("1.2.3", offset, hashlib.sha256(content[offset:] + content[:offset]).hexdigest())


def reading(path: Path, begin: int, name: ObjectName, sizes: list[int]) -> Iterator[bytes]:
    """The data set in reads of `sizes` bytes each, two spaces a read, until it ends."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        source = VerifiedSource(descriptor, begin, name)
        left = source.length
        while left:
            for size in sizes:
                spaces = [
                    memoryview(bytearray(min(size, left) // 2)),
                    memoryview(bytearray((min(size, left) + 1) // 2)),
                ]
                read = source.read_into(spaces)
                left -= read
                yield b"".join(spaces)[:read]
                if not left:
                    break
    finally:
        os.close(descriptor)


@given(
    content=st.binary(min_size=2, max_size=300),
    begin=st.integers(0, 40),
    offset=st.integers(0, 80),
    sizes=st.lists(st.integers(1, 64), min_size=1, max_size=5),
    flipped=st.none() | st.integers(0, 8 * 299),
)
def test_ok__any_file_in_any_reads(
    tmp_path_factory: pytest.TempPathFactory,
    content: bytes,
    begin: int,
    offset: int,
    sizes: list[int],
    flipped: int | None,
) -> None:
    """`begin` is where the data set begins, `offset` where a clip's body does; one bit in the file may be wrong."""
    begin, offset = min(begin, len(content) - 1), min(offset, len(content))
    path = tmp_path_factory.getbasetemp() / "object"
    name = name_of(content, offset)
    lying = bytearray(content)
    if flipped is not None:
        lying[flipped // 8 % len(lying)] ^= 1 << flipped % 8
    path.write_bytes(lying)
    sent = b""
    try:
        for part in reading(path, begin, name, sizes):
            sent += part
    except DamagedContent:
        assert flipped is not None
        assert len(sent) < len(content) - begin
    else:
        assert flipped is None
        assert sent == content[begin:]


@pytest.mark.parametrize("place", [0, 5, 9, 10, 11, 99])
def test_fail__each_part_of_a_clip_counts(tmp_path: Path, place: int) -> None:
    """Ahead of the data set, in the header that is hashed last, at its border, and in the frames."""
    content = bytes(range(100))
    path = tmp_path / "clip"
    path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
    with pytest.raises(DamagedContent, match=r"1\.2\.3 is not what was saved"):
        list(reading(path, 6, name_of(content, 10), [64]))
