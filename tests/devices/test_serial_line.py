"""The serial line over a real pty: deadlines, a line that vanishes or is taken, a transcript that stays small."""

from __future__ import annotations

import os
import select
import termios
from pathlib import Path

import pytest

from appliance.base.clock import Deadline, SystemClock
from appliance.devices.errors import DeviceBusy, DeviceGone, DeviceTimeout
from appliance.devices.serial.line import Direction, Flow, Parity, SerialLine, Transcript
from tests.devices.conftest import Pair


def read_at_far_end(pair: Pair, clock: SystemClock, count: int) -> bytes:
    """What came, as soon as it is `count` bytes: one read may give fewer, wherever the kernel is in passing them on."""
    deadline, received = Deadline.after(clock, 20.0), b""
    while len(received) < count and select.select([pair.far], [], [], deadline.remaining())[0]:
        received += os.read(pair.far, 65536)
    return received


def read_from(line: SerialLine, clock: SystemClock, count: int) -> bytes:
    """The same at the box's end."""
    deadline, received = Deadline.after(clock, 20.0), b""
    while len(received) < count and (data := line.read(deadline.remaining())):
        received += data
    return received


def test_ok__bytes_of_all_values_cross_both_ways(pair: Pair, clock: SystemClock) -> None:
    everything = bytes(range(256))
    os.write(pair.far, everything)
    assert read_from(pair.line, clock, 256) == everything
    pair.line.write(everything, Deadline.after(clock, 5.0))
    assert read_at_far_end(pair, clock, 256) == everything


def test_ok__read_gives_up_in_time(pair: Pair, clock: SystemClock) -> None:
    before = clock.monotonic()
    assert pair.line.read(0.05) == b""
    assert 0.04 < clock.monotonic() - before < 5.0


def test_fail__line_that_is_not_there(tmp_path: Path, clock: SystemClock) -> None:
    with pytest.raises(DeviceGone, match="The scope's serial line cannot be opened"):
        SerialLine(str(tmp_path / "nothing"), clock, name="scope").open()


def test_fail__what_is_no_terminal(tmp_path: Path, clock: SystemClock) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DeviceGone):
        SerialLine(str(tmp_path / "file"), clock).open()


def test_fail__line_that_another_program_has(pair: Pair, clock: SystemClock) -> None:
    with pytest.raises(DeviceBusy, match="Another program uses"):
        SerialLine(os.ttyname(pair.near), clock).open()


def test_fail__line_that_hangs_up(pair: Pair, clock: SystemClock) -> None:
    os.close(pair.far)
    os.close(pair.near)
    pair.far = pair.near = -1
    with pytest.raises(DeviceGone, match="serial line vanished"):
        pair.line.read(5.0)
    with pytest.raises(DeviceGone):
        pair.line.write(b"x", Deadline.after(clock, 1.0))
    with pytest.raises(DeviceGone):
        pair.line.offer(b"x")


def test_fail__line_that_is_not_open(pair: Pair) -> None:
    pair.line.close()
    with pytest.raises(DeviceGone, match="not open"):
        pair.line.read(0.0)


def test_fail__line_that_takes_nothing(pair: Pair, clock: SystemClock) -> None:
    with pytest.raises(DeviceTimeout, match="takes no bytes"):
        pair.line.write(bytes(1 << 20), Deadline.after(clock, 0.2))


def test_ok__invitations_that_nobody_reads_block_nobody(pair: Pair, clock: SystemClock) -> None:
    before = clock.monotonic()
    for _ in range(20_000):  # a pty keeps some 4 KiB for its far end, a real line nothing
        pair.line.offer(b"C")
    assert clock.monotonic() - before < 30.0
    assert set(read_at_far_end(pair, clock, 1)) == {ord("C")}


def test_ok__purge_ends_when_the_line_is_still_and_at_its_deadline(pair: Pair, clock: SystemClock) -> None:
    os.write(pair.far, b"x" * 500)
    # Quiet for longer than a busy kernel needs to pass on what is written.
    assert pair.line.purge(0.5, Deadline.after(clock, 10.0)) == 500
    assert not select.select([pair.near], [], [], 0)[0]
    os.write(pair.far, b"y" * 10)
    assert pair.line.purge(0.05, Deadline.after(clock, 0.0)) == 0


