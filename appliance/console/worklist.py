"""The worklist as people are shown it: the last answers of the configured sources, which forward keeps as files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from appliance.base.errors import ApplianceError
from appliance.exam.facts import read_answers
from appliance.exam.item import WorklistAnswer, WorklistItem

_Signature = tuple[tuple[str, int, int], ...]


class Worklist:
    """Reads `worklist/SOURCE.json`, again only when forward has replaced one."""

    def __init__(self, directory: Path, sources: Sequence[str], is_examined: Callable[[str], bool]) -> None:
        self._directory = directory
        self._sources = tuple(sources)
        self._is_examined = is_examined
        self._lock = threading.Lock()
        self._signature: _Signature | None = None
        self._sources_shown: list[dict[str, Any]] = []
        self._items_shown: list[dict[str, Any]] = []

    def view(self) -> dict[str, Any]:
        """`sources` and `items` as GET /api/worklist answers them, items in the order of their appointments."""
        with self._lock:
            self._refresh()
            items = [{**item, "examined": self._is_examined(item["key"])} for item in self._items_shown]
            return {"sources": self._sources_shown, "items": items}

    def find(self, key: str) -> WorklistItem:
        """The item called `key`. ApplianceError when it is not on the list any more."""
        for answer in self._answers():
            for item in answer.items:
                if item.key == key:
                    return item
        raise ApplianceError(
            "This entry is not on the worklist any more.", "Refresh the list: the appointment may have been changed."
        )

    def _answers(self) -> list[WorklistAnswer]:
        """The answers of the sources that are configured now."""
        return [answer for answer in read_answers(self._directory) if answer.source in self._sources]

    def _refresh(self) -> None:
        # Taken before reading: a file replaced in between is read again next time.
        signature = _signature_of(self._directory)
        if signature == self._signature:
            return
        answers = {answer.source: answer for answer in self._answers()}
        self._sources_shown = [
            source_view_from(answers.get(source, WorklistAnswer(source))) for source in self._sources
        ]
        items = [item_view_from(item) for answer in answers.values() for item in answer.items]
        items.sort(key=lambda item: (item["scheduled_date"], item["scheduled_time"], item["names"], item["key"]))
        self._items_shown = items
        self._signature = signature


def source_view_from(answer: WorklistAnswer) -> dict[str, Any]:
    """How old a source's list is and what is wrong with the source."""
    return {
        "source": answer.source,
        "answered_at": answer.answered_at,
        "trouble": answer.trouble,
        "is_cut_off": answer.is_cut_off,
    }


def item_view_from(item: WorklistItem) -> dict[str, Any]:
    """What a person is shown of an entry, without whether it was examined."""
    return {
        "key": item.key,
        "names": list(item.patient_name.groups()),
        "patient_id": item.patient_id,
        "birth_date": item.birth_date,
        "sex": item.sex,
        "accession_number": item.accession_number,
        "modality": item.modality,
        "procedure": item.procedure,
        "scheduled_date": item.scheduled_date,
        "scheduled_time": item.scheduled_time,
        "missing": list(item.missing()),
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
