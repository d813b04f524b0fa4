"""The journal of the box's own units, by systemd's reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from systemd import journal

from appliance.base.errors import ApplianceError
from appliance.cli.table import printable_text

_LEVELS = {"error": journal.LOG_ERR, "warning": journal.LOG_WARNING, "info": journal.LOG_INFO}
_WORDS = {0: "emergency", 1: "alert", 2: "critical", 3: "error", 4: "warning", 5: "notice", 6: "info", 7: "debug"}
_OURS = "appliance-"
_LONGEST_LINE = 4000
_WAIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines: from a moment on, or the last so many; of one process; as grave as `level` or graver."""

    since: datetime | None = None
    last: int | None = None
    process: str = ""
    level: str = "info"


def show_logs(wanted: Wanted, directory: Path | None, *, is_followed: bool) -> int:
    """Print them; 0. ApplianceError when the journal cannot be read, or nobody keeps one."""
    with _opened(directory) as reader:
        count = 0
        for line in read_lines(reader, wanted):
            print(line, flush=is_followed)
            count += 1
        if not count and not is_followed:
            print("Nothing was logged in this time, or this user may not read the journal (group systemd-journal).")
        reader.flush_matches()  # a device that is plugged in from now on has a unit that was not known
        while is_followed:
            if reader.wait(_WAIT_SECONDS) != journal.NOP:
                for entry in reader:
                    if is_wanted(entry, wanted):
                        print(line_of(entry), flush=True)
    return 0


def read_lines(reader: Any, wanted: Wanted) -> Iterator[str]:
    """The lines that are there, the oldest first; the reader stands behind the last one then."""
    if not _match_ours(reader, wanted.process):
        return
    if wanted.since is not None:
        reader.seek_realtime(wanted.since)
        yield from (line_of(entry) for entry in reader if is_wanted(entry, wanted))
        return
    reader.seek_tail()
    lines: list[str] = []
    while (wanted.last is None or len(lines) < wanted.last) and (entry := reader.get_previous()):
        if is_wanted(entry, wanted):
            lines.append(line_of(entry))
    yield from reversed(lines)
    reader.seek_tail()
    reader.get_previous()


def _match_ours(reader: Any, process: str) -> bool:
    """Have the reader find our units' lines by its index; whether there are any."""
    units: dict[str, list[str]] = {}
    for field in ("_SYSTEMD_UNIT", "UNIT"):  # a unit's own lines, and systemd's about it
        units[field] = [one for one in map(str, reader.query_unique(field)) if one.startswith(_OURS + process)]
    for field, names in units.items():
        for name in names:
            reader.add_match(**{field: name})
        if names:
            reader.add_disjunction()
    return bool(units["_SYSTEMD_UNIT"] or units["UNIT"])


def journal_lines(wanted: Wanted, directory: Path | None = None) -> list[str]:
    """The lines, for a bundle. ApplianceError as above."""
    with _opened(directory) as reader:
        return list(read_lines(reader, wanted))


def is_wanted(entry: Mapping[str, Any], wanted: Wanted) -> bool:
    """True for a line of our units, or of systemd about one of them, that is grave enough."""
    priority = int(entry.get("PRIORITY", journal.LOG_INFO))
    return unit_of(entry).startswith(_OURS + wanted.process) and priority <= int(_LEVELS[wanted.level])


def unit_of(entry: Mapping[str, Any]) -> str:
    """The unit that a line is of, or that systemd tells about."""
    return str(entry.get("UNIT") or entry.get("_SYSTEMD_UNIT") or "")


def line_of(entry: Mapping[str, Any]) -> str:
    """`2026-11-22 09:12:13 forward warning: …`, the time in the box's zone."""
    at = entry["__REALTIME_TIMESTAMP"].astimezone()
    name = unit_of(entry).removeprefix(_OURS).removesuffix(".service")
    level = _WORDS.get(int(entry.get("PRIORITY", journal.LOG_INFO)), "info")
    message = entry.get("MESSAGE", "")
    text = message.decode("utf-8", "replace") if isinstance(message, bytes) else str(message)
    return f"{at:%Y-%m-%d %H:%M:%S} {name} {level}: {printable_text(text[:_LONGEST_LINE])}"


def _opened(directory: Path | None) -> Any:
    try:
        reader = journal.Reader(path=None if directory is None else str(directory))
        reader.log_level(journal.LOG_DEBUG)
    except OSError as error:
        raise ApplianceError(
            f"The journal cannot be read ({error.strerror}).", "The demo has none: its logs are files below log/."
        ) from error
    return reader
