"""Who may do what at the panel's port: tokens, roles, the lock; event streams and abuse, against the real process."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.base.pins import kept_pin_from
from appliance.base.tokens import Role, Tokens, read_token
from appliance.console.events import MOST_STREAMS
from tests.console.conftest import Bench, wait_until
from tests.console.fakes import CONFIGURATION

_OPERATOR = "Muster^Änne"
# Everything that tells of a patient, or changes something.
_GUARDED = (
    *("/api/worklist", "/api/exam", "/api/queue", "/api/status", "/api/clock", "/api/lock", "/api/events"),
    *("/api/unassigned", "/api/devices/endoscope/preview", "/api/objects/1.2/thumbnail"),
)
_COMMANDS = (
    *("/api/exams", "/api/exam/close", "/api/worklist/refresh", "/api/worklist/search", "/api/queue/retry"),
    *("/api/clock/trust", "/api/unlock", "/api/lock-now", "/api/touch", "/api/emergency", "/api/exam/move"),
    *("/api/devices/endoscope/still", "/api/unassigned/assign", "/api/release"),
)


@pytest.fixture(scope="module")
def locked_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    operator = f'[[operators]]\nname = "{_OPERATOR}"\npin = "{kept_pin_from("4711")}"\n'
    made = Bench(tmp_path_factory.mktemp("locked"), configuration=CONFIGURATION + operator)
    try:
        yield made
    finally:
        made.stop()


# -- tokens


def test_ok__tokens_hold_for_a_boot(tmp_path: Path) -> None:
    first = Tokens(tmp_path, "boot-1")
    panel, support = read_token(tmp_path, Role.PANEL), read_token(tmp_path, Role.SUPPORT)
    assert len({panel, support}) == 2
    assert (first.role_of(panel), first.role_of(support)) == (Role.PANEL, Role.SUPPORT)
    assert Tokens(tmp_path, "boot-1").role_of(panel) is Role.PANEL, "a console that is started again knows it"
    later = Tokens(tmp_path, "boot-2")
    assert later.role_of(panel) is None
    for nobody in (None, "", panel[:-1], "ü", "\udc80", support + "x"):
        assert first.role_of(nobody) is None
    assert (tmp_path / "panel.token").stat().st_mode & 0o077 == 0
    (tmp_path / "panel.token").write_text("short boot-2\n")
    Tokens(tmp_path, "boot-2")
    assert len(read_token(tmp_path, Role.PANEL)) >= 32


def test_fail__nothing_of_a_patient_without_a_token(quiet_bench: Bench) -> None:
    with httpx.Client(base_url=quiet_bench.url, headers={"X-Appliance-Panel": "1"}, timeout=20) as stranger:
        for cookies in ({}, {"token": "x"}, {"token": quiet_bench.token()[:-1]}):
            stranger.cookies = httpx.Cookies(cookies)
            for path in _GUARDED:
                assert stranger.get(path).status_code == 401, path
            for path in _COMMANDS:
                assert stranger.post(path, json={}).status_code == 401, path
            page = stranger.get("/")
            assert page.status_code == 401
            assert "appliance panel" in page.text
            assert "Klinik" not in page.text
        assert stranger.get("/?token=wrong").headers.get("set-cookie") is None
        assert stranger.get("/api/alive").status_code == 200
        assert "class Rows" in stranger.get("/static/rows.js").text


def test_ok__the_address_gives_a_cookie_and_forgets_the_token(quiet_bench: Bench) -> None:
    with httpx.Client(timeout=20) as browser:
        answer = browser.get(quiet_bench.address())
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
        assert browser.get(quiet_bench.url + "/").status_code == 200
        assert browser.get(quiet_bench.url + "/api/exam").status_code == 200


def test_fail__support_looks_and_does_nothing(quiet_bench: Bench) -> None:
    with quiet_bench.browser(Role.SUPPORT) as support:
        assert support.get("/api/lock").json()["role"] == "support"
        for path in ("/", "/api/worklist", "/api/exam", "/api/queue", "/api/status"):
            assert support.get(path).status_code == 200, path
        for path in set(_COMMANDS) - {"/api/worklist/refresh", "/api/queue/retry"}:
            assert support.post(path, json={}).status_code == 403, path
        assert support.get("/api/devices/endoscope/preview").status_code == 403
        assert support.post("/api/worklist/refresh", json={}).status_code == 200
        assert support.post("/api/queue/retry", json={}).status_code != 403


# -- the lock


def test_ok__a_locked_panel_tells_of_nobody_until_a_pin(locked_bench: Bench) -> None:
    with locked_bench.browser() as panel, locked_bench.browser(Role.SUPPORT) as support:
        assert panel.get("/api/lock").json() == {
            "is_locked": True,
            "operators": [_OPERATOR],
            "operator": "",
            "role": "panel",
        }
        open_to_all = {"/api/lock", "/api/events"}
        for path in set(_GUARDED) - open_to_all:
            assert panel.get(path).status_code == 423, path
        for path in set(_COMMANDS) - {"/api/unlock", "/api/touch", "/api/emergency"}:
            assert panel.post(path, json={}).status_code == 423, path
        assert support.get("/api/exam").status_code == 200
        assert panel.post("/api/unlock", json={"operator": _OPERATOR, "pin": "4712"}).status_code == 409
        for body in ({}, {"operator": 7, "pin": "1"}, {"operator": _OPERATOR, "pin": "1" * 65}):
            assert "lacks operator or pin" in panel.post("/api/unlock", json=body).text
        assert panel.post("/api/unlock", json={"operator": _OPERATOR, "pin": "4711"}).json()["is_locked"] is False
        keys = [item["key"] for item in panel.get("/api/worklist").json()["items"]]
        exam_id = panel.post("/api/exams", json={"key": keys[0]}).json()["exam_id"]
        exam = locked_bench.facts.exam(exam_id)
        assert exam is not None
        assert exam.operators_name == _OPERATOR
        panel.post("/api/lock-now", json={})
        assert panel.get("/api/exam").status_code == 423
        # A footswitch goes to the device's own process; what it captures is the open exam's.
        locked_bench.endoscope.save(exam_id, "still")
        panel.post("/api/unlock", json={"operator": _OPERATOR, "pin": "4711"})
        assert len(panel.get("/api/exam").json()["captured"]) == 1
        closed = panel.post("/api/exam/close", json={"exam_id": exam_id, "outcome": "COMPLETED"}, timeout=60)
        assert closed.json()["instances"] == 1
        panel.post("/api/lock-now", json={})
        trail = "".join(path.read_text() for path in (locked_bench.paths.audit / "console").glob("*.log"))
        assert re.search(r'"act": ?"exam-opened"[^\n]*Muster', trail) or "Muster" in trail


def test_ok__an_emergency_on_a_locked_panel(locked_bench: Bench) -> None:
    with locked_bench.browser() as panel:
        exam = panel.post("/api/emergency", json={}).json()
        body = {"exam_id": exam["exam_id"]}
        assert panel.post("/api/devices/endoscope/still", json=body).status_code == 200
        panel.post("/api/exam/close", json={**body, "outcome": "COMPLETED"}, timeout=60)
        wait_until(lambda: panel.get("/api/exam").status_code == 423, "the panel is locked again")


# -- events


class Stream:
    """One listener, on a bare socket."""

    def __init__(self, bench: Bench, role: Role = Role.PANEL) -> None:
        self.connection = socket.create_connection(("127.0.0.1", bench.port), timeout=20)
        request = f"GET /api/events HTTP/1.1\r\nHost: localhost\r\nCookie: token={bench.token(role)}\r\n\r\n"
        self.connection.sendall(request.encode())
        self.text = ""

    def read_until(self, pattern: str, seconds: float = 20.0) -> str:
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text)):
            assert time.monotonic() < deadline, f"{pattern} did not come: {self.text[-500:]}"
            part = self.connection.recv(65536)
            assert part, self.text
            self.text += part.decode()
        return found[0]

    def status(self) -> int:
        return int(self.read_until(r"HTTP/1\.1 \d{3}")[-3:])


def test_ok__what_changes_is_pushed(bench: Bench) -> None:
    with contextlib.closing(bench.asker()) as asker:
        stream = Stream(bench)
        stream.read_until(r"retry: \d+")
        for topic in ("lock", "exam", "worklist", "status", "beat"):
            stream.read_until(rf"event: {topic}\n")
        items = asker.ask("GET", "/api/worklist")["items"]
        exam = asker.ask("POST", "/api/exams", {"key": items[0]["key"]})
        stream.read_until(f'"exam_id":"{exam["exam_id"]}"')
        bench.endoscope.state = "no signal"
        stream.read_until('"state":"no signal"')
        stream.connection.close()


def test_ok__a_locked_panels_stream_names_nobody(locked_bench: Bench) -> None:
    with locked_bench.browser() as panel:
        panel.post("/api/lock-now", json={})
        stream = Stream(locked_bench)
        for _ in range(3):
            stream.read_until("event: beat\n")
            stream.text = stream.text.partition("event: beat\n")[2] + ""
        assert "event: exam" not in stream.text
        panel.post("/api/unlock", json={"operator": _OPERATOR, "pin": "4711"})
        stream.read_until(r'event: lock\ndata: [^\n]*"is_locked":false')
        stream.read_until("event: exam\n")
        panel.post("/api/lock-now", json={})
        stream.read_until(r'event: lock\ndata: [^\n]*"is_locked":true')
        stream.connection.close()


def test_fail__a_thousand_streams_and_slow_clients(bench: Bench) -> None:
    """Sixteen are served, the others are refused at once; who reads nothing holds nobody up; the panel answers."""
    first = [Stream(bench) for _ in range(MOST_STREAMS)]
    assert {one.status() for one in first} == {200}
    refused = 0
    for _ in range(1000 - MOST_STREAMS):
        one = Stream(bench)
        refused += one.status() == 503
        one.connection.close()
    assert refused == 1000 - MOST_STREAMS
    with bench.browser() as panel:
        assert "Too many screens" in panel.get("/api/events").text
        assert panel.get("/api/exam").status_code == 200
    for one in first:
        one.connection.close()

    def is_free() -> bool:
        again = Stream(bench)
        try:
            return again.status() == 200
        finally:
            again.connection.close()

    wait_until(is_free, "the places of those who left are free", 60.0)
    slow = [socket.create_connection(("127.0.0.1", bench.port), timeout=20) for _ in range(60)]
    for number, connection in enumerate(slow):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: loc" if number % 2 else b"")
    with bench.browser() as panel:
        assert panel.get("/api/exam").status_code == 200
    wait_until(lambda: all(_is_over(connection) for connection in slow), "who never asks is sent away", 60.0)


def _is_over(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(4096, socket.MSG_PEEK) == b"" or _is_over_behind_answer(connection)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _is_over_behind_answer(connection: socket.socket) -> bool:
    connection.recv(4096)
    return _is_over(connection)


def test_ok__streams_do_not_keep_the_console_from_stopping(bench: Bench) -> None:
    import signal

    stream = Stream(bench)
    stream.read_until("event: beat\n")
    begun = time.monotonic()
    assert bench.kill(signal.SIGTERM) == 0
    assert time.monotonic() - begun < 15
    bench.start()


def test_ok__every_event_is_json(quiet_bench: Bench) -> None:
    stream = Stream(quiet_bench)
    stream.read_until("event: status\ndata: [^\n]+\n\n")
    values: list[Any] = [json.loads(found) for found in re.findall(r"\ndata: ([^\n]+)\n", stream.text)]
    assert all(isinstance(value, dict) for value in values)
    stream.connection.close()
