"""The event information of a commitment report (PS3.4 J.3.3): pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from appliance.simulator.hospital.commitment_ledger import Reference

ALL_COMMITTED = 1
FAILURES_EXIST = 2

NO_SUCH_OBJECT = 0x0112
CLASS_INSTANCE_CONFLICT = 0x0119

_ClassOf = Callable[[str], str | None]


def failures_from_references(references: Iterable[Reference], class_of: _ClassOf) -> dict[Reference, int]:
    """The references that cannot be committed, with their failure reason (PS3.3 C.14.1.1).

    `class_of` gives the SOP Class UID under which an instance is held, None when it is not held.
    """
    failures: dict[Reference, int] = {}
    for reference in references:
        held_as = class_of(reference.sop_instance_uid)
        if held_as is None:
            failures[reference] = NO_SUCH_OBJECT
        elif held_as != reference.sop_class_uid:
            failures[reference] = CLASS_INSTANCE_CONFLICT
    return failures


def report_from_transaction(
    transaction_uid: str, references: Iterable[Reference], failures: dict[Reference, int], retrieve_ae: str
) -> tuple[int, Dataset]:
    """Event type and event information: every reference is in exactly one of the two sequences."""
    committed = [reference for reference in references if reference not in failures]
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.RetrieveAETitle = retrieve_ae
    if failures:
        information.FailedSOPSequence = Sequence([_item(each, reason) for each, reason in failures.items()])
    if committed:
        information.ReferencedSOPSequence = Sequence([_item(each) for each in committed])
    return (FAILURES_EXIST if failures else ALL_COMMITTED), information


def _item(reference: Reference, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    if reason is not None:
        item.FailureReason = reason
    return item
