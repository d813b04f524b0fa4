"""`appliance worklist`: the list and its age from the files, one patient from the hospital, in columns for people."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.base.asking import Refused, Unreachable
from appliance.base.paths import Paths
from appliance.cli.table import cell_width
from appliance.cli.worklist import add_parser, lines_of, read_document, suggestion_from
from appliance.exam.answers import WorklistAnswer, entry_from, write_answer
from appliance.exam.item import WorklistItem
from tests.console.fakes import CONFIGURATION, FakeForward, make_item, make_items, write_worklist

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def _run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    given = parser.parse_args(["worklist", *arguments])
    status: int = given.run(given)
    return status


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    made = Paths.below(tmp_path)
    made.run.mkdir(parents=True, exist_ok=True)
    made.configuration.parent.mkdir(parents=True)
    made.configuration.write_text(CONFIGURATION)
    for name, value in made.environment().items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def forward(paths: Paths) -> Iterator[FakeForward]:
    made = FakeForward(paths)
    yield made
    made.stop()


def test_ok__the_list_of_several_sources_and_what_is_wrong(tmp_path: Path) -> None:
    items = make_items()
    broken = WorklistItem("ris", {**items[5].elements, "0020000D": {"vr": "UI", "Value": ["x"]}})
    hour = (NOW - timedelta(hours=3, minutes=5)).isoformat()
    write_answer(
        tmp_path, WorklistAnswer("ris", hour, trouble="RIS at h refuses connections.", is_cut_off=True), [broken]
    )
    write_answer(tmp_path, WorklistAnswer("clinic", (NOW - timedelta(seconds=40)).isoformat()), items[:5])
    document = read_document(tmp_path, ["ris", "clinic", "new"], NOW)
    assert [one["age_seconds"] for one in document["sources"]] == [11_100, 40, None]
    assert [item["patient_id"] for item in document["items"]] == [one.patient_id for one in items[:6]]
    lines = lines_of(document)
    assert lines[:3] == [
        "ris: 1 entry, 3 h 5 min old. There are more: the list is cut off. RIS at h refuses connections.",
        "clinic: 5 entries, 40 s old.",
        "new: 0 entries. It has not answered yet.",
    ]
    assert lines[4].split() == ["day", "time", "mod", "patient", "ID", "born", "sex", "accession", "procedure"]
    assert "山田 太郎" in lines[6] and "قباني لنزار" in lines[9]
    assert lines[10].endswith("Study Instance UID is malformed")
    # every row's ID begins in the column of the head's
    column = cell_width(lines[4].partition("ID")[0])
    for line, item in zip(lines[5:], document["items"], strict=True):
        begin = max(place for place in range(len(line)) if cell_width(line[:place]) == column)
        assert line[begin:].startswith(item["patient_id"])


def test_ok__an_answer_that_did_not_come_in_time_is_not_given_for_the_new_one(tmp_path: Path) -> None:
    for source, seconds in (("slow", 90), ("quick", 1)):
        write_answer(tmp_path, WorklistAnswer(source, (NOW - timedelta(seconds=seconds)).isoformat()), [])
    slow, quick = lines_of(read_document(tmp_path, ["slow", "quick"], NOW, NOW - timedelta(seconds=75)))
    assert slow.startswith("slow: 0 entries, 1 min old. It is still being asked; this is its last answer.")
    assert quick == "quick: 0 entries, 1 s old."


def test_ok__two_steps_of_one_procedure_are_told_apart(tmp_path: Path) -> None:
    step = {"00400100": {"vr": "SQ", "Value": [{"00400007": {"vr": "LO", "Value": ["Umbilical Doppler"]}}]}}
    item = WorklistItem("ris", {**make_item("Doe^Jane", "4711").elements, **step})
    write_answer(tmp_path, WorklistAnswer("ris", NOW.isoformat()), [item])
    assert f"{item.procedure}: Umbilical Doppler" in lines_of(read_document(tmp_path, ["ris"], NOW))[-1]


def test_ok__no_source(tmp_path: Path) -> None:
    assert lines_of(read_document(tmp_path, [], NOW)) == ["No worklist source is configured."]


def test_ok__the_command_reads_the_list_while_forward_is_down(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    write_worklist(paths, make_items())
    assert _run() == 0
    assert "Müller Jürgen Dr." in capsys.readouterr().out
    assert _run("--json") == 0
    assert len(json.loads(capsys.readouterr().out)["items"]) == 30
    write_worklist(paths, make_items(), trouble="It is down.")
    assert _run() == 1
    assert "It is down." in capsys.readouterr().out
    with pytest.raises(Unreachable):
        _run("--refresh")


def test_ok__refresh_asks_now(paths: Paths, forward: FakeForward, capsys: pytest.CaptureFixture[str]) -> None:
    write_worklist(paths, [])
    assert _run("--refresh", "--json") == 0
    assert forward.refreshed == 1
    assert len(json.loads(capsys.readouterr().out)["items"]) == 30


def _found(*items: WorklistItem, **given: Any) -> dict[str, Any]:
    views = [json.loads(entry_from(item).view) | {"packed": "AAAA"} for item in items]
    return {"source": "ris", "trouble": "", "is_cut_off": False, "items": views} | given


def test_ok__one_patient(paths: Paths, forward: FakeForward, capsys: pytest.CaptureFixture[str]) -> None:
    forward.answers = [_found(make_item("Doe^Jane", "4711")), _found(source="clinic", trouble="It is down.")]
    assert _run("--name", "doe", "--id", "4711") == 1
    shown = capsys.readouterr().out
    assert "ris: 1 entry.\nclinic: 0 entries. It is down.\n" in shown
    assert "Doe Jane" in shown
    forward.answers = [_found(make_item("Doe^Jane", "4711"))]
    assert _run("--barcode", "*4711*", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [item["patient_id"] for item in document["items"]] == ["4711"]
    assert "packed" not in document["items"][0]
    assert _run("--accession", "A", "--procedure", "R") == 0
    assert forward.asked == [
        {"patient_name": "doe", "patient_id": "4711"},
        {"barcode": "*4711*"},
        {"accession_number": "A", "requested_procedure_id": "R"},
    ]


@pytest.mark.parametrize(
    ("asked", "tries", "no_tries"),
    [
        ({"patient_name": "Müller"}, ["small letters", "without accents", '"*mul*"', "--id", "Every day"], ["fewer"]),
        ({"patient_name": "muller"}, ['"*mul*"', "--accession"], ["small letters", "without accents"]),
        ({"patient_name": "*ull"}, ["patient ID"], ["*mul*"]),
        ({"patient_name": "doe", "patient_id": "1"}, ["fewer of these at once"], []),
        ({"patient_id": "471"}, ["leading zeros", "--name"], ["barcode"]),
        ({"barcode": "471"}, ["printed beside the barcode"], ["leading zeros"]),
    ],
)
def test_ok__what_to_try(asked: dict[str, str], tries: list[str], no_tries: list[str]) -> None:
    said = suggestion_from(asked)
    assert said.startswith("Nobody was found. Try ")
    assert [one for one in tries if one not in said] == []
    assert [one for one in no_tries if one in said] == []


def test_ok__nobody_found(paths: Paths, forward: FakeForward, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said what to try, once a source has answered that it has nobody."""
    down = _found(source="clinic", trouble="It is down.")
    suggestion = suggestion_from({"patient_name": "Doe"})
    for answers, expected in (
        ([_found(), down], suggestion),
        ([down], ""),
        ([], ""),
        ([_found(make_item("Doe^Jane", "4711"))], ""),
    ):
        forward.answers = answers
        _run("--name", "Doe", "--json")
        assert json.loads(capsys.readouterr().out)["suggestion"] == expected
        _run("--name", "Doe")
        assert ("Nobody was found" in capsys.readouterr().out) == bool(expected)


def test_fail__refresh_is_for_the_list(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        _run("--refresh", "--name", "doe", "--id", "1")
    assert ended.value.code == 2
    assert "--refresh asks for the whole list: not allowed with --name and --id" in capsys.readouterr().err


def test_fail__a_refusal_is_said(paths: Paths, forward: FakeForward, monkeypatch: pytest.MonkeyPatch) -> None:
    from appliance.base.errors import ApplianceError

    async def refuse(_request: object) -> object:
        raise ApplianceError("Nothing was asked for.")

    forward.stop()
    monkeypatch.setattr(forward, "_query_patient", refuse)
    forward.start()
    with pytest.raises(Refused, match="Nothing was asked for"):
        _run("--name", "")
