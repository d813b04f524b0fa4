"""Asking a modality worklist: C-FIND on the Modality Worklist Information Model (PS3.4 Annex K)."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from datetime import date

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined]

from appliance.config.schema import WorklistSource
from appliance.dimse.association import Association, Caller, Context, encoded_for, open_association
from appliance.dimse.identifier import MAX_IDENTIFIER_BYTES, elements_from
from appliance.dimse.status import AnswerIsNo, FindVerdict, find_verdict
from appliance.dimse.transmit import C_FIND_RSP, bytes_source, cancel_command, find_command
from appliance.dimse.worklist_query import PatientQuery, patient_query_from, query_from
from appliance.exam.answers import Entry, digest_of, entry_from
from appliance.exam.item import WorklistItem

MAX_PATIENT_ITEMS = 200
MOST_SEARCHES = 2
"""So many people may ask a source for a patient at once, beside the broad query."""
# What is kept of one answer at most, in the bytes that came: ten thousand entries of usual size are 15 MB.
MAX_ANSWER_BYTES = 64 * 1024 * 1024
# A source that goes on answering for so many times its deadline will not come to an end.
WHOLE_QUERY = 10
WORKLIST_CONTEXT = Context(str(ModalityWorklistInformationFind))


class WorklistRefused(AnswerIsNo):
    """The source answered with a status that ends the query, or does not come to an end."""


@dataclass(slots=True)
class WorklistFound:
    """What a query brought: the entries that were not known before, the digests of all that came, and whether more were
    there than may be kept."""

    entries: list[Entry] = field(default_factory=list)
    digests: set[str] = field(default_factory=set)
    is_cut_off: bool = False


def query_worklist(
    source: WorklistSource, caller: Caller, day: date, known: Set[str] = frozenset(), bytes_left: int = MAX_ANSWER_BYTES
) -> WorklistFound:
    """The steps scheduled around `day` as `source` is configured: one query, or one for each modality.

    A (0008,0060) key matches a single value (PS3.4 C.2.2.2.1), so several modalities are several queries on one
    association; what comes twice is kept once. What is `known` is not read again. At most `max_items` and `bytes_left`
    are kept; the rest is cancelled. Raises the errors of `open_association`, and WorklistRefused.
    """
    queries = [query_from(source, day, modality) for modality in source.modalities or ("",)]
    return _ask(
        source, caller, queries, _Bounds(source.max_items, bytes_left, WHOLE_QUERY * source.answer_seconds), known
    )


def query_patient(source: WorklistSource, caller: Caller, queries: Iterable[PatientQuery]) -> WorklistFound:
    """The steps that any of `queries` matches, whenever they are scheduled: a few, and soon. Errors as above."""
    identifiers = [patient_query_from(query, source) for query in queries]
    bounds = _Bounds(min(source.max_items, MAX_PATIENT_ITEMS), MAX_ANSWER_BYTES, source.answer_seconds)
    return _ask(source, caller, identifiers, bounds, frozenset())


@dataclass(slots=True)
class _Bounds:
    """How many items and bytes may still come, and for how many seconds."""

    items: int
    bytes: int
    seconds: float


def _ask(
    source: WorklistSource, caller: Caller, queries: Iterable[Dataset], bounds: _Bounds, known: Set[str]
) -> WorklistFound:
    found = WorklistFound()
    keys: set[str] = set()
    with open_association(source, caller, [WORKLIST_CONTEXT]) as association:
        context = association.context_for(str(ModalityWorklistInformationFind))
        end = time.monotonic() + bounds.seconds
        for query in queries:
            for received in _find(association, context, query, end, found):
                digest = digest_of(received)
                if digest in found.digests:
                    continue
                if len(found.digests) >= bounds.items or len(received) > bounds.bytes:
                    found.is_cut_off = True
                    continue
                bounds.bytes -= len(received)
                found.digests.add(digest)
                if digest in known:
                    continue
                entry = entry_from(item_from(received, context.transfer_syntax[0], source))
                if entry.key not in keys:
                    keys.add(entry.key)
                    found.entries.append(entry)
            if found.is_cut_off:
                break
    return found


def _find(
    association: Association, context: PresentationContext, query: Dataset, end: float, found: WorklistFound
) -> Iterator[bytes]:
    # Raw answers: the received bytes are to be kept, and ten thousand of them must not take long.
    source = association.peer
    sop_class = str(ModalityWorklistInformationFind)
    message_id = association.next_message_id()
    identifier = bytes_source(encoded_for(context, query).getvalue())
    association.say(context, message_id, find_command(message_id, sop_class), identifier)
    is_cancelled = False
    while True:
        reply = association.hear(C_FIND_RSP)
        verdict, words = find_verdict(reply.status)
        if verdict is not FindVerdict.ENTRY:
            # Cancelled, whoever wished it: there is more.
            found.is_cut_off |= verdict is FindVerdict.CANCELLED
            if verdict is FindVerdict.REFUSED:
                raise WorklistRefused(
                    f"{source.ae_title} refused the query: {words}.",
                    "Its administrator can find the reason in its log.",
                )
            return
        if time.monotonic() > end:
            association.abort()
            raise WorklistRefused(
                f"{source.ae_title} does not come to an end with its answer.", "It is asked again later."
            )
        if is_cancelled:
            continue  # what was under way when we cancelled
        yield reply.data
        if found.is_cut_off:
            is_cancelled = True
            association.say(context, message_id, cancel_command(message_id))


def item_from(received: bytes, syntax: UID, source: WorklistSource) -> WorklistItem:
    """The item in an identifier's bytes. Whatever they are it is one, and says what of it cannot be read."""
    elements, findings = elements_from(received, syntax.is_implicit_VR, source.character_set)
    return WorklistItem(
        source=source.name,
        elements=elements,
        received=base64.b64encode(received[:MAX_IDENTIFIER_BYTES]).decode("ascii"),
        transfer_syntax_uid=str(syntax),
        findings=findings,
    )
