"""A short month, and whether its verdict can be another one."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.soak.life import FAIR, TROUBLES, VICTIMS, turns
from tests.soak.month import Outcome, Plan, judge, run_month

PLAN = Plan(exams=14, seed=7, weather_every=4, kill_every=4.0)


@pytest.mark.timeout(400)
def test_ok__a_short_month_and_what_its_verdict_can_be(tmp_path: Path) -> None:
    """In one test: two of them could come to two workers, and each would live through a month."""
    outcome = run_month(tmp_path / "box", PLAN, print)
    assert outcome.faults == []
    assert outcome.exams == PLAN.exams
    assert outcome.saved == outcome.stored == outcome.committed > PLAN.exams
    assert outcome.expired == outcome.saved
    assert outcome.lost == outcome.duplicated == outcome.altered == 0
    assert sum(outcome.kills.values()) == sum(len(turn.kills) for turn in turns_of(PLAN)) > 2
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "box", copy, ignore=shutil.ignore_patterns("run", "*.tty", "*.sock"))
    again = Outcome(answered=outcome.answered, kills=outcome.kills)
    judge(copy, again)
    assert again.faults == []
    check_that_a_spoilt_one_is_noticed(copy, Outcome(answered=outcome.answered, kills=outcome.kills))


def check_that_a_spoilt_one_is_noticed(directory: Path, outcome: Outcome) -> None:
    at_archive = sorted((directory / "hospital" / "objects").glob("*.dcm"))
    held = [path for path in at_archive if path.stem in outcome.answered]
    held[0].unlink()
    content = bytearray(held[1].read_bytes())
    content[-9] ^= 1
    held[1].write_bytes(content)
    shutil.copy(held[2], directory / "hospital" / "conflicts" / held[2].name)
    shutil.copy(held[3], held[3].with_name("1.2.3.dcm"))
    with (directory / "log" / "console.log").open("a") as log:
        log.write("2026-11-24 09:00:00,000 INFO    appliance.base.log: console starts\n" * 9)
    judge(directory, outcome)
    assert (outcome.lost, outcome.altered, outcome.duplicated) == (1, 1, 1)
    said = (
        f"{held[0].stem} of exam .* was answered saved and is not at the archive",
        f"{held[1].stem} is not what was saved",
        f"{held[2].name} is there twice",
        "1 objects at the archive belong to no exam, 1.2.3 for one",
        "1 saved objects were not committed",
        f"console started [0-9]+ times and was killed {outcome.kills['console']} times",
    )
    assert len(outcome.faults) == len(said), outcome.faults
    for sentence in said:
        assert any(re.fullmatch(sentence, fault) for fault in outcome.faults), (sentence, outcome.faults)


def turns_of(plan: Plan) -> list[object]:
    return list(turns(plan.seed, plan.exams, plan.weather_every, plan.kill_every))  # type: ignore[return-value]


def test_ok__a_month_has_all_of_it() -> None:
    month = list(turns(1, 3000, Plan(3000, 1).weather_every, Plan(3000, 1).kill_every))
    assert {turn.weather for turn in month if turn.weather} == {FAIR, *TROUBLES}
    assert {victim for turn in month for victim, _ in turn.kills} == set(VICTIMS)
    assert month == list(turns(1, 3000, Plan(3000, 1).weather_every, Plan(3000, 1).kill_every))
    assert month != list(turns(2, 3000, Plan(3000, 1).weather_every, Plan(3000, 1).kill_every))
