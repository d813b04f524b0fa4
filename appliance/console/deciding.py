"""What people decide about images: discard, take back, give to an exam, move to the right patient, call a series.

Each decision is a fact of an exam before it is answered; `moving.Mover` carries it out.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from appliance.base.clock import Clock
from appliance.base.durable import make_directory, move_file
from appliance.base.errors import ApplianceError
from appliance.base.flash import in_words
from appliance.base.uids import new_uid
from appliance.config.schema import Box
from appliance.console.audit import PanelAudit
from appliance.console.exams import ExamKeeper
from appliance.exam.decisions import UNDECIDED, Decision, DecisionKind
from appliance.exam.exam import Exam
from appliance.exam.facts import ExamFacts
from appliance.exam.item import WorklistItem
from appliance.exam.moved import Described, Moved, MovedObject
from appliance.exam.reasons import DISCARD_REASONS
from appliance.spool.names import ObjectName
from appliance.spool.tree import UNASSIGNED, Spool, ensure_room, list_captured, list_objects

_log = logging.getLogger(__name__)

_LONGEST_DESCRIPTION = 64  # LO (PS3.5 6.2)
_GONE = "This image is not there any more.", "Look at the screen again."
_NOT_DONE = "Nothing was changed", "Look at the screen again."

Found = tuple[str, Path, ObjectName]
"""A device, and one of its objects."""


class Decisions:
    """Thread-safe: it acts under the keeper's lock."""

    def __init__(
        self, spool: Spool, facts: ExamFacts, box: Box, clock: Clock, *, keeper: ExamKeeper, audit: PanelAudit
    ) -> None:
        self._spool = spool
        self._facts = facts
        self._box = box
        self._clock = clock
        self._keeper = keeper
        self._audit = audit

    # -- in the open exam

    def discard(self, exam_id: str, uid: str, reason: str, actor: str) -> None:
        """Take an image out of the open exam. ApplianceError when it is not in it."""
        said = _reason_from(reason)
        with self._keeper.holding(exam_id) as exam, in_words(*_NOT_DONE):
            _one(self._undecided(exam_id), uid)
            self._audit.record_discarded(exam, [uid], actor, said)
            self._facts.decide(exam_id, Decision(DecisionKind.DISCARDED, uid, self._clock.now(), actor, said))

    def take_back(self, exam_id: str, uid: str, actor: str) -> None:
        """Put a discarded image back into the exam, which is open still. ApplianceError when there is none."""
        with self._keeper.holding(exam_id) as exam, in_words(*_NOT_DONE):
            decision = self._facts.read(exam_id, f"{DecisionKind.DISCARDED}-{_checked_uid(uid)}", Decision)
            if decision is None:
                raise ApplianceError(*_GONE)
            self._audit.record_taken_back(exam, [uid], actor)
            for device, path, name in list_discarded(self._spool, exam_id):
                if name.sop_instance_uid == uid:
                    target = self._spool.captured(device, exam_id)
                    make_directory(target)
                    # First: a crash before the decision is gone leaves a discarded image, not one that is nowhere.
                    move_file(path, target / path.name)
            self._facts.take_back(exam_id, decision)

    def describe(self, exam_id: str, device: str, description: str, actor: str) -> None:
        """Call the series of this device so, in all of its images: those that are here are made anew at the end."""
        text = _checked_description(description)
        with self._keeper.holding(exam_id) as exam, in_words(*_NOT_DONE):
            try:
                known = exam.series_of(device).series_description
            except KeyError:
                raise ApplianceError("This device has no series in this exam.") from None
            if text != known:
                number = 1 + sum(1 for _ in self._facts.described(exam_id))
                said = Described(device, text, self._clock.now(), actor)
                self._facts.write(exam_id, f"described-{device}-{number}", said)

    # -- what belongs to no exam

    def assign(self, uids: Collection[str], exam_id: str, actor: str) -> None:
        """Give images that belong to none to the open exam; durable when this returns, and done soon after."""
        with self._keeper.holding(exam_id) as exam, in_words(*_NOT_DONE):
            chosen = _chosen(self._unassigned(), uids)
            _check_series(exam, chosen)
            self._check_room(chosen)
            moved = [_moved_object(one) for one in chosen]
            self._audit.record_moved(None, exam, moved, actor)
            now = self._clock.now()
            for one in moved:
                decision = Decision(
                    DecisionKind.REASSIGNED,
                    one.sop_instance_uid,
                    now,
                    actor,
                    "captured while nobody was chosen",
                    new_sop_instance_uid=one.new_sop_instance_uid,
                    new_exam_id=exam_id,
                )
                self._facts.decide(UNASSIGNED, decision)

    def discard_unassigned(self, uids: Collection[str], reason: str, actor: str) -> None:
        """Images that belong to no exam are wanted in none."""
        said = _reason_from(reason)
        with self._keeper.planning(), in_words(*_NOT_DONE):
            chosen = _chosen(self._unassigned(), uids)
            self._audit.record_discarded(None, [name.sop_instance_uid for _, _, name in chosen], actor, said)
            for _device, _path, name in chosen:
                decision = Decision(DecisionKind.DISCARDED, name.sop_instance_uid, self._clock.now(), actor, said)
                self._facts.decide(UNASSIGNED, decision)
        self._keeper.wake()

    # -- the wrong patient

    def move(self, exam_id: str, uids: Collection[str] | None, items: Sequence[WorklistItem], actor: str) -> Exam:
        """Move these images of the open exam, or all that it has and gets, to a new exam on `items`, open from then on.

        The exam that they come from ends: with what remains, or as begun on a wrong entry where nothing does.
        ApplianceError when it is not open, when an image is not in it, or when the patient is the same entry.
        """
        with self._keeper.planning() as current, in_words(*_NOT_DONE):
            if current is None or current.is_closing or current.exam.exam_id != exam_id:
                raise ApplianceError("This exam is not open any more.", "Look at the screen again.")
            if items[0].source and items[0].key in {item.key for item in current.exam.items}:
                raise ApplianceError("This is the entry that the exam is of already.", "Choose another one.")
            here = self._undecided(exam_id)
            chosen = here if uids is None else _chosen(here, uids)
            exam = self._keeper.plan(*items)
            _check_series(exam, chosen)
            self._check_room(chosen)
            objects = tuple(_moved_object(one) for one in chosen)
            is_all = len(chosen) == len(here)
            moved = Moved(exam_id, exam, objects, self._clock.now().replace(microsecond=0), actor, is_all)
            self._audit.record_moved(current.exam, exam, objects, actor)
            self._keeper.move(moved)
        _log.info("exam %s: %d objects move to exam %s", exam_id, len(objects), exam.exam_id)
        return exam

    # -- what lies here

    def _undecided(self, exam_id: str) -> list[Found]:
        decided = self._facts.decided(exam_id)
        return [one for one in list_captured(self._spool, exam_id) if one[2].sop_instance_uid not in decided]

    def _unassigned(self) -> list[Found]:
        return list_unassigned(self._spool, self._facts)

    def _check_room(self, chosen: Iterable[Found]) -> None:
        largest = max((path.stat().st_size for _device, path, _name in chosen), default=0)
        ensure_room(self._spool.state, largest, self._box.reserve_bytes)


