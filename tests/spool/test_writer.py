"""One object on its way to flash: what is there when the plug is pulled between any two steps."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.spool.names import TemporaryName, is_intact, object_name_from, temporary_name_from
from appliance.spool.tree import list_objects, list_temporaries
from appliance.spool.writer import ObjectWriter, UnconfirmedError, publish_salvaged
from tests.base.power import cuts, powered

HEADER = b"HEADER  0000  END"
FRAMES = [b"first frame", b"second", b"the third and last"]
UID = "1.2.3"


def _write_clip(directory: Path) -> Path:
    writer = ObjectWriter(directory, UID, HEADER, is_patched=True)
    for frame in FRAMES:
        writer.append(frame)
        writer.sync()
    writer.patch(8, b"0003")
    return writer.publish()


def _write_still(directory: Path) -> Path:
    writer = ObjectWriter(directory, UID, HEADER)
    for frame in FRAMES:
        writer.append(frame)
    return writer.publish()


STILL = HEADER + b"".join(FRAMES)
CLIP = STILL.replace(b"0000", b"0003")


def test_ok__a_still_is_what_was_written(tmp_path: Path) -> None:
    path = _write_still(tmp_path)
    assert path.read_bytes() == STILL
    assert is_intact(path)
    name = object_name_from(path.name)
    assert name is not None and (name.sop_instance_uid, name.offset) == (UID, 0)
    assert not list_temporaries(path.parent)
    assert path.stat().st_mode & 0o777 == 0o640


def test_ok__a_clips_header_is_patched_and_its_name_promises_the_final_bytes(tmp_path: Path) -> None:
    path = _write_clip(tmp_path)
    assert path.read_bytes() == CLIP
    assert is_intact(path)
    name = object_name_from(path.name)
    assert name is not None and name.offset == len(HEADER)


@given(
    header=st.binary(min_size=1, max_size=40),
    patches=st.lists(st.tuples(st.integers(0, 39), st.binary(max_size=8)), max_size=5),
    body=st.lists(st.binary(max_size=30), max_size=5),
)
def test_ok__whatever_is_patched_the_name_holds(
    tmp_path_factory: pytest.TempPathFactory,
    header: bytes,
    patches: list[tuple[int, bytes]],
    body: list[bytes],
) -> None:
    directory = tmp_path_factory.mktemp("clip")
    writer = ObjectWriter(directory, UID, header, is_patched=True)
    expected = bytearray(header)
    for data in body:
        writer.append(data)
    for position, value in patches:
        if position + len(value) <= len(header):
            writer.patch(position, value)
            expected[position : position + len(value)] = value
        else:
            with pytest.raises(ValueError, match="not inside"):
                writer.patch(position, value)
    path = writer.publish()
    assert path.read_bytes() == bytes(expected) + b"".join(body)
    assert is_intact(path)


def test_fail__only_a_patched_header_can_be_patched(tmp_path: Path) -> None:
    writer = ObjectWriter(tmp_path, UID, HEADER)
    with pytest.raises(ValueError, match="not inside"):
        writer.patch(0, b"x")
    with pytest.raises(ValueError, match="not inside"):
        ObjectWriter(tmp_path, "1.2.4", HEADER, is_patched=True).patch(-1, b"x")
    writer.abandon()


def test_ok__the_order_of_a_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "exam").mkdir()
    with powered(monkeypatch) as power:
        path = _write_still(tmp_path / "exam")
    part = str(TemporaryName(UID, 0))
    assert power.order() == [
        *[f"write {part}"] * 4,
        f"fsync {part}",
        f"rename {part} -> {path.name}",
        "fsync exam",
    ]


def test_ok__the_order_of_a_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "exam").mkdir()
    with powered(monkeypatch) as power:
        path = _write_clip(tmp_path / "exam")
    part = str(TemporaryName(UID, len(HEADER)))
    assert power.order() == [
        # header and name are durable before the first frame: a salvage must find them
        f"write {part}",
        f"fdatasync {part}",
        "fsync exam",
        *[f"write {part}", f"fdatasync {part}"] * 3,
        f"pwrite {part}",
        f"fsync {part}",
        f"rename {part} -> {path.name}",
        "fsync exam",
    ]


@pytest.mark.parametrize(("write", "whole"), [(_write_still, STILL), (_write_clip, CLIP)])
def test_ok__a_cut_leaves_a_temporary_file_or_the_whole_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], Path], whole: bytes
) -> None:
    counter = itertools.count()
    here = tmp_path
    seen = set()

    def prepare() -> Callable[[], object]:
        nonlocal here
        here = tmp_path / str(next(counter))
        here.mkdir()
        return lambda: write(here)

    for _ in cuts(monkeypatch, prepare):
        objects = list(list_objects(here))
        temporaries = list_temporaries(here)
        seen.add((len(objects), len(temporaries)))
        assert all(is_intact(path) and path.read_bytes() == whole for path, _ in objects)
        for path in temporaries:
            name = temporary_name_from(path.name)
            assert name is not None and name.sop_instance_uid == UID
            # Nothing but a beginning of what was to be written, but for the fields that are patched.
            assert path.read_bytes()[14:] == whole[14 : path.stat().st_size]
    assert seen == {(0, 0), (0, 1), (1, 0)}


def test_fail__a_torn_frame_is_cut_off_and_the_clip_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = ObjectWriter(tmp_path, UID, HEADER, is_patched=True)
    writer.append(FRAMES[0])
    write = os.write
    calls = itertools.count()

    def fill_up(descriptor: int, data: bytes) -> int:
        if next(calls):
            raise OSError(28, "No space left on device")
        return write(descriptor, bytes(data)[:4])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fill_up)
        with pytest.raises(OSError, match="No space left"):
            writer.append(FRAMES[1])
    assert writer.bytes_written == len(HEADER) + len(FRAMES[0])
    writer.drop_torn_tail()
    writer.append(FRAMES[2])
    path = writer.publish()
    assert path.read_bytes() == HEADER + FRAMES[0] + FRAMES[2]
    assert is_intact(path)


@pytest.mark.parametrize("write", [_write_still, _write_clip])
def test_fail__a_name_that_flash_does_not_confirm_is_told_and_the_object_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], Path]
) -> None:
    """After the rename nobody may say that it is lost; nor that it is saved."""

    def refuse(_directory: Path) -> None:
        if list(list_objects(tmp_path)):  # not the sync of a clip's temporary name
            raise OSError(5, "Input/output error")

    monkeypatch.setattr("appliance.spool.writer.sync_directory", refuse)
    with pytest.raises(UnconfirmedError, match=r"did not confirm .* \(the flash gives back errors\)") as told:
        write(tmp_path)
    ((path, _),) = list_objects(tmp_path)
    assert told.value.path == path and is_intact(path)
    assert list(tmp_path.iterdir()) == [path]


def test_fail__bytes_that_flash_does_not_confirm_are_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    writer = ObjectWriter(tmp_path, UID, HEADER)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(OSError, match="Input/output error"):
            writer.publish()
    assert list(list_objects(tmp_path)) == []
    writer.abandon()
    assert not list(tmp_path.iterdir())


def test_ok__abandoned_nothing_is_left(tmp_path: Path) -> None:
    writer = ObjectWriter(tmp_path, UID, HEADER)
    writer.append(b"x")
    writer.abandon()
    writer.abandon()
    assert not list(tmp_path.iterdir())


def test_ok__left_for_a_salvage_everything_is_there(tmp_path: Path) -> None:
    writer = ObjectWriter(tmp_path, UID, HEADER, is_patched=True)
    writer.append(FRAMES[0])
    left = writer.leave()
    assert left.read_bytes() == HEADER + FRAMES[0]
    assert list_temporaries(tmp_path) == [left]


@pytest.mark.parametrize("call", ["write", "fdatasync"])
def test_fail__a_medium_that_refuses_the_header_leaves_no_debris(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(*_arguments: object) -> int:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(OSError, match="Input/output error"):
            ObjectWriter(tmp_path, UID, HEADER, is_patched=True)
    assert not list(tmp_path.iterdir())


def test_fail__the_same_object_is_not_begun_twice(tmp_path: Path) -> None:
    writer = ObjectWriter(tmp_path, UID, HEADER)
    with pytest.raises(FileExistsError):
        ObjectWriter(tmp_path, UID, HEADER)
    assert list_temporaries(tmp_path)  # the first one's is not taken away
    writer.publish()


def test_ok__a_salvage_can_be_cut_and_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, target = tmp_path / "exam", tmp_path / "unassigned"
    name = TemporaryName(UID, len(HEADER))
    temporary = here / str(name)
    here.mkdir()

    def prepare() -> Callable[[], object]:
        for path in (*here.iterdir(), *(target.iterdir() if target.is_dir() else ())):
            path.unlink()
        temporary.write_bytes(CLIP)
        return lambda: publish_salvaged(temporary, name, target)

    for _ in cuts(monkeypatch, prepare):
        published = [path for path, _ in list_objects(target)]
        assert len(published) + temporary.exists() == 1
        if temporary.exists():
            published = [publish_salvaged(temporary, name, target)]
        assert published[0].read_bytes() == CLIP
        assert is_intact(published[0])
