"""The Storage SCP (PS3.4 Annex B)."""

from __future__ import annotations

import logging
import threading
import weakref
from io import BytesIO
from typing import cast

from pydicom.filereader import dcmread
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.pdu import P_DATA_TF

from appliance.simulator.hospital.faults import STORE_STATUS, Fault, FaultBoard
from appliance.simulator.hospital.object_store import Kept, ObjectStore
from appliance.simulator.hospital.uid_names import is_uid

logger = logging.getLogger(__name__)

SUCCESS = 0x0000
COERCION_OF_ELEMENTS = 0xB000
INVALID_INSTANCE = 0x0117
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000


class StorageService:
    """Answers C-STORE; an object is durable, as received, before 0000 is answered."""

    def __init__(self, store: ObjectStore, faults: FaultBoard) -> None:
        self._store = store
        self._faults = faults
        self._lock = threading.Lock()
        self._begun = 0
        self._receiving: weakref.WeakKeyDictionary[Association, C_STORE_RQ] = weakref.WeakKeyDictionary()
        self._aborted: weakref.WeakSet[Association] = weakref.WeakSet()

    def answer_store(self, event: Event) -> int:
        """C-STORE: 0000 also for what is held already and for a conflict, which is kept beside it."""
        request = cast(C_STORE, event.request)
        uid = str(request.AffectedSOPInstanceUID)
        if event.assoc in self._aborted:
            return CANNOT_UNDERSTAND  # nobody reads it any more
        if not is_uid(uid):
            logger.warning("store: refused, the SOP Instance UID is no UID")
            return INVALID_INSTANCE
        for fault, status in STORE_STATUS:
            if self._faults.strike(fault) is not None:
                logger.warning("store %s: %04XH by the fault %s", uid, status, fault)
                return status
        data = event.encoded_dataset()
        if not _is_what_it_says(request, data):
            logger.warning("store %s: refused, command and data set name different objects", uid)
            return DOES_NOT_MATCH
        if self._faults.strike(Fault.LOSE_OBJECTS) is not None:
            logger.warning("store %s: 0000H, and lost by the fault %s", uid, Fault.LOSE_OBJECTS)
            return SUCCESS
        kept = self._store.keep(uid, data)
        if kept is Kept.CONFLICT:
            logger.error("store %s: other content under this UID, %d bytes, kept in conflicts", uid, len(data))
        else:
            logger.info("store %s: %s, %d bytes, %s", uid, kept, len(data), event.context.transfer_syntax)
        return COERCION_OF_ELEMENTS if self._faults.strike(Fault.STORE_WARNING) is not None else SUCCESS

    def watch_pdu(self, event: Event) -> None:
        """The fault `abort-in-store`: called for each PDU before pynetdicom adds it to the message.

        Aborts at the second fragment of the data set, at the first when it is the only one.
        """
        message = event.assoc.dimse.message
        if not isinstance(event.pdu, P_DATA_TF) or not isinstance(message, C_STORE_RQ):
            return
        every = self._faults.in_force().get(Fault.ABORT_IN_STORE)
        if every is None:
            return
        is_first = self._receiving.get(event.assoc) is not message
        fragments = event.pdu.presentation_data_value_items
        is_last = any(each.message_control_header_byte == "00000010" for each in fragments)
        with self._lock:
            if is_first:
                self._receiving[event.assoc] = message
                self._begun += 1
            is_chosen = self._begun % every == 0
        if (
            is_chosen
            and (is_last or not is_first)
            and event.assoc not in self._aborted
            and self._faults.strike(Fault.ABORT_IN_STORE) is not None
        ):
            logger.warning("store: aborted in the middle by the fault %s", Fault.ABORT_IN_STORE)
            self._aborted.add(event.assoc)
            event.assoc.abort(block=False)


def _is_what_it_says(request: C_STORE, data: bytes) -> bool:
    """Does the data set name the class and instance of the command (PS3.4 B.2.2)?"""
    header = dcmread(BytesIO(data), stop_before_pixels=True, specific_tags=["SOPClassUID", "SOPInstanceUID"])
    named = (header.get("SOPClassUID"), header.get("SOPInstanceUID"))
    return named == (request.AffectedSOPClassUID, request.AffectedSOPInstanceUID)
