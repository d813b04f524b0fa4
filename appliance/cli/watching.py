"""Rounds of `appliance watch`: on a terminal each is written over the last, elsewhere one below the other."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Sequence
from datetime import datetime

from appliance.base.clock import Clock
from appliance.base.paths import Paths
from appliance.cli.processes import Process, read_processes
from appliance.cli.status_report import exit_status_of, lines_of, read_status
from appliance.cli.table import table_lines

_HOME, _TO_LINES_END, _TO_SCREENS_END = "\x1b[H", "\x1b[K", "\x1b[J"


def watch_status(every: float, rounds: int | None, clock: Clock, *, is_discreet: bool) -> int:
    """Show it until Ctrl-C or for `rounds`; the exit status of the last."""
    paths, never = Paths.from_environment(), threading.Event()
    before: tuple[float, Sequence[Process]] | None = None
    status, number = 0, 0
    try:
        while True:
            number += 1
            document = read_status(paths, is_discreet=is_discreet)
            status = exit_status_of(document)
            now, processes = clock.monotonic(), read_processes()
            lines = [f"{clock.now():%Y-%m-%d %H:%M:%S}, every {every:g} s; Ctrl-C ends this", ""]
            lines += lines_of(document, datetime.now().astimezone())
            lines += ["", *lines_of_processes(processes, before[1] if before else (), now - before[0] if before else 0)]
            _show(lines)
            before = (now, processes)
            if number == rounds:
                return status
            clock.wait(never, every)
    except KeyboardInterrupt:
        return status


def lines_of_processes(now: Sequence[Process], before: Sequence[Process], seconds: float) -> list[str]:
    """A row for each process: its part of one core since the last round, and its memory."""
    known = {one.pid: one.seconds for one in before}
    rows = [("process", "cpu", "memory")]
    for one in now:
        is_known = one.pid in known and seconds > 0
        part = f"{100 * (one.seconds - known[one.pid]) / seconds:.0f} %" if is_known else "-"
        rows.append((one.name, part, f"{one.memory_bytes / 2**20:.0f} MiB"))
    return table_lines(rows) if now else ["No process of this box can be seen."]


def _show(lines: Sequence[str]) -> None:
    if not sys.stdout.isatty():
        print("\n".join([*lines, ""]), flush=True)
        return
    columns, rows = shutil.get_terminal_size()
    shown = [line[: columns - 1] for line in lines[: rows - 1]]
    print(_HOME + "".join(f"{line}{_TO_LINES_END}\n" for line in shown) + _TO_SCREENS_END, end="", flush=True)
