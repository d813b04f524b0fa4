"""What comes over serial lines and from keys: transfers, framed text, printers' languages, patterns, events."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from appliance.config.text_profiles import Framing, load_profile
from appliance.devices.plugging.guess import guess_protocols, plausibility
from appliance.devices.printer.languages import Language, decoder_of
from appliance.devices.printer.page import Ended as PageEnded
from appliance.devices.printer.page import frame_from_page
from appliance.devices.printer.paper import PaperSize
from appliance.devices.serial.decoder import Phase, XmodemDecoder
from appliance.devices.serial.xmodem import Began, Broken, Ended, Event, TransferLimits
from appliance.devices.signal.gpio import offsets_in
from appliance.devices.signal.keys import EVENT, KeyDecoder
from appliance.devices.signal.learn import MAX_RECORDING, NothingLearned, learn_pattern
from appliance.devices.signal.pattern import PatternFinder, pattern_from_text
from appliance.devices.text.drawing import pages_from_reading
from appliance.devices.text.framing import FramedDecoder
from appliance.devices.text.framing import Phase as TextPhase
from appliance.devices.text.reading import reading_from_text
from tests.devices.text_world import ENQ, EOT, LENSES, RECORDS, astm_frames, nidek
from tests.devices.xmodem_world import block, padded
from tests.fuzz.target import Target, conversation_of, pieces_of

LIMITS = TransferLimits(max_bytes=8192, max_files=3)


def transfer(data: bytes) -> None:
    """XMODEM and YMODEM: whatever comes, it ends, and nothing longer than the limit is handed out."""
    now = 1000.0
    decoder = XmodemDecoder(LIMITS, "machine", now)

    def take(events: list[Event]) -> None:
        for event in events:
            match event:
                case Ended(payload):
                    assert len(payload) <= LIMITS.max_bytes
                    take(decoder.acknowledge(now) if len(payload) % 2 else decoder.refuse(now))
                case Broken(error):
                    assert error.sentence and "{" not in error.sentence
                case Began(at):
                    assert at <= now

    for pause, piece in pieces_of(data):
        for _ in range(100):  # as the loop does it: at each moment that the decoder names
            moment = decoder.next_moment()
            if moment > now + pause:
                break
            pause, now = max(0.0, now + pause - max(now, moment)), max(now, moment) + 1e-6
            take(decoder.elapse(now))
        now += pause
        take(decoder.feed(piece, now))
        assert decoder.received <= LIMITS.max_bytes
    for _ in range(2000):
        if decoder.phase is Phase.IDLE and not decoder.has_begun:
            return
        now = max(now, decoder.next_moment()) + 1e-6
        take(decoder.elapse(now))
    raise AssertionError("the transfer does not end")


def transfer_seeds() -> list[bytes]:
    header = block(0, b"a.bmp\x00200 0 0 0 2".ljust(128, b"\0"))
    one, end = block(1, padded(b"x" * 100, 128)), bytes((1, 90, 4, 1, 90, 4))
    return [
        conversation_of(one, 133) + end,
        conversation_of(block(1, bytes(1024)) + block(2, bytes(128)), 255) + end,
        conversation_of(header, 133) + conversation_of(one + block(2, bytes(128)), 133) + end,
        conversation_of(block(0, bytes(128)), 133),
        conversation_of(block(1, bytes(128), checksum=True), 132) + end,
    ]


def _text(framing: Framing) -> Callable[[bytes], None]:
    def act(data: bytes) -> None:
        now = 1000.0
        decoder = FramedDecoder(framing, "machine", max_bytes=2048)

        def take(events: list[Event]) -> None:
            for event in events:
                match event:
                    case Ended(payload):
                        assert len(payload) <= 2048
                        take(decoder.acknowledge(now) if len(payload) % 3 else decoder.refuse(now))
                    case Broken(error):
                        assert error.sentence

        for pause, piece in pieces_of(data):
            now += pause
            take(decoder.feed(piece, now))
            assert decoder.received <= 2049
        now += 1000.0
        take(decoder.elapse(now))
        assert decoder.phase is TextPhase.IDLE

    return act


def text_seeds() -> list[bytes]:
    session = ENQ + b"".join(astm_frames(RECORDS, 30)) + EOT
    return [conversation_of(one, 250) for one in (session, nidek(*LENSES), nidek(*LENSES, checksum=False) * 2)]


def reading(data: bytes) -> None:
    """Fields, tables and pages of any text."""
    profile = load_profile(("astm", "nidek-lm")[data[:1] > b"\x7f"])
    pages, _ = pages_from_reading(reading_from_text(data[1:], profile), "Machine")
    assert 1 <= len(pages) <= 20
    if len(data) % 64 == 0:
        pages[0].draw()


def reading_seeds() -> list[bytes]:
    return ["".join(f"\0{record}\r" for record in RECORDS).encode(), b"\xff" + nidek(*LENSES)[1:-5]]


def _printer(language: Language) -> Callable[[bytes], None]:
    size = PaperSize(width_mm=20.0, height_mm=15.0, dpi=120, max_pixels=20_000, max_pages=4)

    def act(data: bytes) -> None:
        decoder = decoder_of(language, size)
        events = [event for _, piece in pieces_of(data) for event in decoder.feed(piece)]
        for event in [*events, *decoder.pause()]:
            if isinstance(event, PageEnded) and event.page is not None:
                assert event.page.width * event.page.height <= size.max_pixels
                frame_from_page(event.page, 0.0)

    return act


def _printed(*jobs: bytes) -> Callable[[], list[bytes]]:
    return lambda: [conversation_of(job) for job in jobs]


ESCP = (
    b"\x1b@\x1bP\x1b3\x18Name: Test\r\n\x1b*\x01\x08\x00\x01\x02\x04\x08\x10\x20\x40\x80\r\n\x0c",
    b"\x1b@\x1b*\x27\x04\x00" + bytes(range(12)) + b"\x1bJ\x18\x1bD\x08\x10\x00\t\x0c",
    b"\x1b@\x1b(G\x01\x00\x01\x1b(U\x01\x00\x0a\x1b(V\x02\x00\x10\x00"
    b"\x1b.\x01\x14\x14\x01\x10\x00\x01\xaa\xff\x55\r\x0c",
)
ESCPOS = (
    b"\x1b@\x1dv0\x00\x02\x00\x02\x00\xaa\x55\xff\x00\x1dVA\x00",
    b"\x1b*\x21\x02\x00\x01\x02\x03\x04\x05\x06\n\x1dhA\x1dk\x04123\x00\x1d(L\x06\x000p0\x01\x011",
)
PCL = (
    b"\x1bE\x1b*t75R\x1b*r16S\x1b*r1A\x1b*b0m2W\xaa\x55\x1b*b1m4W\x01\xff\x00\x00"
    b"\x1b*b2m3W\x01\xaa\x55\x1b*rB\x0c\x1bE",
    b"\x1b%-12345X@PJL ENTER LANGUAGE=PCL\r\n\x1bE\x1b*r1A\x1b*b3m3W\x20\xaa\x55"
    b"\x1b*b5m8W\x00\x00\x02\xaa\x55\x04\x00\x02\x1b*rC",
    b"\x1b*r0A\x1b*b9m4W\x85\xaa\x10\x55\x1b*b3Y\x1b&a10L\x1b(s0pText\r\n\x0c",
    b"\x1b*r16s3U\x1b*b1V\xf0\x1b*b1V\xcc\x1b*b1W\xaa\x1b*v6W\x00\x03\x00\x08\x08\x08\x1b*b3W\x00\x00\x00\x0c",
)


def patterns(data: bytes) -> None:
    """Finding gives the same in two pieces as in one; learning gives a pattern that stands in every recording."""
    found = (pattern_from_text("02 41 ?? 03"), pattern_from_text("aa aa"), pattern_from_text("03"))
    half = len(data) // 2
    finder = PatternFinder(found)
    assert finder.feed(data[:half]) + finder.feed(data[half:]) == PatternFinder(found).feed(data)
    presses = [one for one in data[:MAX_RECORDING].split(b"\0") if one][:4]
    try:
        learned = learn_pattern(presses, data[-64:])
    except NothingLearned:
        return
    assert all(learned.pattern.count_in(one) for one in presses)


def events(data: bytes) -> None:
    """Events of input devices and of pins."""
    decoder = KeyDecoder()
    pressed = [press for _, piece in pieces_of(data) for press in decoder.feed(piece)]
    assert len(pressed) <= len(data) // EVENT.size
    offsets_in(data)


def guesses(data: bytes) -> None:
    """What an unknown machine sends to `device probe`: each protocol is named once, and with a reason."""
    found = guess_protocols(data)
    assert len({guess.protocol for guess in found}) == len(found) and all(guess.evidence for guess in found)
    assert 0.0 <= plausibility(data) <= 2.0


def guess_seeds() -> list[bytes]:
    return [
        *ESCP,
        *ESCPOS,
        *PCL,
        ENQ + b"".join(astm_frames(RECORDS, 30)),
        nidek(*LENSES),
        block(1, bytes(128)),
        b"**\x18B00",
        b"IN;SP1;PU0,0;",
        b"%!PS",
    ]


def targets() -> Sequence[Target]:
    """Decoders of what comes over lines. Megabytes and seconds are of the fuzzer's process, not of the box's."""
    astm, lenses = load_profile("astm").framing, load_profile("nidek-lm").framing
    return (
        Target("xmodem-ymodem", transfer, transfer_seeds),
        Target("text-astm", _text(astm), text_seeds),
        Target("text-nidek", _text(lenses), text_seeds),
        Target("text-silence", _text(Framing()), text_seeds),
        Target("text-reading", reading, reading_seeds, megabytes=96),
        Target("escp9", _printer("escp9"), _printed(*ESCP), longest=2048),
        Target("escp24-escp2", _printer("escp24"), _printed(*ESCP), longest=2048),
        Target("escpos", _printer("escpos"), _printed(*ESCPOS), longest=2048),
        Target("pcl", _printer("pcl"), _printed(*PCL), longest=2048),
        Target("byte-patterns", patterns, lambda: [b"\x02A1\x03\0\x02A2\x03\0\xaa\xaa", b"\x05\0\x05"], longest=1024),
        Target("probe", guesses, guess_seeds),
        Target("input-events", events, lambda: [conversation_of(EVENT.pack(1, 2, 1, 183, 1) * 2, 48)], longest=1024),
    )
