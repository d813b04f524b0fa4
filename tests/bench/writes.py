"""How many bytes go to the disk for each byte of object, and how often the box waits for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench.box import CLIP_SECONDS, Box
from tests.bench.processes import bytes_written
from tests.bench.tables import MIB, BenchError, Table
from tests.bench.trace import Trace, tracing

_STILLS = 10
_EXAM_STILLS = 20
_EXAM_FILMS = 2


def measure_writes(box: Box, filesystem: str) -> Table:
    """Each kind of capture under strace, with the kernel's own count of the same time beside it."""
    kinds: dict[str, Callable[[], list[dict[str, Any]]]] = {
        f"{_STILLS} stills": lambda: [box.tap("endoscope", "still") for _ in range(_STILLS)],
        f"clip of {CLIP_SECONDS:g} s": lambda: [box.record_clip()],
        "film": lambda: [box.tap("film", "film")],
        "serial image": lambda: [box.print_ultrasound()],
    }
    table = Table(
        "writes",
        "Bytes written for each byte of object",
        "all acquire processes; `calls` by strace: write(2) and its like to files of the state directory, logs apart; "
        f"`disk` by /proc/PID/io write_bytes on {filesystem}: whole pages, logs included",
        ("", "objects", "object MiB", "calls / byte", "disk / byte", "file syncs", "dir syncs", "log bytes"),
    )
    table.notes.append(
        "`calls` is exact; `disk` rounds up to pages, adds a page of the log for a line, and counts a page anew "
        "that went to the disk between two writes"
    )
    for kind, capture in kinds.items():
        before = bytes_written(box.acquires.values())
        with tracing(box.acquires.values(), Path(box.demo.directory)) as trace:
            objects = capture()
        disk = bytes_written(box.acquires.values()) - before
        size = sum(int(one["bytes"]) for one in objects)
        if size == 0 or trace.written < size:
            raise BenchError(f"{kind}: {size} bytes of object, but {trace.written} bytes seen written.")
        table.rows.append(
            (
                kind,
                str(len(objects)),
                f"{size / MIB:.2f}",
                f"{trace.written / size:.4f}",
                f"{disk / size:.3f}" if disk else "not told",
                str(trace.file_syncs),
                str(trace.directory_syncs),
                str(trace.logged),
            )
        )
        table.values[kind] = {"objects": len(objects), "object_bytes": size, "disk_bytes": disk, **asdict(trace)}
    return table


@dataclass
class ExamWear:
    """What a whole exam wrote, from its first capture until all of it is committed and has expired."""

    name: str
    objects: list[dict[str, Any]]
    disk: dict[str, int]
    """By process."""
    trace: Trace | None = None

    @property
    def size(self) -> int:
        return sum(int(one["bytes"]) for one in self.objects)

    def row(self) -> tuple[str, ...]:
        disk, count, size = sum(self.disk.values()), len(self.objects), self.size
        acquire = sum(written for name, written in self.disk.items() if name.startswith("acquire"))
        shares = (acquire, self.disk["console"], self.disk["forward"])
        syncs = (self.trace.file_syncs, self.trace.directory_syncs) if self.trace else None
        return (
            self.name,
            str(count),
            f"{size / MIB:.1f}",
            f"{disk / size:.3f}" if disk else "not told",
            *(f"{share / size:.3f}" for share in shares),
            *(f"{number / count:.1f}" if syncs else "-" for number in (syncs or (0, 0))),
        )


def measure_exams(box: Box, before: Sequence[ExamWear], filesystem: str) -> Table:
    """Exams of one kind of object, below what was measured `before`: twice, since strace slows it and so scatters it.

    The box's exam is over, or where nothing was measured before, open and empty.
    """
    kinds: dict[str, Callable[[], object]] = {
        f"{_EXAM_STILLS} stills": lambda: [box.tap("endoscope", "still") for _ in range(_EXAM_STILLS)],
        f"{_EXAM_FILMS} films": lambda: [box.tap("film", "film") for _ in range(_EXAM_FILMS)],
    }
    exams = list(before)
    for kind, capture in kinds.items():
        if exams:
            box.open_exam()  # the first finds one open
        at_first = {name: bytes_written([pid]) for name, pid in box.own.items()}
        capture()
        objects = box.deliver()
        disk = {name: bytes_written([pid]) - at_first[name] for name, pid in box.own.items()}
        box.open_exam()
        with tracing(box.own.values(), Path(box.demo.directory)) as trace:
            capture()
            box.deliver()
        exams.append(ExamWear(kind, objects, disk, trace))
    return Table(
        "exams",
        "Bytes on the disk for each byte of object, of whole exams until all is committed and has expired",
        f"all of the box's processes, facts, journal, audit trail and logs included; /proc/PID/io write_bytes on "
        f"{filesystem}: whole pages, without the filesystem's own journal; syncs by strace",
        ("", "objects", "object MiB", "disk / byte", "acquire", "console", "forward", "file syncs", "dir syncs"),
        [one.row() for one in exams],
        ["syncs for each object, of a second such exam: of files, the journal's acts among them, and of directories"],
        {
            one.name: {
                "objects": len(one.objects),
                "object_bytes": one.size,
                "disk_bytes": one.disk,
                "syncs": asdict(one.trace) if one.trace else {},
            }
            for one in exams
        },
    )
