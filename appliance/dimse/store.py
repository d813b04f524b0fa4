"""Sending one object: C-STORE, byte for byte as it lies on flash (PS3.4 Annex B)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pydicom.errors import InvalidDicomError
from pynetdicom.dsutils import split_dataset

from appliance.base.errors import ApplianceError
from appliance.dimse.association import Association
from appliance.dimse.status import StoreVerdict, store_verdict
from appliance.dimse.transmit import C_STORE_RSP, FileSource, store_command


class UnreadableObject(ApplianceError):
    """The file cannot be sent: it is not a DICOM file with its identity in the header."""


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """The archive's answer: its status, its Error Comment (0000,0902), and what both mean."""

    code: int
    comment: str
    verdict: StoreVerdict
    said: str


def store_object(association: Association, path: Path) -> StoreStatus:
    """Send the object in `path` and answer with what the archive said.

    The data set goes as it is, under a context with exactly the file's transfer syntax. One association carries any
    number of objects. Raises NoAcceptedContext (the association stays usable), UnreadableObject, OSError, and
    AssociationAborted, after which it is not known whether the archive has the object.
    """
    sop_class, sop_instance, transfer_syntax, offset = _identity_of(path)
    context = association.context_for(sop_class, transfer_syntax)
    message_id = association.next_message_id()
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        source = FileSource(descriptor, offset, os.fstat(descriptor).st_size - offset)
        association.say(context, message_id, store_command(message_id, sop_class, sop_instance), source)
    finally:
        os.close(descriptor)
    reply = association.hear(C_STORE_RSP)
    verdict, words = store_verdict(reply.status)
    said = f"{words}: {reply.comment}" if reply.comment and reply.status else words
    return StoreStatus(reply.status, reply.comment, verdict, said)


def _identity_of(path: Path) -> tuple[str, str, str, int]:
    try:
        meta, offset = split_dataset(path)
        return (
            str(meta.MediaStorageSOPClassUID),
            str(meta.MediaStorageSOPInstanceUID),
            str(meta.TransferSyntaxUID),
            offset,
        )
    except (InvalidDicomError, AttributeError, ValueError, EOFError) as error:
        raise UnreadableObject(f"The file {path.name} cannot be sent ({type(error).__name__}).") from error
