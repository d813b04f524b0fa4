"""What a release says before and after, and its question."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from appliance.base.errors import ApplianceError
from appliance.base.http import Asker
from appliance.base.paths import Paths
from appliance.cli.caller import actor_from
from appliance.cli.queue_table import STATES
from appliance.cli.report import print_table

_PATH = "/api/release"
_SECONDS = 30.0


def release(what: str, reason: str, *, is_sure: bool, as_json: bool) -> int:
    """Show what would be let go of, ask, and release it; 0 then, 1 when the person says no.

    ApplianceError when nothing of `what` can be released, when the console does not answer, or when nobody is there to
    be asked.
    """
    asker = Asker(Paths.from_environment().console_socket, "The console")
    try:
        letting = asker.ask("GET", f"{_PATH}?what={quote(what)}", seconds=_SECONDS)
        if not is_sure:
            _show(letting)
            if not _is_confirmed(letting):
                print("Nothing was released.")
                return 1
        body = {"what": what, "actor": actor_from(os.environ), "reason": reason}
        released = asker.ask("POST", _PATH, body, seconds=_SECONDS)
    finally:
        asker.close()
    if as_json:
        print(json.dumps(released, indent=1, ensure_ascii=False))
    else:
        print(f"{_count(released['objects'])} of the exam {released['exam_id']} released; this is on record.")
    return 0


def _show(letting: Mapping[str, Any]) -> None:
    rows = [
        (
            one["sop_instance_uid"],
            one["device"],
            one["modality"],
            f"{one['bytes'] / 1e6:.1f}",
            one["place"] or "not here any more",
            state_of(one["states"]),
        )
        for one in letting["objects"]
    ]
    print_table([("object", "device", "mod", "MB", "lies in", "archives"), *rows])
    if letting["forward"]:
        print(f"How far they are at the archives is not known: {letting['forward']}")
    print(f"No archive has committed to {_count(letting['objects'])} of the exam {letting['exam_id']}.")
    print("Released, they are not sent any more, and the box may delete them. This cannot be taken back.")
    print(f"To keep them, export them first: appliance export DIRECTORY --exam {letting['exam_id']}")


def state_of(states: Mapping[str, str]) -> str:
    """How far an object is at each of its destinations."""
    return "; ".join(f"{name}: {STATES.get(state, state)}" for name, state in states.items()) or "-"


def _is_confirmed(letting: Mapping[str, Any]) -> bool:
    if not sys.stdin.isatty():
        raise ApplianceError("Nobody is there to be asked.", "In a script, say --yes.")
    word = f"release {len(letting['objects'])}"
    try:
        return input(f"Type '{word}' to let go of them: ").strip() == word
    except EOFError:
        return False


def _count(objects: list[Any]) -> str:
    return "1 object" if len(objects) == 1 else f"{len(objects)} objects"
