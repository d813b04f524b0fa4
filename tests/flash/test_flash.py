"""The bad-flash proof in small: a sample of the short job's cases, and the proof that the proof can fail."""

from __future__ import annotations

import re

import pytest

from tests.flash.conftest import Prove
from tests.flash.mutations import FAULTS

CASES = 40
PARTS = 2


@pytest.mark.parametrize("part", range(1, PARTS + 1))
def test_ok__whatever_fails_nothing_saved_is_lost_and_people_are_told(prove: Prove, part: int) -> None:
    status, said = prove("--short", "--sample", str(CASES), "--part", f"{part}/{PARTS}", "--workers", "1")
    assert status == 0, said
    assert re.search(rf"^{CASES // PARTS} cases in .* 0 bad$", said, re.MULTILINE), said


def test_fail__each_precaution_that_is_left_out_is_noticed(prove: Prove) -> None:
    status, said = prove("--short", *(part for name in FAULTS for part in ("--fault", name)))
    assert status == 0, said
    assert said.count("noticed in ") == len(FAULTS), said
