"""The two lights of every screen, which are never mixed.

*Safe to switch off*: nothing is being captured, and everything that was is saved. *Safe to erase at the machine*: every
image is wherever it is required, committed by each archive that commits. Both are told by files and by what the
processes say now; where one is silent the light is off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from appliance.base.data_partition import DAMAGED_CODE
from appliance.console.aftercare import count_unassigned
from appliance.console.current import CurrentExam
from appliance.console.views import list_undecided
from appliance.exam.facts import ExamFacts
from appliance.spool.tree import Spool, count_objects

_AT_WORK = frozenset({"recording", "receiving", "scanning"})
# While one of these is on the board something that was captured may be lost without power, or is not as it was.
_UNSAVED = frozenset({"audit-unwritten", "flash-unwritable", DAMAGED_CODE})
_DAMAGED = frozenset({"object-damaged", "object-missing", "quarantined", "record-damaged"})

Reason = dict[str, Any]


def read_lights(
    spool: Spool,
    facts: ExamFacts,
    current: CurrentExam | None,
    statuses: Sequence[Mapping[str, Any]],
    findings: Iterable[Mapping[str, Any]],
    *,
    is_forward_silent: bool,
) -> dict[str, list[Reason]]:
    """`lights_from` what lies in the spool now: what has arrived wherever it must leaves the outbox."""
    captured = list_undecided(spool, facts, current.exam.exam_id) if current else []
    return lights_from(
        statuses=statuses,
        current=current,
        findings=findings,
        captured=len(captured),
        unassigned=sum(count_unassigned(spool, facts).values()),
        on_the_way=count_objects(spool.outbox),
        is_forward_silent=is_forward_silent,
    )


def lights_from(
    *,
    statuses: Sequence[Mapping[str, Any]],
    current: CurrentExam | None,
    findings: Iterable[Mapping[str, Any]],
    captured: int,
    unassigned: int,
    on_the_way: int,
    is_forward_silent: bool,
) -> dict[str, list[Reason]]:
    """By light the reasons why it is off, none where it is on: a `code` and what its sentence needs.

    `captured` of the open exam, `unassigned` and `on_the_way` (in the outbox) are numbers of objects.
    """
    codes = {str(finding.get("code", "")) for finding in findings}
    at_work = [str(status.get("title", "")) for status in statuses if status.get("state") in _AT_WORK]
    switch_off: list[Reason] = []
    if at_work:
        switch_off.append({"code": "capturing", "devices": ", ".join(at_work)})
    if current is not None and current.is_closing:
        switch_off.append({"code": "closing"})
    if codes & _UNSAVED:
        switch_off.append({"code": "unsaved"})
    erase: list[Reason] = [{"code": "capturing", "devices": ", ".join(at_work)}] if at_work else []
    counts = {"captured": captured, "unassigned": unassigned, "on_the_way": on_the_way}
    erase += [{"code": code, "count": count} for code, count in counts.items() if count]
    if codes & _DAMAGED:
        erase.append({"code": "damaged"})
    if is_forward_silent:
        erase.append({"code": "unknown"})
    return {"switch_off": switch_off, "erase": erase}
