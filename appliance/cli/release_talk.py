"""What a release says before and after, and its question."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from appliance.base.asking import Asker
from appliance.base.errors import ApplianceError, counted
from appliance.base.paths import Paths
from appliance.cli.caller import actor_from
from appliance.cli.queue_table import STATES
from appliance.cli.report import print_table
from appliance.spool.known_states import COMMITTED_STATES, DONE_STATES, SAFE_STATES

_PATH = "/api/release"
_SECONDS = 30.0


def release(what: str, reason: str, *, destination: str, is_everywhere: bool, is_sure: bool, as_json: bool) -> int:
    """Show what would be let go of, ask, and release it; 0 then, 1 when the person says no.

    Everywhere where `destination` is empty. `is_everywhere` says for scripts that this is meant though a configured
    destination waits; a person types it. ApplianceError when nothing of `what` can be released, when the console does
    not answer, or when nobody is there to be asked.
    """
    asker = Asker(Paths.from_environment().console_socket, "The console")
    try:
        question = f"{_PATH}?what={quote(what)}&destination={quote(destination)}"
        letting = asker.ask("GET", question, seconds=_SECONDS)
        if not is_sure:
            _show(letting)
            if not _is_confirmed(letting):
                print("Nothing was released.")
                return 1
            is_everywhere = not destination
        body: dict[str, str | bool] = {"what": what, "actor": actor_from(os.environ), "reason": reason}
        body |= {"destination": destination, "everywhere": is_everywhere}
        released = asker.ask("POST", _PATH, body, seconds=_SECONDS)
    finally:
        asker.close()
    if as_json:
        print(json.dumps(released, indent=1, ensure_ascii=False))
    else:
        where = f" from {destination}" if destination else ""
        objects = counted(len(released["objects"]), "object")
        print(f"{objects} of the exam {released['exam_id']} released{where}; this is on record.")
    return 0


def _show(letting: Mapping[str, Any]) -> None:
    rows = [
        (
            one["sop_instance_uid"],
            one["device"],
            one["modality"],
            f"{one['bytes'] / 1e6:.1f}",
            one["place"] or "not here any more",
            *map(state_of, _parted(one["states"], letting["destination"])),
        )
        for one in letting["objects"]
    ]
    print_table([("object", "device", "mod", "MB", "lies in", "stays as it is", "is let go of"), *rows])
    print("\n".join(_warnings_of(letting)))


def _parted(states: Mapping[str, str], destination: str) -> tuple[dict[str, str], dict[str, str]]:
    """What stays as it is, and what is let go of: at `destination`, or wherever no archive is responsible."""
    going = {name: state for name, state in states.items() if destination in ("", name) and state not in SAFE_STATES}
    return {name: state for name, state in states.items() if name not in going}, going


def _warnings_of(letting: Mapping[str, Any]) -> list[str]:
    objects, destination = letting["objects"], letting["destination"]
    lines = []
    if letting["forward"]:
        lines.append(f"How far they are at the archives is not known: {letting['forward']}")
    else:
        nowhere = [one for one in objects if not COMMITTED_STATES & set(one["states"].values())]
        of_all = f"Of {counted(len(objects), 'object')} of the exam {letting['exam_id']}"
        if nowhere:
            are = "is" if len(nowhere) == 1 else "are"
            lines.append(f"{of_all} {len(nowhere)} {are} committed by no archive.")
        else:
            lines.append(f"{of_all} each is committed by an archive.")
    for name in letting["waiting"]:
        waiting = sum(one["states"].get(name, "released") not in DONE_STATES for one in objects)
        told = counted(waiting, "object")
        lines.append(f"{name} is configured and still waits for {told}: it would not get them either.")
    if destination:
        lines.append(f"Released, they are not sent to {destination} any more; nothing changes at the others.")
    else:
        lines.append("Released, they are sent nowhere any more, and the box may delete them.")
    lines.append("This cannot be taken back.")
    lines.append(f"To keep them, export them first: appliance export DIRECTORY --exam {letting['exam_id']}")
    return lines


def state_of(states: Mapping[str, str]) -> str:
    """How far an object is at each of its destinations."""
    return "; ".join(f"{name}: {STATES.get(state, state)}" for name, state in states.items()) or "-"


def _is_confirmed(letting: Mapping[str, Any]) -> bool:
    if not sys.stdin.isatty():
        raise ApplianceError("Nobody is there to be asked.", "In a script, say --yes.")
    word = f"release {len(letting['objects'])}"
    if letting["destination"]:
        word += f" from {letting['destination']}"
    elif letting["waiting"]:
        word += " everywhere"
    try:
        return input(f"Type '{word}' to let go of them: ").strip() == word
    except EOFError:
        return False
