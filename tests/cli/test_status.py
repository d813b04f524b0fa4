"""`appliance status`: true as far as anything of the box still answers, and 1 when something is wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from appliance.base.board import read_temperature
from appliance.base.errors import ApplianceError
from appliance.base.flash import UNWRITABLE_CODE
from appliance.base.paths import Paths
from appliance.cli import status_report
from appliance.cli.discreet import initials_from
from appliance.cli.main import main
from appliance.cli.status_report import exit_status_of, lines_of, lines_of_findings, read_status
from appliance.exam.exam import Closed, Outcome
from appliance.exam.facts import ExamFacts
from appliance.spool.tree import Spool

CONFIGURATION = """
[box]
reserve_bytes = 0
[[devices]]
name = "endoscope"
title = "Endoscope"
driver = "grabber"
modality = "ES"
source = "machines/endoscope.sock"
"""


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A box of which no process runs, with an exam that waits."""
    made = Paths.below(tmp_path)
    Spool(made.state).make()
    made.configuration.parent.mkdir(parents=True, exist_ok=True)
    made.configuration.write_text(CONFIGURATION)
    closed = Closed(datetime(2026, 11, 22, 9, 12, tzinfo=UTC), Outcome.COMPLETED, (), ("archive",))
    assert ExamFacts(made.state / "exams").write("E000001-20261122-090000", "closed", closed)
    for name, value in made.environment().items():
        monkeypatch.setenv(name, value)
    return made


