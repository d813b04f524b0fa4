"""What the unattended job prints: a table for people, JSON for programs, and one sentence when something is missing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from appliance.cli.table import table_lines


@dataclass(frozen=True, slots=True)
class ObjectRecord:
    """One object. Seconds count from its capture; None when it has not come so far."""

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    path: str
    place: str
    device: str
    modality: str
    state: str
    patient_id: str
    accession_number: str
    study_instance_uid: str
    bytes: int
    frames: int
    seconds_to_saved: float | None
    seconds_to_stored: float | None
    seconds_to_committed: float | None


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A performed step as its manager keeps it: `status` is empty when it has never heard of it."""

    sop_instance_uid: str
    modality: str
    status: str
    instances: frozenset[str]


@dataclass(frozen=True, slots=True)
class Report:
    """`missing` is one sentence; empty when every object is committed and every step is completed."""

    exam_id: str
    objects: tuple[ObjectRecord, ...]
    steps: tuple[StepRecord, ...]
    missing: str

    @property
    def is_complete(self) -> bool:
        return not self.missing

    def find_missing(self, saved: Iterable[str]) -> str:
        """What is not finished, in one sentence; `saved` are the objects that were answered *saved*."""
        known = {one.sop_instance_uid for one in self.objects}
        lost = sorted(set(saved) - known)
        if lost or not self.objects:
            return (
                f"{len(lost)} saved objects are not in the sender's ledger yet." if lost else "No object is known yet."
            )
        refused = [one for one in self.objects if "refused" in one.state]
        if refused:
            return f"The archive refused {len(refused)} of {len(self.objects)} objects; see the panel for its words."
        waiting = [one for one in self.objects if one.state != "committed"]
        if waiting:
            stored = sum(1 for one in self.objects if one.seconds_to_stored is not None)
            return (
                f"{len(waiting)} of {len(self.objects)} objects are not committed; "
                f"all are saved on the box, {stored} are stored in the archive."
            )
        if any(one.place != "kept" for one in self.objects):
            return "Everything is committed; the box is still putting its own copies aside."
        modalities = {one.modality for one in self.objects}
        open_steps = sorted(modalities - {step.modality for step in self.steps if step.status == "COMPLETED"})
        if open_steps:
            return f"The performed step of {', '.join(open_steps)} is not completed."
        listed = frozenset[str]().union(*(step.instances for step in self.steps))
        if listed != known:
            return f"The performed steps list {len(listed & known)} of {len(known)} objects."
        return ""


def seconds_between(earlier: str, later: str) -> float | None:
    """Seconds between two moments in ISO 8601; None when either is not known."""
    if not earlier or not later:
        return None
    return round((datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds(), 3)


def print_report(report: Report, *, as_json: bool) -> None:
    """The report on stdout."""
    if as_json:
        document = {
            "exam_id": report.exam_id,
            "complete": report.is_complete,
            "missing": report.missing,
            "objects": [asdict(one) for one in report.objects],
            "performed_steps": [{**asdict(step), "instances": sorted(step.instances)} for step in report.steps],
        }
        print(json.dumps(document, indent=1, ensure_ascii=False))
        return
    head = ("SOP Instance UID", "device", "mod", "frames", "KiB", "state", "saved s", "stored s", "committed s")
    rows = [
        (
            one.sop_instance_uid,
            one.device,
            one.modality,
            str(one.frames),
            str(one.bytes // 1024),
            one.state,
            _shown(one.seconds_to_saved),
            _shown(one.seconds_to_stored),
            _shown(one.seconds_to_committed),
        )
        for one in report.objects
    ]
    print_table([head, *rows])
    for step in report.steps:
        listed = f"{len(step.instances)} object{'s' if len(step.instances) != 1 else ''}"
        print(f"performed step {step.modality}: {step.status or 'not known to its manager'}, lists {listed}")
    if report.objects:
        first = report.objects[0]
        print(
            f"patient {first.patient_id}, accession {first.accession_number or '-'}, study {first.study_instance_uid}"
        )
        print(f"objects in {first.path.rpartition('/')[0]}")
    if report.is_complete:
        print("Everything is committed and every performed step is completed.")


def _shown(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.2f}"


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their longest cell; the first row is the head."""
    print("\n".join(table_lines(rows)))