def test_ok__transcript_knows_both_directions(pair: Pair, clock: SystemClock) -> None:
    os.write(pair.far, b"hello")
    assert read_from(pair.line, clock, 5) == b"hello"
    pair.line.write(b"you", Deadline.after(clock, 5.0))
    assert pair.line.transcript is not None
    *received, sent = pair.line.transcript.entries()
    assert {entry.direction for entry in received} == {Direction.RECEIVED}
    assert b"".join(entry.data for entry in received) == b"hello"
    assert (sent.direction, sent.data) == (Direction.SENT, b"you")


def test_ok__transcript_keeps_the_last_bytes_only() -> None:
    transcript = Transcript(limit=1000)
    for number in range(10_000):
        transcript.note(float(number), Direction.RECEIVED, bytes((number % 256,)) * 10)
    entries = transcript.entries()
    assert sum(len(entry.data) for entry in entries) <= 1000
    assert entries[-1].at == 9999.0
    assert transcript.entries(3) == entries[-3:]
    assert transcript.entries(0) == ()
    assert transcript.entries(10_000) == entries
    transcript.note(1.0, Direction.SENT, bytes(5000))
    assert len(transcript.entries()[-1].data) == 1000


def test_ok__xoff_asks_the_machine_to_wait_and_xon_to_go_on(pair: Pair, clock: SystemClock) -> None:
    pair.line.close()
    line = SerialLine(os.ttyname(pair.near), clock, flow=Flow.XONXOFF)
    line.open()
    for is_held in (True, True, False, False, True):
        assert line.hold(is_held)
    line.write(b".", Deadline.after(clock, 5.0))  # nothing more can come in front of this
    assert read_at_far_end(pair, clock, 4) == b"\x13\x11\x13."  # each is said once
    os.write(pair.far, b"\x11\x13data")  # what comes is data: a picture may hold these bytes
    assert read_from(line, clock, 6) == b"\x11\x13data"
    line.close()
    line.open()
    assert line.hold(True)  # a line that is opened anew holds nothing
    line.write(b".", Deadline.after(clock, 5.0))
    assert read_at_far_end(pair, clock, 2) == b"\x13."
    line.close()


class Wires:
    """A pyserial port whose modem lines can be seen; a pseudo-terminal has none."""

    def __init__(self) -> None:
        self.rts = self.dtr = True


@pytest.mark.parametrize("flow", [Flow.RTSCTS, Flow.DTR])
def test_ok__a_wire_asks_the_machine_to_wait(clock: SystemClock, flow: Flow) -> None:
    line, wires = SerialLine("/nowhere", clock, flow=flow), Wires()
    line._port = wires  # type: ignore[assignment]
    assert line.hold(True)
    assert (wires.rts, wires.dtr) == (flow is not Flow.RTSCTS, flow is not Flow.DTR)
    assert line.hold(False)
    assert (wires.rts, wires.dtr) == (True, True)


def test_fail__a_line_that_cannot_ask(pair: Pair, clock: SystemClock) -> None:
    assert not pair.line.hold(True)  # no flow control is configured
    pair.line.close()
    with pytest.raises(DeviceGone, match="not open"):
        pair.line.hold(True)
    line = SerialLine(os.ttyname(pair.near), clock, flow=Flow.DTR)
    line.open()
    assert not line.hold(True)  # a pseudo-terminal has no such wire
    line.close()


def test_ok__seven_bits_and_parity(pair: Pair, clock: SystemClock) -> None:
    pair.line.close()
    line = SerialLine(os.ttyname(pair.near), clock, baud=1200, data_bits=7, parity=Parity.EVEN)
    line.open()
    control, speed = termios.tcgetattr(pair.near)[2], termios.tcgetattr(pair.near)[4]
    # A pseudo-terminal keeps eight bits and no parity, whatever it is told; the speed it remembers.
    assert speed == termios.B1200
    assert control & termios.CSIZE in (termios.CS7, termios.CS8)
    line.close()
