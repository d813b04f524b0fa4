"""Verification as SCU: C-ECHO (PS3.4 Annex A)."""

from __future__ import annotations

from pynetdicom.dimse_primitives import C_ECHO
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from appliance.config.schema import Peer
from appliance.dimse.association import Caller, Context, open_association
from appliance.dimse.status import AnswerIsNo

VERIFICATION_CONTEXT = Context(str(Verification))


class EchoRefused(AnswerIsNo):
    """The peer answered the verification with a status other than success."""


def echo(peer: Peer, caller: Caller) -> None:
    """Verify that `peer` answers. Raises the errors of `open_association`, and EchoRefused."""
    with open_association(peer, caller, [VERIFICATION_CONTEXT]) as association:
        request = C_ECHO()
        request.MessageID = association.next_message_id()
        request.AffectedSOPClassUID = Verification
        answer = association.exchange(request, association.context_for(str(Verification)))
        if answer.Status != 0:
            raise EchoRefused(f"{peer.ae_title} answered the verification with status {answer.Status:04X}H.")
