"""The audit trail: durable when answered, whole after a power cut, bounded, and honest about what was changed."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest

from appliance.base.findings import FindingBoard
from appliance.base.flash import reason_of
from appliance.exam import audit, audit_gate, audit_mark
from appliance.exam.audit import MOST_OBJECTS, Act, Effect, Party
from appliance.exam.audit_gate import UNREAD_CODE, UNWRITTEN_CODE, AuditGate
from appliance.exam.audit_reading import Position, list_trails, read_trail
from appliance.exam.audit_record import Record, list_segments
from tests.base.power import cuts, powered
from tests.exam.audit_world import EXAM, NOW, SUBJECT, FixedClock, make_trail, read, records

# -- what is written is read


def test_ok__a_record_says_who_did_what_to_whom(tmp_path: Path) -> None:
    party = Party("ARCHIVE", "10.0.0.9")
    make_trail(tmp_path).record(
        Act.OBJECTS_TRANSFERRED,
        actor="panel",
        outcome=Effect.MINOR_FAILURE,
        exam=EXAM,
        objects=["1.2.3.4"],
        sop_classes=["1.2.840.10008.5.1.4.1.1.7"],
        party=party,
        detail="because",
    )
    assert records(tmp_path) == [
        Record(
            *(1, "console", NOW, Act.OBJECTS_TRANSFERRED, "panel", Effect.MINOR_FAILURE, SUBJECT),
            objects=("1.2.3.4",),
            sop_classes=("1.2.840.10008.5.1.4.1.1.7",),
            party=party,
            detail="because",
        )
    ]


def test_ok__numbers_go_on_through_restarts_and_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "SEGMENT_BYTES", 1000)
    for _ in range(4):
        trail = make_trail(tmp_path)
        for _ in range(5):
            trail.record(Act.LOGIN, actor="admin")
    reading = read(tmp_path)
    assert [line.record.number for line in reading.lines] == list(range(1, 21))
    assert reading.faults == []
    assert len(list_segments(tmp_path / "console")) > 5


def test_ok__many_objects_become_several_records(tmp_path: Path) -> None:
    uids = [f"1.2.{number}" for number in range(2 * MOST_OBJECTS + 1)]
    make_trail(tmp_path).record(Act.OBJECT_EXPIRED, actor="forward", exam=EXAM, objects=uids, sop_classes=uids)
    found = records(tmp_path)
    assert [len(one.objects) for one in found] == [MOST_OBJECTS, MOST_OBJECTS, 1]
    assert [uid for one in found for uid in one.objects] == uids
    assert all(one.objects == one.sop_classes for one in found)


def test_ok__any_text_of_a_worklist_is_kept(tmp_path: Path) -> None:
    item = replace(EXAM.item, elements={"00100020": {"vr": "LO", "Value": ["a\nb\x00\ud800"]}})
    make_trail(tmp_path).record(Act.EXAM_OPENED, actor="panel", exam=replace(EXAM, item=item))
    (one,) = records(tmp_path)
    assert one.subject and one.subject.patient_id == "a\nb\x00\ufffd"


def test_ok__threads_and_processes_of_one_name_write_one_chain(tmp_path: Path) -> None:
    trail = make_trail(tmp_path, "cli")
    threads = [threading.Thread(target=_write_ten, args=(trail,)) for _ in range(3)]
    others = [multiprocessing.get_context("fork").Process(target=_write_ten, args=(make_trail(tmp_path, "cli"),))]
    others += [multiprocessing.get_context("fork").Process(target=_write_ten, args=(make_trail(tmp_path, "cli"),))]
    for one in [*others, *threads]:
        one.start()
    for one in [*others, *threads]:
        one.join(30)
    reading = read(tmp_path, "cli")
    assert reading.faults == []
    assert [line.record.number for line in reading.lines] == list(range(1, 51))


def _write_ten(trail: audit.AuditTrail) -> None:
    for _ in range(10):
        trail.record(Act.LOGIN, actor="admin")


# -- power cuts


def test_ok__a_cut_at_any_step_loses_no_record_that_was_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plug is pulled before each system call of the first, a further, and a segment-opening record."""
    monkeypatch.setattr(audit, "SEGMENT_BYTES", 800)
    answered: list[int] = []
    world: list[Path] = []

    def prepare() -> Callable[[], object]:
        world.append(tmp_path / str(len(world)))
        answered.clear()
        trail = make_trail(world[-1])

        def act() -> None:
            for number in range(1, 5):
                trail.record(Act.LOGIN, actor=f"user {number}")
                answered.append(number)

        return act

    for _ in cuts(monkeypatch, prepare):
        here = world[-1]
        make_trail(here).record(Act.LOGIN, actor="afterwards")
        reading = read(here)
        assert reading.faults == []
        actors = [line.record.actor for line in reading.lines]
        assert actors[-1] == "afterwards"
        # One more than was answered may be there: it was written, and the cut came before its answer.
        assert actors[:-1] in ([f"user {n}" for n in answered], [f"user {n}" for n in [*answered, len(answered) + 1]])
        assert [line.record.number for line in reading.lines] == list(range(1, len(actors) + 1))
    assert len(world) > 20


