"""From strace's lines to events: whose descriptor, which moment, and what was promised when."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.model import Link, Make, Rename, Resize, Sync, Unlink, Write
from tests.crash.record import Promise, Record, Side, Step, words_of
from tests.crash.recorder import Recorder
from tests.crash.recording import UnfaithfulRecord, check_faithful
from tests.crash.trace import Birth, Call, calls_from

ROOTS = {Side.BOX: Path("/s"), Side.HOSPITAL: Path("/h")}


def coded(text: str | bytes) -> str:
    """A string as `strace -xx` writes it."""
    data = text.encode() if isinstance(text, str) else text
    return '"' + "".join(f"\\x{byte:02x}" for byte in data) + '"'


def lines_of(*calls: str) -> list[str]:
    """Each `PID call` with a moment."""
    return [
        f"{call.partition(' ')[0]} {100 + number}.000001 {call.partition(' ')[2]}" for number, call in enumerate(calls)
    ]


def followed(*calls: str, role: str = "console") -> Record:
    return Recorder(ROOTS, Record([], {"a/x": b"old"}), {1: role}).follow(lines_of(*calls))


def operations_of(record: Record) -> list[object]:
    return [event.operation for event in record.events if isinstance(event, Step)]


def opened(path: str, descriptor: int, flags: str = "O_RDWR", who: int = 1) -> str:
    return f"{who} openat(AT_FDCWD, {coded(path)}, {flags}) = {descriptor}"


def written(descriptor: int, data: str, result: int | None = None) -> str:
    return f"1 write({descriptor}, {coded(data)}, {len(data)}) = {len(data) if result is None else result}"


def test_ok__a_file_is_made_written_synced_named_and_removed() -> None:
    record = followed(
        opened("/s/a/.part", 5, "O_WRONLY|O_CREAT|O_EXCL, 0640"),
        written(5, "hello"),
        f"1 pwrite64(5, {coded('HE')}, 2, 0) = 2",
        "1 ftruncate(5, 4) = 0",
        "1 fsync(5) = 0",
        f"1 rename({coded('/s/a/.part')}, {coded('/s/a/y')}) = 0",
        f"1 link({coded('/s/a/y')}, {coded('/s/a/z')}) = 0",
        f"1 unlink({coded('/s/a/y')}) = 0",
        f"1 mkdir({coded('/s/b')}, 0777) = 0",
    )
    done = operations_of(record)
    assert [type(one) for one in done] == [Make, Write, Write, Resize, Sync, Rename, Link, Unlink, Make]
    assert [one.offset for one in done if isinstance(one, Write)] == [0, 0]
    assert words_of(record.events[1]) == "box console: write a/.part 5 bytes at 0"


def test_ok__offsets_follow_seeks_appends_copies_and_short_writes() -> None:
    record = followed(
        opened("/s/a/x", 5),
        "1 lseek(5, 2, SEEK_SET) = 2",
        written(5, "abc", result=2),
        "1 fcntl(5, F_DUPFD_CLOEXEC, 0) = 9",
        written(9, "d"),
        opened("/s/a/x", 6, "O_WRONLY|O_APPEND"),
        f"1 writev(6, [{{iov_base={coded('e')}, iov_len=1}}, {{iov_base={coded('f')}, iov_len=1}}], 2) = 2",
    )
    writes = [(one.offset, one.data) for one in operations_of(record) if isinstance(one, Write)]
    assert writes == [(2, b"ab"), (4, b"d"), (5, b"ef")]


def test_ok__what_fails_and_what_lies_elsewhere_is_no_event() -> None:
    assert not followed(
        f"1 openat(AT_FDCWD, {coded('/s/a/none')}, O_RDONLY) = -1 ENOENT (No such file or directory)",
        f"1 unlink({coded('/s/a/none')}) = -1 ENOENT (No such file or directory)",
        opened("/etc/passwd", 5),
        written(5, "x"),
        "1 fsync(5) = 0",
    ).events


def test_ok__a_number_that_is_given_again_before_close_returns_is_the_new_file() -> None:
    record = followed(
        opened("/etc/other", 5),
        "1 close(5 <unfinished ...>",
        opened("/s/a", 5, "O_RDONLY|O_DIRECTORY"),
        "1 <... close resumed>) = 0",
        "1 fsync(5) = 0",
    )
    assert [type(one) for one in operations_of(record)] == [Sync]


def test_ok__a_sync_covers_what_had_ended_when_it_began() -> None:
    threads = "clone3({flags=CLONE_VM|CLONE_THREAD|CLONE_FILES, stack=0x1} => {parent_tid=[2]}, 88) = 2"
    record = followed(
        f"1 {threads}",
        opened("/s/a/x", 5),
        written(5, "one"),
        "2 fsync(5 <unfinished ...>",
        written(5, "two"),
        "2 <... fsync resumed>) = 0",
    )
    (sync,) = [one for one in operations_of(record) if isinstance(one, Sync)]
    before = Record([], {"a/x": b"old"}).systems()[Side.BOX].count
    assert sync.since == before + 1


def test_ok__a_child_has_copies_of_its_parents_descriptors() -> None:
    calls = [opened("/s/a/x", 5), "1 vfork( <unfinished ...>", "3 close(5) = 0", "1 <... vfork resumed>) = 3"]
    record = followed(*calls, written(5, "still open"))
    assert len(operations_of(record)) == 1
    found = list(calls_from(lines_of(*calls)))
    assert [type(one) for one in found] == [Call, Birth, Call, Call]


def test_ok__a_promise_stands_where_the_answer_began_to_leave() -> None:
    uid, name = "2.25.7", "2.25.7~0~" + "a" * 64 + ".dcm"
    answer = f'{{"sop_instance_uid":"{uid}","kind":"still","exam_id":"E","file_name":"{name}"}}'
    threads = "1 clone3({flags=CLONE_VM|CLONE_THREAD|CLONE_FILES, stack=0x1} => {parent_tid=[2]}, 88) = 2"
    record = followed(
        threads,
        f"1 mkdir({coded('/s/captured')}, 0777) = 0",
        opened(f"/s/captured/{name}", 5, "O_CREAT"),
        opened("/s/captured", 6, "O_RDONLY|O_DIRECTORY"),
        f"2 sendto(8, {coded(answer)}, 9, 0, NULL, 0 <unfinished ...>",
        "1 fsync(6) = 0",
        "2 <... sendto resumed>) = 9",
        f"2 sendto(8, {coded(answer)}, 9, 0, NULL, 0) = 9",
        role="acquire endoscope",
    )
    kinds = [type(event.operation) if isinstance(event, Step) else event.promise for event in record.events]
    assert kinds == [Make, Make, Promise.SAVED, Sync]


def test_fail__what_changes_a_followed_file_in_a_way_that_is_not_known() -> None:
    with pytest.raises(ValueError, match="sendfile"):
        followed(opened("/s/a/x", 5), "1 sendfile(5, 6, NULL, 10) = 10")
    with pytest.raises(ValueError, match="between a followed tree and another"):
        followed(f"1 rename({coded('/s/a/x')}, {coded('/tmp/x')}) = 0")
    with pytest.raises(ValueError, match="nobody opened"):
        followed("1 fsync(5) = 0")
    with pytest.raises(ValueError, match="cut off"):
        followed(opened("/s/a/x", 5), f"1 write(5, {coded('x')}..., 5) = 5")


def test_fail__a_record_that_gives_other_files_than_the_job_left(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"1")
    check_faithful({"x": b"1", "journal.sqlite-shm": b"anything"}, tmp_path)
    for tree in ({"x": b"2"}, {}, {"x": b"1", "y": b""}):
        with pytest.raises(UnfaithfulRecord):
            check_faithful(dict(tree), tmp_path)
