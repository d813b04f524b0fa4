"""`appliance exam`: read from the files of a box, with and without the forward process."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.base.errors import ApplianceError
from appliance.base.paths import Paths
from appliance.cli.exam import add_parser
from appliance.exam.decisions import Decision, DecisionKind
from appliance.exam.exam import Closed, Closing, Exam, Instance, Outcome, Started, open_exam
from appliance.exam.facts import ExamFacts
from appliance.exam.unscheduled import unscheduled_item_from
from appliance.forward.settled_record import EndedStep, RefusedSteps
from appliance.forward.states import StepState
from appliance.spool.settled import early_path, settled_path
from appliance.spool.tree import Spool
from tests.console.fakes import FakeForward, HandClock, make_configuration, make_item, write_object

NOW = HandClock().now()


class Box:
    """Exams as the console leaves them."""

    def __init__(self, directory: Path) -> None:
        self.paths = Paths.below(directory)
        self.paths.run.mkdir(parents=True, exist_ok=True)
        self.spool, self.facts = Spool(self.paths.state), ExamFacts(Spool(self.paths.state).exams)
        self.spool.make()
        configuration = make_configuration()
        other = make_item(procedure="Colonoscopy", step="S2", accession="A-2")
        self.group = open_exam(make_item(), configuration.devices, NOW, "20261122-093000-0001", further_items=[other])
        later = NOW + timedelta(minutes=20)
        typed = unscheduled_item_from("أحمد^ليلى", "X-1", "", "F", NOW.date())
        self.typed = open_exam(typed, configuration.devices, later, "E000003-20261122-095000", is_clock_trusted=False)
        for exam in (self.group, self.typed):
            self.facts.write(exam.exam_id, "exam", exam)

    def end(self, exam: Exam, outcome: Outcome, reason: str = "") -> Instance:
        path = write_object(self.spool, exam, "endoscope")
        series = exam.series_of("endoscope")
        made = Instance(
            "1.2.840.10008.5.1.4.1.1.7", path.name.partition("~")[0], "1.2.840.10008.1.2.1",
            series.series_instance_uid, "endoscope", "ES", path.name, path.stat().st_size, NOW + timedelta(minutes=5),
        )  # fmt: skip
        self.facts.write(exam.exam_id, "started-ES", Started("ES", exam.opened_at, made.sop_instance_uid))
        end = exam.opened_at + timedelta(minutes=9)
        self.facts.write(exam.exam_id, "closing", Closing(end, outcome, reason))
        self.facts.write(exam.exam_id, "closed", Closed(end, outcome, (made,), ("archive",), reason, ("It was late.",)))
        path.rename(self.spool.outbox / path.name)
        return made


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    made = Box(tmp_path)
    for name, value in made.paths.environment().items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def forward(box: Box) -> Iterator[FakeForward]:
    made = FakeForward(box.paths)
    yield made
    made.stop()


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers(required=True))
    given = parser.parse_args(["exam", *arguments])
    status: int = given.run(given)
    return status


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert run(*arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_ok__the_list_says_who_was_examined_and_how_it_ended(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.end(box.group, Outcome.DISCONTINUED, "110514")
    assert run("list", "--day", "2026-11-22") == 0
    head, group, typed, silence = capsys.readouterr().out.splitlines()
    assert group.endswith("Incorrect worklist entry selected), not settled yet")
    assert silence.endswith("How far the exams are that are not settled cannot be known meanwhile.")
    assert head.split()[:3] == ["exam", "opened", "patient"]
    for text in ("Doe Jane", "PID-1", "Gastroscopy + Colonoscopy", "A-1, A-2", " 1 ", "Incorrect worklist entry"):
        assert text in group
    assert "unscheduled" in typed and typed.endswith("open")
    for exam, is_in_doubt in ((box.group, False), (box.typed, True)):
        assert run("show", exam.exam_id) == 0
        assert ("clock was in doubt" in capsys.readouterr().out) is is_in_doubt
    assert run("list", "--day", "2026-11-23") == 0
    assert capsys.readouterr().out == "No exam was opened in this time.\n"


def test_ok__the_list_for_programs(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.end(box.group, Outcome.COMPLETED)
    write_object(box.spool, box.typed, "film")
    told = run_json(capsys, "list", "--day", "2026-11-22")
    assert told["forward"].startswith("The forward process")
    first, second = told["exams"]
    assert (first["state"], first["reason"], first["objects"], first["is_settled"]) == ("completed", None, 1, False)
    assert (first["waits"], first["ends"], first["step_states"]) == ({}, {}, {})
    assert (second["state"], second["objects"], second["is_scheduled"]) == ("open", 1, False)


def test_ok__a_damaged_exam_hides_no_other(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    (box.spool.exams / box.group.exam_id / "exam.json").write_text("{")
    first, second = run_json(capsys, "list", "--day", "2026-11-22")["exams"]
    assert (first["state"], second["state"]) == ("damaged", "open")
    assert "is damaged" in first["trouble"]
    with pytest.raises(ApplianceError, match="is damaged"):
        run("show", box.group.exam_id)


@pytest.mark.parametrize(
    ("states", "said"),
    [
        (({"archive": "committed", "other": "expired"},) * 2, "completed, all committed"),
        (({"archive": "stored_only"},) * 2, "completed, all stored, not committed"),
        (({"archive": "verified"},), "completed, all stored and found there, not committed"),
        (
            ({"archive": "committed"}, {"archive": "verified"}, {"archive": "committed", "other": "stored_only"}),
            "completed, 1 committed; 1 committed at some archives, stored at the others; "
            "1 stored and found there, not committed",
        ),
        (
            ({"archive": "committed", "other": "released"}, {"archive": "released"}),
            "completed, 1 committed at some archives, released from the others; 1 released, in no archive",
        ),
        (({},), "completed, all released, in no archive"),
        ((), "completed, nothing more is to be sent"),
    ],
)
def test_ok__the_list_tells_how_a_settled_exam_ended(
    box: Box, capsys: pytest.CaptureFixture[str], states: tuple[dict[str, str], ...], said: str
) -> None:
    box.end(box.group, Outcome.COMPLETED)
    objects = [
        {"sop_instance_uid": f"1.{number}", "destinations": {name: {"state": state} for name, state in told.items()}}
        for number, told in enumerate(states)
    ]
    path = box.spool.settled / f"{box.group.exam_id}.json"
    path.write_text(json.dumps({"objects": objects, "steps": []}))
    assert run("list", "--day", "2026-11-22") == 0
    assert capsys.readouterr().out.splitlines()[1].endswith(said)
    path.write_text("{")
    assert run("list", "--day", "2026-11-22") == 0
    assert capsys.readouterr().out.splitlines()[1].endswith("nothing more is to be sent")


@pytest.mark.parametrize(
    ("state", "step_state", "said"),
    [
        ("pending", "", "completed, all to be stored"),
        ("storing", "due", "completed, all to be stored; performed step ES to be told"),
        ("stored", "in progress", "completed, all stored, still to be confirmed; end of performed step ES to be told"),
        ("refused", "", "completed, all refused"),
        (
            "committed",
            "refused",
            "completed, all committed; performed step ES ended by somebody else, waits for a person",
        ),
        ("committed", "ended elsewhere", "completed, all committed; performed step ES ended by somebody else"),
        ("committed", "discontinued", "completed, all committed"),
    ],
)
def test_ok__the_list_tells_what_an_exam_waits_for(
    box: Box, forward: FakeForward, capsys: pytest.CaptureFixture[str], state: str, step_state: str, said: str
) -> None:
    box.end(box.group, Outcome.COMPLETED)
    forward.set_all(state)
    forward.step_state = step_state
    assert run("list", "--day", "2026-11-22") == 0
    _head, group, typed = capsys.readouterr().out.splitlines()
    assert group.endswith(said)
    assert typed.endswith("open")
    assert run("show", box.group.exam_id) == 0
    assert f"{box.group.exam_id}: {said}\n" in capsys.readouterr().out


def test_ok__the_list_says_that_somebody_else_ended_a_step(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a settled exam, and while the forward process is silent of any."""
    made = box.end(box.group, Outcome.COMPLETED)
    step = box.group.step_of("ES")
    RefusedSteps(box.spool).write(box.group.exam_id, "ES", EndedStep(StepState.REFUSED, "Closed by RIS."))
    assert run("list", "--day", "2026-11-22") == 0
    waits = "completed, not settled yet; performed step ES ended by somebody else, waits for a person"
    assert capsys.readouterr().out.splitlines()[1].endswith(waits)
    assert run("show", box.group.exam_id) == 0
    assert "refused: ended by somebody else (Closed by RIS.)" in capsys.readouterr().out
    told = {"sop_instance_uid": step.sop_instance_uid, "modality": "ES", "state": "ended elsewhere", "said": ""}
    objects = [{"sop_instance_uid": made.sop_instance_uid, "destinations": {"archive": {"state": "committed"}}}]
    settled = {"objects": objects, "steps": [told]}
    settled_path(box.spool, box.group.exam_id).write_text(json.dumps(settled))
    assert run("list", "--day", "2026-11-22") == 0
    _head, group, _typed = capsys.readouterr().out.splitlines()
    assert group.endswith("completed, all committed; performed step ES ended by somebody else")


