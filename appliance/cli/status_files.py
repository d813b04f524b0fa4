"""What can be told of the box while its console does not answer: by the other processes, and by the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from appliance.base.errors import ApplianceError
from appliance.base.flash import UNWRITABLE_CODE, reason_of
from appliance.base.paths import Paths
from appliance.cli.status_report import Answer, ask_all
from appliance.config.in_force import read_in_force
from appliance.config.schema import Configuration
from appliance.exam.capacity import capacity_from, read_recent, read_reclaimable
from appliance.exam.facts import ExamFacts
from appliance.spool.tree import Spool, free_bytes


def seen_without_console(paths: Paths, silence: Answer, forward: Answer) -> dict[str, Any]:
    """`console` (why it says nothing), `devices`, `findings` and `room`. ApplianceError: no configuration."""
    configuration = read_in_force(paths.configuration).configuration
    answers = ask_all([(paths.acquire_socket(one.name), "/status") for one in configuration.devices])
    devices = [
        _device_from(one.name, one.title or one.name, answer)
        for one, answer in zip(configuration.devices, answers, strict=True)
    ]
    told = [answer for answer in (*answers, forward) if not isinstance(answer, ApplianceError)]
    findings = [finding for answer in told for finding in answer.get("findings", ())]
    is_writable = all(finding["code"] != UNWRITABLE_CODE for finding in findings)
    return {
        "console": silence.sentence if isinstance(silence, ApplianceError) else "",
        "devices": devices,
        "findings": findings,
        "room": _room_of(Spool(paths.state), configuration, is_writable=is_writable),
    }


def _device_from(name: str, title: str, answer: Answer) -> dict[str, Any]:
    is_silent = isinstance(answer, ApplianceError)
    told: Mapping[str, Any] = {} if isinstance(answer, ApplianceError) else answer
    sentence = answer.sentence if isinstance(answer, ApplianceError) else str(told.get("sentence", ""))
    state = "not running" if is_silent else str(told.get("state", ""))
    return {"device": name, "title": title, "state": state, "is_running": not is_silent, "sentence": sentence}


def _room_of(spool: Spool, configuration: Configuration, *, is_writable: bool) -> dict[str, Any]:
    try:
        recent, reclaimable = read_recent(ExamFacts(spool.exams)), read_reclaimable(spool, configuration)
        free = free_bytes(spool.state)
        capacity = capacity_from(configuration, free, reclaimable, recent, is_writable=is_writable)
    except OSError as error:
        return {"is_full": True, "sentence": f"How much room the flash has cannot be read ({reason_of(error)})."}
    return {**asdict(capacity), "sentence": capacity.sentence}
