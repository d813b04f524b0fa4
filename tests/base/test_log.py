"""Lines for journald and for a terminal, and silence of the libraries that would print patients."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator

import pytest

from appliance.base.log import configure_logging


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    libraries = {name: logging.getLogger(name) for name in ("httpx", "httpcore", "uvicorn", "asyncio", "PIL")}
    levels = {name: library.level for name, library in libraries.items()}
    with warnings.catch_warnings():
        yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, library in libraries.items():
        library.setLevel(levels[name])


@pytest.mark.parametrize(
    ("level", "prefix"),
    [("debug", ""), ("info", "<6>"), ("warning", "<4>"), ("error", "<3>"), ("critical", "<2>")],
)
def test_ok__under_the_journal_each_line_has_its_priority(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, level: str, prefix: str
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1234")
    configure_logging("test")
    getattr(logging.getLogger("room"), level)("first\nsecond")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "<6>appliance.base.log: test starts"
    assert lines[1:] == ([f"{prefix}room: first", f"{prefix}second"] if prefix else [])


def test_ok__a_traceback_is_one_priority(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1234")
    configure_logging("test")
    try:
        raise RuntimeError("boom\n<0>panic: not a priority of ours")
    except RuntimeError:
        logging.getLogger("room").exception("failed")
    lines = capsys.readouterr().err.splitlines()[1:]
    assert len(lines) > 3
    assert all(line.startswith("<3>") for line in lines)


def test_ok__in_a_terminal_a_record_has_its_time_and_further_lines_are_indented(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    configure_logging("test")
    logging.getLogger("room").warning("first\nsecond")
    first, second = capsys.readouterr().err.splitlines()[1:]
    assert first[:2] == "20" and first.endswith("WARNING room: first")
    assert second == "    second"


def test_ok__configured_twice_a_line_is_written_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("test")
    configure_logging("test")
    logging.getLogger("room").info("once")
    assert capsys.readouterr().err.count("once") == 1


def test_ok__pydicoms_complaints_do_not_name_the_patient() -> None:
    """It warns of a value by quoting it, in its log and in Python's warnings. A process of its own, as services are."""
    program = """
import logging
from appliance.base.log import configure_logging
configure_logging("test", logging.DEBUG)
from pydicom import Dataset
dataset = Dataset()
dataset.PatientBirthDate = "13 March 1980"
dataset.PatientID = "SECRET" * 20
dataset.StudyInstanceUID = "SECRET.1"
"""

    def said(text: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=True
        ).stderr

    (only,) = said(program).splitlines()
    assert only.endswith("test starts")
    # Without us it does name them; if it ever stops, the above shows nothing.
    without = said(program.replace("configure_logging(", "print("))
    assert "SECRET" in without and "March" in without
