"""The Modality Worklist SCP (PS3.4 Annex K)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import cast

from pydicom.dataset import Dataset
from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.dsutils import encode
from pynetdicom.events import Event

from appliance.base.clock import Clock
from appliance.simulator.hospital.faults import Fault, FaultBoard
from appliance.simulator.hospital.malformed import malformed_identifiers, without_character_set
from appliance.simulator.hospital.matching import MalformedKey, answer_from_item, has_unsupported_key, is_match
from appliance.simulator.hospital.worklist_items import items_of_day, many_items_of_day

logger = logging.getLogger(__name__)

PENDING = 0xFF00
PENDING_UNSUPPORTED_KEYS = 0xFF01
CANCELLED = 0xFE00
IDENTIFIER_DOES_NOT_MATCH = 0xA900


class WorklistService:
    """Answers C-FIND with what is scheduled on the day of the query."""

    def __init__(self, clock: Clock, box_ae: str, faults: FaultBoard) -> None:
        self._clock = clock
        self._box_ae = box_ae
        self._faults = faults

    def answer_find(self, event: Event) -> Iterator[tuple[int | Dataset, Dataset | None]]:
        """Yield a pending status and an identifier for each match; pynetdicom ends with 0000H itself."""
        query = event.identifier
        query.decode()  # under its own character set, before names are compared
        hides_character_set = self._faults.strike(Fault.WORKLIST_WITHOUT_CHARSET) is not None
        is_malformed = self._faults.strike(Fault.WORKLIST_MALFORMED) is not None
        count = 0
        try:
            for item in self._items():
                if not is_match(query, item):
                    continue
                if event.is_cancelled:
                    logger.info("worklist: query cancelled")
                    yield CANCELLED, None
                    return
                count += 1
                answer = answer_from_item(query, item)
                if not answer:  # nothing supported was asked, but a pending response has an identifier (PS3.7 9.1.2.1)
                    answer.StudyInstanceUID = item.StudyInstanceUID
                if is_malformed:
                    for identifier in malformed_identifiers(_encoded(event, answer), count):
                        _send(event, identifier)
                if hides_character_set:
                    _send(event, without_character_set(_encoded(event, answer)))
                    continue
                yield (PENDING_UNSUPPORTED_KEYS if has_unsupported_key(query, item) else PENDING), answer
        except MalformedKey as error:
            logger.warning("worklist: query refused, %s", error)
            refusal = Dataset()
            refusal.Status = IDENTIFIER_DOES_NOT_MATCH
            refusal.OffendingElement = [error.tag]
            refusal.ErrorComment = "A key has no valid value"
            yield refusal, None
            return
        logger.info("worklist: %d entries match", count)

    def _items(self) -> Iterable[Dataset]:
        today = self._clock.now().date()
        if self._faults.strike(Fault.WORKLIST_EMPTY) is not None:
            return ()
        huge = self._faults.strike(Fault.WORKLIST_HUGE)
        if huge is not None:
            return many_items_of_day(today, self._box_ae, int(huge))
        return items_of_day(today, self._box_ae)


def _encoded(event: Event, answer: Dataset) -> bytes:
    syntax = event.context.transfer_syntax
    encoded = encode(answer, syntax.is_implicit_VR, syntax.is_little_endian)
    assert encoded is not None
    return encoded


def _send(event: Event, identifier: bytes) -> None:
    """A pending response with exactly these bytes, past the library's encoder."""
    request = cast(C_FIND, event.request)
    response = C_FIND()
    response.MessageIDBeingRespondedTo = request.MessageID
    response.AffectedSOPClassUID = request.AffectedSOPClassUID
    response.Status = PENDING
    response.Identifier = BytesIO(identifier)
    event.assoc.dimse.send_msg(response, event.context.context_id)
