"""The decoders of what comes over serial lines: their speed beside the line's own, and what memory they take."""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass

from appliance.config.text_profiles import load_profile
from appliance.devices.printer.languages import Language, decoder_of
from appliance.devices.printer.paper import PaperSize
from appliance.devices.serial.decoder import XmodemDecoder
from appliance.devices.serial.xmodem import Ended, Event, TransferLimits
from appliance.devices.signal.keys import EVENT, KeyDecoder
from appliance.devices.signal.pattern import PatternFinder, pattern_from_text
from appliance.devices.text.framing import FramedDecoder
from tests.bench.tables import MIB, Table
from tests.devices.text_world import ENQ, EOT, LENSES, RECORDS, astm_frames, nidek
from tests.devices.xmodem_world import EOT as END
from tests.devices.xmodem_world import block

BAUD = 115_200
# Ten bits a byte: start, eight of data, stop.
LINE_BYTES_A_SECOND = BAUD / 10
_PIECE = 512  # as the loops that read a line give it
_AT_LEAST_SECONDS = 0.5
_SIZE = 512 * 1024


@dataclass(frozen=True, slots=True)
class Case:
    """A stream of bytes and what decodes it from the beginning; memory is measured of the second run."""

    name: str
    stream: bytes
    decode: Callable[[bytes], None]


def measure_decoders() -> Table:
    """MB/s of one core, that beside the line, and the peak of what a run allocates."""
    rows, values = [], {}
    for case in cases():
        speed, peak = _speed_of(case), _peak_of(case)
        times = speed / LINE_BYTES_A_SECOND
        rows.append((case.name, f"{speed / 1e6:.2f}", f"{times:,.0f}", f"{peak / MIB:.1f}", f"{len(case.stream):,}"))
        values[case.name] = {"bytes_a_second": speed, "times_the_line": times, "peak_bytes": peak}
    return Table(
        "decoders",
        "decoders of serial lines, one core",
        f"streams in pieces of {_PIECE} bytes; the line: {BAUD:,} baud, {LINE_BYTES_A_SECOND:,.0f} bytes a second",
        ("", "MB/s", "× line", "MiB at most", "bytes"),
        rows,
        ["memory is what the run allocates at its peak, the page or the file that it gives included"],
        values,
    )


def cases() -> list[Case]:
    """A file, pages and texts of the kind that machines send."""
    chance = random.Random(1)
    return [
        Case("XMODEM-1K, a file of 512 KiB", _xmodem_stream(chance), _transfer),
        Case("ESC/P of 24 pins, a page full of dots", _escp_stream(chance), _printed("escp24", 360)),
        Case("PCL, a page in compression 2", _pcl_stream(chance), _printed("pcl", 300)),
        Case("ESC/POS, a receipt of dots", _escpos_stream(chance), _printed("escpos", 203)),
        Case("ASTM E1381, sessions", (ENQ + b"".join(astm_frames(RECORDS)) + EOT) * 100, _text("astm")),
        Case("NIDEK, lenses", nidek(*LENSES) * 300, _text("nidek-lm")),
        Case("byte patterns, two of them", chance.randbytes(_SIZE), _find),
        Case("input events", EVENT.pack(1, 2, 1, 183, 1) * 5000, _press),
    ]


def _pieces(stream: bytes) -> list[bytes]:
    return [stream[at : at + _PIECE] for at in range(0, len(stream), _PIECE)]


def _xmodem_stream(chance: random.Random) -> bytes:
    return b"".join(block(number, chance.randbytes(1024)) for number in range(1, _SIZE // 1024 + 1)) + END


def _transfer(stream: bytes) -> None:
    """Block by block, as a sender waits for its answers."""
    now = 1000.0
    decoder = XmodemDecoder(TransferLimits(), "machine", now)
    whole: list[Event] = []
    for at in range(0, len(stream) - 1, 1029):
        now += 0.1
        for start in range(at, at + 1029, _PIECE):
            whole += decoder.feed(stream[start : min(start + _PIECE, at + 1029)], now)
    for _ in range(2):
        decoder.feed(END, now := now + 0.1)
        whole += decoder.elapse(now := now + 1.0)
    assert any(isinstance(event, Ended) and len(event.payload) == _SIZE for event in whole)


def _escp_stream(chance: random.Random) -> bytes:
    columns = 1440
    line = b"\x1b*\x27" + columns.to_bytes(2, "little") + chance.randbytes(3 * columns) + b"\r\x1bJ\x18"
    return b"\x1b@" + line * 80 + b"\x0c"


def _pcl_stream(chance: random.Random) -> bytes:
    row = bytes((127,)) + chance.randbytes(128) + bytes((127,)) + chance.randbytes(128)
    return b"\x1bE\x1b*t300R\x1b*r1A\x1b*b2M" + (b"\x1b*b%dW" % len(row) + row) * 2000 + b"\x1b*rB\x0c"


def _escpos_stream(chance: random.Random) -> bytes:
    return b"\x1b@" + (b"\x1dv0\x00\x30\x00\x18\x00" + chance.randbytes(48 * 24)) * 60 + b"\x1dV\x00"


def _printed(language: Language, dpi: int) -> Callable[[bytes], None]:
    size = PaperSize(width_mm=210.0, height_mm=297.0, dpi=dpi, max_pixels=40_000_000, max_pages=100)

    def decode(stream: bytes) -> None:
        decoder = decoder_of(language, size)
        events = [event for piece in _pieces(stream) for event in decoder.feed(piece)] + decoder.pause()
        assert len(events) >= 2

    return decode


def _text(profile: str) -> Callable[[bytes], None]:
    framing = load_profile(profile).framing

    def decode(stream: bytes) -> None:
        decoder, kept = FramedDecoder(framing, "machine"), 0
        for piece in _pieces(stream):
            queue = decoder.feed(piece, 1.0)
            while queue:
                if isinstance(queue.pop(0), Ended):
                    kept += 1
                    queue += decoder.acknowledge(1.0)
        assert kept >= 100

    return decode


def _find(stream: bytes) -> None:
    finder = PatternFinder([pattern_from_text("02 41 51 49 ?? 03"), pattern_from_text("02 50 52 49 03")])
    for piece in _pieces(stream):
        finder.feed(piece)


def _press(stream: bytes) -> None:
    decoder = KeyDecoder()
    assert sum(len(decoder.feed(piece)) for piece in _pieces(stream)) == 1  # a key that is held


def _speed_of(case: Case) -> float:
    case.decode(case.stream)
    done, began = 0, time.process_time()
    while time.process_time() - began < _AT_LEAST_SECONDS:
        case.decode(case.stream)
        done += len(case.stream)
    return done / (time.process_time() - began)


def _peak_of(case: Case) -> int:
    tracemalloc.start()
    try:
        case.decode(case.stream)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
