"""How a refusal travels: the status of a DIMSE-N response with its comment, error and attributes (PS3.7 Annex C)."""

from __future__ import annotations

from pydicom.dataset import Dataset

from appliance.simulator.hospital.step_rules import Refusal

SUCCESS = 0x0000


def status_from_refusal(refusal: Refusal | None) -> Dataset:
    """The Status dataset that pynetdicom spreads over the response's command set."""
    status = Dataset()
    status.Status = SUCCESS if refusal is None else refusal.status
    if refusal is None:
        return status
    status.ErrorComment = refusal.comment[:64]  # LO
    if refusal.error_id is not None:
        status.ErrorID = refusal.error_id
    if refusal.attributes:
        status.AttributeIdentifierList = list(refusal.attributes)
    return status
