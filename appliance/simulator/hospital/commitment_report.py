"""The event information of commitment reports (PS3.4 J.3.3), right ones and those that a fault wants: pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from appliance.base.uids import new_uid
from appliance.simulator.hospital.commitment_ledger import Reference
from appliance.simulator.hospital.faults import Fault

ALL_COMMITTED = 1
FAILURES_EXIST = 2

NO_SUCH_OBJECT = 0x0112
CLASS_INSTANCE_CONFLICT = 0x0119

STRANGER_AE = "STRANGER"

_ClassOf = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Report:
    """One N-EVENT-REPORT; `calling_ae` is the hospital's own where it is empty."""

    event_type: int
    information: Dataset
    calling_ae: str = ""


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


def reports_under_faults(
    transaction_uid: str,
    references: tuple[Reference, ...],
    failures: Mapping[Reference, int],
    retrieve_ae: str,
    faults: Mapping[Fault, float],
) -> list[Report]:
    """What is sent for one transaction, in order: one right report, unless `faults` say otherwise."""
    if Fault.COMMITMENT_FAILS in faults:
        failures = dict.fromkeys(references, int(faults[Fault.COMMITMENT_FAILS]))
    told = references[: len(references) // 2] if Fault.COMMITMENT_PARTIAL in faults else references
    caller = STRANGER_AE if Fault.COMMITMENT_STRANGER in faults else ""
    failed = {reference: reason for reference, reason in failures.items() if reference in told}
    right = report_from_transaction(transaction_uid, told, failed, retrieve_ae, caller)
    reports = [right, right] if Fault.COMMITMENT_TWICE in faults else [right]
    if Fault.COMMITMENT_UNKNOWN in faults:
        reports.insert(0, report_from_transaction(new_uid(), told, failed, retrieve_ae, caller))
    return reports


def report_from_transaction(
    transaction_uid: str,
    references: Iterable[Reference],
    failures: Mapping[Reference, int],
    retrieve_ae: str,
    calling_ae: str = "",
) -> Report:
    """Every reference is in exactly one of the two sequences."""
    committed = [reference for reference in references if reference not in failures]
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.RetrieveAETitle = retrieve_ae
    if failures:
        information.FailedSOPSequence = Sequence([_item(each, reason) for each, reason in failures.items()])
    if committed:
        information.ReferencedSOPSequence = Sequence([_item(each) for each in committed])
    return Report(FAILURES_EXIST if failures else ALL_COMMITTED, information, calling_ae)


def _item(reference: Reference, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    if reason is not None:
        item.FailureReason = reason
    return item
