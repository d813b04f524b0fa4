"""What durable files promise: the order of write, sync and rename, and what a cut at any moment leaves."""

from __future__ import annotations

import itertools
import os
import stat
import threading
from pathlib import Path

import pytest

from appliance.base.durable import (
    TEMPORARY_PREFIX,
    make_directory,
    move_file,
    remove_file,
    remove_temporaries,
    replace_file,
    sync_directory,
    write_all,
    write_once,
)
from tests.base.power import cuts, powered


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _foreign_names(directory: Path, *own: str) -> list[str]:
    """What lies there beside `own` and temporaries, which may be anything."""
    names = (entry.name for entry in directory.iterdir())
    return [name for name in names if name not in own and not name.startswith(TEMPORARY_PREFIX)]


def _temporary(name: str) -> str:
    return f"{TEMPORARY_PREFIX}{threading.get_native_id()}-{name}"


# -- order


def test_ok__replacing_syncs_the_bytes_before_the_name_and_the_name_before_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with powered(monkeypatch) as power:
        replace_file(tmp_path / "fact.json", b"new")
    part = _temporary("fact.json")
    assert power.order() == [
        f"unlink {part}",
        f"write {part}",
        f"fsync {part}",
        f"rename {part} -> fact.json",
        f"fsync {tmp_path.name}",
    ]


def test_ok__writing_once_syncs_in_the_same_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with powered(monkeypatch) as power:
        assert write_once(tmp_path / "fact.json", b"new")
    part = _temporary("fact.json")
    assert power.order() == [
        f"unlink {part}",
        f"write {part}",
        f"fsync {part}",
        f"link {part} -> fact.json",
        f"unlink {part}",
        f"fsync {tmp_path.name}",
    ]


