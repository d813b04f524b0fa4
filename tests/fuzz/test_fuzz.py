"""A bounded run of the fuzzer over every decoder, and that the fuzzer finds what is planted."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fuzz.run import run_target
from tests.fuzz.target import Target, conversation_of, pieces_of

ROOT = Path(__file__).parents[2]


def test_ok__no_decoder_hangs_breaks_or_grows(tmp_path: Path) -> None:
    """Eighty inputs each: its own seeds, and what the fuzzer breeds of them."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--runs", "80", "--directory", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if " MB " in line]
    assert len(rows) >= 20
    assert all(int(row[1].replace(",", "")) >= 80 for row in rows), done.stdout


def _target(act: object, megabytes: int = 64) -> Target:
    return Target("planted", act, lambda: [b"abcdef"], 64, megabytes, seconds=1)  # type: ignore[arg-type]


def test_fail__a_planted_fault_a_hang_and_growth_are_found(tmp_path: Path) -> None:
    kept: list[bytearray] = []

    def break_off(data: bytes) -> None:
        if data[:3] == b"abc":
            raise LookupError("planted")

    def hang(data: bytes) -> None:
        while data[:3] == b"abc":
            time.sleep(0.01)

    def grow(data: bytes) -> None:
        kept.append(bytearray(b"x" * 1_000_000))

    broken = run_target(_target(break_off), tmp_path / "broken", runs=50)
    assert "planted" in broken.trouble
    assert (tmp_path / "broken" / "planted.input").read_bytes()[:3] == b"abc"
    assert run_target(_target(hang), tmp_path / "hang", runs=50).trouble
    grown = run_target(_target(grow, megabytes=20), tmp_path / "grown", runs=60)
    assert "is its bound" in grown.trouble or "are its bound" in grown.trouble or "out-of-memory" in grown.trouble


@pytest.mark.parametrize("data", [b"", b"abc" * 200, bytes(range(256))])
def test_ok__a_seed_becomes_the_conversation_that_it_is_of(data: bytes) -> None:
    assert b"".join(piece for _, piece in pieces_of(conversation_of(data))) == data
