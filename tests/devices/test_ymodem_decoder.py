"""YMODEM batches by the book and against it: golden headers, several files, ends that lie, any cut of the stream."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.devices.serial.decoder import Phase
from appliance.devices.serial.xmodem import Began, Broken, Ended, Event, Send, TransferLimits
from appliance.devices.serial.ymodem import FileHeader, header_from_block
from tests.devices.xmodem_world import ACK, CAN, EOT, NAK, Bench, ModelBatch, World, block, padded

DATA = bytes(range(128))


def header(name: bytes = b"scan.bmp", fields: bytes = b"128") -> bytes:
    return block(0, (name + b"\0" + fields).ljust(128, b"\0"))


END_OF_BATCH = block(0, bytes(128))


def finish(bench: Bench) -> None:
    """The sender's end of a file: an EOT, questioned, and again."""
    bench.feed(EOT)
    assert bench.wait(0.5) == NAK
    bench.feed(EOT)
    bench.wait(0.5)


def test_ok__golden_batch_of_one_file() -> None:
    bench = Bench()
    bench.start()
    golden = bytes.fromhex(
        "01"  # SOH: 128 bytes follow
        "00"  # block 0: a header
        "ff"  # 255 - 0
        "42412e434f4d00"  # "BA.COM" and a zero byte
        "3520"  # its length, decimal, and a space
        "3132333020"  # when it was changed, octal seconds
        "31303036343400" + "00" * 107  # its mode, octal, and a zero byte  # zeros up to 128 bytes
    )
    crc = 0
    for byte in golden[3:]:
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021) & 0xFFFF if crc & 0x8000 else crc << 1
    assert bench.feed(golden + crc.to_bytes(2, "big")) == ACK + b"C"
    assert bench.feed(block(1, padded(b"hello", 128))) == ACK
    finish(bench)
    assert bench.payloads == [b"hello"]  # without the padding
    assert bench.acknowledge() == ACK + b"C"
    assert bench.feed(END_OF_BATCH) == ACK
    assert bench.broken == []
    assert bench.decoder.phase is Phase.IDLE


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a.bmp\x00" + b"12345 14641 100644 0 3 99", FileHeader(b"a.bmp", 12345, 3)),
        (b"a.bmp\x0012345", FileHeader(b"a.bmp", 12345)),
        (b"a.bmp\x00", FileHeader(b"a.bmp")),
        (b"a.bmp\x00 \x00rubbish", FileHeader(b"a.bmp")),
        (b"a.bmp\x00-5 0 0", FileHeader(b"a.bmp")),
        (b"a.bmp\x00" + b"9" * 40, FileHeader(b"a.bmp")),
        (b"\xe4 b.bmp\x000", FileHeader(b"\xe4 b.bmp", 0)),
        (b"n" * 127, FileHeader(b"n" * 127)),
        (b"n" * 1023, FileHeader(b"n" * 1023)),
        (b"", FileHeader(b"")),
        (b"\0what stood in lrzsz's buffer\xff\x01", FileHeader(b"")),
    ],
)
def test_ok__headers(data: bytes, expected: FileHeader) -> None:
    assert header_from_block(data.ljust(1024 if len(data) > 128 else 128, b"\0")) == expected
    assert expected.is_end_of_batch is (not expected.name)


@pytest.mark.parametrize("data", [b"n" * 128, b"\x01\x02\x00" + bytes(125), b"a\x00\xff\xff".ljust(128, b"\0")])
def test_fail__blocks_that_are_no_header(data: bytes) -> None:
    with pytest.raises(ValueError, match="no header"):
        header_from_block(data)


def test_ok__several_files_and_each_is_told_with_its_moment() -> None:
    bench = Bench()
    bench.start()
    for number in range(3):
        assert bench.feed(header(b"%d" % number, b"100 0 0 0 %d" % (3 - number))) == ACK + b"C"
        moment = bench.now
        assert bench.feed(block(1, DATA)) == ACK
        finish(bench)
        assert bench.acknowledge() == ACK + b"C"
        assert bench.began[number] == pytest.approx(moment)
    assert bench.feed(END_OF_BATCH) == ACK
    assert bench.payloads == [DATA[:100]] * 3
    assert bench.is_next == [False, True, True]
    bench.start()
    bench.feed(block(1, DATA))
    assert bench.is_next[-1] is False  # what comes now is no batch's


def test_ok__file_of_unknown_length_keeps_its_padding() -> None:
    bench = Bench()
    bench.start()
    bench.feed(header(fields=b""))
    bench.feed(block(1, padded(b"x", 128)))
    finish(bench)
    assert bench.payloads == [padded(b"x", 128)]


