"""What the forward process says of its queue, as a table for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from appliance.base.asking import Asker
from appliance.base.errors import ApplianceError
from appliance.base.paths import Paths
from appliance.cli.report import print_table
from appliance.exam.facts import ExamFacts
from appliance.spool.tree import Spool, list_captured

STATES: Final[Mapping[str, str]] = {
    "pending": "saved, to be stored",
    "storing": "saved, being stored",
    "stored": "stored, not committed",
    "commit_requested": "stored, commitment asked for",
    "committed": "committed",
    "verified": "stored and found there; this archive does not commit",
    "stored_only": "stored; this archive does not commit",
    "refused": "refused",
    "released": "released by a person",
    "expired": "committed, and deleted here",
}
STEP_STATES: Final[Mapping[str, str]] = {
    "due": "to be told",
    "in progress": "in progress",
    "completed": "completed",
    "discontinued": "discontinued",
    "refused": "refused: ended by somebody else",
    "retried": "to be told once more",
    "ended elsewhere": "ended by somebody else",
}
_PLACES: Final[Mapping[str, str]] = {
    "awaited": "its file has not arrived in the outbox",
    "quarantine": "its file is damaged and in quarantine",
}
# In these the box waits for the time of its next attempt; in the others for the archive, for a person, or for nothing.
_WAITING: Final = ("pending", "stored")
_UNTOLD_SECONDS = 30.0
_OF_PATIENTS: Final = frozenset({"patient_id", "accession_number"})


def show_queue(exam_id: str | None, *, is_all: bool, as_json: bool, is_discreet: bool = False) -> int:
    """Print the queue; 0. ApplianceError when the forward process does not answer, or knows no such exam.

    `is_discreet`: what names a patient is left out, which only JSON has.
    """
    paths = Paths.from_environment()
    wanted = f"?exam_id={quote(exam_id)}" if exam_id else "" if is_all else "?only=waiting"
    asker = Asker(paths.forward_socket, "The forward process")
    try:
        status = asker.ask("GET", "/status", seconds=_UNTOLD_SECONDS)
        queue = asker.ask("GET", f"/queue{wanted}", seconds=_UNTOLD_SECONDS)
    finally:
        asker.close()
    if exam_id and not queue["objects"] and not queue["steps"]:
        raise ApplianceError(f"Nothing of an exam {exam_id} is known here.", "See `appliance queue --all`.")
    if is_discreet:
        queue["objects"] = [without_patient(one) for one in queue["objects"]]
    if as_json:
        document = {"destinations": status["destinations"], "manager": status["steps"], **queue}
        print(json.dumps(document, indent=1, ensure_ascii=False))
        return 0
    now = datetime.now().astimezone()
    if rows := rows_of_objects(queue["objects"], status["destinations"], now):
        print_table([("exam", "object", "device", "saved", "destination", "state", "since", "next", "said"), *rows])
    if queue["left_out"]:
        print(f"and {queue['left_out']} older objects; ask for one exam with --exam")
    if rows := rows_of_steps(queue["steps"], status["steps"], now):
        print_table([("exam", "performed step", "state", "next", "said"), *rows])
    if not queue["objects"] and not queue["steps"]:
        print("Nothing waits.")
    if not exam_id and (line := line_of_open_exam(paths)):
        print(line)
    for destination in status["destinations"]:
        print(line_of(destination, now))
    if line := line_of_steps(status["steps"]):
        print(line)
    return 0


def without_patient(told: Mapping[str, Any]) -> dict[str, Any]:
    """An object of the queue without what names its patient."""
    return {key: value for key, value in told.items() if key not in _OF_PATIENTS}


def line_of_open_exam(paths: Paths) -> str:
    """What is saved here of the exam that is still open, in a sentence; empty when none is."""
    spool = Spool(paths.state)
    exam_id = ExamFacts(spool.exams).open_exam_id()
    if exam_id is None:
        return ""
    count = len(list_captured(spool, exam_id))
    objects = "1 object" if count == 1 else f"{count} objects"
    return f"open exam {exam_id}: {objects} saved here, to be sent when it ends"


def retry(destination: str | None, sop_instance_uid: str | None, *, as_json: bool) -> int:
    """Have it tried again; 0. ApplianceError when there is no such destination."""
    asker = Asker(Paths.from_environment().forward_socket, "The forward process")
    try:
        body = {"destination": destination, "sop_instance_uid": sop_instance_uid}
        answer = asker.ask("POST", "/retry", body, seconds=_UNTOLD_SECONDS)
    finally:
        asker.close()
    if as_json:
        print(json.dumps(answer, indent=1))
    elif answer["retried"]:
        print(f"Refused and tried again: {answer['retried']}. What waits is tried now.")
    else:
        print("Nothing is refused. What waits is tried now.")
    return 0


def rows_of_objects(
    objects: Sequence[Mapping[str, Any]], destinations: Sequence[Mapping[str, Any]], now: datetime
) -> list[tuple[str, ...]]:
    """One row for each object at each of its destinations; an object that goes nowhere has one too."""
    known = {str(one["name"]): one for one in destinations}
    rows: list[tuple[str, ...]] = []
    for one in objects:
        head = (one["exam_id"], one["sop_instance_uid"], one["device"], _clock(one["saved_at"], now))
        misplaced = _PLACES.get(one["place"], "")
        if not one["destinations"]:
            state = "expired" if one.get("expired_at") else "saved"
            rows.append((*head, "-", state, "", "", misplaced or "no destination is configured"))
        for name, told in one["destinations"].items():
            state = told["state"]
            since = told["since"] or told["committed_at"] or told["stored_at"] or one["saved_at"]
            is_waiting = state in _WAITING and not misplaced
            next_at = _next(told["next_attempt_at"], known.get(name, {}), now) if is_waiting else ""
            rows.append((*head, name, STATES[state], _clock(since, now), next_at, misplaced or words_of(told)))
    return rows


def rows_of_steps(
    steps: Sequence[Mapping[str, Any]], manager: Mapping[str, Any], now: datetime
) -> list[tuple[str, ...]]:
    """One row for each performed step."""
    return [
        (
            one["exam_id"],
            one["modality"],
            STEP_STATES[one["state"]],
            _next(one["next_attempt_at"], manager if one["trouble"] else {}, now),
            words_of(one),
        )
        for one in steps
    ]


def words_of(told: Mapping[str, Any]) -> str:
    """What is tried now for an object or a step, what was said of it, and what keeps its peer from being tried.

    Once, if these two are the same.
    """
    said, trouble = str(told.get("said") or ""), str(told.get("trouble") or "").removesuffix(".")
    if said.removesuffix(".") in trouble:
        words = trouble
    else:
        words = f"{said.removesuffix('.')}; {trouble}" if trouble else said
    return "; ".join(filter(None, (_attempt_words(told), words)))


def _attempt_words(told: Mapping[str, Any]) -> str:
    for key, what in (("sent_since", "being sent"), ("told_since", "being told"), ("called_since", "calling")):
        if since := told.get(key):
            return f"{what} since {datetime.fromisoformat(since).astimezone():%H:%M:%S}"
    return ""


def line_of(destination: Mapping[str, Any], now: datetime) -> str:
    """How a destination stands, in a line."""
    counts = [
        f"{destination[key]} {words}"
        for key, words in (
            ("pending", "to be stored"),
            ("stored", "stored, not committed" if destination["commits"] else "stored, to be looked for there"),
            ("verified", "stored and found there"),
            ("stored_only", "stored"),
            ("committed", "committed"),
            ("refused", "refused"),
            ("released", "released by a person"),
        )
        # Whether a destination commits that was removed is not known any more: what it never did is not counted.
        if destination[key] or (key == "committed" and destination["commits"] and destination["is_configured"])
    ]
    line = f"{destination['name']}: {', '.join(counts) or 'nothing yet'}"
    if not destination["commits"]:
        line += "; this archive does not commit"
    if destination["pending"]:
        line += f"; the oldest waits since {_clock(destination['pending_since'], now)}"
    if since := destination.get("called_since"):
        line += f"; calling since {_clock(since, now)}"
    if destination["trouble"]:
        line += f". {destination['trouble']}{_attempt_of(destination)}"
    return line


def line_of_steps(steps: Mapping[str, Any]) -> str:
    """Why performed steps wait, in a line; empty while their manager hears us."""
    if not steps["due"] or not steps["trouble"]:
        return ""
    return f"performed steps: {steps['due']} to be told. {steps['trouble']}{_attempt_of(steps)}"


def _attempt_of(peer: Mapping[str, Any]) -> str:
    left = peer["seconds_to_next_attempt"]
    return (f" Next attempt in {left:.0f} s." if left else " Next attempt now.") if peer["is_configured"] else ""


def _next(next_attempt_at: str, peer: Mapping[str, Any], now: datetime) -> str:
    """When the next attempt is: its own time, or its peer's if that is later; none where there is no such peer."""
    if not peer.get("is_configured", True):
        return "none"
    own = datetime.fromisoformat(next_attempt_at) if next_attempt_at else now
    later = max(own, now + timedelta(seconds=peer.get("seconds_to_next_attempt", 0.0)))
    return _clock(later.isoformat(), now) if later > now else ""


def _clock(moment: str, now: datetime) -> str:
    """The time of day here, with the date if it is not today's; a dash when it is not known."""
    if not moment:
        return "-"
    at = datetime.fromisoformat(moment).astimezone()
    return f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M:%S}"