def test_ok__fsync_comes_before_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trail = make_trail(tmp_path)
    with powered(monkeypatch) as first:
        trail.record(Act.LOGIN, actor="admin")
    assert first.order()[-4:] == ["write 00000001.log", "fsync 00000001.log", "fsync console", "write last"]
    with powered(monkeypatch) as further:
        trail.record(Act.LOGIN, actor="admin")
    # One sync: the mark beside it costs none, and the directory is durable since the first.
    assert further.order() == ["write 00000001.log", "fsync 00000001.log", "write last"]


def test_ok__a_torn_tail_of_any_length_loses_only_itself(tmp_path: Path) -> None:
    whole = make_trail(tmp_path / "whole")
    for number in (1, 2):
        whole.record(Act.LOGIN, actor=f"user {number}")
    segment = tmp_path / "whole" / "console" / "00000001.log"
    data = segment.read_bytes()
    first = data.index(b"\n") + 1
    torn = [data[:end] for end in range(first, len(data), 19)]
    torn += [data[:first] + bytes(len(data) - first)]  # what was never written
    for number, bytes_left in enumerate(torn):
        here = tmp_path / str(number)
        (here / "console").mkdir(parents=True)
        (here / "console" / segment.name).write_bytes(bytes_left)
        make_trail(here).record(Act.LOGIN, actor="afterwards")
        reading = read(here)
        assert [(line.record.number, line.record.actor) for line in reading.lines] == [(1, "user 1"), (2, "afterwards")]
        assert reading.faults == []
        assert (here / "console" / segment.name).read_bytes()[: len(bytes_left)] == bytes_left  # nothing is changed


def test_ok__a_long_line_whose_sectors_were_lost_is_no_fault(tmp_path: Path) -> None:
    whole = make_trail(tmp_path / "whole")
    whole.record(Act.LOGIN, actor="admin")
    whole.record(Act.LOGIN, actor="admin", detail="a" * 800)
    segment = tmp_path / "whole" / "console" / "00000001.log"
    data = segment.read_bytes()
    first = data.index(b"\n") + 1
    assert first < 512 and 1024 < len(data) < 1536
    for number, lost in enumerate([(first, 512), (512, 1024), (1024, len(data))]):
        here = tmp_path / str(number)
        (here / "console").mkdir(parents=True)
        torn = data[: lost[0]] + bytes(lost[1] - lost[0]) + data[lost[1] :]
        (here / "console" / segment.name).write_bytes(torn)
        make_trail(here).record(Act.LOGIN, actor="afterwards")
        reading = read(here)
        assert [line.record.number for line in reading.lines] == [1, 2]
        assert reading.faults == []


def test_ok__a_segment_that_holds_nothing_whole_gives_no_number_twice(tmp_path: Path) -> None:
    make_trail(tmp_path).record(Act.LOGIN, actor="admin")
    (tmp_path / "console" / "00000002.log").write_bytes(b"x" * 5000)
    make_trail(tmp_path).record(Act.LOGIN, actor="admin")
    numbers = [one.number for one in records(tmp_path)]
    assert numbers[0] == 1 and numbers[1] == 2 + 5000 // 200


