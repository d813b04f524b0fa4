"""SIGKILL at a dozen moments of the job: it is finished all the same, and nothing saved is lost or doubled."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread

from appliance.base.asking import Asker
from appliance.base.errors import ApplianceError
from tests.peers import wait_until
from tests.services.demo_box import Demo, logs_of, prepare_site, running_demo

EVENT_SECONDS = 150.0
FILM_OPTIONS = 'options = { test-picture = "Grid" }'


def has(directory: Path, pattern: str, least: int = 1) -> Callable[[], bool]:
    """True once `pattern` matches at least so many files."""

    def look() -> bool:
        with contextlib.suppress(OSError):
            return sum(1 for _ in directory.glob(pattern)) >= least
        return False

    return look


def is_growing(directory: Path, pattern: str, least_bytes: int) -> Callable[[], bool]:
    """True once a file that matches has so many bytes."""

    def look() -> bool:
        with contextlib.suppress(OSError):
            return any(path.stat().st_size >= least_bytes for path in directory.glob(pattern))
        return False

    return look


def is_state(demo: Demo, device: str, state: str) -> Callable[[], bool]:
    """True while a device says so of itself."""
    asker = Asker(demo.paths.acquire_socket(device), device)

    def look() -> bool:
        with contextlib.suppress(ApplianceError):
            return bool(asker.ask("GET", "/status")["state"] == state)
        return False

    return look


# (what is killed, at which moment); the moments of one run in the order in which they come.
Moment = tuple[str, str, Callable[[Demo], Callable[[], bool]]]
RUNS: dict[str, list[Moment]] = {
    "while it captures": [
        ("console", "the exam was just opened", lambda demo: has(demo.directory, "exams/*/exam.json")),
        ("acquire-ultrasound", "an image is being received", lambda demo: is_state(demo, "ultrasound", "receiving")),
        (
            "acquire-endoscope",
            "the first still is saved",
            lambda demo: has(demo.directory, "captured/endoscope/*/2*.dcm"),
        ),
        (
            "acquire-endoscope",
            "a clip is being written",
            lambda demo: is_growing(demo.directory, "captured/endoscope/*/.part-*", 4_000_000),
        ),
        (
            "console",
            "another clip is being written",
            lambda demo: is_growing(demo.directory, "captured/endoscope/*/.part-*", 4_000_000),
        ),
    ],
    "while it ends": [
        ("forward", "a performed step was announced", lambda demo: has(demo.directory, "hospital/steps/*.json")),
        ("acquire-film", "a film is being scanned", lambda demo: has(demo.directory, "captured/film/*/.part-*")),
        ("console", "the exam is being ended", lambda demo: has(demo.directory, "exams/*/closing.json")),
        ("console", "the exam's list is written", lambda demo: has(demo.directory, "exams/*/closed.json")),
        ("forward", "the first object lies in the outbox", lambda demo: has(demo.directory, "outbox/2*.dcm")),
    ],
    "while it sends": [
        ("forward", "the archive has the first object", lambda demo: has(demo.directory, "hospital/objects/*.dcm")),
        ("forward", "commitment is asked for", lambda demo: has(demo.directory, "hospital/commitments/*.json")),
        ("hospital", "it owes a commitment", lambda demo: has(demo.directory, "hospital/commitments/*.json")),
        ("console", "the first object is committed", lambda demo: has(demo.directory, "kept/2*.dcm")),
    ],
}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", RUNS)
def test_ok__killed_at_any_moment_the_job_is_finished(tmp_path: Path, name: str) -> None:
    directory = tmp_path / "demo"
    reached: list[str] = []
    slow_down_film(directory)
    with running_demo(directory, "--once", "--json", "--deadline", "240") as demo:
        killer = threading.Thread(target=kill_at, args=(demo, RUNS[name], reached), daemon=True)
        killer.start()
        status = demo.wait(300)
        killer.join(EVENT_SECONDS)
    document = json.loads(demo.text()[demo.text().index("{") :].rpartition("}")[0] + "}")
    assert status == 0, f"{document['missing']}\n{logs_of(directory)[-6000:]}"
    assert reached == [moment for _, moment, _ in RUNS[name]]  # each kill really happened
    check_nothing_lost_or_doubled(directory)


def slow_down_film(directory: Path) -> None:
    """A scan of some seconds, as a real one: a digitizer that gives each piece after 20 ms."""
    site = prepare_site(directory)
    slow = 'options = { test-picture = "Grid", read-delay = "yes", read-delay-duration = "20000" }'
    text = site.read_text()
    assert FILM_OPTIONS in text
    site.write_text(text.replace(FILM_OPTIONS, slow))


def kill_at(demo: Demo, moments: list[Moment], reached: list[str]) -> None:
    for victim, moment, condition in moments:
        happens = condition(demo)
        wait_until(happens, moment, EVENT_SECONDS)
        demo.kill(victim)
        reached.append(moment)


def check_nothing_lost_or_doubled(directory: Path) -> None:
    """What the services logged as saved is at the archive, once, in one exam; no transfer came under two UIDs."""
    held = {path.stem: path for path in (directory / "hospital" / "objects").glob("*.dcm")}
    saved = set(re.findall(r"acquire\.keeping: saved \w+ ([0-9.]+) for exam", logs_of(directory)))
    assert saved
    assert saved <= set(held)
    assert not list((directory / "hospital").glob("conflicts/*"))
    closed = [json.loads(path.read_bytes()) for path in directory.glob("exams/*/closed.json")]
    listed = [one["sop_instance_uid"] for exam in closed for one in exam["instances"]]
    assert len(closed) == 1
    assert sorted(listed) == sorted(set(listed)) == sorted(held)
    transfers = []
    for path in held.values():
        dataset = dcmread(path)
        if dataset.Modality == "US":
            transfers.append(hashlib.sha256(dataset.PixelData).hexdigest())
    assert len(transfers) == len(set(transfers))
    # Nothing is left half-done on the box.
    assert not list(directory.glob("captured/*/*/.part-*"))
    assert not list(directory.glob("captured/*/*/2*.dcm"))
    assert not list(directory.glob("outbox/*.dcm"))
