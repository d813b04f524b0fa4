"""What comes over a serial line, at one speed or at several, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from appliance.base.clock import Clock, Deadline
from appliance.devices.plugging.guess import Guess, guess_protocols, plausibility
from appliance.devices.serial.line import SerialLine

# The usual speeds of old machines, the most usual ones first.
USUAL_BAUDS = (9600, 115_200, 19_200, 38_400, 57_600, 4800, 2400, 1200)
_MOST_BYTES = 65_536
_WAIT_SECONDS = 0.25
# What is certain is listened to until it is silent for so long.
_QUIET_SECONDS = 1.0
# An XMODEM sender waits until it is asked: NAK for a checksum, C for a CRC. CAN twice ends what has begun.
_INVITATIONS = (b"\x15", b"C")
_INVITE_SECONDS = 3.0
_CANCEL = b"\x18\x18\x18\x08\x08\x08"
_WRITE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class SerialProbe:
    """What came at `baud`, at most the first 64 KiB of it, and what it may be. It may name a patient: never logged."""

    baud: int
    data: bytes
    guesses: tuple[Guess, ...]

    @property
    def is_certain(self) -> bool:
        return any(one.is_certain for one in self.guesses)


def probe_serial(
    make_line: Callable[[int], SerialLine],
    clock: Clock,
    bauds: Iterable[int],
    seconds: float,
    *,
    is_inviting: bool = False,
    on_speed: Callable[[int], None] = lambda _baud: None,
) -> list[SerialProbe]:
    """Listen for `seconds` at each of `bauds`, at most, until what comes is certain; the likeliest first.

    `make_line` gives the line at a speed. Unless `is_inviting`, not one byte is sent. Raises what the line does:
    DeviceGone, DeviceBusy.
    """
    found = []
    for baud in bauds:
        on_speed(baud)
        data = _listen(make_line(baud), clock, seconds, is_inviting=is_inviting)
        found.append(SerialProbe(baud, data, tuple(guess_protocols(data))))
        if found[-1].is_certain:
            break
    return sorted(found, key=lambda one: plausibility(one.data), reverse=True)


def _listen(line: SerialLine, clock: Clock, seconds: float, *, is_inviting: bool) -> bytes:
    heard = bytearray()
    line.open()
    try:
        deadline = Deadline.after(clock, seconds)
        invited = 0
        next_invitation = quiet = deadline.sooner(0.0)
        while not deadline.is_over() and len(heard) < _MOST_BYTES:
            if heard and quiet.is_over() and any(one.is_certain for one in guess_protocols(bytes(heard))):
                break
            if is_inviting and not heard and next_invitation.is_over():
                line.offer(_INVITATIONS[invited % len(_INVITATIONS)])
                invited += 1
                next_invitation = deadline.sooner(_INVITE_SECONDS)
            data = line.read(min(_WAIT_SECONDS, deadline.remaining()))
            heard += data
            if data:
                quiet = deadline.sooner(_QUIET_SECONDS)
        if invited and heard:
            line.write(_CANCEL, Deadline.after(clock, _WRITE_SECONDS))
    finally:
        line.close()
    return bytes(heard[:_MOST_BYTES])
