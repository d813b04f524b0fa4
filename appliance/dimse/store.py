"""Sending one object: C-STORE, as it lies on flash, or decoded while it is sent (PS3.4 Annex B)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pynetdicom.presentation import PresentationContext

from appliance.base.errors import ApplianceError
from appliance.config.schema import TransferSyntax
from appliance.dimse.association import Association, Context, NoAcceptedContext
from appliance.dimse.decoding import (
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    JPEG_BASELINE,
    JPEG_LS_LOSSLESS,
    UnsendableObject,
    can_recode,
    open_recoded,
)
from appliance.dimse.elements import FileMeta, NotAnObject, read_file_meta
from appliance.dimse.status import StoreVerdict, store_verdict
from appliance.dimse.transmit import C_STORE_RSP, FileSource, Source, store_command
from appliance.dimse.verified import DamagedContent, VerifiedSource
from appliance.spool.names import is_intact, object_name_from

__all__ = [
    "DamagedContent",
    "StoreStatus",
    "UnreadableObject",
    "UnsendableObject",
    "check_read",
    "contexts_for",
    "source_from",
    "storable_as",
    "store_object",
]

_UID_OF: dict[TransferSyntax, str] = {
    "jpeg-baseline": JPEG_BASELINE,
    "jpeg-ls-lossless": JPEG_LS_LOSSLESS,
    "explicit-little-endian": EXPLICIT_LITTLE_ENDIAN,
    "implicit-little-endian": IMPLICIT_LITTLE_ENDIAN,
}


ORDER_OF_CHOICE = tuple(_UID_OF.values())
"""In which order what the archive accepted is looked through, where it does not accept an object as it lies."""
MOST_STORED = 100
"""The most objects that are sent on one association."""


class UnreadableObject(ApplianceError):
    """The file cannot be sent: it is not a DICOM file with its identity in the header."""


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """The archive's answer: its status, its Error Comment (0000,0902), and what both mean."""

    code: int
    comment: str
    verdict: StoreVerdict
    said: str


def storable_as(class_uid: str, syntax_uid: str, allowed: Sequence[TransferSyntax]) -> list[Context]:
    """The contexts to propose for an object: one for each `allowed` transfer syntax in which it can be sent.

    One syntax in each, so that the archive says of every one whether it takes it. None: the object cannot go there.
    """
    uids = [_UID_OF[name] for name in allowed]
    fitting = [uid for uid in uids if uid == syntax_uid or can_recode(syntax_uid, uid)]
    if syntax_uid not in _UID_OF.values():
        fitting.append(syntax_uid)  # not of our making, and not a question of JPEG or none
    return [Context(class_uid, (uid,)) for uid in fitting]


def contexts_for(kinds: Iterable[tuple[str, str]], allowed: Sequence[TransferSyntax]) -> list[Context]:
    """The contexts for objects of these classes and transfer syntaxes, each once."""
    return list(dict.fromkeys(context for kind in kinds for context in storable_as(*kind, allowed)))


def store_object(association: Association, path: Path) -> StoreStatus:
    """Send the object in `path` and answer with what the archive said.

    It goes as it lies if the archive accepted its transfer syntax, else in one that it did accept. One association
    carries any number of objects. Raises NoAcceptedContext and UnreadableObject (the association stays usable),
    DamagedContent, UnsendableObject and OSError (it stays so unless that happened in the middle), and
    AssociationAborted, after which it is not known whether the archive has the object.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    meta = None
    try:
        meta = read_file_meta(descriptor)
        context = _context_for(association, meta)
        source = source_from(descriptor, path, meta, str(context.transfer_syntax[0]))
        message_id = association.next_message_id()
        command = store_command(message_id, meta.sop_class_uid, meta.sop_instance_uid)
        association.say(context, message_id, command, source)
    except (NotAnObject, NoAcceptedContext, UnsendableObject) as error:
        check_read(path, meta)
        if isinstance(error, NotAnObject):
            raise UnreadableObject(f"The file {path.name} cannot be sent: {error}.") from error
        raise
    finally:
        os.close(descriptor)
    reply = association.hear(C_STORE_RSP)
    verdict, words = store_verdict(reply.status)
    said = f"{words}: {reply.comment}" if reply.comment and reply.status else words
    return StoreStatus(reply.status, reply.comment, verdict, said)


def check_read(path: Path, meta: FileMeta | None) -> None:
    """DamagedContent when flash gave the file wrongly: a refusal, which waits for a person, must be of the object."""
    name = object_name_from(path.name)
    if name is None:
        return
    is_same = is_intact(path)
    if is_same:
        with path.open("rb") as file:
            try:
                is_same = read_file_meta(file.fileno()) == meta
            except NotAnObject:
                is_same = meta is None
    if not is_same:
        raise DamagedContent(f"The file of object {name.sop_instance_uid} is not what was saved.")


def _context_for(association: Association, meta: FileMeta) -> PresentationContext:
    own = meta.transfer_syntax_uid
    accepted = {
        str(context.transfer_syntax[0])
        for context in association.accepted_contexts
        if context.abstract_syntax == meta.sop_class_uid
    }
    others = (uid for uid in ORDER_OF_CHOICE if uid in accepted and can_recode(own, uid))
    return association.context_for(meta.sop_class_uid, own if own in accepted else next(others, own))


def source_from(descriptor: int, path: Path, meta: FileMeta, transfer_syntax: str) -> Source:
    """The data set of the open file at `path` in `transfer_syntax`, of bytes that are what the file's name promises.

    As it lies it is looked at while it is read, to be recoded it is read before. A name that promises nothing, as of an
    object that nobody was told of, is believed. DamagedContent, NotAnObject, UnsendableObject, OSError.
    """
    name = object_name_from(path.name)
    if transfer_syntax == meta.transfer_syntax_uid:
        if name is not None:
            return VerifiedSource(descriptor, meta.data_set_at, name)
        return FileSource(descriptor, meta.data_set_at, os.fstat(descriptor).st_size - meta.data_set_at)
    if name is not None and not is_intact(path):
        raise DamagedContent(f"The file of object {name.sop_instance_uid} is not what was saved.")
    return open_recoded(descriptor, meta, transfer_syntax)
