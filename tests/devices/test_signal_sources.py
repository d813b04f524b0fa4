"""What says *now*: golden events of the kernel, its interface held against its headers, wires by a table and a fake."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.base.clock import SystemClock
from appliance.devices.errors import DeviceBusy, DeviceGone
from appliance.devices.signal import gpio, keys, modem
from appliance.devices.signal.gpio import Bias, GpioSource, LineRequest, LineWish, offsets_in, request_from
from appliance.devices.signal.heard import HeardSource
from appliance.devices.signal.keys import EVENT, KeyDecoder, KeyPress, KeySource
from appliance.devices.signal.modem import Look, ModemSource, Wire, WireWish, wishes_met
from appliance.devices.signal.pattern import pattern_from_text
from appliance.devices.signal.source import Debounce, Signal
from tests.acquire.world import HandClock
from tests.devices.conftest import Pair

KEY_B, KEY_F13 = 48, 183


def event(kind: int, code: int, value: int, seconds: int = 1000, micros: int = 250_000) -> bytes:
    return EVENT.pack(seconds, micros, kind, code, value)


def press(code: int, value: int = 1) -> bytes:
    """A key's event as a keyboard tells it: its scan code, the key, and the report's end."""
    return event(4, 4, 0x70068) + event(1, code, value) + event(0, 0, 0)


# -- keys --------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(EVENT.size != 24, reason="the golden bytes are those of a 64-bit system")
def test_ok__golden_events_of_a_footswitch() -> None:
    golden = bytes.fromhex(
        "e803000000000000"  # 1000 s
        "90d0030000000000"  # 250,000 µs
        "0100"  # EV_KEY
        "b700"  # KEY_F13
        "01000000"  # pressed
        "e803000000000000 90d0030000000000 0000 0000 00000000"  # EV_SYN, SYN_REPORT
    )
    assert KeyDecoder().feed(golden) == [KeyPress(KEY_F13, 1000.25)]


def test_ok__a_held_key_counts_once_and_again_when_it_was_released() -> None:
    decoder = KeyDecoder()
    stream = press(KEY_B) + press(KEY_B, 2) * 30 + press(KEY_B, 0) + press(KEY_B)
    assert [one.code for one in decoder.feed(stream)] == [KEY_B, KEY_B]
    assert decoder.feed(press(KEY_B)) == []  # without a release it is the same press


def test_ok__what_the_kernel_dropped_is_no_press() -> None:
    decoder = KeyDecoder()
    decoder.feed(press(KEY_B))
    dropped = event(0, 3, 0) + event(1, KEY_F13, 1) + event(0, 0, 0)
    assert decoder.feed(dropped) == []
    assert [one.code for one in decoder.feed(press(KEY_B))] == [KEY_B]  # nobody knows any more that it was down


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 2)), max_size=30), st.data())
def test_ok__however_the_events_are_cut_the_presses_are_the_same(
    events: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    stream = b"".join(event(*one) for one in events)
    whole = KeyDecoder().feed(stream)
    decoder, found = KeyDecoder(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += decoder.feed(stream[:size])
        stream = stream[size:]
        assert len(decoder._rest) < EVENT.size
    assert found == whole


class Node:
    """An input device's node played by a FIFO; what is asked of the kernel is noted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self.far = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self.asked: list[int] = []
        self.errors: dict[int, int] = {}

    def control(self, descriptor: int, request: int, argument: Any) -> Any:
        self.asked.append(request)
        if request in self.errors:
            raise OSError(self.errors[request], "refused")
        return 0

    def source(self, *wanted: frozenset[int]) -> KeySource:
        return KeySource(str(self.path), wanted, SystemClock(), "footswitch", self.control)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path / "event0")
    yield made
    os.close(made.far)


def test_ok__a_footswitch_is_taken_for_the_box_alone_and_read(node: Node) -> None:
    source = node.source(frozenset({KEY_F13}), frozenset())
    source.open()
    assert node.asked == [keys.EVIOCGRAB, keys.EVIOCSCLOCKID]
    assert source.wait(0.0) == []
    os.write(node.far, press(KEY_F13) + press(KEY_B) + press(KEY_B, 0))
    assert [one.number for one in source.wait(10.0)] == [0, 1]  # the first that has its code, and the one for all
    source.close()


