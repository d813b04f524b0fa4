"""`appliance queue` for people: the three yeses apart, since when, the next attempt, and what the archive said."""

from __future__ import annotations

import argparse
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.base.paths import Paths
from appliance.cli import queue
from appliance.cli.queue_table import (
    STATES,
    STEP_STATES,
    line_of,
    line_of_open_exam,
    line_of_steps,
    rows_of_objects,
    rows_of_steps,
    without_patient,
)
from appliance.forward.removed import NOT_CONFIGURED
from appliance.forward.states import DeliveryState, StepState

NOW = datetime(2026, 11, 22, 9, 30).astimezone()


def _at(**ago: float) -> str:
    return (NOW - timedelta(**ago)).isoformat()


def _object(place: str = "outbox", **destinations: dict[str, Any]) -> dict[str, Any]:
    empty = {"since": "", "stored_at": "", "committed_at": "", "next_attempt_at": "", "said": "", "trouble": ""}
    return {
        "exam_id": "20261122-090000-0001",
        "sop_instance_uid": "1.2.3",
        "device": "us",
        "saved_at": _at(minutes=20),
        "place": place,
        "destinations": {name: {**empty, **told} for name, told in destinations.items()},
    }


def _destination(**given: Any) -> dict[str, Any]:
    counts = dict.fromkeys(("pending", "stored", "stored_only", "verified", "committed", "refused", "released"), 0)
    rest = {"name": "archive", "is_configured": True, "commits": True, "pending_since": ""}
    return {**counts, **rest, "trouble": "", "seconds_to_next_attempt": 0.0, **given}


def test_ok__every_state_has_words_and_only_committed_says_so() -> None:
    assert set(STATES) == set(DeliveryState)
    assert set(STEP_STATES) == set(StepState)
    assert [state for state, words in STATES.items() if words.startswith("committed")] == ["committed", "expired"]
    for state in ("verified", "stored_only"):
        assert "does not commit" in STATES[state]


@pytest.mark.parametrize(
    ("told", "seconds_left", "row"),
    [
        ({"state": "pending"}, 0, ("saved, to be stored", "09:10:00", "", "")),
        ({"state": "pending", "said": "down"}, 90, ("saved, to be stored", "09:10:00", "09:31:30", "down")),
        (
            {"state": "pending", "next_attempt_at": (NOW + timedelta(minutes=5)).isoformat(), "since": _at(minutes=1)},
            90,
            ("saved, to be stored", "09:29:00", "09:35:00", ""),
        ),
        (
            {"state": "pending", "trouble": "PACS refuses connections."},
            90,
            ("saved, to be stored", "09:10:00", "09:31:30", "PACS refuses connections"),
        ),
        (
            {"state": "pending", "said": "PACS is full: A700H", "trouble": "PACS is full: A700H."},
            0,
            ("saved, to be stored", "09:10:00", "", "PACS is full: A700H"),
        ),
        (
            {"state": "stored", "said": "coerced", "trouble": "It is down."},
            0,
            ("stored, not committed", "09:10:00", "", "coerced; It is down"),
        ),
        ({"state": "stored", "stored_at": _at(days=1)}, 0, ("stored, not committed", "2026-11-21 09:30:00", "", "")),
        ({"state": "committed", "committed_at": _at(minutes=2)}, 90, ("committed", "09:28:00", "", "")),
        ({"state": "refused", "said": "C000H"}, 90, ("refused", "09:10:00", "", "C000H")),
        (
            {"state": "storing", "sent_since": _at(seconds=30)},
            0,
            ("saved, being stored", "09:10:00", "", "being sent since 09:29:30"),
        ),
        (
            {"state": "storing", "sent_since": _at(seconds=30), "said": "A700H"},
            0,
            ("saved, being stored", "09:10:00", "", "being sent since 09:29:30; A700H"),
        ),
        (
            {"state": "pending", "called_since": _at(seconds=20)},
            0,
            ("saved, to be stored", "09:10:00", "", "calling since 09:29:40"),
        ),
    ],
)
def test_ok__a_row(told: dict[str, Any], seconds_left: float, row: tuple[str, ...]) -> None:
    destinations = [_destination(seconds_to_next_attempt=seconds_left)]
    (found,) = rows_of_objects([_object(archive=told)], destinations, NOW)
    assert found == ("20261122-090000-0001", "1.2.3", "us", "09:10:00", "archive", *row)


def test_ok__an_object_that_cannot_go_says_why() -> None:
    rows = rows_of_objects([_object("quarantine", archive={"state": "pending"}), _object()], [], NOW)
    assert [row[-1] for row in rows] == ["its file is damaged and in quarantine", "no destination is configured"]


