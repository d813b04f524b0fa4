"""The month: exams, weather and kills, then peace until everything is done, and what became of every object."""

from __future__ import annotations

import json
import logging
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import tomlkit

from appliance.base.errors import ApplianceError
from appliance.spool.names import object_name_from
from appliance.spool.tree import list_objects
from tests.services.demo_box import Demo, prepare_site, running_demo
from tests.soak.life import FAIR, VICTIMS, WORKLIST, Weather, turns
from tests.soak.meter import Meter
from tests.soak.technologist import Saved, Technologist, data_set_digest

_log = logging.getLogger(__name__)

# Refused work and missing reports wait for their turn; a busy machine does not hurry.
_LEAST_PEACE_SECONDS = 180.0
_PEACE_SECONDS_AN_EXAM = 0.5
_RESTART_EVERY_SECONDS = 3.0
# Objects are taken away in the same month.
_KEPT_DAYS = 5 / 86_400


@dataclass(frozen=True)
class Plan:
    """Of a run: so many exams, another weather each `weather_every`, a kill in one exam of `kill_every`."""

    exams: int
    seed: int
    weather_every: int = 25
    kill_every: float = 12.0


@dataclass
class Outcome:
    """What became of it; `faults` are sentences, empty when all is well, and so are `growths`, for a long run."""

    exams: int = 0
    answered: dict[str, Saved] = field(default_factory=dict)  # by SOP Instance UID
    saved: int = 0
    stored: int = 0
    committed: int = 0
    expired: int = 0
    lost: int = 0
    duplicated: int = 0
    altered: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    taps_lost: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)
    growths: list[str] = field(default_factory=list)
    meter: Meter | None = None


def run_month(directory: Path, plan: Plan, say: Callable[[str], None]) -> Outcome:
    """Run it in `directory`; `say` hears a line now and then."""
    began = time.monotonic()
    outcome = Outcome()
    _prepare(directory)
    with running_demo(directory) as demo:
        assert demo.panel  # it is up
        technologist = Technologist(demo, random.Random(plan.seed))
        outcome.meter = Meter(demo)
        hospital = _Hospital(demo)
        try:
            _live(demo, plan, technologist, hospital, outcome, say)
            hospital.become(FAIR)
            say("The month is over; what is on its way arrives.")
            _await_peace(demo, technologist, plan, outcome)
        finally:
            hospital.stop()
        outcome.taps_lost = technologist.taps_lost
        outcome.exams = len(technologist.exams)
        outcome.answered = technologist.saved
    judge(directory, outcome)
    outcome.growths = outcome.meter.growths()
    outcome.seconds = time.monotonic() - began
    return outcome


def _prepare(directory: Path) -> None:
    """A box that tries again soon, and a hospital with a day's entries: the month is compressed."""
    site = prepare_site(directory)
    document = tomlkit.parse(site.read_text(encoding="utf-8"))
    document["worklist"][0].update({"every_seconds": 20.0, "connect_seconds": 2.0, "answer_seconds": 5.0})  # type: ignore[index,union-attr]
    document["performed_step"].update({"connect_seconds": 2.0, "answer_seconds": 5.0})  # type: ignore[union-attr]
    document["destinations"][0].update(  # type: ignore[index,union-attr]
        {
            "connect_seconds": 2.0,
            "answer_seconds": 5.0,
            "commitment_seconds": 6.0,
            "retry_first_seconds": 0.3,
            "retry_longest_seconds": 3.0,
        }
    )
    document["retention"] = {"committed_days": _KEPT_DAYS, "unproven_days": _KEPT_DAYS}
    site.write_text(tomlkit.dumps(document), encoding="utf-8")
    (directory / "hospital").mkdir(parents=True, exist_ok=True)
    (directory / "hospital" / "faults").write_text(f"{WORKLIST}\n", encoding="utf-8")


class _Hospital:
    """Changes the weather, and restarts the hospital while that is its weather."""

    def __init__(self, demo: Demo) -> None:
        self._demo = demo
        self._is_restarting = threading.Event()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._restart, name="restarts", daemon=True)
        self._thread.start()

    def become(self, weather: Weather) -> None:
        file = self._demo.directory / "hospital" / "faults"
        new = file.with_name("faults.new")
        new.write_text("".join(f"{line}\n" for line in (WORKLIST, *weather.faults)), encoding="utf-8")
        new.replace(file)
        (self._is_restarting.set if weather.is_restarting else self._is_restarting.clear)()

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join(30)

    def _restart(self) -> None:
        while not self._is_over.wait(_RESTART_EVERY_SECONDS):
            if self._is_restarting.is_set() and self._demo.pid_of("hospital") is not None:
                self._demo.kill("hospital")


def _live(
    demo: Demo,
    plan: Plan,
    technologist: Technologist,
    hospital: _Hospital,
    outcome: Outcome,
    say: Callable[[str], None],
) -> None:
    assert outcome.meter is not None
    for number, turn in enumerate(turns(plan.seed, plan.exams, plan.weather_every, plan.kill_every)):
        if turn.weather is not None:
            hospital.become(turn.weather)
            if turn.weather == FAIR and number:
                technologist.retry_refused()
            say(f"exam {number + 1} of {plan.exams}: archive {turn.weather.name}; {len(technologist.saved)} saved")
        killers = [threading.Timer(after, _kill, (demo, victim, outcome)) for victim, after in turn.kills]
        for killer in killers:
            killer.start()
        technologist.examine()
        for killer in killers:
            killer.join()
        outcome.meter.look(number / plan.exams)


