"""What speaks on a line: protocols by the book, what independent programs send, and whatever else may come."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.devices.plugging.guess import Guess, guess_protocols, is_text, plausibility
from tests.devices.xmodem_world import block


def _only(data: bytes) -> Guess:
    (guess,) = guess_protocols(data)
    return guess


@pytest.mark.parametrize(
    ("data", "protocol", "is_certain"),
    [
        (block(1, b"x" * 128), "XMODEM", True),
        (b"\xff" + block(1, b"x" * 1024), "XMODEM-1K", True),  # after the line's noise
        (block(0, b"image.jpg\x0012345 0 0\x00".ljust(128, b"\0")), "YMODEM", True),
        (b"rz\r**\x18B00000000000000\r\x8a\x11", "ZMODEM", True),  # ZRQINIT in hexadecimal
        (b'\x01, S~/ @-#Y3~^>J)0___D"U1@F\r', "Kermit", True),
        # SOH len seq S … of Kermit; PJL before PCL; ESC E and ESC &l of PCL; ESC *b row.
        (b"\x1b%-12345X@PJL JOB\r\n", "PJL in front of a printer's language", True),
        (b"\x1bE\x1b&l0O", "PCL", True),
        (b"\x1b*r1A\x1b*b2m3W\x01\x02\x03", "PCL", True),
        (b"\x1b@\x1b*\x27\x10\x00" + bytes(48), "ESC/P of 24 pins", True),
        (b"\x1bK\x10\x00" + bytes(16), "ESC/P of 9 pins", True),
        (b"\x1b(G\x01\x00\x01", "ESC/P2", True),
        (b"\x1b@\x1dv0\x00\x01\x00\x01\x00\xff", "ESC/POS", True),
        (b"REPORT\r\n\x1dV\x00", "ESC/POS", True),
        (b"\x1b@Hello\r\n", "ESC/P", False),
        (b"%!PS-Adobe-3.0\n", "PostScript", True),
        (b"IN;SP1;PU0,0;PD100,0;", "HP-GL", True),
        (b"\x05", "ASTM E1381, or another that asks first", False),
        (b"\x021H|\\^&\r\x03E5\r\n", "ASTM E1381", True),
        (b"\x01DLM\x02IDNIDEK/LM-1000P\x17\x04", "a Nidek instrument", True),
        (b"\x02 R+ 1.25- 0.50 90\x03", "framed text", False),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "a JPEG file as it is", False),
        (b"WEIGHT 72.5 KG\r\n", "plain text", False),
    ],
)
def test_ok__a_protocol_by_the_book(data: bytes, protocol: str, is_certain: bool) -> None:
    guess = _only(data)
    assert (guess.protocol, guess.is_certain) == (protocol, is_certain)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\x00\x00",
        bytes(range(0x80, 0x100)),
        b"\x01\x01\x01\x01",  # SOH, and no complement behind it
        block(1, b"\x80" * 128)[:100],  # cut short: it may be anything
        b"\x05\x00",
        b"short\n",
    ],
)
def test_ok__what_is_nothing_that_is_known(data: bytes) -> None:
    assert guess_protocols(data) == []


@pytest.mark.parametrize(
    ("device", "across", "down", "protocol"),
    [
        ("epson", 240, 72, "ESC/P of 9 pins"),
        ("lq850", 180, 180, "ESC/P of 24 pins"),
        ("stcolor", 360, 360, "ESC/P2"),
        ("ljet4", 300, 300, "PCL"),
        ("deskjet", 300, 300, "PCL"),
    ],
)
def test_ok__what_ghostscripts_printers_send(device: str, across: int, down: int, protocol: str) -> None:
    command = ["gs", "-q", "-dSAFER", "-dNOPAUSE", "-dBATCH", f"-sDEVICE={device}", f"-r{across}x{down}"]
    page = "<</PageSize [72 72]>> setpagedevice 10 10 30 30 rectfill showpage"
    sent = subprocess.run(
        [*command, "-sOutputFile=-", "-sstdout=%stderr", "-c", page], capture_output=True, timeout=60, check=True
    ).stdout
    assert protocol in [guess.protocol for guess in guess_protocols(sent)]
    assert guess_protocols(sent)[0].settings[0] == 'driver = "printer"'


@given(st.binary(max_size=2000) | st.text("\x1b\x1d*b0W\x01\x02\x03\x05IN;[", max_size=3000).map(str.encode))
def test_ok__whatever_comes_there_is_an_answer(data: bytes) -> None:
    guesses = guess_protocols(data)
    assert len({guess.protocol for guess in guesses}) == len(guesses)
    assert all(guess.evidence for guess in guesses)
    assert 0.0 <= plausibility(data) <= 2.0
    assert guess_protocols(data) == guesses


def test_ok__a_flood_is_looked_at_in_its_beginning() -> None:
    assert guess_protocols(b"\x00" * 65_536 + b"\x1bE\x1b&l0O") == []
    assert _only(b"\x1bE\x1b&l0O" + b"\x00" * 10_000_000).protocol == "PCL"


def test_ok__the_right_speed_looks_better_than_a_wrong_one() -> None:
    """At a wrong speed a text is bytes with high bits and zeros."""
    right = b"PATIENT 0001\r\nIOP R 15 L 16\r\n"
    wrong = bytes((one * 37 + 129) % 256 for one in right)
    assert plausibility(right) > plausibility(wrong) > plausibility(b"")
    assert plausibility(block(1, wrong.ljust(128, b"\x80"))) > plausibility(right)
    assert is_text(right) and not is_text(wrong)