def test_ok__a_row_of_a_destination_that_was_removed() -> None:
    """Whatever time its next attempt once had: there will be none before somebody acts."""
    told = {"state": "pending", "trouble": NOT_CONFIGURED, "next_attempt_at": (NOW + timedelta(minutes=5)).isoformat()}
    (row,) = rows_of_objects([_object(archive=told)], [_destination(is_configured=False)], NOW)
    assert row[-2:] == ("none", NOT_CONFIGURED.removesuffix("."))
    told["state"] = "refused"
    (row,) = rows_of_objects([_object(archive=told | {"said": "C000H."})], [_destination(is_configured=False)], NOW)
    assert row[-1] == f"C000H; {NOT_CONFIGURED.removesuffix('.')}"


def test_ok__a_step() -> None:
    step = {"exam_id": "e", "modality": "US", "state": "due", "next_attempt_at": "", "said": "refused", "trouble": ""}
    manager = {"is_configured": True, "seconds_to_next_attempt": 90.0}
    assert rows_of_steps([step], manager, NOW) == [("e", "US", "to be told", "", "refused")]
    waiting = step | {"said": "", "trouble": "RIS refuses connections."}
    assert rows_of_steps([waiting], manager, NOW)[0][-2:] == ("09:31:30", "RIS refuses connections")
    told = step | {"said": "", "told_since": _at(seconds=5)}
    assert rows_of_steps([told], manager, NOW)[0][-1] == "being told since 09:29:55"
    manager["is_configured"] = False
    assert rows_of_steps([waiting], manager, NOW)[0][-2:] == ("none", "RIS refuses connections")


def test_ok__a_line_for_each_destination() -> None:
    assert line_of(_destination(), NOW) == "archive: 0 committed"
    trouble = _destination(pending=3, pending_since=_at(hours=1), trouble="It is down.", seconds_to_next_attempt=41.0)
    assert line_of(trouble, NOW) == (
        "archive: 3 to be stored, 0 committed; the oldest waits since 08:30:00. It is down. Next attempt in 41 s."
    )
    removed = _destination(
        is_configured=False, pending=3, refused=1, pending_since=_at(hours=1), trouble=NOT_CONFIGURED
    )
    assert line_of(removed, NOW) == (
        f"archive: 3 to be stored, 1 refused; the oldest waits since 08:30:00. {NOT_CONFIGURED}"
    )
    removed |= {"pending": 0, "stored_only": 4, "released": 2}
    assert line_of(removed, NOW) == f"archive: 4 stored, 1 refused, 2 released by a person. {NOT_CONFIGURED}"
    hanging = _destination(pending=1, pending_since=_at(minutes=1), called_since=_at(seconds=20))
    assert line_of(hanging, NOW) == (
        "archive: 1 to be stored, 0 committed; the oldest waits since 09:29:00; calling since 09:29:40"
    )
    plain = _destination(commits=False, stored_only=2, verified=1)
    assert line_of(plain, NOW) == "archive: 1 stored and found there, 2 stored; this archive does not commit"


def test_ok__a_line_for_the_manager_that_does_not_hear() -> None:
    trouble = {"due": 2, "is_configured": True, "trouble": "It is down.", "seconds_to_next_attempt": 41.0}
    assert line_of_steps(trouble) == "performed steps: 2 to be told. It is down. Next attempt in 41 s."
    assert line_of_steps(trouble | {"seconds_to_next_attempt": 0.0}).endswith("Next attempt now.")
    assert line_of_steps(trouble | {"is_configured": False}).endswith("It is down.")
    assert not line_of_steps(trouble | {"trouble": ""})
    assert not line_of_steps(trouble | {"due": 0})


def test_ok__the_command_line() -> None:
    parser = argparse.ArgumentParser()
    queue.add_parser(parser.add_subparsers())
    given = parser.parse_args(["retry", "archive", "--object", "1.2.3", "--json"])
    assert (given.destination, given.object, given.json) == ("archive", "1.2.3", True)
    given = parser.parse_args(["queue", "--all"])
    assert (given.exam, given.all, given.json) == (None, True, False)


def test_ok__what_is_saved_of_the_open_exam(tmp_path: Path) -> None:
    paths = Paths.below(tmp_path)
    assert line_of_open_exam(paths) == ""
    exam = tmp_path / "exams" / "20261122-090000-0001"
    captured = tmp_path / "captured" / "endoscope" / exam.name
    for directory in (exam, captured):
        directory.mkdir(parents=True)
    (exam / "exam.json").write_text("{}")
    (captured / f"1.2.3~0~{'0' * 64}.dcm").write_bytes(b"")
    assert line_of_open_exam(paths) == f"open exam {exam.name}: 1 object saved here, to be sent when it ends"
    (exam / "closing.json").write_text("{}")
    assert line_of_open_exam(paths) == ""


def test_ok__a_viewer_is_told_no_patient() -> None:
    told = {"exam_id": "E1", "patient_id": "P4711", "accession_number": "A1", "device": "film"}
    assert without_patient(told) == {"exam_id": "E1", "device": "film"}