# -- what somebody did to it


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda lines: [lines[0], lines[1].replace(b"user 2", b"user X"), lines[2]], id="edited"),
        pytest.param(lambda lines: [lines[0], lines[2]], id="removed"),
        pytest.param(lambda lines: [lines[1], lines[0], lines[2]], id="swapped"),
    ],
)
def test_fail__what_was_changed_is_noticed(tmp_path: Path, harm: Callable[[list[bytes]], list[bytes]]) -> None:
    trail = make_trail(tmp_path)
    for number in (1, 2, 3):
        trail.record(Act.LOGIN, actor=f"user {number}")
    assert read(tmp_path).faults == []
    (segment,) = list_segments(tmp_path / "console")
    segment.write_bytes(b"".join(harm(segment.read_bytes().splitlines(keepends=True))))
    assert read(tmp_path).faults


@pytest.mark.parametrize("count", [1, 2])
def test_fail__a_flipped_bit_of_the_newest_record_is_noticed(tmp_path: Path, count: int) -> None:
    """Whichever bit it is, also when others were written behind it; and its number is not given again."""
    trail = make_trail(tmp_path)
    for number in range(count):
        trail.record(Act.LOGIN, actor=f"user {number}")
    mark = tmp_path / "console" / "last"
    segment, behind = (tmp_path / "console" / f"0000000{number}.log" for number in (1, 2))
    data = segment.read_bytes()
    newest = len(data.removesuffix(b"\n").rpartition(b"\n")[0]) + (count > 1)
    bits = {*range(8 * newest, 8 * len(data), 11), *range(8 * len(data) - 24, 8 * len(data))}
    for bit in sorted(bits):
        altered = bytearray(data)
        altered[bit // 8] ^= 1 << bit % 8
        segment.write_bytes(altered)
        assert any(fault.startswith("00000001.log holds") for fault in read(tmp_path).faults), bit
        if bit % 101 and bit < 8 * (len(data) - 1):
            continue
        mark.unlink(missing_ok=True)  # it would be noticed by that too
        make_trail(tmp_path).record(Act.LOGIN, actor="afterwards")
        reading = read(tmp_path)
        assert reading.faults and reading.lines[-1].record.number > count, bit
        assert segment.read_bytes() == altered, "nothing is changed"
        behind.unlink()
        mark.unlink()


@pytest.mark.parametrize("stray", [b"\xff\n\r\n" * 20, b"hello\n", b"hello", b"\0" * 7 + b"a", b"0" * 64 + b" {}"])
def test_fail__bytes_that_no_power_cut_leaves(tmp_path: Path, stray: bytes) -> None:
    make_trail(tmp_path).record(Act.LOGIN, actor="admin")
    segment = tmp_path / "console" / "00000001.log"
    size = segment.stat().st_size
    segment.write_bytes(segment.read_bytes() + stray)
    (fault,) = read(tmp_path).faults
    assert fault.startswith(f"00000001.log holds from byte {size} to {size + len(stray)} what is no record")
    findings = FindingBoard()
    AuditGate(make_trail(tmp_path), findings).record(Act.LOGIN, actor="admin")
    assert [one.number for one in records(tmp_path)][-1] > 2
    (told,) = findings.listing()
    assert told.code == UNREAD_CODE and "00000001.log (something of it was changed)" in told.sentence


def test_fail__an_end_that_was_cut_off_is_noticed(tmp_path: Path) -> None:
    trail = make_trail(tmp_path)
    for number in range(1, 6):
        trail.record(Act.LOGIN, actor=f"user {number}")
    (segment,) = list_segments(tmp_path / "console")
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(lines[:2]))
    missing = "Its end is missing or was changed: its last record was number 5, the last whole one here is 2."
    assert read(tmp_path).faults == [missing]
    findings = FindingBoard()
    AuditGate(make_trail(tmp_path), findings).record(Act.LOGIN, actor="afterwards")
    assert "records 3 to 5 (they are gone)" in findings.listing()[0].sentence
    reading = read(tmp_path)
    assert [line.record.number for line in reading.lines] == [1, 2, 6]
    assert reading.faults == ["Between its records 2 and 6 something is missing or was changed."]
    segment.unlink()
    assert "the last whole one here is 0" in read(tmp_path).faults[0]


