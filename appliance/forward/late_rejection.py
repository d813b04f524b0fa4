"""An image of the wrong patient that was sent while a person was about to move it to the right one.

The console asks what was sent before it decides (console/correcting.py), and the rejection note tells the archive of
just that. Whatever leaves the box between its question and the decision is in no note: a person must tell the archive.
"""

from __future__ import annotations

import logging

from appliance.base.errors import Finding
from appliance.base.findings import FindingBoard
from appliance.exam.decisions import Decision, DecisionKind
from appliance.exam.facts import DamagedFactError, ExamFacts

_log = logging.getLogger(__name__)

CODE = "rejection-late"


def tell_of_late_rejection(facts: ExamFacts, findings: FindingBoard, exam_id: str, sop_instance_uid: str) -> None:
    """Report it, unless the note that was made at the decision rejects this object, which an archive may have."""
    try:
        decision = facts.read(exam_id, f"{DecisionKind.REJECTED}-{sop_instance_uid}", Decision)
        moved = facts.moved(decision.new_exam_id) if decision else None
    except DamagedFactError:
        moved = None  # nobody knows what the note says
    if moved is not None and sop_instance_uid in moved.rejected:
        return
    # The finding goes with this process; support finds it here for as long as the system's journal goes back.
    _log.warning("exam %s: object %s was on its way when it was moved; no note rejects it", exam_id, sop_instance_uid)
    findings.report(
        Finding(
            CODE,
            f"An image of exam {exam_id} was on its way to the archive when it was moved to another patient.",
            f"Ask the archive's administrator to reject the object {sop_instance_uid}, if the archive has it.",
            sop_instance_uid,
        )
    )
