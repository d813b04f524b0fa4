"""Where things lie, on the box and in one directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.base.paths import Paths
from appliance.base.sockets import bind_unix


def test_ok__the_boxs_own_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APPLIANCE_STATE", raising=False)
    monkeypatch.delenv("APPLIANCE_RUN", raising=False)
    paths = Paths.from_environment()
    assert (paths.state, paths.run) == (Path("/var/lib/appliance"), Path("/run/appliance"))
    assert paths.configuration == Path("/var/lib/appliance/config/active.toml")
    assert paths.rules == Path("/var/lib/appliance/config/rules")
    assert paths.journal == Path("/var/lib/appliance/journal/journal.sqlite")
    assert paths.worklist == Path("/var/lib/appliance/worklist")
    assert paths.acquire_socket("film") == Path("/run/appliance/acquire/acquire-film.sock")
    assert {paths.console_socket.name, paths.forward_socket.name} == {"console.sock", "forward.sock"}


def test_ok__a_child_finds_the_same_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = Paths.below(tmp_path)
    for name, value in paths.environment().items():
        monkeypatch.setenv(name, value)
    assert Paths.from_environment() == paths


@pytest.mark.parametrize("name", ["short", "a-very-long-directory-" * 8, "größer-und-länger-" * 4])
def test_ok__every_socket_can_be_bound_however_deep_the_directory_lies(tmp_path: Path, name: str) -> None:
    paths = Paths.below(tmp_path / name)
    assert paths == Paths.below(tmp_path / name)  # started again it is found again
    listener = bind_unix(paths.acquire_socket("n" * 24))
    listener.close()
    paths.acquire_socket("n" * 24).unlink()
    assert paths.state == tmp_path / name


def test_ok__two_long_directories_do_not_share_their_sockets(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    assert Paths.below(long / "a").run != Paths.below(long / "b").run


def test_ok__a_relative_directory_stays_the_same_when_the_process_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Paths.below(Path("state")).state == tmp_path / "state"
