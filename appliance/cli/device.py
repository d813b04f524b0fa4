"""`appliance device`: what is plugged into the box, what it is called, and whether it works."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(commands: Any) -> None:
    """The command and its actions, among the others of `commands`."""
    device = commands.add_parser(
        "device", help="what is plugged in: list, watch, adopt, forget, probe and learn it; what its line said"
    )
    actions = device.add_subparsers(required=True, metavar="ACTION")
    _add_list(actions)
    _add_watch(actions)
    _add_adopt(actions)
    _add_forget(actions)
    _add_probe(actions)
    _add_learn(actions)
    _add_transcript(actions)


def _add_list(actions: Any) -> None:
    parser = actions.add_parser(
        "list",
        help="what is plugged in, and which device of the configuration each of it is",
        description="Video, serial lines, scanners and keys (pedals, remote controls) that are plugged in: what each "
        "is called, by what it is known, and which devices of the configuration are missing.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_run_list)


def _add_watch(actions: Any) -> None:
    parser = actions.add_parser(
        "watch",
        help="say what is being plugged in, and the rule that would name it",
        description="Says what is plugged in and unplugged from now on, with the rule that would name it, until Ctrl-C "
        "or for --seconds.",
    )
    parser.add_argument("--seconds", type=_seconds_from, metavar="N", help="end by itself after so long")
    parser.add_argument("--json", action="store_true", help="print JSON, a line for each change")
    parser.set_defaults(run=_run_watch)


def _add_adopt(actions: Any) -> None:
    parser = actions.add_parser(
        "adopt",
        help="give what is plugged in a name that it keeps",
        description="Writes the rule by which udev knows it again, wherever the kernel puts it: it is /dev/appliance/"
        "NAME from now on, nobody else may open it, and plugging it in starts the acquire process of NAME. It is known "
        "by its serial number, or by the port that it is plugged into where it has none of its own.",
    )
    parser.add_argument("node", metavar="NODE", help="what `appliance device list` shows, such as /dev/ttyUSB0")
    parser.add_argument("name", metavar="NAME", help="what the configuration calls it")
    parser.add_argument("--by", choices=("serial", "port"), help="know it by this, whatever the box would choose")
    parser.add_argument("--replace", action="store_true", help="NAME was another one until now")
    parser.set_defaults(run=_run_adopt)


def _add_forget(actions: Any) -> None:
    parser = actions.add_parser(
        "forget",
        help="take the name away again",
        description="Removes the rule that `adopt` wrote. The configuration, and what was captured, stay as they are.",
    )
    parser.add_argument("name", metavar="NAME", help="what it was adopted as")
    parser.set_defaults(run=_run_forget)


def _add_probe(actions: Any) -> None:
    parser = actions.add_parser(
        "probe",
        help="say what comes from a device, and what to write into the configuration",
        description="Of a grabber: signal, the format that was negotiated, measured rate, lost frames, and the last "
        "picture where --picture says. Of a serial line: what comes, at which speed, and what it may be. Of a film "
        "digitizer: what SANE lets it be asked for. Refused while the device's acquire process has it. Nothing is "
        "changed.",
    )
    parser.add_argument("target", metavar="NAME|NODE", help="a device of the configuration, or what is plugged in")
    parser.add_argument("--seconds", type=_seconds_from, metavar="N", help="how long (grabber: 3; line: 10 a speed)")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="grabber: where its last picture goes, as JPEG")
    parser.add_argument(
        "--baud", type=_baud_from, action="append", default=[], metavar="N", help="line: this speed; may be repeated"
    )
    parser.add_argument("--invite", action="store_true", help="line: ask for a file, as an XMODEM receiver does")
    parser.add_argument("--bytes", action="store_true", help="line: show what came, which may name a patient")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_run_probe)


def _add_learn(actions: Any) -> None:
    parser = actions.add_parser(
        "learn",
        help="find the bytes that a machine sends when its key is pressed",
        description="Records a serial line while somebody presses the machine's key several times, and prints the "
        "bytes that come each time, and never by themselves, as a pattern for the configuration.",
    )
    parser.add_argument("target", metavar="NAME|NODE", help="a device of the configuration, or a line's node")
    parser.add_argument("--presses", type=_presses_from, default=4, metavar="N", help="how often (default: 4)")
    parser.add_argument("--baud", type=_baud_from, metavar="N", help="the line's speed (default: the configured one)")
    parser.add_argument(
        "--idle", type=_seconds_from, default=5.0, metavar="N", help="how long what comes by itself is recorded first"
    )
    parser.add_argument(
        "--seconds", type=_seconds_from, default=60.0, metavar="N", help="how long a press is waited for (default: 60)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_run_learn)


def _add_transcript(actions: Any) -> None:
    parser = actions.add_parser(
        "transcript",
        help="what went over a machine's line last",
        description="What went over the line of a device whose acquire process runs and whose configuration has "
        "transcript_bytes: when, which way, and how much. The bytes themselves may name a patient: they are shown with "
        "--bytes alone, and the audit trail says that they were.",
    )
    parser.add_argument("name", metavar="NAME", help="a device of the configuration that is on a serial line")
    parser.add_argument("--bytes", action="store_true", help="show the bytes, which may name a patient")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_run_transcript)


def _presses_from(text: str) -> int:
    presses = int(text)
    if not 2 <= presses <= 50:
        raise argparse.ArgumentTypeError(f"{text} is not between 2 and 50")
    return presses


def _baud_from(text: str) -> int:
    baud = int(text)
    if not 50 <= baud <= 4_000_000:
        raise argparse.ArgumentTypeError(f"{text} is not between 50 and 4000000 baud")
    return baud


def _seconds_from(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 86400 seconds")
    return seconds


def _run_probe(given: argparse.Namespace) -> int:
    from appliance.cli.device_probe import probe_device

    return probe_device(given)


def _run_learn(given: argparse.Namespace) -> int:
    from appliance.cli.device_learn import learn_signal

    return learn_signal(given)


def _run_transcript(given: argparse.Namespace) -> int:
    from appliance.cli.device_transcript import show_transcript

    return show_transcript(given.name, has_bytes=given.bytes, as_json=given.json)


def _run_list(given: argparse.Namespace) -> int:
    from appliance.cli.device_list import show_attached

    return show_attached(as_json=given.json)


def _run_watch(given: argparse.Namespace) -> int:
    from appliance.cli.device_watch import watch_plugs

    return watch_plugs(given.seconds, as_json=given.json)


def _run_adopt(given: argparse.Namespace) -> int:
    from appliance.cli.device_adopt import adopt_device
    from appliance.devices.plugging.rules import NamedBy

    return adopt_device(given.node, given.name, NamedBy(given.by) if given.by else None, may_replace=given.replace)


def _run_forget(given: argparse.Namespace) -> int:
    from appliance.cli.device_adopt import forget_device

    return forget_device(given.name)
