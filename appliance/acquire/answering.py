"""What two kinds of machines share that are answered only when what they sent is safe."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from appliance.acquire.gate import ExamGate
from appliance.base.clock import Clock, Deadline

_POLL_SECONDS = 0.5
# A flash that does not come back from a sync for so long is no stall: the watchdog may then act.
_STALL_SECONDS = 60.0
_EXAMS_REMEMBERED = 3

_Kept = TypeVar("_Kept")


def keep_while_alive(keep: Callable[[], _Kept], clock: Clock, alive: Callable[[], None]) -> _Kept:
    """`keep` in a thread of its own: a flash that stalls in a sync is not the caller's loop being stuck for a while."""
    patience = Deadline.after(clock, _STALL_SECONDS)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="keep") as one:
        kept = one.submit(keep)
        while not wait([kept], timeout=_POLL_SECONDS).done:
            if not patience.is_over():
                alive()
        return kept.result()


def was_kept_before(gate: ExamGate, uid_in: Callable[[str], str]) -> bool:
    """Whether one of the last exams that ended has this object; `uid_in` says under which UID an exam would have it.

    Then the machine's acknowledgement was lost, the exam ended, and it tries again: this is not the next patient's.
    """
    return any(
        instance.sop_instance_uid == uid_in(exam_id)
        for exam_id, closed in gate.recently_closed(_EXAMS_REMEMBERED)
        for instance in closed.instances
    )
