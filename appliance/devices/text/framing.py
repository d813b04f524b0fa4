"""Framed text as a pure machine: bytes and moments in, events out. What a frame looks like stands in a profile.

The same machine reads SOH … EOT of an ophthalmic instrument and the sessions of ASTM E1381: `config.text_profiles` says
what each mark does. What was damaged is asked for again where the protocol can ask, and never handed out: a wrong digit
of a measurement is worse than none. A message is handed out before its last frame is answered: the machine hears that
all is well after the caller has kept it.
"""

from __future__ import annotations

from enum import Enum, auto

from appliance.config.text_profiles import Framing
from appliance.devices.errors import BadTransfer
from appliance.devices.serial.xmodem import Began, Broken, Ended, Event, Send

_DIGITS = {"none": 0, "sum8-hex": 2, "sum16-hex": 4, "xor8-hex": 2}
_HEX = frozenset(b"0123456789ABCDEFabcdef")
_BLANK = frozenset(b"\0\t\n\r \x7f")
_MAX_GARBAGE = 4096
_SEND_AGAIN = "Send it once more from the machine."


class Phase(Enum):
    """Where a decoder stands."""

    IDLE = auto()  # nothing has begun
    OPEN = auto()  # a session is open, or a message goes on in the next frame
    FRAME = auto()  # a frame's text is being collected
    CHECK = auto()  # its end mark has come: now its checksum
    ENDED = auto()  # the message is with the caller


