"""After a crash: what a device's captures left half-written becomes a whole object, or is removed and reported.

A clip's temporary file holds a header and fragments; every whole frame is kept. Anything else was never answered
*saved* and cannot be completed: it is removed, and whoever was capturing is told to repeat it. A file in which whole
frames lie that cannot be given goes to quarantine.
Runs at boot for every device, plugged in or not, and at the start of each device's own process.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from appliance.acquire.torn_clip import clear_away, is_aside, mend_clip, set_aside
from appliance.acquire.torn_header import DamagedClipError
from appliance.base.durable import remove_file
from appliance.base.errors import Finding
from appliance.base.flash import reason_of
from appliance.exam.facts import DamagedFactError, ExamFacts
from appliance.spool.cut_short import PREAMBLE_BYTES, cut_short_sentence, is_cut_short, left_out_of
from appliance.spool.names import temporary_name_from
from appliance.spool.summary import DamagedObjectError, read_summary
from appliance.spool.tree import UNASSIGNED, NoRoomError, Spool, list_objects, list_temporaries

_log = logging.getLogger(__name__)

INTERRUPTED = "interrupted"


class Fate(StrEnum):
    """What became of an interrupted capture."""

    SAVED = "saved"
    REMOVED = "removed"
    QUARANTINED = "quarantined"
    UNTOUCHED = "untouched"  # flash failed; the next start tries again
    WAITING = "waiting"  # for room to write its whole frames anew; the next start tries again


_WORDS = {
    Fate.REMOVED: ("A capture was interrupted before it was saved; nothing of it is kept.", "Capture it again."),
    Fate.QUARANTINED: (
        "A clip was cut short by an interruption and its beginning is damaged; it was set aside in quarantine.",
        "Record it again; support may look at what is left.",
    ),
    Fate.UNTOUCHED: (
        "A capture was interrupted, and the flash failed when it was looked through.",
        "It is tried again when the box starts; call support.",
    ),
    Fate.WAITING: (
        "A clip was cut short by an interruption; there is no room to save its whole frames in a new file.",
        "It is tried again when the box starts; see that the archive can be reached, so that flash becomes free.",
    ),
}


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What became of one interrupted capture; `frames` of it are saved, `left_out` were damaged.

    `is_aside`: flash did not give back all of it, and its file lies in quarantine.
    """

    device: str
    exam_id: str | None
    sop_instance_uid: str
    fate: Fate
    frames: int = 0
    is_cut_short: bool = True
    left_out: int = 0
    is_aside: bool = False

    @property
    def finding(self) -> Finding:
        """As the panel shows it."""
        if self.fate is Fate.SAVED and not self.is_cut_short:
            sentence = f"A clip had just ended when it was interrupted; all its {self.frames} frames are saved."
            suggestion = "Nothing needs to be done."
        elif self.fate is Fate.SAVED:
            sentence = cut_short_sentence(self.frames, left_out=self.left_out)
            suggestion = "Record it again if more is needed."
            if self.is_aside:
                sentence += " Not all of it could be read; the rest lies in quarantine."
                suggestion += " Support may look at the rest; have the box's flash checked."
        else:
            sentence, suggestion = _WORDS[self.fate]
        return Finding(INTERRUPTED, sentence, suggestion, self.sop_instance_uid or self.device)


def salvage_device(spool: Spool, facts: ExamFacts, device: str) -> list[Salvaged]:
    """Deal with every temporary file of `device`. The caller holds the device's lock.

    One file that flash does not give back does not keep the others from being salvaged. Repeating it after a crash in
    its middle comes to the same.
    """
    top = spool.captured(device, None).parent
    found: list[Salvaged] = []
    if not top.is_dir():
        return found
    for directory in sorted(entry for entry in top.iterdir() if entry.is_dir()):
        exam_id = None if directory.name == UNASSIGNED else directory.name
        for path in list_temporaries(directory):
            try:
                salvaged = _salvage_file(spool, facts, device, exam_id, path)
            except OSError as error:
                _log.error("salvage of %s: %s", path.name, reason_of(error))
                name = temporary_name_from(path.name)
                uid = name.sop_instance_uid if name is not None else ""
                salvaged = Salvaged(device, exam_id, uid, Fate.UNTOUCHED)
            if salvaged is not None:
                found.append(salvaged)
                uid, exam = salvaged.sop_instance_uid, exam_id or "none"
                _log.warning("salvage of %s for exam %s: %s", uid, exam, salvaged.finding.sentence)
    return found


