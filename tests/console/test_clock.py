"""The console's judgement of the clock: what it says, logs and writes down, on a clock that the test sets."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.base.clock_trust import Anchor, ClockTrust, Source
from appliance.base.findings import FindingBoard
from appliance.console.clock import UNTRUSTED_CODE, ClockWatch, newest_moment
from appliance.exam.exam import Exam
from appliance.exam.facts import ExamFacts
from tests.console.conftest import Bench, wait_until
from tests.console.fakes import HandClock, make_item

BOOT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Machine:
    """A machine's clocks; the console may be started on it again and again."""

    def __init__(self, run: Path, newest: datetime | None = None) -> None:
        self.run, self.newest = run, newest
        self.boot_id, self.booted_at = "first", BOOT
        self.is_synchronized = self.is_set_by_hardware = False
        self.clock = HandClock()
        self.start()

    def start(self) -> None:
        """The console's process."""
        self.findings = FindingBoard()
        self.trust = ClockTrust(self.run, lambda: self.booted_at.timestamp(), self.boot_id)
        self.clock.start = self.booted_at + timedelta(minutes=1)
        self.watch = ClockWatch(
            self.trust,
            self.clock,
            self.findings,
            self.newest,
            is_synchronized=lambda: self.is_synchronized,
            is_set_by_hardware=lambda: self.is_set_by_hardware,
        )

    def set_clock(self, by: timedelta) -> None:
        self.booted_at += by
        self.clock.start += by

    @property
    def sentence(self) -> str:
        """What the board says of the clock; empty when it is believed."""
        found = [one for one in self.findings.listing() if one.code == UNTRUSTED_CODE]
        assert bool(found) is not self.trust.is_trusted(), "every process and the panel say the same"
        assert self.watch.view()["is_trusted"] is not bool(found)
        return found[0].sentence if found else ""

    def look(self) -> str:
        self.watch.look()
        return self.sentence


