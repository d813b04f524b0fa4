"""`appliance device probe` of a serial line: what comes, at which speed, and what it may be."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from appliance.acquire.drivers import line_from
from appliance.base.clock import Clock, SystemClock
from appliance.base.paths import Paths
from appliance.cli.device_probe import Probed, Target
from appliance.config.devices import SerialDevice, TalkingDevice
from appliance.devices.plugging.probe_serial import USUAL_BAUDS, SerialProbe, probe_serial
from appliance.devices.serial.line import SerialLine

_SECONDS = 10.0
_SHOWN_BYTES = 256
_A_LINE = 16


def probe(target: Target, paths: Paths, given: argparse.Namespace) -> Probed:
    """Listen at the speeds that were asked for, else at the configured one, else at the usual ones."""
    clock, seconds = SystemClock(), given.seconds or _SECONDS
    make_line, bauds = make_lines(target, paths, clock)

    def say_speed(baud: int) -> None:
        print(f"Listening at {baud} baud for {seconds:g} s: let the machine send now.", file=sys.stderr, flush=True)

    speeds = tuple(given.baud) or bauds
    found = probe_serial(make_line, clock, speeds, seconds, is_inviting=given.invite, on_speed=say_speed)
    return probed_from(found, is_inviting=given.invite, has_bytes=given.bytes)


def make_lines(target: Target, paths: Paths, clock: Clock) -> tuple[Callable[[int], SerialLine], tuple[int, ...]]:
    """How the line is opened at a speed, as it is configured else; and the speeds to try."""
    device = target.device if isinstance(target.device, SerialDevice | TalkingDevice) else None
    as_configured = device or SerialDevice(name="device", driver="xmodem", modality="OT", line=Path(target.node))

    def make_line(baud: int) -> SerialLine:
        return line_from(as_configured.model_copy(update={"baud": baud}), paths.run, clock)

    return make_line, (device.baud,) if device else USUAL_BAUDS


def probed_from(found: list[SerialProbe], *, is_inviting: bool, has_bytes: bool) -> Probed:
    """What is told of it, the likeliest speed first. The bytes are shown when asked for: they may name a patient."""
    rows = [(f"{one.baud} baud", _words_of(one)) for one in found]
    best = found[0]
    notes: list[str] = []
    if not best.data:
        notes.append(
            "Nothing came. Is it the right socket of the machine, and did it send? Does it need a crossed cable?"
        )
        if not is_inviting:
            notes.append("A machine that sends files may wait to be asked: --invite does so, as an XMODEM receiver.")
    elif not best.guesses:
        notes.append("It is nothing that is known here; at a wrong speed it would look so too.")
    if has_bytes:
        notes += hexdump_lines(best.data[:_SHOWN_BYTES])
    settings: list[str] = []
    if best.guesses and best.guesses[0].settings:
        settings = [*best.guesses[0].settings, f"baud = {best.baud}"]
    document = {
        "speeds": [
            {
                "baud": one.baud,
                "bytes": len(one.data),
                "guesses": [
                    {"protocol": guess.protocol, "evidence": guess.evidence, "is_certain": guess.is_certain}
                    for guess in one.guesses
                ],
            }
            for one in found
        ],
        "settings": settings,
    }
    return Probed(bool(best.guesses), rows, notes, settings, document)


def hexdump_lines(data: bytes) -> list[str]:
    """Sixteen bytes a line, in hexadecimal and as text."""
    lines = []
    for start in range(0, len(data), _A_LINE):
        piece = data[start : start + _A_LINE]
        text = "".join(chr(one) if 0x20 <= one < 0x7F else "." for one in piece)
        lines.append(f"{start:04x}  {piece.hex(' '):<{_A_LINE * 3 - 1}}  {text}")
    return lines


def _words_of(one: SerialProbe) -> str:
    if not one.data:
        return "nothing came"
    guesses = "; ".join(
        f"{'is' if guess.is_certain else 'may be'} {guess.protocol} ({guess.evidence})" for guess in one.guesses
    )
    return f"{len(one.data)} bytes: {guesses or 'nothing that is known here'}"
