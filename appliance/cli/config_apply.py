"""`appliance config apply`, `confirm`, `rollback`: asks the program that changes the configuration.

Nothing depends on this command: the change goes its way, and back, when it is killed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from appliance.base.asking import Asker, Unreachable
from appliance.base.clock import Deadline, SystemClock
from appliance.base.errors import ApplianceError
from appliance.base.paths import Paths
from appliance.cli.caller import actor_from
from appliance.cli.config_file import read_given
from appliance.config.history import History

_ASK_SECONDS = 30.0
_LOOK_SECONDS = 0.3
# The program may be started anew in the middle of it.
_SILENT_SECONDS = 30.0
_EXAM_SECONDS = 2.0
_ENDS = ("waiting", "confirmed", "rolled back")
_SAID = {
    "proposed": "It is kept as a record.",
    "loading": "It is in force; what reads it starts anew.",
    "testing": "The box tries itself, and the peers that the change touches.",
    "going back": "It goes back.",
}


def apply_file(given: argparse.Namespace) -> int:
    """Apply what FILE says; 0 when it waits for its confirmation, or there was nothing to change."""
    return apply_text(given, read_given(given.file), given.file, "apply")


def apply_text(given: argparse.Namespace, data: bytes, name: Path, what: str) -> int:
    """Apply `data`; 0 as above, 1 when it went back. ApplianceError, with everything that is wrong, when refused."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        from appliance.config.load import configuration_from

        configuration_from(data, name)
        raise
    if given.wait:
        _wait_for_exam()
    body = {
        "text": text,
        "name": str(name),
        "who": actor_from(os.environ),
        "what": what,
        "confirm_seconds": given.confirm_within,
    }
    view = ask("POST", "/changes", body)
    if view["number"] is None:
        _show({"number": None, "state": "unchanged", "changes": []}, ["Nothing would change."], as_json=given.json)
        return 0
    if not given.json:
        services = f"It starts anew: {', '.join(view['restarts'])}" if view["restarts"] else ""
        print("\n".join(filter(None, [f"Change {view['number']}:", *view["changes"], services])), flush=True)
    view = follow(view, is_quiet=given.json)
    _show(view, lines_of(view), as_json=given.json)
    return 0 if view["state"] in ("waiting", "confirmed") else 1


def confirm(*, as_json: bool) -> int:
    """Let the change that waits stay; 0. ApplianceError when none does."""
    view = ask("POST", "/confirm", {"who": actor_from(os.environ)})
    _show(view, lines_of(view), as_json=as_json)
    return 0


def roll_back(given: argparse.Namespace) -> int:
    """Take back what waits, or apply what was in force once. 0 when it went back, or waits for its confirmation."""
    history = History(Paths.from_environment().configuration.parent)
    if given.number is None and history.under_way() is not None:
        view = follow(ask("POST", "/take-back", {"who": actor_from(os.environ)}), is_quiet=given.json, is_back=True)
        _show(view, lines_of(view), as_json=given.json)
        return 0 if view["state"] == "rolled back" else 1
    confirmed = [number for number in history.numbers() if history.is_kept(number)]
    if given.number is not None and given.number not in confirmed:
        raise ApplianceError(
            f"Change {given.number} was never confirmed, or there is none.",
            "`appliance config log` shows every change.",
        )
    if not confirmed:
        raise ApplianceError("Nothing was ever changed here.", "`appliance config log` shows every change.")
    number, is_after = (given.number, True) if given.number is not None else (confirmed[-1], False)
    try:
        data = history.text(number, is_after=is_after)
    except OSError as error:
        raise ApplianceError(f"What was in force at change {number} cannot be read: {error.strerror}.") from error
    what = f"rollback to {'how it was after' if is_after else 'before'} change {number}"
    return apply_text(given, data, Path(f"change {number}"), what)


def lines_of(view: dict[str, Any]) -> list[str]:
    """How the change stands, for people."""
    head = f"Change {view['number']}"
    match view["state"]:
        case "waiting":
            left = round(view["seconds_left"])
            minutes, seconds = divmod(left, 60)
            return [
                *(f"  {check}" for check in view["checks"]),
                f"{head} is in force, and goes back by itself in {minutes} min {seconds} s.",
                "Look whether all is as it should be, and let it stay: appliance config confirm",
            ]
        case "confirmed":
            return [f"{head} stays."]
        case "rolled back":
            return [f"{head} went back: {view['why']}", "What was in force before is in force again."]
        case state:
            return [f"{head} is {state}."]


def follow(view: dict[str, Any], *, is_quiet: bool, is_back: bool = False) -> dict[str, Any]:
    """The change's last state that this command waits for. Unreachable when the program is silent for too long."""
    clock, told = SystemClock(), ""
    silent = Deadline.after(clock, _SILENT_SECONDS)
    ends = _ENDS[1:] if is_back else _ENDS
    while view["state"] not in ends:
        if view["state"] != told and not is_quiet and view["state"] in _SAID:
            told = view["state"]
            print(_SAID[told], file=sys.stderr, flush=True)
        clock.wait(threading.Event(), _LOOK_SECONDS)
        try:
            view = ask("GET", f"/changes/{view['number']}")
            silent = Deadline.after(clock, _SILENT_SECONDS)
        except Unreachable:
            if silent.is_over():
                raise
    return view


def _wait_for_exam() -> None:
    """Until no exam is open. It says once that it waits."""
    from appliance.exam.facts import ExamFacts
    from appliance.spool.tree import Spool

    clock, exams, told = SystemClock(), Spool(Paths.from_environment().state).exams, False
    while ExamFacts(exams).open_exam_id() is not None:
        if not told:
            print("An exam is open: waiting for its end. Ctrl-C ends that, and nothing is changed.", file=sys.stderr)
            told = True
        clock.wait(threading.Event(), _EXAM_SECONDS)


def ask(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the program that changes the configuration answers; ApplianceError when it refuses, or is not here."""
    socket = Paths.from_environment().apply_socket
    if not socket.exists():
        raise ApplianceError(
            "The program that changes the configuration is not here.",
            "In the demo, change site.toml and start it again; on a box: systemctl status appliance-apply.socket",
        )
    asker = Asker(socket, "The program that changes the configuration")
    try:
        return asker.ask(method, path, body, seconds=_ASK_SECONDS)
    finally:
        asker.close()


def _show(view: dict[str, Any], lines: list[str], *, as_json: bool) -> None:
    print(json.dumps(view, indent=1, ensure_ascii=False) if as_json else "\n".join(lines))
