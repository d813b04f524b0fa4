"""XMODEM's receiver by the book and against it: golden bytes, a table of faults, and whatever hypothesis thinks of."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from appliance.devices.serial.decoder import Phase, XmodemDecoder
from appliance.devices.serial.xmodem import Check, TransferLimits
from tests.devices.xmodem_world import ACK, CAN, EOT, NAK, SOH, STX, Bench, ModelSender, World, block, padded

DATA = bytes(range(128))
OTHER = bytes(reversed(range(128)))


def test_ok__golden_block_with_crc() -> None:
    bench = Bench()
    bench.start()
    golden = bytes.fromhex(
        "01"  # SOH: 128 bytes follow
        "01"  # block 1
        "fe"  # 255 - 1
        "313233343536373839"  # "123456789"
        + "1a" * 119  # padding
        + "e447"  # CRC-16, polynomial 1021H from 0, high byte first: computed bit by bit
    )
    assert golden == block(1, padded(b"123456789", 128))
    assert bench.feed(golden) == ACK
    assert bench.progress == [128]


def test_ok__crc_of_the_reference_string() -> None:
    # The check value of CRC-16/XMODEM in every catalogue: 31C3 for "123456789".
    assert Check.CRC.bytes_for(b"123456789") == bytes.fromhex("31c3")
    assert Check.CHECKSUM.bytes_for(b"123456789") == bytes.fromhex("dd")


def test_ok__golden_block_with_checksum() -> None:
    bench = Bench()
    bench.start(checksum=True)
    golden = bytes.fromhex(
        "01"  # SOH
        "01"  # block 1
        "fe"  # its complement
        + "ff" * 128  # data
        + "80"  # sum of 128 times 255, modulo 256
    )
    assert bench.feed(golden) == ACK


def test_ok__a_whole_transfer_and_its_last_ack_comes_after_the_payload() -> None:
    bench = Bench()
    bench.start()
    assert bench.feed(block(1, DATA)) == ACK
    assert bench.feed(block(2, OTHER)) == ACK
    assert bench.feed(EOT) == b""  # does it stand alone?
    assert bench.wait(1.0) == NAK  # it does; is it meant?
    assert bench.feed(EOT) == b""
    assert bench.wait(1.0) == b""  # handed out, and not acknowledged
    assert bench.payloads == [DATA + OTHER]
    assert bench.wait(60.0) == b""  # however long the caller takes
    assert bench.acknowledge() == ACK
    assert bench.decoder.phase is Phase.IDLE


def test_ok__blocks_of_both_sizes_mixed_and_numbers_wrap() -> None:
    bench = Bench()
    bench.start()
    pieces = [bytes((i % 256,)) * (1024 if i % 3 else 128) for i in range(1, 600)]
    for i, piece in enumerate(pieces, 1):
        assert bench.feed(block(i, piece)) == ACK
    bench.feed(EOT)
    bench.wait(1.0)
    bench.feed(EOT)
    bench.wait(1.0)
    assert bench.payloads == [b"".join(pieces)]
    assert bench.progress[-1] == sum(map(len, pieces))


def test_ok__invites_to_a_crc_three_times_and_then_to_a_checksum_for_ever() -> None:
    bench = Bench()
    assert bench.wait(36.0).startswith(b"CCC" + NAK + b"CCC" + NAK + b"CCC" + NAK)
    assert len(bench.wait(3600.0)) in range(1195, 1205)
    assert bench.feed(block(1, DATA)) == ACK


def test_ok__first_byte_is_told_with_its_moment() -> None:
    bench = Bench()
    bench.start()
    bench.feed(SOH, after=0.5)
    moment = bench.now
    assert bench.began == []  # noise could have made it
    bench.feed(b"\x01\xfe", after=0.2)
    assert bench.began == [pytest.approx(moment)]


def test_ok__one_byte_at_a_time() -> None:
    bench = Bench()
    bench.start()
    said = b"".join(bench.feed(bytes((byte,)), after=0.005) for byte in block(1, DATA) + EOT)
    assert said == ACK
    assert bench.wait(0.4) == NAK


def test_ok__sender_that_knows_only_checksums_answers_an_invitation_to_crc() -> None:
    bench = Bench()
    bench.start()
    assert bench.feed(block(1, DATA, checksum=True)) == b""
    assert bench.wait(1.5) == ACK
    assert bench.feed(block(2, DATA, checksum=True)) == ACK


def test_ok__sender_of_crc_began_on_the_invitation_before_the_last() -> None:
    bench = Bench()
    bench.start(checksum=True)
    assert bench.feed(block(1, DATA)) == ACK
    assert bench.feed(block(2, OTHER)) == ACK


def test_ok__noise_and_boot_messages_before_a_transfer_are_skipped() -> None:
    bench = Bench()
    bench.start()
    bench.feed(b"\x00\xffSYSTEM READY 1987\r\n\x01\x02\x18\x18")
    bench.wait(4.0)
    assert bench.feed(b"junk" + block(1, DATA)) == ACK
    assert bench.broken == []


def test_ok__damaged_block_is_asked_for_again_once_the_line_is_still() -> None:
    bench = Bench()
    bench.start()
    good = block(1, DATA)
    assert bench.feed(good[:50] + b"\x00" + good[51:]) == b""
    assert bench.wait(0.4) == b"C"  # before the first good block, 'C' is the NAK of CRC
    assert bench.feed(good) == ACK
    second = block(2, OTHER)
    bench.feed(second[:-1] + bytes((second[-1] ^ 1,)))
    assert bench.wait(0.4) == NAK
    assert bench.feed(second) == ACK


def test_ok__lost_byte_is_found_by_the_gap() -> None:
    bench = Bench()
    bench.start()
    bench.feed(block(1, DATA))
    assert bench.feed(block(2, OTHER)[:-1]) == b""
    assert bench.wait(1.1) == NAK
    assert bench.feed(block(2, OTHER)) == ACK


def test_ok__duplicate_after_a_lost_ack_is_acknowledged_and_dropped() -> None:
    bench = Bench()
    bench.start()
    bench.feed(block(1, DATA))
    bench.feed(block(2, OTHER))
    assert bench.feed(block(2, OTHER), after=2.0) == ACK
    assert bench.progress == [128, 256]


def test_ok__duplicate_right_behind_our_ack_gets_no_second_one() -> None:
    """The sender took a stale invitation for a refusal; the first ACK still reaches it."""
    bench = Bench()
    bench.start()
    assert bench.feed(block(1, DATA)) == ACK
    assert bench.feed(block(1, DATA), after=0.02) == b""
    assert bench.feed(block(2, OTHER), after=0.02) == ACK


def test_ok__lost_ack_that_the_sender_waits_for_is_helped_by_a_nak() -> None:
    bench = Bench()
    bench.start()
    bench.feed(block(1, DATA))
    assert bench.wait(5.1) == NAK
    assert bench.feed(block(1, DATA), after=0.05) == ACK


def test_ok__single_can_is_noise() -> None:
    bench = Bench()
    bench.start()
    bench.feed(block(1, DATA))
    assert bench.feed(CAN + b"x") == b""
    assert bench.wait(0.4) == NAK
    assert bench.feed(block(2, OTHER)) == ACK


@pytest.mark.parametrize(
    "spoiled",
    [
        pytest.param(EOT + block(2, OTHER)[1:], id="SOH became EOT"),
        pytest.param(EOT + block(2, OTHER), id="EOT inserted before a block"),
        pytest.param(block(2, OTHER)[:60] + EOT + block(2, OTHER)[60:], id="EOT inserted into a block"),
        pytest.param(EOT + b"\x04\xfb" + OTHER, id="SOH became EOT in block 4"),
        pytest.param(EOT * 40, id="line stuck at EOT"),
    ],
)
def test_ok__eot_that_noise_made_ends_nothing(spoiled: bytes) -> None:
    bench = Bench()
    bench.start()
    bench.feed(block(1, DATA))
    bench.feed(spoiled)
    assert bench.wait(0.5) == NAK
    assert bench.feed(block(2, OTHER)) == ACK
    bench.feed(EOT)
    bench.wait(0.5)
    bench.feed(EOT)
    bench.wait(0.5)
    assert bench.payloads == [DATA + OTHER]


def test_ok__soh_that_twice_became_eot_ends_nothing() -> None:
    bench = Bench()
    bench.start()
    bench.feed(block(1, DATA))
    for _ in range(2):
        bench.feed(EOT + block(2, OTHER)[1:])
        assert bench.wait(0.5) == NAK
    assert bench.payloads == []
    assert bench.feed(block(2, OTHER)) == ACK


def test_ok__lone_eot_from_noise_is_not_confirmed_by_the_sender() -> None:
    bench = Bench()
    bench.start()
    bench.feed(block(1, DATA))
    bench.feed(EOT, after=0.5)
    assert bench.wait(0.5) == NAK
    assert bench.feed(block(2, OTHER)) == ACK  # the sender took the NAK for its block
    bench.feed(EOT)
    assert bench.wait(0.5) == NAK  # so this is the first EOT again
    assert bench.payloads == []


@pytest.mark.parametrize("mangled", [b"\x05", b"\x01", b"\x02", b"\x18", b"\x84"])
def test_ok__eot_that_noise_changed_is_asked_for_again(mangled: bytes) -> None:
    bench = Bench()
    bench.start()
    bench.feed(block(1, DATA))
    bench.feed(mangled)
    assert bench.wait(5.5).endswith(NAK)
    bench.feed(EOT)
    bench.wait(0.5)
    bench.feed(EOT)
    bench.wait(0.5)
    assert bench.payloads == [DATA]


def transfer(bench: Bench) -> None:
    """One whole transfer of one block, up to its payload."""
    bench.start()
    bench.feed(block(1, DATA))
    bench.feed(EOT)
    bench.wait(0.5)
    bench.feed(EOT)
    bench.wait(0.5)


def test_ok__eot_repeated_after_a_lost_last_ack_is_acknowledged_again() -> None:
    bench = Bench()
    transfer(bench)
    assert bench.acknowledge() == ACK
    assert ACK in bench.feed(EOT, after=10.0) + bench.wait(0.5)
    assert ACK in bench.feed(EOT, after=10.0) + bench.wait(0.5)
    bench.start()
    assert bench.feed(block(1, OTHER)) == ACK  # and the next transfer begins as ever


def test_ok__eot_whose_payload_an_earlier_receiver_kept_is_acknowledged() -> None:
    bench = Bench()
    bench.decoder = XmodemDecoder(bench.limits, "ultrasound", bench.now, kept_at=bench.now - 20.0)
    assert ACK in bench.feed(EOT) + bench.wait(0.5)


@pytest.mark.parametrize("before", ["nothing", "refused", "broken", "long ago"])
def test_fail__eot_of_a_transfer_that_nobody_kept_is_cancelled(before: str) -> None:
    bench = Bench()
    if before == "refused":
        transfer(bench)
        assert bench.refuse() == CAN * 2
    elif before == "broken":
        bench.start()
        bench.feed(block(1, DATA))
        bench.feed(CAN * 2)
    elif before == "long ago":
        transfer(bench)
        bench.acknowledge()
        bench.wait(1000.0)
    said = bench.feed(EOT) + bench.wait(0.5)
    assert CAN * 2 in said
    assert ACK not in said


def test_fail__a_transfer_whose_beginning_was_missed_is_said_and_ended() -> None:
    bench = Bench()
    bench.wait(1.0)
    bench.feed(block(57, DATA))
    assert [str(error) for error in bench.broken] == [
        "The ultrasound was in the middle of a transfer whose beginning was missed. Send the image once more."
    ]
    assert bench.began == []


def test_fail__sender_stops_in_the_middle_of_a_block() -> None:
    bench = Bench()
    bench.start()
    for i in range(1, 97):
        bench.feed(block(i, DATA))
    bench.feed(block(97, DATA)[:40])
    bench.wait(22.0)
    assert bench.broken[0].sentence == "The ultrasound broke off its transfer after 12,288 bytes."
    assert bench.decoder.phase is Phase.IDLE


def test_fail__sender_stops_between_blocks() -> None:
    bench = Bench()
    bench.start()
    bench.feed(block(1, DATA))
    assert bench.wait(21.0).startswith(NAK * 2)
    assert bench.broken[0].sentence == "The ultrasound broke off its transfer after 128 bytes."


def test_fail__sender_does_not_confirm_its_end() -> None:
    bench = Bench()
    bench.start()
    bench.feed(block(1, DATA))
    bench.feed(EOT)
    bench.wait(21.0)
    assert bench.broken[0].sentence == "The ultrasound did not confirm the end of its transfer after 128 bytes."
    assert bench.payloads == []


def test_fail__sender_cancels() -> None:
    bench = Bench()
    bench.start()
    bench.feed(block(1, DATA))
    bench.feed(CAN)
    bench.feed(CAN)
    assert bench.broken[0].sentence == "The ultrasound cancelled its transfer after 128 bytes."


def test_fail__wrong_block_number() -> None:
    bench = Bench()
    bench.start()
    bench.feed(block(1, DATA))
    bench.feed(block(3, OTHER))
    assert bench.broken[0].sentence == "The ultrasound lost its place in its transfer after 128 bytes."


def test_fail__end_without_a_block() -> None:
    bench = Bench()
    bench.start()
    bench.feed(block(1, DATA)[:20])
    bench.wait(1.1)
    bench.feed(EOT)
    bench.wait(0.5)
    bench.feed(EOT)
    bench.wait(0.5)
    assert bench.broken[0].sentence == "The ultrasound ended its transfer without sending anything."


def test_fail__soh_and_then_endless_babble() -> None:
    bench = Bench()
    bench.start()
    bench.feed(block(1, DATA)[:3])
    for _ in range(100_000):
        bench.feed(b"\x55" * 11, after=0.001)
        if bench.broken:
            break
    assert bench.broken[0].sentence == "The ultrasound sends more than its blocks after 0 bytes."
    assert bench.now < 1100.0


def test_fail__endless_blocks_with_a_bad_crc() -> None:
    bench = Bench()
    bench.start()
    bad = block(1, DATA)[:-1] + b"\x00"
    for _ in range(100):
        bench.feed(bad)
        bench.wait(0.4)
        if bench.broken:
            break
    assert "damaged again and again" in bench.broken[0].sentence


def test_fail__endless_duplicates() -> None:
    bench = Bench()
    bench.start()
    for _ in range(100):
        bench.feed(block(1, DATA), after=1.0)
        if bench.broken:
            break
    assert "repeats the same block" in bench.broken[0].sentence


def test_fail__idle_line_that_babbles_is_said_once_every_few_thousand_bytes() -> None:
    bench = Bench()
    for _ in range(200):
        bench.feed(b"\xaa" * 100, after=0.01)
    assert len(bench.broken) == 4
    assert "no XMODEM transfer" in bench.broken[0].sentence


def test_fail__bytes_that_trickle() -> None:
    bench = Bench()
    bench.start()
    for byte in block(1, DATA):
        bench.feed(bytes((byte,)), after=0.9)
        if bench.broken:
            break
    assert (
        bench.broken[0].sentence == "The ultrasound took longer than 30 s for one block of its transfer after 0 bytes."
    )


def test_fail__transfer_that_takes_too_long_as_a_whole() -> None:
    bench = Bench(TransferLimits(total=60.0))
    bench.start()
    for i in range(1, 100):
        bench.feed(block(i, DATA), after=1.0)
        if bench.broken:
            break
    assert bench.broken[0].sentence.startswith("The ultrasound took longer than 60 s for its transfer after ")


def test_fail__more_bytes_than_are_accepted() -> None:
    bench = Bench(TransferLimits(max_bytes=256))
    bench.start()
    for i in range(1, 5):
        bench.feed(block(i, DATA))
    assert bench.broken[0].sentence == "The ultrasound sends more than the 256 bytes that are accepted."


def test_fail__answering_what_nobody_sent() -> None:
    with pytest.raises(RuntimeError):
        Bench().acknowledge()


# -- whatever may happen -----------------------------------------------------------------------------------------------

# One thing that happens to a write of the sender: what, where (a fraction of it), and a byte.
_HAPPENING = st.tuples(
    st.sampled_from(["flip", "drop", "double", "insert"]), st.integers(0, 1 << 16), st.integers(1, 255)
)
_SPOILED = st.dictionaries(st.integers(0, 25), st.lists(_HAPPENING, min_size=1, max_size=3), max_size=12)
_LOST = st.sets(st.integers(0, 25), max_size=6)
_SPLIT = st.dictionaries(st.integers(0, 25), st.floats(0.0, 4.0), max_size=4)
_BACK = st.dictionaries(st.integers(0, 40), st.one_of(st.none(), st.integers(0, 255)), max_size=8)
_PAYLOADS = st.one_of(
    st.binary(min_size=1, max_size=1500),
    # What is made of the protocol's own codes is what a receiver may stumble over.
    st.lists(st.sampled_from([1, 2, 4, 6, 0x15, 0x18, 0x1A, 0xFE, 0xFB, 0x43]), min_size=1, max_size=1500).map(bytes),
)


def _spoil(data: bytes, happenings: list[tuple[str, int, int]]) -> bytes:
    changed = bytearray(data)
    for what, where, byte in happenings:
        if not changed:
            break
        position = where % len(changed)
        if what == "flip":
            changed[position] ^= byte
        elif what == "drop":
            del changed[position]
        elif what == "double":
            changed.insert(position, changed[position])
        else:
            changed.insert(position, byte)
    return bytes(changed)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    data=_PAYLOADS,
    size=st.sampled_from([128, 1024]),
    spoiled=_SPOILED,
    lost=_LOST,
    split=_SPLIT,
    back=_BACK,
    discards=st.booleans(),
)
def test_ok__whatever_happens_to_the_line_it_ends_and_no_wrong_payload_is_handed_out(
    *,
    data: bytes,
    size: int,
    spoiled: dict[int, list[tuple[str, int, int]]],
    lost: set[int],
    split: dict[int, float],
    back: dict[int, int | None],
    discards: bool,
) -> None:
    def forth(index: int, written: bytes) -> list[tuple[float, bytes]]:
        if index in lost:
            return []
        written = _spoil(written, spoiled.get(index, []))
        if index in split and len(written) > 1:
            return [(0.0, written[: len(written) // 2]), (split[index], written[len(written) // 2 :])]
        return [(0.0, written)]

    def answer(index: int, code: bytes) -> bytes:
        if index not in back:
            return code
        change = back[index]
        return b"" if change is None else bytes((change,))

    bench, sender = Bench(), ModelSender(data, size, discards=discards)
    World(sender, bench, forth, answer).run()
    assert all(payload == padded(data, size) for payload in bench.payloads)
    # A sender believes what noise makes of an answer; without such noise it believes what is true.
    if sender.outcome and not any(change == 6 for change in back.values()):
        assert bench.payloads


@pytest.mark.parametrize("checksum", [True, False])
def test_ok__a_damaged_mark_before_a_check_that_looks_like_an_end(checksum: bool) -> None:
    # The first block's mark is lost to noise and its last byte is 04H: that is no EOT, the block comes again.
    data = next(
        bytes((a, b))
        for a in range(256)
        for b in range(256)
        if block(1, padded(bytes((a, b)), 128), checksum)[-1:] == EOT
    )
    bench = Bench()
    bench.start(checksum)
    sent = block(1, padded(data, 128), checksum)
    bench.feed(bytes((sent[0] ^ 1,)) + sent[1:-1])
    bench.feed(sent[-1:])
    assert CAN not in bench.wait(2.0)
    bench.start(checksum)
    assert bench.feed(sent) == ACK


@settings(max_examples=80, deadline=None)
@example(b"\x06V\xf6", 128, True, {0: (0, 1)}, set())
@given(
    st.binary(min_size=1, max_size=1500),
    st.sampled_from([128, 1024]),
    st.booleans(),
    st.dictionaries(st.integers(0, 12), st.tuples(st.integers(0, 1 << 16), st.integers(1, 255)), max_size=3),
    st.sets(st.integers(1, 12), max_size=2),
)
def test_ok__what_a_sender_can_repair_arrives(
    data: bytes, size: int, checksum: bool, flips: dict[int, tuple[int, int]], lost_answers: set[int]
) -> None:
    def forth(index: int, written: bytes) -> list[tuple[float, bytes]]:
        if index in flips:
            where, mask = flips[index]
            written = _spoil(written, [("flip", where, mask)])
        return [(0.0, written)]

    bench, sender = Bench(), ModelSender(data, size, checksum=checksum)
    World(sender, bench, forth, lambda index, code: b"" if index in lost_answers else code).run()
    assert sender.outcome is True
    assert bench.payloads == [padded(data, size)]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=300), st.floats(0.0, 20.0)), max_size=60))
def test_ok__arbitrary_bytes_never_stop_it(pieces: list[tuple[bytes, float]]) -> None:
    bench = Bench()
    for data, after in pieces:
        bench.feed(data, after)
        if bench.decoder.phase is Phase.ENDED:
            bench.refuse()
    if bench.decoder.phase is Phase.ENDED:
        bench.refuse()
    bench.wait(400.0)
    assert bench.decoder.phase is Phase.IDLE


def test_ok__phases_are_bounded_by_the_next_moment() -> None:
    """Wherever it stands, except with a payload in the caller's hands, it says when it wants to be asked again."""
    bench = Bench()
    for data in (b"", SOH, b"\x01\xfe", block(1, DATA)[3:], CAN, b"x", STX, EOT):
        bench.feed(data, after=0.0)
        assert bench.decoder.next_moment() <= bench.now + 31.0
