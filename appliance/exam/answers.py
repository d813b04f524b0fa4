"""The last answer of each worklist source: how old it is in `worklist/SOURCE.json`, its entries in a file beside it.

The first is small and written at every poll. The second, `SOURCE.DIGEST.entries`, is written only when the entries have
changed, since ten thousand of them every minute would wear the flash: a line for each, in the order of appointments,
with what people are shown in clear and the whole item packed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import logging
import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from appliance.base.durable import TEMPORARY_PREFIX, make_directory, remove_file, replace_file
from appliance.base.errors import ApplianceError
from appliance.base.flash import reason_of
from appliance.exam.item import WorklistItem, order_of

_log = logging.getLogger(__name__)

_ITEM = TypeAdapter(WorklistItem)
Read = TypeVar("Read")
_MAX_ITEM_BYTES = 4 * 1024 * 1024


class DamagedAnswerError(ApplianceError):
    """A source's file cannot be read back; the source still has what was in it."""


@dataclass(frozen=True)
class WorklistAnswer:
    """What a source last said, kept while it is down.

    `answered_at` is when the entries came (ISO 8601, empty if never); `trouble` is a sentence while the source is down.
    `entries` is the file that holds them, `basis` what their reading depended on.
    """

    source: str
    answered_at: str = ""
    asked_at: str = ""
    trouble: str = ""
    is_cut_off: bool = False
    count: int = 0
    entries: str = ""
    basis: str = ""


_ANSWER = TypeAdapter(WorklistAnswer)


@dataclass(frozen=True, slots=True)
class Entry:
    """A worklist entry as it is kept: small, and shown without being unpacked.

    `digest` is of the received bytes, `view` the JSON of `WorklistItem.view`, `packed` for `item_from_packed`.
    """

    digest: str
    key: str
    view: bytes
    packed: bytes


def digest_of(received: bytes) -> str:
    """What an entry's bytes are recognized by at the next poll."""
    return hashlib.blake2b(received, digest_size=12).hexdigest()


