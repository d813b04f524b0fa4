"""For every room: the programs that the tests need, hypothesis's profile, and how long each room took."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

_TESTS = Path(__file__).parent

# DCMTK's names also belong to pynetdicom's examples, which come first in a virtual environment's PATH.
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"

# What the tests run → the Debian package that has it. Real peers are not optional: without them a test says nothing.
NEEDED = {
    "Orthanc": "orthanc",
    "storescp": "dcmtk",
    "echoscu": "dcmtk",
    "findscu": "dcmtk",
    "wlmscpfs": "dcmtk",
    "dcmdump": "dcmtk",
    "dcmmkdir": "dcmtk",
    "dump2dcm": "dcmtk",
    "dcmj2pnm": "dcmtk",
    "dciodvfy": "dicom3tools",
    "gdcminfo": "libgdcm-tools",
    "gdcmconv": "libgdcm-tools",
    "gdcmscanner": "libgdcm-tools",
    "openssl": "openssl",
    "sx": "lrzsz",
    "scanimage": "sane-utils",
    "gs": "ghostscript",
    "pbmtolj": "netpbm",
    "chromium": "chromium",
    "systemd-analyze": "systemd",
    "udevadm": "udev",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "nft": "nftables",
    "ip": "iproute2",
}

# Busy cores make any deadline of an example a lie. In CI the same examples run in each run, so that red means changed.
settings.register_profile("here", deadline=None, print_blob=True)
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "here")

_seconds: Counter[str] = Counter()
_SLOWEST_FIRST = {room: place for place, room in enumerate(("services", "forward", "crash", "console", "dimse"))}


def pytest_sessionstart(session: pytest.Session) -> None:
    """Without its peers the run fails before the first test: a skipped test would look like a passed one."""
    missing = {name: package for name, package in NEEDED.items() if shutil.which(name, path=_SYSTEM_PATH) is None}
    if missing:
        packages = " ".join(sorted(set(missing.values())))
        raise pytest.UsageError(f"The tests need {', '.join(missing)}: run `apt-get install {packages}`.")


@pytest.fixture(autouse=True)
def _same_environment() -> Iterator[None]:
    """What a test leaves in the environment, another one's processes would get."""
    before = dict(os.environ)
    yield
    after = dict(os.environ)
    os.environ.clear()
    os.environ.update(before)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    left = sorted(changed - {"PYTEST_CURRENT_TEST"})
    assert not left, f"the test leaves {left} changed in the environment"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The rooms with the longest tests first, so that at the end no worker is alone with them."""
    items.sort(key=lambda item: _SLOWEST_FIRST.get(_room_of(item.nodeid), len(_SLOWEST_FIRST)))


def _room_of(nodeid: str) -> str:
    return nodeid.removeprefix(f"{_TESTS.name}/").partition("/")[0]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _seconds[_room_of(report.nodeid)] += report.duration


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each room, the slowest first."""
    if _seconds:
        terminalreporter.section("time by room")
        for room, seconds in _seconds.most_common():
            terminalreporter.line(f"{seconds:8.1f} s  {room}")