def test_fail__what_was_sent_and_is_gone_is_noticed_without_the_mark(tmp_path: Path) -> None:
    make_trail(tmp_path).record(Act.LOGIN, actor="admin")
    (tmp_path / "console" / "last").unlink()
    assert read(tmp_path).faults == []
    sent = Position("00000001.log", 900, 3, "0" * 64)
    assert read_trail(tmp_path / "console", sent).faults == [
        "Its end is missing or was changed: its last record was number 3, the last whole one here is 1."
    ]


def test_fail__a_mark_that_flash_does_not_take_costs_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(audit_mark, "write_all", _fail(errno.EIO))
        make_trail(tmp_path).record(Act.LOGIN, actor="admin")
    assert "the audit trail of console was written is not noted: the flash gives back errors" in caplog.text
    assert len(records(tmp_path)) == 1 and read(tmp_path).faults == []


@pytest.mark.parametrize("mark", [b"", b"\0" * 38, b"00000000000000000099 0123456789abcdef\n", b"9"])
def test_ok__a_mark_that_is_none_says_nothing(tmp_path: Path, mark: bytes) -> None:
    make_trail(tmp_path).record(Act.LOGIN, actor="admin")
    (tmp_path / "console" / "last").write_bytes(mark)
    make_trail(tmp_path).record(Act.LOGIN, actor="admin")
    assert read(tmp_path).faults == []
    assert audit_mark.read_mark(tmp_path / "console") == 2, "written over in place"


def test_ok__a_record_of_a_newer_release_keeps_its_place(tmp_path: Path) -> None:
    make_trail(tmp_path).record(Act.LOGIN, actor="admin")
    (segment,) = list_segments(tmp_path / "console")
    (before,) = read(tmp_path).lines
    content = audit.line_from(before.record, 2, before.digest).partition(b" ")[2]
    text = content.replace(b'"login"', b'"dreamt","of":1').strip()
    segment.write_bytes(segment.read_bytes() + hashlib.sha256(text).hexdigest().encode() + b" " + text + b"\n")
    make_trail(tmp_path).record(Act.LOGIN, actor="again")
    assert [(one.number, one.act) for one in records(tmp_path)] == [(1, Act.LOGIN), (2, Act.OTHER), (3, Act.LOGIN)]
    assert read(tmp_path).faults == []


@pytest.mark.parametrize(
    "change",
    [
        (b'"number":2', b'"number":1e999'),
        (b'"actor":"admin",', b""),
        (b'"party":null', b'"party":["ssh"]'),
        (b'"outcome":0', b'"outcome":3'),
        (b"+00:00", b""),
        (b"{", b"[{"),
        (b'"detail":""', b'"detail":' + b"[" * 5000 + b"]" * 5000),
    ],
)
def test_fail__what_is_no_record_though_its_digest_is_right(tmp_path: Path, change: tuple[bytes, bytes]) -> None:
    trail = make_trail(tmp_path)
    trail.record(Act.LOGIN, actor="admin")
    (segment,) = list_segments(tmp_path / "console")
    (before,) = read(tmp_path).lines
    record = replace(before.record, at=before.record.at.astimezone(UTC))
    content = audit.line_from(record, 2, before.digest).partition(b" ")[2].strip()
    text = content.replace(*change, 1)
    assert text != content
    segment.write_bytes(segment.read_bytes() + hashlib.sha256(text).hexdigest().encode() + b" " + text + b"\n")
    (fault,) = read(tmp_path).faults
    assert "what is no record, or one that was changed" in fault


# -- bounds


