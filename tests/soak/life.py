"""What a month has in store: how the archive fails, and who is killed when. All of it follows from one seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

# Entries enough for a day, made by the hospital.
WORKLIST = "worklist-huge:300"
VICTIMS = ("console", "forward", "acquire-endoscope", "acquire-ultrasound", "acquire-film")


@dataclass(frozen=True)
class Weather:
    """How the hospital is for a while; `is_restarting`: it is killed and comes back, again and again."""

    name: str
    faults: tuple[str, ...] = ()
    is_restarting: bool = False


FAIR = Weather("as it should be")
TROUBLES = (
    Weather("down", ("refuse-association",)),
    Weather("down, hanging", ("stall",)),
    Weather("slow", ("slow-line:2000000", "steps-slow:1")),
    Weather("full", ("out-of-resources",)),
    Weather("refusing", ("refuse-store",)),
    Weather("restarting", is_restarting=True),
    Weather("breaking off", ("abort-in-store:3",)),
    Weather("forgetful", ("lose-objects=5", "commitment-fails:0112=2")),
    Weather("without commitment", ("no-commitment=4",)),
    Weather("late and in parts", ("commitment-late:3", "commitment-partial=3")),
    Weather("doubling", ("commitment-twice", "commitment-first")),
    Weather("without performed steps", ("steps-down",)),
)


@dataclass(frozen=True)
class Turn:
    """What changes before an exam: the weather, and who is killed `after` seconds into it."""

    weather: Weather | None
    kills: tuple[tuple[str, float], ...]


def turns(seed: int, exams: int, every: int, kill_every: float) -> Iterator[Turn]:
    """One for each exam: another weather each `every` exams, fair in between, and a kill in one of `kill_every`."""
    fate = random.Random(seed)
    troubles: list[Weather] = []
    for number in range(exams):
        weather = None
        if number % every == 0:
            if (number // every) % 2 == 0:
                weather = FAIR
            else:
                troubles = troubles or fate.sample(TROUBLES, len(TROUBLES))
                weather = troubles.pop()
        kills = ((fate.choice(VICTIMS), fate.uniform(0, 1.5)),) if fate.random() < 1 / kill_every else ()
        yield Turn(weather, kills)
