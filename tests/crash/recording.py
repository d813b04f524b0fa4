"""The job that is recorded: real processes under strace, two patients, and clips that are cut off and salvaged.

One clip of JPEG frames and one of native frames come to their end, and one of each is cut off; one film is streamed,
and one compressed.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from tests.crash.record import Record, Side
from tests.crash.recorder import Recorder
from tests.crash.trace import LONGEST_STRING, SYSTEM_CALLS
from tests.crash.world import Machines, Place, Processes, Technologist, is_settled, running
from tests.peers import wait_until

# Long enough for a sync in the middle.
CLIP_SECONDS = 1.8
_DONE_SECONDS = 60.0


class UnfaithfulRecord(AssertionError):
    """The record, played, does not give the files that the job left."""


def record_job(directory: Path) -> Record:
    """Do the job below `directory`, which must not be on a slow disk, and answer with what happened."""
    place = Place.below(directory)
    place.make()
    trace = directory / "trace"
    start = Record([], {"config/active.toml": place.paths.configuration.read_bytes()})
    with running(place, strace_into(trace)) as processes, Machines(place.paths.run) as machines:
        _do_job(place, processes, machines)
    recorder = Recorder({Side.BOX: place.paths.state, Side.HOSPITAL: place.hospital}, start, processes.roles)
    with trace.open(encoding="ascii", errors="replace") as lines:
        record = recorder.follow(lines)
    trace.unlink()
    for side, root in ((Side.BOX, place.paths.state), (Side.HOSPITAL, place.hospital)):
        check_faithful(recorder.systems[side].live_tree(), root)
    return record


def strace_into(trace: Path) -> list[str]:
    """The command that runs another one and appends to `trace` what `trace.calls_from` reads."""
    strace = ["strace", "-f", "--seccomp-bpf", "-qq", "-ttt", "-xx", "-s", str(LONGEST_STRING)]
    return [*strace, "-e", f"trace={SYSTEM_CALLS}", "-e", "signal=none", "-A", "-o", str(trace), "--"]


def _do_job(place: Place, processes: Processes, machines: Machines) -> None:
    person = Technologist(processes.console)
    processes.start_hospital()
    processes.recover()
    processes.start_box()
    first = person.open_exam(0)
    wait_until(lambda: has_signal(processes), "the endoscope's picture is there")
    person.tap("endoscope", "still", first)
    start_clip(place, person, first)
    clip_end = time.monotonic() + CLIP_SECONDS
    assert machines.print_image(), "the box did not acknowledge the image"
    person.tap("film", "film", first)
    person.tap("plates", "film", first)
    time.sleep(max(0.0, clip_end - time.monotonic()))
    person.tap("endoscope", "clip/stop", first)
    machines.show_pixels(True)
    start_clip(place, person, first)
    time.sleep(CLIP_SECONDS)
    person.tap("endoscope", "clip/stop", first)
    person.close_exam(first)
    machines.show_pixels(False)
    second = person.open_exam(1)
    person.tap("endoscope", "still", second)
    for are_pixels in (True, False):
        machines.show_pixels(are_pixels)
        clip = start_clip(place, person, second)
        time.sleep(CLIP_SECONDS)
        processes.kill_box()
        assert list(place.paths.state.glob(f"captured/endoscope/{second}/.part-{clip}~*"))
        processes.recover()
        processes.start_box()
        wait_until(lambda: has_signal(processes), "the endoscope's picture is there again")
    person.tap("endoscope", "still", second)
    person.close_exam(second)
    wait_until(lambda: is_settled(place.paths.state), f"everything is done\n{processes.logs()}", _DONE_SECONDS)
    assert processes.died() == []


def start_clip(place: Place, person: Technologist, exam_id: str) -> str:
    """Record from now on, and be sure that it has begun; the clip's UID."""
    uid = str(person.tap("endoscope", "clip/start", exam_id)["sop_instance_uid"])
    directory = place.paths.state / "captured" / "endoscope" / exam_id
    wait_until(lambda: list(directory.glob(f".part-{uid}~*")), "the clip is being written")
    return uid


def has_signal(processes: Processes) -> bool:
    return processes.state_of("endoscope") == "idle"


def check_faithful(tree: dict[str, bytes | None], root: Path) -> None:
    """UnfaithfulRecord unless `tree` is what lies at `root`. SQLite's shared memory is written without system calls."""
    real = {
        str(path.relative_to(root)): None if path.is_dir() else path.read_bytes()
        for path in root.rglob("*")
        if not path.name.endswith("-shm")
    }
    played = {path: content for path, content in tree.items() if not path.endswith("-shm")}
    wrong = sorted(path for path in real.keys() | played.keys() if real.get(path, b"-") != played.get(path, b"-"))
    if wrong:
        raise UnfaithfulRecord(f"the record gives other files than the job left: {', '.join(wrong)}")


def clear(directory: Path) -> None:
    """Remove a job's directory."""
    shutil.rmtree(directory, ignore_errors=True)
