"""Section 7.2.1.1: who says what to whom, as pictures of what this configuration does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from appliance.conformance.chapters.front import Said
from appliance.conformance.document import Arrow, Sequence
from appliance.conformance.statement import Statement
from appliance.conformance.words import codes_text, services_named
from appliance.dimse.status import COMMITMENT_FAILURE, STORE_STATUS, ReasonVerdict, StoreVerdict

_EVERYONE = ("Technologist", "Product", "Worklist", "Performed-step manager", "Archive")
_PERSON, _BOX, _WORKLIST, _MANAGER, _ARCHIVE = range(len(_EVERYONE))


def sequences(statement: Statement) -> Said:
    """A picture of each activity that has a part in this configuration, numbered in their order."""
    pictures = tuple(
        replace(picture, caption=f"Figure 7-{number} {picture.caption}")
        for number, picture in enumerate(_pictures(statement), start=1)
    )
    return pictures or "No peer is configured: nothing is said."


def _pictures(statement: Statement) -> Iterator[Sequence]:
    stores = bool(services_named(statement, "C-STORE"))
    asks = any(one.is_requested for one in statement.commitment)
    if statement.worklist_keys:
        yield from _of_worklists()
    if stores or statement.end_of_study.is_notified:
        yield _picture("An examination", _of_examination(statement, stores=stores, asks=asks))
    if any(one.report_on_new_association for one in statement.commitment):
        yield _picture("Commitment, reported on an association of the archive's own", _OF_REPORT)
    if stores:
        yield _picture("An archive that has no room now", _of_retry())
    if stores and asks:
        yield _picture("An object that the archive has lost", _of_loss())
    if stores and any(one.is_verified_by_find and not one.is_requested for one in statement.commitment):
        yield _picture("An archive that does not commit is looked at", _OF_LOOK)
    if stores and any(kind.form == "note" for kind in statement.objects):
        yield _picture("Images that went to a wrong patient (IHE IOCM)", _of_correction(statement))


_STORED = (Arrow(_BOX, _ARCHIVE, "C-STORE, each object"), Arrow(_ARCHIVE, _BOX, "success"))


def _of_worklists() -> Iterator[Sequence]:
    entries = Arrow(_WORKLIST, _BOX, "entries")
    chooses = Arrow(_PERSON, _BOX, "chooses and confirms an entry")
    yield _picture("Who is scheduled", (Arrow(_BOX, _WORKLIST, "C-FIND, on a schedule"), entries, chooses))
    yield _picture(
        "One patient is looked for",
        (
            Arrow(_PERSON, _BOX, "types, or scans a barcode"),
            Arrow(_BOX, _WORKLIST, "C-FIND, without a date"),
            entries,
            chooses,
        ),
    )


def _of_examination(statement: Statement, *, stores: bool, asks: bool) -> Iterator[Arrow]:
    yield Arrow(_PERSON, _BOX, "captures")
    yield Arrow(_BOX, _BOX, "saved on flash")
    is_told = statement.end_of_study.is_notified
    if is_told:
        yield Arrow(_BOX, _MANAGER, "N-CREATE: IN PROGRESS")
    yield Arrow(_PERSON, _BOX, "ends the examination")
    if is_told:
        if stores:
            yield Arrow(_BOX, _BOX, "neither waits for the other:")
        yield Arrow(_BOX, _MANAGER, f"N-SET: {' or '.join(statement.end_of_study.states)}")
    if stores:
        yield from _STORED
    if asks:
        yield Arrow(_BOX, _ARCHIVE, "N-ACTION: commitment")
        yield Arrow(_ARCHIVE, _BOX, "N-EVENT-REPORT: committed")
        yield Arrow(_BOX, _BOX, "the objects may go, when their retention ends")


_OF_REPORT = (
    Arrow(_BOX, _ARCHIVE, "association, N-ACTION"),
    Arrow(_ARCHIVE, _BOX, "0000: taken"),
    Arrow(_BOX, _ARCHIVE, "release, when no report came soon"),
    Arrow(_ARCHIVE, _BOX, "association, N-EVENT-REPORT"),
    Arrow(_BOX, _BOX, "the result is made durable"),
    Arrow(_BOX, _ARCHIVE, "0000"),
    Arrow(_ARCHIVE, _BOX, "release"),
)
_OF_LOOK = (
    *_STORED,
    Arrow(_BOX, _ARCHIVE, "C-FIND at the level of images, a moment later"),
    Arrow(_ARCHIVE, _BOX, "the object is named"),
    Arrow(_BOX, _BOX, "it may go, when its retention ends"),
)


def _of_correction(statement: Statement) -> Iterator[Arrow]:
    yield Arrow(_PERSON, _BOX, "says whose images they are")
    if statement.end_of_study.is_notified:
        yield Arrow(_BOX, _MANAGER, "N-CREATE, N-SET: another step")
    yield Arrow(_BOX, _BOX, "two examinations, in either order:")
    yield Arrow(_BOX, _ARCHIVE, "C-STORE: they anew, under new UIDs")
    yield Arrow(_BOX, _ARCHIVE, "C-STORE: a note that rejects the old")
    yield Arrow(_ARCHIVE, _BOX, "success")


def _of_retry() -> Iterator[Arrow]:
    code = next(codes_text(*codes) for codes, verdict, _ in STORE_STATUS if verdict is StoreVerdict.RETRY)
    yield Arrow(_BOX, _ARCHIVE, "C-STORE")
    yield Arrow(_ARCHIVE, _BOX, f"{code}: not now")
    yield Arrow(_BOX, _ARCHIVE, "release")
    yield Arrow(_BOX, _BOX, "waits, longer each time")
    yield Arrow(_BOX, _ARCHIVE, "C-STORE of the same object")
    yield Arrow(_ARCHIVE, _BOX, "success")


def _of_loss() -> Iterator[Arrow]:
    codes = next(codes for codes, verdict, _ in COMMITMENT_FAILURE if verdict is ReasonVerdict.STORE_AGAIN)
    yield Arrow(_ARCHIVE, _BOX, f"N-EVENT-REPORT: failed, {codes_text(*codes)}")
    yield Arrow(_BOX, _ARCHIVE, "C-STORE of the same object")
    yield Arrow(_ARCHIVE, _BOX, "success")
    yield Arrow(_BOX, _ARCHIVE, "N-ACTION: commitment, a new transaction")


def _picture(caption: str, arrows: Iterable[Arrow]) -> Sequence:
    """With those alone who have a part in it."""
    arrows = tuple(arrows)
    present = sorted({number for one in arrows for number in (one.start, one.end)})
    place = {number: at for at, number in enumerate(present)}
    return Sequence(
        caption,
        tuple(_EVERYONE[number] for number in present),
        tuple(replace(one, start=place[one.start], end=place[one.end]) for one in arrows),
    )