def test_ok__while_forward_is_silent_the_files_say_what_they_can(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    made = box.end(box.group, Outcome.COMPLETED)
    path = box.spool.outbox / made.file_name
    limits = "Where the files lie is known meanwhile; how far they are at the archives is not."
    gone = "Whether the box has deleted what is not here, since its time was over, is not known meanwhile."
    for directory, words in (
        (box.spool.outbox, "saved, and not done"),
        (box.spool.kept, "saved, and done where it was to go"),
        (box.spool.quarantine, "damaged, and not sent"),
    ):
        path = path.rename(directory / path.name)
        assert run("show", box.group.exam_id) == 0
        text = capsys.readouterr().out
        assert re.search(rf"{made.sop_instance_uid} .* - +{words} ", text)
        assert limits in text and gone not in text
    path.unlink()
    assert run("show", box.group.exam_id) == 0
    text = capsys.readouterr().out
    assert re.search(rf"{made.sop_instance_uid} .* not here +- +not here ", text)
    assert limits in text and gone in text
    told = {"state": "committed", "stored_at": NOW.isoformat(), "committed_at": NOW.isoformat(), "said": ""}
    early = {"objects": [{"sop_instance_uid": made.sop_instance_uid, "destinations": {"archive": told}}], "steps": []}
    early_path(box.spool, box.group.exam_id).write_text(json.dumps(early))
    (shown,) = run_json(capsys, "show", box.group.exam_id)["objects"]
    assert (shown["place"], shown["is_here"], shown["has_expired"]) == ("", False, True)
    assert run("show", box.group.exam_id) == 0
    text = capsys.readouterr().out
    assert re.search(rf"{made.sop_instance_uid} .* expired +archive +committed ", text)
    assert gone not in text


def test_ok__one_exam_as_forward_knows_it(box: Box, forward: FakeForward, capsys: pytest.CaptureFixture[str]) -> None:
    made = box.end(box.group, Outcome.COMPLETED)
    forward.set_all("stored")
    record = run_json(capsys, "show", box.group.exam_id)
    assert record["forward"] == ""
    (shown,) = record["objects"]
    assert (shown["sop_instance_uid"], shown["destinations"]["archive"]["state"]) == (made.sop_instance_uid, "stored")
    assert [entry["accession_number"] for entry in record["entries"]] == ["A-1", "A-2"]
    assert [(step["modality"], bool(step["state"])) for step in record["steps"]] == [("ES", True)]
    assert run("show", box.group.exam_id) == 0
    text = capsys.readouterr().out
    for words in ("stored, not committed", "performed step ES", "study 1.2.3.", "entry of ris", "It was late."):
        assert words in text


def test_ok__one_exam_while_forward_is_silent(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    """What is settled is known from its file."""
    made = box.end(box.group, Outcome.COMPLETED)
    told = {"state": "committed", "stored_at": NOW.isoformat(), "committed_at": NOW.isoformat()}
    settled = {
        "objects": [{"sop_instance_uid": made.sop_instance_uid, "destinations": {"archive": told}}],
        "steps": [
            {"sop_instance_uid": box.group.step_of("ES").sop_instance_uid, "modality": "ES", "state": "completed"}
        ],
    }
    (box.spool.settled / f"{box.group.exam_id}.json").write_text(json.dumps(settled))
    assert run("show", box.group.exam_id) == 0
    text = capsys.readouterr().out
    for words in ("committed", "ID 20261122-0001-2: completed", "completed, all committed", "The forward process"):
        assert words in text
    assert made.saved_at is not None
    assert re.search(rf"{made.saved_at.astimezone():%H:%M:%S} +archive", text), "the exam's end knows it"


def test_ok__an_exam_that_is_open(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_object(box.spool, box.typed, "film")
    damaged = box.spool.captured("film", box.typed.exam_id) / f"1.2.3~0~{'0' * 64}.dcm"
    damaged.write_bytes(b"rotten")
    assert run("show", box.typed.exam_id) == 0
    text = capsys.readouterr().out
    assert "the patient was typed in" in text
    saved_at = datetime.fromtimestamp(path.stat().st_mtime)
    assert re.search(rf"film +RG +{path.stat().st_size // 1000} +{saved_at:%H:%M:%S} +- +saved", text)
    assert "1.2.3 " in text, "one that cannot be read hides no other, and is not hidden"
    assert "\u2068" in text  # a name from right to left reorders nothing beside it


def test_ok__a_clip_that_was_cut_short_is_marked_before_the_exam_ends(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    write_object(box.spool, box.typed, "endoscope")
    cut = write_object(box.spool, box.typed, "endoscope", preamble=b"CUT SHORT WITHOUT 2".ljust(128, b"\0"))
    assert run("show", box.typed.exam_id) == 0
    text = capsys.readouterr().out
    (said,) = [line for line in text.splitlines() if "was cut short" in line]
    assert said.startswith("A clip of the device endoscope") and "2 frames were damaged on flash" in said
    shown = run_json(capsys, "show", box.typed.exam_id)
    (marked,) = [one for one in shown["objects"] if one["is_cut_short"]]
    assert marked["file_name"] == cut.name and (marked["frames"], marked["left_out"]) == (1, 2)


def test_fail__no_such_exam(box: Box) -> None:
    with pytest.raises(ApplianceError, match=r"There is no exam \.\./exams"):
        run("show", "../exams")


@pytest.mark.parametrize("arguments", [["list", "--day", "today"], ["list", "--days", "0"], ["list", "--days", "x"]])
def test_fail__a_wrong_command_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(*arguments)
    assert "is no" in capsys.readouterr().err


def test_ok__what_is_not_here_any_more_is_not_shown_as_saved(
    box: Box, forward: FakeForward, capsys: pytest.CaptureFixture[str]
) -> None:
    made = box.end(box.group, Outcome.COMPLETED)
    forward.set_all("committed")
    (shown,) = run_json(capsys, "show", box.group.exam_id)["objects"]
    assert (shown["is_here"], shown["expired_at"]) == (True, "")
    (box.spool.outbox / made.file_name).unlink()
    assert run("show", box.group.exam_id) == 0
    assert re.search(rf"{made.sop_instance_uid}.* not here +archive", capsys.readouterr().out)


def test_ok__who_decided_what_when_and_why(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    made = box.end(box.group, Outcome.COMPLETED)
    for uid, destination in ((made.sop_instance_uid, "archive"), ("1.2.7", "other"), ("1.2.8", "other")):
        decision = Decision(DecisionKind.RELEASED, uid, NOW, "ssh: maria", "It is gone.", destination=destination)
        assert box.facts.decide(box.group.exam_id, decision)
    first, *_ = run_json(capsys, "show", box.group.exam_id)["decisions"]
    assert (first["kind"], first["actor"], first["decided_at"]) == ("released", "ssh: maria", NOW.isoformat())
    assert run("show", box.group.exam_id) == 0
    text = capsys.readouterr().out
    when = f"{NOW:%Y-%m-%d %H:%M:%S}"
    assert f"object {made.sop_instance_uid} released from archive by ssh: maria, {when}: It is gone." in text
    assert f"2 objects released from other by ssh: maria, {when}: It is gone." in text
    (box.facts.directory / box.group.exam_id / "released-1.2.9.json").write_text("{")
    assert run("show", box.group.exam_id) == 0
    assert "released-1.2.9.json" in capsys.readouterr().out