def test_ok__a_fact_that_was_there_is_made_durable_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its writer may have died between its link and its sync."""
    (tmp_path / "fact.json").write_bytes(b"old")
    with powered(monkeypatch) as power:
        assert not write_once(tmp_path / "fact.json", b"new")
    assert power.order() == [f"fsync {tmp_path.name}"]


def test_ok__a_move_syncs_the_destination_before_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "here" / "file").write_bytes(b"x")
    with powered(monkeypatch) as power:
        move_file(tmp_path / "here" / "file", tmp_path / "there" / "file")
    assert power.order() == ["rename file -> file", "fsync there", "fsync here"]


def test_ok__a_file_that_a_crash_left_under_both_names_keeps_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "here" / "file", tmp_path / "there" / "file"
    for directory in (source.parent, target.parent):
        directory.mkdir()
    target.write_bytes(b"x")
    source.hardlink_to(target)
    with powered(monkeypatch) as power:
        move_file(source, target)
    assert (_content(source), _content(target)) == (None, b"x")
    # The old name goes only when the new one is surely there.
    assert power.order() == ["fsync there", "unlink file", "fsync there", "fsync here"]


def test_ok__removing_syncs_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with powered(monkeypatch) as power:
        remove_file(tmp_path / "file")
        remove_file(tmp_path / "file")  # and again: it may be gone, its going may not be durable
    assert power.order() == ["unlink file", f"fsync {tmp_path.name}"] * 2


def test_ok__each_new_directory_is_made_durable_in_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with powered(monkeypatch) as power:
        make_directory(tmp_path / "a" / "b")
        made = power.order()
        make_directory(tmp_path / "a" / "b")
    # The mode is in mkdir's own hands and the umask's, so it is set before the name is durable.
    top = f"fsync {tmp_path.parent.name}"  # of the directory that was there, perhaps made a moment ago
    new = ["mkdir a", "chmod a", f"fsync {tmp_path.name}", "mkdir b", "chmod b", "fsync a"]
    assert made == [top, *new]
    assert power.order() == [*made, "fsync a"]
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o770


# -- cuts


def test_ok__a_cut_while_replacing_leaves_the_old_or_the_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "fact.json"
    counter = itertools.count()
    seen = set()

    def prepare():  # type: ignore[no-untyped-def]
        path.write_bytes(b"old")
        next(counter)
        return lambda: replace_file(path, b"new" * 1000)

    for _ in cuts(monkeypatch, prepare):
        seen.add(_content(path))
        assert not _foreign_names(tmp_path, "fact.json")
        replace_file(path, b"again")  # whoever restarts is not disturbed by what lies there
        assert _content(path) == b"again"
    assert seen == {b"old", b"new" * 1000}
    assert next(counter) > 5


def test_ok__a_cut_while_writing_once_leaves_nothing_or_the_fact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fact.json"
    seen = set()

    def prepare():  # type: ignore[no-untyped-def]
        path.unlink(missing_ok=True)
        return lambda: write_once(path, b"first" * 1000)

    for _ in cuts(monkeypatch, prepare):
        found = _content(path)
        seen.add(found)
        assert not _foreign_names(tmp_path, "fact.json")
        # The restarted writer says what became of the first, and never changes it, though a temporary name of its own
        # may still be a second name of the fact.
        assert write_once(path, b"second") == (found is None)
        assert _content(path) == (found or b"second")
    assert seen == {None, b"first" * 1000}


def test_ok__a_cut_while_moving_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "here" / "file", tmp_path / "there" / "file"
    make_directory(source.parent)
    make_directory(target.parent)

    def prepare():  # type: ignore[no-untyped-def]
        target.unlink(missing_ok=True)
        source.write_bytes(b"x")
        return lambda: move_file(source, target)

    for _ in cuts(monkeypatch, prepare):
        assert {_content(source), _content(target)} == {None, b"x"}


def test_ok__a_cut_while_making_a_directory_is_completed_by_repeating(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = itertools.count()
    here = tmp_path

    def prepare():  # type: ignore[no-untyped-def]
        nonlocal here
        here = tmp_path / str(next(counter))
        here.mkdir()
        return lambda: make_directory(here / "a" / "b" / "c")

    for _ in cuts(monkeypatch, prepare):
        levels = [level.is_dir() for level in (here / "a", here / "a" / "b", here / "a" / "b" / "c")]
        assert levels == sorted(levels, reverse=True)
        make_directory(here / "a" / "b" / "c")
        assert (here / "a" / "b" / "c").is_dir()


def test_ok__a_cut_while_removing_leaves_it_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"

    def prepare():  # type: ignore[no-untyped-def]
        path.write_bytes(b"x")
        return lambda: remove_file(path)

    for _ in cuts(monkeypatch, prepare):
        assert _content(path) in (b"x", None)
        remove_file(path)
        assert not path.exists()


def test_ok__what_a_crash_left_half_written_is_removed_durably(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare():  # type: ignore[no-untyped-def]
        for name in ("fact.json", _temporary("fact.json"), f"{TEMPORARY_PREFIX}9-x"):
            (tmp_path / name).write_bytes(b"x")
        return lambda: remove_temporaries(tmp_path)

    for _ in cuts(monkeypatch, prepare):
        assert _foreign_names(tmp_path) == ["fact.json"]
    with powered(monkeypatch) as power:
        (tmp_path / f"{TEMPORARY_PREFIX}9-x").touch()
        assert remove_temporaries(tmp_path) == 1
        assert power.order() == [f"unlink {TEMPORARY_PREFIX}9-x", f"fsync {tmp_path.name}"]
        assert remove_temporaries(tmp_path) == 0
        assert len(power.order()) == 2, "where there is nothing to remove, nothing is written"
    assert [path.name for path in tmp_path.iterdir()] == ["fact.json"]


# -- faults that a process survives


@pytest.mark.parametrize("call", ["write", "fsync"])
@pytest.mark.parametrize("act", [replace_file, write_once])
def test_fail__a_medium_that_refuses_leaves_the_old_and_no_debris(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, act: object
) -> None:
    path = tmp_path / "fact.json"
    if act is replace_file:
        path.write_bytes(b"old")

    def refuse(*_arguments: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(OSError, match="No space left"):
            act(path, b"new")  # type: ignore[operator]
    assert _content(path) == (b"old" if act is replace_file else None)
    assert not list(tmp_path.glob(".*"))


def test_fail__a_rename_that_is_refused_leaves_no_debris(tmp_path: Path) -> None:
    (tmp_path / "fact.json").mkdir()
    with pytest.raises(OSError):
        replace_file(tmp_path / "fact.json", b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["fact.json"]


def test_fail__a_file_in_the_way_of_a_directory_is_said(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(OSError):
        make_directory(tmp_path / "a" / "b")
    with pytest.raises(FileExistsError):
        make_directory(tmp_path / "a")


def test_fail__what_somebody_else_took_cannot_be_moved(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        move_file(tmp_path / "gone", tmp_path / "there")
    with pytest.raises(OSError):
        sync_directory(tmp_path / "gone")


def test_ok__short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:3]))
        with (tmp_path / "file").open("wb") as file:
            write_all(file.fileno(), b"0123456789")
            write_all(file.fileno(), bytearray(b"abcde"))
            write_all(file.fileno(), memoryview(b"xyz")[1:])
    assert (tmp_path / "file").read_bytes() == b"0123456789abcdeyz"


def test_ok__modes_are_what_a_hand_over_needs(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        make_directory(tmp_path / "d")
    finally:
        os.umask(before)
    replace_file(tmp_path / "d" / "a", b"")
    write_once(tmp_path / "d" / "b", b"")
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o770
    assert [stat.S_IMODE((tmp_path / "d" / name).stat().st_mode) for name in ("a", "b")] == [0o640, 0o640]


def test_ok__of_many_writers_one_wins_and_its_fact_stands(tmp_path: Path) -> None:
    """Threads of one process, too: none may write into the other's temporary file."""
    for round_number in range(20):
        path = tmp_path / f"fact-{round_number}.json"
        start = threading.Barrier(8)
        won: list[bytes] = []

        def write(number: int, path: Path = path, start: threading.Barrier = start, won: list[bytes] = won) -> None:
            data = bytes([number]) * 5000
            start.wait(10)
            if write_once(path, data):
                won.append(data)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert [path.read_bytes()] == won
    assert not list(tmp_path.glob(".*"))
