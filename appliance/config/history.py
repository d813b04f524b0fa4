"""Every change of the configuration, numbered and never taken away: who proposed what, when, and what became of it.

`config/changes/000012/` holds facts, each written once: `change.json` (who, when, the difference), `before.toml` and
`after.toml`, `tested.json` once the box runs under it and its self-test was good, and `outcome.json`, the end. A change
without an end is under way, and there is one at most.

Beside them lie copies, `next.toml` and `back.toml`, whose only use is to be renamed to `active.toml`: room on the flash
is taken while nothing is changed yet, and neither way needs any more of it.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from appliance.base.durable import (
    TEMPORARY_PREFIX,
    make_directory,
    move_file,
    remove_file,
    rename_file,
    replace_file,
    sync_directory,
    write_once,
)
from appliance.base.errors import ApplianceError
from appliance.base.flash import reason_of
from appliance.config.change_states import ChangeState

_log = logging.getLogger(__name__)

_NUMBER = re.compile(r"[0-9]{6}")
_MOST_RECORD_BYTES = 4 * 1024 * 1024
# Whoever may look at the box may look at them; only root writes.
_DIRECTORY_MODE, _FILE_MODE = 0o755, 0o644


@dataclass(frozen=True, slots=True)
class Change:
    """`change.json`. Times of day are ISO 8601; `deadline` is of the monotonic clock in the boot `boot_id`, seconds."""

    number: int
    who: str
    at: str
    what: str
    changes: tuple[str, ...]
    restarts: tuple[str, ...]
    boot_id: str
    deadline: float
    confirm_seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """`outcome.json`: CONFIRMED or ROLLED_BACK, who or what brought it about, and why."""

    state: ChangeState
    who: str
    at: str
    why: str


class History:
    """Reads and writes the changes of one `config/` directory; one writer at a time."""

    def __init__(self, directory: Path) -> None:
        """`directory` is `config/`, in which `active.toml` lies."""
        self.active = directory / "active.toml"
        self._changes = directory / "changes"

    def begin(self, change: Change, before: bytes, after: bytes) -> Change:
        """Keep `change` under the next number, durably; from then on it is under way.

        (1) A temporary directory with everything in it, each file synced: no change, and perhaps the directory; (2)
        rename and sync of `changes/`: the change. OSError leaves what a crash would, and the next begin removes it.
        """
        make_directory(self._changes, _DIRECTORY_MODE)
        self.sweep()
        numbered = replace(change, number=max(self.numbers(), default=0) + 1)
        final = self._path(numbered.number)
        temporary = final.with_name(f"{TEMPORARY_PREFIX}{final.name}")
        make_directory(temporary, _DIRECTORY_MODE)
        contents = {"before.toml": before, "back.toml": before, "after.toml": after, "next.toml": after}
        for name, data in {**contents, "change.json": _json_from(asdict(numbered))}.items():
            replace_file(temporary / name, data, _FILE_MODE)
        rename_file(temporary, final)
        sync_directory(self._changes)
        return numbered

    def put_in_force(self, number: int) -> None:
        """`active.toml` is the new text: one rename."""
        move_file(self._path(number) / "next.toml", self.active)

    def put_back(self, number: int) -> None:
        """`active.toml` is the old text again, whatever it was: one rename, or none where a crash came behind it."""
        back = self._path(number) / "back.toml"
        if back.exists():
            move_file(back, self.active)
        else:
            sync_directory(self.active.parent)

    def mark_tested(self, number: int, checks: tuple[str, ...]) -> None:
        """The box runs under it, and its self-test was good."""
        write_once(self._path(number) / "tested.json", _json_from({"checks": checks}), _FILE_MODE)

    def end(self, number: int, outcome: Outcome) -> None:
        """What became of it, for ever: the first end stands."""
        write_once(self._path(number) / "outcome.json", _json_from(asdict(outcome)), _FILE_MODE)
        for name in ("next.toml", "back.toml"):
            try:
                remove_file(self._path(number) / name)
            except OSError as error:
                _log.error("%s of change %d stays: %s", name, number, reason_of(error))

    def numbers(self) -> list[int]:
        """All changes, oldest first."""
        if not self._changes.is_dir():
            return []
        return sorted(int(path.name) for path in self._changes.iterdir() if _NUMBER.fullmatch(path.name))

    def under_way(self) -> int | None:
        """The change that has no end yet."""
        # It can only be the newest; should another one lack its end, it must have one too.
        return next((number for number in reversed(self.numbers()) if not self.has_ended(number)), None)

    def has_ended(self, number: int) -> bool:
        return (self._path(number) / "outcome.json").exists()

    def is_tested(self, number: int) -> bool:
        return (self._path(number) / "tested.json").exists()

    def change(self, number: int) -> Change | None:
        """The record; None when there is none, or flash damaged it."""
        read = self._read(number, "change.json")
        try:
            return Change(**{**read, "changes": tuple(read["changes"]), "restarts": tuple(read["restarts"])})
        except (KeyError, TypeError):
            return None

    def outcome(self, number: int) -> Outcome | None:
        """The end; None while there is none, or where flash damaged it."""
        read = self._read(number, "outcome.json")
        try:
            return Outcome(**{**read, "state": ChangeState(read["state"])})
        except (KeyError, TypeError, ValueError):
            return None

    def source_of(self, text: bytes) -> tuple[str, str] | None:
        """Who brought it about that `text` is in force, and by what; None where no change did, but an editor."""
        number = max(self.numbers(), default=0)
        change, outcome = self.change(number), self.outcome(number)
        if change is None:
            return None
        try:
            is_back = outcome is not None and outcome.state is ChangeState.ROLLED_BACK
            if self.text(number, is_after=not is_back) != text:
                return None
        except OSError:
            return None
        who = outcome.who if is_back and outcome is not None else change.who
        return who, f"Change {number}{', taken back' if is_back else ''}"

    def is_kept(self, number: int) -> bool:
        """Whether somebody confirmed it."""
        outcome = self.outcome(number)
        return outcome is not None and outcome.state is ChangeState.CONFIRMED

    def checks(self, number: int) -> tuple[str, ...]:
        """What the self-test said, a sentence for each check."""
        said = self._read(number, "tested.json").get("checks", ())
        return tuple(map(str, said)) if isinstance(said, list) else ()

    def text(self, number: int, *, is_after: bool) -> bytes:
        """The configuration's text after the change, or before it. OSError when it cannot be read."""
        return (self._path(number) / ("after.toml" if is_after else "before.toml")).read_bytes()

    def sweep(self) -> None:
        """Remove what a crash, or a full flash, left of a change that was never begun."""
        leftovers = [path for path in self._changes.iterdir() if path.name.startswith(TEMPORARY_PREFIX)]
        for path in leftovers:
            shutil.rmtree(path)
        if leftovers:
            sync_directory(self._changes)

    def _path(self, number: int) -> Path:
        return self._changes / f"{number:06d}"

    def _read(self, number: int, name: str) -> Mapping[str, Any]:
        try:
            with (self._path(number) / name).open("rb") as file:
                value = json.loads(file.read(_MOST_RECORD_BYTES))
        except (FileNotFoundError, ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}


def _json_from(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8")


def damaged_change(number: int) -> Change:
    """Of a record that flash damaged its texts may still be whole; it goes back at once."""
    return Change(number, "somebody", "", "a damaged record", (), (), "", 0.0, 0.0)


def view_from(history: History, number: int, state: str = "", why: str = "", left: float = 0.0) -> dict[str, Any]:
    """A change as JSON says it; `state`, `why` and the seconds that are `left` are those of one that is under way."""
    if number not in history.numbers():
        raise ApplianceError(f"There is no change {number}.", "`appliance config log` shows all of them.")
    change, outcome = history.change(number) or damaged_change(number), history.outcome(number)
    return {
        **{name: value for name, value in asdict(change).items() if name not in ("boot_id", "deadline")},
        "state": str(outcome.state) if outcome else state or "under way",
        "why": outcome.why if outcome else why,
        "ended_by": outcome.who if outcome else "",
        "ended_at": outcome.at if outcome else "",
        "seconds_left": round(left, 1),
        "checks": list(history.checks(number)),
    }
