"""A stack of films through the feeder of SANE's test backend: all of it in one exam, or what of it could be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread

from appliance.acquire.films import FilmRunner
from appliance.acquire.gate import WrongExamError
from appliance.base.errors import ApplianceError
from appliance.devices.errors import DeviceNotReady, ScanCancelled
from appliance.spool.writer import ObjectWriter
from tests.acquire.conftest import Room
from tests.acquire.test_films import Digitizer, expected_pixels
from tests.acquire.world import begin_closing, open_exam_of
from tests.peers import DEADLINE, wait_until

FEEDER = {"source": "Automatic Document Feeder", "stack": True}  # ten films lie in it, each time


@pytest.fixture
def feeder(room: Room, tmp_path: Path) -> Iterator[Digitizer]:
    made = Digitizer(room, tmp_path, **FEEDER)
    yield made
    made.close()


def test_ok__a_stack_of_films_in_one_exam(feeder: Digitizer) -> None:
    exam = open_exam_of(feeder.room.facts)
    assert feeder.runner.sentence() == "Ready: put films in and press Scan film."
    saved = feeder.runner.scan_film(exam.exam_id)
    objects = [dcmread(path) for path, _ in feeder.room.objects("film", exam.exam_id)]
    assert len(objects) == 10
    assert sorted(int(one.InstanceNumber) for one in objects) == list(range(1, 11))
    assert {one.SeriesInstanceUID for one in objects} == {objects[0].SeriesInstanceUID}
    assert {one.PixelData for one in objects} == {expected_pixels(feeder)}
    assert saved.sop_instance_uid == max(objects, key=lambda one: one.InstanceNumber).SOPInstanceUID
    assert all(feeder.runner.thumbnails.get(one.SOPInstanceUID) for one in objects)
    again = feeder.runner.scan_film(exam.exam_id)
    assert dcmread(feeder.room.spool.captured("film", exam.exam_id) / again.file_name).InstanceNumber == 20


def test_ok__no_more_of_a_stack_than_is_configured(room: Room, tmp_path: Path) -> None:
    made = Digitizer(room, tmp_path, **FEEDER, max_films=2)
    made.runner.scan_film(None)
    assert len(room.objects("film", None)) == 2
    made.close()


def test_fail__an_exam_that_ends_takes_no_further_film_of_the_stack(
    feeder: Digitizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is saved stays the exam's, and what came after it is nobody's: it is not scanned."""
    exam = open_exam_of(feeder.room.facts)
    keep = FilmRunner._keep

    def keep_and_close(runner: FilmRunner, *rest: object) -> object:
        saved = keep(runner, *rest)  # type: ignore[arg-type]
        if len(feeder.room.objects("film", exam.exam_id)) == 3:
            begin_closing(feeder.room.facts, exam)
        return saved

    monkeypatch.setattr(FilmRunner, "_keep", keep_and_close)
    with pytest.raises(WrongExamError):
        feeder.runner.scan_film(exam.exam_id)
    assert len(feeder.room.objects("film", exam.exam_id)) == 3
    assert feeder.room.objects("film", None) == []


def test_fail__flash_fails_in_the_middle_of_a_stack(feeder: Digitizer, monkeypatch: pytest.MonkeyPatch) -> None:
    publish, published = ObjectWriter.publish, []

    def fail_the_third(writer: ObjectWriter) -> Path:
        if len(published) == 2:
            raise OSError(28, "No space left on device")
        published.append(publish(writer))
        return published[-1]

    monkeypatch.setattr(ObjectWriter, "publish", fail_the_third)
    with pytest.raises(ApplianceError, match=r"was not saved: .*\. 2 films of the stack were saved before it\."):
        feeder.runner.scan_film(None)
    assert "2 films of the stack were saved before it." in feeder.room.finding("scan_failed")
    assert len(feeder.room.objects("film", None)) == 2


def test_ok__cancelled_in_the_middle_of_a_stack(room: Room, tmp_path: Path) -> None:
    delay = {"read-delay": "yes", "read-delay-duration": "20000", "read-limit": "yes", "read-limit-size": "65536"}
    made = Digitizer(room, tmp_path, **FEEDER, options=delay)
    pressed = made.press()
    wait_until(lambda: len(room.objects("film", None)) >= 1, "a film")
    wait_until(lambda: "of the stack" in made.runner.sentence(), "the next one")
    made.runner.cancel()
    with pytest.raises(ScanCancelled):
        pressed.result(DEADLINE)
    assert room.objects("film", None)
    made.close()


def fake(made: Digitizer, script: Path, program: str) -> None:
    """`program` in place of scanimage."""
    script.write_text(f"#!/bin/sh\n{program}\n")
    made.runner._options = replace(made.runner._options, command=("/bin/sh", str(script)), warm_up=10.0)


def test_fail__an_empty_feeder(room: Room, tmp_path: Path) -> None:
    made = Digitizer(room, tmp_path, **FEEDER)
    fake(made, tmp_path / "scanimage", "read line\nexit 7")
    with pytest.raises(DeviceNotReady, match="There is no film in the film"):
        made.runner.scan_film(None)
    assert room.objects("film", None) == []
    made.close()


# What scanimage does in a batch, one film and then what the case says; 295 × 354 pixels of two bytes.
ONE_FILM = """
for word; do case $word in --batch=*) at=${word#--batch=}; at=${at%/*};; esac; done
test -n "$at" || exit 1
read line
{ printf 'P5\\n295 354\\n65535\\n'; head -c 208860 /dev/zero; } > $at/film1.part
mv $at/film1.part $at/film1
read line
"""


@pytest.mark.parametrize(
    ("then", "sentence"),
    [
        ("exit 6", "The film is jammed in the film. 1 film of the stack was saved before it."),
        ("exit 9", "The film reported an error of its own. 1 film of the stack was saved before it."),
        (
            "head -c 1000 /dev/zero > $at/film2.part; rm $at/film2.part; exit 9",
            "The film digitizer sends no gray image. 1 film of the stack was saved before it.",
        ),
        (
            "{ printf 'P5\\n295 354\\n65535\\n'; head -c 208860 /dev/zero; } > $at/film2.part; "
            "rm $at/film2.part; exit 9",
            "The film reported an error of its own. 1 film of the stack was saved before it.",
        ),
        (
            "{ printf 'P5\\n295 354\\n65535\\n'; head -c 999 /dev/zero; } > $at/film2.part; kill -9 $$",
            "The film broke off its scan after 999 of 208,860 bytes. 1 film of the stack was saved before it.",
        ),
    ],
)
def test_fail__the_second_film_goes_wrong(room: Room, tmp_path: Path, then: str, sentence: str) -> None:
    made = Digitizer(room, tmp_path, **FEEDER)
    fake(made, tmp_path / "scanimage", ONE_FILM + then)
    with pytest.raises(ApplianceError) as failed:
        made.runner.scan_film(None)
    assert failed.value.sentence == sentence
    assert len(room.objects("film", None)) == 1
    assert room.temporaries() == []
    made.close()


def test_ok__one_film_in_the_feeder(room: Room, tmp_path: Path) -> None:
    made = Digitizer(room, tmp_path, **FEEDER)
    fake(made, tmp_path / "scanimage", ONE_FILM + "exit 7")
    assert made.runner.scan_film(None).frames == 1
    assert len(room.objects("film", None)) == 1
    made.close()
