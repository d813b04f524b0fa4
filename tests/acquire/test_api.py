"""What the console asks, over a unix socket and a real server; behind it a runner that does as the test says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import uvicorn

from appliance.acquire.api import make_app
from appliance.acquire.gate import ExamGate
from appliance.acquire.keeping import Kind, Saved
from appliance.acquire.runner import DeviceRunner
from appliance.base.clock import SystemClock
from appliance.base.errors import ApplianceError
from appliance.base.http import answer_appliance_error
from appliance.base.sockets import bind_unix
from appliance.devices.errors import NoSignal
from tests.acquire.conftest import Room
from tests.acquire.world import START, make_grabber, open_exam_of
from tests.peers import wait_until

SAVED = Saved("1.2.3", Kind.STILL, "20261122-093001-0001", "1.2.3~0~00.dcm", START, START, 1, 1234)


class PlayedRunner(DeviceRunner):
    """A device whose commands are what the test makes of them."""

    kinds = ("still", "clip")

    def __init__(self, room: Room) -> None:
        clock = SystemClock()
        gate = room.gate = ExamGate(room.facts, clock)
        super().__init__(make_grabber(), room.keeper(make_grabber()), gate, clock, room.findings)
        self.act: Callable[[], object] = lambda: SAVED
        self.asked: list[object] = []

    def run(self, stop: threading.Event, alive: Callable[[], None]) -> None:
        raise AssertionError

    def sentence(self) -> str:
        return "Live picture."

    def take_still(self, exam_id: str | None) -> Saved:
        self.asked.append(exam_id)
        answer = self.act()
        assert isinstance(answer, Saved)
        return answer

    def start_clip(self, exam_id: str | None) -> str:
        self.asked.append(exam_id)
        return "1.2.4"

    def stop_clip(self, exam_id: str | None = None) -> Saved:
        self.asked.append(exam_id)
        return SAVED

    def cancel(self) -> None:
        self.asked.append("cancel")

    def finish(self, exam_id: str) -> None:
        self.asked.append(f"finish {exam_id}")

    def preview(self) -> bytes:
        self.act()
        return b"\xff\xd8"


@pytest.fixture
def runner(room: Room) -> PlayedRunner:
    return PlayedRunner(room)


@pytest.fixture
def client(runner: PlayedRunner, tmp_path: Path) -> Iterator[httpx.Client]:
    app = make_app(runner)
    app.add_exception_handler(ApplianceError, answer_appliance_error)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    listener = bind_unix(tmp_path / "acquire.sock")
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
    thread.start()
    wait_until(lambda: server.started, "the server answers")
    transport = httpx.HTTPTransport(uds=str(tmp_path / "acquire.sock"))
    with httpx.Client(transport=transport, base_url="http://appliance", timeout=30.0) as made:
        yield made
    server.should_exit = True
    thread.join(30)
    assert not thread.is_alive()


def error_of(response: httpx.Response, status: int = 409) -> str:
    assert response.status_code == status
    error = response.json()["error"]
    assert set(error) == {"sentence", "suggestion"}
    return str(error["sentence"])


def test_ok__commands_and_their_answers(client: httpx.Client, runner: PlayedRunner) -> None:
    answer = {
        "sop_instance_uid": "1.2.3",
        "kind": "still",
        "exam_id": "20261122-093001-0001",
        "file_name": "1.2.3~0~00.dcm",
        "captured_at": "2026-11-22T09:30:15.250000+01:00",
        "saved_at": "2026-11-22T09:30:15.250000+01:00",
        "frames": 1,
        "bytes": 1234,
    }
    assert client.post("/still", json={"exam_id": "E"}).json() == answer
    assert client.post("/clip/start", json={"exam_id": None}).json() == {"sop_instance_uid": "1.2.4"}
    assert client.post("/clip/stop", json={"exam_id": "F"}).json() == answer
    assert client.post("/clip/stop").json() == answer
    assert client.post("/cancel", json={}).json() == {}
    assert runner.asked == ["E", None, "F", None, "cancel"]


def test_ok__status(client: httpx.Client, runner: PlayedRunner) -> None:
    assert client.get("/status").json() == {
        "device": "endoscope",
        "title": "Endoscope",
        "modality": "ES",
        "driver": "grabber",
        "kinds": ["still", "clip"],
        "state": "idle",
        "sentence": "Live picture.",
        "progress": None,
        "findings": [],
        "study_complete": None,
        "captured": [],
    }


def test_ok__status_answers_while_commands_wait_for_flash(client: httpx.Client, runner: PlayedRunner) -> None:
    go_on, begun = threading.Event(), threading.Semaphore(0)

    def wait() -> Saved:
        begun.release()
        assert go_on.wait(30)
        return SAVED

    runner.act = wait
    with ThreadPoolExecutor(6) as pool:
        pressed = [pool.submit(client.post, "/still", json={"exam_id": "E"}) for _ in range(6)]
        for _ in range(6):
            assert begun.acquire(timeout=30)
        assert client.get("/status").status_code == 200
        go_on.set()
        assert all(one.result(30).status_code == 200 for one in pressed)


def test_fail__one_form_of_an_error(client: httpx.Client, runner: PlayedRunner) -> None:
    def refuse() -> Saved:
        raise NoSignal("No picture comes from the endoscope; nothing was captured.", "Check its cable.")

    def fail() -> Saved:
        raise OSError(5, "Input/output error")

    runner.act = refuse
    response = client.post("/still", json={"exam_id": "E"})
    assert error_of(response) == "No picture comes from the endoscope; nothing was captured."
    assert response.json()["error"]["suggestion"] == "Check its cable."
    assert error_of(client.get("/preview"), 503) == "No picture comes from the endoscope; nothing was captured."
    runner.act = fail
    assert error_of(client.post("/still", json={})) == "This was not saved: the flash gives back errors."
    assert error_of(client.post("/film", json={"exam_id": "E"})) == "Endoscope scans no film."


def test_fail__bodies_that_are_none(client: httpx.Client, runner: PlayedRunner) -> None:
    for body in (
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"exam_id": 7}',
        b'{"exam_id": ["E"]}',
        b'{"x": "' + b"x" * 70_000 + b'"}',
    ):
        error_of(client.post("/still", content=body))
    assert runner.asked == []


def test_fail__a_time_that_is_none(client: httpx.Client, runner: PlayedRunner) -> None:
    for seconds in ("NaN", "Infinity", "-1", "121", '"5"', "null", "true", "[]"):
        body = f'{{"exam_id": "E", "seconds": {seconds}}}'.encode()
        assert "not a number of seconds" in error_of(client.post("/drain", content=body)), seconds
    assert runner.asked == []


def test_ok__drain(client: httpx.Client, runner: PlayedRunner, room: Room) -> None:
    exam = open_exam_of(room.facts)
    request = {"exam_id": exam.exam_id, "seconds": 0}
    assert client.post("/drain", json=request).json() == {"drained": True}
    assert runner.asked == [f"finish {exam.exam_id}"]
    with runner.gate.admitting(exam.exam_id):
        assert client.post("/drain", json=request).json() == {"drained": False}
    assert "names no exam" in error_of(client.post("/drain", json={"seconds": 1}))


def test_ok__pictures(client: httpx.Client, runner: PlayedRunner) -> None:
    preview = client.get("/preview")
    assert (preview.status_code, preview.headers["content-type"], preview.content) == (200, "image/jpeg", b"\xff\xd8")
    runner.thumbnails.put("1.2.3", b"\xff\xd8small")
    assert client.get("/thumbnail/1.2.3").content == b"\xff\xd8small"
    assert "no small picture" in error_of(client.get("/thumbnail/1.2.9"), 404)
    assert client.get("/still").status_code == 405