def test_ok__the_moment_is_the_kernels_where_it_can_be_had(node: Node) -> None:
    source = node.source(frozenset())
    source.open()
    moment = SystemClock().monotonic()
    seconds = int(moment - 3)
    os.write(node.far, event(1, KEY_B, 1, seconds, 500_000))
    assert source.wait(10.0) == [Signal(0, seconds + 0.5)]
    node.errors[keys.EVIOCSCLOCKID] = errno.EINVAL
    source.open()
    os.write(node.far, event(1, KEY_B, 1, seconds))
    (signal,) = source.wait(10.0)
    assert signal.at >= moment
    source.close()


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [(errno.EBUSY, DeviceBusy, "Another program has taken"), (errno.ENOTTY, DeviceGone, "cannot be used")],
)
def test_fail__a_node_that_cannot_be_taken(node: Node, number: int, kind: type[Exception], words: str) -> None:
    node.errors[keys.EVIOCGRAB] = number
    with pytest.raises(kind, match=words):
        node.source(frozenset()).open()


def test_fail__a_node_that_is_not_there_or_goes_away(tmp_path: Path, node: Node) -> None:
    with pytest.raises(DeviceGone):
        KeySource(str(tmp_path / "nothing"), [frozenset()], SystemClock()).open()
    source = node.source(frozenset())
    source.open()
    os.close(node.far)
    with pytest.raises(DeviceGone, match="not there any more"):
        source.wait(10.0)
    node.far = os.open(node.path, os.O_RDWR | os.O_NONBLOCK)
    source.close()
    with pytest.raises(DeviceGone):
        source.wait(0.0)


# -- pins --------------------------------------------------------------------------------------------------------------


def test_ok__numbers_and_structures_are_the_kernels(tmp_path: Path) -> None:
    fields = {
        "gpio_v2_line_request": (
            LineRequest,
            ("offsets", "consumer", "config", "num_lines", "event_buffer_size", "fd"),
        ),
        "gpio_v2_line_config": (gpio.LineConfig, ("flags", "num_attrs", "attrs")),
        "gpio_v2_line_config_attribute": (gpio.ConfigAttribute, ("attr", "mask")),
        "gpio_v2_line_attribute": (gpio.LineAttribute, ("id", "flags")),
    }
    ours = {"GET_LINE": gpio.GET_LINE, "EVENT": gpio.EVENT.size, "input_event": EVENT.size}
    ours |= {"EVIOCGRAB": keys.EVIOCGRAB, "EVIOCSCLOCKID": keys.EVIOCSCLOCKID, "TIOCGICOUNT": modem.TIOCGICOUNT}
    ours |= {"icounter": modem._COUNTERS.size, "OFFSET": 12, "ATTRIBUTE": gpio._ATTRIBUTE_FLAGS}
    lines = [
        'printf("GET_LINE %lu\\n", (unsigned long)GPIO_V2_GET_LINE_IOCTL);',
        'printf("EVENT %zu\\n", sizeof(struct gpio_v2_line_event));',
        'printf("OFFSET %zu\\n", offsetof(struct gpio_v2_line_event, offset));',
        'printf("ATTRIBUTE %d\\n", GPIO_V2_LINE_ATTR_ID_FLAGS);',
        'printf("input_event %zu\\n", sizeof(struct input_event));',
        'printf("EVIOCGRAB %lu\\n", (unsigned long)EVIOCGRAB);',
        'printf("EVIOCSCLOCKID %lu\\n", (unsigned long)EVIOCSCLOCKID);',
        'printf("TIOCGICOUNT %lu\\n", (unsigned long)TIOCGICOUNT);',
        'printf("icounter %zu\\n", sizeof(struct serial_icounter_struct));',
    ]
    flags = {
        "ACTIVE_LOW": gpio.FLAG_ACTIVE_LOW,
        "INPUT": gpio.FLAG_INPUT,
        "EDGE_RISING": gpio.FLAG_EDGE_RISING,
        "BIAS_PULL_UP": gpio.FLAG_PULL_UP,
        "BIAS_PULL_DOWN": gpio.FLAG_PULL_DOWN,
        "BIAS_DISABLED": gpio.FLAG_NO_BIAS,
    }
    for name, value in flags.items():
        ours[name] = value
        lines.append(f'printf("{name} %llu\\n", (unsigned long long)GPIO_V2_LINE_FLAG_{name});')
    for name, (structure, names) in fields.items():
        ours[name] = ctypes.sizeof(structure)
        lines.append(f'printf("{name} %zu\\n", sizeof(struct {name}));')
        for field in names:
            ours[f"{name}.{field}"] = getattr(structure, field).offset
            lines.append(f'printf("{name}.{field} %zu\\n", offsetof(struct {name}, {field}));')
    source = tmp_path / "abi.c"
    includes = ("stdio.h", "stddef.h", "sys/ioctl.h", "linux/gpio.h", "linux/input.h", "linux/serial.h")
    source.write_text("".join(f"#include <{one}>\n" for one in includes) + "int main(){" + "".join(lines) + "}")
    subprocess.run(["gcc", "-o", tmp_path / "abi", source], check=True, timeout=60)
    said = subprocess.run([tmp_path / "abi"], capture_output=True, text=True, check=True, timeout=60).stdout
    assert {line.split()[0]: int(line.split()[1]) for line in said.splitlines()} == ours