def test_ok__a_full_trail_drops_its_oldest_and_says_how_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "SEGMENT_BYTES", 2000)
    monkeypatch.setattr(audit, "MOST_BYTES", 6000)
    trail = make_trail(tmp_path)
    for _ in range(60):
        trail.record(Act.LOGIN, actor="admin")
    found = records(tmp_path)
    said = [one for one in found if one.act is Act.RECORDS_DROPPED]
    assert said and all(one.outcome is Effect.SERIOUS_FAILURE for one in said)
    assert said[-1].detail == "The trail was full: its 5 oldest records were removed."
    assert sum(segment.stat().st_size for segment in list_segments(tmp_path / "console")) <= 6000 + 2000
    assert found[0].number > 1 and read(tmp_path).faults == []
    assert [one.number for one in found] == list(range(found[0].number, found[-1].number + 1))


# -- the gate


def _fail(number: int) -> Callable[..., int]:
    def write(*_given: object) -> int:
        raise OSError(number, os.strerror(number))

    return write


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_fail__what_flash_does_not_take_waits_and_nobody_else_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    findings = FindingBoard()
    gate = AuditGate(make_trail(tmp_path), findings)
    gate.record(Act.SERVICE_STARTED, actor="console")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", _fail(number))
        gate.record(Act.EXAM_OPENED, actor="panel", exam=EXAM)
        gate.record(Act.EXAM_CLOSED, actor="panel", exam=EXAM)
    (finding,) = findings.listing()
    assert finding.code == UNWRITTEN_CODE
    assert reason_of(OSError(number, "")) in finding.sentence and "2 audit records wait" in finding.sentence
    gate.flush()
    assert findings.listing() == []
    found = records(tmp_path)
    assert [one.act for one in found] == [Act.SERVICE_STARTED, Act.EXAM_OPENED, Act.EXAM_CLOSED]
    assert [(one.at - NOW).seconds for one in found] == [0, 1, 2]  # when it was done, not when it was written
    assert len(list_segments(tmp_path / "console")) == 1


def test_fail__more_than_memory_holds_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_gate, "MOST_WAITING", 20)
    findings = FindingBoard()
    gate = AuditGate(make_trail(tmp_path), findings)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", _fail(errno.EIO))
        for _ in range(23):
            gate.record(Act.LOGIN, actor="admin")
    assert "3 are lost" in findings.listing()[0].sentence
    gate.flush()
    found = records(tmp_path)
    assert len(found) == 21
    assert found[-1].act is Act.RECORDS_DROPPED and "3 did not fit" in found[-1].detail


def test_ok__a_failed_write_leaves_no_torn_segment_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trail = make_trail(tmp_path)
    trail.record(Act.LOGIN, actor="admin")
    write = os.write

    def write_half(descriptor: int, data: memoryview) -> int:
        write(descriptor, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    for _ in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", write_half)
            with pytest.raises(OSError, match="No space"):
                trail.record(Act.LOGIN, actor="admin")
    trail.record(Act.LOGIN, actor="admin")
    assert len(list_segments(tmp_path / "console")) == 1
    assert read(tmp_path).faults == [] and len(records(tmp_path)) == 2


def test_ok__nothing_is_touched_before_the_first_record(tmp_path: Path) -> None:
    audit.AuditTrail(tmp_path / "audit", "console", FixedClock())
    assert list(tmp_path.iterdir()) == []
    assert list_trails(tmp_path / "audit") == []


def test_fail__earlier_records_that_flash_does_not_give_back_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_trail(tmp_path).record(Act.LOGIN, actor="admin")
    findings = FindingBoard()
    gate = AuditGate(make_trail(tmp_path), findings)
    with monkeypatch.context() as broken:
        broken.setattr(audit, "read_segment", _fail(errno.EIO))
        gate.record(Act.LOGIN, actor="admin")
    (told,) = findings.listing()
    assert (told.code, told.subject) == (UNREAD_CODE, "console")
    assert "cannot be read: 00000001.log (the flash gives back errors)" in told.sentence
    assert len(records(tmp_path)) == 2
    AuditGate(make_trail(tmp_path), findings).record(Act.LOGIN, actor="admin")
    assert findings.listing() == [], "the next start reads it"
