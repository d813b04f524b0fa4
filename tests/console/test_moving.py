"""What people decide about images, carried out with a crash at every step; no processes, no sleeping."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from appliance.base.errors import ApplianceError
from appliance.console import closing, deciding, moving
from appliance.console.correcting import Corrections
from appliance.console.deciding import Decisions, list_discarded, list_unassigned
from appliance.console.exams import ExamKeeper
from appliance.exam.audit_reading import read_trail
from appliance.exam.exam import Exam, Outcome
from appliance.exam.facts import ExamFacts
from appliance.exam.unscheduled import unscheduled_item_from
from appliance.spool.names import is_intact, object_name_from
from appliance.spool.tree import UNASSIGNED
from tests.console.fakes import make_configuration, make_item, write_object
from tests.console.test_exams import Box, Crash, Guillotine, end, run_rounds

WRONG = make_item("Wrong^Wilma", "WRONG-1")
RIGHT = make_item("Right^Rita", "RIGHT-2", accession="A-2")
REASON = "quality"


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def decisions_of(box: Box, keeper: ExamKeeper) -> Decisions:
    return Decisions(box.spool, box.facts, make_configuration().box, box.clock, keeper=keeper, audit=box.audit)


def uid_of(path: Path) -> str:
    name = object_name_from(path.name)
    assert name is not None
    return name.sop_instance_uid


def uids_in(directory: Path) -> set[str]:
    return {uid_of(path) for path in directory.iterdir()} if directory.is_dir() else set()


def all_objects(box: Box, place: str) -> list[Path]:
    return sorted((box.spool.state / place).rglob("*.dcm"))


def read(path: Path) -> Dataset:
    assert is_intact(path)
    return dcmread(path)


def acts(box: Box) -> list[str]:
    reading = read_trail(box.spool.state / "audit" / "console")
    return [str(line.record.act) for line in reading.lines]


# -- discard and take back


def test_ok__a_discarded_image_is_out_of_the_exam_and_can_be_taken_back(box: Box) -> None:
    keeper = box.keeper()
    exam = keeper.open(WRONG)
    path = write_object(box.spool, exam, "endoscope")
    decisions = decisions_of(box, keeper)
    decisions.discard(exam.exam_id, uid_of(path), REASON, "panel")
    keeper.round()
    assert not path.exists()
    assert [one[1].name for one in list_discarded(box.spool, exam.exam_id)] == [path.name]
    decisions.take_back(exam.exam_id, uid_of(path), "panel")
    assert path.exists()
    assert not box.facts.decided(exam.exam_id)
    end(box, keeper, exam)
    closed = box.facts.closed(exam.exam_id)
    assert closed is not None
    assert [one.file_name for one in closed.instances] == [path.name]


def test_ok__taken_back_before_it_was_put_away(box: Box) -> None:
    keeper = box.keeper()
    exam = keeper.open(WRONG)
    path = write_object(box.spool, exam, "endoscope")
    decisions = decisions_of(box, keeper)
    decisions.discard(exam.exam_id, uid_of(path), REASON, "panel")
    decisions.take_back(exam.exam_id, uid_of(path), "panel")
    keeper.round()
    assert path.exists()


def test_ok__what_was_discarded_is_sent_nowhere_even_if_the_exam_ends_at_once(box: Box) -> None:
    keeper = box.keeper()
    exam = keeper.open(WRONG)
    bad, good = write_object(box.spool, exam, "endoscope"), write_object(box.spool, exam, "ultrasound")
    decisions_of(box, keeper).discard(exam.exam_id, uid_of(bad), REASON, "panel")
    end(box, keeper, exam)
    assert box.names(box.spool.outbox) == {good.name}
    with pytest.raises(ApplianceError, match="not open any more"):
        decisions_of(box, keeper).take_back(exam.exam_id, uid_of(bad), "panel")
    assert "object-discarded" in acts(box)


def test_fail__nothing_is_discarded_without_a_reason_or_from_another_exam(box: Box) -> None:
    keeper = box.keeper()
    exam = keeper.open(WRONG)
    path = write_object(box.spool, exam, "endoscope")
    decisions = decisions_of(box, keeper)
    with pytest.raises(ApplianceError, match="no reason"):
        decisions.discard(exam.exam_id, uid_of(path), "because", "panel")
    with pytest.raises(ApplianceError, match="not open"):
        decisions.discard("E000009-20261122-093000", uid_of(path), REASON, "panel")
    with pytest.raises(ApplianceError, match="not there"):
        decisions.discard(exam.exam_id, "1.2.3", REASON, "panel")
    for uid in ("../exam", "", "1.2.3"):
        with pytest.raises(ApplianceError):
            decisions.take_back(exam.exam_id, uid, "panel")


# -- the unassigned tray


def test_ok__a_frame_of_nobody_is_given_to_the_open_exam(box: Box) -> None:
    lost = write_object(box.spool, None, "endoscope", pixels=bytes(range(64)) * 64)
    keeper = box.keeper()
    keeper.round()
    assert [finding.code for finding in box.findings.listing()] == ["unassigned"]
    exam = keeper.open(RIGHT)
    first = write_object(box.spool, exam, "endoscope")
    decisions_of(box, keeper).assign([uid_of(lost)], exam.exam_id, "panel")
    keeper.round()
    assert not lost.exists()
    (made,) = set(box.spool.captured("endoscope", exam.exam_id).iterdir()) - {first}
    new = read(made)
    assert (new.PatientID, new.StudyInstanceUID) == ("RIGHT-2", exam.study_instance_uid)
    assert new.SeriesInstanceUID == exam.series_of("endoscope").series_instance_uid
    assert new.SOPInstanceUID != uid_of(lost)
    assert new.PixelData == bytes(range(64)) * 64
    assert new.InstanceNumber == 2
    assert uids_in(box.spool.discarded("endoscope", None)) == {uid_of(lost)}
    keeper.round()
    assert box.findings.listing() == []
    end(box, keeper, exam)
    assert box.names(box.spool.outbox) == {first.name, made.name}
    assert acts(box).count("object-reassigned") == 1


def test_ok__an_exam_ends_with_what_was_given_to_it_a_moment_before(box: Box) -> None:
    lost = write_object(box.spool, None, "film")
    keeper = box.keeper()
    exam = keeper.open(RIGHT)
    decisions_of(box, keeper).assign([uid_of(lost)], exam.exam_id, "panel")
    end(box, keeper, exam)
    closed = box.facts.closed(exam.exam_id)
    assert closed is not None
    assert [(one.device, one.modality) for one in closed.instances] == [("film", "RG")]


def test_ok__a_frame_that_nobody_wants_leaves_the_tray_with_a_reason(box: Box) -> None:
    lost = write_object(box.spool, None, "endoscope")
    keeper = box.keeper()
    decisions_of(box, keeper).discard_unassigned([uid_of(lost)], REASON, "panel")
    assert list_unassigned(box.spool, box.facts) == []
    keeper.round()
    assert not lost.exists()
    assert uids_in(box.spool.discarded("endoscope", None)) == {uid_of(lost)}
    (decision,) = box.facts.decisions(UNASSIGNED)
    assert (decision.reason, decision.actor) == ("The image is not good enough.", "panel")


def test_fail__a_damaged_frame_is_set_aside_and_given_to_nobody(box: Box) -> None:
    lost = write_object(box.spool, None, "endoscope")
    lost.write_bytes(lost.read_bytes()[:-1] + b"\xff")
    keeper = box.keeper()
    exam = keeper.open(RIGHT)
    decisions_of(box, keeper).assign([uid_of(lost)], exam.exam_id, "panel")
    keeper.round()
    assert box.names(box.spool.quarantine) == {lost.name}
    assert not all_objects(box, "captured")
    assert "quarantined" in {finding.code for finding in box.findings.listing()}
    end(box, keeper, exam)


def test_fail__what_is_not_in_the_tray_is_given_to_nobody(box: Box) -> None:
    keeper = box.keeper()
    exam = keeper.open(RIGHT)
    decisions = decisions_of(box, keeper)
    lost = write_object(box.spool, None, "endoscope")
    for uids in ([], ["1.2.3"], [uid_of(lost), "1.2.3"]):
        with pytest.raises(ApplianceError):
            decisions.assign(uids, exam.exam_id, "panel")
    stranger = write_object(box.spool, None, "endoscope", into="unassigned")
    stranger.parent.parent.rename(box.spool.state / "captured" / "gone")
    with pytest.raises(ApplianceError, match="set up"):
        decisions.assign([uid_of(lost)], exam.exam_id, "panel")
    keeper.round()
    assert not box.facts.decided(UNASSIGNED)


# -- the wrong patient, before anything was sent


def test_ok__all_images_move_and_the_old_step_was_begun_on_a_wrong_entry(box: Box) -> None:
    keeper = box.keeper()
    old = keeper.open(WRONG)
    paths = [write_object(box.spool, old, device) for device in ("endoscope", "endoscope", "ultrasound")]
    keeper.round()
    new = decisions_of(box, keeper).move(old.exam_id, None, [RIGHT], "panel")
    current = keeper.current()
    assert current is not None
    assert current.exam.exam_id == new.exam_id
    # A transfer that had begun for the wrong patient ends only now.
    late = write_object(box.spool, old, "film")
    run_rounds(box, keeper, lambda: box.facts.closed(old.exam_id) is not None)
    closed = box.facts.closed(old.exam_id)
    assert closed is not None
    assert (closed.outcome, closed.reason, closed.instances) == (Outcome.DISCONTINUED, "110514", ())
    assert not box.names(box.spool.outbox)
    moved = all_objects(box, "captured")
    assert len(moved) == 4
    assert {read(path).PatientID for path in moved} == {"RIGHT-2"}
    assert all(b"Wilma" not in path.read_bytes() and b"WRONG-1" not in path.read_bytes() for path in moved)
    assert {path.name for path in all_objects(box, "discarded")} == {path.name for path in (*paths, late)}
    end(box, keeper, new)
    closed = box.facts.closed(new.exam_id)
    assert closed is not None
    assert (closed.outcome, len(closed.instances)) == (Outcome.COMPLETED, 4)
    assert keeper.is_examined(RIGHT.key)
    assert not keeper.is_examined(WRONG.key)


def test_ok__some_images_move_and_the_old_exam_completes_with_what_remains(box: Box) -> None:
    keeper = box.keeper()
    old = keeper.open(WRONG)
    stays, goes = write_object(box.spool, old, "endoscope"), write_object(box.spool, old, "endoscope")
    new = decisions_of(box, keeper).move(old.exam_id, [uid_of(goes)], [RIGHT], "panel")
    run_rounds(box, keeper, lambda: box.facts.closed(old.exam_id) is not None)
    closed = box.facts.closed(old.exam_id)
    assert closed is not None
    assert (closed.outcome, [one.file_name for one in closed.instances]) == (Outcome.COMPLETED, [stays.name])
    assert box.names(box.spool.outbox) == {stays.name}
    (made,) = box.spool.captured("endoscope", new.exam_id).iterdir()
    assert read(made).PatientName == "Right^Rita"


def test_ok__to_a_patient_who_is_on_no_list(box: Box) -> None:
    keeper = box.keeper()
    old = keeper.open(WRONG)
    write_object(box.spool, old, "film")
    item = unscheduled_item_from("Unknown^One", "TEMP-1", "", "", box.clock.now().date())
    new = decisions_of(box, keeper).move(old.exam_id, None, [item], "panel")
    run_rounds(box, keeper, lambda: box.facts.closed(old.exam_id) is not None)
    (made,) = box.spool.captured("film", new.exam_id).iterdir()
    assert read(made).PatientID == "TEMP-1"


def test_ok__nothing_was_captured_yet_for_the_wrong_patient(box: Box) -> None:
    keeper = box.keeper()
    old = keeper.open(WRONG)
    new = decisions_of(box, keeper).move(old.exam_id, None, [RIGHT], "panel")
    run_rounds(box, keeper, lambda: box.facts.closed(old.exam_id) is not None)
    closed = box.facts.closed(old.exam_id)
    assert closed is not None
    assert (closed.outcome, closed.reason) == (Outcome.DISCONTINUED, "110514")
    assert box.facts.open_exam_id() == new.exam_id


def test_fail__to_the_same_entry_or_from_an_exam_that_has_ended(box: Box) -> None:
    keeper = box.keeper()
    old = keeper.open(WRONG)
    write_object(box.spool, old, "film")
    decisions = decisions_of(box, keeper)
    with pytest.raises(ApplianceError, match="already"):
        decisions.move(old.exam_id, None, [WRONG], "panel")
    with pytest.raises(ApplianceError, match="No image"):
        decisions.move(old.exam_id, [], [RIGHT], "panel")
    end(box, keeper, old)
    with pytest.raises(ApplianceError, match="not open"):
        decisions.move(old.exam_id, None, [RIGHT], "panel")
    assert box.facts.exam_ids() == [old.exam_id]


# -- a series is called otherwise


def test_ok__a_series_is_called_so_in_all_of_its_images(box: Box) -> None:
    keeper = box.keeper()
    exam = keeper.open(RIGHT)
    write_object(box.spool, exam, "endoscope", pixels=b"\x07" * 4096)
    other = write_object(box.spool, exam, "film")
    decisions = decisions_of(box, keeper)
    decisions.describe(exam.exam_id, "endoscope", "Stomach", "panel")
    decisions.describe(exam.exam_id, "endoscope", "  Duodenum  pars I ", "panel")
    described = box.facts.exam(exam.exam_id)
    assert described is not None
    after = write_object(box.spool, described, "endoscope")
    end(box, keeper, exam)
    closed = box.facts.closed(exam.exam_id)
    assert closed is not None
    sent = {path.name: read(path) for path in box.spool.outbox.iterdir()}
    assert set(sent) == {one.file_name for one in closed.instances}
    assert len(sent) == 3
    assert {after.name, other.name} < set(sent)
    said = [one.get("SeriesDescription") for one in sent.values() if one.Modality == "ES"]
    assert said == ["Duodenum pars I"] * 2
    assert b"\x07" * 4096 in [one.PixelData for one in sent.values()]


@pytest.mark.parametrize("text", ["a\\b", "x" * 65, "a\x1bb"])
def test_fail__a_description_that_dicom_does_not_take(box: Box, text: str) -> None:
    keeper = box.keeper()
    exam = keeper.open(RIGHT)
    with pytest.raises(ApplianceError, match="description"):
        decisions_of(box, keeper).describe(exam.exam_id, "endoscope", text, "panel")
    with pytest.raises(ApplianceError, match="no series"):
        decisions_of(box, keeper).describe(exam.exam_id, "nothing", "text", "panel")


# -- the wrong patient, after it was sent


def corrections_of(box: Box, keeper: ExamKeeper, state: str, *, is_enabled: bool = True) -> Corrections:
    def ask_unsent(exam_id: str) -> set[str]:
        closed = box.facts.closed(exam_id)
        assert closed is not None
        return {one.sop_instance_uid for one in closed.instances} if state == "pending" else set()

    site = make_configuration().box.model_copy(update={"corrections": is_enabled})
    return Corrections(box.spool, box.facts, site, box.clock, keeper=keeper, audit=box.audit, ask_unsent=ask_unsent)


def ended_exam(box: Box, keeper: ExamKeeper) -> Exam:
    exam = keeper.open(WRONG)
    for device in ("endoscope", "ultrasound"):
        write_object(box.spool, exam, device)
    end(box, keeper, exam)
    box.clock.seconds += 60
    return exam


def test_ok__what_was_sent_is_rejected_by_a_note_and_sent_anew(box: Box) -> None:
    keeper = box.keeper()
    old = ended_exam(box, keeper)
    before = {path.name: hashlib.sha256(path.read_bytes()).digest() for path in box.spool.outbox.iterdir()}
    new = corrections_of(box, keeper, "committed").correct(old.exam_id, None, [RIGHT], "panel")
    run_rounds(box, keeper, lambda: keeper.current() is None)
    exam_ids = box.facts.exam_ids()
    assert len(exam_ids) == 3
    closed, note_closed = box.facts.closed(new.exam_id), box.facts.closed(exam_ids[2])
    assert closed is not None
    assert note_closed is not None
    assert [one.modality for one in closed.instances] == ["ES", "US"]
    (listed,) = note_closed.instances
    note = read(box.spool.outbox / listed.file_name)
    assert (note.PatientID, note.StudyInstanceUID) == ("WRONG-1", old.study_instance_uid)
    old_closed = box.facts.closed(old.exam_id)
    assert old_closed is not None
    rejected = {one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for one in note.ContentSequence}
    assert rejected == {one.sop_instance_uid for one in old_closed.instances}
    assert {read(box.spool.outbox / one.file_name).PatientID for one in closed.instances} == {"RIGHT-2"}
    # What was saved is not touched: forward withdraws it by the decisions.
    assert (
        before.items()
        <= {path.name: hashlib.sha256(path.read_bytes()).digest() for path in box.spool.outbox.iterdir()}.items()
    )
    assert {str(one.kind) for one in box.facts.decisions(old.exam_id)} == {"rejected"}
    assert keeper.is_examined(RIGHT.key)
    assert not keeper.is_examined(WRONG.key)
    assert not box.keeper().is_examined(WRONG.key)


def test_ok__what_was_not_sent_yet_needs_no_note(box: Box) -> None:
    keeper = box.keeper()
    old = ended_exam(box, keeper)
    corrections = corrections_of(box, keeper, "pending", is_enabled=False)
    assert corrections.look(old.exam_id).view()["sent"] == 0
    corrections.correct(old.exam_id, None, [RIGHT], "panel")
    run_rounds(box, keeper, lambda: keeper.current() is None)
    assert len(box.facts.exam_ids()) == 2


def test_fail__where_the_site_does_not_let_it_the_box_says_what_is_needed(box: Box) -> None:
    keeper = box.keeper()
    old = ended_exam(box, keeper)
    corrections = corrections_of(box, keeper, "stored", is_enabled=False)
    assert "113038" in corrections.look(old.exam_id).view()["suggestion"]
    with pytest.raises(ApplianceError, match="cannot be called back"):
        corrections.correct(old.exam_id, None, [RIGHT], "panel")
    assert box.facts.exam_ids() == [old.exam_id]
    with pytest.raises(ApplianceError, match="no such exam"):
        corrections.look("E000009-20261122-093000")


def test_fail__what_was_corrected_is_not_corrected_twice(box: Box) -> None:
    keeper = box.keeper()
    old = ended_exam(box, keeper)
    corrections = corrections_of(box, keeper, "committed")
    corrections.correct(old.exam_id, None, [RIGHT], "panel")
    run_rounds(box, keeper, lambda: keeper.current() is None)
    with pytest.raises(ApplianceError, match="None of its images"):
        corrections.look(old.exam_id)


# -- a crash at every step

Job = Callable[[Box, ExamKeeper], None]


def assign_one(box: Box, keeper: ExamKeeper) -> None:
    exam = keeper.open(RIGHT)
    decisions_of(box, keeper).assign(
        [uid_of(one[1]) for one in list_unassigned(box.spool, box.facts)], exam.exam_id, "p"
    )
    keeper.round()


def move_all(box: Box, keeper: ExamKeeper) -> None:
    exam = keeper.open(WRONG)
    for device in ("endoscope", "film"):
        write_object(box.spool, exam, device)
    decisions_of(box, keeper).move(exam.exam_id, None, [RIGHT], "p")
    run_rounds(box, keeper, lambda: box.facts.closed(exam.exam_id) is not None)


def describe_one(box: Box, keeper: ExamKeeper) -> None:
    exam = keeper.open(RIGHT)
    write_object(box.spool, exam, "film")
    decisions_of(box, keeper).describe(exam.exam_id, "film", "Thorax", "p")


def correct_all(box: Box, keeper: ExamKeeper) -> None:
    old = ended_exam(box, keeper)
    corrections_of(box, keeper, "stored").correct(old.exam_id, None, [RIGHT], "p")
    run_rounds(box, keeper, lambda: keeper.current() is None)


def do(box: Box, job: Job, at: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """The job and the end of its exam, killed at step `at`; then a new start, which ends what is open."""
    guillotine = Guillotine(at)
    was_cut = False
    with monkeypatch.context() as patch:
        patch.setattr(ExamFacts, "write", guillotine.around(ExamFacts.write))
        patch.setattr(moving.ObjectWriter, "publish", guillotine.around(moving.ObjectWriter.publish))
        for module, step in ((moving, "move_file"), (deciding, "move_file"), (closing, "rename_file")):
            patch.setattr(module, step, guillotine.around(getattr(module, step)))
        try:
            keeper = box.keeper()
            job(box, keeper)
            current = keeper.current()
            if current is not None:
                end(box, keeper, current.exam)
        except Crash:
            was_cut = True
    keeper = box.keeper()
    keeper.round()
    current = keeper.current()
    while current is not None:
        if not current.is_closing:
            keeper.begin_closing(current.exam.exam_id, Outcome.COMPLETED)
        keeper.round()
        box.clock.seconds += 0.5
        current = keeper.current()
    box.clock.seconds += 61
    keeper.round()
    return was_cut


@pytest.mark.parametrize("job", [assign_one, move_all, describe_one, correct_all])
def test_ok__a_crash_at_every_step_loses_and_doubles_no_image(
    tmp_path: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, uids = 1, set[frozenset[str]]()
    while True:
        box = Box(tmp_path / str(at))
        if job is assign_one:
            write_object(box.spool, None, "endoscope", pixels=b"\x07" * 4096)
        was_cut = do(box, job, at, monkeypatch)
        check(box, job, at)
        uids.add(frozenset(uid_of(path) for path in box.spool.outbox.iterdir()))
        if not was_cut:
            break
        at += 1
    assert at > 10, "it was cut nowhere"


def check(box: Box, job: Job, at: int) -> None:
    """Each image that was ever saved is in one place as the right patient's, and every exam has ended with its list."""
    listed: list[str] = []
    for exam_id in box.facts.exam_ids():
        closed, exam = box.facts.closed(exam_id), box.facts.exam(exam_id)
        assert closed is not None and exam is not None, f"cut at {at}"
        listed += [one.file_name for one in closed.instances]
        for instance in closed.instances:
            assert read(box.spool.outbox / instance.file_name).PatientID == exam.item.patient_id, f"cut at {at}"
    assert sorted(listed) == sorted(box.names(box.spool.outbox)), f"cut at {at}"
    left = all_objects(box, "captured")
    decided = {uid for exam_id in (*box.facts.exam_ids(), UNASSIGNED) for uid in box.facts.decided(exam_id)}
    # Nobody decided about what still lies there, and everything that was decided about is done.
    assert not {uid_of(path) for path in left} & decided, f"cut at {at}"
    for exam_id in (*box.facts.exam_ids(), UNASSIGNED):
        for decision in box.facts.decisions(exam_id):
            assert any(name.startswith(f"{decision.new_sop_instance_uid}~") for name in listed), f"cut at {at}"
    assert not list(box.spool.composed.glob("*.dcm")), f"cut at {at}"
