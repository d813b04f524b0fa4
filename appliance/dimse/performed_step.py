"""Telling the performed-step manager: N-CREATE when a step begins, N-SET when it ends (PS3.4 Annex F)."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import Dataset
from pynetdicom.dimse_primitives import N_CREATE, N_SET
from pynetdicom.sop_class import ModalityPerformedProcedureStep  # type: ignore[attr-defined]

from appliance.dimse.association import Association, Context, encoded_for
from appliance.dimse.status import StepVerdict, create_verdict, set_verdict

STEP_CONTEXT = Context(str(ModalityPerformedProcedureStep))

_NO_LONGER_UPDATED = 0xA710  # Error ID (0000,0903), PS3.4 F.7.2.2.2


@dataclass(frozen=True, slots=True)
class StepAnswer:
    """The manager's answer. `sop_instance_uid` is what it calls the step, which may differ from what we proposed."""

    code: int
    verdict: StepVerdict
    said: str
    sop_instance_uid: str
    is_surely_final: bool = False


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
    is_final = getattr(answer, "ErrorID", None) == _NO_LONGER_UPDATED
    return StepAnswer(code, verdict, _said(words, answer), sop_instance_uid, is_final)


def _said(words: str, answer: N_CREATE | N_SET) -> str:
    comment = str(getattr(answer, "ErrorComment", None) or "").strip()
    return f"{words}: {comment}" if comment and answer.Status else words
