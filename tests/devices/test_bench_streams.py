"""The streams of the benchmark are what they say: each is decoded to its end."""

from __future__ import annotations

import pytest

from tests.bench.decoders import Case, cases


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_ok__a_benchmarks_stream_is_decoded(case: Case) -> None:
    case.decode(case.stream)
