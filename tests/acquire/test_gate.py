"""Whose frame it is: tickets, wrong exams, draining, and both racing each other."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from appliance.acquire.gate import ExamGate, Ticket, WrongExamError
from appliance.base.clock import SystemClock
from appliance.exam.facts import DamagedFactError, ExamFacts
from tests.acquire.conftest import Room
from tests.acquire.world import START, begin_closing, close_exam, make_item, open_exam_of
from tests.peers import wait_until


def test_ok__a_frame_belongs_to_the_open_exam(room: Room) -> None:
    exam = open_exam_of(room.facts)
    for expected in (None, exam.exam_id):
        with room.gate.admitting(expected) as ticket:
            assert ticket.exam == exam
            assert ticket.captured_at == START
    assert room.is_idle()


def test_ok__without_an_exam_it_is_unassigned(room: Room) -> None:
    with room.gate.admitting() as ticket:
        assert ticket.exam_id is None
    close_exam(room.facts, open_exam_of(room.facts))
    with room.gate.admitting() as ticket:
        assert ticket.exam_id is None


def test_ok__the_ticket_knows_whether_the_clock_was_believed_at_its_moment(room: Room) -> None:
    answers = [True, False]
    gate = ExamGate(room.facts, room.clock, answers.pop)
    doubtful, sure = gate.admit(), gate.admit()
    assert (doubtful.is_clock_trusted, sure.is_clock_trusted) == (False, True)
    exam = open_exam_of(room.facts)
    for ticket in (doubtful, sure):
        ticket.exam = exam
        other = ticket.unassigned
        assert (other.exam_id, other.captured_at, other.is_clock_trusted) == (None, START, ticket.is_clock_trusted)


def test_ok__the_moment_is_the_first_bytes(room: Room) -> None:
    began = room.clock.monotonic()
    room.clock.turn(90.5)
    ticket = room.gate.admit(began=began)
    assert ticket.captured_at == START


@pytest.mark.parametrize("end", [begin_closing, close_exam])
def test_fail__another_exam_than_the_panel_meant(room: Room, end: object) -> None:
    first = open_exam_of(room.facts)
    end(room.facts, first)  # type: ignore[operator]
    with pytest.raises(WrongExamError, match="not open any more; nothing was captured"):
        room.gate.admit(first.exam_id)
    open_exam_of(room.facts, 2)
    with pytest.raises(WrongExamError):
        room.gate.admit(first.exam_id)
    assert room.is_idle()


def test_fail__a_damaged_exam_takes_nothing(room: Room) -> None:
    exam = open_exam_of(room.facts)
    (room.facts.directory / exam.exam_id / "exam.json").write_text("{")
    with pytest.raises(DamagedFactError):
        room.gate.admit(exam.exam_id)
    assert room.is_idle()
    assert room.gate.admit().exam_id is None  # what comes by itself is kept all the same


def test_fail__facts_that_cannot_be_read_leave_no_ticket(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: ExamFacts) -> str:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(ExamFacts, "open_exam_id", fail)
    with pytest.raises(OSError, match="Input/output"):
        room.gate.admit()
    assert room.is_idle()


def test_ok__drain_waits_for_its_own_exam_only(room: Room) -> None:
    unassigned = room.gate.admit()
    exam = open_exam_of(room.facts)
    assert room.gate.drain(exam.exam_id, 0.0)  # the unassigned one goes on, and is nobody's
    ticket = room.gate.admit()
    assert not room.gate.drain(exam.exam_id, 0.0)
    assert room.gate.drain("20261122-093099-0000", 0.0)
    room.gate.end(ticket)
    room.gate.end(ticket)
    assert room.gate.drain(exam.exam_id, 0.0)
    room.gate.end(unassigned)


def test_ok__a_ticket_that_is_not_decided_counts(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """A capture that has registered and not yet read the exams may be any exam's."""
    exam = open_exam_of(room.facts)
    reading, go_on = threading.Event(), threading.Event()
    original = ExamFacts.open_exam_id

    def read_slowly(facts: ExamFacts) -> str | None:
        reading.set()
        assert go_on.wait(30)
        return original(facts)

    monkeypatch.setattr(ExamFacts, "open_exam_id", read_slowly)
    with ThreadPoolExecutor() as pool:
        admitted = pool.submit(room.gate.admit)
        assert reading.wait(30)
        begin_closing(room.facts, exam)
        drained = room.gate.drain(exam.exam_id, 0.0)
        go_on.set()
        assert not drained
        assert admitted.result(30).exam_id is None  # it saw the closing
    assert room.gate.drain(exam.exam_id, 0.0)


def test_ok__drain_ends_when_the_last_ticket_does(room: Room) -> None:
    gate = ExamGate(room.facts, SystemClock())
    exam = open_exam_of(room.facts)
    tickets: list[Ticket] = [gate.admit() for _ in range(3)]
    finished = threading.Event()
    with ThreadPoolExecutor() as pool:
        draining = pool.submit(gate.drain, exam.exam_id, 60.0, finished.set)
        assert finished.wait(30)
        for ticket in tickets:
            assert not draining.done()
            gate.end(ticket)
        assert draining.result(30)


def test_ok__finish_is_called_again_for_a_clip_that_begins_late(room: Room) -> None:
    """`start_clip` has its ticket and is not yet known as the clip: the first round's `finish` finds nothing to end."""
    gate = ExamGate(room.facts, SystemClock())
    exam = open_exam_of(room.facts)
    ticket = gate.admit()
    calls = []

    def finish() -> None:
        calls.append(1)
        if len(calls) == 2:
            gate.end(ticket)

    assert gate.drain(exam.exam_id, 60.0, finish)
    assert len(calls) >= 2


def test_ok__no_capture_falls_between_closing_and_draining(room: Room) -> None:
    """The invariant under real threads: after a drain that said yes, nobody holds a ticket of the exam, ever again."""
    gate = ExamGate(room.facts, SystemClock())
    stop, violated = threading.Event(), threading.Event()
    drained: set[str] = set()
    taken: list[str] = []

    def capture() -> None:
        while not stop.is_set():
            ticket = gate.admit()
            if ticket.exam_id is not None:
                taken.append(ticket.exam_id)
                if ticket.exam_id in drained:
                    violated.set()
            gate.end(ticket)

    def is_captured(exam_id: str) -> bool:
        return taken[-5:] == 5 * [exam_id]

    with ThreadPoolExecutor() as pool:
        captures = [pool.submit(capture) for _ in range(4)]
        try:
            for number in range(1, 16):
                exam = open_exam_of(room.facts, number)
                wait_until(partial(is_captured, exam.exam_id), "captures go on")
                begin_closing(room.facts, exam)
                assert gate.drain(exam.exam_id, 60.0)
                drained.add(exam.exam_id)
        finally:
            stop.set()
        for one in captures:
            one.result(60)
    assert not violated.is_set()
    assert set(taken) == drained


def test_ok__the_item_of_these_tests_is_one(room: Room) -> None:
    assert not list(make_item().missing())
