"""The real console process between fake neighbours: the job over HTTP, what is refused, and being killed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.base.asking import Asker, Refused, Unreachable
from tests.console.conftest import Bench, wait_until
from tests.console.fakes import make_items, write_worklist

PANEL = {"X-Appliance-Panel": "1"}


@pytest.fixture
def asker(bench: Bench) -> Any:
    made = bench.asker()
    yield made
    made.close()


def open_first(asker: Asker) -> str:
    items = asker.ask("GET", "/api/worklist")["items"]
    exam = asker.ask("POST", "/api/exams", {"key": items[0]["key"]})
    return str(exam["exam_id"])


def test_ok__the_job_over_the_socket(bench: Bench, asker: Asker) -> None:
    worklist = asker.ask("GET", "/api/worklist")
    assert worklist["sources"][0]["source"] == "ris"
    assert [item["patient_id"] for item in worklist["items"][:2]] == ["4711", "JP-000123"]
    assert worklist["items"][1]["names"] == ["Yamada Tarou", "山田 太郎", "やまだ たろう"]
    assert not any(item["examined"] for item in worklist["items"])

    exam_id = open_first(asker)
    still = asker.ask("POST", "/api/devices/endoscope/still", {"exam_id": exam_id})
    wait_until(lambda: "ES" in bench.facts.started(exam_id), "the step has started")
    asker.ask("POST", "/api/devices/endoscope/clip/start", {"exam_id": exam_id})
    status = asker.ask("GET", "/api/exam")
    assert {device["device"]: device["state"] for device in status["devices"]} == {
        "ultrasound": "idle",
        "endoscope": "recording",
        "film": "idle",
    }
    asker.ask("POST", "/api/devices/endoscope/clip/stop", {})
    bench.film.may_end_film.set()
    asker.ask("POST", "/api/devices/film/film", {"exam_id": exam_id}, seconds=30)
    bench.ultrasound.save(exam_id, "transfer")

    shown = asker.ask("GET", "/api/exam")
    assert shown["exam"]["state"] == "open"
    assert [captured["kind"] for captured in shown["captured"]] == ["still", "clip", "film", "transfer"]
    assert shown["captured"][0]["file_name"] == still["file_name"]
    assert asker.ask_bytes("/api/devices/endoscope/preview")[:2] == b"\xff\xd8"
    assert asker.ask_bytes(f"/api/devices/endoscope/thumbnail/{still['sop_instance_uid']}")[:2] == b"\xff\xd8"
    assert len(asker.ask("GET", "/api/queue")["open"]["captured"]) == 4

    closed = asker.ask("POST", "/api/exam/close", {"exam_id": exam_id, "outcome": "COMPLETED"}, seconds=60)
    assert (closed["instances"], closed["outcome"]) == (4, "COMPLETED")
    assert asker.ask("GET", "/api/exam")["exam"] is None
    queue = asker.ask("GET", f"/api/queue?exam_id={exam_id}")
    assert len(queue["objects"]) == 4
    assert queue["open"] is None
    assert queue["exams"][exam_id]["outcome"] == "COMPLETED"
    assert {step["modality"] for step in queue["steps"]} == {"ES", "US", "RG"}
    assert [item["patient_id"] for item in asker.ask("GET", "/api/worklist")["items"] if item["examined"]] == ["4711"]
    assert bench.forward.hints > 0


def test_ok__an_unscheduled_patient_and_the_wrong_entry(bench: Bench, asker: Asker) -> None:
    patient = {"name": "Doe^Jane", "patient_id": " X-1 ", "birth_date": "", "sex": "F"}
    shown = asker.ask("POST", "/api/exams", {"patient": patient})
    assert (shown["names"], shown["patient_id"], shown["is_scheduled"]) == (["Doe Jane"], "X-1", False)
    codes = [reason["code"] for reason in asker.ask("GET", "/api/exam")["reasons"]]
    assert codes[0] == "110514" and "110513" in codes
    end = {"exam_id": shown["exam_id"], "outcome": "DISCONTINUED", "reason": codes[0]}
    closed = asker.ask("POST", "/api/exam/close", end, seconds=60)
    assert (closed["instances"], closed["outcome"]) == (0, "DISCONTINUED")
    fact = bench.facts.closed(shown["exam_id"])
    assert fact is not None and fact.reason == "110514"


def test_ok__an_emergency_gets_a_name_and_an_id_of_its_own(bench: Bench, asker: Asker) -> None:
    given: list[str] = []
    for path, whom in (("/api/emergency", {}), ("/api/exams", {"patient": {"name": "Doe^Jane"}})):
        shown = asker.ask("POST", path, whom)
        exam = bench.facts.exam(shown["exam_id"])
        assert exam is not None
        assert not exam.is_scheduled
        assert exam.item.elements["00100021"]["Value"] == ["BRIDGE"]
        given.append(exam.item.patient_id)
        asker.ask("POST", "/api/exam/close", {"exam_id": shown["exam_id"], "outcome": "COMPLETED"}, seconds=60)
        assert shown["names"] == (["Doe Jane"] if whom else ["UNKNOWN EMERGENCY"])
    assert [one.split("-")[:2] for one in given] == [["BRIDGE", "E000001"], ["BRIDGE", "E000002"]]


def test_ok__no_patient_in_the_log(bench: Bench, asker: Asker) -> None:
    exam_id = open_first(asker)
    asker.ask("POST", "/api/devices/endoscope/still", {"exam_id": exam_id})
    asker.ask("POST", "/api/exam/close", {"exam_id": exam_id, "outcome": "COMPLETED"}, seconds=60)
    with pytest.raises(Refused):
        asker.ask("POST", "/api/exam/close", {"exam_id": "Müller", "outcome": "COMPLETED"})
    (bench.spool.exams / exam_id / "exam.json").write_text('{"exam_id": "Jürgen", "item": "Müller"}')
    assert bench.kill(signal.SIGTERM) == 0
    bench.start()  # reads the damaged record and says so
    log = bench.log.read_text()
    assert f"exam.json of {exam_id} is damaged" in log
    assert not any(word in log for word in ("Müller", "Jürgen", "19480517"))


def test_ok__the_worklist_is_refreshed_through_forward(bench: Bench, asker: Asker) -> None:
    write_worklist(bench.paths, make_items()[:3], trouble="The RIS does not answer.", age_seconds=600)
    shown = asker.ask("GET", "/api/worklist")
    assert len(shown["items"]) == 3
    assert shown["sources"][0]["trouble"] == "The RIS does not answer."
    assert asker.ask("POST", "/api/worklist/refresh", {})["answers"][0]["items"] == 30
    assert len(asker.ask("GET", "/api/worklist")["items"]) == 30


def test_fail__sentences_for_what_cannot_be(bench: Bench, asker: Asker) -> None:
    with pytest.raises(Refused, match="not on the worklist"):
        asker.ask("POST", "/api/exams", {"key": "nothing"})
    with pytest.raises(Refused, match="lacks key"):
        asker.ask("POST", "/api/exams", {"key": 7})
    with pytest.raises(Refused, match="No exam is open"):
        asker.ask("POST", "/api/devices/endoscope/still", {})
    with pytest.raises(Refused, match="no such device"):
        asker.ask("POST", "/api/devices/nobody/cancel", {})
    items = asker.ask("GET", "/api/worklist")["items"]
    for keys in ([], [7], "k", [items[0]["key"]] * 17):
        with pytest.raises(Refused, match="lacks key"):
            asker.ask("POST", "/api/exams", {"keys": keys})
    with pytest.raises(Refused, match="not of the same patient"):
        asker.ask("POST", "/api/exams", {"keys": [items[0]["key"], items[1]["key"]]})
    for patient, sentence in ((7, "lacks patient"), ({"name": 7}, "lacks name"), ({}, "lacks name")):
        with pytest.raises(Refused, match=sentence):
            asker.ask("POST", "/api/exams", {"patient": patient})
    with pytest.raises(Refused, match="birth date is no date"):
        asker.ask("POST", "/api/exams", {"patient": {"name": "X", "patient_id": "1", "birth_date": "19991301"}})
    assert bench.facts.open_exam_id() is None
    exam_id = open_first(asker)
    for outcome, reason in (("COMPLETED", "110514"), ("DISCONTINUED", "The patient left.")):
        with pytest.raises(Refused, match="no reason for which"):
            asker.ask("POST", "/api/exam/close", {"exam_id": exam_id, "outcome": outcome, "reason": reason})
    with pytest.raises(Refused, match="Another exam is open than"):
        asker.ask("POST", "/api/devices/endoscope/still", {"exam_id": "20261122-093000-0000"})
    with pytest.raises(Refused, match="COMPLETED or DISCONTINUED"):
        asker.ask("POST", "/api/exam/close", {"exam_id": exam_id, "outcome": "DONE"})
    bench.endoscope.still_error = "There is no video signal."
    with pytest.raises(Refused, match="no video signal") as refused:
        asker.ask("POST", "/api/devices/endoscope/still", {"exam_id": exam_id})
    assert refused.value.suggestion == "Check the cable and try again."
    bench.endoscope.has_picture = False
    with pytest.raises(Unreachable, match="no video signal"):
        asker.ask_bytes("/api/devices/endoscope/preview")
    with pytest.raises(Refused, match="no such address"):
        asker.ask("GET", "/api/nothing")
    with pytest.raises(Refused, match="no such exam"):
        asker.ask("GET", "/api/queue?exam_id=..%2Fconfig")


def test_ok__a_device_and_forward_that_are_gone_are_said_in_words(bench: Bench, asker: Asker) -> None:
    bench.film.stop()
    bench.forward.stop()
    film = asker.ask("GET", "/api/exam")["devices"][2]
    assert (film["device"], film["state"]) == ("film", "not running")
    assert "Film digitizer is not connected" in film["sentence"]
    assert [finding["code"] for finding in asker.ask("GET", "/api/status")["findings"]] == ["forward-silent"]
    with pytest.raises(Unreachable):
        asker.ask("GET", "/api/queue")
    exam_id = open_first(asker)
    asker.ask("POST", "/api/devices/endoscope/still", {"exam_id": exam_id})
    closed = asker.ask("POST", "/api/exam/close", {"exam_id": exam_id, "outcome": "COMPLETED"}, seconds=60)
    assert closed["instances"] == 1
    assert len(list(bench.spool.outbox.iterdir())) == 1


def test_ok__a_cancelled_film_leaves_the_exam_open(bench: Bench, asker: Asker) -> None:
    exam_id = open_first(asker)
    refusals: list[Refused] = []

    def scan() -> None:
        with contextlib.closing(bench.asker()) as other:
            try:
                other.ask("POST", "/api/devices/film/film", {"exam_id": exam_id}, seconds=40)
            except Refused as error:
                refusals.append(error)

    thread = threading.Thread(target=scan)
    thread.start()
    wait_until(lambda: bench.film.state == "scanning", "the film is scanned")
    asker.ask("POST", "/api/devices/film/cancel", {})
    thread.join(20)
    assert refusals[0].sentence == "The scan was cancelled."
    assert asker.ask("GET", "/api/exam")["exam"]["exam_id"] == exam_id


def test_ok__killed_while_the_exam_is_being_ended(bench: Bench) -> None:
    with contextlib.closing(bench.asker()) as asker:
        exam_id = open_first(asker)
        asker.ask("POST", "/api/devices/endoscope/still", {"exam_id": exam_id})
        bench.endoscope.is_drained = False
        with pytest.raises(Unreachable):
            asker.ask("POST", "/api/exam/close", {"exam_id": exam_id, "outcome": "COMPLETED"}, seconds=1)
        assert asker.ask("GET", "/api/exam")["exam"]["state"] == "closing"
        wait_until(
            lambda: asker.ask("GET", "/api/exam")["exam"]["waiting_for"] == ["endoscope"], "only the endoscope is open"
        )
    bench.kill()
    assert bench.facts.closed(exam_id) is None
    bench.endoscope.is_drained = True
    bench.start()
    with contextlib.closing(bench.asker()) as asker:
        closed = asker.ask("POST", "/api/exam/close", {"exam_id": exam_id, "outcome": "COMPLETED"}, seconds=60)
        assert closed["instances"] == 1
    assert len(list(bench.spool.outbox.iterdir())) == 1


def test_fail__a_second_console_refuses_to_start(quiet_bench: Bench) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "appliance.services.console"],
        env={**os.environ, **quiet_bench.paths.environment(), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert b"The console is running already." in second.stderr
    assert quiet_bench.is_answering()


def test_ok__an_orderly_stop(bench: Bench) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        assert bench.kill(number) == 0
        bench.start()


def raw(bench: Bench, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", bench.port), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


def test_fail__what_the_guard_refuses(quiet_bench: Bench) -> None:
    url = quiet_bench.url
    known = {"token": quiet_bench.token()}
    assert httpx.get(f"{url}/", cookies=known).status_code == 200
    for host in (
        "evil.example",
        f"appliance:{quiet_bench.port}",
        "appliance",
        "",
        "127.0.0.1.evil.example",
        "[::1",
        "a:b",
    ):
        for path in ("/", "/api/worklist", "/static/panel.js"):
            assert httpx.get(url + path, headers={"Host": host}, cookies=known).status_code == 421, host
    key = {"key": "x"}
    assert httpx.post(f"{url}/api/exams", json=key, cookies=known).status_code == 403
    assert (
        httpx.post(f"{url}/api/exams", json=key, headers={"X-Appliance-Panel": "0"}, cookies=known).status_code == 403
    )
    evil = {**PANEL, "Origin": "http://evil.example"}
    assert httpx.post(f"{url}/api/exams", json=key, headers=evil, cookies=known).status_code == 403
    assert (
        httpx.post(f"{url}/api/exams", json=key, headers={**PANEL, "Origin": "null"}, cookies=known).status_code == 403
    )
    assert httpx.post(f"{url}/api/exams", json=key, headers={**PANEL, "Origin": url}, cookies=known).status_code == 409
    assert httpx.delete(f"{url}/api/exam", cookies=known).status_code == 405
    assert httpx.options(f"{url}/api/exam", cookies=known).status_code == 405
    assert httpx.post(f"{url}/api/exams", content=b"x" * 70_000, headers=PANEL, cookies=known).status_code == 413
    parts = (b"x" * 10_000 for _ in range(10))  # chunked: no length is said
    assert httpx.post(f"{url}/api/exams", content=parts, headers=PANEL, cookies=known).status_code == 409
    assert httpx.post(f"{url}/api/exams", content=b"[1]", headers=PANEL, cookies=known).status_code == 409
    assert httpx.post(f"{url}/api/exams", content=b"{", headers=PANEL, cookies=known).status_code == 409
    for path in (b"/static/../api.py", b"/static/%2e%2e/api.py", b"/static/..%2f..%2fconfig%2factive.toml"):
        answer = raw(quiet_bench, b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert answer.split(b" ", 2)[1] == b"404", answer
    assert quiet_bench.is_answering()


def test_ok__every_answer_bears_the_headers(quiet_bench: Bench) -> None:
    for path in ("/", "/static/panel.js", "/static/panel.css", "/api/alive", "/api/nothing", "/favicon.ico"):
        headers = httpx.get(quiet_bench.url + path).headers  # of a stranger's too
        assert headers["cache-control"] == "no-store", path
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy


def test_ok__the_console_starts_without_the_dicom_library() -> None:
    forbidden = ("pydicom", "numpy", "PIL", "sqlite3", "pynetdicom")
    code = f"import sys, appliance.services.console; print([name for name in {forbidden} if name in sys.modules])"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, timeout=60, cwd=Path(__file__).parents[2]
    )
    assert answer.stdout.strip() == b"[]"
