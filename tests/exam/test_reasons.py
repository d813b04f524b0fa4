"""The reasons that people may choose are codes of CID 9300, as another dictionary has it."""

from __future__ import annotations

import pytest
from pydicom.sr.codedict import Collection

from appliance.exam.reasons import REASONS, UNSPECIFIED, WRONG_ENTRY, is_reason, reason_from


def test_ok__each_is_a_code_of_cid_9300() -> None:
    listed = Collection("CID9300").concepts.values()
    known = {code.value: code.meaning for code in listed if code.scheme_designator == "DCM"}
    assert {reason.code: reason.meaning for reason in REASONS}.items() <= known.items()


def test_ok__what_a_person_reads_tells_them_apart() -> None:
    assert len({reason.sentence for reason in REASONS}) == len({reason.code for reason in REASONS}) == len(REASONS)
    assert all(len(reason.meaning) <= 64 for reason in REASONS)  # Code Meaning is LO


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("110514", WRONG_ENTRY),
        ("wrong entry", WRONG_ENTRY),  # as exams of earlier releases were closed
        ("", UNSPECIFIED),
        ("nothing was captured", UNSPECIFIED),
        ("The patient left.", UNSPECIFIED),
        ("110599", UNSPECIFIED),
    ],
)
def test_ok__every_end_has_a_reason(text: str, expected: object) -> None:
    assert reason_from(text) is expected


def test_fail__words_are_no_choice() -> None:
    assert is_reason("110501")
    assert not any(is_reason(text) for text in ("", "wrong entry", "110500 "))
