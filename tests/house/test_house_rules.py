"""The house rules, kept by the tools that know them: lint, format, types, imports, layout, length, a quick start."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PACKAGE = _ROOT / "appliance"
_TOOLS = Path(sys.executable).parent

_ROOMS = {
    *("base", "config", "spool", "exam", "devices", "dimse", "compose", "acquire", "export", "forward"),
    *("conformance", "console", "cli", "simulator", "services"),
}
# Everything that may lie at the top of the repository.
_TOP_LEVEL = {
    *(".ci", ".github", ".gitignore", "LICENSE", "Makefile", "README.md", "appliance", "image", "pyproject.toml"),
    *("systemd", "tests", "udev"),
}
_MAX_LINES = 400
# A longer file needs a reason here.
_LONGER: dict[str, str] = {
    "appliance/devices/serial/decoder.py": "XMODEM's one state machine: cutting it would hide its states",
}
# Heavy at import (seconds on the box); `appliance --help` must answer at once.
_HEAVY = ("pydicom", "pynetdicom", "numpy", "PIL", "starlette", "uvicorn", "httpx")


def _python_files() -> list[Path]:
    return sorted(path for path in _PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def _run(*command: str) -> None:
    """Run a tool of our own environment at the repository's top; what it prints is the failure's message."""
    program = _TOOLS / command[0]
    assert program.exists(), f"{command[0]} is not installed beside {sys.executable}: pip install -e '.[test]'"
    done = subprocess.run([program, *command[1:]], cwd=_ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


def test_ok__ruff_finds_nothing() -> None:
    _run("ruff", "check", "appliance", "tests")


def test_ok__every_file_is_formatted() -> None:
    _run("ruff", "format", "--check", "appliance", "tests")


def test_ok__types_hold_strictly() -> None:
    _run("mypy", "--strict", "-p", "appliance")


def test_ok__rooms_import_one_way() -> None:
    _run("lint-imports")


def test_ok__every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(_ROOT)) for path in _python_files() if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent


def test_ok__no_file_is_too_long() -> None:
    long = {str(path.relative_to(_ROOT)) for path in _python_files() if len(path.read_text().splitlines()) > _MAX_LINES}
    assert long == set(_LONGER), "longer than the limit without a reason, or listed and short again"


def test_ok__the_rooms_are_those_of_the_design() -> None:
    here = {entry.name for entry in _PACKAGE.iterdir() if entry.is_dir() and entry.name != "__pycache__"}
    assert here <= _ROOMS


def test_ok__no_sentinel_without_an_owner() -> None:
    """Whether somebody is at work is a lock that the kernel takes back (base.lock), never a file that was left there.

    Whoever creates files otherwise than by base.durable's functions is named here; none of them marks anything.
    """
    marks = {"touch", "mknod", "O_CREAT", "write_text", "write_bytes", "mkstemp", "NamedTemporaryFile", "lockf"}
    creators = {
        str(path.relative_to(_PACKAGE))
        for path in _python_files()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in marks
    }
    assert {name for name in creators if not name.startswith("simulator/")} == {
        "base/durable.py",
        "base/lock.py",
        "exam/audit.py",  # the trail, append-only
        "exam/audit_mark.py",  # how far it was written, written over in place
        "export/medium.py",  # what is written to a stick
        "services/orthanc.py",  # the demo's archive: its configuration
        "spool/writer.py",
    }


def test_ok__nothing_lies_at_the_top_that_does_not_belong_there() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert {line.partition("/")[0] for line in listed.stdout.splitlines()} <= _TOP_LEVEL


@pytest.mark.parametrize("arguments", [["--help"]])
def test_ok__the_command_starts_without_the_heavy_libraries(arguments: list[str]) -> None:
    assert importlib.util.find_spec("appliance.cli.main") is not None
    program = f"""
import sys
from appliance.cli.main import main
try:
    code = main({arguments!r})
except SystemExit as ended:
    code = ended.code
loaded = sorted({set(_HEAVY)!r} & set(sys.modules))
assert not loaded, loaded
sys.exit(code)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "COLUMNS": "120"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
