"""XMODEM and YMODEM over a serial line: the loop that moves bytes and time between a line and the pure decoder."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from appliance.base.clock import Clock, Deadline
from appliance.devices.errors import BadTransfer, DeviceGone
from appliance.devices.serial.decoder import Phase, XmodemDecoder
from appliance.devices.serial.xmodem import (
    CANCEL,
    Began,
    Broken,
    Ended,
    Event,
    Invite,
    Progress,
    Send,
    TransferLimits,
)

# The longest the loop stays in one read: how late it may notice that somebody wants it to stop.
_SLICE = 0.2
_WRITE_SECONDS = 5.0
_PURGE_SECONDS = 1.0


class ByteLine(Protocol):
    """What the receiver needs of a line; `SerialLine` is one."""

    @property
    def name(self) -> str: ...

    def read(self, seconds: float) -> bytes: ...

    def write(self, data: bytes, deadline: Deadline) -> None: ...

    def offer(self, data: bytes) -> None: ...

    def purge(self, quiet: float, deadline: Deadline) -> int: ...


class Transfer:
    """A payload that has arrived whole; its sender waits for exactly one of `acknowledge` and `refuse`.

    `payload` still has the padding of the last block, except where the header of a batch's file said how long it is;
    such a file may also be empty. `started_at` is the moment of the first byte (monotonic seconds).
    """

    def __init__(self, receiver: XmodemReceiver, payload: bytes, started_at: float, *, is_batch: bool = False) -> None:
        self.payload = payload
        self.started_at = started_at
        self.is_batch = is_batch
        self._receiver = receiver

    def acknowledge(self) -> None:
        """The payload is durable: let the sender succeed. Raises DeviceGone or DeviceTimeout; what is kept stays so."""
        self._receiver.answer_transfer(accepted=True)

    def refuse(self) -> None:
        """The payload was not kept: let the sender fail. Raises as `acknowledge`."""
        self._receiver.answer_transfer(accepted=False)


class XmodemReceiver:
    """The receiving end of one open line. Used by one thread:

        while not stop.is_set():
            if receiver.wait_for_sender(stop, 0.5, on_first_byte):
                transfer = receiver.receive_transfer(on_progress, stop)
                ... publish transfer.payload durably ...
                transfer.acknowledge()

    Both calls raise BadTransfer for a transfer that failed; the receiver then waits for the next one. After DeviceGone
    the line must be opened again and given to a new receiver; `kept_at` tells that one when the last payload was kept,
    in case its sender never heard the ACK and still repeats its EOT.
    """

    def __init__(
        self, line: ByteLine, clock: Clock, limits: TransferLimits | None = None, kept_at: float | None = None
    ) -> None:
        self._line = line
        self._clock = clock
        self._limits = limits if limits is not None else TransferLimits()
        self._decoder = XmodemDecoder(self._limits, line.name, clock.monotonic(), kept_at)
        self._started_at = 0.0
        self._is_next = False
        self._ended: Ended | None = None

    @property
    def is_next_of_batch(self) -> bool:
        """True when the transfer that began last is not the first file of its batch."""
        return self._is_next

    def wait_for_sender(
        self, stop: threading.Event, seconds: float = 0.5, on_first_byte: Callable[[float], None] | None = None
    ) -> bool:
        """Invite a sender, for `seconds` at most; true when a transfer has begun, which `receive_transfer` then takes.

        `on_first_byte` is called at once with the moment of the first byte, before anything else is read. An EOT that
        the sender of the last transfer repeats is acknowledged here. Raises BadTransfer for what looks like a transfer
        and cannot be received, DeviceGone when the line vanished.
        """
        deadline = Deadline.after(self._clock, seconds)
        while not self._decoder.has_begun:
            if stop.is_set() or deadline.is_over():
                return False
            self._turn(deadline.remaining(), on_first_byte, None)
        return True

    def receive_transfer(
        self, on_progress: Callable[[int], None] | None = None, stop: threading.Event | None = None
    ) -> Transfer:
        """Take the transfer that has begun; `on_progress` hears the bytes accepted so far.

        Ends by the limits in any case. Raises BadTransfer when the transfer failed or `stop` was set (the sender has
        been cancelled and may try again), DeviceGone or DeviceTimeout when the line failed.
        """
        if not self._decoder.has_begun or self._decoder.phase is Phase.ENDED:
            raise RuntimeError("no transfer has begun")
        try:
            if on_progress is not None and self._decoder.received:
                on_progress(self._decoder.received)  # a first block that arrived in one piece with its beginning
            while self._ended is None:
                if stop is not None and stop.is_set():
                    self._cancel()
                    raise BadTransfer(
                        f"The transfer from the {self._line.name} was stopped at the box.", "Send the image once more."
                    )
                self._turn(_SLICE, None, on_progress)
        except BaseException:
            self._decoder.abandon(self._clock.monotonic())
            raise
        ended, self._ended = self._ended, None
        return Transfer(self, ended.payload, self._started_at, is_batch=ended.is_batch)

    def answer_transfer(self, accepted: bool) -> None:
        """What `Transfer.acknowledge` and `Transfer.refuse` call."""
        # EOTs that the sender repeated meanwhile ask for this same answer. More than one answer to them would be taken
        # for answers to the next transfer.
        self._decoder.feed(self._line.read(0), self._clock.monotonic())
        now = self._clock.monotonic()
        for event in self._decoder.acknowledge(now) if accepted else self._decoder.refuse(now):
            self._act(event, None, None)

    def _turn(
        self, seconds: float, on_first_byte: Callable[[float], None] | None, on_progress: Callable[[int], None] | None
    ) -> None:
        """Read once, tell the decoder, do what it says."""
        until_moment = self._decoder.next_moment() - self._clock.monotonic()
        data = self._line.read(max(0.0, min(seconds, _SLICE, until_moment)))
        for event in self._decoder.feed(data, self._clock.monotonic()):
            self._act(event, on_first_byte, on_progress)

    def _act(
        self,
        event: Event,
        on_first_byte: Callable[[float], None] | None,
        on_progress: Callable[[int], None] | None,
    ) -> None:
        match event:
            case Send(data):
                self._line.write(data, Deadline.after(self._clock, _WRITE_SECONDS))
            case Invite(data):
                self._line.offer(data)
            case Began(at, is_next):
                self._started_at, self._is_next = at, is_next
                if on_first_byte is not None:
                    on_first_byte(at)
            case Progress(received):
                if on_progress is not None:
                    on_progress(received)
            case Ended():
                self._ended = event
            case Broken(error):
                self._cancel()
                raise error

    def _cancel(self) -> None:
        """Let the line come to rest and tell the sender that it failed, as far as the line is still there."""
        try:
            self._line.purge(self._limits.quiet, Deadline.after(self._clock, _PURGE_SECONDS))
            self._line.offer(CANCEL)
        except DeviceGone:
            # How the transfer ended is the news; that the line is gone is what the next call finds.
            return
