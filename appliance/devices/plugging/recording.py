"""What a machine sends when its key is pressed, recorded press by press, and what it sends by itself."""

from __future__ import annotations

from appliance.base.clock import Clock, Deadline
from appliance.devices.errors import DeviceTimeout
from appliance.devices.serial.line import SerialLine
from appliance.devices.signal.learn import MAX_RECORDING

_WAIT_SECONDS = 0.25
# A key's bytes come together; what comes after such a silence is of something else.
_QUIET_SECONDS = 1.0


def record_idle(line: SerialLine, clock: Clock, seconds: float) -> bytes:
    """What comes by itself in `seconds`, at most `MAX_RECORDING` bytes. Raises DeviceGone as the line does."""
    heard = bytearray()
    deadline = Deadline.after(clock, seconds)
    while not deadline.is_over():
        heard += line.read(min(_WAIT_SECONDS, deadline.remaining()))
    return bytes(heard[-MAX_RECORDING:])


def record_press(line: SerialLine, clock: Clock, seconds: float) -> bytes:
    """What comes at one press: from the first byte, which must come in `seconds`, until it is silent.

    At most one byte more than `MAX_RECORDING`, which learning then refuses. Raises DeviceTimeout when nothing comes,
    DeviceGone as the line does.
    """
    heard = bytearray()
    deadline = Deadline.after(clock, seconds)
    quiet = deadline
    while not quiet.is_over() and len(heard) <= MAX_RECORDING:
        data = line.read(min(_WAIT_SECONDS, quiet.remaining()))
        if data:
            heard += data
            quiet = Deadline.after(clock, _QUIET_SECONDS)
    if not heard:
        raise DeviceTimeout(
            f"Nothing came in {seconds:g} s.", "Check cable and speed: appliance device probe says what comes."
        )
    return bytes(heard[: MAX_RECORDING + 1])
