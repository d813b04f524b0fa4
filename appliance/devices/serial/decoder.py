"""The receiving half of XMODEM and YMODEM as a pure machine: bytes and moments in, events out; no line and no clock.

Which of the two it is, the number of the first block says: 1, or 0 for the header of a file in a batch.

What is stricter here than in most receivers, because a truncated image must never pass as whole:

- EOT counts only when it stands alone, and only after the sender has repeated it on a NAK;
- a payload is handed out before the last ACK: the sender hears that all is well after the caller has kept it;
- a file of a batch must be as long as its header said;
- every wait, every retry and every byte is bounded once a transfer has begun.
"""

from __future__ import annotations

from enum import Enum, auto

from appliance.base.errors import counted
from appliance.devices.errors import BadTransfer
from appliance.devices.serial.xmodem import (
    ACK,
    BLOCK_SIZES,
    CAN,
    CANCEL,
    EOT,
    NAK,
    Began,
    Broken,
    Check,
    Ended,
    Event,
    Invite,
    Progress,
    Send,
    TransferLimits,
)
from appliance.devices.serial.ymodem import FileHeader, file_from_payload, header_from_block


class Phase(Enum):
    """Where a receiver stands."""

    IDLE = auto()  # no transfer: inviting
    BLOCK = auto()  # a block has begun and is being collected
    ANSWERED = auto()  # waiting for the next block or the end
    END_SEEN = auto()  # an EOT came; does it stand alone?
    PURGING = auto()  # something was damaged: waiting for the line to be still before asking again
    ENDED = auto()  # the payload is with the caller


