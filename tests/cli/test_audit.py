"""`appliance audit`: what was done, to people and to programs; whether it is whole, and what a collector has."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest

from appliance.base.clock import SystemClock
from appliance.base.durable import make_directory, replace_file
from appliance.base.paths import Paths
from appliance.cli.caller import ACTOR_VARIABLE
from appliance.cli.main import main
from appliance.cli.shell_session import SESSION_VARIABLE
from appliance.exam.audit import Act, AuditTrail, Effect, Party
from appliance.exam.audit_reading import Position, bytes_from, list_trails, read_trail, sent_path
from appliance.exam.audit_record import Record, list_segments
from tests.exam.audit_world import EXAM, SUBJECT, make_trail

_OTHERS = "E000099-20261122-100000"
_COLLECTOR = """
[tls]
certificate = "box.crt"
key = "box.key"
authorities = "authorities.crt"
[audit]
host = "logs.hospital.example"
"""


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A box on which two processes did something."""
    paths = Paths.below(tmp_path)
    for name, value in paths.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SUDO_USER", "maria")
    paths.configuration.parent.mkdir(parents=True)
    paths.configuration.write_text('[box]\nname = "bridge"\n')
    console = make_trail(paths.audit)
    console.record(Act.SERVICE_STARTED, actor="console")
    console.record(Act.EXAM_OPENED, actor="panel", exam=EXAM)
    console.record(Act.EXAM_CLOSED, actor="panel", exam=EXAM, objects=["1.2.3", "1.2.4"])
    forward = make_trail(paths.audit, "forward")
    forward.record(
        Act.OBJECTS_TRANSFERRED,
        actor="forward",
        outcome=Effect.SERIOUS_FAILURE,
        exam=EXAM,
        objects=["1.2.3"],
        party=Party("PACS", "10.1.2.3"),
        detail="It refused them.",
    )
    return paths


