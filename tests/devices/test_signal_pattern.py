"""Byte patterns: written, found in any cut of the stream, and learned from recordings."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.devices.signal.learn import MAX_RECORDING, NothingLearned, learn_pattern
from appliance.devices.signal.pattern import BytePattern, PatternFinder, pattern_from_text

# A laser imager's commands as a manual writes them: STX, mnemonic, film number, ETX.
ACQUIRE = pattern_from_text("02 41 51 49 ?? 03")
PRINT = pattern_from_text("02505249 03")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("02 41 ?? 03", "02 41 ?? 03"),
        ("0241??03", "02 41 ?? 03"),
        ("ff", "ff"),
        (" 1B\t5A ", "1b 5a"),
    ],
)
def test_ok__a_pattern_is_written_as_in_a_manual(text: str, written: str) -> None:
    assert str(pattern_from_text(text)) == written


@pytest.mark.parametrize("text", ["", "0", "0x41", "gg", "?? 41", "41 ??", "41 ?", "00" * 65, "4 1?? 3"])
def test_fail__what_is_no_pattern(text: str) -> None:
    with pytest.raises(ValueError, match="byte pattern"):
        pattern_from_text(text)


def test_ok__golden_stream() -> None:
    stream = bytes.fromhex(
        "00ff"  # noise
        "02415149 31 03"  # STX A Q I, film 1, ETX
        "02415149 03 03"  # film 3, whose number looks like ETX
        "0250524903"  # STX P R I ETX
    )
    assert PatternFinder((ACQUIRE, PRINT)).feed(stream) == [0, 0, 1]


def test_ok__one_byte_counts_for_one_match() -> None:
    twice = pattern_from_text("aa aa")
    finder = PatternFinder((twice,))
    assert [finder.feed(b"\xaa") for _ in range(5)] == [[], [0], [], [0], []]


def test_ok__what_came_before_a_new_opening_is_forgotten() -> None:
    finder = PatternFinder((PRINT,))
    finder.feed(bytes.fromhex("025052"))
    finder.forget()
    assert finder.feed(bytes.fromhex("4903")) == []


_BYTES = st.lists(st.sampled_from([0x02, 0x41, 0x51, 0x49, 0x03, 0x50, 0x52, 0xAA]), max_size=200).map(bytes)


@given(_BYTES, st.lists(st.integers(0, 200), max_size=20))
def test_ok__however_the_stream_is_cut_the_same_is_found(data: bytes, cuts: list[int]) -> None:
    patterns = (ACQUIRE, PRINT, pattern_from_text("aa aa"), pattern_from_text("41 ?? 49"))
    whole = PatternFinder(patterns).feed(data)
    finder, edges = PatternFinder(patterns), sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    assert [number for piece in pieces for number in finder.feed(piece)] == whole
    assert len(finder._tail) < 6
    assert [whole.count(number) for number in range(4)] == [one.count_in(data) for one in patterns]


def test_ok__learned_with_a_counter_in_it() -> None:
    presses = [bytes.fromhex(f"0006 02415149{film:02x}03 0d") for film in (0x31, 0x32, 0x33)]
    presses[1] = b"\x11\x99" + presses[1]
    learned = learn_pattern(presses)
    assert str(learned.pattern) == "00 06 02 41 51 49 ?? 03 0d"
    assert (learned.presses, learned.repeats, learned.is_weak) == (3, 1, False)


def test_ok__what_comes_by_itself_is_no_signal() -> None:
    """The machine polls its imager all the time: `status?` stands in each recording and is longer than the signal."""
    poll, press = b"\x02STATUS?\x03", b"\x02AQI\x03"
    presses = [poll + press + poll + poll, poll + poll + press + poll]
    learned = learn_pattern(presses, idle=poll * 5)
    assert press[:-1] in bytes(one or 0 for one in learned.pattern.positions)
    assert learned.pattern.count_in(poll * 50) == 0
    assert all(learned.pattern.count_in(one) == 1 for one in presses)


def test_ok__one_press_that_says_it_twice_and_a_single_byte() -> None:
    learned = learn_pattern([b"\x05\x00\x05", b"\x05\x07\x05"])
    assert learned.pattern.count_in(b"\x05\x00\x05") == learned.repeats
    assert learn_pattern([b"\x05", b"\x05"]).is_weak


@pytest.mark.parametrize(
    ("presses", "idle", "words"),
    [
        ([b"abc"], b"", "One press is not enough"),
        ([b"abc", b""], b"", "no byte came"),
        ([b"abc", b"a" * (MAX_RECORDING + 1)], b"", "more than 4,096 bytes"),
        ([b"abc", b"xyz"], b"", "nothing in common"),
        ([b"\x02ON\x03", b"\x02ON\x03"], b"..\x02ON\x03..", "nothing in common"),
    ],
)
def test_fail__nothing_to_learn(presses: list[bytes], idle: bytes, words: str) -> None:
    with pytest.raises(NothingLearned, match=words) as told:
        learn_pattern(presses, idle)
    assert told.value.suggestion


@given(
    st.binary(min_size=3, max_size=12),
    st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=40)), min_size=2, max_size=5),
    st.binary(max_size=60),
)
def test_ok__a_learned_pattern_stands_in_each_press_and_never_in_between(
    signal: bytes, around: list[tuple[bytes, bytes]], idle: bytes
) -> None:
    presses = [before + signal + behind for before, behind in around]
    try:
        learned = learn_pattern(presses, idle)
    except NothingLearned:
        assert signal in idle or BytePattern(tuple(signal)).count_in(idle)
        return
    assert all(learned.pattern.count_in(one) for one in presses)
    assert learned.pattern.count_in(idle) == 0
    assert PatternFinder((learned.pattern,)).feed(presses[0]) == [0] * learned.pattern.count_in(presses[0])
