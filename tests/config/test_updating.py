"""Not both at once: a change of the configuration, and an update. RAUC is played, the bus and busctl are real."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.base.errors import ApplianceError
from appliance.config.updating import check_no_update

_CHECK = Path(__file__).resolve().parents[2] / "image/mkosi.extra/usr/lib/appliance/check-update"


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A bus of the test's own in the place of the system's."""
    command = ["dbus-daemon", "--session", "--nofork", "--print-address=1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", daemon.stdout.readline().strip())
        yield
        daemon.terminate()


@contextlib.contextmanager
def _rauc(operation: str) -> Iterator[None]:
    command = ["/usr/bin/python3", str(Path(__file__).with_name("rauc.py")), operation]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as rauc:
        assert rauc.stdout is not None
        assert rauc.stdout.readline() == "here\n"
        yield
        rauc.terminate()


def test_ok__without_a_bus_nobody_updates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    check_no_update()


@pytest.mark.usefixtures("bus")
def test_ok__while_rauc_rests() -> None:
    check_no_update()
    with _rauc("idle"):
        check_no_update()


@pytest.mark.usefixtures("bus")
def test_fail__while_rauc_installs() -> None:
    with _rauc("installing"), pytest.raises(ApplianceError, match="The box is being updated: nothing was changed"):
        check_no_update()


def _said_to_rauc(state: Path, manifest: str = "version=2\n") -> tuple[int, str]:
    """What RAUC is told before it writes anything; the box runs release 1."""
    (state / "manifest.raucm").write_text(manifest)
    told = {"IMAGE_VERSION": "1", "RAUC_UPDATE_SOURCE": str(state), "APPLIANCE_STATE": str(state)}
    done = subprocess.run(["/bin/sh", _CHECK], env=os.environ | told, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_ok__an_update_when_every_change_has_its_end(tmp_path: Path) -> None:
    assert _said_to_rauc(tmp_path) == (0, "")
    for number in ("000001", "000002"):
        (tmp_path / "config/changes" / number).mkdir(parents=True)
        (tmp_path / "config/changes" / number / "outcome.json").touch()
    assert _said_to_rauc(tmp_path) == (0, "")


def test_fail__an_update_while_a_change_waits(tmp_path: Path) -> None:
    (tmp_path / "config/changes/000001").mkdir(parents=True)
    said = "Change 000001 of the configuration waits: confirm it or take it back first.\n"
    assert _said_to_rauc(tmp_path) == (1, said)


def test_fail__an_update_to_what_runs(tmp_path: Path) -> None:
    assert _said_to_rauc(tmp_path, "version=1\n") == (1, "The box runs this release already.\n")
