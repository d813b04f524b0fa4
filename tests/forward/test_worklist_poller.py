"""What becomes of a worklist's answers: what changed is written, what was known is not, and trouble is told."""

from __future__ import annotations

import errno
import json
import threading
from pathlib import Path

import pytest

from appliance.base.errors import ApplianceError
from appliance.base.findings import FindingBoard
from appliance.config.schema import WorklistSource
from appliance.dimse.association import Caller
from appliance.dimse.worklist import WorklistFound
from appliance.exam.answers import (
    WorklistAnswer,
    entry_from,
    item_from_packed,
    read_answer,
    read_entries,
    read_list,
)
from appliance.exam.item import WorklistItem
from appliance.forward.worklist import PatientSearch, WorklistPoller
from tests.forward.hand_clock import HandClock
from tests.forward.hospital_job import scheduled_item

SOURCE = WorklistSource(name="ris", ae_title="RIS", host="h", port=104, every_seconds=60)


def _found(*items: WorklistItem) -> WorklistFound:
    entries = [entry_from(item) for item in items]
    return WorklistFound(entries, {entry.digest for entry in entries})


def _poller(directory: Path, findings: FindingBoard, clock: HandClock) -> WorklistPoller:
    return WorklistPoller(SOURCE, Caller("BRIDGE"), directory, findings=findings, clock=clock)


def test_ok__an_answer_that_cannot_be_written_is_told_and_written_at_the_next_poll(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "the flash is full")

    monkeypatch.setattr("appliance.forward.worklist.query_worklist", lambda *_: _found(scheduled_item()))
    findings, clock = FindingBoard(), HandClock()
    poller = _poller(tmp_path, findings, clock)
    with monkeypatch.context() as patch:
        patch.setattr("appliance.forward.worklist.write_answer", fail)
        assert poller.work() == 60
    assert [(one.code, one.subject) for one in findings.listing()] == [("worklist-unwritten", "ris")]
    assert "the flash is full" in findings.listing()[0].sentence
    assert read_answer(tmp_path, "ris") == WorklistAnswer("ris")
    clock.advance(60)
    poller.work()
    assert findings.listing() == []
    assert read_answer(tmp_path, "ris") == poller.last
    assert [one.view for one in read_entries(tmp_path, poller.last)] == [entry_from(scheduled_item()).view]


def test_ok__a_last_answer_that_cannot_be_read_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_path: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fail)
        poller = _poller(tmp_path, FindingBoard(), HandClock())
    assert poller.last == WorklistAnswer("ris")


# -- what changes, and what does not


def _entry(number: int, time: str = "0900") -> WorklistItem:
    item = scheduled_item()
    step = {"00400003": {"vr": "TM", "Value": [time]}, "00400009": {"vr": "SH", "Value": [f"S{number}"]}}
    return WorklistItem("ris", item.elements | {"00400100": {"vr": "SQ", "Value": [step]}})


class _Ris:
    """A source that answers with `items`, or not at all; it reads only what is not known, as the query does."""

    def __init__(self, *items: WorklistItem) -> None:
        self.items = list(items)
        self.trouble = ""
        self.read: list[int] = []

    def answer(self, _source: object, _caller: object, _day: object, known: frozenset[str]) -> WorklistFound:
        if self.trouble:
            raise ApplianceError(self.trouble)
        found = _found(*self.items)
        found.entries = [entry for entry in found.entries if entry.digest not in known]
        self.read.append(len(found.entries))
        return found


@pytest.fixture
def ris(monkeypatch: pytest.MonkeyPatch) -> _Ris:
    made = _Ris(_entry(1, "0800"), _entry(2, "0900"), _entry(3, "1000"))
    monkeypatch.setattr("appliance.forward.worklist.query_worklist", made.answer)
    return made


def _shown(directory: Path) -> list[str]:
    return [json.loads(entry.view)["scheduled_time"] for entry in read_list(directory, "ris")[1]]


def test_ok__what_is_known_is_neither_read_nor_written_again(tmp_path: Path, ris: _Ris) -> None:
    poller = _poller(tmp_path, FindingBoard(), clock := HandClock())
    for _ in range(4):
        poller.work()
        clock.advance(60)
    entries = tmp_path / read_answer(tmp_path, "ris").entries
    before = entries.stat()
    poller.work()
    assert entries.stat() == before
    assert read_answer(tmp_path, "ris").answered_at == clock.now().isoformat()
    ris.items = [_entry(3, "1000"), _entry(4, "0700"), _entry(2, "0930"), _entry(1, "0800")]
    clock.advance(60)
    poller.work()
    assert _shown(tmp_path) == ["0700", "0800", "0930", "1000"]
    # a new process knows what the one before wrote
    _poller(tmp_path, FindingBoard(), clock).work()
    assert ris.read == [3, 0, 0, 0, 0, 2, 0]
    ris.items = ris.items[:1]
    clock.advance(60)
    poller.work()
    assert _shown(tmp_path) == ["1000"]


