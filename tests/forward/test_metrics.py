"""The forward process in numbers: at its socket, and at a port where one is configured, and nothing else there."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed

from appliance.base.openmetrics import CONTENT_TYPE
from appliance.cli.main import main
from tests.forward.test_service import Box
from tests.peers import running, start_hospital, wait_until
from tests.ports import pick_free_port


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path / "box")
    yield box
    if box.process is not None:
        box.process.stop()


def _values(text: str) -> dict[tuple[str, ...], float]:
    """Each sample by its name and its labels' values."""
    return {(one.name, *one.labels.values()): one.value for family in parsed(text) for one in family.samples}


def test_ok__what_a_hospitals_prometheus_reads(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port = pick_free_port()
    with running(start_hospital(tmp_path / "hospital", "--commitment-delay", "0.2", box_port=box.port)) as hospital:
        box.add_destination("archive", hospital.port, "HOSPITAL")
        box.add_destination("away", pick_free_port(), "NOBODY")
        box.add_worklist(hospital.port)
        box.text += f"[metrics]\nport = {port}\n"
        job = box.job("archive", "away")
        box.start()
        box.ask("/worklist/refresh", "POST")
        job.capture("ultrasound")
        job.close()
        job.hand_over()
        box.ask("/hint", "POST")
        wait_until(lambda: "committed" in box.states("archive").values(), "it is committed")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            assert answer.headers["Content-Type"] == CONTENT_TYPE
            text = answer.read().decode()
        for path, body in (("/status", None), ("/queue", None), ("/metrics", b"{}"), ("/retry", b"{}"), ("/", None)):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", body, timeout=30)
        for name, value in box.paths.environment().items():
            monkeypatch.setenv(name, value)
        assert main(["metrics"]) == 0
        assert {family.name for family in parsed(capsys.readouterr().out)} == {one.name for one in parsed(text)}
    values = _values(text)
    assert values["appliance_objects", "archive", "committed"] == 1
    assert values["appliance_objects", "away", "pending"] == 1
    assert values["appliance_deliveries_total", "archive", "stored"] == 1
    assert values["appliance_deliveries_total", "archive", "committed"] == 1
    assert values["appliance_deliveries_total", "away", "store_failed"] >= 0
    assert values["appliance_oldest_pending_seconds", "archive"] == 0
    assert values["appliance_worklist_up", "ris"] == 1 and values["appliance_worklist_age_seconds", "ris"] >= 0
    assert values["appliance_flash_free_bytes",] > 0 and values["appliance_clock_trusted",] in (0, 1)
    assert job.exam_id not in text


def test_fail__a_port_that_is_taken_is_a_finding_and_nothing_else_stops(box: Box, tmp_path: Path) -> None:
    with running(start_hospital(tmp_path / "hospital", box_port=box.port)) as hospital:
        box.text += f"[metrics]\nport = {hospital.port}\n"
        box.start()
        assert "metrics-port" in box.findings()
