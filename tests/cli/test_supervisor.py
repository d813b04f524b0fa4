"""The demo's supervisor: what is run once is done before the others start."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from appliance.base.errors import ApplianceError
from appliance.base.paths import Paths
from appliance.cli.demo import DemoOptions, parts_of
from appliance.cli.demo_site import make_site
from appliance.cli.supervisor import Part, Supervisor

SECONDS = 60.0
_FIRST = """
import os, sys, time
time.sleep(0.5)
open(sys.argv[1] + "/first", "w").close()
sys.exit(int(sys.argv[2]))
"""
_SECOND = """
import os, signal, socket, sys
assert os.path.exists(sys.argv[1] + "/first"), "too early"
open(sys.argv[1] + "/second", "a").write("x")
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
signal.pause()
"""
_ENDLESS = "import time; time.sleep(600)"


def make_supervisor(directory: Path, monkeypatch: pytest.MonkeyPatch, *parts: Part) -> Supervisor:
    for name, text in (
        ("first_part", _FIRST),
        ("second_part", _SECOND),
        ("endless_part", "import time; time.sleep(600)"),
    ):
        (directory / f"{name}.py").write_text(text)
    monkeypatch.chdir(directory)
    return Supervisor(parts, {"PYTHONPATH": str(directory)}, directory / "run", directory / "log")


@pytest.mark.parametrize("status", [0, 1])
def test_ok__what_is_run_once_ends_before_the_others_start_and_is_not_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    first = Part("first", "first_part", (str(tmp_path), str(status)), is_oneshot=True)
    supervisor = make_supervisor(tmp_path, monkeypatch, first, Part("second", "second_part", (str(tmp_path),)))
    stop = threading.Event()
    try:
        supervisor.start(SECONDS, stop)
        (tmp_path / "first").unlink()
        threading.Timer(1.2, stop.set).start()
        supervisor.run_until(stop)
    finally:
        supervisor.stop()
    assert not (tmp_path / "first").exists()
    assert (tmp_path / "second").read_text() == "x", "it was ready at once, and never fell"


def test_fail__what_never_ends_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = Part("endless", "endless_part", is_oneshot=True)
    supervisor = make_supervisor(tmp_path, monkeypatch, endless)
    try:
        with pytest.raises(ApplianceError, match="endless does not end"):
            supervisor.start(0.5, threading.Event())
    finally:
        supervisor.stop()


def test_ok__the_demo_recovers_before_anything_captures(tmp_path: Path) -> None:
    options = DemoOptions("simulator", tmp_path, False, False, 60.0, 0, 0, ())
    site = make_site(tmp_path / "site.toml", "simulator")
    parts = parts_of(options, Paths.below(tmp_path), site, 0, 0)
    for part in parts:
        if part.listener is not None:
            part.listener.close()
    modules = [part.module.rpartition(".")[2] for part in parts]
    assert [part.module for part in parts if part.is_oneshot] == ["appliance.services.recover"]
    assert modules.index("recover") < min(modules.index(name) for name in ("acquire", "forward", "console"))
