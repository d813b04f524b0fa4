"""What becomes of a worklist's answer when the flash takes none: it is told, and the process lives."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from appliance.base.findings import FindingBoard
from appliance.config.schema import WorklistSource
from appliance.dimse.association import Caller
from appliance.dimse.worklist import WorklistFound
from appliance.exam.answers import WorklistAnswer, entry_from, read_answer, read_entries
from appliance.exam.item import WorklistItem
from appliance.forward.worklist import WorklistPoller
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
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("appliance.forward.worklist.query_worklist", lambda *_: _found(scheduled_item()))
    findings, clock = FindingBoard(), HandClock()
    poller = _poller(tmp_path, findings, clock)
    with monkeypatch.context() as patch:
        patch.setattr("appliance.forward.worklist.write_answer", fail)
        assert poller.work() == 60
    assert [(one.code, one.subject) for one in findings.listing()] == [("worklist-unwritten", "ris")]
    assert "No space left on device" in findings.listing()[0].sentence
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
