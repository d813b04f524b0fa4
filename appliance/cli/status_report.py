"""What `appliance status` says: asked of the processes, and of the files where they are down.

A healthy box is asked over its sockets alone, which takes a fraction of a second. The configuration is read, and with
it a good deal of software, only when the console does not answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from appliance.base.asking import Asker
from appliance.base.board import HOT_CELSIUS, read_temperature
from appliance.base.errors import ApplianceError, Finding, counted
from appliance.base.paths import Paths
from appliance.cli.discreet import initials_from
from appliance.cli.queue_table import line_of, line_of_open_exam, line_of_steps
from appliance.cli.table import printable_text, table_lines
from appliance.exam.facts import ExamFacts
from appliance.exam.waiting import read_waiting
from appliance.spool.tree import Spool

_ANSWER_SECONDS = 5.0
# Exit statuses as monitoring knows them (the Monitoring Plugins' guidelines): well, warning, critical.
WELL, WRONG, CRITICAL = 0, 1, 2

Answer = dict[str, Any] | ApplianceError


@dataclass(frozen=True, slots=True)
class Service:
    """One process: whether it answers, and what it says of itself or why it does not."""

    name: str
    is_running: bool
    sentence: str


def show_status(*, as_json: bool, is_discreet: bool = False) -> int:
    """Print how the box is. WELL; WRONG when something is; CRITICAL when a part of it is down or nothing can be saved.

    `is_discreet`: a patient is told by initials. ApplianceError: no configuration.
    """
    document = read_status(Paths.from_environment(), is_discreet=is_discreet)
    if as_json:
        print(json.dumps(document, indent=1, ensure_ascii=False))
    else:
        print("\n".join(lines_of(document, datetime.now().astimezone())))
    return exit_status_of(document)


def exit_status_of(document: Mapping[str, Any]) -> int:
    """For monitoring."""
    if document["is_well"]:
        return WELL
    is_down = not all(one["is_running"] for one in document["services"])
    return CRITICAL if is_down or document["room"]["is_full"] else WRONG


def read_status(paths: Paths, *, is_discreet: bool = False) -> dict[str, Any]:
    """Everything, as JSON says it. Who does not answer is said to be down, and the rest is told all the same."""
    board, exam, clock, forward = ask_all(
        [
            (paths.console_socket, "/api/status"),
            (paths.console_socket, "/api/exam"),
            (paths.console_socket, "/api/clock"),
            (paths.forward_socket, "/status"),
        ]
    )
    if isinstance(board, ApplianceError) or isinstance(exam, ApplianceError):
        from appliance.cli.status_files import seen_without_console

        seen = seen_without_console(paths, board if isinstance(board, ApplianceError) else exam, forward)
    else:
        seen = {"room": {"is_full": True, **board["room"]}, "findings": board["findings"]}
        seen["devices"] = [_device_from(one) for one in exam["devices"]]
        seen["console"] = ""
    services = [
        Service("console", not seen["console"], seen["console"]),
        _service_from("forward", forward),
        *(Service(f"acquire {one['device']}", one["is_running"], one["sentence"]) for one in seen["devices"]),
    ]
    temperature = read_temperature()
    findings = [*seen["findings"], *map(asdict, _hot(temperature))]
    spool = Spool(paths.state)
    waiting = read_waiting(spool, ExamFacts(spool.exams))
    return {
        "is_well": all(one.is_running for one in services) and not findings and not seen["room"]["is_full"],
        "services": [asdict(one) for one in services],
        "devices": seen["devices"],
        "room": seen["room"],
        "temperature_celsius": temperature,
        "waiting": {
            "exams": waiting.exams,
            "since": waiting.since.isoformat() if waiting.since else "",
            "sentence": waiting.sentence,
        },
        "exam": None if isinstance(exam, ApplianceError) else _exam_from(exam, is_discreet=is_discreet),
        "open_exam": line_of_open_exam(paths),
        "destinations": [] if isinstance(forward, ApplianceError) else forward["destinations"],
        "steps": None if isinstance(forward, ApplianceError) else forward["steps"],
        "clock": None if isinstance(clock, ApplianceError) else clock,
        "findings": findings,
    }


def lines_of(document: Mapping[str, Any], now: datetime) -> list[str]:
    """The status for people."""
    rows = [(one["name"], "runs" if one["is_running"] else "is down", one["sentence"]) for one in document["services"]]
    lines = [*table_lines(rows), ""]
    lines += [line_of_exam(document["exam"])] if document.get("exam") else []
    lines += [document["open_exam"]] if document["open_exam"] else []
    lines += [document["room"]["sentence"], document["waiting"]["sentence"]]
    told = {one["sentence"] for one in document["findings"]}
    lines += [line_of(_without_told(destination, told), now) for destination in document["destinations"]]
    if document["steps"] and (line := line_of_steps(_without_told(document["steps"], told))):
        lines.append(line)
    if document["clock"]:
        lines.append(f"{document['clock']['sentence']} {document['clock']['suggestion']}".rstrip())
    if document.get("temperature_celsius") is not None:
        lines.append(f"The board has {document['temperature_celsius']:.0f} °C.")
    lines.append("")
    lines += lines_of_findings(document["findings"])
    if document["is_well"]:
        lines.append("All is well.")
    return lines


def line_of_exam(exam: Mapping[str, Any]) -> str:
    """Who is being examined, and how much is saved of it."""
    who = ", ".join(exam["names"]) or "no name"
    who += f", ID {exam['patient_id']}" if exam["patient_id"] else ""
    saved = counted(exam["objects"], "object")
    return f"examined now: {printable_text(who)}; {exam['procedure'] or 'no procedure'}, {saved} saved here"


def lines_of_findings(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each sentence: whom it is about, where it does not name them itself, what is wrong, what to do."""
    subjects: dict[tuple[str, str], list[str]] = {}
    for one in findings:
        about = subjects.setdefault((one["sentence"], one["suggestion"]), [])
        if one["subject"] and one["subject"] not in about:
            about.append(one["subject"])
    lines = []
    for (sentence, suggestion), about in subjects.items():
        is_named = all(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", sentence) for name in about)
        whom = "" if is_named else f"{', '.join(about)}: "
        lines.append(printable_text(f"! {whom}{sentence} {suggestion}".rstrip()))
    return lines


def ask_all(places: Sequence[tuple[Path, str]]) -> list[Answer]:
    """What each answers to a GET, or why it does not; all of them at once."""
    with ThreadPoolExecutor(max_workers=max(1, len(places))) as together:
        return list(together.map(ask_one, places))


def ask_one(place: tuple[Path, str]) -> Answer:
    """One of them."""
    socket, path = place
    try:
        return Asker(socket, "It").ask("GET", path, seconds=_ANSWER_SECONDS)
    except ApplianceError as error:
        return error


def _without_told(peer: Mapping[str, Any], told: Collection[str]) -> Mapping[str, Any]:
    """The peer's trouble is not said a second time where a finding says it in the same words."""
    return {**peer, "trouble": "See below."} if peer["trouble"] in told else peer


def _service_from(name: str, answer: Answer) -> Service:
    # What forward says of each destination has a line of its own.
    return Service(name, False, answer.sentence) if isinstance(answer, ApplianceError) else Service(name, True, "")


def _device_from(status: Mapping[str, Any]) -> dict[str, Any]:
    state = str(status["state"])
    return {
        "device": status["device"],
        "title": status["title"],
        "state": state,
        "is_running": state != "not running",
        "sentence": str(status["sentence"]),
    }


def _exam_from(answer: Mapping[str, Any], *, is_discreet: bool) -> dict[str, Any] | None:
    exam = answer["exam"]
    if exam is None:
        return None
    names, patient_id = exam["names"], exam["patient_id"]
    if is_discreet:
        names, patient_id = [initials_from(names)], ""
    told = {key: exam[key] for key in ("exam_id", "state", "opened_at", "procedure")}
    return {**told, "names": names, "patient_id": patient_id, "objects": len(answer["captured"])}


def _hot(celsius: float | None) -> list[Finding]:
    if celsius is None or celsius < HOT_CELSIUS:
        return []
    sentence = f"The board has {celsius:.0f} °C: it slows down, and frames may be lost."
    return [
        Finding("board-hot", sentence, "See that air reaches its case, and that no lamp or heater stands beside it.")
    ]
