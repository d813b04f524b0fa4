"""A journal that was lost or damaged is told of, over restarts, until all is done again and a day has passed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from appliance.forward.rebuilt import LEAST, RebuiltJournal
from appliance.forward.states import DeliveryEvent as E
from appliance.forward.states import StepState
from tests.forward.hospital_job import Job
from tests.forward.test_intake import Bench as IntakeBench

DAY = LEAST.total_seconds() + 1


class Bench(IntakeBench):
    """The rescan as services/forward.py does it."""

    def restart(self, destinations: frozenset[str] = frozenset({"archive"})) -> None:
        super().restart(destinations)
        self.rebuilt = RebuiltJournal(self.journal, self.findings, self.clock)

    def rescan(self) -> None:
        super().rescan()
        self.rebuilt.tell()

    def next_run(self) -> None:
        self.journal.close()
        self.restart()
        self.rescan()

    def handed_over(self, number: int) -> Job:
        job = self.job(exam_id=f"20261122-{number:06}-0001")
        job.capture()
        job.close()
        job.hand_over()
        return job

    def commit(self, job: Job) -> None:
        for uid in job.uids:
            for event in (E.CLAIMED, E.STORE_ACCEPTED, E.COMMITTED):
                self.ledger.record(uid, "archive", event)

    def said(self) -> str:
        return " ".join(one.sentence for one in self.findings.listing() if one.code == "journal-rebuilt")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def _lose(bench: Bench) -> None:
    bench.journal.close()
    shutil.rmtree(bench.directory / "journal")
    bench.restart()
    bench.rescan()


def test_ok__a_new_box_has_lost_nothing(bench: Bench) -> None:
    bench.rescan()
    bench.handed_over(1)
    for _ in range(2):
        bench.rescan()
        assert bench.said() == ""
        bench.next_run()


def test_ok__a_lost_journal_is_told_until_all_of_it_is_done_again(bench: Bench) -> None:
    settled, first, second = (bench.handed_over(number) for number in (1, 2, 3))
    bench.rescan()
    bench.commit(settled)
    bench.steps.restore_final(settled.exam.step_of("US").sop_instance_uid, StepState.COMPLETED)
    bench.rescan()
    assert settled.settled.exists()
    _lose(bench)
    lost = "The journal was missing and has been rebuilt from the objects. "
    assert bench.said() == lost + "2 exams are stored, perhaps for the second time."
    bench.handed_over(4)
    bench.clock.advance(2 * DAY)
    bench.next_run()
    assert bench.said() == lost + "2 exams are stored, perhaps for the second time.", "the fourth never was anywhere"
    bench.commit(first)
    bench.rescan()
    assert bench.said() == lost + "2 exams are stored, perhaps for the second time; 1 is not done yet."
    bench.commit(second)
    bench.rescan()
    assert bench.said() == ""
    bench.next_run()
    assert bench.said() == ""


def test_ok__a_lost_journal_is_told_also_where_nothing_is_stored_again(bench: Bench) -> None:
    job = bench.handed_over(1)
    bench.rescan()
    bench.commit(job)
    bench.steps.restore_final(job.exam.step_of("US").sop_instance_uid, StepState.COMPLETED)
    bench.rescan()
    assert job.settled.exists()
    _lose(bench)
    assert bench.said() == "The journal was missing and has been rebuilt from the objects."
    bench.clock.advance(DAY)
    bench.rescan()
    assert bench.said() == ""
    bench.next_run()
    assert bench.said() == ""


def test_ok__an_archive_that_is_quick_does_not_make_it_unread(bench: Bench) -> None:
    bench.handed_over(1)
    bench.rescan()
    bench.commit_all()
    bench.rescan()
    _lose(bench)
    bench.commit_all()
    for _ in range(2):
        bench.next_run()
        assert bench.said().endswith("1 exam is stored, perhaps for the second time; that is done.")
    bench.clock.advance(DAY)
    bench.rescan()
    assert bench.said() == ""


def test_ok__a_clock_that_was_put_back_does_not_make_it_last(bench: Bench) -> None:
    bench.handed_over(1)
    bench.rescan()
    _lose(bench)
    bench.commit_all()
    bench.clock.set_wall(-20 * DAY)
    bench.rescan()
    assert bench.said() == ""


def test_ok__a_damaged_journal_is_told_with_where_it_lies_even_when_nothing_was_lost(bench: Bench) -> None:
    for exams in ("", " 1 exam is stored, perhaps for the second time."):
        if exams:
            bench.handed_over(1)
            bench.rescan()
        bench.journal.close()
        (bench.directory / "journal" / "journal.sqlite").write_bytes(b"rotten" * 1000)
        for left in bench.directory.glob("journal/journal.sqlite-*"):
            left.unlink()
        bench.restart()
        bench.rescan()
        number = 2 if exams else 1
        assert bench.said() == (
            f"The journal was damaged and has been rebuilt from the objects; it is kept as journal/damaged-{number}."
            + exams
        )
        assert (bench.directory / "journal" / f"damaged-{number}" / "journal.sqlite").exists()


def test_ok__what_cannot_be_looked_at_yet_is_told_of_later(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.handed_over(1)
    bench.rescan()
    bench.journal.close()
    shutil.rmtree(bench.directory / "journal")
    bench.restart()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", _fail)
        bench.rescan()
        assert bench.said() == ""
    bench.rescan()
    assert bench.said() != ""


def _fail(path: Path) -> None:
    raise OSError(5, "the path is not told")