class FramedDecoder:
    """One line's receiver. `feed`, `elapse` and `next_moment` as `XmodemDecoder` has them; so are the events.

    After `Ended` exactly one of `acknowledge` and `refuse` must be called; what arrives until then waits. `name` is
    what sentences call the machine.
    """

    def __init__(self, framing: Framing, name: str, max_bytes: int = 65536) -> None:
        self._framing = framing
        self._name = name
        self._max_bytes = max_bytes
        self._events: list[Event] = []
        self._later = b""  # what came while the message was with the caller
        self._heard_at = float("-inf")
        self._garbage = 0
        self._rest()

    def _rest(self) -> None:
        self._phase = Phase.IDLE
        self._frame = bytearray()  # with its start mark
        self._mark = 0  # what ended it
        self._check = bytearray()
        self._message = bytearray()  # the text of the frames that were good
        self._record_at = 0  # where the record begins that may go on
        self._frame_at = 0  # where the last frame's text begins
        self._expected = 1
        self._has_number = False  # a frame of this session was good
        self._retries = 0
        self._has_begun = False

    @property
    def phase(self) -> Phase:
        return self._phase

    @property
    def has_begun(self) -> bool:
        """True from a message's `Began` until it is over."""
        return self._has_begun

    @property
    def received(self) -> int:
        """Bytes of the message so far."""
        return len(self._message) + len(self._frame)

    def feed(self, data: bytes, now: float) -> list[Event]:
        """Take what arrived at `now`."""
        if not data:
            return self.elapse(now)
        self._elapse(now)
        self._heard_at = now
        self._digest(data, now)
        return self._take_events()

    def elapse(self, now: float) -> list[Event]:
        """Nothing arrived until `now`."""
        self._elapse(now)
        return self._take_events()

    def next_moment(self) -> float:
        """When `elapse` should be called if nothing arrives before; infinite when it need not be."""
        if self._phase in (Phase.IDLE, Phase.ENDED):
            return float("inf")
        return self._heard_at + (self._framing.quiet_seconds if self._ends_quietly else self._framing.gap_seconds)

    def acknowledge(self, now: float) -> list[Event]:
        """The message is safe: tell the machine so, and go on with what it has sent meanwhile."""
        self._leave_ended()
        later = self._later
        is_session, expected = self._framing.opens is not None, self._expected
        self._rest()
        if is_session:
            self._phase, self._expected, self._has_number = Phase.OPEN, (expected + 1) % 8, True
        self._answer(self._framing.ack)
        self._heard_at = now
        self._digest(later, now)
        return self._take_events()

    def refuse(self, now: float) -> list[Event]:
        """The message was not kept: let the machine send its last frame again, or fail."""
        self._leave_ended()
        self._later = b""
        if self._framing.nak is None:
            self._rest()
        else:
            self._phase = Phase.OPEN
            self._frame.clear()
            del self._message[self._frame_at :]
            self._answer(self._framing.nak)
            self._heard_at = now
        return self._take_events()

    # -- time ----------------------------------------------------------------------------------------------------------

    @property
    def _ends_quietly(self) -> bool:
        is_open_ended = self._phase is Phase.FRAME and self._framing.end is None
        return is_open_ended or (self._phase is Phase.CHECK and not self._framing.checksum_required)

    def _elapse(self, now: float) -> None:
        if now < self.next_moment():
            return
        if (self._phase is Phase.FRAME and self._framing.end is None) or (self._ends_quietly and not self._check):
            self._finish_frame(now)
        else:
            self._break("broke off in the middle of its text")

    # -- bytes ---------------------------------------------------------------------------------------------------------

    def _digest(self, data: bytes, now: float) -> None:
        place = 0
        while place < len(data) and self._phase is not Phase.ENDED:
            place += self._take(data[place], now)
        self._later = data[place:]

    def _take(self, byte: int, now: float) -> bool:
        """False when the byte came behind a frame that it ended: it is to be looked at once more."""
        if self._phase is Phase.CHECK:
            return self._take_check(byte, now)
        framing = self._framing
        if byte == framing.opens:
            if self._has_begun:
                self._break("broke off its text and began anew")
            self._rest()
            self._phase = Phase.OPEN
            self._answer(framing.ack)
        elif byte == framing.closes and byte != framing.end:
            if self._has_begun:
                self._break("ended its text before its last record")
            self._rest()
        elif self._phase is Phase.FRAME:
            self._take_text(byte, now)
        elif self._begins_frame(byte):
            self._begin_frame(byte, now)
        elif byte not in _BLANK:
            self._garbage += 1
            if self._garbage > _MAX_GARBAGE:
                self._garbage = 0
                self._break("sends bytes that are no text of its profile", "Check the line's speed and the profile.")
        return True

    def _begins_frame(self, byte: int) -> bool:
        if self._framing.opens is not None and self._phase is Phase.IDLE:
            return False
        return byte not in _BLANK if self._framing.start is None else byte == self._framing.start

    def _begin_frame(self, byte: int, now: float) -> None:
        self._phase = Phase.FRAME
        self._frame[:] = (byte,)
        self._check.clear()
        self._garbage = 0
        if not self._has_begun:
            self._has_begun = True
            self._events.append(Began(now))

    def _take_text(self, byte: int, now: float) -> None:
        framing = self._framing
        if byte == framing.start:
            if framing.nak is None:
                self._break("broke off its text and began anew")
            self._begin_frame(byte, now)  # what came before it was a frame whose end was lost
            return
        self._frame.append(byte)
        if byte in (framing.end, framing.more) and byte is not None:
            self._mark = byte
            self._phase = Phase.CHECK
            if framing.checksum == "none":
                self._finish_frame(now)
        elif self.received > self._max_bytes:
            self._break(f"sends more than the {self._max_bytes:,} bytes of text that are accepted", "")

    def _take_check(self, byte: int, now: float) -> bool:
        """True when `byte` belonged to the checksum."""
        if byte in _HEX:
            self._check.append(byte)
            if len(self._check) == _DIGITS[self._framing.checksum]:
                self._finish_frame(now)
            return True
        if self._check or self._framing.checksum_required:
            self._spoil_frame("was damaged on the line")
        else:
            self._finish_frame(now)
        return False

    # -- frames --------------------------------------------------------------------------------------------------------

    def _finish_frame(self, now: float) -> None:
        """The frame's last byte has come, `now`."""
        framing = self._framing
        if self._check and int(self._check, 16) != self._sum():
            self._spoil_frame("was damaged on the line")
            return
        text = bytes(self._frame)
        if framing.start is not None:
            text = text[1:]
        if framing.end is not None:
            text = text[:-1]
        if framing.numbered:
            number = text[:1]
            if number == b"%d" % ((self._expected - 1) % 8) and self._has_number:
                self._frame.clear()
                self._phase = Phase.OPEN
                self._answer(framing.ack)  # once more: the machine has not heard it
                return
            if number != b"%d" % self._expected:
                self._spoil_frame("lost its place in its text")
                return
            text = text[1:]
        self._accept(text, now)

    def _accept(self, text: bytes, now: float) -> None:
        framing = self._framing
        self._frame_at = len(self._message)
        self._message += text
        self._frame.clear()
        self._retries = 0
        self._heard_at = now
        is_record_over = self._mark == framing.end or framing.end is None
        if is_record_over and self._is_last_record():
            self._phase = Phase.ENDED
            self._events.append(Ended(bytes(self._message)))
            return
        if is_record_over:
            self._record_at = len(self._message)
        self._expected, self._has_number = (self._expected + 1) % 8, True
        self._phase = Phase.OPEN
        self._answer(framing.ack)

    def _is_last_record(self) -> bool:
        last = self._framing.last_record.encode("ascii", "replace")
        if not last:
            return True
        records = bytes(self._message[self._record_at :]).split(bytes((self._framing.record_end,)))
        return any(record.lstrip(b"\r\n").startswith(last) for record in records)

    def _sum(self) -> int:
        framing = self._framing
        counted = self._frame if framing.checksum_with_start or framing.start is None else self._frame[1:]
        kept = [byte for byte in counted if byte not in framing.uncounted]
        if framing.checksum == "xor8-hex":
            value = 0
            for byte in kept:
                value ^= byte
            return value
        return sum(kept) & (0xFFFF if framing.checksum == "sum16-hex" else 0xFF)

    def _spoil_frame(self, what: str) -> None:
        """A frame is no good: ask for it again where that can be asked."""
        self._frame.clear()
        self._check.clear()
        self._retries += 1
        if self._framing.nak is None or self._retries > self._framing.max_retries:
            self._break(f"sent text that {what}")
            return
        self._phase = Phase.OPEN
        self._answer(self._framing.nak)

    def _answer(self, code: int | None) -> None:
        if code is not None:
            self._events.append(Send(bytes((code,))))

    def _break(self, what: str, suggestion: str = _SEND_AGAIN) -> None:
        """Nothing of the message counts. A session that is only silent has nothing to be told of."""
        is_told = self._has_begun or self._phase is Phase.IDLE
        self._rest()
        if is_told:
            self._events.append(Broken(BadTransfer(f"The {self._name} {what}; nothing of it is kept.", suggestion)))

    def _leave_ended(self) -> None:
        if self._phase is not Phase.ENDED:
            raise RuntimeError("no message waits for an answer")

    def _take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events
