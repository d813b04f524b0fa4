"""What is left of the flash, in what a person thinks in, and which exams wait on it."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from appliance.config.schema import Configuration
from appliance.exam.capacity import RECENT_EXAMS, Recent, capacity_from, film_bytes_from, read_recent, read_reclaimable
from appliance.exam.exam import Closed, Instance, Outcome
from appliance.exam.facts import ExamFacts
from appliance.exam.room_taken import read_largest_part
from appliance.exam.waiting import Waiting, read_waiting
from appliance.spool.room import floor_bytes_from
from appliance.spool.settled import settled_path
from appliance.spool.tree import Spool

GB = 1_000_000_000
DEVICES = [
    {"name": "endoscope", "title": "Endoscope", "modality": "ES", "driver": "grabber", "source": "s"},
    {"name": "film", "modality": "RG", "driver": "sane", "sane_device": "test:0"},
    {"name": "us", "modality": "US", "driver": "xmodem", "line": "l"},
]
ARCHIVE = {"name": "archive", "ae_title": "A", "host": "h", "port": 104}
CLOSED_AT = datetime(2026, 11, 22, 9, 12, tzinfo=UTC)


def make_configuration(**archive: object) -> Configuration:
    return Configuration.model_validate({"devices": DEVICES, "destinations": [{**ARCHIVE, **archive}]})


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path)
    made.make()
    return made


def make_instance(size: int, seconds: float = 0.0) -> Instance:
    return Instance("1", "2", "3", "4", "endoscope", "ES", "f", size, seconds=seconds)


def close(facts: ExamFacts, number: int, *instances: Instance) -> str:
    exam_id = f"E{number:06d}-20261122-091200"
    at = CLOSED_AT + timedelta(minutes=number)
    assert facts.write(exam_id, "closed", Closed(at, Outcome.COMPLETED, instances, ("archive",)))
    return exam_id


def test_ok__what_may_not_go_by_itself_needs_a_person(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_blocks=9, f_bfree=8, f_frsize=1000))
    (spool.kept / "x").write_bytes(bytes(600))
    part = read_largest_part(spool, make_configuration(commitment=False))
    assert (part.what, part.bytes) == ("copies that the box may not let go of by itself", 600)
    assert "(`appliance release`)" in part.advice


def test_ok__free_flash_in_exams_minutes_and_films() -> None:
    configuration = make_configuration()
    free = floor_bytes_from(configuration) + 12 * GB
    capacity = capacity_from(configuration, free, 3 * GB, Recent(0.5 * GB, {"endoscope": 5_000_000.0}))
    assert (capacity.usable_bytes, capacity.exams, capacity.is_full) == (15 * GB, 30, False)
    assert capacity.clip_minutes == {"Endoscope": 50}
    # 200 × 250 mm at 150 dpi: 1181 × 1476 pixels of two bytes.
    assert capacity.films == {"film": 15 * GB // (1181 * 1476 * 2)}
    kinds = "30 exams, or 50 minutes of clip (Endoscope), or 4302 films (film)"
    assert capacity.sentence == f"Room for about {kinds}; {free / GB:.1f} GB are free."


def test_ok__before_the_first_exam_a_clip_counts_as_its_largest() -> None:
    configuration = make_configuration()
    capacity = capacity_from(configuration, floor_bytes_from(configuration) + 2 * GB, 0, Recent())
    assert (capacity.exams, capacity.clip_minutes) == (None, {"Endoscope": 5})
    bare = capacity_from(Configuration(), 60 * GB, 0, Recent())
    assert bare.sentence == "60.0 GB are free."


@pytest.mark.parametrize(("beyond", "is_full"), [(-1, True), (0, False)])
def test_ok__full_is_where_a_capture_is_refused(beyond: int, is_full: bool) -> None:
    """Copies that could go do not help at once: forward takes them away first."""
    configuration = make_configuration()
    capacity = capacity_from(configuration, floor_bytes_from(configuration) + beyond, 9 * GB, Recent(GB))
    assert capacity.is_full is is_full
    assert ("nothing can be captured" in capacity.sentence) is is_full


def test_ok__the_mean_of_the_last_exams(spool: Spool) -> None:
    facts = ExamFacts(spool.exams)
    close(facts, 1, make_instance(10**9))  # too long ago
    for number in range(2, 2 + RECENT_EXAMS):
        close(facts, number, make_instance(1000), make_instance(3000, seconds=2.0))
    close(facts, 40)  # nothing was captured
    (facts.directory / close(facts, 41, make_instance(1)) / "closed.json").write_text("{")
    assert read_recent(facts) == Recent(4000.0, {"endoscope": 1500.0})
    assert read_recent(ExamFacts(spool.state / "none")) == Recent()


def test_ok__an_exam_waits_until_it_is_settled(spool: Spool) -> None:
    facts = ExamFacts(spool.exams)
    assert read_waiting(spool, facts) == Waiting(0, None)
    first, second, _ = (close(facts, number, make_instance(1)) for number in (1, 2, 3))
    assert read_waiting(spool, facts).sentence == "3 exams wait to be sent, the oldest since 2026-11-22 09:13."
    settled_path(spool, first).write_text("{}")
    settled_path(spool, second).write_text("{}")
    assert read_waiting(spool, facts).sentence == "1 exam waits to be sent, since 2026-11-22 09:15."
    (facts.directory / "E000003-20261122-091200" / "closed.json").write_text("{")
    assert read_waiting(spool, facts).sentence == "1 exam waits to be sent."
    assert Waiting(0, None).sentence == "No exam waits to be sent."


@pytest.mark.parametrize(
    ("archive", "counts"),
    [({}, True), ({"commitment": False, "verify_by_find": True}, True), ({"commitment": False}, False)],
)
def test_ok__copies_count_as_room_where_they_go_for_it(spool: Spool, archive: dict[str, object], counts: bool) -> None:
    (spool.kept / "a.dcm").write_bytes(bytes(700))
    (spool.kept / "b.dcm").write_bytes(bytes(300))
    assert read_reclaimable(spool, make_configuration(**archive)) == (1000 if counts else 0)


def test_ok__a_films_size_is_its_configured_one() -> None:
    film = make_configuration().device("film")
    assert film.driver == "sane" and film_bytes_from(film) == 1181 * 1476 * 2
