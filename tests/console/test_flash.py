"""Flash that has become read-only is told while nothing writes, and asking costs it nothing."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from appliance.base.findings import FindingBoard
from appliance.console import room as room_module
from appliance.console.flash import FlashWatch
from appliance.console.room import Room
from appliance.exam.audit import Act
from appliance.exam.audit_mark import mark_path
from appliance.spool.room import floor_bytes_from
from appliance.spool.tree import Spool
from tests.console.fakes import HandClock, make_configuration
from tests.exam.audit_world import make_trail


class World:
    def __init__(self, directory: Path) -> None:
        make_trail(directory / "audit").record(Act.SERVICE_STARTED, actor="console")
        self.probe = mark_path(directory / "audit" / "console")
        self.clock = HandClock()
        self.findings = FindingBoard()
        self.watch = FlashWatch(self.probe, self.findings, self.clock)

    def look_later(self) -> list[str]:
        self.clock.seconds += 60
        self.watch.look()
        return [one.sentence for one in self.findings.listing()]


def _make_read_only(patch: pytest.MonkeyPatch, number: int = errno.EROFS) -> None:
    open_file = os.open

    def refuse(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(number, os.strerror(number))
        return open_file(path, flags, *rest, **more)

    patch.setattr(os, "open", refuse)


def test_fail__read_only_flash_is_told_within_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    assert world.look_later() == [] and world.watch.is_writable
    with monkeypatch.context() as patch:
        _make_read_only(patch)
        assert world.look_later() == ["Nothing can be saved: the flash has become read-only."]
        assert not world.watch.is_writable
        assert "Start the box again, once." in world.findings.listing()[0].suggestion
    assert world.look_later() == [] and world.watch.is_writable


def test_ok__to_look_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    before = world.probe.stat()
    assert world.look_later() == []
    after = world.probe.stat()
    assert (after.st_mtime_ns, after.st_ctime_ns, after.st_size) == (before.st_mtime_ns, before.st_ctime_ns, 38)
    opened: list[object] = []
    monkeypatch.setattr(os, "open", lambda *given: opened.append(given) or 9)
    monkeypatch.setattr(os, "close", lambda _descriptor: None)
    for _ in range(5):
        world.watch.look()
    assert opened == [], "not in each round"


def test_ok__a_file_that_could_not_be_made_is_told_by_who_makes_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.probe.unlink()
    assert world.look_later() == []


def test_fail__no_room_is_promised_where_flash_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, is_writable = Spool(tmp_path), [True]
    spool.make()
    free = floor_bytes_from(make_configuration()) + 10_000_000_000
    monkeypatch.setattr(room_module, "free_bytes", lambda _directory: free)
    room = Room(spool, make_configuration(), HandClock(), dict, lambda: is_writable[0])
    assert room.view({}).json["sentence"].startswith("Room for about ")
    is_writable[0] = False
    said = room.view({}).json
    assert (
        said["sentence"] == f"The flash takes nothing any more: nothing can be captured. {free / 1e9:.1f} GB are free."
    )
    assert said["usable_bytes"] == 0 and set(said["clip_minutes"].values()) == {0}
