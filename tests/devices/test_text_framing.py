"""Framed text by the book and against it: golden bytes of two protocols, whatever is damaged, any cut of the stream."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from appliance.config.text_profiles import Framing, load_profile
from appliance.devices.serial.xmodem import Began, Broken, Ended, Event, Send
from appliance.devices.text.framing import FramedDecoder, Phase
from tests.devices.text_world import (
    ACK,
    ENQ,
    EOT,
    ETB,
    ETX,
    LENSES,
    NAK,
    PATIENT,
    PATIENT_ID,
    RECORDS,
    STX,
    astm_frame,
    astm_frames,
    nidek,
)

ASTM = load_profile("astm").framing
NIDEK = load_profile("nidek-lm").framing
TEXT = "".join(record + "\r" for record in RECORDS).encode()


class Bench:
    """A decoder that is fed by hand; every message is acknowledged unless the test refuses it."""

    def __init__(self, framing: Framing = ASTM, max_bytes: int = 65536) -> None:
        self.now = 1000.0
        self.decoder = FramedDecoder(framing, "densitometer", max_bytes)
        self.messages: list[bytes] = []
        self.broken: list[str] = []
        self.began = 0
        self.refusals = 0

    def feed(self, data: bytes, after: float = 0.01) -> bytes:
        """What is answered to `data`, after so much silence."""
        end = self.now + after
        said = b""
        while (moment := self.decoder.next_moment()) <= end:
            self.now = max(self.now, moment)
            said += self._take(self.decoder.elapse(self.now))
        self.now = end
        return said + self._take(self.decoder.feed(data, self.now))

    def _take(self, events: list[Event]) -> bytes:
        said, queue = b"", list(events)
        while queue:
            match queue.pop(0):
                case Send(data):
                    said += data
                case Began():
                    self.began += 1
                case Ended(payload):
                    if self.refusals:
                        self.refusals -= 1
                        queue += self.decoder.refuse(self.now)
                    else:
                        self.messages.append(payload)
                        queue += self.decoder.acknowledge(self.now)
                case Broken(error):
                    self.broken.append(str(error))
        return said

    def session(self, frames: list[bytes]) -> Iterator[bytes]:
        """What is answered to ENQ, to each frame, and to EOT."""
        yield self.feed(ENQ)
        for frame in frames:
            yield self.feed(frame)
        yield self.feed(EOT)


def test_ok__golden_astm_session() -> None:
    golden = bytes.fromhex(
        "05"  # ENQ: may I send?
        "02"  # STX
        "31"  # frame 1
        "487c5c5e26"  # H|\^& : the header, and what separates fields, repeats and components
        "0d"  # CR: the record's end
        "03"  # ETX: the record is whole
        "4535"  # E5: 31 + 48 + 7C + 5C + 5E + 26 + 0D + 03 = 1E5
        "0d0a"  # CR LF
        "02 32 4c7c317c4e 0d 03 3035 0d0a"  # frame 2: L|1|N, the end of the message
        "04"  # EOT
    )
    bench = Bench()
    assert bench.feed(golden) == ACK * 3
    assert bench.messages == [b"H|\\^&\rL|1|N\r"]
    assert (bench.broken, bench.decoder.phase) == ([], Phase.IDLE)


def test_ok__golden_lensmeter_as_others_have_recorded_it() -> None:
    """Two messages that stand in other people's programs, with the sum that their machines sent."""
    for sent in (
        b"\x01DLM\x02IDNIDEK/LM-600P\x17 R-06.50-01.50010\x17PR00.00I\x17PR00.00U\x17 L-05.75-01.50179\x17"
        b"PL00.00O\x17PL00.00U\x17\x041372",
        b"\x01DLM\x02IDNIDEK/LM-7P\x17DA2021.10.20.16:45\x17 R+03.78-00.52118\x17PR00.02O\x17PR00.09U\x17"
        b" L+03.77-00.51118\x17PL00.02I\x17PL00.09U\x17\x0416E7",
    ):
        bench = Bench(NIDEK)
        assert bench.feed(sent) == b""  # nobody is answered
        assert bench.messages == [sent[1:-5]]
        assert bench.broken == []


@pytest.mark.parametrize("size", [240, 7, 1])
def test_ok__records_that_go_on_in_further_frames(size: int) -> None:
    """More than eight frames too: their number goes round."""
    bench = Bench()
    frames = astm_frames(RECORDS, size)
    assert list(bench.session(frames)) == [ACK] * (len(frames) + 1) + [b""]
    assert bench.messages == [TEXT]
    assert bench.began == 1