def test_fail__with_everything_down_the_files_still_tell(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 2
    said = capsys.readouterr().out
    for name in ("console", "forward", "acquire endoscope"):
        assert any(line.startswith(name) and "is down" in line for line in said.splitlines())
    assert "Room for about " in said and "minutes of clip (Endoscope)" in said
    assert "1 exam waits to be sent, since 2026-11-22 09:12." in said
    assert "All is well." not in said
    assert main(["status", "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["is_well"] is False and document["waiting"]["exams"] == 1
    assert {one["name"]: one["is_running"] for one in document["services"]} == {
        "console": False,
        "forward": False,
        "acquire endoscope": False,
    }


def test_fail__no_room_is_promised_where_the_console_found_that_flash_takes_nothing(
    paths: Paths, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = {"code": UNWRITABLE_CODE, "sentence": "Nothing can be saved.", "suggestion": "", "subject": ""}
    told = {"findings": [finding], "destinations": [], "steps": {"due": 0, "trouble": ""}}
    silent = ApplianceError("It does not answer.")
    monkeypatch.setattr(status_report, "ask_one", lambda place: told if place[0] == paths.forward_socket else silent)
    assert main(["status"]) == 2
    said = capsys.readouterr().out
    assert "The flash takes nothing any more: nothing can be captured. " in said and "Room for" not in said


def test_fail__no_box(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPLIANCE_STATE", str(tmp_path))
    assert main(["status"]) == 1
    assert "active.toml" in capsys.readouterr().err


def test_ok__what_waits_and_what_is_wrong_has_a_line_each() -> None:
    counts = {"pending": 52, "stored": 3, "verified": 0, "stored_only": 0, "committed": 7, "refused": 0, "released": 0}
    since = datetime(2026, 11, 22, 9, 12).astimezone()
    destination = {"name": "archive", "is_configured": True, "commits": True, "pending_since": since.isoformat()}
    trouble = {"trouble": "The connection to archive was refused.", "seconds_to_next_attempt": 40.0}
    document = {
        "is_well": False,
        "services": [{"name": "forward", "is_running": True, "sentence": ""}],
        "room": {"sentence": "Room for about 3 exams; 1.0 GB are free.", "is_full": False},
        "waiting": {"sentence": "2 exams wait to be sent."},
        "exam": {"names": ["Müller^Anna"], "patient_id": "P1", "procedure": "ERCP", "objects": 1},
        "temperature_celsius": 54.3,
        "open_exam": "open exam E1: 1 object saved here, to be sent when it ends",
        "destinations": [{**counts, **destination, **trouble}],
        "steps": {"due": 1, "trouble": "The RIS does not answer.", "seconds_to_next_attempt": 0, "is_configured": True},
        "clock": {"sentence": "The clock was never set.", "suggestion": "Set it."},
        "findings": [{"sentence": "The flash is full.", "suggestion": "Call support.\x1b[2J", "subject": ""}],
    }
    assert lines_of(document, since) == [
        "forward  runs",
        "",
        "examined now: Müller^Anna, ID P1; ERCP, 1 object saved here",
        "open exam E1: 1 object saved here, to be sent when it ends",
        "Room for about 3 exams; 1.0 GB are free.",
        "2 exams wait to be sent.",
        "archive: 52 to be stored, 3 stored, not committed, 7 committed; the oldest waits since 09:12:00."
        " The connection to archive was refused. Next attempt in 40 s.",
        "performed steps: 1 to be told. The RIS does not answer. Next attempt now.",
        "The clock was never set. Set it.",
        "The board has 54 °C.",
        "",
        "! The flash is full. Call support.\N{REPLACEMENT CHARACTER}[2J",
    ]
    assert lines_of({**document, "findings": [], "is_well": True}, since)[-1] == "All is well."


def test_ok__each_finding_says_whom_it_is_about_and_is_said_once() -> None:
    def finding(subject: str, sentence: str) -> dict[str, str]:
        return {"subject": subject, "sentence": sentence, "suggestion": "Ask its administrator."}

    one_host = "PACS at 10.0.0.1:104 refuses."
    assert lines_of_findings(
        [
            finding("ris", one_host),
            finding("archive", "archive refused 3 objects."),
            finding("performed-step", one_host),
            finding("ris", one_host),
            finding("", "The clock is wrong."),
            finding("arch", "archive refused 3 objects."),
        ]
    ) == [
        "! ris, performed-step: PACS at 10.0.0.1:104 refuses. Ask its administrator.",
        "! archive, arch: archive refused 3 objects. Ask its administrator.",
        "! The clock is wrong. Ask its administrator.",
    ]


def test_ok__a_trouble_that_a_finding_tells_is_not_told_twice() -> None:
    trouble = {"trouble": "PACS refuses.", "seconds_to_next_attempt": 40.0, "is_configured": True}
    counts = dict.fromkeys(("pending", "stored", "verified", "stored_only", "committed", "refused", "released"), 0)
    document = {
        "is_well": False,
        "services": [],
        "room": {"sentence": "Room.", "is_full": False},
        "waiting": {"sentence": "Nothing waits."},
        "open_exam": "",
        "destinations": [{"name": "archive", "commits": True, **counts, **trouble}],
        "steps": {"due": 1, **trouble},
        "clock": None,
        "findings": [{"sentence": "PACS refuses.", "suggestion": "", "subject": "archive"}],
    }
    lines = lines_of(document, datetime.now().astimezone())
    assert lines[-4:] == [
        "archive: 0 committed. See below. Next attempt in 40 s.",
        "performed steps: 1 to be told. See below. Next attempt in 40 s.",
        "",
        "! archive: PACS refuses.",
    ]


@pytest.mark.parametrize(
    ("names", "initials"),
    [
        (["Müller^Anna^^Dr."], "M.A."),
        (["müller^anna", "山田^太郎"], "M.A."),
        (["UNKNOWN"], "U."),
        (["^Anna"], "A."),
        ([""], "-"),
        ([], "-"),
    ],
)
def test_ok__a_viewer_sees_initials(names: list[str], initials: str) -> None:
    assert initials_from(names) == initials


def test_ok__a_viewers_status_names_nobody(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    exam = {"exam_id": "E1", "state": "open", "opened_at": "", "procedure": "ERCP"}
    exam |= {"names": ["Müller^Anna"], "patient_id": "P4711"}
    device = {"device": "endoscope", "title": "Endoscope", "state": "idle", "sentence": "Ready."}
    answers: dict[str, Any] = {
        "/api/status": {"room": {"is_full": False, "sentence": "Room."}, "findings": []},
        "/api/exam": {"exam": exam, "devices": [device], "captured": [{}, {}]},
        "/api/clock": {"sentence": "The clock is believed.", "suggestion": ""},
        "/status": {"destinations": [], "steps": {"due": 0, "trouble": ""}},
    }
    monkeypatch.setattr(status_report, "ask_one", lambda place: answers[place[1]])
    monkeypatch.setattr(status_report, "read_temperature", lambda: 81.0)
    seen = read_status(paths)
    assert "examined now: Müller^Anna, ID P4711; ERCP, 2 objects saved here" in lines_of(seen, datetime.now(UTC))
    assert exit_status_of(seen) == 1 and seen["findings"][0]["code"] == "board-hot"
    discreet = read_status(paths, is_discreet=True)
    assert "M.A." in json.dumps(discreet) and "ller" not in json.dumps(discreet) and "P4711" not in json.dumps(discreet)
    answers["/api/exam"]["devices"] = [{**device, "state": "not running"}]
    assert exit_status_of(read_status(paths)) == 2
    monkeypatch.setattr(status_report, "read_temperature", lambda: 40.0)
    answers["/api/exam"]["devices"] = [device]
    assert exit_status_of(read_status(paths)) == 0


def test_ok__how_warm_the_board_is(tmp_path: Path) -> None:
    for number, text in enumerate(("54321\n", "-274000", "broken", "41000")):
        zone = tmp_path / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "temp").write_text(text)
    assert read_temperature(tmp_path) == 54.321
    assert read_temperature(tmp_path / "none") is None