def entry_from(item: WorklistItem) -> Entry:
    """The entry that keeps `item`."""
    view = item.view()
    packed = base64.b64encode(zlib.compress(_ITEM.dump_json(item), 1))
    # Of an item that came from nowhere, as a test's, the elements are all that there is.
    received = base64.b64decode(item.received) or packed
    shown = json.dumps(view, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return Entry(digest_of(received), view["key"], shown, packed)


def item_from_packed(packed: bytes) -> WorklistItem:
    """The whole item. DamagedAnswerError when it cannot be unpacked."""
    try:
        unpacker = zlib.decompressobj()
        plain = unpacker.decompress(base64.b64decode(packed, validate=True), _MAX_ITEM_BYTES)
        return _ITEM.validate_json(plain)
    except (ValidationError, zlib.error, binascii.Error):
        raise DamagedAnswerError("This entry's record is damaged.", "Refresh the list.") from None


def read_answer(directory: Path, source: str) -> WorklistAnswer:
    """The last answer of `source`, an empty one if it never answered. DamagedAnswerError, or OSError of the flash."""
    path = directory / f"{source}.json"
    try:
        return _answer_from(path)
    except FileNotFoundError:
        return WorklistAnswer(source)


def read_entries(directory: Path, answer: WorklistAnswer) -> list[Entry]:
    """The entries of `answer`, in the order of their appointments. DamagedAnswerError, or OSError of the flash."""
    if not answer.count:
        return []
    if not answer.entries:
        return sorted_entries(_first_release_entries(directory / f"{answer.source}.json"))
    return [_entry_in(line) for line in _lines_of(directory, answer).splitlines()]


def has_entries(directory: Path, answer: WorklistAnswer) -> bool:
    """Whether the entries of `answer` lie there as they were written. What cannot be read does not."""
    try:
        return answer.entries == _name_of(answer.source, (directory / answer.entries).read_bytes())
    except OSError as error:
        _log.error("the file %s of %s cannot be read: %s", answer.entries, directory.name, reason_of(error))
        return False


def read_list(directory: Path, source: str) -> tuple[WorklistAnswer, list[Entry]]:
    """Answer and entries that belong together, also while they are being replaced. Errors as above."""
    return _read_together(directory, source, read_entries)


def read_entry(directory: Path, source: str, key: str) -> Entry | None:
    """The one called `key` of the last answer, None where there is none. The others are not looked at: a finger waits
    for it, and there may be ten thousand. Errors as above."""

    def find(directory: Path, answer: WorklistAnswer) -> Entry | None:
        if not answer.count or not answer.entries:
            return next((one for one in read_entries(directory, answer) if one.key == key), None)
        lines = _lines_of(directory, answer)
        # No other column holds a tab, which JSON writes otherwise, nor is one a key.
        place = lines.find(f"\t{key}\t".encode())
        return _entry_in(lines[lines.rfind(b"\n", 0, place) + 1 :].partition(b"\n")[0]) if place >= 0 else None

    return _read_together(directory, source, find)[1]


def _read_together(
    directory: Path, source: str, read: Callable[[Path, WorklistAnswer], Read]
) -> tuple[WorklistAnswer, Read]:
    answer = read_answer(directory, source)
    try:
        return answer, read(directory, answer)
    except FileNotFoundError:  # it has just been replaced
        answer = read_answer(directory, source)
        return answer, read(directory, answer)


def write_answer(
    directory: Path, answer: WorklistAnswer, entries: Iterable[Entry | WorklistItem] | None = None
) -> WorklistAnswer:
    """Keep `answer`, with other `entries` if they are given, and give it as it was kept. OSError of the flash.

    A crash in between leaves the answer before with the entries before.
    """
    make_directory(directory)
    if entries is not None:
        kept = sorted_entries(one if isinstance(one, Entry) else entry_from(one) for one in entries)
        data = b"".join(
            b"\t".join((one.digest.encode(), one.key.encode(), one.view, one.packed)) + b"\n" for one in kept
        )
        answer = replace(answer, count=len(kept), entries=_name_of(answer.source, data) if kept else "")
        if kept and not ((directory / answer.entries).exists() and has_entries(directory, answer)):
            replace_file(directory / answer.entries, data)
    replace_file(directory / f"{answer.source}.json", _ANSWER.dump_json(answer, indent=1))
    if entries is not None:
        _sweep(directory, answer)
    return answer


def sorted_entries(entries: Iterable[Entry]) -> list[Entry]:
    """`entries` in the order of their appointments; of two with one key the first."""
    by_key: dict[str, Entry] = {}
    for entry in entries:
        by_key.setdefault(entry.key, entry)
    return sorted(by_key.values(), key=lambda entry: order_of(json.loads(entry.view)))


def _sweep(directory: Path, answer: WorklistAnswer) -> None:
    """Remove the entries before, and what a crash left of this source's."""
    # Not another source's whose name ends like this one's: that may be about to be renamed.
    ours = re.compile(rf"({re.escape(TEMPORARY_PREFIX)}\d+-)?{re.escape(answer.source)}\.(.*\.entries|json)")
    for path in directory.iterdir():
        if ours.fullmatch(path.name) and path.name not in (answer.entries, f"{answer.source}.json"):
            remove_file(path)


def _name_of(source: str, data: bytes) -> str:
    return f"{source}.{hashlib.sha256(data).hexdigest()[:24]}.entries"


def _lines_of(directory: Path, answer: WorklistAnswer) -> bytes:
    """What lies in the entries' file, as it was written. DamagedAnswerError, OSError."""
    data = (directory / answer.entries).read_bytes()
    if answer.entries != _name_of(answer.source, data):
        raise _damaged(directory / answer.entries)
    return data


def _entry_in(line: bytes) -> Entry:
    digest, key, view, packed = line.split(b"\t")
    return Entry(digest.decode(), key.decode(), view, packed)


def _answer_from(path: Path) -> WorklistAnswer:
    try:
        answer = _ANSWER.validate_json(path.read_bytes())
    except ValidationError:
        raise _damaged(path) from None
    if not answer.entries and not answer.count:
        return replace(answer, count=len(_first_release_entries(path)))
    return answer


def _first_release_entries(path: Path) -> list[Entry]:
    """The items that the first release wrote into SOURCE.json itself."""
    try:
        written: Any = json.loads(path.read_bytes())
        items = [_ITEM.validate_python(one) for one in written.get("items", ())]
    except (ValueError, TypeError, AttributeError):
        raise _damaged(path) from None
    return [entry_from(item) for item in items]


def _damaged(path: Path) -> DamagedAnswerError:
    # Not the values: they are patients.
    return DamagedAnswerError(f"The file {path.name} of {path.parent.name} is damaged.", "Refresh the list.")
