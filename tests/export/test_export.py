"""What is exported and what not, and every trouble on the way: cuts, lies, damage, no room, other people's sticks."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.base.errors import ApplianceError
from appliance.exam.audit import Act, AuditTrail, Effect
from appliance.exam.audit_record import Record, list_segments, read_segment
from appliance.exam.decisions import Decision, DecisionKind
from appliance.export import medium as medium_module
from appliance.export.medium import Medium, MediumError
from appliance.export.run import Export, Exported
from appliance.export.selection import Chosen, Wanted, locate
from appliance.spool.names import is_intact, object_name_from
from tests.export.world import Box, make_large, patient, uid_of


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def records(box: Box) -> list[Record]:
    return [line.record for path in list_segments(box.paths.audit / "export") for line in read_segment(path)[0]]


def tree_of(directory: Path) -> dict[str, tuple[int, bytes]]:
    files = (path for path in directory.rglob("*") if path.is_file() and "audit" not in path.parts)
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


# -- what is chosen


def test_ok__by_default_what_no_archive_is_responsible_for(box: Box) -> None:
    waiting, done, half = (box.open(patient("Doe^Jane", f"PAT-{number}")) for number in range(3))
    expected = {uid_of(box.still(exam)) for exam in (waiting, half, None)}
    committed = [uid_of(box.still(done)), uid_of(box.still(half))]
    decided = {kind: uid_of(box.still(half)) for kind in DecisionKind}
    expected.add(stored := uid_of(box.still(half)))
    box.end(waiting)
    box.end(done, into="kept")
    box.end(half, into="kept")
    box.settle(done, {committed[0]: "committed"})
    box.settle(half, {committed[1]: "verified", stored: "stored_only"})
    for kind, uid in decided.items():
        box.decide(half, kind, uid)
    (box.spool.quarantine / "interrupted-1.2.3~99").write_bytes(b"half a clip")
    expected.add(uid_of(box.still(box.open(patient("Open^Exam", "PAT-9")))))
    before = tree_of(box.spool.state)
    exported = box.export()
    assert {one.sop_instance_uid for one in exported.safe} == expected == set(box.on_stick())
    assert (exported.committed, exported.decided, exported.in_quarantine) == (2, 4, 1)
    assert tree_of(box.spool.state) == before


def test_ok__what_was_released_from_one_destination_counts_by_the_others(box: Box) -> None:
    exam = box.open(patient("Doe^Jane", "PAT-1"))
    done, waiting, over = (uid_of(box.still(exam)) for _ in range(3))
    box.end(exam, into="kept")
    states = {
        done: {"archive": "committed", "gone": "released"},
        waiting: {"archive": "stored_only", "gone": "released"},
        over: {"gone": "released"},
    }
    objects = [
        {"sop_instance_uid": uid, "destinations": {name: {"state": state} for name, state in told.items()}}
        for uid, told in states.items()
    ]
    (box.spool.settled / f"{exam.exam_id}.json").write_text(json.dumps({"objects": objects, "steps": []}))
    for uid in states:
        decision = Decision(DecisionKind.RELEASED, uid, exam.opened_at, "maria", "Because.", destination="gone")
        box.facts.decide(exam.exam_id, decision)
    exported = box.export()
    assert {one.sop_instance_uid for one in exported.safe} == {waiting}
    assert (exported.committed, exported.decided) == (1, 1)


def test_ok__everything_and_single_exams_whole(box: Box) -> None:
    first, second = (box.open(patient("Doe^Jane", f"PAT-{number}")) for number in range(2))
    committed, released, rejected = (uid_of(box.still(first)) for _ in range(3))
    other = uid_of(box.still(second))
    box.end(first, into="kept")
    box.settle(first, {committed: "committed"})
    box.decide(first, DecisionKind.RELEASED, released)
    box.decide(first, DecisionKind.REJECTED, rejected)
    exported = box.export(Wanted(exams=(first.exam_id,)))
    assert {one.sop_instance_uid for one in exported.safe} == {committed, released}
    exported = box.export(Wanted(is_all=True))
    assert {one.sop_instance_uid for one in exported.safe} == {committed, released, other}
    assert (exported.there_before, exported.written) == (2, 1)


def test_ok__what_lies_in_quarantine_is_set_aside_and_not_listed(box: Box) -> None:
    path = box.still(None)
    damaged = path.rename(box.spool.quarantine / path.name)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"X")
    exported = box.export(Wanted(with_damaged=True))
    (one,) = exported.safe
    assert one.file_id.startswith("DAMAGED/")
    assert (box.stick / one.file_id).read_bytes() == damaged.read_bytes()
    assert (exported.trouble, exported.listed, exported.in_quarantine) == ("", 0, 0)
    placed = (box.stick / one.file_id).stat()
    again = box.export(Wanted(with_damaged=True))
    assert (again.there_before, again.written, again.safe) == (1, 0, exported.safe)
    assert (box.stick / one.file_id).stat().st_mtime_ns == placed.st_mtime_ns
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"Y")
    again = box.export(Wanted(with_damaged=True))
    assert (again.there_before, again.written) == (0, 1), "of the same size, and another"
    assert (box.stick / one.file_id).read_bytes() == damaged.read_bytes()


def test_ok__nothing_to_export_touches_nothing(box: Box) -> None:
    exported = box.export()
    assert (exported.objects, exported.trouble) == (0, "")
    assert list(box.stick.iterdir()) == []


def test_fail__an_exam_that_is_not_there(box: Box) -> None:
    with pytest.raises(ApplianceError, match="There is no exam E000009"):
        box.export(Wanted(exams=("E000009-20261122-093015",)))


@pytest.mark.parametrize("what", ["closed.json", "exam.json", "settled"])
def test_fail__damaged_records_cost_no_object(box: Box, what: str) -> None:
    exam = box.open(patient("Doe^Jane", "PAT-1"))
    uid = uid_of(box.still(exam))
    box.end(exam)
    box.settle(exam, {uid: "committed"})
    file = (
        box.spool.settled / f"{exam.exam_id}.json" if what == "settled" else box.facts.directory / exam.exam_id / what
    )
    file.write_bytes(b"{")
    exported = box.export(Wanted(is_all=what == "exam.json"))
    assert set(box.on_stick()) == {uid}
    assert bool(exported.findings) == (what == "closed.json")
    assert exported.safe[0].exam_id == ("" if what == "closed.json" else exam.exam_id)


def test_ok__an_object_is_followed_where_it_is_handed_over(box: Box) -> None:
    exam = box.open(patient("Doe^Jane", "PAT-1"))
    path = box.still(exam)
    chosen = Chosen(path, uid_of(path), 0, "", 0, exam.exam_id)
    for place in (box.spool.outbox, box.spool.kept, box.spool.captured("endoscope", None)):
        place.mkdir(exist_ok=True, parents=True)
        path = path.rename(place / path.name)
        assert locate(box.spool, chosen) == path


# -- cuts: the stick is pulled at any operation


class Pulled:
    """From the nth operation on that reaches the stick, each one fails: `error` for ever."""

    def __init__(self, stick: Path, monkeypatch: pytest.MonkeyPatch, nth: int, error: int = errno.EIO) -> None:
        self.count = 0
        self.nth = nth
        self._error = error
        self._stick = os.path.realpath(stick)
        for name in ("write", "fsync", "fdatasync", "rename", "mkdir", "unlink", "open", "posix_fadvise"):
            monkeypatch.setattr(os, name, self._guarded(getattr(os, name)))
        monkeypatch.setattr(Path, "open", self._guarded(Path.open))

    def _guarded(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(target: Any, *arguments: Any, **options: Any) -> Any:
            path = f"/proc/self/fd/{target}" if isinstance(target, int) else os.fspath(target)
            if os.path.realpath(path).startswith(self._stick + "/"):
                self.count += 1
                if self.count >= self.nth:
                    raise OSError(self._error, os.strerror(self._error))
            return call(target, *arguments, **options)

        return guarded


@contextmanager
def pulled(stick: Path, nth: int, error: int = errno.EIO) -> Iterator[Pulled]:
    with pytest.MonkeyPatch.context() as patch:
        yield Pulled(stick, patch, nth, error)


def is_whole(box: Box, exported: Exported) -> bool:
    """Each object that was called safe lies there, and nothing under its final name is anything else."""
    sources = {uid_of(path): path.read_bytes() for path in box.spool.state.rglob("*.dcm")}
    files = {
        path for path in box.stick.rglob("*") if path.is_file() and "." not in path.name and path.name != "DICOMDIR"
    }
    safe = {box.stick / one.file_id: one.sop_instance_uid for one in exported.safe}
    return set(safe) <= files and all(path.read_bytes() in sources.values() for path in files)


def test_fail__a_stick_that_is_pulled_at_any_moment(box: Box) -> None:
    """The next run goes on; nothing is half, and what the cut run called safe is."""
    exam = box.open(patient("Doe^Jane", "PAT-1"))
    for make in (box.still, box.clip):
        make(exam)
    box.still(None)
    with pulled(box.stick, 10**9) as all_of_them:
        box.export()
    assert all_of_them.count > 40
    partly = 0
    for nth in range(1, all_of_them.count + 1):
        shutil.rmtree(box.stick)
        box.stick.mkdir()
        with pulled(box.stick, nth):
            cut = box.export()
        assert cut.trouble.startswith("The stick does not answer any more (Input/output error)."), nth
        assert f"{len(cut.safe)} of 3 objects are whole on it." in cut.trouble
        assert "repeat the command" in cut.suggestion
        assert is_whole(box, cut), nth
        partly += 0 < len(cut.safe) < 3
        if nth % 8 == 0 or nth > all_of_them.count - 8:
            whole = box.export()
            assert (whole.trouble, whole.listed, len(whole.safe)) == ("", 3, 3), nth
            assert whole.there_before >= len(cut.safe)
            assert is_whole(box, whole)
            assert not list(box.stick.rglob("*.*"))
    assert partly > 10


def test_ok__what_a_cut_left_is_swept_and_nothing_else(box: Box) -> None:
    """Also of an object that is not exported any more."""
    exam = box.open(patient("Doe^Jane", "PAT-1"))
    box.still(exam)
    box.export()
    folder = box.stick.joinpath(*exam.exam_id.split("-"))
    ours = [folder / "ABCDEFG2.PRT", box.stick / "UNASSIGN" / "ABCDEFG2.PRT", box.stick / "DICOMDIR.NEW"]
    theirs = [folder / "LETTER.PRT", box.stick / "ABCDEFG2.PRT", box.stick / "PHOTOS" / "20261122.PRT"]
    for path in (*ours, *theirs):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    assert box.export().there_before == 1
    assert [path.exists() for path in (*ours, *theirs)] == [False] * 3 + [True] * 3


def test_fail__what_a_cut_left_half_under_its_final_name_is_written_anew(box: Box) -> None:
    """FAT may keep the name of a file and lose its end."""
    box.still(None)
    other = box.still(None)
    box.export()
    for keep in (0, 200, other.stat().st_size - 1):
        path = box.on_stick()[uid_of(other)]
        os.truncate(path, keep)
        exported = box.export()
        assert (exported.there_before, exported.written) == (1, 1)
        assert path.read_bytes() == other.read_bytes()


def test_ok__two_objects_of_one_name_both_stay(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are 40 bits of a digest. Whatever else was exported before, no file takes another's place."""
    monkeypatch.setattr(medium_module, "_name_from", lambda _text, attempt: f"AAAAAAA{'ABC'[attempt]}")
    first = box.still(None)
    box.export()
    aside = first.rename(box.directory / first.name)  # it has gone from the box since
    second = box.still(None)
    assert box.export().listed == 2
    assert set(box.on_stick()) == {uid_of(first), uid_of(second)}
    aside.rename(first)
    exported = box.export()
    assert (exported.there_before, exported.written, exported.listed) == (2, 0, 2)


