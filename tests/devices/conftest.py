"""Ends of real lines for the tests of devices."""

from __future__ import annotations

import os
import tty
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from appliance.base.clock import SystemClock
from appliance.devices.serial.line import SerialLine, Transcript


@dataclass
class Pair:
    """A pty pair: `far` is the machine's end (a descriptor), `line` the box's, open."""

    far: int
    near: int
    line: SerialLine


@pytest.fixture
def clock() -> SystemClock:
    return SystemClock()


@pytest.fixture
def pair(clock: SystemClock) -> Iterator[Pair]:
    far, near = os.openpty()
    tty.setraw(near)
    line = SerialLine(os.ttyname(near), clock, name="ultrasound", transcript=Transcript(65536))
    line.open()
    made = Pair(far, near, line)
    yield made
    line.close()
    for descriptor in (made.far, made.near):
        if descriptor >= 0:
            os.close(descriptor)
