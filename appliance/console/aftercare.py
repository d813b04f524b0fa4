"""After an exam's end: its hand-over is completed, what came late is set aside, what belongs to no exam is told of."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from appliance.base.clock import Clock, Deadline
from appliance.base.findings import FindingBoard
from appliance.console.closing import UNASSIGNED_CODE, hand_over, set_aside_late, unassigned_finding_from
from appliance.exam.decisions import UNDECIDED
from appliance.exam.facts import ExamFacts
from appliance.spool.tree import UNASSIGNED, Spool, list_captured, list_objects

# Every captured directory of every exam is looked through this often; those that just closed, in every round.
_LOOK_EVERYWHERE_SECONDS = 60.0


class Aftercare:
    """Part of the keeper's thread."""

    def __init__(
        self, spool: Spool, facts: ExamFacts, findings: FindingBoard, clock: Clock, tell_forward: Callable[[], None]
    ) -> None:
        self._spool = spool
        self._facts = facts
        self._findings = findings
        self._clock = clock
        self._tell_forward = tell_forward
        self._just_closed: deque[str] = deque(maxlen=4)
        self._look_everywhere = Deadline.after(clock, 0.0)
        self._with_unassigned: frozenset[str] = frozenset()

    def note_closed(self, exam_id: str) -> None:
        """The exam has ended a moment ago: something of it may still arrive."""
        self._just_closed.append(exam_id)

    def exams(self) -> list[str]:
        """Ended exams below whose captured directories something may still lie."""
        if not self._look_everywhere.is_over():
            return list(self._just_closed)
        self._look_everywhere = Deadline.after(self._clock, _LOOK_EVERYWHERE_SECONDS)
        known = set(self._facts.exam_ids())
        lying = {
            directory.name
            for device in self._spool.captured_devices()
            for directory in self._spool.captured(device, None).parent.iterdir()
            if directory.name in known and next(list_objects(directory), None) is not None
        }
        return sorted(lying)

    def complete(self, exam_id: str) -> None:
        """Complete the hand-over of a closed exam and set aside what came too late."""
        if next(iter(list_captured(self._spool, exam_id)), None) is None:
            return
        closed = self._facts.closed(exam_id)
        if closed is None:  # open, or being ended: not ours to touch yet
            return
        if hand_over(self._spool, exam_id, closed):
            self._tell_forward()
        for finding in set_aside_late(self._spool, exam_id, closed):
            self._findings.report(finding)

    def report_unassigned(self) -> None:
        """What belongs to no exam stays on the board for as long as nobody decided about it."""
        counts = count_unassigned(self._spool, self._facts)
        for device, count in counts.items():
            self._findings.report(unassigned_finding_from(device, count))
        for device in self._with_unassigned - counts.keys():
            self._findings.clear(UNASSIGNED_CODE, device)
        self._with_unassigned = frozenset(counts)


def count_unassigned(spool: Spool, facts: ExamFacts) -> dict[str, int]:
    """By device: how many of its objects belong to no exam, as far as nobody decided about them."""
    names = {
        device: [name for _, name in list_objects(spool.captured(device, None))] for device in spool.captured_devices()
    }
    decided = facts.decided(UNASSIGNED) if any(names.values()) else {}
    counts = {
        device: sum(1 for name in found if not decided.get(name.sop_instance_uid, UNDECIDED).kinds)
        for device, found in names.items()
    }
    return {device: count for device, count in counts.items() if count}
