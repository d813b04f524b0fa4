"""The worklist as people are shown it: the last answers of the configured sources, which forward keeps as files, and
what the sources answered to the last few questions for one patient."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from appliance.base.errors import ApplianceError
from appliance.base.flash import reason_of
from appliance.exam.answers import (
    DamagedAnswerError,
    Entry,
    WorklistAnswer,
    item_from_packed,
    read_answer,
    read_entry,
    read_list,
)
from appliance.exam.item import WorklistItem, order_of

# Found entries stay choosable for this many further ones: a few questions of every source.
_MOST_FOUND = 1000
_UNKNOWN = -1

_Signature = tuple[tuple[str, int, int], ...]


class Worklist:
    """Reads `worklist/`, again only when forward has replaced something there.

    Of each entry only what is shown is held, ready to be sent; the whole item is read when an exam is opened on it.
    """

    def __init__(self, directory: Path, sources: Sequence[str], is_examined: Callable[[str], bool]) -> None:
        self._directory = directory
        self._sources = tuple(sources)
        self._is_examined = is_examined
        self._lock = threading.Lock()
        self._signature: _Signature | None = None
        self._sources_shown: list[dict[str, Any]] = []
        self._shown: list[tuple[str, bytes]] = []  # key and view of each entry, in the order of the appointments
        self._digest = b""
        self._is_kept = False
        self._found: OrderedDict[str, bytes] = OrderedDict()

    def view(self, now: str, version: str = "") -> bytes:
        """The JSON that GET /api/worklist answers: `now`, `sources`, `version` and `items`.

        `items` is null when they are still those of `version`: ten thousand entries are sent once, not at every look.
        """
        with self._lock:
            head, examined = self._head()
            items = b"null" if version == head["version"] else b"[" + b",".join(self._sent(examined)) + b"]"
        return json.dumps({"now": now, **head}).encode()[:-1] + b', "items": ' + items + b"}"

    def head(self) -> dict[str, Any]:
        """`sources`, and the `version` of the entries."""
        with self._lock:
            return self._head()[0]

    def _head(self) -> tuple[dict[str, Any], frozenset[str]]:
        self._refresh()
        examined = frozenset(key for key, _ in self._shown if self._is_examined(key))
        version = hashlib.sha256(self._digest + "".join(sorted(examined)).encode()).hexdigest()[:16]
        return {"sources": self._sources_shown, "version": version}, examined

    def take_found(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """What forward answered to a question for one patient, as the panel gets it; its entries can be chosen."""
        answers = []
        with self._lock:
            for one in answer.get("answers", ()):
                items = []
                for item in one.get("items", ()):
                    shown = {name: value for name, value in item.items() if name != "packed"}
                    self._found[shown["key"]] = item["packed"].encode("ascii")
                    self._found.move_to_end(shown["key"])
                    items.append(shown | {"examined": self._is_examined(shown["key"])})
                answers.append({**one, "items": items})
            while len(self._found) > _MOST_FOUND:
                self._found.popitem(last=False)
        return {"answers": answers}

    def find(self, key: str) -> WorklistItem:
        """The item called `key`, on the list or among those found. ApplianceError when it is neither any more."""
        with self._lock:
            found = self._found.get(key)
        packed, trouble = self._listed(key)
        packed = packed or found
        if packed is None:
            if trouble:
                said = f"This entry is not on the worklist as far as that can be read. {trouble}"
                raise ApplianceError(said, "Try again; refresh the list if it stays.")
            raise ApplianceError(
                "This entry is not on the worklist any more.",
                "Refresh the list: the appointment may have been changed.",
            )
        return item_from_packed(packed)

    def _listed(self, key: str) -> tuple[bytes | None, str]:
        """The entry as it is kept, or None and why the first list that could not be read could not."""
        troubles = []
        for source in self._sources:
            try:
                entry = read_entry(self._directory, source, key)
            except (DamagedAnswerError, OSError) as error:
                troubles.append(_unread(source, error).trouble)
            else:
                if entry is not None:
                    return entry.packed, ""
        return None, next(iter(troubles), "")

    def _sent(self, examined: frozenset[str]) -> list[bytes]:
        marks = {True: b',"examined":true}', False: b',"examined":false}'}
        return [view[:-1] + marks[key in examined] for key, view in self._shown]

    def _refresh(self) -> None:
        # Taken before reading: a file replaced in between is read again next time.
        signature = _signature_of(self._directory)
        if signature == self._signature:
            return
        read = [_read(self._directory, source, has_entries=False) for source in self._sources]
        if not self._is_kept or _digest_of(read) != self._digest:
            # Ten thousand entries are a large file: it is read when it is another one.
            read = [_read(self._directory, source) for source in self._sources]
            shown = [(entry.key, entry.view) for _, entries in read for entry in entries]
            if sum(1 for _, entries in read if entries) > 1:
                shown.sort(key=lambda one: order_of(json.loads(one[1])))
            self._shown, self._digest = shown, _digest_of(read)
            # What could not be read, or what the first release wrote, may be another without another name.
            self._is_kept = all(answer.entries or not answer.count for answer, _ in read)
        self._sources_shown = [source_view_from(answer) for answer, _ in read]
        self._signature = signature


def _digest_of(read: Iterable[tuple[WorklistAnswer, object]]) -> bytes:
    """The same as long as the entries are."""
    names = (f"{answer.source} {answer.entries} {answer.count}" for answer, _ in read)
    return hashlib.sha256("\0".join(names).encode()).digest()


def _read(directory: Path, source: str, *, has_entries: bool = True) -> tuple[WorklistAnswer, list[Entry]]:
    """What `source` last said; of one whose files are damaged that this is so, since the others are to be seen."""
    try:
        return read_list(directory, source) if has_entries else (read_answer(directory, source), [])
    except (DamagedAnswerError, OSError) as error:
        return _unread(source, error), []


def _unread(source: str, error: DamagedAnswerError | OSError) -> WorklistAnswer:
    said = f"Its list cannot be read: {reason_of(error)}." if isinstance(error, OSError) else error.sentence
    return WorklistAnswer(source, trouble=said, count=_UNKNOWN)


def source_view_from(answer: WorklistAnswer) -> dict[str, Any]:
    """How old a source's list is and what is wrong with the source."""
    return {
        "source": answer.source,
        "answered_at": answer.answered_at,
        "trouble": answer.trouble,
        "is_cut_off": answer.is_cut_off,
    }


def _signature_of(directory: Path) -> _Signature:
    if not directory.is_dir():
        return ()
    found = []
    for path in directory.glob("*.json"):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        found.append((path.name, status.st_mtime_ns, status.st_ino))
    return tuple(sorted(found))
