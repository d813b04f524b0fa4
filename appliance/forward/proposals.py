"""Every presentation context that the box would ever propose to a peer, and what it means when one is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGLSLossless, SecondaryCaptureImageStorage

from appliance.compose.kinds import storable_kinds
from appliance.config.schema import Configuration, Destination, Peer, PerformedStepManager, WorklistSource
from appliance.dimse.association import Context
from appliance.dimse.commitment import COMMITMENT_CONTEXT
from appliance.dimse.echo import VERIFICATION_CONTEXT
from appliance.dimse.find import FIND_CONTEXT
from appliance.dimse.performed_step import STEP_CONTEXT
from appliance.dimse.store import storable_as
from appliance.dimse.uid_names import uid_name_of
from appliance.dimse.worklist import WORKLIST_CONTEXT
from appliance.forward.self_test_report import Check, Verdict

_JPEG, _JPEG_LS = str(JPEGBaseline8Bit), str(JPEGLSLossless)
# What is proposed before any device is configured.
_USUAL = ((str(SecondaryCaptureImageStorage), str(ExplicitVRLittleEndian)),)


@dataclass(frozen=True, slots=True)
class Proposal:
    """One context. `needs` say what cannot be done unless this one, or another one of the same need, is accepted."""

    context: Context
    needs: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The service, and the transfer syntax where only one is proposed."""
        service = uid_name_of(self.context.abstract_syntax)
        syntaxes = self.context.transfer_syntaxes
        return f"{service} in {uid_name_of(syntaxes[0])}" if len(syntaxes) == 1 else service


def proposals_for(peers: Iterable[Peer], configuration: Configuration) -> list[Proposal]:
    """What the roles of one application entity make the box propose to it, each once; verification first."""
    needs: dict[Context, list[str]] = {VERIFICATION_CONTEXT: []}
    for peer in peers:
        match peer:
            case WorklistSource():
                needs.setdefault(WORKLIST_CONTEXT, []).append("No worklist can be had from it.")
            case PerformedStepManager():
                needs.setdefault(STEP_CONTEXT, []).append("It cannot hear of performed steps.")
            case Destination():
                for context, need in _archive_needs(peer, configuration):
                    needs.setdefault(context, []).append(need)
    return [Proposal(context, tuple(dict.fromkeys(said))) for context, said in needs.items()]


def checks_from(proposals: Sequence[Proposal], accepted: Mapping[Proposal, str]) -> list[Check]:
    """One check for each proposal; `accepted` gives the transfer syntax of those that were."""
    met = {need for proposal in accepted for need in proposal.needs}
    checks = []
    for proposal in proposals:
        name = f"proposed: {proposal.words}"
        unmet = [need for need in proposal.needs if need not in met]
        if proposal in accepted:
            checks.append(Check(name, Verdict.GOOD, f"Accepted in {uid_name_of(accepted[proposal])}."))
        elif unmet:
            checks.append(Check(name, Verdict.FAILED, "Refused.", " ".join(unmet)))
        elif proposal.context == VERIFICATION_CONTEXT:
            checks.append(Check(name, Verdict.NOTED, "Refused: nobody can verify that it is there."))
        elif proposal.context.transfer_syntaxes == (_JPEG,):
            checks.append(Check(name, Verdict.NOTED, "Refused: JPEG images are decoded while they are sent."))
        elif proposal.context.transfer_syntaxes == (_JPEG_LS,):
            checks.append(Check(name, Verdict.NOTED, "Refused: films are decoded while they are sent."))
        else:
            checks.append(Check(name, Verdict.NOTED, "Refused: another transfer syntax is used."))
    return checks


def _archive_needs(destination: Destination, configuration: Configuration) -> list[tuple[Context, str]]:
    kinds = storable_kinds(configuration.devices, has_notes=configuration.box.corrections) or _USUAL
    needs = [
        (context, f"Every {uid_name_of(sop_class)} in {uid_name_of(syntax)} would be refused.")
        for sop_class, syntax in kinds
        for context in storable_as(sop_class, syntax, destination.transfer_syntaxes)
    ]
    if destination.commitment:
        needs.append((COMMITMENT_CONTEXT, "Nothing is committed there: allow it, or configure commitment = false."))
    if destination.verify_by_find:
        needs.append((FIND_CONTEXT, "Nothing is verified there: allow it, or configure verify_by_find = false."))
    return needs
