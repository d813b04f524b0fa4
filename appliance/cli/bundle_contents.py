"""What is in a support bundle. Each member is made of what may be in it, never of all there is without something."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from appliance.base.asking import Asker
from appliance.base.errors import ApplianceError
from appliance.base.flash import reason_of
from appliance.base.paths import Paths
from appliance.base.version import VERSION
from appliance.cli.caller import actor_from
from appliance.cli.exam_record import ExamFiles, read_exams
from appliance.cli.journal import Wanted, journal_lines
from appliance.cli.processes import read_processes
from appliance.cli.scrub import Scrubber, read_scrubber
from appliance.cli.status_report import read_status
from appliance.config.effective import tree_from
from appliance.config.in_force import read_in_force
from appliance.config.schema import Configuration
from appliance.spool.tree import Spool

_OF_OBJECTS: Final = (
    *("sop_instance_uid", "exam_id", "sop_class_uid", "transfer_syntax_uid", "device", "modality", "bytes", "frames"),
    *("captured_at", "saved_at", "place", "decision", "expired_at", "destinations"),
)
_OF_STEPS: Final = ("sop_instance_uid", "exam_id", "modality", "state", "said", "trouble", "next_attempt_at")
_SECONDS = 30.0
_OS_RELEASE = Path("/etc/os-release")


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the bundle."""

    name: str
    data: bytes


def read_members(paths: Paths, days: int, now: datetime) -> list[Member]:
    """All but the transcripts. What cannot be read is a member that says so: a sick box gives a bundle too."""
    try:
        configuration: Configuration | None = read_in_force(paths.configuration).configuration
    except ApplianceError as error:
        configuration, trouble = None, str(error)
    sources = [one.name for one in configuration.worklist] if configuration else []
    scrubber = read_scrubber(paths, sources)

    def member(name: str, read: Callable[[], Any]) -> Member:
        try:
            content = scrubber.clean_tree(read())
        except ApplianceError as error:
            content = {"not_read": scrubber.clean(error.sentence)}
        except OSError as error:
            content = {"not_read": reason_of(error)}
        return _json_member(name, content)

    since = now - timedelta(days=days)
    return [
        _json_member("about.json", _about(now)),
        _json_member("configuration.json", _without_people(configuration) if configuration else {"not_read": trouble}),
        member("status.json", lambda: read_status(paths, is_discreet=True)),
        member("ledger.json", lambda: _ledger(paths)),
        member("exams.json", lambda: _exams(paths, since, now)),
        member("processes.json", lambda: [_process_json(one) for one in read_processes()]),
        _journal_member(scrubber, Wanted(since=since)),
    ]


def read_transcripts(paths: Paths) -> list[Member]:
    """What went over each machine's line, where that is kept. It holds patients' data."""
    members = []
    for device in read_in_force(paths.configuration).configuration.devices:
        try:
            told = Asker(paths.acquire_socket(device.name), device.name).ask("GET", "/transcript", seconds=_SECONDS)
        except ApplianceError as error:
            told = {"not_read": error.sentence}
        members.append(_json_member(f"transcripts/{device.name}.json", told))
    return members


def _json_member(name: str, content: Any) -> Member:
    return Member(name, json.dumps(content, indent=1, ensure_ascii=False, default=str).encode("utf-8"))


def _journal_member(scrubber: Scrubber, wanted: Wanted) -> Member:
    try:
        lines = journal_lines(wanted)
    except ApplianceError as error:
        lines = [error.sentence]
    return Member("journal.txt", "".join(f"{scrubber.clean(line)}\n" for line in lines).encode("utf-8"))


def _about(now: datetime) -> dict[str, Any]:
    packages = {one.metadata["Name"]: one.version for one in importlib.metadata.distributions()}
    try:
        release = _OS_RELEASE.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        release = [reason_of(error)]
    return {
        "made_at": now.isoformat(timespec="seconds"),
        "made_by": actor_from(os.environ),
        "version": VERSION,
        "python": platform.python_version(),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "system": release,
        "packages": dict(sorted(packages.items())),
    }


def _without_people(configuration: Configuration) -> dict[str, Any]:
    """The keys that are in force; who works here, and the hospital's test patient, are nobody's business."""
    tree = tree_from(configuration)
    tree["operators"] = f"{len(configuration.operators)} configured"
    tree["test_patient"] = "configured" if configuration.test_patient else "not configured"
    return tree


def _ledger(paths: Paths) -> dict[str, Any]:
    asker = Asker(paths.forward_socket, "The forward process")
    status, queue = asker.ask("GET", "/status", seconds=_SECONDS), asker.ask("GET", "/queue", seconds=_SECONDS)
    return {
        "destinations": status["destinations"],
        "manager": status["steps"],
        "objects": [_chosen(one, _OF_OBJECTS) for one in queue["objects"]],
        "steps": [_chosen(one, _OF_STEPS) for one in queue["steps"]],
        "left_out": queue["left_out"],
    }


def _chosen(told: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: told[key] for key in keys if key in told}


def _exams(paths: Paths, since: datetime, now: datetime) -> list[dict[str, Any]]:
    return [_exam_json(one) for one in read_exams(Spool(paths.state), f"{since:%Y%m%d}", f"{now:%Y%m%d}")]


def _exam_json(files: ExamFiles) -> dict[str, Any]:
    exam, closed = files.exam, files.closed
    return {
        "exam_id": files.exam_id,
        "state": files.state,
        "opened_at": exam.opened_at if exam else "",
        "closed_at": closed.closed_at if closed else "",
        "objects": len(closed.instances) if closed else None,
        "findings": list(closed.findings) if closed else [],
        "is_settled": files.is_settled,
        "is_clock_trusted": exam.is_clock_trusted if exam else None,
    }


def _process_json(one: Any) -> dict[str, Any]:
    return {"name": one.name, "processor_seconds": one.seconds, "memory_bytes": one.memory_bytes}
