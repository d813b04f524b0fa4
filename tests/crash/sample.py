"""A state with real processes: the services are started on it, the hospital beside them, and the job is finished."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.crash.archive import Archive
from tests.crash.box import SteppedClock
from tests.crash.check import Verdict, wrong_at_the_end, wrong_on_the_medium
from tests.crash.recording import has_signal
from tests.crash.states import Case, write_tree
from tests.crash.world import Machines, Place, Processes, Technologist, is_settled, running
from tests.peers import wait_until

_SECONDS = 90.0


def try_case(case: Case, directory: Path) -> Verdict:
    """Lay the case out below `directory`, boot, finish what was begun, and look."""
    verdict = Verdict(case)
    place = Place.below(directory)
    write_tree(case.tree, case.same, place.paths.state)
    write_tree(case.hospital, {}, place.hospital)
    place.make()  # the same configuration, on ports that are free now
    verdict.wrong += wrong_on_the_medium(case, place.paths.state)
    with running(place) as processes, Machines(place.paths.run, (56, 40)):
        try:
            _finish(place, processes)
        except AssertionError as error:
            verdict.wrong.append(f"the job does not finish: {error}")
        died = processes.died()
    verdict.wrong += [f"{name} ended by itself" for name in died]
    if "Traceback" in processes.logs():
        verdict.wrong.append("a log tells of a fault in the program")
    tree = {str(path.relative_to(place.hospital)): _content(path) for path in place.hospital.rglob("*")}
    archive = Archive.from_tree(tree, SteppedClock())
    verdict.wrong += wrong_at_the_end(case, place.paths.state, archive)
    shutil.rmtree(directory)
    return verdict


def _content(path: Path) -> bytes | None:
    return None if path.is_dir() else path.read_bytes()


def _finish(place: Place, processes: Processes) -> None:
    processes.start_hospital()
    processes.recover()
    processes.start_box()
    person = Technologist(processes.console)
    exams = place.paths.state / "exams"
    exam_id = person.open_exam_id()
    if exam_id is None and not list(exams.glob("*/exam.json")):
        exam_id = person.open_exam(0)
    if exam_id is not None:
        if not (exams / exam_id / "closing.json").exists():
            wait_until(lambda: has_signal(processes), "the endoscope's picture is there")
            person.tap("endoscope", "still", exam_id)
        person.close_exam(exam_id)
    wait_until(lambda: is_settled(place.paths.state), "everything is done", _SECONDS)
