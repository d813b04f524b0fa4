"""Telling the performed-step manager: N-CREATE when a step begins, N-SET when it ends (PS3.4 Annex F)."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import Dataset
from pynetdicom.dimse_primitives import N_CREATE, N_SET
from pynetdicom.sop_class import ModalityPerformedProcedureStep  # type: ignore[attr-defined]

from appliance.dimse.association import Association, Context, encoded_for
from appliance.dimse.status import StepVerdict, create_verdict, set_verdict

STEP_CONTEXT = Context(str(ModalityPerformedProcedureStep))
RETRY_FIRST_SECONDS = 2.0
RETRY_LONGEST_SECONDS = 60.0
"""How long a manager, or a step, is left alone: after the first failure, doubled after each further one up to this."""

# PS3.4 F.7.2.2.4: the Error ID (0000,0903) that tells a step which ended from a manager that failed, both 0110H; what
# managers that leave it out write of it in their comment.
NO_LONGER_UPDATED = 0xA710
NO_LONGER_WORDS = "no longer be updated"


@dataclass(frozen=True, slots=True)
class StepAnswer:
    """The manager's answer. `sop_instance_uid` is what it calls the step, which may differ from what we proposed."""

    code: int
    verdict: StepVerdict
    said: str
    sop_instance_uid: str


def create_step(association: Association, sop_instance_uid: str, dataset: Dataset) -> StepAnswer:
    """Send N-CREATE. NoAcceptedContext; AssociationAborted, after which it is not known whether the step exists."""
    context = association.context_for(str(ModalityPerformedProcedureStep))
    request = N_CREATE()
    request.MessageID = association.next_message_id()
    request.AffectedSOPClassUID = ModalityPerformedProcedureStep
    request.AffectedSOPInstanceUID = sop_instance_uid
    request.AttributeList = encoded_for(context, dataset)
    answer = association.exchange(request, context)
    code = int(answer.Status or 0)
    verdict, words = create_verdict(code)
    return StepAnswer(code, verdict, _said(words, answer), str(answer.AffectedSOPInstanceUID or sop_instance_uid))


def set_step(association: Association, sop_instance_uid: str, dataset: Dataset) -> StepAnswer:
    """Send N-SET. NoAcceptedContext; AssociationAborted, after which it is not known whether the step was set."""
    context = association.context_for(str(ModalityPerformedProcedureStep))
    request = N_SET()
    request.MessageID = association.next_message_id()
    request.RequestedSOPClassUID = ModalityPerformedProcedureStep
    request.RequestedSOPInstanceUID = sop_instance_uid
    request.ModificationList = encoded_for(context, dataset)
    answer = association.exchange(request, context)
    code = int(answer.Status or 0)
    verdict, words = set_verdict(code)
    if _is_final(answer, code):
        verdict, words = (
            StepVerdict.MAY_BE_FINAL,
            f"the manager no longer lets the step be changed (status {code:04X}H)",
        )
    return StepAnswer(code, verdict, _said(words, answer), sop_instance_uid)


def _is_final(answer: N_SET, code: int) -> bool:
    if code == NO_LONGER_UPDATED or getattr(answer, "ErrorID", None) == NO_LONGER_UPDATED:
        return True
    return code == 0x0110 and NO_LONGER_WORDS in _comment(answer).lower()


def _said(words: str, answer: N_CREATE | N_SET) -> str:
    comment = _comment(answer)
    return f"{words}: {comment}" if comment and answer.Status else words


def _comment(answer: N_CREATE | N_SET) -> str:
    return str(getattr(answer, "ErrorComment", None) or "").strip()