def list_unassigned(spool: Spool, facts: ExamFacts) -> list[Found]:
    """What belongs to no exam and waits for a person, in the order in which it was saved."""
    found = [
        (device, path, name)
        for device in spool.captured_devices()
        for path, name in list_objects(spool.captured(device, None))
    ]
    decided = facts.decided(UNASSIGNED) if found else {}
    waiting = [one for one in found if not decided.get(one[2].sop_instance_uid, UNDECIDED).kinds]
    return sorted(waiting, key=lambda one: (one[2].number, one[0], one[1]))


def list_discarded(spool: Spool, exam_id: str) -> list[Found]:
    """What was discarded from the exam and lies here still; also what is in another exam anew."""
    top = spool.state / "discarded"
    devices = sorted(entry.name for entry in top.iterdir()) if top.is_dir() else []
    return [(device, path, name) for device in devices for path, name in list_objects(spool.discarded(device, exam_id))]


def _moved_object(one: Found) -> MovedObject:
    device, path, name = one
    return MovedObject(name.sop_instance_uid, new_uid(), device, path.name)


def _one(here: Iterable[Found], uid: str) -> Found:
    for one in here:
        if one[2].sop_instance_uid == uid:
            return one
    raise ApplianceError(*_GONE)


def _chosen(here: Sequence[Found], uids: Collection[str]) -> list[Found]:
    if not uids:
        raise ApplianceError("No image was chosen.", "Tap the images that are meant.")
    return [_one(here, uid) for uid in dict.fromkeys(uids)]


def _check_series(exam: Exam, chosen: Iterable[Found]) -> None:
    known = {series.device for series in exam.series}
    for device, _path, _name in chosen:
        if device not in known:
            raise ApplianceError(
                f"The device {device} was set up after this exam was opened, or is not set up any more.",
                "End the exam and open it again.",
            )


def _reason_from(code: str) -> str:
    try:
        return DISCARD_REASONS[code]
    except KeyError:
        raise ApplianceError("This is no reason for which an image is discarded.") from None


def _checked_uid(uid: str) -> str:
    if not uid or len(uid) > 64 or not all(letter in "0123456789." for letter in uid):
        raise ApplianceError("This is not a UID.")
    return uid


def _checked_description(text: str) -> str:
    """`text` as a Series Description (LO). ApplianceError when it is none."""
    text = " ".join(text.split())
    if len(text) > _LONGEST_DESCRIPTION:
        raise ApplianceError(f"The description is longer than {_LONGEST_DESCRIPTION} characters.")
    if "\\" in text or any(unicodedata.category(one) in {"Cc", "Cs", "Cn"} for one in text):
        raise ApplianceError("The description holds a character that DICOM does not allow there.")
    return text