@pytest.mark.parametrize("fields", [b"0", b""])
def test_ok__empty_file_is_handed_out_empty(fields: bytes) -> None:
    bench = Bench()
    bench.start()
    bench.feed(header(fields=fields))
    finish(bench)
    assert bench.payloads == [b""]
    assert bench.acknowledge() == ACK + b"C"


def test_ok__name_as_long_as_its_block() -> None:
    bench = Bench()
    bench.start()
    assert bench.feed(block(0, b"n" * 1020 + b"\x005\x00\x00")) == ACK + b"C"
    bench.feed(block(1, padded(b"12345", 1024)))
    finish(bench)
    assert bench.payloads == [b"12345"]


def test_ok__header_again_after_a_lost_answer() -> None:
    bench = Bench()
    bench.start()
    bench.feed(header())
    assert bench.feed(header(), after=2.0) == ACK + b"C"
    assert bench.feed(block(1, DATA)) == ACK
    assert len(bench.began) == 1


def test_ok__invitation_for_the_data_is_given_again() -> None:
    bench = Bench()
    bench.start()
    bench.feed(header())
    assert bench.wait(5.1) == b"C"
    assert bench.feed(block(1, DATA)) == ACK


def test_ok__damaged_header_is_asked_for_again() -> None:
    bench = Bench()
    bench.start()
    bad = header()[:-1] + bytes((header()[-1] ^ 1,))
    assert bench.feed(bad) == b""
    assert bench.wait(0.4) == b"C"
    assert bench.began == []
    assert bench.feed(header()) == ACK + b"C"


def test_ok__last_eot_and_end_of_batch_again_after_lost_answers() -> None:
    bench = Bench()
    bench.start()
    bench.feed(header())
    bench.feed(block(1, DATA))
    finish(bench)
    bench.acknowledge()
    assert ACK in bench.feed(EOT, after=2.0) + bench.wait(0.5)
    assert bench.feed(END_OF_BATCH) == ACK
    assert bench.feed(END_OF_BATCH, after=2.0) == ACK


def test_ok__silence_after_a_file_ends_the_batch_that_announced_no_more() -> None:
    bench = Bench()
    bench.start()
    bench.feed(header())
    bench.feed(block(1, DATA))
    finish(bench)
    bench.acknowledge()
    bench.wait(30.0)
    assert bench.broken == []
    bench.start()
    bench.feed(header())
    assert bench.is_next == [False, False]


def test_ok__more_than_256_blocks() -> None:
    """Block 0 comes round again in the data: it is no header there."""
    bench = Bench()
    bench.start()
    bench.feed(header(fields=b"%d" % (600 * 128)))
    for number in range(1, 601):
        assert bench.feed(block(number, DATA)) == ACK
    finish(bench)
    assert bench.payloads == [DATA * 600]


def test_fail__broken_off_before_the_files_that_were_announced() -> None:
    bench = Bench()
    bench.start()
    bench.feed(header(fields=b"128 0 0 0 2"))
    bench.feed(block(1, DATA))
    finish(bench)
    bench.acknowledge()
    bench.wait(30.0)
    assert bench.broken[0].sentence == "The ultrasound broke off its batch after 1 file."


@pytest.mark.parametrize(
    ("fields", "blocks", "words"),
    [
        (b"129", 1, "sent 128 of the 129 bytes that it had announced"),
        (b"5000", 0, "sent 0 of the 5,000 bytes that it had announced"),
        (b"1", 9, "sent 1,152 bytes, and had announced 1"),
        (b"99999999", 0, "announced 99,999,999 bytes; at most 33,554,432 are accepted"),
    ],
)
def test_fail__a_file_that_is_not_as_long_as_it_says(fields: bytes, blocks: int, words: str) -> None:
    bench = Bench()
    bench.start()
    bench.feed(header(fields=fields))
    for number in range(1, blocks + 1):
        bench.feed(block(number, DATA))
    if not bench.broken:
        finish(bench)
    assert bench.broken[0].sentence == f"The ultrasound {words}."
    assert bench.payloads == []
    assert bench.decoder.phase is Phase.IDLE


def test_fail__cancelled_between_two_files() -> None:
    bench = Bench()
    bench.start()
    bench.feed(header())
    bench.feed(block(1, DATA))
    finish(bench)
    bench.acknowledge()
    bench.feed(CAN * 5)
    assert bench.broken[0].sentence == "The ultrasound cancelled its batch after 1 file."