# -- a medium that lies, and a box whose flash is damaged


def test_fail__a_stick_that_gives_back_something_else(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.still(None)
    real = os.posix_fadvise

    def spoil(descriptor: int, *arguments: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if path.endswith(".PRT"):
            with Path(path).open("r+b") as file:
                file.seek(300)
                file.write(b"\0\1\2")
        real(descriptor, *arguments)

    monkeypatch.setattr(os, "posix_fadvise", spoil)
    exported = box.export()
    assert exported.trouble == "The stick does not give back what was written to it. 0 of 1 objects are whole on it."
    assert [path for path in box.stick.rglob("*") if path.is_file()] == []


def test_ok__where_a_folder_cannot_be_synced_everything_is(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on some file systems of FUSE."""
    real, synced = os.fsync, []

    def fsync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").is_dir() and "/stick" in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "sync", lambda: synced.append(1))
    box.still(None)
    assert box.export().listed == 1
    assert len(synced) >= 2


def test_ok__what_is_read_back_comes_from_the_medium(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each file and of the DICOMDIR: synced, then dropped from memory, then read, then named."""
    acts: list[tuple[str, str]] = []

    def noted(name: str, path_of: Callable[..., str]) -> None:
        call = getattr(os, name)

        def note(*arguments: Any, **options: Any) -> Any:
            if "/stick/" in (path := path_of(*arguments)):
                acts.append((name, Path(path).name))
            return call(*arguments, **options)

        monkeypatch.setattr(os, name, note)

    for name in ("fsync", "posix_fadvise"):
        noted(name, lambda descriptor, *_rest: os.path.realpath(f"/proc/self/fd/{descriptor}"))
    noted("rename", lambda source, _target: os.path.realpath(source))
    box.still(None)
    box.export()
    files = [act for act in acts if "." in act[1]]
    for suffix in (".PRT", ".NEW"):
        assert [name for name, path in files if path.endswith(suffix)] == ["fsync", "posix_fadvise", "rename"]


def test_fail__a_damaged_object_is_told_and_the_others_go(box: Box) -> None:
    damaged, good = box.still(None), box.still(None)
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(data)
    exported = box.export()
    (finding,) = exported.findings
    assert (finding.code, finding.subject) == ("object-unreadable", uid_of(damaged))
    assert [one.sop_instance_uid for one in exported.safe] == [uid_of(good)]
    assert set(box.on_stick()) == {uid_of(good)}
    assert (exported.trouble, exported.listed) == ("", 1)
    assert records(box)[-1].outcome is Effect.MINOR_FAILURE


def test_fail__an_object_that_leaves_the_box_meanwhile(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Committed and expired, or damaged and set aside, after it was chosen."""
    gone, good = box.still(None), box.still(None)
    real = Medium.find_place

    def find_place(self: Medium, chosen: Chosen) -> tuple[tuple[str, ...], bool]:
        gone.unlink(missing_ok=True)
        return real(self, chosen)

    monkeypatch.setattr(Medium, "find_place", find_place)
    exported = box.export()
    assert [(one.code, one.subject) for one in exported.findings] == [("object-gone", uid_of(gone))]
    assert [one.sop_instance_uid for one in exported.safe] == [uid_of(good)]


def test_fail__flash_that_does_not_give_an_object_back(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = box.still(None), box.still(None)
    real = Path.open

    def open_or_fail(self: Path, *arguments: Any, **options: Any) -> Any:
        if self.name == bad.name:
            raise OSError(errno.EBADMSG, "Bad message")
        return real(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_or_fail)
    exported = box.export()
    assert [(one.code, one.subject) for one in exported.findings] == [("object-unreadable", uid_of(bad))]
    assert "a checksum of the flash is wrong" in exported.findings[0].sentence
    assert [one.sop_instance_uid for one in exported.safe] == [uid_of(good)]


def test_fail__an_object_too_large_for_the_file_system_is_told_and_the_others_go(box: Box) -> None:
    box.still(None)
    box.still(None)
    with pytest.MonkeyPatch.context() as patch:
        real, written = medium_module.write_all, 0

        def refuse_the_first(descriptor: int, data: bytes) -> None:
            nonlocal written
            written += 1
            if written == 1:
                raise OSError(errno.EFBIG, "File too large")
            real(descriptor, data)

        patch.setattr(medium_module, "write_all", refuse_the_first)
        exported = box.export()
    assert len(exported.safe) == 1
    assert "4 GB on FAT" in exported.findings[0].sentence
    assert not list(box.stick.rglob("*.PRT"))


def test_fail__a_file_that_went_bad_on_the_stick_is_left_out_of_the_directory(box: Box) -> None:
    exam = box.open(patient("Doe^Jane", "PAT-1"))
    box.still(exam)
    box.export()
    (path,) = box.on_stick().values()
    path.write_bytes(b"bad")
    box.still(None)
    exported = box.export(Wanted())
    assert exported.listed == 2  # what is still on the box is simply written anew
    path.write_bytes(b"bad")
    box.end(exam, into="kept")
    box.settle(exam, dict.fromkeys(box.uids(), "committed"))
    exported = box.export()
    assert (exported.listed, [one.code for one in exported.findings]) == (1, ["medium-damaged"])


# -- no room, wrong sticks


@pytest.mark.parametrize(
    ("error", "said"),
    [(errno.ENOSPC, "The stick is full."), (errno.EROFS, "write-protected"), (errno.EACCES, "Nothing may be written")],
)
def test_fail__what_the_stick_says_is_said_in_a_sentence(box: Box, error: int, said: str) -> None:
    box.still(None)
    with pulled(box.stick, 1, error):
        assert said in box.export().trouble


def test_fail__too_little_room_is_said_before_anything_is_written(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    path = box.still(None)
    monkeypatch.setattr(Medium, "free_bytes", lambda _self: path.stat().st_size)
    with pytest.raises(MediumError, match=r"not enough room on .*stick: 1 MB are needed, 0 MB are free"):
        box.export()
    assert list(box.stick.iterdir()) == []
    monkeypatch.setattr(Medium, "free_bytes", lambda _self: None)  # a file system that does not tell
    assert box.export().listed == 1
    monkeypatch.setattr(Medium, "free_bytes", lambda _self: 40_000)  # all is there: next to nothing is needed
    assert box.export().there_before == 1


def test_fail__a_directory_of_the_box_itself(box: Box) -> None:
    """A stick that is not mounted: its directory is one of the box's flash."""
    box.still(None)
    trail = AuditTrail(box.paths.audit, "export", box.clock)
    export = Export(box.spool, box.stick, trail, box.clock, actor="maria")
    with pytest.raises(MediumError, match="nothing is mounted there"):
        export.run(Wanted())
    assert list(box.stick.iterdir()) == [] and records(box) == []


def test_fail__no_directory(box: Box) -> None:
    box.stick.rmdir()
    with pytest.raises(MediumError, match="No such file or directory"):
        box.export()


@pytest.mark.parametrize("content", [b"", b"\0" * 128 + b"DICM", b"no DICOM at all" * 20])
def test_fail__media_of_another_system(box: Box, content: bytes) -> None:
    box.still(None)
    (box.stick / "DICOMDIR").write_bytes(content)
    with pytest.raises(MediumError, match="DICOM media of another system"):
        box.export()
    assert (box.stick / "DICOMDIR").read_bytes() == content


def test_fail__two_exports_at_a_time(box: Box) -> None:
    box.still(None)
    holder = os.open(box.stick, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    with pytest.raises(MediumError, match="under way"):
        box.export()
    os.close(holder)
    assert box.export().listed == 1


def test_ok__a_stick_that_is_unmounted_in_the_middle_fills_no_flash(box: Box) -> None:
    """The medium is held by its descriptor: whatever lies under its name afterwards is not written to."""
    made = Medium(box.stick)
    moved = box.stick.rename(box.directory / "moved")
    box.stick.mkdir()
    made.write_directory(b"x")
    made.close()
    assert (list(box.stick.iterdir()), [path.name for path in moved.iterdir()]) == ([], ["DICOMDIR"])


# -- stopping, progress, the audit trail


def test_ok__a_person_stops_it_and_it_goes_on_later(box: Box) -> None:
    for _ in range(3):
        box.still(None)
    seen: list[int] = []
    export = Export(
        box.spool,
        box.stick,
        AuditTrail(box.paths.audit, "export", box.clock),
        box.clock,
        actor="maria",
        is_stopped=lambda: bool(seen) and seen[-1] == 2,
        on_progress=lambda progress: seen.append(progress.objects_done),
    )
    exported = export.run(Wanted(), is_own_flash_fine=True)
    assert exported.trouble == "The export was stopped. 2 of 3 objects are whole on it."
    assert is_whole(box, exported) and not list(box.stick.rglob("*.PRT"))
    assert records(box)[-1].outcome is Effect.MAJOR_FAILURE
    assert records(box)[-1].objects == tuple(one.sop_instance_uid for one in exported.safe)
    assert box.export().there_before == 2


def test_ok__progress_goes_up_to_the_end(box: Box) -> None:
    """Also while nothing is written, but only verified."""
    for _ in range(2):
        make_large(box.still(None), 3 * 1024 * 1024)
    for there_before in (0, 2):
        told: list[tuple[int, int, float | None]] = []
        export = Export(
            box.spool,
            box.stick,
            AuditTrail(box.paths.audit, "export", box.clock),
            box.clock,
            actor="maria",
            on_progress=lambda one, told=told: told.append((one.objects_done, one.bytes_done, one.seconds_left)),
            is_stopped=lambda: bool(setattr(box.clock, "seconds", box.clock.seconds + 1)),
        )
        exported = export.run(Wanted(), is_own_flash_fine=True)
        assert exported.there_before == there_before
        assert [one[:2] for one in told] == sorted(one[:2] for one in told)
        assert told[-1] == (2, exported.bytes, 0.0)
        assert any(0 < done < exported.bytes / 2 and left for _, done, left in told)


def test_ok__memory_does_not_grow_with_the_object(box: Box) -> None:
    box.export()  # what is imported at first use
    make_large(box.clip(None), 24 * 1024 * 1024)
    tracemalloc.start()
    try:
        assert box.export().listed == 1
        assert tracemalloc.get_traced_memory()[1] < 6 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_ok__the_audit_trail_knows_before_the_first_byte_leaves(box: Box) -> None:
    exam = box.open(patient("Doe^Jane", "PAT-1"))
    uid = uid_of(box.still(exam))
    with pulled(box.stick, 1):
        box.export()
    begun, ended = records(box)
    assert (begun.act, begun.actor, begun.outcome, begun.objects) == (Act.OBJECTS_EXPORTED, "maria", 0, (uid,))
    assert begun.subject is not None and begun.subject.patient_id == "PAT-1"
    assert begun.party is not None and begun.party.address == str(box.stick)
    assert (ended.outcome, ended.objects) == (Effect.MAJOR_FAILURE, ())
    box.export()
    assert [(one.outcome, one.objects) for one in records(box)[2:]] == [(0, (uid,)), (0, (uid,))]
    box.export()
    assert len(records(box)) == 4  # nothing left the box


def test_fail__flash_that_takes_no_audit_record_stops_no_last_resort(box: Box) -> None:
    box.still(None)
    box.paths.audit.mkdir(parents=True)
    (box.paths.audit / "export").write_text("in the way")
    exported = box.export()
    assert (exported.trouble, exported.listed) == ("", 1)
    assert [one.code for one in exported.findings] == ["audit-unwritten"]


def test_ok__what_is_on_the_stick_can_be_verified_by_the_boxs_own_names(box: Box) -> None:
    """The digest in an object's name is that of the file on the stick, a clip's too."""
    exam = box.open(patient("Doe^Jane", "PAT-1"))
    source = box.clip(exam)
    name = object_name_from(source.name)
    assert name is not None and name.offset > 0
    box.export()
    (path,) = box.on_stick().values()
    copy = shutil.copy(path, box.directory / source.name)
    assert is_intact(Path(copy))
