"""Real archives: one that is down beside one that is not, reports that find nobody, objects that are gone, and what the
commands say of it all."""

from __future__ import annotations

import json
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from appliance.base.errors import ApplianceError
from appliance.cli.queue_table import retry, show_queue
from tests.forward.hospital_job import PATIENT_ID, PATIENT_NAME, Job
from tests.forward.test_service import Box
from tests.peers import running, start_orthanc, start_storescp, wait_until
from tests.ports import pick_free_port


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    box = Box(tmp_path / "box")
    for name, value in box.paths.environment().items():
        monkeypatch.setenv(name, value)
    yield box
    if box.process is not None:
        box.process.stop()
    said = box.log.read_text(errors="replace") if box.log.exists() else ""
    for secret in (PATIENT_ID, *PATIENT_NAME.split("^")):
        assert secret not in said


def told(box: Box, job: Job, destination: str) -> list[dict[str, Any]]:
    objects = box.ask(f"/queue?exam_id={job.exam_id}")["objects"]
    return [one["destinations"][destination] for one in objects]


def states(box: Box, job: Job, destination: str) -> set[str]:
    return {one["state"] for one in told(box, job, destination)}


@contextmanager
def relaying(port: int, target: int) -> Iterator[None]:
    """What comes to `port` goes to `target` and back, while the block lasts."""
    server = socket.create_server(("127.0.0.1", port))

    def copy(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                here, _ = server.accept()
                there = socket.create_connection(("127.0.0.1", target))
                for pair in ((here, there), (there, here)):
                    threading.Thread(target=copy, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def test_ok__one_of_two_archives_is_down_and_comes_back(
    box: Box, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    orthanc = start_orthanc(tmp_path / "orthanc", box_port=box.port)
    with running(start_storescp(tmp_path / "plain")) as plain:
        box.add_destination("archive", orthanc.port, "ORTHANC", "concurrency = 3")
        box.text = box.text.replace(
            "retry_first_seconds = 0.3\nretry_longest_seconds = 1\n", "retry_first_seconds = 300\n"
        )
        box.add_destination("plain", plain.port, "PLAIN", "commitment = false")
        job = box.job("archive", "plain")
        for _ in range(12):
            job.capture()
        job.close()
        job.hand_over()
        box.start()
        wait_until(lambda: states(box, job, "plain") == {"stored_only"}, "the one that is up has everything")
        wait_until(lambda: "destination-trouble" in box.findings(), "the other one's trouble is told")
        assert states(box, job, "archive") == {"pending"}
        assert plain.directory is not None
        assert len(list(plain.directory.iterdir())) == 12

        assert show_queue(None, is_all=False, as_json=False) == 0
        table = capsys.readouterr().out
        assert table.count("saved, to be stored") == 12
        assert table.count("  stored; this archive does not commit  ") == 12
        assert "archive: 12 to be stored, 0 committed; the oldest waits since" in table
        assert "refuses connections" in table
        assert "Next attempt in " in table
        assert "plain: 12 stored; this archive does not commit\n" in table
        assert PATIENT_ID not in table

        with running(orthanc):
            assert retry("archive", None, as_json=True) == 0
            assert json.loads(capsys.readouterr().out) == {"retried": 0}
            wait_until(lambda: states(box, job, "archive") == {"committed"}, "tried at once, stored and committed")
            assert set(orthanc.stored()) == job.uids
        wait_until(job.settled.exists, "settled")
    log = box.log.read_text()
    for uid in job.uids:
        assert log.count(f"object {uid} is stored at archive") == 1
        assert log.count(f"object {uid} is stored at plain") == 1
    assert show_queue(None, is_all=False, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["objects"] == []
    assert show_queue(job.exam_id, is_all=False, as_json=False) == 0
    assert capsys.readouterr().out.count(" committed  ") == 12
    with pytest.raises(ApplianceError, match="Nothing of an exam"):
        show_queue("another", is_all=False, as_json=False)
    with pytest.raises(ApplianceError, match="No destination is called nobody"):
        retry("nobody", None, as_json=False)


def test_ok__reports_that_find_nobody_and_an_object_that_is_gone(box: Box, tmp_path: Path) -> None:
    """Orthanc reports to where nobody listens; meanwhile C-FIND tells what it has. Then somebody listens."""
    report_port = pick_free_port()
    with running(start_orthanc(tmp_path / "orthanc", box_port=report_port)) as orthanc:
        box.add_destination(
            "archive", orthanc.port, "ORTHANC", "commitment_seconds = 1\ncommitment_rounds = 1\nverify_by_find = true"
        )
        box.add_destination("shown", orthanc.port, "ORTHANC", "commitment = false\nverify_by_find = true")
        job = box.job("archive", "shown")
        lost, _ = job.capture(), job.capture()
        job.close()
        job.hand_over()
        box.start()
        wait_until(lambda: states(box, job, "shown") == {"verified"}, "found where nothing is committed")
        wait_until(lambda: all(one["found_at"] for one in told(box, job, "archive")), "found, and not committed")
        wait_until(lambda: "commitment-missing" in box.findings(), "and that is said")
        assert states(box, job, "archive") <= {"stored", "commit_requested"}
        assert {one["attempts"] for one in told(box, job, "archive")} == {1}, "asked again without storing again"
        assert not job.kept()

        identifier = orthanc.stored()[lost.sop_instance_uid]
        request = urllib.request.Request(
            f"http://127.0.0.1:{orthanc.http_port}/instances/{identifier}", method="DELETE"
        )
        urllib.request.urlopen(request, timeout=10).close()
        wait_until(lambda: set(orthanc.stored()) == job.uids, "what C-FIND does not find is stored again")

        with relaying(report_port, box.port):
            wait_until(lambda: states(box, job, "archive") == {"committed"}, "somebody listens")
    wait_until(job.settled.exists, "settled")
    attempts = {
        one["sop_instance_uid"]: one["destinations"]["archive"]["attempts"]
        for one in box.ask(f"/queue?exam_id={job.exam_id}")["objects"]
    }
    assert sorted(attempts.values()) == [1, 2]
    assert attempts[lost.sop_instance_uid] == 2
    wait_until(lambda: "commitment-missing" not in box.findings(), "nothing is missing any more")
