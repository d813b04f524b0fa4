"""Trails and records for the tests of the audit rooms."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from appliance.exam.audit import AuditTrail
from appliance.exam.audit_reading import Reading, read_trail
from appliance.exam.audit_record import Record, Subject
from appliance.exam.exam import Exam, PlannedSeries, PlannedStep
from appliance.exam.item import WorklistItem

NOW = datetime(2026, 11, 22, 9, 30, 15, 123456, tzinfo=UTC)
ITEM = WorklistItem(
    "ris",
    {
        "00080050": {"vr": "SH", "Value": ["ACC-7"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}]},
        "00100020": {"vr": "LO", "Value": ["PID-0815"]},
        "00100021": {"vr": "LO", "Value": ["KIS"]},
    },
)
EXAM = Exam(
    "E000017-20261122-093015",
    NOW,
    ITEM,
    "1.2.840.99.7",
    (PlannedSeries("ultrasound", "US", "1.2.3", 1),),
    (PlannedStep("US", "1.2.4", "1"),),
)
SUBJECT = Subject(EXAM.exam_id, "1.2.840.99.7", "PID-0815", "Yamada^Tarou=山田^太郎", "KIS", ("ACC-7",))


class FixedClock:
    """One second later with every look."""

    def __init__(self) -> None:
        self.looks = 0

    def now(self) -> datetime:
        self.looks += 1
        return NOW + timedelta(seconds=self.looks - 1)

    def monotonic(self) -> float:
        return float(self.looks)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.is_set()


def make_trail(directory: Path, process: str = "console") -> AuditTrail:
    """A process that starts now and remembers nothing."""
    return AuditTrail(directory, process, FixedClock())


def read(directory: Path, process: str = "console") -> Reading:
    return read_trail(directory / process)


def records(directory: Path, process: str = "console") -> list[Record]:
    return [line.record for line in read(directory, process).lines]