def test_ok__a_box_without_battery_says_so_until_a_time_server_sets_the_clock(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    machine = Machine(tmp_path)
    sentence = "may be wrong: nothing has set it since the box started. It says that today is 2026-11-22."
    assert machine.look().endswith(sentence)
    machine.set_clock(20 * HOUR)  # the time server steps it before the kernel is told that it keeps it
    assert "today is 2026-11-23" in machine.look()
    machine.is_synchronized = True
    assert machine.look() == ""
    assert machine.watch.view()["source"] == "time server"
    assert "the clock was set from 2026-11-22 08:01:00+00:00 to 2026-11-23 04:01:00+00:00" in caplog.text
    machine.is_synchronized = False  # the server goes away: nobody has set it since
    assert machine.look() == ""


def test_ok__a_hardware_clock_is_believed_unless_it_is_behind_what_was_written(tmp_path: Path) -> None:
    for directory, newest, is_behind in (("a", None, False), ("b", BOOT - HOUR, False), ("c", BOOT + HOUR, True)):
        machine = Machine(tmp_path / directory, newest)
        (tmp_path / directory).mkdir()
        machine.is_set_by_hardware = True
        assert ("it is behind an exam that was made here" in machine.look()) is is_behind


def test_ok__a_step_is_doubted_and_logged_also_when_the_console_was_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    machine = Machine(tmp_path)
    machine.is_set_by_hardware = True
    machine.look()
    machine.set_clock(-3 * HOUR)
    assert not machine.trust.is_trusted(), "before anybody looked"
    machine.start()
    assert "was put back by 3 h 0 min." in machine.look()
    assert caplog.text.count("the clock was set from 2026-11-22 08:01:00+00:00 to 2026-11-22 05:01:00+00:00") == 1
    machine.look()
    machine.start()
    assert machine.look() != ""
    assert caplog.text.count("the clock was set from") == 1, "once for each step"
    machine.set_clock(3 * HOUR)
    assert machine.look() == "", "put back to where it was"
    machine.set_clock(-24 * HOUR)
    assert "was put back by 1 day." in machine.look()


def test_ok__a_persons_word_holds_until_the_clock_is_set_or_the_box_starts_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine(tmp_path)
    assert machine.look() != ""
    machine.watch.take_word()
    assert machine.sentence == ""
    assert machine.watch.view()["source"] == "person"
    machine.start()
    assert machine.look() == ""
    machine.set_clock(HOUR)
    assert "was put forward by 1 h 0 min" in machine.look()
    machine.set_clock(HOUR)
    machine.watch.take_word()
    assert machine.sentence == ""
    assert caplog.text.count("the clock was set from") == 2, "the second was nobody's to see but the word's"
    machine.boot_id = "second"
    machine.start()
    assert machine.look() != ""


def test_ok__what_stands_is_not_written_again(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.is_synchronized = True
    machine.look()
    written = (tmp_path / "clock.json").stat().st_ino
    for by in (0.3, -0.2, 0.4):
        machine.set_clock(timedelta(seconds=by))
        assert machine.look() == ""
    assert (tmp_path / "clock.json").stat().st_ino == written


def test_fail__without_room_for_the_record_nobody_believes_and_a_finding_says_why(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "none")
    machine.is_synchronized = True
    machine.watch.look()
    assert [one.code for one in machine.findings.listing()] == ["clock-unwritten"]
    assert not machine.trust.is_trusted()
    (tmp_path / "none").mkdir()
    machine.watch.look()
    assert machine.findings.listing() == []
    assert machine.trust.is_trusted()


def test_ok__the_newest_moment_is_the_newest_exams_that_was_opened_on_a_clock_that_was_believed(tmp_path: Path) -> None:
    facts = ExamFacts(tmp_path)
    assert newest_moment(facts) is None
    opened = [(BOOT, True), (BOOT + 99 * HOUR, False), (BOOT - HOUR, True), (BOOT + 9 * HOUR, False)]
    for moment, is_clock_trusted in opened:
        exam_id = facts.next_exam_id(moment)
        exam = Exam(exam_id, moment, make_item(), "1.2", (), (), is_clock_trusted=is_clock_trusted)
        facts.write(exam_id, "exam", exam)
    assert newest_moment(facts) == BOOT - HOUR
    (tmp_path / facts.next_exam_id(BOOT)).mkdir()  # a power cut while it was opened
    assert newest_moment(facts) == BOOT - HOUR


# The console on a machine whose clock no time server keeps, whatever this one's does.
_WITHOUT_TIME_SERVER = """
import sys
import appliance.base.clock_trust
appliance.base.clock_trust.is_synchronized = lambda: False
from appliance.services.console import main
sys.exit(main())
"""


def test_ok__the_panel_and_the_command_say_it_and_the_exam_remembers(bench: Bench) -> None:
    """The real console: the clock was set by two hours since somebody vouched for it; then somebody does again."""
    asker, trust = bench.asker(), ClockTrust(bench.paths.clock)
    assert asker.ask("GET", "/api/clock")["is_trusted"] is True
    right = trust.read()
    assert right is not None
    bench.kill()
    bench.program = ["-c", _WITHOUT_TIME_SERVER]
    trust.write(right.offset, Anchor(Source.HARDWARE, right.offset - 7200))
    bench.start()
    view = asker.ask("GET", "/api/clock")
    assert view["is_trusted"] is False
    assert "was put forward by 2 h 0 min" in view["sentence"]
    codes = {one["code"]: one for one in asker.ask("GET", "/api/status")["findings"]}
    assert "appliance clock trust" in codes[UNTRUSTED_CODE]["suggestion"]
    key = asker.ask("GET", "/api/worklist")["items"][0]["key"]
    exam_id = asker.ask("POST", "/api/exams", {"key": key})["exam_id"]
    exam = bench.facts.exam(exam_id)
    assert exam is not None and not exam.is_clock_trusted
    assert json.loads((bench.paths.state / "exams" / exam_id / "exam.json").read_bytes())["is_clock_trusted"] is False

    assert asker.ask("POST", "/api/clock/trust", {})["is_trusted"] is True
    wait_until(lambda: not asker.ask("GET", "/api/exam")["findings"], "the finding is over")
    asker.close()
