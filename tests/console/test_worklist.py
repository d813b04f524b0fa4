"""The list as the console keeps it: shown without being unpacked, sent once, and found again when an exam is opened."""

from __future__ import annotations

import json
import resource
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from appliance.base.errors import ApplianceError
from appliance.console.worklist import Worklist
from appliance.exam.answers import WorklistAnswer, entry_from, write_answer
from appliance.exam.item import WorklistItem
from tests.console.fakes import make_item, make_items

NOW = "2026-11-22T09:30:00+01:00"


def _worklist(directory: Path, examined: set[str] | None = None, sources: tuple[str, ...] = ("ris",)) -> Worklist:
    return Worklist(directory, sources, lambda key: key in (examined or set()))


def _view(worklist: Worklist, version: str = "") -> dict[str, Any]:
    found = json.loads(worklist.view(NOW, version))
    assert isinstance(found, dict)
    return found


def _write(directory: Path, source: str, items: list[WorklistItem], **given: Any) -> None:
    write_answer(directory, WorklistAnswer(source, NOW, NOW, **given), items)


def test_ok__the_entries_are_sent_only_when_they_changed(tmp_path: Path) -> None:
    examined: set[str] = set()
    worklist = _worklist(tmp_path, examined)
    assert _view(worklist)["items"] == []
    _write(tmp_path, "ris", make_items())
    first = _view(worklist)
    assert [item["patient_id"] for item in first["items"][:2]] == ["4711", "JP-000123"]
    assert set(first) == {"now", "sources", "version", "items"}
    again = _view(worklist, first["version"])
    assert (again["items"], again["version"]) == (None, first["version"])
    # the age is new, the entries are not
    write_answer(tmp_path, WorklistAnswer("ris", "later", trouble="It is down.", count=30, entries=_entries(tmp_path)))
    older = _view(worklist, first["version"])
    assert older["items"] is None
    assert older["sources"][0]["trouble"] == "It is down."
    # an entry was examined
    examined.add(first["items"][3]["key"])
    marked = _view(worklist, first["version"])
    assert [item["examined"] for item in marked["items"]].index(True) == 3
    assert marked["version"] != first["version"]
    _write(tmp_path, "ris", make_items()[1:])
    assert len(_view(worklist, marked["version"])["items"]) == 29


def _entries(directory: Path) -> str:
    (found,) = directory.glob("ris.*.entries")
    return found.name


def test_ok__two_sources_one_of_them_damaged(tmp_path: Path) -> None:
    items = make_items()
    _write(tmp_path, "ris", items[::2])
    _write(tmp_path, "b", items[1::2])
    worklist = _worklist(tmp_path, sources=("ris", "b", "c"))
    shown = _view(worklist)
    assert [item["key"] for item in shown["items"]] == [item.key for item in items]
    assert [one["answered_at"] for one in shown["sources"]] == [NOW, NOW, ""]
    entries = next(tmp_path.glob("b.*.entries"))
    entries.write_bytes(entries.read_bytes()[:-9])
    (tmp_path / "b.json").touch()
    (tmp_path / "c.json").write_text("{")
    shown = _view(worklist)
    assert len(shown["items"]) == 15
    assert ["damaged" in one["trouble"] for one in shown["sources"]] == [False, True, True]
    assert worklist.find(items[0].key) == items[0]
    with pytest.raises(ApplianceError, match="not on the worklist"):
        worklist.find(items[1].key)


def _found(*items: WorklistItem, **given: Any) -> dict[str, Any]:
    views = [json.loads(entry_from(item).view) | {"packed": entry_from(item).packed.decode()} for item in items]
    return {"answers": [{"source": "ris", "trouble": "", "is_cut_off": False, "items": views} | given]}


def test_ok__what_the_hospital_found_can_be_opened(tmp_path: Path) -> None:
    listed, other = make_item("A^B", "1"), make_item("C^D", "2")
    _write(tmp_path, "ris", [listed])
    worklist = _worklist(tmp_path, {other.key})
    answer = worklist.take_found(_found(listed, other, is_cut_off=True))
    assert [(item["key"], item["examined"]) for item in answer["answers"][0]["items"]] == [
        (listed.key, False),
        (other.key, True),
    ]
    assert "packed" not in json.dumps(answer)
    assert answer["answers"][0]["is_cut_off"]
    assert worklist.find(other.key) == other
    assert worklist.find(listed.key) == listed


def test_ok__only_so_many_found_entries_are_kept(tmp_path: Path) -> None:
    worklist = _worklist(tmp_path)
    first, last = make_item("A^B", "first"), make_item("A^B", "last")
    worklist.take_found(_found(first))
    for batch in range(5):
        worklist.take_found(_found(*(make_item("A^B", f"{batch}-{number}") for number in range(200))))
    worklist.take_found(_found(last))
    assert worklist.find(last.key) == last
    with pytest.raises(ApplianceError, match="not on the worklist"):
        worklist.find(first.key)


def test_ok__ten_thousand_entries_stay_small(tmp_path: Path) -> None:
    """A look at an unchanged list of ten thousand is a few hundred bytes, and holds what is shown and no more."""
    template = entry_from(make_item("Müller^Jürgen", "ID-000000"))
    entries = [
        type(template)(
            f"{number:024x}",
            f"{number:016x}",
            template.view.replace(template.key.encode(), f"{number:016x}".encode()),
            template.packed,
        )
        for number in range(10_000)
    ]
    write_answer(tmp_path, WorklistAnswer("ris", NOW), entries)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    worklist = _worklist(tmp_path)
    begun = datetime.now()
    whole = worklist.view(NOW)
    seconds = (datetime.now() - begun).total_seconds()
    version = json.loads(whole)["version"]
    assert len(json.loads(whole)["items"]) == 10_000
    assert len(worklist.view(NOW, version)) < 600
    assert worklist.find(f"{9_999:016x}").patient_id == "ID-000000"
    assert seconds < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB
