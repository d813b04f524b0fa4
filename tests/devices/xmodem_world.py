"""A sender, a receiver and the line between them in a time that is turned by hand: nothing here waits."""

from __future__ import annotations

import binascii
from collections.abc import Callable
from dataclasses import dataclass, field

from appliance.devices.errors import BadTransfer
from appliance.devices.serial.decoder import Phase, XmodemDecoder
from appliance.devices.serial.xmodem import Began, Broken, Ended, Event, Invite, Progress, Send, TransferLimits

SOH, STX, EOT, ACK, NAK, CAN = b"\x01", b"\x02", b"\x04", b"\x06", b"\x15", b"\x18"
LIMITS = TransferLimits()


def block(number: int, data: bytes, checksum: bool = False) -> bytes:
    """One block by the book: mark, number, 255 - number, 128 or 1024 bytes, sum or CRC."""
    mark = STX if len(data) == 1024 else SOH
    check = bytes((sum(data) % 256,)) if checksum else binascii.crc_hqx(data, 0).to_bytes(2, "big")
    return mark + bytes((number % 256, 255 - number % 256)) + data + check


def padded(data: bytes, size: int) -> bytes:
    return data + b"\x1a" * (-len(data) % size)


@dataclass
class Bench:
    """A decoder that is fed by hand; `said` collects what it sent, `broken` how transfers failed."""

    limits: TransferLimits = LIMITS
    now: float = 1000.0
    said: bytearray = field(default_factory=bytearray)
    began: list[float] = field(default_factory=list)
    is_next: list[bool] = field(default_factory=list)
    progress: list[int] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    broken: list[BadTransfer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.decoder = XmodemDecoder(self.limits, "ultrasound", self.now)

    def feed(self, data: bytes, after: float = 0.01) -> bytes:
        """Let `after` seconds pass, then `data` arrive; what was said because of both."""
        self.wait(after)
        mark = len(self.said)
        self._note(self.decoder.feed(data, self.now))
        return bytes(self.said[mark:])

    def wait(self, seconds: float) -> bytes:
        """Let time pass in silence, moment by moment as the loop does; what was said meanwhile."""
        mark, end = len(self.said), self.now + seconds
        for _ in range(10_000):
            moment = max(self.now, self.decoder.next_moment())
            if moment > end:
                break
            self.now = moment + 1e-6
            self._note(self.decoder.elapse(self.now))
        else:
            raise AssertionError("the decoder does not let time pass")
        self.now = max(self.now, end)
        return bytes(self.said[mark:])

    def acknowledge(self) -> bytes:
        mark = len(self.said)
        self._note(self.decoder.acknowledge(self.now))
        return bytes(self.said[mark:])

    def refuse(self) -> bytes:
        mark = len(self.said)
        self._note(self.decoder.refuse(self.now))
        return bytes(self.said[mark:])

    def start(self, checksum: bool = False) -> None:
        """Wait for the invitation that a sender of this kind answers."""
        for _ in range(10):
            if self.wait(3.0).endswith(NAK if checksum else b"C"):
                return
        raise AssertionError("no invitation came")

    def _note(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case Send(data) | Invite(data):
                    self.said += data
                case Began(at, is_next):
                    self.began.append(at)
                    self.is_next.append(is_next)
                case Progress(received):
                    self.progress.append(received)
                case Ended(payload):
                    self.payloads.append(payload)
                case Broken(error):
                    self.broken.append(error)


@dataclass
class ModelSender:
    """A sender by the book: waits for an invitation, repeats what was not acknowledged, gives up after ten tries."""

    data: bytes
    size: int
    checksum: bool = False
    discards: bool = True  # throws away what arrived before it sends, as most do
    waits_since: float = 0.0
    tries: int = 0
    position: int = -1  # -1 before the invitation; len(blocks) at the end
    outcome: bool | None = None

    def __post_init__(self) -> None:
        whole = padded(self.data, self.size)
        pieces = [whole[i : i + self.size] for i in range(0, len(whole), self.size)]
        self.units = [block(i + 1, piece, self.checksum) for i, piece in enumerate(pieces)] + [EOT]
        self._inbox = bytearray()

    def step(self, received: bytes, now: float) -> bytes:
        """What is sent because of `received` at `now`."""
        self._inbox += received
        out = b""
        while self.outcome is None:
            if self.position < 0:
                wanted = NAK if self.checksum else b"C"
                if wanted in self._inbox:
                    del self._inbox[: self._inbox.index(wanted) + 1]
                    self.position, self.tries = 0, 0
                    out += self._send(now)
                elif now - self.waits_since > 60:
                    self.outcome = False
                return out
            if self._inbox:
                answer = bytes(self._inbox[:1])
                if self._inbox[:2] == CAN * 2:
                    self.outcome = False
                    return out
                del self._inbox[0]
                if answer == ACK:
                    self.position += 1
                    self.tries = 0
                    if self.position == len(self.units):
                        self.outcome = True
                        return out
                out += self._send(now)
            elif now - self.waits_since >= 10:
                out += self._send(now)
            else:
                return out
        return out

    def _send(self, now: float) -> bytes:
        self.tries += 1
        if self.tries > 10:
            self.outcome = False
            return b""
        if self.discards:
            self._inbox.clear()
        self.waits_since = now
        return self.units[self.position]


class ModelBatch:
    """A YMODEM sender by the book: each file is a header on an invitation, its blocks on another; then an empty header.

    `files` are names, contents and whether the length is told. What was not acknowledged is repeated ten times.
    """

    def __init__(self, files: list[tuple[bytes, bytes, bool]], size: int = 1024) -> None:
        self.waits_since = 0.0
        self.outcome: bool | None = None
        self.files_done = 0
        self._inbox = bytearray()
        self._tries = 0
        self._position = 0
        # What is sent, and whether an invitation must come before it.
        self._units: list[tuple[bytes, bool]] = []
        for number, (name, data, is_told) in enumerate(files):
            length = b"%d 0 0 0 %d" % (len(data), len(files) - number) if is_told else b""
            self._units.append((block(0, (name + b"\0" + length).ljust(128, b"\0")), True))
            whole = padded(data, size)
            for index in range(0, len(whole), size):
                self._units.append((block(index // size + 1, whole[index : index + size]), index == 0))
            self._units.append((EOT, not whole))
        self._units.append((block(0, bytes(128)), True))
        self._is_invited = False

    def step(self, received: bytes, now: float) -> bytes:
        """What is sent because of `received` at `now`."""
        self._inbox += received
        out = b""
        while self.outcome is None:
            unit, needs_invitation = self._units[self._position]
            if needs_invitation and not self._is_invited:
                if CAN * 2 in self._inbox:
                    self.outcome = False
                elif b"C" in self._inbox:
                    del self._inbox[: self._inbox.index(b"C") + 1]
                    self._is_invited, self._tries = True, 0
                    out += self._send(unit, now)
                    continue
                elif now - self.waits_since > 60:
                    self.outcome = False
                return out
            if self._inbox[:2] == CAN * 2:
                self.outcome = False
            elif self._inbox:
                answer = bytes(self._inbox[:1])
                del self._inbox[0]
                if answer != ACK:
                    out += self._send(unit, now)
                    continue
                self._position += 1
                self._is_invited, self._tries = False, 0
                self.files_done += unit == EOT
                if self._position == len(self._units):
                    self.outcome = True
                elif not self._units[self._position][1]:
                    out += self._send(self._units[self._position][0], now)
            elif now - self.waits_since >= 10:
                out += self._send(unit, now)
            else:
                return out
        return out

    def _send(self, unit: bytes, now: float) -> bytes:
        self._tries += 1
        if self._tries > 10:
            self.outcome = False
            return b""
        self.waits_since = now
        return unit


@dataclass
class World:
    """Runs a sender against a decoder until both are done; `spoil` may change whatever crosses the line."""

    sender: ModelSender | ModelBatch
    bench: Bench
    spoil_forth: Callable[[int, bytes], list[tuple[float, bytes]]] = lambda _index, data: [(0.0, data)]
    spoil_back: Callable[[int, bytes], bytes] = lambda _index, data: data

    def run(self, seconds: float = 4000.0) -> None:
        bench, sender = self.bench, self.sender
        sender.waits_since = bench.now
        end = bench.now + seconds
        back_index = forth_index = seen = 0
        on_the_way: list[tuple[float, bytes]] = []
        for _ in range(60_000):
            fresh = bytes(bench.said[seen:])
            seen = len(bench.said)
            arriving = bytearray()
            for code in fresh:
                arriving += self.spoil_back(back_index, bytes((code,)))
                back_index += 1
            sent = sender.step(bytes(arriving), bench.now)
            if sent:
                at = bench.now + 0.001
                for delay, piece in self.spoil_forth(forth_index, sent):
                    at += delay
                    on_the_way.append((at, piece))
                forth_index += 1
            if on_the_way:
                at, piece = on_the_way.pop(0)
                bench.feed(piece, max(0.001, at - bench.now))
            elif len(bench.said) == seen:
                bench.wait(0.25)
            if bench.decoder.phase is Phase.ENDED:
                bench.acknowledge()
            if sender.outcome is not None and bench.decoder.phase is Phase.IDLE and not on_the_way:
                return
            assert bench.now < end, "sender and receiver did not come to an end"
        raise AssertionError("sender and receiver did not come to an end")
