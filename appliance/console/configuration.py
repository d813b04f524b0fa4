"""The configuration that the box begins to work under, held against the one of its last start.

However it was changed, by a command or by an editor, the change is an act that the audit trail must hold.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from appliance.base.durable import make_directory, replace_file
from appliance.base.flash import reason_of
from appliance.config.changes import Settings, changes_between, settings_from
from appliance.config.history import History
from appliance.config.schema import Configuration
from appliance.exam.audit import Act
from appliance.exam.audit_gate import AuditGate

_log = logging.getLogger(__name__)

# Whoever saved the file without a command of ours; the file does not say who that was.
SOMEBODY = "whoever wrote the file"
_MOST_TEXT = 900
_MOST_BYTES = 8 * 1024 * 1024
_SETTINGS: TypeAdapter[Settings] = TypeAdapter(Settings)


def record_configuration(configuration: Configuration, file: Path, known: Path, audit: AuditGate) -> None:
    """Record what changed in `file` since `known` was written, and write `known` anew.

    The record comes first: a power cut between the two makes a second record of the same change, never none.
    """
    settings = settings_from(configuration)
    before = _read(known)
    if before == settings:
        return
    said = _shortened(changes_between(before, settings)) if before is not None else "none is known from before"
    who, source = _source_of(file) or (SOMEBODY, f"The file of {_moment_of(file)}")
    audit.record(Act.CONFIGURATION_CHANGED, actor=who, detail=f"{source}: {said}.")
    try:
        make_directory(known.parent)
        replace_file(known, json.dumps(settings, ensure_ascii=False, indent=1).encode("utf-8"))
    except OSError as error:
        _log.error("that the configuration is known cannot be kept, it is recorded again: %s", reason_of(error))


def _source_of(file: Path) -> tuple[str, str] | None:
    """Who applied it, and as which change; None where somebody wrote it otherwise, or flash does not tell."""
    try:
        return History(file.parent).source_of(file.read_bytes())
    except OSError as error:
        _log.error("who changed the configuration cannot be read: %s", reason_of(error))
        return None


def _read(known: Path) -> Settings | None:
    """None when there is none, or flash does not give it back whole: then everything counts as changed."""
    try:
        with known.open("rb") as file:
            return _SETTINGS.validate_json(file.read(_MOST_BYTES))
    except FileNotFoundError:
        return None
    except ValidationError:
        _log.error("the record of the last start's configuration is damaged")
    except OSError as error:
        _log.error("the record of the last start's configuration cannot be read: %s", reason_of(error))
    return None


def _moment_of(file: Path) -> str:
    try:
        return datetime.fromtimestamp(file.stat().st_mtime).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except OSError as error:
        return f"a time that cannot be read ({reason_of(error)})"


def _shortened(changes: list[str]) -> str:
    """As many of `changes` as a record has room for, and how many more there are."""
    shown: list[str] = []
    for change in changes:
        if sum(map(len, shown)) + len(change) > _MOST_TEXT:
            break
        shown.append(change)
    rest = len(changes) - len(shown)
    return "; ".join([*shown, f"and {rest} more"] if rest else shown)
