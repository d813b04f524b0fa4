"""Names that carry what they promise."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.spool.names import (
    ObjectName,
    TemporaryName,
    digest_of,
    is_intact,
    object_name_from,
    temporary_name_from,
)

_UIDS = st.from_regex(r"\A[0-9.]{1,64}\Z")
_OFFSETS = st.integers(0, 9_999_999)
_DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
DIGEST = "0" * 64


@given(_UIDS, _OFFSETS, _DIGESTS, st.integers(0, 999_999_999))
def test_ok__an_objects_name_is_read_back(uid: str, offset: int, digest: str, number: int) -> None:
    name = ObjectName(uid, offset, digest, number)
    assert object_name_from(str(name)) == name
    assert len(str(name).encode()) <= 255
    assert temporary_name_from(str(name)) is None


@given(_UIDS, _OFFSETS)
def test_ok__a_temporary_name_is_read_back(uid: str, offset: int) -> None:
    name = TemporaryName(uid, offset)
    assert temporary_name_from(str(name)) == name
    assert object_name_from(str(name)) is None


@given(st.text(max_size=20) | st.from_regex(r"[0-9.٣]{1,5}~\d{1,8}~[0-9a-f]{60,64}(~\d{1,10})?\.dcm\n?"))
def test_ok__one_object_has_one_name(text: str) -> None:
    """Whatever is taken for a name is written in just this way: no second spelling of the same object."""
    for found in (object_name_from(text), temporary_name_from(text)):
        assert found is None or str(found) == text


@pytest.mark.parametrize(
    "name",
    [
        "",
        "1.2.3.dcm",
        f"1.2.3~0~{DIGEST}",
        f"1.2.3~0~{DIGEST}.dcm\n",
        f"1.2.3~0~{DIGEST}~0.dcm",
        f"1.2.3~0~{DIGEST}~07.dcm",
        f"1.2.3~0~{DIGEST}~.dcm",
        f"1.2.3~0~{DIGEST}~1~2.dcm",
        f"1.2.3~0~{DIGEST}~1234567890.dcm",
        f"1.2.3~0~{DIGEST}.dcm.gz",
        f".part-1.2.3~0~{DIGEST}.dcm",
        f"1.2.3~007~{DIGEST}.dcm",
        f"1.2.3~٣~{DIGEST}.dcm",
        f"1.2.3~-1~{DIGEST}.dcm",
        f"1.2.3~12345678~{DIGEST}.dcm",
        f"1.2.3~0~{DIGEST.upper().replace('0', 'A')}.dcm",
        f"~0~{DIGEST}.dcm",
        f"../1~0~{DIGEST}.dcm",
        f"{'1' * 65}~0~{DIGEST}.dcm",
    ],
)
def test_fail__other_names_are_foreign(name: str) -> None:
    assert object_name_from(name) is None


@given(st.binary(max_size=3000), st.integers(0, 3100))
def test_ok__the_digest_goes_round_from_the_offset(content: bytes, offset: int) -> None:
    path = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path("/tmp")
    path /= f"appliance-digest-{hashlib.sha256(content).hexdigest()[:8]}"
    path.write_bytes(content)
    try:
        assert digest_of(path, offset) == hashlib.sha256(content[offset:] + content[:offset]).hexdigest()
    finally:
        path.unlink()


def test_ok__without_an_offset_sha256sum_is_the_check(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 3_000_000)
    said = subprocess.run(["sha256sum", tmp_path / "file"], capture_output=True, text=True, timeout=60, check=True)
    assert digest_of(tmp_path / "file", 0) == said.stdout.split()[0]


def test_ok__blocks_larger_than_one_read(tmp_path: Path) -> None:
    content = bytes(range(256)) * 12_000  # 3 MB
    (tmp_path / "file").write_bytes(content)
    offset = 2_500_001
    assert digest_of(tmp_path / "file", offset) == hashlib.sha256(content[offset:] + content[:offset]).hexdigest()


def test_ok__a_changed_byte_is_seen_wherever_it_is(tmp_path: Path) -> None:
    content = bytearray(b"header" + b"body" * 100)
    digest = hashlib.sha256(bytes(content[6:]) + bytes(content[:6])).hexdigest()
    path = tmp_path / str(ObjectName("1.2.3", 6, digest))
    path.write_bytes(content)
    assert is_intact(path)
    for place in (0, 5, 6, len(content) - 1):
        spoiled = bytearray(content)
        spoiled[place] ^= 1
        path.write_bytes(spoiled)
        assert not is_intact(path)
    path.write_bytes(content[:-1])
    assert not is_intact(path)
    path.write_bytes(content + b"\0")
    assert not is_intact(path)


def test_fail__a_name_that_promises_nothing_is_not_intact(tmp_path: Path) -> None:
    (tmp_path / "file.dcm").write_bytes(b"")
    assert not is_intact(tmp_path / "file.dcm")
    with pytest.raises(OSError):
        digest_of(tmp_path / "none", 0)