def test_ok__what_the_kernel_is_asked_for() -> None:
    request = request_from([LineWish(17, is_active_low=True, bias=Bias.PULL_UP), LineWish(4)])
    assert (request.num_lines, list(request.offsets)[:3]) == (2, [17, 4, 0])
    first, second = request.config.attrs[0], request.config.attrs[1]
    assert (first.mask, second.mask) == (1, 2)
    assert first.attr.flags == 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8  # active low, input, rising, pull-up
    assert second.attr.flags == 1 << 2 | 1 << 4
    with pytest.raises(ValueError, match="1 to 10 lines"):
        GpioSource("chip", [LineWish(number) for number in range(11)], SystemClock())


def edge(offset: int, at: float) -> bytes:
    return gpio.EVENT.pack(round(at * 1e9), 1, offset, 1, 1, *[0] * 6)


def test_ok__edges_of_a_chip_by_their_lines(tmp_path: Path) -> None:
    (tmp_path / "gpiochip0").touch()
    read, write = os.pipe()

    def control(_descriptor: int, request: int, argument: Any) -> int:
        assert request == gpio.GET_LINE
        argument.fd = read
        return 0

    clock = SystemClock()
    source = GpioSource(str(tmp_path / "gpiochip0"), [LineWish(17), LineWish(4)], clock, "contact", control)
    source.open()
    now = clock.monotonic()
    os.write(write, edge(4, now) + edge(99, now) + edge(17, now + 0.001))
    assert [one.number for one in source.wait(10.0)] == [1, 0]
    assert source.wait(0.0) == []
    os.close(write)
    with pytest.raises(DeviceGone):
        source.wait(10.0)
    source.close()


@pytest.mark.parametrize(("number", "kind"), [(errno.EBUSY, DeviceBusy), (errno.EINVAL, DeviceGone)])
def test_fail__a_pin_that_cannot_be_had(tmp_path: Path, number: int, kind: type[Exception]) -> None:
    def control(*_: Any) -> int:
        raise OSError(number, "refused")

    (tmp_path / "chip").touch()
    with pytest.raises(kind):
        GpioSource(str(tmp_path / "chip"), [LineWish(1)], SystemClock(), "contact", control).open()
    with pytest.raises(DeviceGone):
        GpioSource(str(tmp_path / "nothing"), [LineWish(1)], SystemClock()).open()


@given(st.binary(max_size=200))
def test_ok__whatever_a_chip_says_whole_events_are_taken(data: bytes) -> None:
    assert len(offsets_in(data)) == len(data) // gpio.EVENT.size


# -- wires -------------------------------------------------------------------------------------------------------------

UP, DOWN = WireWish(Wire.CTS), WireWish(Wire.CTS, is_released=True)


def look(*active: Wire, cts: int | None = None, ri: int = 0) -> Look:
    return Look(frozenset(active), None if cts is None else {Wire.CTS: cts, Wire.DSR: 0, Wire.DCD: 0, Wire.RI: ri})


@pytest.mark.parametrize(
    ("before", "now", "met"),
    [
        (look(), look(), []),
        (look(), look(Wire.CTS), [UP]),
        (look(Wire.CTS), look(Wire.CTS), []),
        (look(Wire.CTS), look(), [DOWN]),
        (look(), look(Wire.DSR), []),
        (look(cts=5), look(Wire.CTS, cts=6), [UP]),
        (look(Wire.CTS, cts=6), look(cts=7), [DOWN]),
        (look(cts=5), look(cts=7), [UP, DOWN]),  # there and back between two looks
        (look(cts=-1), look(cts=1), [UP, DOWN]),  # the counter went round
        (look(cts=5), look(cts=6), []),  # its level is looked at before its counter: the next look has it
        (look(cts=5), look(cts=5), []),
    ],
)
def test_ok__wires_between_two_looks(before: Look, now: Look, met: list[WireWish]) -> None:
    assert [(UP, DOWN)[number] for number in wishes_met((UP, DOWN), before, now)] == met


