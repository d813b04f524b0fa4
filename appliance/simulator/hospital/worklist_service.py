"""The Modality Worklist SCP (PS3.4 Annex K)."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from pydicom.dataset import Dataset
from pynetdicom.events import Event

from appliance.base.clock import Clock
from appliance.simulator.hospital.matching import MalformedKey, answer_from_item, has_unsupported_key, is_match
from appliance.simulator.hospital.worklist_items import items_of_day

logger = logging.getLogger(__name__)

PENDING = 0xFF00
PENDING_UNSUPPORTED_KEYS = 0xFF01
CANCELLED = 0xFE00
IDENTIFIER_DOES_NOT_MATCH = 0xA900


class WorklistService:
    """Answers C-FIND with what is scheduled on the day of the query."""

    def __init__(self, clock: Clock, box_ae: str) -> None:
        self._clock = clock
        self._box_ae = box_ae

    def answer_find(self, event: Event) -> Iterator[tuple[int | Dataset, Dataset | None]]:
        """Yield a pending status and an identifier for each match; pynetdicom ends with 0000H itself."""
        query = event.identifier
        query.decode()  # under its own character set, before names are compared
        items = items_of_day(self._clock.now().date(), self._box_ae)
        try:
            matches = [item for item in items if is_match(query, item)]
        except MalformedKey as error:
            logger.warning("worklist: query refused, %s", error)
            refusal = Dataset()
            refusal.Status = IDENTIFIER_DOES_NOT_MATCH
            refusal.OffendingElement = [error.tag]
            refusal.ErrorComment = "A key has no valid value"
            yield refusal, None
            return
        logger.info("worklist: %d of %d entries match", len(matches), len(items))
        for item in matches:
            if event.is_cancelled:
                logger.info("worklist: query cancelled")
                yield CANCELLED, None
                return
            status = PENDING_UNSUPPORTED_KEYS if has_unsupported_key(query, item) else PENDING
            answer = answer_from_item(query, item)
            if not answer:  # nothing supported was asked, but a pending response has an identifier (PS3.7 9.1.2.1)
                answer.StudyInstanceUID = item.StudyInstanceUID
            yield status, answer
