"""The USB models and their cable by golden bytes (usbredir's protocol; USB 2.0, 9.6; UVC 1.1, 2.4.3.3)."""

from __future__ import annotations

import itertools
import socket
import struct

import pytest

from tests.vm.usb.camera import Camera, Shot
from tests.vm.usb.device import Setup
from tests.vm.usb.keyboard import Keyboard
from tests.vm.usb.redirection import Cable, Wire

_HELLO = (
    bytes.fromhex("00000000 44000000 00000000")  # hello, 68 bytes, number 0
    + b"QEMU".ljust(64, b"\0")
    + bytes.fromhex("7e000000")  # versions, filter, acknowledged ends, packet sizes, long numbers, long bulk
)
_COMMIT = Setup(0x21, 0x01, 0x0200, 0x0001, 34)
_TERMS = struct.pack("<HBBI", 1, 1, 1, 333_333).ljust(34, b"\0")


def _camera(*frames: bytes) -> Camera:
    return Camera("CAM1", lambda number: Shot(frames[number % len(frames)]))


def _packets(sent: bytes) -> list[tuple[int, bytes]]:
    """(type, body) of what goes out after the hello, with numbers of eight bytes."""
    found, place = [], 80
    while place < len(sent):
        kind, length = struct.unpack_from("<II", sent, place)
        found.append((kind, sent[place + 16 : place + 16 + length]))
        place += 16 + length
    return found


def test_ok__after_the_hellos_it_tells_what_is_plugged_in() -> None:
    wire = Wire(_camera(b""))
    for byte in _HELLO:
        wire.feed(bytes([byte]))
    packets = _packets(bytes(wire.sent))
    assert [kind for kind, _ in packets] == [4, 5, 1]  # interfaces, endpoints, the device
    assert packets[2][1] == bytes.fromhex("02 ef0201 4d53 0921 0001")  # high speed, class, vendor, product, version
    kinds = packets[1][1][:32]
    assert (kinds[0], kinds[16], kinds[17]) == (0, 0, 2)  # control both ways, bulk to the host on endpoint 1
    assert wire.is_connected


def test_ok__a_control_transfer_is_answered_or_stalled() -> None:
    wire = Wire(_camera(b""))
    wire.feed(_HELLO)
    del wire.sent[80:]
    ask = struct.pack("<IIQ", 100, 10, 7)
    wire.feed(ask + bytes.fromhex("80 06 80 00 0001 0000 1200"))  # the device descriptor, 18 bytes
    wire.feed(ask + bytes.fromhex("80 06 80 00 0009 0000 1200"))  # one that there is not
    (_, told), (_, refused) = _packets(bytes(wire.sent))
    assert told[:10] == bytes.fromhex("80 06 80 00 0001 0000 1200")
    assert told[10:] == bytes.fromhex("12 01 0002 ef0201 40 4d53 0921 0001 01 02 03 01")
    assert refused == bytes.fromhex("80 06 80 04 0009 0000 0000")


def test_ok__the_descriptors_lengths_are_those_that_they_tell() -> None:
    whole = _camera(b"").control(Setup(0x80, 6, 0x0200, 0, 0xFFFF))
    assert whole is not None
    assert struct.unpack_from("<H", whole, 2)[0] == len(whole)
    lengths = []
    place = 0
    while place < len(whole):
        lengths.append(whole[place])
        place += whole[place]
    assert place == len(whole) and min(lengths) >= 4


def test_ok__a_frame_goes_out_in_payloads() -> None:
    camera = _camera(b"a" * 10, b"b")
    assert camera.take(0.0, 8) is None  # nobody wants pictures yet
    assert camera.control(_COMMIT, _TERMS) == b""
    # Length of the header; end of header, and the frame's parity; the last payload of a frame says so.
    assert camera.take(0.0, 8) == b"\x02\x81aaaaaa"
    assert camera.sent == []
    assert camera.take(0.0, 8) == b"\x02\x83aaaa"
    assert camera.take(0.01, 8) is None  # the next one's time has not come
    assert camera.take(0.04, 8) == b"\x02\x82b"
    assert camera.sent == [Shot(b"a" * 10), Shot(b"b")]
    camera.control(Setup(0x02, 1, 0, 0x81, 0))
    assert camera.take(1.0, 8) is None


def test_ok__a_frame_that_the_camera_calls_faulty() -> None:
    camera = Camera("CAM1", lambda _: Shot(b"x", is_faulty=True))
    camera.control(_COMMIT, _TERMS)
    assert camera.take(0.0, 8) == b"\x02\xc3x"


def test_ok__bytes_wait_for_questions_and_questions_for_bytes() -> None:
    camera = _camera(b"abc")
    camera.ask((1, 0x81, 0), 100)
    assert camera.answers(0.0) == []
    camera.control(_COMMIT, _TERMS)
    assert camera.answers(0.0) == [((1, 0x81, 0), b"\x02\x83abc")]
    camera.ask((2, 0x81, 0), 100)
    assert camera.cancel((2, 0x81, 0)) and not camera.cancel((2, 0x81, 0))
    assert not camera.is_asked


@pytest.mark.parametrize("cut", [12, 40])
def test_ok__a_pulled_cable_ends_the_connection(cut: int) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.settimeout(20)
        cable = Cable(_camera(b"x"), ours)
        theirs.sendall(_HELLO[:cut])
        assert theirs.recv(80, socket.MSG_WAITALL)[12:22] == b"test bench"
        cable.pull()
        try:
            left = theirs.recv(1)
        except ConnectionResetError:  # what was sent had not been read yet
            left = b""
        assert left == b""


def test_fail__a_packet_that_is_too_long_is_no_usbredir() -> None:
    with pytest.raises(ValueError, match="a packet of"):
        Wire(_camera(b"")).feed(struct.pack("<III", 0, 1 << 30, 0))


def test_ok__two_frames_differ_in_parity() -> None:
    camera = _camera(b"x")
    camera.control(_COMMIT, _TERMS)
    flags = [camera.take(float(second), 8) for second in range(4)]
    parities = [data[1] & 1 for data in flags if data is not None]
    assert all(one != other for one, other in itertools.pairwise(parities)) and len(parities) == 4


def test_ok__a_key_goes_out_only_while_the_host_listens() -> None:
    keyboard = Keyboard("PEDAL1")
    wire = Wire(keyboard)
    wire.feed(_HELLO)
    del wire.sent[80:]
    keyboard.press(4)
    wire.pump(0.0)
    assert _packets(bytes(wire.sent)) == []
    wire.feed(struct.pack("<IIQ", 15, 1, 1) + b"\x81")  # listen on this endpoint
    wire.pump(0.0)
    (_, listening), down, up = _packets(bytes(wire.sent))
    assert listening == bytes.fromhex("00 81")
    assert down == (103, bytes.fromhex("81 00 0800") + bytes.fromhex("0000040000000000"))
    assert up == (103, bytes.fromhex("81 00 0800") + bytes(8))
