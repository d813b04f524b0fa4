"""One commitment report on its way to the box (PS3.4 J.3.3, PS3.7 D.3.3.4)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.presentation import build_role

from appliance.base.errors import ApplianceError
from appliance.simulator.hospital.commitment_report import Report
from appliance.simulator.hospital.sop_classes import COMMITMENT, COMMITMENT_INSTANCE


@dataclass(frozen=True, slots=True)
class Box:
    """Where the box listens for reports; over TLS with `tls`."""

    ae_title: str
    host: str
    port: int
    tls: ssl.SSLContext | None = None


def deliver_report(own_ae: str, box: Box, report: Report, asker: Association | None = None) -> None:
    """Send the N-EVENT-REPORT; ApplianceError unless the box answered 0000.

    On `asker`, the association that the box opened for its request, if that is given; else on a new one.
    """
    if asker is not None:
        _send(asker, box.ae_title, report)
        return
    ae = AE(ae_title=report.calling_ae or own_ae)
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = 5
    ae.network_timeout = 10
    ae.add_requested_context(COMMITMENT, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    # The requestor is the SCP of storage commitment: it proposes the SCP role for itself and not the SCU's.
    role = build_role(COMMITMENT, scu_role=False, scp_role=True)
    tls = (box.tls, box.host) if box.tls else None
    association = ae.associate(box.host, box.port, ae_title=box.ae_title, ext_neg=[role], tls_args=tls)
    if not association.is_established:
        raise ApplianceError(f"The box {box.ae_title} takes no association on port {box.port}.")
    try:
        _send(association, box.ae_title, report)
    except ApplianceError:
        association.abort()
        raise
    if association.is_established:
        association.release()


def _send(association: Association, box_ae: str, report: Report) -> None:
    try:
        # Raises ValueError when the box accepted the association but not this context in this role.
        status, _ = association.send_n_event_report(
            report.information, report.event_type, COMMITMENT, COMMITMENT_INSTANCE
        )
    except (ValueError, RuntimeError) as error:
        raise ApplianceError(f"The box {box_ae} did not take the commitment report: {error}.") from error
    if "Status" not in status:
        raise ApplianceError(f"The box {box_ae} did not answer the commitment report.")
    if status.Status != 0x0000:
        raise ApplianceError(f"The box {box_ae} answered {status.Status:04X}H to the commitment report.")
