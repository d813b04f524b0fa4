"""An object's file name carries what it needs to be verified without any index: `UID~OFFSET~SHA256~NUMBER.dcm`.

The digest is over the final bytes, starting at OFFSET and going round: bytes[OFFSET:] and then bytes[:OFFSET]. OFFSET
is 0 for everything whose header was known before its first pixel, so `sha256sum FILE` is the check. A clip's header is
patched at its end, so its OFFSET is the header's length: the body is hashed as it streams by, the header last, and
nothing is read twice.

NUMBER is the order in which objects were saved (`spool.tree.next_number`), whatever the clock says; the first release
wrote none.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from appliance.base.durable import TEMPORARY_PREFIX, forget_cached

_OBJECT = re.compile(
    r"\A(?P<uid>[0-9.]{1,64})~(?P<offset>0|[1-9][0-9]{0,6})~(?P<digest>[0-9a-f]{64})"
    r"(?:~(?P<number>[1-9][0-9]{0,8}))?\.dcm\Z"
)
_TEMPORARY = re.compile(re.escape(TEMPORARY_PREFIX) + r"(?P<uid>[0-9.]{1,64})~(?P<offset>0|[1-9][0-9]{0,6})\Z")
_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ObjectName:
    """What a published object's name says; `number` is 0 where it says none."""

    sop_instance_uid: str
    offset: int
    digest: str
    number: int = 0

    def __str__(self) -> str:
        number = f"~{self.number}" if self.number else ""
        return f"{self.sop_instance_uid}~{self.offset}~{self.digest}{number}.dcm"


def object_name_from(name: str) -> ObjectName | None:
    """The parts of a published object's file name; None for any other name."""
    match = _OBJECT.match(name)
    if match is None:
        return None
    return ObjectName(match["uid"], int(match["offset"]), match["digest"], int(match["number"] or 0))


@dataclass(frozen=True, slots=True)
class TemporaryName:
    """An object under way: its UID, and where its body begins (0 if it cannot be salvaged)."""

    sop_instance_uid: str
    offset: int

    def __str__(self) -> str:
        return f"{TEMPORARY_PREFIX}{self.sop_instance_uid}~{self.offset}"


def temporary_name_from(name: str) -> TemporaryName | None:
    match = _TEMPORARY.match(name)
    return TemporaryName(match["uid"], int(match["offset"])) if match else None


def digest_of(path: Path, offset: int, on_block: Callable[[], None] = lambda: None) -> str:
    """The digest of the file's bytes from `offset` round to `offset`, in hexadecimal; OSError when unreadable.

    A large file takes long: `on_block` is called after each MiB.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(offset)
        while block := file.read(_BLOCK):
            digest.update(block)
            on_block()
        file.seek(0)
        left = offset
        while left and (block := file.read(min(_BLOCK, left))):
            digest.update(block)
            left -= len(block)
            on_block()
    return digest.hexdigest()


def is_intact(path: Path, on_block: Callable[[], None] = lambda: None) -> bool:
    """True when the file's bytes are those that its name promises; false for a name that promises nothing.

    What looks damaged is read once more: the medium may have given it wrongly once. OSError when unreadable.
    """
    name = object_name_from(path.name)
    if name is None:
        return False
    if digest_of(path, name.offset, on_block) == name.digest:
        return True
    forget_cached(path)
    return digest_of(path, name.offset, on_block) == name.digest