def test_ok__the_last_frame_is_answered_after_the_message_is_handed_out() -> None:
    decoder = FramedDecoder(ASTM, "densitometer")
    *first, last = astm_frames(RECORDS)
    decoder.feed(ENQ + b"".join(first), 1.0)
    assert decoder.feed(last + EOT, 1.1) == [Ended(TEXT)]
    assert decoder.next_moment() == float("inf")  # however long the caller takes
    assert decoder.acknowledge(99.0) == [Send(ACK)]
    assert decoder.phase is Phase.IDLE


def test_ok__a_refused_message_is_asked_for_again_and_comes_whole() -> None:
    bench = Bench()
    bench.refusals = 1
    frames = astm_frames(RECORDS, 10)
    bench.feed(ENQ + b"".join(frames[:-1]))
    assert bench.feed(frames[-1]) == NAK
    assert bench.feed(frames[-1]) == ACK
    assert bench.messages == [TEXT]


def test_ok__two_messages_in_one_session() -> None:
    bench = Bench()
    frames = astm_frames(RECORDS * 2)
    assert list(bench.session(frames)) == [ACK] * 15 + [b""]
    assert bench.messages == [TEXT, TEXT]


@pytest.mark.parametrize("place", [0, 3, 6])
def test_ok__a_damaged_frame_is_asked_for_again(place: int) -> None:
    bench = Bench()
    frames = astm_frames(RECORDS)
    bad = frames[place][:4] + bytes((frames[place][4] ^ 1,)) + frames[place][5:]
    bench.feed(ENQ + b"".join(frames[:place]))
    assert bench.feed(bad) == NAK
    assert bench.feed(b"".join(frames[place:]) + EOT) == ACK * (7 - place)
    assert bench.messages == [TEXT]


def test_ok__a_repeated_frame_is_acknowledged_once_more_and_counted_once() -> None:
    bench = Bench()
    frames = astm_frames(RECORDS, 6)
    for frame in (ENQ, *itertools.chain.from_iterable((frame, frame) for frame in frames), EOT):
        assert bench.feed(frame) == (b"" if frame == EOT else ACK)
    assert bench.messages == [TEXT]


def test_ok__noise_before_a_session_and_a_frame_begun_anew() -> None:
    bench = Bench()
    assert bench.feed(b"READY\r\n" + astm_frame(1, b"H|")) == b""  # no session: nobody is answered
    frames = astm_frames(RECORDS)
    assert bench.feed(ENQ + frames[0][:9] + b"".join(frames) + EOT) == ACK * 8
    assert bench.messages == [TEXT]


@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("carriage_return", [True, False])
def test_ok__a_lensmeters_settings(checksum: bool, carriage_return: bool) -> None:
    bench = Bench(NIDEK)
    bench.feed(b"XYZ" + nidek(*LENSES, checksum=checksum, carriage_return=carriage_return))
    bench.feed(nidek(*LENSES, checksum=checksum, carriage_return=carriage_return))
    bench.feed(b"", after=1.0)
    assert len(bench.messages) == 2
    assert bench.broken == []


def test_ok__text_that_ends_by_silence() -> None:
    bench = Bench(Framing(quiet_seconds=2.0))
    bench.feed(b"\r\nCCT OD 545 um\r\n")
    bench.feed(b"CCT OS 551 um\r\n", after=1.5)
    assert bench.messages == []
    bench.feed(b"", after=2.5)
    assert bench.messages == [b"CCT OD 545 um\r\nCCT OS 551 um\r\n"]


def test_ok__an_exclusive_or() -> None:
    bench = Bench(Framing(start="02", end="03", checksum="xor8-hex"))
    bench.feed(b"\x02AB\x03" + b"%02x" % (0x41 ^ 0x42 ^ 0x03))
    assert bench.messages == [b"AB"]


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (nidek(*LENSES)[:-1] + b"0", "sent text that was damaged on the line"),
        (nidek(*LENSES).replace(b"-06.50", b"-08.50"), "sent text that was damaged on the line"),
        (nidek(*LENSES)[:-2] + b"\r", "sent text that was damaged on the line"),
        (nidek(*LENSES)[:40], "broke off in the middle of its text"),
        (nidek(*LENSES)[:-2], "broke off in the middle of its text"),
        (nidek(*LENSES)[:40] + nidek(*LENSES)[:-4], "broke off its text and began anew"),
        (b"\x01" + b"A" * 70000, "sends more than the 65,536 bytes of text that are accepted"),
    ],
)
def test_fail__a_machine_that_cannot_be_asked_again(sent: bytes, words: str) -> None:
    bench = Bench(NIDEK)
    bench.feed(sent)
    bench.feed(b"", after=20.0)
    assert bench.broken[0].startswith(f"The densitometer {words}; nothing of it is kept.")
    assert len(bench.messages) == ("anew" in words)
    assert bench.decoder.phase is Phase.IDLE


def test_fail__a_message_without_its_last_record() -> None:
    bench = Bench()
    list(bench.session(astm_frames(RECORDS[:-1])))
    assert bench.broken[0].startswith("The densitometer ended its text before its last record")


