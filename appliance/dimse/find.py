"""Looking for objects at an archive: C-FIND, Study Root, at IMAGE level (PS3.4 C.4.1 and C.6.2)."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from io import BytesIO

from pydicom import Dataset
from pynetdicom.dsutils import decode
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]

from appliance.base.errors import ApplianceError
from appliance.dimse.association import Association, Context, encoded_for
from appliance.dimse.status import FindVerdict, find_verdict
from appliance.dimse.transmit import C_FIND_RSP, bytes_source, find_command

FIND_CONTEXT = Context(str(StudyRootQueryRetrieveInformationModelFind))

# A list of UIDs is one value field, of which explicit VR gives the length in two bytes (PS3.5 7.1.2); a hundred of the
# longest UIDs stay far below, and every archive's statement has room for them.
UIDS_IN_QUERY = 100
# An archive that disregards the list answers with the whole series.
_MOST_ANSWERS = 20_000
_MOST_ANSWER_BYTES = 65_536
_UNAVAILABLE = "UNAVAILABLE"  # PS3.3 C.4.23.1.1: cannot be retrieved, and nobody knows where it is


class FindRefused(ApplianceError):
    """The archive's answers do not tell what it has."""


def find_instances(
    association: Association, study_uid: str, series_uid: str | None, sop_uids: Sequence[str]
) -> set[str]:
    """Those of `sop_uids` that the archive says it has, in this study (and series, which most archives want to know).

    Each query is answered to its end within the peer's `answer_seconds`, or the association is over. Raises
    NoAcceptedContext, FindRefused (the association stays usable unless the answers had no end), AssociationAborted.
    """
    context = association.context_for(str(StudyRootQueryRetrieveInformationModelFind))
    found: set[str] = set()
    for start in range(0, len(sop_uids), UIDS_IN_QUERY):
        some = sop_uids[start : start + UIDS_IN_QUERY]
        found |= _find(association, context, query_from(study_uid, series_uid, some), set(some))
    return found


def query_from(study_uid: str, series_uid: str | None, sop_uids: Sequence[str]) -> Dataset:
    """The identifier: unique keys of the levels above, a list of UIDs (PS3.4 C.2.2.2.2), and how available each is."""
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    query.StudyInstanceUID = study_uid
    if series_uid is not None:
        query.SeriesInstanceUID = series_uid
    query.SOPInstanceUID = list(sop_uids)
    query.InstanceAvailability = ""
    return query


def _find(association: Association, context: PresentationContext, query: Dataset, wanted: set[str]) -> set[str]:
    name = association.peer.ae_title
    message_id = association.next_message_id()
    sop_class = str(StudyRootQueryRetrieveInformationModelFind)
    end = time.monotonic() + association.peer.answer_seconds
    found: set[str] = set()
    identifier = bytes_source(encoded_for(context, query).getvalue())
    association.say(context, message_id, find_command(message_id, sop_class), identifier)
    for count in itertools.count(1):
        reply = association.hear(C_FIND_RSP, max(end - time.monotonic(), 0.001))
        if count > _MOST_ANSWERS or time.monotonic() > end:
            association.abort()
            raise FindRefused(f"{name} answered a query for objects with something that has no end.")
        verdict, words = find_verdict(reply.status)
        if verdict is not FindVerdict.ENTRY:
            break
        try:
            found |= wanted & _uids_in(reply.data, context)
        except ValueError as error:
            association.abort()
            raise FindRefused(f"{name} answered a query for objects with {error}.") from error
    if verdict is not FindVerdict.DONE:
        raise FindRefused(
            f"{name} refused a query for objects: {words}.",
            "Ask its administrator to allow queries (C-FIND) for this box, or configure verify_by_find = false.",
        )
    return found


def _uids_in(content: bytes, context: PresentationContext) -> set[str]:
    """What one answer names, if the archive can give it out. ValueError when it cannot be read."""
    if len(content) > _MOST_ANSWER_BYTES:
        raise ValueError(f"{len(content)} bytes for one object")
    syntax = context.transfer_syntax[0]
    try:
        answer = decode(BytesIO(content), syntax.is_implicit_VR, syntax.is_little_endian)
        uid, availability = str(answer.get("SOPInstanceUID") or ""), str(answer.get("InstanceAvailability") or "")
    except Exception as error:  # pydicom raises anything on a stranger's bytes
        raise ValueError(f"bytes that are no data set ({type(error).__name__})") from error
    return set() if availability.strip() == _UNAVAILABLE else {uid}