def test_ok__the_last_answer_is_kept_with_its_age_while_the_source_is_down(tmp_path: Path, ris: _Ris) -> None:
    poller = _poller(tmp_path, FindingBoard(), clock := HandClock())
    poller.work()
    answered = clock.now().isoformat()
    ris.trouble = "The RIS does not answer."
    for _ in range(3):
        clock.advance(60)
        poller.work()
    poller = _poller(tmp_path, FindingBoard(), clock)
    poller.work()
    answer = read_answer(tmp_path, "ris")
    assert (answer.answered_at, answer.asked_at) == (answered, clock.now().isoformat())
    assert answer.trouble == "The RIS does not answer."
    assert len(_shown(tmp_path)) == 3


def test_ok__another_default_character_set_reads_all_of_it_again(tmp_path: Path, ris: _Ris) -> None:
    _poller(tmp_path, FindingBoard(), HandClock()).work()
    other = SOURCE.model_copy(update={"character_set": "ISO_IR 101"})
    WorklistPoller(other, Caller("BRIDGE"), tmp_path, findings=FindingBoard(), clock=HandClock()).work()
    assert ris.read == [3, 3]


def test_ok__the_first_releases_answer_outlives_a_source_that_is_down(tmp_path: Path, ris: _Ris) -> None:
    items = [{"source": "ris", "elements": _entry(1, "0800").elements, "received": "", "transfer_syntax_uid": ""}]
    (tmp_path / "ris.json").write_text(json.dumps({"source": "ris", "items": items, "answered_at": "long ago"}))
    ris.trouble = "The RIS does not answer."
    _poller(tmp_path, FindingBoard(), HandClock()).work()
    assert (_shown(tmp_path), read_answer(tmp_path, "ris").answered_at) == (["0800"], "long ago")


@pytest.mark.parametrize("has_changed", [False, True])
@pytest.mark.parametrize("is_gone", [False, True])
def test_ok__damaged_entries_are_read_anew_at_the_next_poll(
    tmp_path: Path, ris: _Ris, has_changed: bool, is_gone: bool
) -> None:
    """Also where the source's list is the same: *Refresh the list* must help."""
    poller = _poller(tmp_path, FindingBoard(), clock := HandClock())
    poller.work()
    entries = tmp_path / poller.last.entries
    entries.write_bytes(entries.read_bytes()[:-9])
    if is_gone:
        entries.unlink()
    if has_changed:
        ris.items.append(_entry(4))
    clock.advance(60)
    poller.work()
    assert len(_shown(tmp_path)) == 3 + has_changed
    clock.advance(60)
    poller.work()
    assert ris.read[-1] == 0, "what is known and whole is not read again"


# -- one patient


def test_ok__all_sources_are_asked_at_once_and_one_that_fails_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [SOURCE.model_copy(update={"name": name}) for name in ("ris", "clinic", "down")]
    together = threading.Barrier(3)

    def answer(source: WorklistSource, _caller: object, _queries: object) -> WorklistFound:
        together.wait(20)
        if source.name == "down":
            raise ApplianceError("It does not answer.")
        return WorklistFound(_found(_entry(2, "1200"), _entry(1, "0700")).entries, is_cut_off=source.name == "clinic")

    monkeypatch.setattr("appliance.forward.worklist.query_patient", answer)
    found = PatientSearch(sources, Caller("BRIDGE")).query_patient({"patient_id": "1"})["answers"]
    assert [(one["source"], one["trouble"], one["is_cut_off"]) for one in found] == [
        ("ris", "", False),
        ("clinic", "", True),
        ("down", "It does not answer.", False),
    ]
    assert [item["scheduled_time"] for item in found[0]["items"]] == ["0700", "1200"]
    assert item_from_packed(found[0]["items"][0]["packed"].encode()) == _entry(1, "0700")
    json.dumps(found)


def test_fail__no_more_than_two_ask_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asking, may_end = threading.Semaphore(0), threading.Event()

    def answer(*_: object) -> WorklistFound:
        asking.release()
        may_end.wait(20)
        return WorklistFound()

    monkeypatch.setattr("appliance.forward.worklist.query_patient", answer)
    search = PatientSearch([SOURCE], Caller("BRIDGE"))
    threads = [threading.Thread(target=search.query_patient, args=({"patient_id": "1"},)) for _ in range(2)]
    for thread in threads:
        thread.start()
        assert asking.acquire(timeout=20)
    with pytest.raises(ApplianceError, match="being asked already"):
        search.query_patient({"patient_id": "1"})
    may_end.set()
    for thread in threads:
        thread.join(20)
    assert search.query_patient({"patient_id": "1"})["answers"][0]["items"] == []
    with pytest.raises(ApplianceError, match="Nothing was asked for"):
        search.query_patient({})
    assert PatientSearch([], Caller("BRIDGE")).query_patient({"patient_id": "1"}) == {"answers": []}
