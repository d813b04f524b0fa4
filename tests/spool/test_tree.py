"""The directories, what is listed of them, and room on flash."""

from __future__ import annotations

import itertools
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.spool.names import ObjectName
from appliance.spool.tree import (
    NoRoomError,
    Spool,
    ensure_room,
    free_bytes,
    list_captured,
    list_objects,
    list_temporaries,
    next_number,
)

DIGEST = "ab" * 32


def test_ok__the_tree_is_made_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "state")
    spool.make()
    spool.make()
    made = {path.name for path in spool.state.iterdir()}
    assert made == {"exams", "captured", "composed", "discarded", "outbox", "kept", "quarantine", "settled"}
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


def _name(uid: str, number: int) -> str:
    return str(ObjectName(uid, 0, DIGEST, number))


def test_ok__objects_are_listed_in_the_order_in_which_they_were_saved(tmp_path: Path) -> None:
    """By their numbers, of all devices; what the first release saved, without a number, before them."""
    spool = Spool(tmp_path)
    saved = {"us": [("1.2.9", 1), ("1.2.1", 10)], "film": [("1.2.5", 2), ("1.2.7", 0), ("1.2.6", 2)], "es": []}
    for device, objects in saved.items():
        spool.captured(device, "exam").mkdir(parents=True)
        for uid, number in objects:
            path = spool.captured(device, "exam") / _name(uid, number)
            path.write_bytes(b"")
            os.utime(path, (1e9 - number, 1e9 - number))  # a clock that runs backwards
    listed = [(device, name.sop_instance_uid) for device, _, name in list_captured(spool, "exam")]
    assert listed == [("film", "1.2.7"), ("us", "1.2.9"), ("film", "1.2.5"), ("film", "1.2.6"), ("us", "1.2.1")]
    assert [name.number for _, name in list_objects(spool.captured("us", "exam"))] == [1, 10]


_SAVES = st.lists(
    st.tuples(st.sampled_from(["us", "film"]), st.sampled_from(["exam 1", "exam 2", None]), st.booleans()), max_size=25
)


@settings(max_examples=40)
@given(_SAVES)
def test_ok__each_object_has_a_higher_number_than_all_that_were_saved_before_it_there(
    saves: list[tuple[str, str | None, bool]],
) -> None:
    """Of the same exam and of none, on any device, over restarts, and when an object came late and was set aside."""
    with tempfile.TemporaryDirectory() as directory:
        spool = Spool(Path(directory))
        order: dict[str | None, list[str]] = {}
        aside: list[int] = []
        for count, (device, exam_id, is_late) in enumerate(saves):
            place = spool.captured(device, exam_id)
            place.mkdir(parents=True, exist_ok=True)
            number = next_number(place)
            name = _name(f"1.{count}", number)
            if is_late or exam_id is None:
                aside.append(number)
            (place / name).write_bytes(b"")
            if is_late:
                spool.captured(device, None).mkdir(parents=True, exist_ok=True)
                (place / name).rename(spool.captured(device, None) / name)
            else:
                order.setdefault(exam_id, []).append(name)
        assert all(before < after for before, after in itertools.pairwise(aside))
        for exam_id in ("exam 1", "exam 2"):
            assert [path.name for _, path, _ in list_captured(spool, exam_id)] == order.get(exam_id, [])


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