def test_ok__what_is_done_again_and_again_is_one_row(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        make_trail(paths.audit, "login").record(Act.LOGIN, actor="otto", party=Party("ssh", "10.9.9.9"))
    lines = [line for line in show(capsys, "--since", "2026-01-01").splitlines() if "otto" in line]
    assert len(lines) == 1 and "ssh 10.9.9.9; 3 times, until 20" in lines[0]


def show(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    assert main(["audit", *arguments]) == status
    return capsys.readouterr().out


def show_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(show(capsys, "--json", *arguments))
    return shown


def test_ok__the_table_says_who_did_what(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    lines = show(capsys, "--since", "2026-01-01").splitlines()
    assert lines[0].split() == ["when", "by", "process", "what", "exam", "patient", "ID", "objects", "more"]
    table = "\n".join(" ".join(line.split()[2:]) for line in lines[1:5])
    assert "console console service started - - -" in table
    assert f"panel console exam closed {EXAM.exam_id} PID-0815 2" in table
    assert f"forward forward objects transferred {EXAM.exam_id} PID-0815 1 failed: PACS 10.1.2.3; It refused" in table
    assert lines[-3:] == [
        "4 records of 2 processes.",
        "The trail is whole.",
        "No collector is configured: the records stay on this box, the oldest go when it is full of them.",
    ]


def test_ok__only_an_exam_and_only_since(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    assert [one["act"] for one in show_json(capsys, "--exam", EXAM.exam_id)["records"]] == [
        *("objects-transferred", "exam-opened", "exam-closed")
    ]
    assert show_json(capsys, "--exam", _OTHERS)["records"] == []
    assert [one["act"] for one in show_json(capsys, "--since", "2026-11-22T09:30:17+00:00")["records"]][:1] == [
        "exam-closed"
    ]
    now = SystemClock().now()
    recent = Record(0, "console", now - timedelta(days=6), Act.LOGIN, "admin", subject=SUBJECT)
    AuditTrail(paths.audit, "console", SystemClock()).append(recent)
    acts = [one["act"] for one in show_json(capsys)["records"]]
    assert "login" in acts


def test_ok__the_messages_are_what_a_collector_gets(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    lines = show(capsys, "--xml", "--exam", EXAM.exam_id).splitlines()
    assert [Xml.fromstring(line).find("EventIdentification/EventID").get("csd-code") for line in lines] == [  # type: ignore[union-attr]
        *("110104", "110111", "110103")
    ]


def test_ok__to_look_is_recorded(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    show(capsys, "--exam", EXAM.exam_id)
    (line,) = read_trail(paths.audit / "cli").lines
    assert line.record.act is Act.TRAIL_READ
    assert line.record.actor.startswith("maria") and line.record.detail == f"of exam {EXAM.exam_id}"


def test_ok__what_the_collector_has(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    paths.configuration.write_text(_COLLECTOR)
    everything = ("--since", "2026-01-01")
    last = show(capsys, *everything).splitlines()[-1]
    assert last == "The collector logs.hospital.example has not taken yet: 3 of console, 1 of forward."
    positions = {
        trail.name: Position("00000001.log", 1, read_trail(trail).lines[-1].record.number)
        for trail in list_trails(paths.audit)
    }
    make_directory(sent_path(paths.audit).parent)
    replace_file(sent_path(paths.audit), bytes_from(positions))
    assert show(capsys, *everything).splitlines()[-1] == "The collector logs.hospital.example has everything."
    shown = show_json(capsys, *everything)
    assert shown["collector"] == "logs.hospital.example"
    assert {one["process"]: one["unsent"] for one in shown["trails"]} == {"cli": 1, "console": 0, "forward": 0}


def test_fail__what_the_collector_has_and_the_box_has_not(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    make_directory(sent_path(paths.audit).parent)
    replace_file(sent_path(paths.audit), bytes_from({"console": Position("00000001.log", 5000, 7)}))
    shown = show(capsys, "--since", "2026-01-01", status=1)
    assert "NOT WHOLE: console: Its end is missing or was changed: its last record was number 7, the last" in shown


def test_fail__the_newest_record_was_altered(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    (segment,) = list_segments(paths.audit / "forward")
    segment.write_bytes(segment.read_bytes().replace(b'"outcome":8', b'"outcome":0'))
    shown = show(capsys, "--since", "2026-01-01", status=1)
    assert "NOT WHOLE: forward: 00000001.log holds from byte 0 to" in shown


def test_fail__a_trail_that_was_edited(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    (segment,) = list_segments(paths.audit / "console")
    segment.write_bytes(segment.read_bytes().replace(b"exam-opened", b"exam-closed"))
    shown = show(capsys, "--since", "2026-01-01", status=1)
    assert "NOT WHOLE: console: Between its records 1 and 3 something is missing or was changed." in shown
    assert "The trail is whole" not in shown


def test_fail__flash_that_takes_nothing_still_shows(
    paths: Paths, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_given: object, **_more: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(AuditTrail, "append", refuse)
    assert main(["audit", "--since", "2026-01-01"]) == 0
    shown = capsys.readouterr()
    assert "4 records" in shown.out and "could not be recorded: the flash has become read-only" in shown.err


# -- logins


def test_ok__supports_login_is_recorded_whoever_cannot_be_told(
    paths: Paths, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (ACTOR_VARIABLE, SESSION_VARIABLE):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("SSH_CONNECTION", "10.9.9.9 50022 10.0.0.5 22")
    monkeypatch.setenv("SSH_ORIGINAL_COMMAND", "help queue")
    assert main(["shell", "--role", "viewer", "--who", "otto"]) == 0
    (line,) = read_trail(paths.audit / "login").lines
    assert (line.record.act, line.record.party) == (Act.LOGIN, Party("ssh", "10.9.9.9"))
    assert line.record.actor == "otto (viewer, as told by the command line)"

    def refuse(self: AuditTrail, record: Record) -> None:
        raise OSError(30, "Read-only file system")

    capsys.readouterr()
    monkeypatch.setattr(AuditTrail, "append", refuse)
    assert main(["shell", "--role", "viewer", "--who", "otto"]) == 0, "nobody is kept out"
    shown = capsys.readouterr()
    assert "usage: appliance queue" in shown.out
    assert shown.err == "appliance: This login could not be recorded: the flash has become read-only.\n"
