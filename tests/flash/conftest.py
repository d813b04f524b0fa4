"""The layer, compiled once for each worker."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.flash.layer import build_layer, environment_with

Prove = Callable[..., tuple[int, str]]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_layer(tmp_path_factory.mktemp("flash"))


@pytest.fixture
def prove(library: Path) -> Prove:
    """`python -m tests.flash` with arguments: its status and what it printed. The layer is there already."""

    def run(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "tests.flash", *arguments],
            env=environment_with(library),
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=220,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run
