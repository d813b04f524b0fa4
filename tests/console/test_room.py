"""A full flash refuses captures with a sentence that says how many exams wait and why; free flash is said in words."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from appliance.base.errors import ApplianceError
from appliance.base.flash import FlashError
from appliance.cli.status_report import read_status
from appliance.console import room as room_module
from appliance.console.room import Room
from appliance.exam.exam import Closed, Outcome
from appliance.exam.facts import ExamFacts
from appliance.spool.room import floor_bytes_from
from appliance.spool.settled import settled_path
from appliance.spool.tree import NoRoomError, Spool
from tests.console.conftest import Bench
from tests.console.fakes import HandClock, make_configuration

FORWARD = {"sentence": "archive: 52 to store (the connection was refused)."}
SENTENCE = (
    "The flash is full: nothing can be captured. 2 exams wait to be sent, the oldest since 2026-11-22 09:12. "
    "archive: 52 to store (the connection was refused)."
)


class World:
    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.spool = Spool(directory)
        self.spool.make()
        self.free = floor_bytes_from(make_configuration())
        self.asked = 0
        monkeypatch.setattr(room_module, "free_bytes", lambda _directory: self.free)
        self.room = Room(self.spool, make_configuration(), HandClock(), self.ask_forward)
        closed = Closed(datetime(2026, 11, 22, 9, 12, tzinfo=UTC), Outcome.DISCONTINUED, (), ())
        for number in (1, 2):
            assert ExamFacts(self.spool.exams).write(f"E{number:06d}-20261122-091200", "closed", closed)

    def ask_forward(self) -> dict[str, str]:
        self.asked += 1
        return FORWARD


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_ok__with_room_nothing_is_asked_or_said(world: World) -> None:
    world.room.refuse_if_full()
    view = world.room.view(FORWARD)
    assert (world.asked, view.findings, view.json["is_full"]) == (0, (), False)
    assert view.json["sentence"].startswith("Room for about ")


def test_fail__a_full_flash_says_how_many_exams_wait_and_why(world: World) -> None:
    world.free -= 1
    with pytest.raises(NoRoomError) as refused:
        world.room.refuse_if_full()
    assert refused.value.sentence == SENTENCE
    assert "stays saved" in refused.value.suggestion
    view = world.room.view(FORWARD)
    assert [(one.code, one.sentence) for one in view.findings] == [("flash-full", SENTENCE)]
    assert view.json["is_full"] is True
    world.free += 1  # copies of what is committed went
    world.room.refuse_if_full()
    assert world.room.view(FORWARD).findings == ()


@pytest.mark.parametrize(
    ("place", "advice"),
    [
        (
            "quarantine/x",
            "damaged images in quarantine (0.0 GB). Let support export them (`appliance export --damaged`)",
        ),
        ("captured/us/unassigned/x", "images that belong to no exam (0.0 GB). Assign or discard them"),
        ("captured/us/E000009-20261122-091200/x", "images of the exam that is open (0.0 GB). End the exam"),
        ("journal/damaged-1/journal.sqlite", "journals (0.0 GB). Let support look at the damaged ones"),
        ("kept/x", "copies of images that the archives have (0.0 GB). They go by themselves within a minute"),
        ("", "other files than images (0.0 GB). Let support look what else lies on the flash"),
    ],
)
def test_fail__where_no_exam_waits_it_says_what_takes_the_room(
    world: World, monkeypatch: pytest.MonkeyPatch, place: str, advice: str
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_blocks=9, f_bfree=8, f_frsize=1000))
    for exam_id in ExamFacts(world.spool.exams).exam_ids():
        settled_path(world.spool, exam_id).write_text("{}")
    if place:
        path = world.spool.state / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(600))
    world.free -= 1
    with pytest.raises(NoRoomError) as refused:
        world.room.refuse_if_full()
    assert refused.value.sentence == "The flash is full: nothing can be captured. No exam waits to be sent."
    assert refused.value.suggestion.startswith(f"What is saved stays saved. Most of its room is taken by {advice}")
    (finding,) = world.room.view({"sentence": "archive: nothing waits."}).findings
    assert (finding.sentence, finding.suggestion) == (refused.value.sentence, refused.value.suggestion)


def test_fail__forward_that_does_not_answer_is_the_reason(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> dict[str, str]:
        raise ApplianceError("The sender does not answer.")

    monkeypatch.setattr(world.room, "_ask_forward", fail)
    world.free -= 1
    with pytest.raises(NoRoomError, match=r"2 exams wait .* The sender does not answer\."):
        world.room.refuse_if_full()


def test_fail__flash_that_does_not_say_is_a_finding(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_directory: Path) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(room_module, "free_bytes", fail)
    (finding,) = world.room.view(FORWARD).findings
    assert finding.sentence == "How much room the flash has cannot be read: the flash gives back errors."
    with pytest.raises(FlashError, match="Nothing was captured: the flash gives back errors"):
        world.room.refuse_if_full()


def test_ok__the_whole_box_at_a_glance(quiet_bench: Bench) -> None:
    """`appliance status` beside the real console: each process is asked by itself, and what is wrong is told once."""
    document = read_status(quiet_bench.paths)
    assert [(one["name"], one["is_running"]) for one in document["services"]] == [
        ("console", True),
        ("forward", True),
        ("acquire ultrasound", True),
        ("acquire endoscope", True),
        ("acquire film", True),
    ]
    with quiet_bench.browser() as panel:
        shown = panel.get("/api/status").json()
    assert document["room"]["sentence"].startswith("Room for about ")
    assert shown["room"].keys() == document["room"].keys()
    assert document["clock"]["is_trusted"] is True
    assert document["findings"] == shown["findings"]