def test_ok__a_bell_counts_once_for_each_ring() -> None:
    ring = (WireWish(Wire.RI),)
    assert wishes_met(ring, look(cts=0), look(cts=0, ri=1)) == [0]


class Line:
    """A serial driver's answers."""

    def __init__(self, counts: bool) -> None:
        self.bits, self.counters, self.counts = 0, [0] * 20, counts
        self.error = 0

    def control(self, _descriptor: int, request: int, argument: bytes) -> bytes:
        if self.error:
            raise OSError(self.error, "gone")
        if request == termios.TIOCMGET:
            return struct.pack("@i", self.bits)
        assert request == modem.TIOCGICOUNT
        if not self.counts:
            raise OSError(errno.ENOTTY, "not counted")
        return struct.pack("@20i", *self.counters)


@pytest.mark.parametrize("counts", [True, False])
def test_ok__a_contact_on_a_wire(tmp_path: Path, counts: bool) -> None:
    (tmp_path / "tty").touch()
    line, clock = Line(counts), HandClock()
    line.bits = termios.TIOCM_DSR  # as it is at the opening: no signal
    source = ModemSource(str(tmp_path / "tty"), (UP, WireWish(Wire.DSR)), clock, "contact", line.control)
    source.open()
    before = clock.monotonic()
    assert source.wait(0.5) == []
    assert clock.monotonic() - before == pytest.approx(0.5)
    line.bits |= termios.TIOCM_CTS
    line.counters[0] = 1
    assert [one.number for one in source.wait(10.0)] == [0]
    line.counters[0] = 3  # released and closed within a look
    assert [one.number for one in source.wait(0.1)] == ([0] if counts else [])
    line.error = errno.EIO
    with pytest.raises(DeviceGone, match="not there any more"):
        source.wait(1.0)
    source.close()


def test_fail__a_pty_has_no_wires(pair: Pair) -> None:
    with pytest.raises(DeviceGone, match="has no such wires"):
        ModemSource(os.ttyname(pair.near), (UP,), SystemClock()).open()
    with pytest.raises(DeviceGone, match="cannot be opened"):
        ModemSource("/dev/nothing", (UP,), SystemClock()).open()


# -- bytes -------------------------------------------------------------------------------------------------------------


def test_ok__a_laser_imagers_commands_over_a_real_line(pair: Pair) -> None:
    source = HeardSource(
        pair.line, [pattern_from_text("02 41 51 49 ?? 03"), pattern_from_text("02 50 52 49 03")], SystemClock()
    )
    assert source.name == "ultrasound"
    source.open()
    os.write(pair.far, b"\x02ST?\x03\x02AQI1\x03")
    found = source.wait(10.0)
    os.write(pair.far, b"\x02PRI\x03")
    found += source.wait(10.0)
    assert [one.number for one in found] == [0, 1]
    assert source.wait(0.0) == []
    source.close()


def test_ok__half_a_command_is_forgotten_after_a_while() -> None:
    class Spoken:
        name = "command"

        def __init__(self) -> None:
            self.pieces = [b"\x02PR", b"I\x03", b"\x02PR", b"I\x03"]

        def read(self, _seconds: float) -> bytes:
            return self.pieces.pop(0)

    clock = HandClock()
    source = HeardSource(Spoken(), [pattern_from_text("02 50 52 49 03")], clock)  # type: ignore[arg-type]
    found = []
    for pause in (0.1, 0.1, 0.1, 5.0):
        clock.turn(pause)
        found.append(len(source.wait(1.0)))
    assert found == [0, 1, 0, 0]


# -- debounce ----------------------------------------------------------------------------------------------------------


def test_ok__bouncing_contacts_count_once() -> None:
    debounce = Debounce(0.3)
    assert [debounce.accepts(at) for at in (10.0, 10.001, 10.25, 10.31, 10.4, 20.0)] == [
        *(True, False, False, True),
        *(False, True),
    ]