def _kill(demo: Demo, victim: str, outcome: Outcome) -> None:
    demo.kill(victim)
    outcome.kills[victim] += 1


def _await_peace(demo: Demo, technologist: Technologist, plan: Plan, outcome: Outcome) -> None:
    """Until every exam is settled and has expired; what the archive refused in its bad days is tried again once."""
    technologist.retry_refused()
    end = time.monotonic() + _LEAST_PEACE_SECONDS + plan.exams * _PEACE_SECONDS_AN_EXAM
    while unsettled := _unsettled(demo):
        if time.monotonic() > end:
            outcome.faults.append(f"{len(unsettled)} exams did not settle: {unsettled[:3]} {_said(demo, unsettled[0])}")
            return
        time.sleep(0.5)
    while kept := list(list_objects(demo.directory / "kept")):
        if time.monotonic() > end:
            outcome.faults.append(f"{len(kept)} objects did not expire")
            return
        time.sleep(0.5)


def _unsettled(demo: Demo) -> list[str]:
    exams = {path.name for path in (demo.directory / "exams").iterdir() if (path / "closed.json").exists()}
    return sorted(exams - {path.stem for path in (demo.directory / "settled").glob("*.json")})


def _said(demo: Demo, exam_id: str) -> str:
    try:
        return json.dumps(demo.console().ask("GET", f"/api/queue?exam_id={exam_id}", seconds=20))[:2000]
    except ApplianceError as error:
        return error.sentence


def judge(directory: Path, outcome: Outcome) -> None:
    """Every object that was answered *saved*: at the archive, once, unchanged, in the exam in which it was made."""
    archive = {path.stem: path for path in (directory / "hospital" / "objects").glob("*.dcm")}
    listed = _listed_instances(directory)
    committed = _committed(directory)
    outcome.saved = len(outcome.answered)
    kept = {name.sop_instance_uid for _, name in list_objects(directory / "kept")}
    outcome.expired = len(outcome.answered.keys() - kept)
    for uid, saved in outcome.answered.items():
        if uid not in archive:
            outcome.lost += 1
            outcome.faults.append(f"{uid} of exam {saved.exam_id} was answered saved and is not at the archive")
            continue
        outcome.stored += 1
        outcome.committed += uid in committed
        if data_set_digest(archive[uid].read_bytes()) != saved.digest:
            outcome.altered += 1
            outcome.faults.append(f"{uid} is not what was saved")
        if listed.get(uid, [saved.exam_id]) != [saved.exam_id]:
            outcome.faults.append(f"{uid} of exam {saved.exam_id} is listed by {listed[uid]}")
    doubled = [uid for uid, exams in listed.items() if len(exams) > 1]
    doubled += [path.name for path in (directory / "hospital" / "conflicts").glob("*")]
    outcome.duplicated = len(doubled)
    outcome.faults += [f"{one} is there twice" for one in doubled]
    if strangers := sorted(set(archive) - set(listed) - set(outcome.answered)):
        outcome.faults.append(f"{len(strangers)} objects at the archive belong to no exam, {strangers[0]} for one")
    if outcome.committed != outcome.saved:
        outcome.faults.append(f"{outcome.saved - outcome.committed} saved objects were not committed")
    outcome.faults += _leftovers(directory)
    outcome.faults += _deaths(directory, outcome.kills)


def _listed_instances(directory: Path) -> dict[str, list[str]]:
    """SOP Instance UID → the exams whose end lists it."""
    listed: dict[str, list[str]] = {}
    for path in (directory / "exams").glob("*/closed.json"):
        for one in json.loads(path.read_bytes())["instances"]:
            listed.setdefault(one["sop_instance_uid"], []).append(path.parent.name)
    return listed


def _committed(directory: Path) -> set[str]:
    found = set()
    for path in (directory / "settled").glob("*.json"):
        for one in json.loads(path.read_bytes())["objects"]:
            if all(told["committed_at"] for told in one["destinations"].values()):
                found.add(one["sop_instance_uid"])
    return found


def _leftovers(directory: Path) -> list[str]:
    """What is neither kept nor set aside by somebody's decision."""
    left = [path for path in directory.glob("captured/*/*/*") if object_name_from(path.name)]
    left += list(directory.glob("outbox/*"))
    # The simulated hospital is killed too, and what that leaves there is its own.
    left += [path for path in directory.rglob(".part-*") if path.relative_to(directory).parts[0] != "hospital"]
    left += list(directory.glob("quarantine/*"))
    return [f"{path.relative_to(directory)} is left" for path in left[:10]]


def _deaths(directory: Path, kills: Counter[str]) -> list[str]:
    """Who died without having been killed, and every traceback."""
    found = []
    for name in VICTIMS:
        log = "".join(path.read_text("utf-8", "replace") for path in (directory / "log").glob(f"{name}.log*"))
        starts = len(re.findall(r"appliance\.base\.log: .+ starts$", log, re.MULTILINE))
        if not 1 <= starts <= 1 + kills[name]:  # who is killed at once says nothing
            found.append(f"{name} started {starts} times and was killed {kills[name]} times")
        if (at := log.find("Traceback")) >= 0:
            found.append(f"{name} logged a traceback: {log[at : at + 3000]}")
    return found
