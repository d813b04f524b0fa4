"""The checks of `appliance doctor`, in the order in which one follows from another."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from appliance.base.board import HOT_CELSIUS
from appliance.base.errors import ApplianceError, counted
from appliance.base.flash import reason_of
from appliance.base.paths import Paths
from appliance.cli.checks import ask_echo, ask_test
from appliance.cli.status_report import read_status
from appliance.cli.table import printable_text
from appliance.config.in_force import read_in_force
from appliance.config.schema import MANAGER, Configuration
from appliance.forward.self_test_report import Verdict
from appliance.spool.tree import Spool

_UNIT_SECONDS: Final = 10.0
# What each check is good for, for whoever meets it the first time.
MEANINGS: Final[Mapping[str, str]] = {
    "configuration": "The daemons read it at their start. What they cannot read, they do without.",
    "processes": "Console keeps the exams, forward talks to the hospital, one acquire has each device. systemd starts "
    "again what ended.",
    "devices": "A device works when its process runs, and that runs while the device is plugged in under its name.",
    "room": "What was captured stays until an archive has committed it. Without room nothing more is captured.",
    "quarantine": "What flash gave back damaged is set aside, and never sent.",
    "clock": "Every object and record bears the box's time. A wrong one puts images into the wrong order, or day.",
    "warmth": "A board that is too warm slows down, and loses frames of video.",
    "findings": "What is wrong now, in the words of the part that found it.",
    "logs": "What the box's programs log is kept here for a while only. A collector that takes nothing will lack it.",
    "peer": "The network, the peer's AE title for this box, and the box's for the peer must fit on both sides.",
}


@dataclass(frozen=True, slots=True)
class Examined:
    """One check: what it found (`words`), what that means, what to do."""

    name: str
    verdict: Verdict
    words: str
    suggestion: str = ""
    meaning: str = ""


def show_health(*, with_peers: bool, is_full: bool, as_json: bool) -> int:
    """Print each check as it is done; 0 when none failed, else 1."""
    done = []
    for one in examine(Paths.from_environment(), with_peers=with_peers, is_full=is_full):
        done.append(one)
        if not as_json:
            print("\n".join(lines_of(one)), flush=True)
    failed = sum(one.verdict is Verdict.FAILED for one in done)
    if as_json:
        print(
            json.dumps({"is_good": not failed, "checks": [asdict(one) for one in done]}, indent=1, ensure_ascii=False)
        )
    else:
        print(f"{failed} of {len(done)} checks failed." if failed else f"All {len(done)} checks are good.")
    return 1 if failed else 0


def lines_of(one: Examined) -> list[str]:
    """The check for people: what is good takes one line."""
    lines = [printable_text(f"{one.verdict:<8}{one.name}: {one.words}")]
    if one.verdict is not Verdict.GOOD:
        lines += [f"{'':8}{label}{text}" for label, text in (("", one.meaning), ("To do: ", one.suggestion)) if text]
    return lines


def examine(paths: Paths, *, with_peers: bool, is_full: bool) -> Iterator[Examined]:
    """Check after check."""
    try:
        in_force = read_in_force(paths.configuration)
    except ApplianceError as error:
        yield _examined("configuration", Verdict.FAILED, error.sentence, "See: appliance config check")
        return
    for finding in in_force.findings:
        yield _examined("configuration", Verdict.NOTED, finding.sentence, finding.suggestion)
    configuration = in_force.configuration
    said = f"{counted(len(configuration.devices), 'device')}, {counted(len(configuration.destinations), 'destination')}"
    yield _examined("configuration", Verdict.GOOD, f"It can be read: {said}.")
    status = read_status(paths, is_discreet=True)
    yield from _of_status(status)
    yield _quarantine(Spool(paths.state))
    if configuration.logs is not None:
        yield examine_sender(configuration.logs.host, read_unit("appliance-logs.service"))
    if not with_peers:
        return
    for name in peers_of(configuration):
        yield _peer(name, is_full=is_full)


def peers_of(configuration: Configuration) -> list[str]:
    """The names by which `appliance echo` knows them."""
    named = [one.name for one in configuration.worklist] + [one.name for one in configuration.destinations]
    return list(dict.fromkeys([*named, *([MANAGER] if configuration.performed_step else [])]))


def _of_status(status: Mapping[str, Any]) -> Iterator[Examined]:
    down = [
        one["name"] for one in status["services"] if not one["is_running"] and not one["name"].startswith("acquire")
    ]
    if down:
        yield _examined(
            "processes",
            Verdict.FAILED,
            f"{', '.join(down)} does not answer.",
            "See why: appliance logs --level warning",
        )
    else:
        yield _examined("processes", Verdict.GOOD, "Console and forward answer.")
    absent = [one["title"] for one in status["devices"] if not one["is_running"]]
    if absent:
        words = f"{', '.join(absent)}: no process runs."
        yield _examined("devices", Verdict.FAILED, words, "Plug it in, and compare: appliance device list")
    else:
        yield _examined("devices", Verdict.GOOD, f"{len(status['devices'])} configured, all at work.")
    room = status["room"]
    yield _examined(
        "room",
        Verdict.FAILED if room["is_full"] else Verdict.GOOD,
        room["sentence"],
        "See what waits and why: appliance queue. To keep and let go: appliance export, appliance release",
    )
    clock = status["clock"]
    if clock is not None:
        verdict = Verdict.GOOD if clock["is_trusted"] else Verdict.FAILED
        yield _examined("clock", verdict, clock["sentence"], clock["suggestion"])
    celsius = status["temperature_celsius"]
    if celsius is not None:
        verdict = Verdict.FAILED if celsius >= HOT_CELSIUS else Verdict.GOOD
        yield _examined("warmth", verdict, f"The board has {celsius:.0f} °C.", "See that air reaches its case.")
    for finding in status["findings"]:
        about = f"{finding['subject']}: " if finding["subject"] else ""
        yield _examined("findings", Verdict.FAILED, f"{about}{finding['sentence']}", finding["suggestion"])


def read_unit(unit: str) -> Mapping[str, str]:
    """How systemd says that a unit is: its properties; empty where there is no systemd to ask."""
    command = ["systemctl", "show", "--property=ActiveState,SubState,NRestarts", unit]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_UNIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    pairs = (line.partition("=") for line in done.stdout.splitlines()) if done.returncode == 0 else ()
    return {key: value for key, _, value in pairs}


def examine_sender(host: str, unit: Mapping[str, str]) -> Examined:
    """Whether what is logged goes to the collector: a sender that cannot ends, and waits for its next try."""
    if (unit.get("ActiveState"), unit.get("SubState")) == ("active", "running"):
        return _examined("logs", Verdict.GOOD, f"They go to {host}.")
    state = unit.get("SubState") or "not known to systemd"
    return _examined(
        "logs",
        Verdict.FAILED,
        f"They do not go to {host}: the sender is {state}, after {unit.get('NRestarts', '0')} tries.",
        "See that the collector is up and its certificate good. Why it ended: appliance logs --process logs",
    )


def _quarantine(spool: Spool) -> Examined:
    try:
        count = sum(1 for one in spool.quarantine.iterdir() if not one.name.startswith("."))
    except FileNotFoundError:
        count = 0
    except OSError as error:
        return _examined("quarantine", Verdict.FAILED, f"It cannot be read: {reason_of(error)}.")
    if not count:
        return _examined("quarantine", Verdict.GOOD, "Nothing was found damaged.")
    words = f"{count} files were found damaged and set aside."
    return _examined("quarantine", Verdict.NOTED, words, "Keep them for a closer look: appliance export --damaged")


def _peer(name: str, *, is_full: bool) -> Examined:
    if sys.stderr.isatty():
        print(f"Calling {name} …", file=sys.stderr)
    try:
        report = ask_test(name, may_write=False) if is_full else ask_echo(name)
    except ApplianceError as error:
        return _examined(f"peer {name}", Verdict.FAILED, error.sentence, error.suggestion)
    wrong = [one for one in report["checks"] if one["verdict"] == Verdict.FAILED]
    if wrong:
        words = "; ".join(f"{one['name']}: {one['words']}" for one in wrong)
        return _examined(f"peer {name}", Verdict.FAILED, words, wrong[0]["suggestion"])
    return _examined(f"peer {name}", Verdict.GOOD, f"{counted(len(report['checks']), 'check')} of it, all good.")


def _examined(name: str, verdict: Verdict, words: str, suggestion: str = "") -> Examined:
    if verdict is Verdict.GOOD:
        return Examined(name, verdict, words)
    return Examined(name, verdict, words, suggestion, MEANINGS[name.partition(" ")[0]])
