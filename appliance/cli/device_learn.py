"""`appliance device learn`: which bytes a machine sends when its key is pressed, as a pattern for the configuration."""

from __future__ import annotations

import argparse
import json
import sys

from appliance.base.clock import SystemClock
from appliance.base.errors import ApplianceError, counted
from appliance.base.paths import Paths
from appliance.cli.device_probe import Target, device_for_us, find_target
from appliance.cli.device_probe_serial import make_lines
from appliance.cli.device_table import NODES, bytes_trigger
from appliance.devices.plugging.attached import Kind
from appliance.devices.plugging.recording import record_idle, record_press
from appliance.devices.plugging.udev import list_attached
from appliance.devices.signal.learn import Learned, learn_pattern


def learn_signal(given: argparse.Namespace) -> int:
    """Ask for the presses, and print what they have in common; 0.

    ApplianceError: no such line, its acquire process has it, nothing came, or nothing is common to what came.
    """
    paths, clock = Paths.from_environment(), SystemClock()
    target = find_target(given.target, list_attached(), paths)
    if target.kind is not Kind.SERIAL:
        raise ApplianceError(f"{target.node} is no serial line.", "What has keys of its own needs no learning.")
    make_line, bauds = make_lines(target, paths, clock)
    with device_for_us(target, paths):
        baud = given.baud or bauds[0]
        line = make_line(baud)
        line.open()
        try:
            _say(f"Leave the machine alone for {given.idle:g} s: what it sends by itself is no signal.")
            idle = record_idle(line, clock, given.idle)
            presses = []
            for number in range(given.presses):
                _say(f"Press the key, once: {number + 1} of {given.presses}.")
                presses.append(record_press(line, clock, given.seconds))
        finally:
            line.close()
    learned = learn_pattern(presses, idle)
    if given.json:
        print(json.dumps(document_of(learned, idle), indent=1))
    else:
        print("\n".join(lines_of(learned, idle, bytes_trigger(node_of(target), str(learned.pattern), baud))))
    return 0


def document_of(learned: Learned, idle: bytes) -> dict[str, object]:
    """What was learned, for programs."""
    return {
        "pattern": str(learned.pattern),
        "presses": learned.presses,
        "repeats": learned.repeats,
        "is_weak": learned.is_weak,
        "idle_bytes": len(idle),
    }


def node_of(target: Target) -> str:
    """The name that the line keeps, if it has one."""
    return str(NODES / target.seen.adopted) if target.seen and target.seen.adopted else target.node


def lines_of(learned: Learned, idle: bytes, trigger: str) -> list[str]:
    """What was learned, for people."""
    lines = [
        f"Each of the {learned.presses} presses has this:",
        f"    {learned.pattern}",
        "In the device that it takes pictures of:",
        f"    triggers = [{trigger}]",
    ]
    if learned.repeats > 1:
        lines.append(f"It comes up to {learned.repeats} times at one press: one press must count once (debounce).")
    if learned.is_weak:
        lines.append("! It has fewer than three fixed bytes and may come by chance: learn it with more presses.")
    if idle:
        lines.append(f"Without a press {counted(len(idle), 'byte')} came, and not this.")
    return lines


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
