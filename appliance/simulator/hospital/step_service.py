"""The Modality Performed Procedure Step SCP (PS3.4 F.7)."""

from __future__ import annotations

import logging
import threading
from typing import cast

from pydicom.dataset import Dataset
from pynetdicom.dimse_primitives import N_CREATE, N_SET
from pynetdicom.events import Event

from appliance.base.clock import Clock
from appliance.base.uids import new_uid
from appliance.simulator.hospital.faults import Fault, FaultBoard
from appliance.simulator.hospital.status import status_from_refusal
from appliance.simulator.hospital.step_ledger import StepLedger
from appliance.simulator.hospital.step_rules import PROCESSING_FAILURE, Refusal

logger = logging.getLogger(__name__)

_DOWN = Refusal(PROCESSING_FAILURE, "Performed steps are down")
_NEVER = threading.Event()


class StepService:
    """Answers N-CREATE and N-SET out of the ledger."""

    def __init__(self, ledger: StepLedger, faults: FaultBoard, clock: Clock) -> None:
        self._ledger = ledger
        self._faults = faults
        self._clock = clock

    def answer_create(self, event: Event) -> tuple[Dataset, Dataset | None]:
        """N-CREATE: the step is durable before 0000 is answered. The UID is the requestor's, ours if it gave none."""
        given = cast(N_CREATE, event.request).AffectedSOPInstanceUID
        uid = str(given) if given else new_uid()
        refusal = self._refusal_by_fault() or self._ledger.create(uid, _decoded(event.attribute_list))
        _log("N-CREATE", uid, refusal)
        attributes = None
        if refusal is None and not given:
            attributes = Dataset()
            attributes.AffectedSOPInstanceUID = uid  # pynetdicom moves it into the command set
        return status_from_refusal(refusal), attributes

    def answer_set(self, event: Event) -> tuple[Dataset, Dataset | None]:
        """N-SET: the change is durable before 0000 is answered."""
        uid = str(cast(N_SET, event.request).RequestedSOPInstanceUID)
        refusal = self._refusal_by_fault() or self._ledger.update(uid, _decoded(event.modification_list))
        _log("N-SET", uid, refusal)
        return status_from_refusal(refusal), None

    def _refusal_by_fault(self) -> Refusal | None:
        """What a fault wants to be answered; the wait of a slow manager is over then."""
        slow = self._faults.strike(Fault.STEPS_SLOW)
        if slow is not None:
            self._clock.wait(_NEVER, slow)
        if self._faults.strike(Fault.STEPS_DOWN) is not None:
            return _DOWN
        status = self._faults.strike(Fault.STEPS_REFUSING)
        return None if status is None else Refusal(int(status), "This manager refuses every step")


def _decoded(dataset: Dataset) -> Dataset:
    dataset.decode()
    return dataset


def _log(operation: str, uid: str, refusal: Refusal | None) -> None:
    if refusal is None:
        logger.info("step %s: %s done", uid, operation)
    else:
        logger.warning("step %s: %s refused, %04XH %s", uid, operation, refusal.status, refusal.comment)