def test_fail__refused_file_cancels_the_batch() -> None:
    bench = Bench()
    bench.start()
    bench.feed(header(fields=b"128 0 0 0 2"))
    bench.feed(block(1, DATA))
    finish(bench)
    assert bench.refuse() == CAN * 2
    bench.wait(100.0)
    assert bench.broken == []


def test_fail__too_many_files() -> None:
    bench = Bench(TransferLimits(max_files=2))
    bench.start()
    for _ in range(3):
        bench.feed(header())
        if bench.broken:
            break
        bench.feed(block(1, DATA))
        finish(bench)
        bench.acknowledge()
    assert bench.broken[0].sentence == "The ultrasound sends more than 2 files at a time."


@pytest.mark.parametrize("data", [bytes(128), b"\xff" * 128, b"P" * 128, bytes(range(128))])
def test_fail__block_256_of_an_image_whose_beginning_was_missed(data: bytes) -> None:
    bench = Bench()
    bench.start()
    assert ACK not in bench.feed(block(256, data))
    assert len(bench.broken) == 1
    assert bench.began == []


def test_fail__no_sentence_holds_the_files_name() -> None:
    bench = Bench(TransferLimits(max_files=1))
    secret = b"MEIER_ANNA_1948.BMP"
    for fields in (b"999999999", b"128"):
        bench.start()
        bench.feed(header(secret, fields))
        bench.feed(CAN * 2)
    bench.start()
    bench.feed(block(0, secret * 6 + b"123456789\x01\x02\x03\x04\x05"))
    assert len(bench.broken) == 3
    assert not any("MEIER" in str(error) for error in bench.broken)


# -- whatever may happen -----------------------------------------------------------------------------------------------

_FILES = st.lists(
    st.tuples(st.sampled_from([b"a", b"B C.PCX", b"n" * 127]), st.binary(max_size=2500), st.booleans()),
    min_size=1,
    max_size=4,
)


@settings(max_examples=25, deadline=None)
@given(
    _FILES,
    st.sampled_from([128, 1024]),
    st.dictionaries(st.integers(0, 20), st.tuples(st.integers(0, 1 << 16), st.integers(1, 255)), max_size=3),
)
def test_ok__what_a_sender_can_repair_arrives(
    files: list[tuple[bytes, bytes, bool]], size: int, flips: dict[int, tuple[int, int]]
) -> None:
    files = [(b"a" if is_told and len(name) > 100 else name, data, is_told) for name, data, is_told in files]

    def forth(index: int, written: bytes) -> list[tuple[float, bytes]]:
        changed = bytearray(written)
        if index in flips:
            where, mask = flips[index]
            changed[where % len(changed)] ^= mask
        return [(0.0, bytes(changed))]

    bench, sender = Bench(), ModelBatch(files, size)
    World(sender, bench, forth).run()
    assert sender.outcome is True
    assert bench.payloads == [data if is_told else padded(data, size) for _, data, is_told in files]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    _FILES,
    st.dictionaries(st.integers(0, 25), st.binary(max_size=4), max_size=8),
    st.dictionaries(st.integers(0, 40), st.one_of(st.none(), st.integers(0, 255)), max_size=8),
)
def test_ok__whatever_happens_it_ends_and_no_wrong_file_is_handed_out(
    files: list[tuple[bytes, bytes, bool]], spoiled: dict[int, bytes], back: dict[int, int | None]
) -> None:
    files = [(b"a", data, True) for _, data, _ in files]

    def answer(index: int, code: bytes) -> bytes:
        change = back.get(index, code[0])
        return b"" if change is None else bytes((change,))

    def forth(index: int, written: bytes) -> list[tuple[float, bytes]]:
        middle = len(written) // 2
        return [(0.0, written[:middle] + spoiled[index] + written[middle:] if index in spoiled else written)]

    bench, sender = Bench(), ModelBatch(files)
    World(sender, bench, forth, answer).run(8000.0)
    assert set(bench.payloads) <= {data for _, data, _ in files}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=12))
def test_ok__however_a_piece_is_cut_the_events_are_the_same(cuts: list[int]) -> None:
    """A header as the line delivers it, in one piece or byte by byte, up to the answer that the sender waits for."""
    stream = b"boot\r\n" + header()

    def events_of(pieces: list[bytes]) -> list[Event]:
        bench = Bench()
        bench.start()
        bench.wait(0.5)
        return [event for piece in pieces for event in bench.decoder.feed(piece, bench.now)]

    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    found = events_of([stream[a:b] for a, b in itertools.pairwise(edges)])
    assert found == events_of([stream])
    assert [type(event) for event in found] == [Send, Send, Began]
    assert not any(isinstance(event, Broken | Ended) for event in found)
