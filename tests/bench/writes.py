"""How many bytes go to the disk for each byte of object, and how often the box waits for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench.box import CLIP_SECONDS, Box
from tests.bench.processes import bytes_written
from tests.bench.tables import MIB, BenchError, Table
from tests.bench.trace import tracing

_STILLS = 10


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
