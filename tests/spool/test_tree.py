"""The directories, what is listed of them, and room on flash."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.spool.tree import (
    NoRoomError,
    Spool,
    ensure_room,
    free_bytes,
    list_objects,
    list_temporaries,
)

DIGEST = "ab" * 32


def test_ok__the_tree_is_made_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "state")
    spool.make()
    spool.make()
    made = {path.name for path in spool.state.iterdir()}
    assert made == {"exams", "captured", "outbox", "kept", "quarantine", "settled"}
    assert {spool.exams.name, spool.outbox.name, spool.kept.name, spool.quarantine.name, spool.settled.name} < made
    assert spool.captured("us", "20261122-093015-4af1") == spool.state / "captured" / "us" / "20261122-093015-4af1"
    assert spool.captured("us", None) == spool.state / "captured" / "us" / "unassigned"


def test_ok__devices_that_ever_captured(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    assert spool.captured_devices() == []
    spool.make()
    for device in ("us", "film"):
        spool.captured(device, None).mkdir(parents=True)
    (tmp_path / "captured" / "stray").write_bytes(b"")
    assert spool.captured_devices() == ["film", "us"]


def test_ok__only_objects_are_listed_as_objects(tmp_path: Path) -> None:
    objects = [f"1.2.{number}~0~{DIGEST}.dcm" for number in (1, 10, 2)]
    foreign = [".part-1.2.3~0", "1.2.3.dcm", f"1.2.3~0~{DIGEST}", "lost+found", ".hidden", "größe.txt"]
    for name in [*objects, *foreign]:
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path, _ in list_objects(tmp_path)] == sorted(objects)
    assert [name.sop_instance_uid for _, name in list_objects(tmp_path)] == ["1.2.10", "1.2.1", "1.2.2"]
    assert [path.name for path in list_temporaries(tmp_path)] == [".part-1.2.3~0"]


def test_ok__a_directory_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert list(list_objects(tmp_path / "none")) == []
    assert list_temporaries(tmp_path / "none") == []


def test_fail__no_room_is_said_before_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs(tmp_path)
    assert free_bytes(tmp_path) == pytest.approx(real.f_bavail * real.f_frsize, rel=0.2)

    class Found:
        f_bavail, f_frsize = 100, 1_000_000

    monkeypatch.setattr(os, "statvfs", lambda _directory: Found)
    assert free_bytes(tmp_path) == 100_000_000
    ensure_room(tmp_path, 60_000_000, 40_000_000)
    with pytest.raises(NoRoomError, match="100 MB are free, 100 MB are needed") as refused:
        ensure_room(tmp_path, 60_000_001, 40_000_000)
    assert "archive" in refused.value.suggestion
