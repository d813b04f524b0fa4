"""Exams from opening to hand-over, with a crash at every step; no processes, no sleeping."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.base import durable
from appliance.base.asking import Unreachable
from appliance.base.clock import SystemClock
from appliance.base.errors import ApplianceError
from appliance.base.findings import FindingBoard
from appliance.config.schema import PerformedStepManager
from appliance.console import closing
from appliance.console.audit import PanelAudit
from appliance.console.closing import ABSENT_SECONDS, DRAIN_SECONDS, Drain
from appliance.console.exams import ExamKeeper
from appliance.exam.audit import AuditTrail
from appliance.exam.audit_gate import AuditGate
from appliance.exam.exam import Closing, Exam, Outcome
from appliance.exam.facts import ExamFacts
from appliance.exam.item import WorklistItem
from appliance.exam.unscheduled import unscheduled_item_from
from appliance.spool import summary
from appliance.spool.cut_short import cut_short_preamble
from appliance.spool.names import object_name_from
from appliance.spool.tree import Spool
from tests.console.fakes import HandClock, make_configuration, make_item, write_object


class Box:
    """A state directory, what the acquires would answer, and keepers that come and go."""

    def __init__(self, directory: Path) -> None:
        self.spool = Spool(directory)
        self.spool.make()
        self.clock = HandClock()
        self.findings = FindingBoard()
        self.answers: dict[str, Drain] = {}
        self.asked: list[tuple[str, ...]] = []
        self.hints = 0
        self.on_drain: Callable[[], None] = lambda: None

    def drain(self, devices: Sequence[str], exam_id: str) -> Mapping[str, Drain]:
        self.asked.append(tuple(devices))
        self.on_drain()
        return {device: self.answers.get(device, Drain.DRAINED) for device in devices}

    def hint(self) -> None:
        self.hints += 1

    def keeper(self) -> ExamKeeper:
        """A console that starts now and remembers nothing."""
        self.findings = FindingBoard()
        return ExamKeeper(
            self.spool,
            make_configuration(),
            self.clock,
            drain=self.drain,
            hint=self.hint,
            findings=self.findings,
            audit=self.audit,
        )

    @property
    def audit(self) -> PanelAudit:
        return PanelAudit(AuditGate(AuditTrail(self.spool.state / "audit", "console", self.clock), self.findings))

    @property
    def facts(self) -> ExamFacts:
        return ExamFacts(self.spool.exams)

    def names(self, directory: Path) -> set[str]:
        return {path.name for path in directory.iterdir()} if directory.is_dir() else set()


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def run_rounds(box: Box, keeper: ExamKeeper, is_done: Callable[[], bool], limit: int = 200) -> None:
    for _ in range(limit):
        keeper.round()
        if is_done():
            return
        box.clock.seconds += 0.5
    raise AssertionError("nothing came of it")


def end(box: Box, keeper: ExamKeeper, exam: Exam, outcome: Outcome = Outcome.COMPLETED) -> None:
    keeper.begin_closing(exam.exam_id, outcome)
    run_rounds(box, keeper, lambda: keeper.current() is None)


def test_ok__the_patient_is_on_disk_when_open_answers(box: Box) -> None:
    exam = box.keeper().open(make_item())
    assert box.facts.exam(exam.exam_id) == exam
    assert box.facts.open_exam_id() == exam.exam_id
    assert {series.device for series in exam.series} == {"ultrasound", "endoscope", "film"}


def test_fail__a_second_exam_while_one_is_open_or_being_ended(box: Box) -> None:
    keeper = box.keeper()
    exam = keeper.open(make_item())
    with pytest.raises(ApplianceError, match="Another exam is open"):
        keeper.open(make_item(patient_id="PID-2"))
    box.answers["endoscope"] = Drain.BUSY
    keeper.begin_closing(exam.exam_id, Outcome.COMPLETED)
    keeper.round()
    with pytest.raises(ApplianceError, match="still being ended"):
        keeper.open(make_item(patient_id="PID-2"))
    assert len(box.facts.exam_ids()) == 1


def test_ok__an_open_exam_is_found_again_after_a_restart(box: Box) -> None:
    exam = box.keeper().open(make_item())
    current = box.keeper().current()
    assert current is not None
    assert current.exam == exam
    assert not current.is_closing


def test_ok__what_a_crash_left_half_written_of_facts_is_swept_at_the_start(box: Box) -> None:
    exam = box.keeper().open(make_item())
    directory = box.spool.exams / exam.exam_id
    cut_off = [directory / ".part-77-closing.json", box.spool.exams / ".part-77-x"]
    for path in cut_off:
        path.write_bytes(b"{")
    # The crash came between the exam's directory and its first fact: nothing was answered, there is no exam.
    empty = box.spool.exams / "20200101-000000-0000"
    empty.mkdir()
    (empty / ".part-78-exam.json").write_bytes(b"{")
    before = box.names(directory) - {path.name for path in cut_off}
    keeper = box.keeper()
    assert box.names(directory) == before == {"exam.json"}
    assert box.names(box.spool.exams) == {exam.exam_id}
    current = keeper.current()
    assert current is not None and current.exam == exam
    box.keeper()  # again, with nothing to sweep


def test_fail__an_exam_that_cannot_be_swept_keeps_the_console_from_nothing(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.keeper().open(make_item())

    def fail(_directory: Path) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("appliance.exam.facts.remove_temporaries", fail)
    assert box.keeper().current() is not None


def test_ok__the_first_object_of_each_modality_starts_its_step_once(box: Box) -> None:
    keeper = box.keeper()
    exam = keeper.open(make_item())
    keeper.round()
    assert box.facts.started(exam.exam_id) == {}
    first = write_object(box.spool, exam, "endoscope")
    keeper.round()
    write_object(box.spool, exam, "endoscope")
    keeper.round()
    started = box.facts.started(exam.exam_id)
    name = object_name_from(first.name)
    assert name is not None
    assert list(started) == ["ES"]
    assert started["ES"].sop_instance_uid == name.sop_instance_uid
    assert box.hints == 1
    box.keeper().round()  # a restart starts nothing twice
    assert box.facts.started(exam.exam_id) == started


def test_ok__closing_lists_everything_and_hands_it_over(box: Box) -> None:
    keeper = box.keeper()
    exam = keeper.open(make_item())
    paths = [write_object(box.spool, exam, device) for device in ("endoscope", "ultrasound", "endoscope", "film")]
    for later, path in enumerate(paths):
        os.utime(path, (1.7e9 - later, 1.7e9 - later))  # the clock was put back again and again
    end(box, keeper, exam)
    closed = box.facts.closed(exam.exam_id)
    assert closed is not None
    assert closed.outcome is Outcome.COMPLETED
    assert closed.destinations == ("archive",)
    assert closed.findings == ()
    assert [instance.file_name for instance in closed.instances] == [path.name for path in paths], "as they were saved"
    assert {(instance.device, instance.modality) for instance in closed.instances} == {
        ("endoscope", "ES"),
        ("ultrasound", "US"),
        ("film", "RG"),
    }
    for instance in closed.instances:
        assert instance.series_instance_uid == exam.series_of(instance.device).series_instance_uid
        status = (box.spool.outbox / instance.file_name).stat()
        assert instance.saved_at is not None
        assert (instance.bytes, instance.saved_at.timestamp()) == (status.st_size, pytest.approx(status.st_mtime))
    assert box.names(box.spool.outbox) == {path.name for path in paths}
    assert not any(path.exists() for path in paths)
    assert set(box.facts.started(exam.exam_id)) == {"ES", "US", "RG"}
    assert keeper.is_examined(exam.item.key)
    assert box.keeper().is_examined(exam.item.key)
    assert keeper.current() is None
    keeper.open(make_item(patient_id="PID-2"))


def test_ok__an_empty_exam_is_discontinued_and_starts_nothing(box: Box) -> None:
    keeper = box.keeper()
    exam = keeper.open(make_item())
    end(box, keeper, exam)
    closed = box.facts.closed(exam.exam_id)
    assert closed is not None
    assert closed.outcome is Outcome.DISCONTINUED
    assert closed.instances == ()
    assert box.facts.started(exam.exam_id) == {}
    assert not keeper.is_examined(exam.item.key)


def performed(box: Box, keeper: ExamKeeper, *items: WorklistItem, objects: int = 1) -> Exam:
    """An exam from its opening to its end; the next one is a minute later."""
    exam = keeper.open(*items)
    for _ in range(objects):
        write_object(box.spool, exam, "endoscope")
    end(box, keeper, exam)
    box.clock.seconds += 60
    return exam


def test_ok__a_second_exam_is_added_to_the_study(box: Box) -> None:
    """Append case (MESA 231), also after a restart: one study with one date, nothing else the same."""
    keeper = box.keeper()
    first = performed(box, keeper, make_item())
    second = performed(box, keeper, make_item())
    third = box.keeper().open(make_item())
    exams = (first, second, third)
    assert {exam.study_instance_uid for exam in exams} == {first.study_instance_uid}
    assert {exam.study_began_at for exam in exams} == {first.opened_at}
    assert len({exam.opened_at for exam in exams}) == 3
    numbers = [series.series_number for exam in exams for series in exam.series]
    assert numbers == [*range(1, 10)]
    assert len({series.series_instance_uid for exam in exams for series in exam.series}) == 9
    assert len({step.sop_instance_uid for exam in exams for step in exam.steps}) == 9
    assert len({step.performed_procedure_step_id for exam in exams for step in exam.steps}) == 9


def test_ok__an_exam_without_objects_began_no_study(box: Box) -> None:
    keeper = box.keeper()
    performed(box, keeper, make_item(), objects=0)
    exam = keeper.open(make_item())
    assert (exam.study_started_at, exam.series[0].series_number) == (None, 1)


def test_ok__a_step_that_was_examined_in_a_group_stays_in_the_groups_study(box: Box) -> None:
    keeper = box.keeper()
    other = make_item(step="S2", accession="A-2")
    group = performed(box, keeper, make_item(), other)
    assert group.study_instance_uid == make_item().study_instance_uid != other.study_instance_uid
    assert keeper.is_examined(other.key)
    assert keeper.open(other).study_instance_uid == group.study_instance_uid


def test_ok__every_unscheduled_patient_has_a_study_of_their_own(box: Box) -> None:
    keeper = box.keeper()
    typed = unscheduled_item_from("Doe^Jane", "X-1", "", "", box.clock.now().date())
    first = performed(box, keeper, typed)
    second = keeper.open(typed)
    assert first.study_instance_uid != second.study_instance_uid
    assert (second.study_started_at, second.is_scheduled) == (None, False)


def test_fail__a_group_of_two_patients(box: Box) -> None:
    with pytest.raises(ApplianceError, match="not of the same patient"):
        box.keeper().open(make_item(), make_item(patient_id="PID-2"))
    assert box.facts.exam_ids() == []


def test_ok__abandoning_keeps_what_was_captured_and_the_reason(box: Box) -> None:
    keeper = box.keeper()
    exam = keeper.open(make_item())
    path = write_object(box.spool, exam, "endoscope")
    keeper.begin_closing(exam.exam_id, Outcome.DISCONTINUED, "110505")
    keeper.round()
    closed = box.facts.closed(exam.exam_id)
    assert closed is not None
    assert (closed.outcome, closed.reason) == (Outcome.DISCONTINUED, "110505")
    assert box.names(box.spool.outbox) == {path.name}


def test_ok__closing_waits_for_a_device_that_is_at_work(box: Box) -> None:
    keeper = box.keeper()
    exam = keeper.open(make_item())
    box.answers["endoscope"] = Drain.BUSY
    keeper.begin_closing(exam.exam_id, Outcome.COMPLETED)
    keeper.round()
    current = keeper.current()
    assert current is not None
    assert current.is_closing
    assert current.waiting_for == ("endoscope",)
    path = write_object(box.spool, exam, "endoscope")  # what was under way arrives
    box.answers["endoscope"] = Drain.DRAINED
    keeper.round()
    assert box.asked == [("ultrasound", "endoscope", "film"), ("endoscope",)]  # the drained are not asked again
    assert box.names(box.spool.outbox) == {path.name}


def test_ok__a_device_that_is_absent_and_has_nothing_is_not_waited_for_long(box: Box) -> None:
    keeper = box.keeper()
    exam = keeper.open(make_item())
    box.answers["film"] = Drain.SILENT
    end(box, keeper, exam)
    assert box.clock.seconds <= ABSENT_SECONDS + 1
    closed = box.facts.closed(exam.exam_id)
    assert closed is not None
    assert closed.findings == ()


def test_ok__a_killed_acquire_is_given_time_to_come_back_and_salvage(box: Box) -> None:
    keeper = box.keeper()
    exam = keeper.open(make_item())
    write_object(box.spool, exam, "endoscope")
    box.answers["endoscope"] = Drain.SILENT
    keeper.begin_closing(exam.exam_id, Outcome.COMPLETED)
    for _ in range(20):
        keeper.round()
        box.clock.seconds += 1
    assert box.facts.closed(exam.exam_id) is None
    salvaged = write_object(box.spool, exam, "endoscope")
    box.answers["endoscope"] = Drain.DRAINED
    keeper.round()
    closed = box.facts.closed(exam.exam_id)
    assert closed is not None
    assert salvaged.name in {instance.file_name for instance in closed.instances}


@pytest.mark.parametrize("answer", [Drain.SILENT, Drain.BUSY])
def test_fail__a_device_that_never_drains_is_a_finding_after_the_deadline(box: Box, answer: Drain) -> None:
    keeper = box.keeper()
    exam = keeper.open(make_item())
    write_object(box.spool, exam, "endoscope")
    box.answers["endoscope"] = answer
    end(box, keeper, exam)
    assert DRAIN_SECONDS <= box.clock.seconds <= DRAIN_SECONDS + 1
    closed = box.facts.closed(exam.exam_id)
    assert closed is not None
    assert len(closed.instances) == 1
    assert "endoscope" in closed.findings[0]
    assert any(finding.sentence == closed.findings[0] for finding in box.findings.listing())


def test_ok__what_comes_after_the_end_is_unassigned_with_a_finding(box: Box) -> None:
    keeper = box.keeper()
    exam = keeper.open(make_item())
    path = write_object(box.spool, exam, "endoscope")
    end(box, keeper, exam)
    late = write_object(box.spool, exam, "endoscope")
    keeper.round()
    assert not late.exists()
    assert box.names(box.spool.captured("endoscope", None)) == {late.name}
    assert box.names(box.spool.outbox) == {path.name}
    assert {"late-object", "unassigned"} <= {finding.code for finding in box.findings.listing()}
    # The same after a restart, long after the end.
    later = write_object(box.spool, exam, "film")
    fresh = box.keeper()
    fresh.round()
    assert box.names(box.spool.captured("film", None)) == {later.name}
    assert {finding.subject for finding in box.findings.listing() if finding.code == "unassigned"} == {
        "endoscope",
        "film",
    }


def test_ok__every_exam_is_looked_after_once_a_minute(box: Box) -> None:
    keeper = box.keeper()
    exams = []
    for number in range(6):  # more than the keeper looks at in every round
        exam = keeper.open(make_item(patient_id=f"P{number}"))
        end(box, keeper, exam)
        exams.append(exam)
        box.clock.seconds += 1
    late = write_object(box.spool, exams[0], "endoscope")
    keeper.round()
    assert late.exists()
    box.clock.seconds += 61
    keeper.round()
    assert not late.exists()


def test_fail__an_object_of_another_study_goes_to_quarantine(box: Box) -> None:
    keeper = box.keeper()
    exam = keeper.open(make_item())
    wrong = write_object(box.spool, exam, "endoscope", study="1.2.3.4")
    broken = write_object(box.spool, exam, "endoscope")
    broken.write_bytes(b"no DICOM")
    good = write_object(box.spool, exam, "endoscope")
    end(box, keeper, exam)
    closed = box.facts.closed(exam.exam_id)
    assert closed is not None
    assert [instance.file_name for instance in closed.instances] == [good.name]
    assert box.names(box.spool.quarantine) == {wrong.name, broken.name}
    assert sum(finding.code == "quarantined" for finding in box.findings.listing()) == 2


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom complains of the damage
def test_fail__no_damage_to_an_object_keeps_the_exam_from_ending(box: Box) -> None:
    keeper = box.keeper()
    exam = keeper.open(make_item())
    chance = random.Random(4)
    for number in range(60):
        path = write_object(box.spool, exam, "endoscope")
        data = bytearray(path.read_bytes())
        for _ in range(3):  # in the header, behind the preamble
            data[chance.randrange(132, 700)] = chance.randrange(256)
        path.write_bytes(data[: chance.randrange(200, 700)] if number % 3 == 0 else data)
    end(box, keeper, exam)
    closed = box.facts.closed(exam.exam_id)
    assert closed is not None
    assert len(closed.instances) + len(box.names(box.spool.quarantine)) == 60
    assert box.names(box.spool.outbox) == {instance.file_name for instance in closed.instances}


def test_ok__temporaries_stay_with_their_owner(box: Box) -> None:
    keeper = box.keeper()
    exam = keeper.open(make_item())
    write_object(box.spool, exam, "endoscope")
    temporary = box.spool.captured("endoscope", exam.exam_id) / ".part-1.2.3~100"
    temporary.write_bytes(b"half a clip")
    end(box, keeper, exam)
    assert temporary.exists()
    closed = box.facts.closed(exam.exam_id)
    assert closed is not None
    assert len(closed.findings) == 1


def test_ok__a_clip_that_was_cut_short_is_marked_in_its_exam_for_ever(box: Box) -> None:
    keeper = box.keeper()
    exam = keeper.open(make_item())
    whole = write_object(box.spool, exam, "endoscope")
    cut = write_object(box.spool, exam, "endoscope", preamble=cut_short_preamble())
    end(box, keeper, exam)
    closed = box.facts.closed(exam.exam_id)
    assert closed is not None
    assert {one.file_name: one.is_cut_short for one in closed.instances} == {whole.name: False, cut.name: True}
    sentence = "A clip of the device endoscope was cut short by an interruption; its one frame is saved as a still."
    assert closed.findings == (sentence,)
    assert [one.sentence for one in box.findings.listing()] == [sentence], "the panel says so at the exam's end"


def test_ok__closing_twice_gives_the_same_answer(box: Box) -> None:
    keeper = box.keeper()
    exam = keeper.open(make_item())
    write_object(box.spool, exam, "endoscope")
    end(box, keeper, exam)
    first = keeper.close(exam.exam_id, Outcome.COMPLETED)
    assert keeper.close(exam.exam_id, Outcome.DISCONTINUED, "again") == first


@pytest.mark.parametrize("is_there", [True, False])
def test_ok__an_exam_knows_whether_its_steps_are_told(box: Box, is_there: bool) -> None:
    """As it is configured when the exam is opened; and so it is read again."""
    manager = PerformedStepManager(ae_title="RIS", host="ris", port=104) if is_there else None
    keeper = ExamKeeper(
        box.spool,
        make_configuration().model_copy(update={"performed_step": manager}),
        box.clock,
        drain=box.drain,
        hint=box.hint,
        findings=box.findings,
        audit=box.audit,
    )
    exam = keeper.open(make_item())
    again = box.facts.exam(exam.exam_id)
    assert again is not None and again.has_told_steps == exam.has_told_steps == is_there


def test_fail__closing_what_is_not_open(box: Box) -> None:
    keeper = box.keeper()
    for wrong in ("20261122-093000-0000", "../../etc", ""):
        with pytest.raises(ApplianceError, match="no such exam"):
            keeper.close(wrong, Outcome.COMPLETED)


def test_ok__close_waits_for_the_working_thread(box: Box) -> None:
    keeper = ExamKeeper(
        box.spool,
        make_configuration(),
        SystemClock(),
        drain=box.drain,
        hint=box.hint,
        findings=box.findings,
        audit=box.audit,
    )
    exam = keeper.open(make_item())
    write_object(box.spool, exam, "endoscope")
    stop = threading.Event()
    thread = threading.Thread(target=keeper.run, args=(stop, lambda: None))
    thread.start()
    try:
        assert len(keeper.close(exam.exam_id, Outcome.COMPLETED).instances) == 1
    finally:
        stop.set()
        keeper.wake()
        thread.join(10)


def test_fail__a_full_flash_is_a_finding_and_is_tried_again(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = box.keeper()
    exam = keeper.open(make_item())
    write_object(box.spool, exam, "endoscope")
    keeper.begin_closing(exam.exam_id, Outcome.COMPLETED)
    with monkeypatch.context() as patch:

        def refuse(*_arguments: object) -> bool:
            raise OSError(28, "No space left on device")

        patch.setattr(ExamFacts, "write", refuse)
        keeper.round()
        assert any("the flash is full" in finding.sentence for finding in box.findings.listing())
        with pytest.raises(Unreachable, match="the flash is full"):
            keeper.close(exam.exam_id, Outcome.COMPLETED)
    keeper.round()
    assert box.facts.closed(exam.exam_id) is not None
    assert not box.findings.listing()


def test_fail__a_damaged_record_does_not_stop_the_box(box: Box) -> None:
    exam = box.keeper().open(make_item())
    (box.spool.exams / exam.exam_id / "exam.json").write_bytes(b"{")
    keeper = box.keeper()
    keeper.round()
    assert keeper.current() is None
    assert [finding.code for finding in box.findings.listing()] == ["damaged-exam"]
    box.clock.seconds += 2
    keeper.open(make_item(patient_id="PID-2"))


@pytest.mark.parametrize("content", [b"", b"{", b'{"closing_at": "2026-11-22T09:30:00+00:00", "outcome": "COMPLETEE"}'])
def test_fail__an_exam_of_whose_ending_flash_kept_nothing_ends_as_discontinued(box: Box, content: bytes) -> None:
    exam = box.keeper().open(make_item())
    path = write_object(box.spool, exam, "endoscope")
    (box.spool.exams / exam.exam_id / "closing.json").write_bytes(content)
    keeper = box.keeper()
    with pytest.raises(ApplianceError, match="still being ended"):
        keeper.open(make_item(patient_id="PID-2"))
    end(box, keeper, exam)
    closed = box.facts.closed(exam.exam_id)
    assert closed is not None and closed.outcome is Outcome.DISCONTINUED
    assert box.names(box.spool.outbox) == {path.name}
    assert [finding.code for finding in box.findings.listing()] == ["end-damaged"]
    assert keeper.close(exam.exam_id, Outcome.COMPLETED) == closed
    assert box.facts.closing(exam.exam_id) is not None, "whoever looks at the exam can read it"


def test_fail__an_object_that_flash_gives_wrongly_once_is_the_exams(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = box.keeper()
    exam = keeper.open(make_item())
    path = write_object(box.spool, exam, "endoscope")
    readings = iter([exam.study_instance_uid + "8", exam.study_instance_uid])
    read = summary.read_summary
    monkeypatch.setattr(summary, "read_summary", lambda path: replace(read(path), study_instance_uid=next(readings)))
    end(box, keeper, exam)
    assert box.names(box.spool.outbox) == {path.name}
    assert not box.findings.listing()


def test_fail__forward_that_does_not_answer_hinders_nothing(box: Box) -> None:
    def refuse() -> None:
        raise Unreachable("The sender does not answer.")

    keeper = ExamKeeper(
        box.spool,
        make_configuration(),
        box.clock,
        drain=box.drain,
        hint=refuse,
        findings=box.findings,
        audit=box.audit,
    )
    exam = keeper.open(make_item())
    path = write_object(box.spool, exam, "endoscope")
    end(box, keeper, exam)
    assert box.names(box.spool.outbox) == {path.name}


class Crash(BaseException):
    """The process is killed here; nothing may catch it."""


class Guillotine:
    """Kills before or after the n-th durable step."""

    def __init__(self, at: int) -> None:
        self.at, self.steps = at, 0

    def cut(self) -> None:
        self.steps += 1
        if self.steps == self.at:
            raise Crash

    def around(self, act: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*arguments: object, **options: object) -> object:
            self.cut()
            answer = act(*arguments, **options)
            self.cut()
            return answer

        return wrapped


def do_the_job(box: Box, at: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """One exam of four objects; true when it was cut off at step `at`. What was asked of it goes on after a restart."""
    guillotine = Guillotine(at)
    exam: Exam | None = None
    was_cut = False
    with monkeypatch.context() as patch:
        patch.setattr(ExamFacts, "write", guillotine.around(ExamFacts.write))
        for step in ("move_file", "rename_file", "sync_directory"):
            patch.setattr(closing, step, guillotine.around(getattr(closing, step)))
        patch.setattr(box, "hint", guillotine.around(box.hint))
        patch.setattr(box, "drain", guillotine.around(box.drain))
        try:
            keeper = box.keeper()
            exam = keeper.open(make_item())
            for device in ("endoscope", "endoscope", "ultrasound"):
                write_object(box.spool, exam, device)
            keeper.round()
            write_object(box.spool, exam, "film")
            end(box, keeper, exam)
        except Crash:
            was_cut = True
    if not was_cut:
        return False
    keeper = box.keeper()
    keeper.round()
    current = keeper.current()
    if current is None and not box.facts.exam_ids():  # killed before anything was answered: the person opens again
        exam = keeper.open(make_item())
        current = keeper.current()
    if current is not None:
        for device in ("endoscope", "endoscope", "ultrasound", "film"):
            if not any(box.spool.captured(device, current.exam.exam_id).glob("*.dcm")):
                write_object(box.spool, current.exam, device)
        end(box, keeper, current.exam)
    return True


def test_ok__a_crash_at_every_step_loses_and_doubles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = 1
    while True:
        box = Box(tmp_path / str(at))
        was_cut = do_the_job(box, at, monkeypatch)
        exam_ids = box.facts.exam_ids()
        assert len(exam_ids) == 1, f"cut at {at}"
        closed = box.facts.closed(exam_ids[0])
        assert closed is not None, f"cut at {at}"
        assert closed.outcome is Outcome.COMPLETED
        assert {instance.device for instance in closed.instances} == {"endoscope", "ultrasound", "film"}, f"cut at {at}"
        assert box.names(box.spool.outbox) == {instance.file_name for instance in closed.instances}, f"cut at {at}"
        assert set(box.facts.started(exam_ids[0])) == {"ES", "US", "RG"}, f"cut at {at}"
        assert not list((tmp_path / str(at)).glob("captured/*/*/*.dcm")), f"cut at {at}"
        if not was_cut:
            break
        at += 1
    assert at > 20  # it really was cut everywhere


def test_ok__a_restart_while_a_device_drains_asks_again(box: Box) -> None:
    keeper = box.keeper()
    exam = keeper.open(make_item())
    path = write_object(box.spool, exam, "endoscope")
    box.answers["endoscope"] = Drain.BUSY
    keeper.begin_closing(exam.exam_id, Outcome.COMPLETED)
    keeper.round()
    fresh = box.keeper()
    fresh.round()
    current = fresh.current()
    assert current is not None
    assert current.is_closing
    box.answers["endoscope"] = Drain.DRAINED
    fresh.round()
    assert fresh.current() is None
    assert box.names(box.spool.outbox) == {path.name}
    assert box.facts.read(exam.exam_id, "closing", Closing) is not None


def test_ok__one_file_under_both_names_ends_in_the_outbox_alone(box: Box) -> None:
    keeper = box.keeper()
    exam = keeper.open(make_item())
    path = write_object(box.spool, exam, "endoscope")
    durable.make_directory(box.spool.outbox)
    (box.spool.outbox / path.name).hardlink_to(path)  # what a power cut inside a rename may leave on some filesystems
    end(box, keeper, exam)
    assert not path.exists()
    assert box.names(box.spool.outbox) == {path.name}
