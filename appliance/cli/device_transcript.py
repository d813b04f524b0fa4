"""`appliance device transcript`: what went over a line last, without a byte of it unless that is asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from appliance.base.asking import Asker, Unreachable
from appliance.base.clock import SystemClock
from appliance.base.errors import ApplianceError
from appliance.base.flash import in_words
from appliance.base.paths import Paths
from appliance.cli.caller import actor_from
from appliance.cli.device_probe_serial import hexdump_lines
from appliance.config.devices import LineDevice
from appliance.config.in_force import read_in_force
from appliance.exam.audit import Act, AuditTrail

_PROCESS = "cli"
# What goes the same way without such a pause is one line here.
_PAUSE_SECONDS = 0.1
_INDENT = " " * 10


@dataclass(frozen=True, slots=True)
class Passage:
    """Bytes that went one way without a pause; `at` is the wall clock's moment of the first."""

    at: datetime
    direction: str
    data: bytes


def show_transcript(name: str, *, has_bytes: bool, as_json: bool) -> int:
    """Print it; 0. ApplianceError: no such device, its process does not run, or it keeps none."""
    paths = Paths.from_environment()
    lines = [
        one.name for one in read_in_force(paths.configuration).configuration.devices if isinstance(one, LineDevice)
    ]
    if name not in lines:
        raise ApplianceError(f"No device on a line is called {name!r}.", f"There are: {', '.join(lines) or 'none'}.")
    asker = Asker(paths.acquire_socket(name), f"The acquire process of {name}")
    try:
        answer = asker.ask("GET", "/transcript", seconds=20.0)
    except Unreachable as error:
        raise ApplianceError(error.sentence, f"Is it plugged in? systemctl status appliance-acquire@{name}") from error
    finally:
        asker.close()
    if has_bytes:
        # Before they are shown: who cannot be written down does not see them.
        with in_words("That you read this could not be recorded", "Nothing is shown."):
            trail = AuditTrail(paths.audit, _PROCESS, SystemClock())
            trail.record(Act.TRANSCRIPT_READ, actor=actor_from(os.environ), detail=f"of {name}")
    passages = list(passages_from(answer["entries"], SystemClock().now()))
    if as_json:
        print(json.dumps([document_of(one, has_bytes=has_bytes) for one in passages], indent=1))
    else:
        print("\n".join(lines_of(passages, has_bytes=has_bytes)))
    return 0


def passages_from(entries: Iterable[dict[str, Any]], now: datetime) -> Iterator[Passage]:
    """What was read and written in pieces, put together."""
    passage: Passage | None = None
    last = 0.0
    for entry in entries:
        age, direction, data = float(entry["age"]), str(entry["direction"]), bytes.fromhex(entry["bytes"])
        if passage is not None and passage.direction == direction and last - age < _PAUSE_SECONDS:
            passage = Passage(passage.at, direction, passage.data + data)
        else:
            if passage is not None:
                yield passage
            passage = Passage(now - timedelta(seconds=age), direction, data)
        last = age
    if passage is not None:
        yield passage


def lines_of(passages: list[Passage], *, has_bytes: bool) -> list[str]:
    """The oldest first."""
    if not passages:
        return ["Nothing went over the line since its process began."]
    lines = []
    for one in passages:
        count = len(one.data)
        lines.append(f"{one.at:%H:%M:%S.%f}"[:-3] + f"  {one.direction:<8}  {count} byte{'' if count == 1 else 's'}")
        lines += [_INDENT + line for line in hexdump_lines(one.data)] if has_bytes else []
    if not has_bytes:
        lines.append("The bytes may name a patient: --bytes shows them, and the audit trail says that you looked.")
    return lines


def document_of(one: Passage, *, has_bytes: bool) -> dict[str, object]:
    """For programs."""
    return {
        "at": one.at.isoformat(),
        "direction": one.direction,
        "count": len(one.data),
        **({"bytes": one.data.hex()} if has_bytes else {}),
    }
