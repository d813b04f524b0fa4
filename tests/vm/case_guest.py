"""The harness itself, on a real guest: files in and out, the clock, and that a case leaves nothing behind."""

from __future__ import annotations

import os
import time

from tests.vm.frozen import Frozen, thawed
from tests.vm.machine import Machine


def test_ok__files_pass_unchanged(guest: Machine) -> None:
    content = os.urandom(3_000_000)
    guest.shell.write_file("/tmp/picture", content)
    assert guest.shell.run("stat --format %s /tmp/picture") == "3000000\n"
    assert guest.shell.read_file("/tmp/picture") == content


def test_ok__the_guest_has_the_time_of_now(guest: Machine) -> None:
    before = time.time()
    inside = float(guest.shell.run("date +%s.%N"))
    assert before - 5 < inside < time.time() + 5


def test_ok__its_clock_can_be_wrong_for_a_case(guest: Machine) -> None:
    guest.shell.run("date --utc --set='2001-02-03 04:05:06'")
    assert guest.shell.run("date --utc +%Y-%m-%d") == "2001-02-03\n"


def test_ok__a_case_leaves_nothing_to_the_next(frozen: Frozen) -> None:
    with thawed(frozen) as first:
        first.shell.run("echo here > /var/lib/left && sync")
        assert first.shell.run("cat /var/lib/left") == "here\n"
    with thawed(frozen) as second:
        assert second.shell.try_run("test -e /var/lib/left").status == 1
