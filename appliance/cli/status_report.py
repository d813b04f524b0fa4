"""What `appliance status` says: asked of each process by itself, and of the files, since any of them may be down."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from appliance.base.errors import ApplianceError
from appliance.base.flash import UNWRITABLE_CODE, reason_of
from appliance.base.http import Asker
from appliance.base.paths import Paths
from appliance.cli.queue_table import line_of, line_of_open_exam, line_of_steps
from appliance.cli.table import printable_text, table_lines
from appliance.config.load import load_configuration
from appliance.config.schema import Configuration
from appliance.exam.capacity import capacity_from, read_recent, read_reclaimable, read_waiting
from appliance.exam.facts import ExamFacts
from appliance.spool.tree import Spool, free_bytes

_ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Service:
    """One process: whether it answers, and what it says of itself or why it does not."""

    name: str
    is_running: bool
    sentence: str


def show_status(*, as_json: bool) -> int:
    """Print how the box is; 0 when everything runs and nothing is wrong, else 1. ApplianceError: no configuration."""
    paths = Paths.from_environment()
    document = read_status(paths, load_configuration(paths.configuration))
    if as_json:
        print(json.dumps(document, indent=1, ensure_ascii=False))
    else:
        print("\n".join(lines_of(document, datetime.now().astimezone())))
    return 0 if document["is_well"] else 1


def read_status(paths: Paths, configuration: Configuration) -> dict[str, Any]:
    """Everything, as JSON says it. Who does not answer is said to be down, and the rest is told all the same."""
    sockets = {
        "console": (paths.console_socket, "/api/clock"),
        "forward": (paths.forward_socket, "/status"),
        "findings": (paths.console_socket, "/api/exam"),
        **{f"acquire {one.name}": (paths.acquire_socket(one.name), "/status") for one in configuration.devices},
    }
    with ThreadPoolExecutor(max_workers=len(sockets)) as together:
        answers = dict(zip(sockets, together.map(_ask, sockets.values()), strict=True))
    board = answers.pop("findings")
    services = [_service_from(name, answer) for name, answer in answers.items()]
    forward, clock = answers["forward"], answers["console"]
    findings = [
        finding
        for answer in (board, *answers.values())
        if not isinstance(answer, ApplianceError)
        for finding in answer.get("findings", ())
    ]
    spool = Spool(paths.state)
    is_writable = all(finding["code"] != UNWRITABLE_CODE for finding in findings)
    room = _room_of(spool, configuration, is_writable=is_writable)
    waiting = read_waiting(spool, ExamFacts(spool.exams))
    return {
        "is_well": all(one.is_running for one in services) and not findings and not room["is_full"],
        "services": [asdict(one) for one in services],
        "room": room,
        "waiting": {
            "exams": waiting.exams,
            "since": waiting.since.isoformat() if waiting.since else "",
            "sentence": waiting.sentence,
        },
        "open_exam": line_of_open_exam(paths),
        "destinations": [] if isinstance(forward, ApplianceError) else forward["destinations"],
        "steps": None if isinstance(forward, ApplianceError) else forward["steps"],
        "clock": None if isinstance(clock, ApplianceError) else clock,
        "findings": findings,
    }


def lines_of(document: Mapping[str, Any], now: datetime) -> list[str]:
    """The status for people."""
    rows = [(one["name"], "runs" if one["is_running"] else "is down", one["sentence"]) for one in document["services"]]
    lines = [*table_lines(rows), "", document["room"]["sentence"], document["waiting"]["sentence"]]
    lines += [document["open_exam"]] if document["open_exam"] else []
    told = {one["sentence"] for one in document["findings"]}
    lines += [line_of(_without_told(destination, told), now) for destination in document["destinations"]]
    if document["steps"] and (line := line_of_steps(_without_told(document["steps"], told))):
        lines.append(line)
    if document["clock"]:
        lines.append(f"{document['clock']['sentence']} {document['clock']['suggestion']}".rstrip())
    lines.append("")
    lines += lines_of_findings(document["findings"])
    if document["is_well"]:
        lines.append("All is well.")
    return lines


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


def _without_told(peer: Mapping[str, Any], told: Collection[str]) -> Mapping[str, Any]:
    """The peer's trouble is not said a second time where a finding says it in the same words."""
    return {**peer, "trouble": "See below."} if peer["trouble"] in told else peer


def _ask(place: tuple[Path, str]) -> dict[str, Any] | ApplianceError:
    socket, path = place
    asker = Asker(socket, "It")
    try:
        return asker.ask("GET", path, seconds=_ANSWER_SECONDS)
    except ApplianceError as error:
        return error
    finally:
        asker.close()


def _service_from(name: str, answer: dict[str, Any] | ApplianceError) -> Service:
    if isinstance(answer, ApplianceError):
        return Service(name, False, answer.sentence)
    # What the console says here is of the clock, and forward of each destination: those have lines of their own.
    return Service(name, True, "" if name in ("console", "forward") else str(answer.get("sentence", "")))


def _room_of(spool: Spool, configuration: Configuration, *, is_writable: bool) -> dict[str, Any]:
    try:
        recent, reclaimable = read_recent(ExamFacts(spool.exams)), read_reclaimable(spool, configuration)
        free = free_bytes(spool.state)
        capacity = capacity_from(configuration, free, reclaimable, recent, is_writable=is_writable)
    except OSError as error:
        return {"is_full": True, "sentence": f"How much room the flash has cannot be read ({reason_of(error)})."}
    return {**asdict(capacity), "sentence": capacity.sentence}
