"""The code that two people compare: the same on every machine for ever, another one for every other file."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.config.short_code import LETTERS, is_short_code, short_code_of

_TEXT = b'[box]\nname = "room-9"\n'


def test_ok__the_code_of_a_file_is_what_it_was_in_every_release() -> None:
    """Who wrote the stick may have an older or newer program than the box."""
    assert short_code_of(_TEXT) == "H4PV-9GGY-YTKJ"
    assert short_code_of(b"") == "PET4-Y7WJ-P9VK"


def test_ok__no_character_is_taken_for_another_one() -> None:
    assert len(set(LETTERS)) == 24
    for alike in ("0OQ", "1I", "2Z", "5S", "8B", "UV"):
        assert len(set(alike) & set(LETTERS)) <= 1
    assert LETTERS.upper() == LETTERS


def test_fail__one_more_blank_is_another_file() -> None:
    others = {short_code_of(one) for one in (_TEXT, _TEXT + b" ", _TEXT[:-1], _TEXT.replace(b"\n", b"\r\n"))}
    assert len(others) == 4


@settings(max_examples=4, deadline=None)
@given(st.binary(max_size=64))
def test_ok__a_code_looks_like_one(text: bytes) -> None:
    code = short_code_of(text)
    assert re.fullmatch(rf"[{LETTERS}]{{4}}-[{LETTERS}]{{4}}-[{LETTERS}]{{4}}", code)
    assert is_short_code(code)


def test_fail__what_is_no_code() -> None:
    for text in (
        "",
        "-",
        "--",
        "AAAA-AAAA",
        "AAAA-AAAA-AAA0",
        "aaaa-AAAA-AAAA",
        "AAAA-AAAA-AAAA-AAAA",
        "AAAAA-AAA-AAAA",
    ):
        assert not is_short_code(text), text
