"""Every presentation context that the box would ever propose to a peer, and what it means when one is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from appliance.config.devices import Device, FilmDevice, GrabberDevice, PrinterDevice, SerialDevice
from appliance.config.schema import Configuration, Destination, Peer, PerformedStepManager, WorklistSource
from appliance.dimse.association import Context
from appliance.dimse.commitment import COMMITMENT_CONTEXT
from appliance.dimse.echo import VERIFICATION_CONTEXT
from appliance.dimse.find import FIND_CONTEXT
from appliance.dimse.performed_step import STEP_CONTEXT
from appliance.dimse.store import storable_as
from appliance.dimse.uid_names import uid_name_of
from appliance.forward.self_test_report import Check, Verdict

# Modality Worklist Information Model - FIND (PS3.4 K.6)
WORKLIST_CONTEXT = Context("1.2.840.10008.5.1.4.31")
_STILL = "1.2.840.10008.5.1.4.1.1.7"  # Secondary Capture Image Storage
_FILM = "1.2.840.10008.5.1.4.1.1.7.3"  # Multi-frame Grayscale Word Secondary Capture Image Storage
_CLIP = "1.2.840.10008.5.1.4.1.1.7.4"  # Multi-frame True Color Secondary Capture Image Storage
_GRAY_CLIP = "1.2.840.10008.5.1.4.1.1.7.2"  # Multi-frame Grayscale Byte Secondary Capture Image Storage
_GRAYS = frozenset({"GREY", "Y10", "Y12", "Y16"})
_JPEG, _NATIVE = str(JPEGBaseline8Bit), str(ExplicitVRLittleEndian)


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
                for context, need in _archive_needs(peer, configuration.devices):
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
        else:
            checks.append(Check(name, Verdict.NOTED, "Refused: another transfer syntax is used."))
    return checks


def _archive_needs(destination: Destination, devices: Sequence[Device]) -> list[tuple[Context, str]]:
    kinds = dict.fromkeys(kind for device in devices for kind in _kinds_of(device)) or {(_STILL, _NATIVE): None}
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


def _kinds_of(device: Device) -> tuple[tuple[str, str], ...]:
    """Class and transfer syntax of what a device makes."""
    match device:
        case SerialDevice() | PrinterDevice():
            return ((_STILL, _NATIVE),)
        case GrabberDevice():
            return _grabber_kinds(device)
        case FilmDevice():
            return ((_FILM, _NATIVE),)


def _grabber_kinds(device: GrabberDevice) -> tuple[tuple[str, str], ...]:
    """JPEG from a socket; from a video node what its formats make. Gray ones count where no colours are configured."""
    formats = set(device.formats) if device.is_video_node else {"MJPEG"}
    kinds = [(_STILL, _JPEG), (_CLIP, _JPEG)] if "MJPEG" in formats else []
    native = formats - {"MJPEG"}
    if native:
        kinds.append((_STILL, _NATIVE))
    if native - _GRAYS:
        kinds.append((_CLIP, _NATIVE))
    elif native:
        kinds += [(_GRAY_CLIP, _NATIVE)] if "GREY" in native else []
        kinds += [(_FILM, _NATIVE)] if native - {"GREY"} else []
    return tuple(kinds)
