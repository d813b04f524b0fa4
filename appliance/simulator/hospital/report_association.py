"""One commitment report on an association of its own, opened towards the box (PS3.4 J.3.3, PS3.7 D.3.3.4)."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.presentation import build_role

from appliance.base.errors import ApplianceError
from appliance.simulator.hospital.sop_classes import COMMITMENT, COMMITMENT_INSTANCE


@dataclass(frozen=True, slots=True)
class Box:
    """Where the box listens for reports."""

    ae_title: str
    host: str
    port: int


def deliver_report(own_ae: str, box: Box, event_type: int, information: Dataset) -> None:
    """Send the N-EVENT-REPORT; ApplianceError unless the box answered 0000.

    The requestor is the SCP of storage commitment, so it proposes the SCP role for itself and not the SCU's.
    """
    ae = AE(ae_title=own_ae)
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = 5
    ae.network_timeout = 10
    ae.add_requested_context(COMMITMENT, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    role = build_role(COMMITMENT, scu_role=False, scp_role=True)
    association = ae.associate(box.host, box.port, ae_title=box.ae_title, ext_neg=[role])
    if not association.is_established:
        raise ApplianceError(f"The box {box.ae_title} takes no association on port {box.port}.")
    try:
        # Raises ValueError when the box accepted the association but not this context in this role.
        status, _ = association.send_n_event_report(information, event_type, COMMITMENT, COMMITMENT_INSTANCE)
    except (ValueError, RuntimeError) as error:
        association.abort()
        raise ApplianceError(f"The box {box.ae_title} did not take the commitment report: {error}.") from error
    if association.is_established:
        association.release()
    if "Status" not in status:
        raise ApplianceError(f"The box {box.ae_title} did not answer the commitment report.")
    if status.Status != 0x0000:
        raise ApplianceError(f"The box {box.ae_title} answered {status.Status:04X}H to the commitment report.")
