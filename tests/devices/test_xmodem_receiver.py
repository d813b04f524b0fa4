"""XMODEM and YMODEM over a real pty, lrzsz's `sx` and `sb` as senders where some are wanted that are not ours."""

from __future__ import annotations

import hashlib
import os
import select
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.base.clock import SystemClock
from appliance.devices.errors import BadTransfer, DeviceGone
from appliance.devices.serial.receiver import Transfer, XmodemReceiver
from appliance.devices.serial.xmodem import Check, TransferLimits
from tests.devices.conftest import Pair
from tests.devices.xmodem_world import ACK, CAN, EOT, NAK, block, padded

# Short where only this test waits; what a loaded computer may stretch stays long.
QUICK = TransferLimits(poll=0.5, quiet=0.2, answer=2.0, silence=4.0, byte_gap=1.0)
DEADLINE = 60.0


class Far:
    """The machine's end of the line, played by the test."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def await_code(self, code: bytes) -> None:
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            if os.read(self._descriptor, 1) == code:
                return
        raise AssertionError(f"{code!r} did not come")

    def send(self, data: bytes, answer: bytes | None = None) -> None:
        os.write(self._descriptor, data)
        if answer is not None:
            self.await_code(answer)


def receive(receiver: XmodemReceiver, on_first_byte: Callable[[float], None] | None = None) -> Transfer:
    stop = threading.Event()
    end = time.monotonic() + DEADLINE
    while not receiver.wait_for_sender(stop, 0.2, on_first_byte):
        assert time.monotonic() < end, "no transfer began"
    return receiver.receive_transfer()


def in_background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("options", "polls", "block_size"),
    [
        pytest.param([], (Check.CRC,), 128, id="crc"),
        pytest.param(["-k"], (Check.CRC,), 1024, id="1k"),
        pytest.param([], (Check.CHECKSUM,), 128, id="checksum"),
        pytest.param(["-k"], (Check.CRC, Check.CHECKSUM), 1024, id="1k, both invited"),
    ],
)
def test_ok__sx_sends_and_succeeds_only_after_our_acknowledgement(
    *, pair: Pair, clock: SystemClock, tmp_path: Path, options: list[str], polls: tuple[Check, ...], block_size: int
) -> None:
    data = os.urandom(20_000)
    file = tmp_path / "picture"
    file.write_bytes(data)
    receiver = XmodemReceiver(pair.line, clock, replace(QUICK, polls=polls, answer=5.0, silence=20.0))
    moments: list[float] = []
    before = clock.monotonic()
    sender = subprocess.Popen(
        ["sx", "-q", *options, str(file)], stdin=pair.far, stdout=pair.far, stderr=subprocess.DEVNULL
    )
    try:
        transfer = receive(receiver, moments.append)
        # sx fills the last block with 1A, and sends a short remainder in 128-byte blocks even with -k.
        assert transfer.payload[:20_000] == data
        assert set(transfer.payload[20_000:]) <= {0x1A}
        assert len(transfer.payload) - 20_000 < block_size
        assert moments == [transfer.started_at]
        assert before <= transfer.started_at <= clock.monotonic()
        time.sleep(0.3)
        assert sender.poll() is None, "sx ended before it was acknowledged"
        transfer.acknowledge()
        assert sender.wait(DEADLINE) == 0
    finally:
        sender.kill()
        sender.wait()


@pytest.mark.parametrize("options", [[], ["-k"]])
def test_ok__sb_sends_a_batch_and_every_file_arrives_as_it_is(
    pair: Pair, clock: SystemClock, tmp_path: Path, options: list[str]
) -> None:
    # The last block full, nearly empty, no block at all; a name as long as the file system allows.
    contents = [os.urandom(8192), os.urandom(1025), b"", os.urandom(300)]
    names = ["one", "two.bmp", "three", "n" * 120]
    for name, content in zip(names, contents, strict=True):
        (tmp_path / name).write_bytes(content)
    receiver = XmodemReceiver(pair.line, clock, replace(QUICK, answer=5.0, silence=20.0))
    sender = subprocess.Popen(
        ["sb", "-q", *options, *(str(tmp_path / name) for name in names)],
        stdin=pair.far,
        stdout=pair.far,
        stderr=subprocess.DEVNULL,
    )
    received, places = [], []
    try:
        for _ in contents:
            transfer = receive(receiver)
            assert sender.poll() is None, "sb ended before it was acknowledged"
            assert transfer.is_batch
            received.append(transfer.payload)
            places.append(receiver.is_next_of_batch)
            transfer.acknowledge()
        stop, end = threading.Event(), time.monotonic() + DEADLINE
        while sender.poll() is None and time.monotonic() < end:
            assert not receiver.wait_for_sender(stop, 0.2)
        assert sender.returncode == 0
        assert received == contents
        assert places == [False, True, True, True]
    finally:
        sender.kill()
        sender.wait()


def test_fail__sb_fails_when_a_file_is_refused(pair: Pair, clock: SystemClock, tmp_path: Path) -> None:
    files = [tmp_path / "one", tmp_path / "two"]
    for file in files:
        file.write_bytes(os.urandom(3000))
    receiver = XmodemReceiver(pair.line, clock, QUICK)
    sender = subprocess.Popen(
        ["sb", "-q", *map(str, files)], stdin=pair.far, stdout=pair.far, stderr=subprocess.DEVNULL
    )
    try:
        receive(receiver).acknowledge()
        receive(receiver).refuse()
        stop, end = threading.Event(), time.monotonic() + DEADLINE
        while sender.poll() is None and time.monotonic() < end:
            assert not receiver.wait_for_sender(stop, 0.2)
        assert sender.returncode not in (None, 0)
    finally:
        sender.kill()
        sender.wait()


def test_fail__sx_fails_when_the_payload_is_refused(pair: Pair, clock: SystemClock, tmp_path: Path) -> None:
    file = tmp_path / "picture"
    file.write_bytes(bytes(1000))
    receiver = XmodemReceiver(pair.line, clock, QUICK)
    sender = subprocess.Popen(["sx", "-q", str(file)], stdin=pair.far, stdout=pair.far, stderr=subprocess.DEVNULL)
    try:
        receive(receiver).refuse()
        stop, end = threading.Event(), time.monotonic() + DEADLINE
        while sender.poll() is None and time.monotonic() < end:  # it repeats its EOT, and is cancelled each time
            receiver.wait_for_sender(stop, 0.2)
        assert sender.returncode not in (None, 0)
    finally:
        sender.kill()
        sender.wait()


def test_fail__sx_is_killed_in_the_middle_and_the_next_transfer_succeeds(
    pair: Pair, clock: SystemClock, tmp_path: Path
) -> None:
    data = os.urandom(400_000)
    file = tmp_path / "picture"
    file.write_bytes(data)
    receiver = XmodemReceiver(pair.line, clock, QUICK)
    stop = threading.Event()

    def start() -> subprocess.Popen[bytes]:
        while select.select([pair.far], [], [], 0)[0]:  # a real line keeps nothing for a machine that is off
            os.read(pair.far, 4096)
        return subprocess.Popen(
            ["sx", "-q", "-k", str(file)], stdin=pair.far, stdout=pair.far, stderr=subprocess.DEVNULL
        )

    sender = start()
    try:
        while not receiver.wait_for_sender(stop, 0.5):
            pass
        with pytest.raises(BadTransfer, match=r"The ultrasound broke off its transfer after [\d,]+ bytes\."):
            receiver.receive_transfer(lambda received: sender.kill() if received > 100_000 else None)
    finally:
        sender.kill()
        sender.wait()
    sender = start()
    try:
        transfer = receive(receiver)
        transfer.acknowledge()
        assert hashlib.sha256(transfer.payload[:400_000]).digest() == hashlib.sha256(data).digest()
        assert sender.wait(DEADLINE) == 0
    finally:
        sender.kill()
        sender.wait()


def test_ok__progress_and_an_eot_that_repeats_while_the_caller_publishes(pair: Pair, clock: SystemClock) -> None:
    far, receiver = Far(pair.far), XmodemReceiver(pair.line, clock, QUICK)

    def send() -> None:
        far.await_code(b"C")
        for number in (1, 2, 3):
            far.send(block(number, bytes((number,)) * 128), ACK)
        far.send(EOT, NAK)
        far.send(EOT)

    thread = in_background(send)
    progress: list[int] = []
    stop = threading.Event()
    while not receiver.wait_for_sender(stop, 0.5):
        pass
    transfer = receiver.receive_transfer(progress.append)
    thread.join(DEADLINE)
    assert progress == [128, 256, 384]
    far.send(EOT)  # while the caller publishes
    transfer.acknowledge()
    far.await_code(ACK)
    far.send(EOT)  # that ACK was lost
    receiver.wait_for_sender(stop, 0.6)
    far.await_code(ACK)


def test_ok__waiting_returns_in_time_and_when_stopped(pair: Pair, clock: SystemClock) -> None:
    receiver = XmodemReceiver(pair.line, clock, QUICK)
    before = clock.monotonic()
    assert receiver.wait_for_sender(threading.Event(), 0.3) is False
    assert clock.monotonic() - before >= 0.3
    stop = threading.Event()
    stop.set()
    assert receiver.wait_for_sender(stop, 3600.0) is False


def test_fail__stopped_in_the_middle_cancels_the_sender(pair: Pair, clock: SystemClock) -> None:
    far, receiver, stop = Far(pair.far), XmodemReceiver(pair.line, clock, QUICK), threading.Event()

    def send() -> None:
        far.await_code(b"C")
        far.send(block(1, bytes(128)), ACK)
        stop.set()
        far.await_code(CAN)
        far.await_code(CAN)

    thread = in_background(send)
    while not receiver.wait_for_sender(threading.Event(), 0.5):
        pass
    with pytest.raises(BadTransfer, match="stopped at the box"):
        receiver.receive_transfer(stop=stop)
    thread.join(DEADLINE)
    assert not thread.is_alive()


def test_fail__cancelled_by_the_machine(pair: Pair, clock: SystemClock) -> None:
    far, receiver = Far(pair.far), XmodemReceiver(pair.line, clock, QUICK)

    def send() -> None:
        far.await_code(b"C")
        far.send(block(1, bytes(128)), ACK)
        far.send(CAN * 2)

    thread = in_background(send)
    with pytest.raises(BadTransfer, match="The ultrasound cancelled its transfer after 128 bytes"):
        receive(receiver)
    thread.join(DEADLINE)


def test_fail__line_vanishes_in_the_middle(pair: Pair, clock: SystemClock) -> None:
    far, receiver = Far(pair.far), XmodemReceiver(pair.line, clock, QUICK)

    def send() -> None:
        far.await_code(b"C")
        far.send(block(1, bytes(128)), ACK)
        descriptors, pair.far, pair.near = (pair.far, pair.near), -1, -1
        for descriptor in descriptors:
            os.close(descriptor)

    in_background(send)
    with pytest.raises(DeviceGone):
        receive(receiver)


def test_fail__the_callers_own_failure_leaves_the_receiver_ready(pair: Pair, clock: SystemClock) -> None:
    far, receiver = Far(pair.far), XmodemReceiver(pair.line, clock, QUICK)

    def send() -> None:
        far.await_code(b"C")
        far.send(block(1, bytes(128)), ACK)

    def fail(_received: int) -> None:
        raise LookupError("the caller's")

    in_background(send)
    while not receiver.wait_for_sender(threading.Event(), 0.5):
        pass
    with pytest.raises(LookupError):
        receiver.receive_transfer(fail)
    with pytest.raises(RuntimeError, match="no transfer has begun"):
        receiver.receive_transfer()

    def send_whole() -> None:
        far.await_code(b"C")
        far.send(block(1, padded(b"again", 128)), ACK)
        far.send(EOT, NAK)
        far.send(EOT)

    in_background(send_whole)
    assert receive(receiver).payload == padded(b"again", 128)
