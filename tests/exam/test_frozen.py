"""Facts that earlier releases wrote still load, and still become objects and messages: `frozen/` is never changed."""

from __future__ import annotations

import shutil
from pathlib import Path

from appliance.compose.steps import creation_from, final_from
from appliance.config.schema import Box
from appliance.exam.exam import Outcome
from appliance.exam.facts import ExamFacts
from appliance.exam.reasons import UNSPECIFIED, reason_from

FROZEN = Path(__file__).parent / "frozen"
EXAM_ID = "20261122-093015-4af1"


def test_ok__an_exam_of_the_first_release(tmp_path: Path) -> None:
    """Before an exam could have several entries or go on with a study, and with a reason in words."""
    shutil.copytree(FROZEN / "first", tmp_path / EXAM_ID)
    facts = ExamFacts(tmp_path)
    exam, closed = facts.exam(EXAM_ID), facts.closed(EXAM_ID)
    assert exam is not None and closed is not None
    assert exam.items == (exam.item,)
    assert exam.is_scheduled
    assert exam.study_began_at == exam.opened_at
    assert exam.study_instance_uid == "1.2.276.0.7230010.3.2.4711"
    assert (exam.item.patient_name.alphabetic, exam.item.accession_number) == ("Müller^Jörg^^Dr.", "ACC-4711")
    assert [step.modality for step in exam.steps] == ["US", "ES", "RG"]
    assert list(facts.started(EXAM_ID)) == ["US"]
    assert {instance.saved_at for instance in closed.instances} == {None}, "it was not listed yet"
    closing = facts.closing(EXAM_ID)
    assert closing is not None and closing.outcome is Outcome.DISCONTINUED
    assert reason_from(closed.reason) is UNSPECIFIED
    creation = creation_from(exam, exam.step_of("US"), Box())
    assert creation.ScheduledStepAttributesSequence[0].AccessionNumber == "ACC-4711"
    final = final_from(exam, exam.step_of("US"), closed)
    assert final.PerformedProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == "110513"
    assert final.PerformedSeriesSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID == "2.25.1234567890"