def list_cut_short(spool: Spool, facts: ExamFacts, device: str) -> list[Salvaged]:
    """The clips of the open exam that an earlier salvage saved: the one at boot has no panel to tell it to.

    An object that cannot be read is left out; the exam's end looks at each and says so. OSError of the exams' files.
    """
    exam_id = facts.open_exam_id()
    if exam_id is None:
        return []
    found = []
    for path, name in list_objects(spool.captured(device, exam_id)):
        try:
            with path.open("rb") as file:
                preamble = file.read(PREAMBLE_BYTES)
            if is_cut_short(preamble):
                uid, frames, left_out = name.sop_instance_uid, read_summary(path).frames, left_out_of(preamble)
                aside = is_aside(spool.quarantine, uid)
                found.append(Salvaged(device, exam_id, uid, Fate.SAVED, frames, left_out=left_out, is_aside=aside))
        except DamagedObjectError as error:
            _log.error("%s", error)
        except OSError as error:
            _log.error("whether %s was cut short cannot be read: %s", path.name, reason_of(error))
    return found


def _salvage_file(spool: Spool, facts: ExamFacts, device: str, exam_id: str | None, path: Path) -> Salvaged | None:
    """None for what an earlier salvage, cut off before its end, had made an object of already."""
    name = temporary_name_from(path.name)
    if name is None or not name.offset:
        uid = name.sop_instance_uid if name is not None else ""
        # A still that a salvage was making of a clip stands beside the clip, or beside what became of it.
        is_known = name is not None and (_has_clip(path.parent.parent, uid) or _is_saved(facts, path, uid))
        remove_file(path)
        return None if is_known else Salvaged(device, exam_id, uid, Fate.REMOVED)
    uid = name.sop_instance_uid
    if _is_saved(facts, path, uid):
        clear_away(path, spool.quarantine)
        return None
    target = path.parent if exam_id and _is_open(facts, exam_id) else spool.captured(device, None)
    try:
        mended = mend_clip(path, target, spool.quarantine)
    except DamagedClipError:
        set_aside(path, spool.quarantine)
        return Salvaged(device, exam_id, uid, Fate.QUARANTINED)
    except NoRoomError:
        return Salvaged(device, exam_id, uid, Fate.WAITING)
    if mended is None:
        remove_file(path)
        return Salvaged(device, exam_id, uid, Fate.REMOVED)
    aside = is_aside(spool.quarantine, uid)
    return Salvaged(device, exam_id, uid, Fate.SAVED, mended.frames, mended.is_cut_short, mended.left_out, aside)


def _is_open(facts: ExamFacts, exam_id: str) -> bool:
    """Whether the exam still takes objects: a closed one lists its own for ever, one that expired is no exam any more.

    What is found later belongs to nobody until a person says so.
    """
    try:
        return facts.exam(exam_id) is not None and facts.closed(exam_id) is None
    except DamagedFactError:
        return False


def _has_clip(top: Path, uid: str) -> bool:
    """Whether a clip's temporary file of this object lies anywhere below the device's directory."""
    names = (temporary_name_from(path.name) for directory in _directories(top) for path in list_temporaries(directory))
    return any(name is not None and name.sop_instance_uid == uid and name.offset for name in names)


def _is_saved(facts: ExamFacts, path: Path, uid: str) -> bool:
    """Whether an object of this UID was published: it lies at the device's, or its exam lists it."""
    for directory in _directories(path.parent.parent):
        if any(name.sop_instance_uid == uid for _, name in list_objects(directory)):
            return True
    try:
        closed = facts.closed(path.parent.name)
    except DamagedFactError:
        closed = None
    return closed is not None and any(instance.sop_instance_uid == uid for instance in closed.instances)


def _directories(top: Path) -> Iterator[Path]:
    return (entry for entry in top.iterdir() if entry.is_dir())
