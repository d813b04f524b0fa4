"""Every status that DESIGN names leads where it says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.dimse.status import (
    COMMITMENT_FAILURE,
    CREATE_STATUS,
    SET_STATUS,
    STORE_STATUS,
    ReasonVerdict,
    StepVerdict,
    StoreVerdict,
    create_verdict,
    reason_verdict,
    rejection_words,
    set_verdict,
    store_verdict,
)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (0x0000, StoreVerdict.STORED),
        (0xB000, StoreVerdict.STORED_WITH_WARNING),
        (0xB006, StoreVerdict.STORED_WITH_WARNING),
        (0xB007, StoreVerdict.STORED_WITH_WARNING),
        (0xA700, StoreVerdict.RETRY),
        (0xA7FF, StoreVerdict.RETRY),
        (0x0110, StoreVerdict.RETRY),
        (0xA900, StoreVerdict.REFUSED),
        (0xC000, StoreVerdict.REFUSED),
        (0xCFFF, StoreVerdict.REFUSED),
        (0x0122, StoreVerdict.REFUSED),
        (0x0124, StoreVerdict.REFUSED),
        (0x1234, StoreVerdict.RETRY),
        (0xB001, StoreVerdict.RETRY),
    ],
)
def test_ok__store_status(status: int, verdict: StoreVerdict) -> None:
    assert store_verdict(status)[0] is verdict


@pytest.mark.parametrize(
    ("reason", "verdict"),
    [
        (0x0110, ReasonVerdict.ASK_AGAIN),
        (0x0112, ReasonVerdict.STORE_AGAIN),
        (0x0119, ReasonVerdict.REFUSED),
        (0x0122, ReasonVerdict.REFUSED),
        (0x0131, ReasonVerdict.NEW_TRANSACTION),
        (0x0213, ReasonVerdict.ASK_AGAIN),
        (0x7777, ReasonVerdict.ASK_AGAIN),
    ],
)
def test_ok__commitment_failure_reason(reason: int, verdict: ReasonVerdict) -> None:
    assert reason_verdict(reason)[0] is verdict


def test_ok__created_in_spite_of_a_warning() -> None:
    for status in (0x0107, 0x0116):
        assert create_verdict(status)[0] is StepVerdict.DONE_WITH_WARNING
        assert set_verdict(status)[0] is StepVerdict.DONE_WITH_WARNING
    assert create_verdict(0x0111)[0] is StepVerdict.DUPLICATE
    assert set_verdict(0x0110)[0] is StepVerdict.RETRY
    assert set_verdict(0x0112)[0] is StepVerdict.UNKNOWN_STEP


def test_ok__tables_do_not_overlap() -> None:
    for table in (STORE_STATUS, COMMITMENT_FAILURE, CREATE_STATUS, SET_STATUS):
        codes = [code for (first, last), _, _ in table for code in range(first, last + 1)]
        assert len(codes) == len(set(codes))


@given(st.integers(0, 0xFFFF))
def test_ok__only_success_and_warnings_count_as_stored(status: int) -> None:
    verdict, words = store_verdict(status)
    assert (verdict in {StoreVerdict.STORED, StoreVerdict.STORED_WITH_WARNING}) == (
        status in {0x0000, 0xB000, 0xB006, 0xB007}
    )
    assert status == 0 or f"{status:04X}H" in words


def test_ok__rejection_in_the_standards_words() -> None:
    assert rejection_words(1, 7) == "the called AE title is not recognized"
    assert "source 9" in rejection_words(9, 9)
