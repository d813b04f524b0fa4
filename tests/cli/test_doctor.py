"""`appliance doctor` and `appliance watch`: checks in words, processes in numbers."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from appliance.base.asking import Unreachable
from appliance.base.clock import SystemClock
from appliance.base.paths import Paths
from appliance.cli import doctor_checks, watching
from appliance.cli.doctor_checks import MEANINGS, examine, examine_sender, lines_of, read_unit
from appliance.cli.main import main
from appliance.cli.processes import Process, read_processes
from appliance.cli.watching import lines_of_processes, watch_status
from appliance.forward.self_test_report import Verdict
from appliance.spool.tree import Spool

_PEER = 'name = "{}"\nae_title = "HOSPITAL"\nhost = "127.0.0.1"\nport = 11112\n'
_CONFIGURATION = (
    f"[box]\nreserve_bytes = 0\n[[worklist]]\n{_PEER.format('ris')}[[destinations]]\n{_PEER.format('pacs')}"
)


def _status(**changes: Any) -> dict[str, Any]:
    return {
        "services": [{"name": name, "is_running": True, "sentence": ""} for name in ("console", "forward")],
        "devices": [],
        "room": {"is_full": False, "sentence": "Room for about 3 exams."},
        "clock": {"is_trusted": True, "sentence": "The clock is believed.", "suggestion": ""},
        "temperature_celsius": 50.0,
        "findings": [],
        **changes,
    }


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    made = Paths.below(tmp_path)
    Spool(made.state).make()
    made.configuration.parent.mkdir(parents=True, exist_ok=True)
    made.configuration.write_text(_CONFIGURATION)
    for name, value in made.environment().items():
        monkeypatch.setenv(name, value)
    return made


def test_ok__a_well_box_and_its_peers(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(name: str, **_: Any) -> dict[str, Any]:
        asked.append(name)
        return {"checks": [{"name": "verification", "verdict": "good", "words": "It answered.", "suggestion": ""}]}

    monkeypatch.setattr(doctor_checks, "read_status", lambda *_, **__: _status())
    monkeypatch.setattr(doctor_checks, "ask_echo", answer)
    done = list(examine(paths, with_peers=True, is_full=False))
    assert {one.verdict for one in done} == {Verdict.GOOD}
    assert asked == ["ris", "pacs"]
    assert [one.name for one in done if one.name.startswith("peer")] == ["peer ris", "peer pacs"]
    assert all(len(lines_of(one)) == 1 for one in done)


def test_fail__each_trouble_says_what_it_means_and_what_to_do(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = {"name": "forward", "is_running": False, "sentence": "It does not answer."}
    finding = {"subject": "archive", "sentence": "archive refuses.", "suggestion": "Ask its administrator."}
    status = _status(
        services=[silent],
        devices=[{"title": "Endoscope", "is_running": False}],
        room={"is_full": True, "sentence": "The flash is full."},
        clock={"is_trusted": False, "sentence": "It was never set.", "suggestion": "Set it."},
        temperature_celsius=90.0,
        findings=[finding],
    )
    monkeypatch.setattr(doctor_checks, "read_status", lambda *_, **__: status)

    def refuse(name: str, **_: Any) -> dict[str, Any]:
        if name == "ris":
            raise Unreachable("The forward process does not answer.", "Try again.")
        wrong = {"name": "verification", "verdict": "failed", "words": "refused", "suggestion": "Ask."}
        return {"checks": [wrong]}

    monkeypatch.setattr(doctor_checks, "ask_test", refuse)
    (paths.state / "quarantine" / "x.dcm").write_bytes(b"")
    done = list(examine(paths, with_peers=True, is_full=True))
    wrong = [one for one in done if one.verdict is not Verdict.GOOD]
    assert {one.name.split()[0] for one in wrong} == set(MEANINGS) - {"logs"} - {"configuration"}
    assert all(one.meaning and one.suggestion for one in wrong)
    assert any("To do: Ask its administrator." in line for one in wrong for line in lines_of(one))


def test_ok__what_is_logged_goes_to_the_collector() -> None:
    one = examine_sender("logs.h.example", {"ActiveState": "active", "SubState": "running", "NRestarts": "3"})
    assert (one.verdict, one.words) == (Verdict.GOOD, "They go to logs.h.example.")


@pytest.mark.parametrize(
    ("unit", "state"),
    [
        ({"ActiveState": "activating", "SubState": "auto-restart", "NRestarts": "7"}, "auto-restart, after 7 tries"),
        ({"ActiveState": "inactive", "SubState": "dead", "NRestarts": "0"}, "dead, after 0 tries"),
        ({}, "not known to systemd, after 0 tries"),
    ],
)
def test_fail__a_collector_that_gets_nothing_is_told(unit: dict[str, str], state: str) -> None:
    one = examine_sender("logs.h.example", unit)
    assert (one.verdict, one.meaning) == (Verdict.FAILED, MEANINGS["logs"])
    assert one.words == f"They do not go to logs.h.example: the sender is {state}."
    assert one.suggestion.endswith("appliance logs --process logs")


def test_fail__a_unit_of_which_nobody_can_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_unit("appliance-logs.service") == {}


def test_fail__a_configuration_that_cannot_be_read_ends_it(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    paths.configuration.write_text("[box]\nae_title = 1\n")
    assert main(["doctor", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["verdict"]) for one in document["checks"]] == [("configuration", "failed")]
    assert document["checks"][0]["meaning"] == MEANINGS["configuration"]


def test_ok__what_each_process_takes(tmp_path: Path) -> None:
    stat = "7 (py (x) thon) S 1 7 7 0 -1 0 0 0 0 0 250 50 0 0 20 0 1 0 100 1000 2560 "
    for pid, words in (
        (7, "python\0-I\0-m\0appliance.services.acquire\0endoscope\0"),
        (8, "vi\0appliance.services.x\0"),
    ):
        entry = tmp_path / str(pid)
        entry.mkdir()
        (entry / "cmdline").write_text(words)
        (entry / "stat").write_text(stat)
    (tmp_path / "uptime").write_text("1")
    (one,) = read_processes(tmp_path)
    assert (one.pid, one.name) == (7, "acquire endoscope")
    assert one.seconds > 0 and one.memory_bytes >= 2560 * 4096
    before = [Process(7, one.name, one.seconds - 1, 0)]
    assert lines_of_processes([one], before, 2.0)[1].split()[2:4] == ["50", "%"]
    assert lines_of_processes([one], [], 0)[1].split()[2] == "-"


def test_ok__rounds_of_the_watch(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waited: list[float] = []

    class Quick(SystemClock):
        def wait(self, event: threading.Event, seconds: float) -> bool:
            waited.append(seconds)
            return False

    monkeypatch.setattr(watching, "read_processes", lambda: [Process(1, "console", 1.0, 2**20)])
    assert watch_status(5.0, 2, Quick(), is_discreet=True) == 2
    said = capsys.readouterr().out
    assert waited == [5.0]
    assert said.count("console  is down") == 2 and "0 %  1 MiB" in said.replace("   ", "  ")