def test_fail__a_session_that_begins_anew_and_one_that_falls_silent() -> None:
    bench = Bench()
    frames = astm_frames(RECORDS)
    bench.feed(ENQ + frames[0])
    assert list(bench.session(frames)) == [ACK] * 8 + [b""]
    assert bench.messages == [TEXT]
    assert "began anew" in bench.broken[0]
    bench.feed(ENQ + frames[0] + frames[1])
    bench.feed(b"", after=31.0)
    assert "broke off in the middle" in bench.broken[1]
    bench.feed(ENQ)
    bench.feed(b"", after=31.0)
    assert len(bench.broken) == 2  # a session in which nothing was said is none


def test_fail__a_frame_that_stays_damaged() -> None:
    bench = Bench()
    bench.feed(ENQ)
    bad = astm_frame(1, b"H|").replace(b"H", b"I")
    assert [bench.feed(bad) for _ in range(7)] == [NAK] * 6 + [b""]
    assert "damaged on the line" in bench.broken[0]


def test_fail__a_frame_is_missing() -> None:
    bench = Bench()
    frames = astm_frames(RECORDS)
    bench.feed(ENQ + frames[0])
    assert bench.feed(frames[2]) == NAK


def test_fail__a_line_that_babbles() -> None:
    bench = Bench()
    bench.feed(b"\x55" * 10_000)
    assert len(bench.broken) == 2


def test_fail__no_sentence_holds_what_was_sent() -> None:
    bench = Bench(max_bytes=256)
    record = f"P|1|{PATIENT_ID}|||{PATIENT}"
    for sent in (
        ENQ + astm_frames([record])[0] + EOT,
        ENQ + STX + record.encode() * 10 + ETX,
        ENQ + astm_frame(1, record.encode(), ETB) + ENQ,
    ):
        bench.feed(sent)
        bench.feed(b"", after=40.0)
    assert len(bench.broken) >= 3
    assert not any(part in told for told in bench.broken for part in (PATIENT_ID, "Qvist", "Zenobia"))


def test_fail__answering_what_nobody_sent() -> None:
    with pytest.raises(RuntimeError):
        FramedDecoder(ASTM, "densitometer").acknowledge(1.0)


# -- whatever may happen -----------------------------------------------------------------------------------------------

_MARKS = st.sampled_from([*b"\x01\x02\x03\x04\x05\x06\x15\x17\r\n01234567ABCDEF|HPORL^&", 0, 0xFF])
_BYTES = st.lists(_MARKS, max_size=200).map(bytes)
_STREAMS = st.one_of(
    _BYTES,
    st.tuples(_BYTES, _BYTES).map(lambda around: around[0] + b"".join((ENQ, *astm_frames(RECORDS, 9))) + around[1]),
    st.tuples(_BYTES, st.booleans()).map(lambda given: given[0] + nidek(*LENSES, checksum=given[1]) + given[0]),
)


@settings(max_examples=80, deadline=None)
@given(_STREAMS, st.lists(st.integers(0, 500), max_size=12), st.sampled_from([ASTM, NIDEK, Framing()]))
def test_ok__however_the_stream_is_cut_the_same_comes_of_it(data: bytes, cuts: list[int], framing: Framing) -> None:
    def outcome(pieces: list[bytes]) -> tuple[bytes, list[bytes], list[str], int]:
        bench = Bench(framing)
        said = b"".join(bench.feed(piece, after=0.0) for piece in pieces)
        said += bench.feed(b"", after=200.0)
        assert bench.decoder.phase is Phase.IDLE
        return said, bench.messages, bench.broken, bench.began

    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    assert outcome([data[a:b] for a, b in itertools.pairwise(edges)]) == outcome([data])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(_BYTES, st.floats(0.0, 40.0)), max_size=20), st.sampled_from([ASTM, NIDEK, Framing()]))
@example([(ENQ + STX + b"1", 29.9), (b"H", 30.1)], ASTM)
def test_ok__arbitrary_bytes_never_stop_it_and_are_bounded(pieces: list[tuple[bytes, float]], framing: Framing) -> None:
    bench = Bench(framing, max_bytes=256)
    for data, after in pieces:
        bench.feed(data, after)
        assert bench.decoder.received <= 256 + 1
    bench.feed(b"", after=100.0)
    assert bench.decoder.phase is Phase.IDLE


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_ok__one_damaged_byte_never_gives_another_message(place: int, mask: int) -> None:
    """A sum finds every single error. Where the number of a frame, or a mark, is hit the message is whole or none."""
    sent = bytearray(b"".join(astm_frames(RECORDS)))
    sent[place % len(sent)] ^= mask
    bench = Bench()
    bench.feed(ENQ + bytes(sent) + EOT)
    bench.feed(b"", after=60.0)
    assert set(bench.messages) <= {TEXT}