class XmodemDecoder:
    """One line's receiver, for any number of transfers after another.

    `feed` takes what arrived, `elapse` says that time has passed and nothing arrived; both give the events in order.
    `next_moment` is when `elapse` has something to do. Moments are seconds of a monotonic clock and never go back.
    """

    def __init__(self, limits: TransferLimits, name: str, now: float, kept_at: float | None = None) -> None:
        """`kept_at`: when a receiver before this one kept a payload, whose sender may still ask for its ACK."""
        self._limits = limits
        self._name = name
        self._acknowledged_at = kept_at
        self._polls = 0
        self._noise_at = float("-inf")  # the last byte that was no transfer's
        self._batch_at = kept_at  # the last word of a batch, whose end may still be told
        self._files = 0  # of the batch that is going on, begun so far
        self._is_more_due = False  # the last of them said that there are more
        self._rest(now, next_poll=now)

    def _rest(self, now: float, next_poll: float) -> None:
        self._phase = Phase.IDLE
        self._buffer = bytearray()
        self._payload = bytearray()
        self._events: list[Event] = []
        self._heard_at = now  # the last byte of any kind
        self._answered_at = now
        self._acked_at = now
        self._phase_at = now  # when the block, or the purge, began
        self._start_at: float | None = None  # when the byte came that may be the first of a transfer
        self._began_at = now
        self._has_begun = False
        self._header: FileHeader | None = None
        self._next_poll = next_poll
        self._check = Check.CRC
        self._is_check_known = False
        self._expected = 1
        self._retries = 0
        self._garbage = 0
        self._has_end = False  # one EOT was answered with a NAK

    @property
    def phase(self) -> Phase:
        return self._phase

    @property
    def has_begun(self) -> bool:
        """True from a transfer's `Began` until it is over: a batch's header may still say that there is no file."""
        return self._has_begun

    @property
    def received(self) -> int:
        """Bytes of the payload accepted so far."""
        return len(self._payload)

    def feed(self, data: bytes, now: float) -> list[Event]:
        """Take what arrived at `now`."""
        if not data:
            return self.elapse(now)
        if self._phase is Phase.IDLE and not self._buffer and now - self._heard_at >= self._limits.answer:
            self._garbage = 0
        self._heard_at = now
        self._buffer += data
        if not self._is_overdue(now):
            self._digest(now)
        return self._take_events()

    def elapse(self, now: float) -> list[Event]:
        """Nothing arrived until `now`."""
        limits, quiet = self._limits, now - self._heard_at
        if self._phase is Phase.IDLE:
            self._elapse_idle(now, quiet)
        elif self._phase is Phase.ENDED or self._is_overdue(now):
            pass
        elif self._phase is Phase.END_SEEN:
            if quiet >= limits.quiet:
                self._accept_end(now)
        elif self._phase is Phase.PURGING:
            if quiet >= limits.quiet:
                self._ask_again(now)
        elif self._phase is Phase.BLOCK:
            if quiet >= limits.byte_gap and not self._accept_as_checksum(now):
                self._ask_again(now)
        elif quiet >= limits.silence and now - self._answered_at >= limits.answer:
            self._break("did not confirm the end of its transfer" if self._has_end else "broke off its transfer", now)
        elif now - self._answered_at >= limits.answer:
            self._ask_again(now)
        return self._take_events()

    def next_moment(self) -> float:
        """When `elapse` should be called if nothing arrives before; infinite when it need not be."""
        limits, heard = self._limits, self._heard_at
        if self._phase is Phase.ENDED:
            return float("inf")
        if self._phase is Phase.IDLE:
            return max(self._next_poll, heard + limits.quiet) if not self._buffer else heard + self._idle_gap()
        overall = self._began_at + limits.total
        if self._phase in (Phase.END_SEEN, Phase.PURGING):
            return min(overall, heard + limits.quiet)
        if self._phase is Phase.BLOCK:
            return min(overall, heard + limits.byte_gap, self._phase_at + limits.block)
        return min(overall, self._answered_at + limits.answer)

    def acknowledge(self, now: float) -> list[Event]:
        """The payload is safe: tell the sender so, and wait for the next transfer, or the next file of the batch."""
        self._leave_ended()
        is_batch = self._header is not None
        self._rest(now, next_poll=now + self._limits.poll)
        self._acknowledged_at = now
        self._batch_at = now if is_batch else None
        # A batch goes on with an invitation; one that is only offered could push the ACK off the line.
        return [Send(bytes((ACK,)) + (Check.CRC.invitation if is_batch else b""))]

    def refuse(self, now: float) -> list[Event]:
        """The payload was not kept: let the sender fail, with all of its batch."""
        self._leave_ended()
        self.abandon(now)
        return [Send(CANCEL)]

    def abandon(self, now: float) -> None:
        """Forget what was going on; a transfer that had begun is lost. The caller sends CANCEL if it can."""
        self._rest(now, next_poll=now + self._limits.poll)
        self._acknowledged_at = None
        self._leave_batch()

    # -- idle ----------------------------------------------------------------------------------------------------------

    def _elapse_idle(self, now: float, quiet: float) -> None:
        if self._buffer:
            if quiet < self._idle_gap():
                return
            if self._is_only_ends():
                # Only an EOT of the transfer that we acknowledged is acknowledged again. Any other belongs to a
                # transfer that nobody kept, perhaps because this program was started anew in the middle of it.
                known = self._acknowledged_at is not None and (
                    now - self._acknowledged_at <= self._limits.repeat_window
                )
                self._events.append(Send(bytes((ACK,)) if known else CANCEL))
                self._next_poll = now + self._limits.poll
            self._buffer.clear()
            self._start_at = None
        if self._files and quiet >= self._limits.silence:
            if self._is_more_due:
                self._break(f"broke off its batch after {counted(self._files, 'file')}", now, counted=False)
                return
            self._leave_batch()
        if now >= self._next_poll and quiet >= self._limits.quiet:
            self._check = self._limits.polls[self._polls % len(self._limits.polls)]
            self._polls += 1
            self._next_poll = now + self._limits.poll
            self._events.append(Invite(self._check.invitation))

    def _is_only_ends(self) -> bool:
        """True for a few EOTs and nothing else; a line that is stuck at EOT is noise."""
        return len(self._buffer) <= 16 and self._buffer.count(EOT) == len(self._buffer)

    def _idle_gap(self) -> float:
        """An EOT must stand alone for `quiet`; a block's beginning may come as slowly as its bytes may."""
        return self._limits.byte_gap if self._start_at is not None else self._limits.quiet

    def _digest_idle(self, now: float) -> None:
        """Look for the beginning of block 1. Other bytes are noise, or what a machine prints while it boots.

        An EOT right behind noise is noise too: a block whose mark was damaged may end in a check that looks like one.
        """
        buffer = self._buffer
        if self._files and buffer[:2] == CANCEL:
            self._break(f"cancelled its batch after {counted(self._files, 'file')}", now, counted=False)
            return
        while buffer:
            if self._is_only_ends() and now - self._noise_at >= self._limits.quiet:
                return
            if buffer[0] not in BLOCK_SIZES:
                self._skip_noise(now)
                continue
            if self._start_at is None:
                self._start_at = now
            if len(buffer) < 3:
                return
            if buffer[1] in (0, 1) and buffer[1] + buffer[2] == 0xFF:
                self._began_at = self._phase_at = self._start_at
                self._garbage = 0
                self._acknowledged_at = None
                self._phase = Phase.BLOCK
                self._expected = buffer[1]
                if self._expected == 1:
                    self._leave_batch()
                    self._begin()
                return
            if self._garbage == 0 and buffer[1] + buffer[2] == 0xFF:
                self._break("was in the middle of a transfer whose beginning was missed", now)
                return
            self._skip_noise(now)
        if self._garbage > self._limits.max_garbage:
            self._break("sends bytes that are no XMODEM transfer", now, "Check the line's speed and the protocol.")

    def _skip_noise(self, now: float) -> None:
        del self._buffer[0]
        self._start_at = None
        self._garbage += 1
        self._noise_at = now

    def _begin(self) -> None:
        self._has_begun = True
        self._events.append(Began(self._began_at, is_next=self._files > 1))

    def _leave_batch(self) -> None:
        self._files, self._is_more_due = 0, False

    # -- a transfer ----------------------------------------------------------------------------------------------------

    def _digest(self, now: float) -> None:
        """Go on as long as the buffer holds something that can be judged."""
        if self._phase is Phase.IDLE:
            self._digest_idle(now)
        while self._buffer:
            if self._phase is Phase.BLOCK:
                if not self._digest_block(now):
                    return
            elif self._phase is Phase.ANSWERED:
                if not self._digest_header(now):
                    return
            elif self._phase is Phase.END_SEEN:
                if self._is_only_ends():
                    return
                self._begin_purge(now)
            else:
                if self._phase is not Phase.IDLE:  # the beginning of the next transfer, if it is one, stays
                    self._garbage += len(self._buffer)
                    self._buffer.clear()
                if self._phase is Phase.PURGING and self._garbage > self._limits.max_garbage:
                    self._break("sends more than its blocks", now, "Check the line's speed and its cable.")
                return

    def _digest_header(self, now: float) -> bool:
        first = self._buffer[0]
        if first in BLOCK_SIZES:
            self._phase, self._phase_at = Phase.BLOCK, now
        elif first == EOT:
            self._phase = Phase.END_SEEN
        elif first == CAN:
            if len(self._buffer) == 1:
                return False
            if self._buffer[1] == CAN:
                self._break("cancelled its transfer", now)
                return False
            self._begin_purge(now)
        else:
            self._begin_purge(now)
        return True

    def _digest_block(self, now: float) -> bool:
        """False when more bytes are needed. A block is a mark, its number, 255 - number, the data, and the check."""
        buffer = self._buffer
        if len(buffer) >= 3 and buffer[1] + buffer[2] != 0xFF:
            self._begin_purge(now)
            return True
        size = 3 + BLOCK_SIZES[buffer[0]]
        if len(buffer) < size + self._check.size:
            return False
        data = bytes(buffer[3:size])
        check = self._check
        is_good = buffer[size : size + check.size] == check.bytes_for(data)
        if not self._is_check_known and check is Check.CHECKSUM:
            # The sender may have begun on the invitation before the last one, and send a CRC.
            if len(buffer) >= size + 2 and buffer[size : size + 2] == Check.CRC.bytes_for(data):
                check, is_good = Check.CRC, True
            elif not is_good and len(buffer) < size + 2:
                return False
        if is_good:
            self._accept_block(data, check, now)
        else:
            self._begin_purge(now)
        return True

    def _accept_as_checksum(self, now: float) -> bool:
        """A first block that stopped one byte short of a CRC comes from a sender that knows only checksums."""
        if self._is_check_known or self._check is not Check.CRC:
            return False
        size = 3 + BLOCK_SIZES[self._buffer[0]]
        data = bytes(self._buffer[3:size])
        if len(self._buffer) != size + 1 or self._buffer[size:] != Check.CHECKSUM.bytes_for(data):
            return False
        self._accept_block(data, Check.CHECKSUM, now)
        return True

    def _accept_block(self, data: bytes, check: Check, now: float) -> None:
        number = self._buffer[1]
        del self._buffer[: 3 + len(data) + check.size]
        if self._buffer and self._buffer[0] not in BLOCK_SIZES:
            self._buffer.clear()  # noise behind a good block
        self._phase = Phase.ANSWERED
        if number == self._expected == 0 and not self._payload:
            self._accept_header(data, check, now)
        elif number == self._expected:
            if len(self._payload) + len(data) > self._limits.max_bytes:
                self._break(
                    f"sends more than the {self._limits.max_bytes:,} bytes that are accepted", now, "", counted=False
                )
                return
            self._payload += data
            self._expected = (number + 1) & 0xFF
            self._check, self._is_check_known = check, True
            self._retries = self._garbage = 0
            self._has_end = False
            self._answer(ACK, now)
            self._acked_at = now
            self._events.append(Progress(len(self._payload)))
        elif number == (self._expected - 1) & 0xFF and (self._payload or self._header):
            self._accept_duplicate(now)
        else:
            self._break("lost its place in its transfer", now)

    def _accept_header(self, data: bytes, check: Check, now: float) -> None:
        """Block 0: another file of the batch, or the batch's end."""
        try:
            header = header_from_block(data)
        except ValueError:
            self._break("sent a file's header that cannot be read", now, counted=False)
            return
        limits = self._limits
        if header.is_end_of_batch:
            if self._batch_at is None or now - self._batch_at > limits.repeat_window:
                # Not the end of a batch that was received here: a black part of an image is as empty.
                self._break("was in the middle of a transfer whose beginning was missed", now, counted=False)
                return
            self._rest(now, next_poll=now + limits.poll)
            self._leave_batch()
            self._events.append(Send(bytes((ACK,))))
            return
        if header.size is not None and header.size > limits.max_bytes:
            what = f"announced {header.size:,} bytes; at most {limits.max_bytes:,} are accepted"
            self._break(what, now, "", counted=False)
            return
        if self._files == limits.max_files:
            self._break(f"sends more than {limits.max_files:,} files at a time", now, "", counted=False)
            return
        self._header, self._is_more_due = header, header.has_more_behind
        self._files += 1
        self._expected = 1
        self._check, self._is_check_known = check, True
        self._retries = self._garbage = 0
        self._answer_header(now)
        self._begin()

    def _answer_header(self, now: float) -> None:
        self._answer(ACK, now)
        self._events.append(Send(Check.CRC.invitation))
        self._acked_at = now

    def _accept_duplicate(self, now: float) -> None:
        """The last block again: the sender has not heard our ACK, so it is given again.

        When the block began right behind our ACK, then that ACK is still on its way to the sender, who has repeated the
        block for a reason of its own. Two ACKs for one block would stay one too many until the end, where the sender
        would take the second for the answer to its EOT.
        """
        self._has_end = False
        self._retries += 1
        if self._retries > self._limits.max_retries:
            self._break("repeats the same block again and again", now)
        elif self._phase_at - self._acked_at >= self._limits.quiet:
            if self._header is not None and not self._payload:
                self._answer_header(now)
                return
            self._answer(ACK, now)
            self._acked_at = now
        else:
            self._answered_at = now

    def _accept_end(self, now: float) -> None:
        """An EOT stood alone. The first is questioned: noise makes an EOT once, a sender repeats it."""
        self._buffer.clear()
        if not self._has_end:
            self._has_end = True
            self._retries = 0
            self._phase = Phase.ANSWERED
            self._answer(NAK, now)
            return
        payload, header = bytes(self._payload), self._header
        if header is not None:
            try:
                payload = file_from_payload(payload, header, max(BLOCK_SIZES.values()))
            except ValueError as error:
                self._break(str(error), now, counted=False)
                return
        elif not payload:
            self._break("ended its transfer without sending anything", now, counted=False)
            return
        self._phase = Phase.ENDED
        self._events.append(Ended(payload, is_batch=header is not None))

    def _begin_purge(self, now: float) -> None:
        """Damaged. Data may look like any mark, so nothing is read as one before the line has been still."""
        self._phase, self._phase_at = Phase.PURGING, now

    def _ask_again(self, now: float) -> None:
        self._buffer.clear()
        self._retries += 1
        if self._retries > self._limits.max_retries:
            self._break("sent the same block damaged again and again", now, "Check the line's speed and its cable.")
            return
        self._phase = Phase.ANSWERED
        # Until the first block is accepted, 'C' is the NAK of a receiver that wants a CRC.
        wants_crc = not self._payload and self._check is Check.CRC and not self._has_end
        self._answer(Check.CRC.invitation[0] if wants_crc else NAK, now)

    def _answer(self, code: int, now: float) -> None:
        self._events.append(Send(bytes((code,))))
        self._answered_at = now

    def _is_overdue(self, now: float) -> bool:
        """True when the transfer, or its block, took too long; then it has been dealt with."""
        if self._phase in (Phase.IDLE, Phase.ENDED):
            return False
        if now - self._began_at > self._limits.total:
            self._break(f"took longer than {self._limits.total:g} s for its transfer", now)
            return True
        if self._phase in (Phase.BLOCK, Phase.PURGING) and now - self._phase_at > self._limits.block:
            self._break(f"took longer than {self._limits.block:g} s for one block of its transfer", now)
            return True
        return False

    def _break(
        self, what: str, now: float, suggestion: str = "Send the image once more.", counted: bool = True
    ) -> None:
        is_transfer = self._phase is not Phase.IDLE
        count = f" after {len(self._payload):,} bytes" if counted and is_transfer else ""
        events = self._events
        self.abandon(now)
        self._events = [*events, Broken(BadTransfer(f"The {self._name} {what}{count}.", suggestion))]

    def _leave_ended(self) -> None:
        if self._phase is not Phase.ENDED:
            raise RuntimeError("no transfer waits for an answer")

    def _take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events
