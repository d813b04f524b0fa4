"""What `appliance audit` prints: a table for people, JSON or DICOM audit messages for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby
from operator import itemgetter
from typing import Any

from appliance.base.clock import SystemClock
from appliance.base.flash import reason_of
from appliance.base.paths import Paths
from appliance.cli.caller import actor_from
from appliance.cli.table import printable_text, table_lines
from appliance.config.glance import read_tree
from appliance.exam.audit import Act, AuditTrail, Effect
from appliance.exam.audit_reading import Position, Reading, list_trails, read_positions, read_trail
from appliance.exam.audit_record import Record

_HEAD = ("when", "by", "process", "what", "exam", "patient ID", "objects", "more")
_PROCESS = "cli"
_DAYS = 7


class Form(StrEnum):
    """What is printed."""

    TABLE = "table"
    JSON = "json"
    XML = "xml"


def show_trails(exam_id: str | None, since: datetime | None, form: Form) -> int:
    """Print what was done; 0, or 1 where a trail is not whole."""
    paths = Paths.from_environment()
    collector = _collector_of(read_tree(paths))
    # Before the trails: what is sent meanwhile lies in them then.
    positions = read_positions(paths.audit)
    readings = [read_trail(trail, positions.get(trail.name)) for trail in list_trails(paths.audit)]
    if since is None and exam_id is None:
        since = SystemClock().now() - timedelta(days=_DAYS)
    records = sorted(
        (line.record for reading in readings for line in reading.lines if _is_wanted(line.record, exam_id, since)),
        key=lambda record: record.at,
    )
    _record_reading(paths, exam_id)
    match form:
        case Form.JSON:
            print(json.dumps(_json_from(records, readings, positions, collector), indent=1, ensure_ascii=False))
        case Form.XML:
            _print_messages(records, paths)
        case Form.TABLE:
            if records:
                print("\n".join(table_lines([_HEAD, *_rows_of(records)])))
            print("\n".join(_summary_of(records, readings, positions, collector)))
    return 1 if any(reading.faults for reading in readings) else 0


def _collector_of(tree: dict[str, Any]) -> str | None:
    return str(tree["audit"]["host"]) if tree["audit"] else None


def _print_messages(records: list[Record], paths: Paths) -> None:
    from appliance.config.in_force import read_in_force
    from appliance.exam.audit_message import message_from

    box = read_in_force(paths.configuration).configuration.box
    for record in records:
        print(message_from(record, box).decode("utf-8"))


def _is_wanted(record: Record, exam_id: str | None, since: datetime | None) -> bool:
    if exam_id is not None and (record.subject is None or record.subject.exam_id != exam_id):
        return False
    return since is None or record.at >= since


def _record_reading(paths: Paths, exam_id: str | None) -> None:
    """Whoever looks is written down first. On flash that takes nothing support must be able to look all the same."""
    trail = AuditTrail(paths.audit, _PROCESS, SystemClock())
    try:
        trail.record(Act.TRAIL_READ, actor=actor_from(os.environ), detail=f"of exam {exam_id}" if exam_id else "")
    except OSError as error:
        print(f"appliance: That you read this could not be recorded: {reason_of(error)}.", file=sys.stderr)


def _rows_of(records: list[Record]) -> Iterator[tuple[str, ...]]:
    """A row for each act; one for what was done again and again, as when monitoring logs in: how often, until when."""
    for same, again in groupby(map(_row_of, records), key=itemgetter(slice(1, None))):
        times = [row[0] for row in again]
        more = (f"{len(times)} times, until {times[-1]}",) if len(times) > 1 else ()
        yield times[0], *same[:-1], "; ".join(filter(None, (same[-1], *more)))


def _row_of(record: Record) -> tuple[str, ...]:
    subject = record.subject
    failed = "" if record.outcome is Effect.SUCCESS else "failed: "
    party = " ".join(part for part in (record.party.name, record.party.address) if part) if record.party else ""
    return (
        record.at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        record.actor,
        record.process,
        record.act.replace("-", " "),
        subject.exam_id if subject else "-",
        subject.patient_id if subject else "-",
        str(len(record.objects)) if record.objects else "-",
        f"{failed}{'; '.join(part for part in (party, record.detail) if part)}",
    )


def _summary_of(
    records: list[Record], readings: list[Reading], positions: dict[str, Position], collector: str | None
) -> list[str]:
    """How many records there are, whether they are whole, and what the collector has."""
    count = sum(len(reading.lines) for reading in readings)
    shown = "" if len(records) == count else f" {len(records)} of them are shown."
    lines = ["", f"{_counted(count)} of {len(readings)} processes.{shown}"]
    faults = [f"{reading.process}: {fault}" for reading in readings for fault in reading.faults]
    lines += [f"NOT WHOLE: {printable_text(fault)}" for fault in faults] or ["The trail is whole."]
    if collector is None:
        lines.append("No collector is configured: the records stay on this box, the oldest go when it is full of them.")
        return lines
    unsent = {reading.process: _unsent_of(reading, positions) for reading in readings}
    waiting = ", ".join(f"{number} of {process}" for process, number in unsent.items() if number)
    said = f"has not taken yet: {waiting}." if waiting else "has everything."
    lines.append(f"The collector {collector} {said}")
    return lines


def _unsent_of(reading: Reading, positions: dict[str, Position]) -> int:
    sent = positions.get(reading.process, Position()).number
    return sum(1 for line in reading.lines if line.record.number > sent)


def _counted(count: int) -> str:
    return "1 record" if count == 1 else f"{count} records"


def _json_from(
    records: list[Record], readings: list[Reading], positions: dict[str, Position], collector: str | None
) -> dict[str, object]:
    return {
        "records": [asdict(record) | {"at": record.at.isoformat()} for record in records],
        "trails": [
            {
                "process": reading.process,
                "records": len(reading.lines),
                "unsent": _unsent_of(reading, positions),
                "faults": reading.faults,
            }
            for reading in readings
        ],
        "collector": collector,
    }
