"""The export's process: it may read objects and write one mount, and nothing else. No network, no device, no journal.

The command `appliance export` starts it and shows what it says: one JSON object a line on stdout, `progress` while it
works, and `exported` or `error` at the end. On a box systemd starts it for the command that connects to its socket:
then stdin and stdout are that connection, and the arguments come over it, as one line with a JSON array (`--asked`).
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import select
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from appliance.base.clock import Deadline, SystemClock
from appliance.base.errors import ApplianceError
from appliance.base.log import configure_logging
from appliance.base.paths import Paths
from appliance.exam.audit import AuditTrail
from appliance.export.run import Export, Progress
from appliance.export.selection import Wanted
from appliance.spool.tree import Spool

_ASKED = "--asked"
_ASK_SECONDS = 10.0
_MOST_ASKED_BYTES = 64 * 1024
_TELL_SECONDS = 0.5


def main() -> int:
    """0 when everything that was wanted lies on the medium, verified; 1 otherwise."""
    # What it has to say it says in its answer; the log is for what nobody expects.
    configure_logging("export", logging.ERROR)
    is_asked = sys.argv[1:] == [_ASKED]
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: stop.set())
    try:
        given = _parser().parse_args(_read_asked(sys.stdin.fileno()) if is_asked else sys.argv[1:])
        if is_asked:
            threading.Thread(target=_stop_at_end, args=(sys.stdin.fileno(), stop), daemon=True).start()
        return run_export(Paths.from_environment(), given, stop)
    except ApplianceError as error:
        _tell("error", {"sentence": error.sentence, "suggestion": error.suggestion})
        return 1


def run_export(paths: Paths, given: argparse.Namespace, stop: threading.Event) -> int:
    clock = SystemClock()
    told_at = 0.0

    def tell_progress(progress: Progress) -> None:
        nonlocal told_at
        if clock.monotonic() - told_at > _TELL_SECONDS:
            told_at = clock.monotonic()
            if not _tell("progress", asdict(progress)):
                stop.set()

    export = Export(
        Spool(paths.state),
        given.directory,
        AuditTrail(paths.audit, "export", clock),
        clock,
        actor=given.actor,
        is_stopped=stop.is_set,
        on_progress=tell_progress,
    )
    wanted = Wanted(tuple(given.exam), is_all=given.all, with_damaged=given.damaged)
    exported = export.run(wanted, is_own_flash_fine=given.own_flash)
    _tell("exported", asdict(exported))
    return 0 if len(exported.safe) == exported.objects and not exported.trouble else 1


def _read_asked(descriptor: int) -> list[str]:
    """The arguments that the command sends. ApplianceError when they do not come, or are none."""
    deadline, data = Deadline.after(SystemClock(), _ASK_SECONDS), b""
    while not data.endswith(b"\n") and len(data) < _MOST_ASKED_BYTES:
        is_there = select.select([descriptor], [], [], deadline.remaining())[0]
        piece = os.read(descriptor, _MOST_ASKED_BYTES) if is_there else b""
        if not piece:
            raise ApplianceError("Nobody says what is to be exported.")
        data += piece
    try:
        words = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ApplianceError("What is to be exported is not said in JSON.") from error
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ApplianceError("What is to be exported is not said as arguments.")
    return words


def _stop_at_end(descriptor: int, stop: threading.Event) -> None:
    """Whoever asked says by the end of its side that it wants no more, or is gone."""
    while os.read(descriptor, _MOST_ASKED_BYTES):
        pass
    stop.set()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Write objects as DICOM media into a mounted directory.")
    parser.add_argument("directory", type=Path, help="the mounted directory")
    parser.add_argument("--actor", required=True, help="who asks for it, for the audit trail")
    parser.add_argument("--exam", action="append", default=[], help="only this exam, whole; may be repeated")
    parser.add_argument("--all", action="store_true", help="also what is committed, or was released")
    parser.add_argument("--damaged", action="store_true", help="also what lies in quarantine")
    parser.add_argument("--own-flash", action="store_true", help="also into a directory of the box itself")
    return parser


def _tell(kind: str, content: Mapping[str, Any]) -> bool:
    """False when nobody listens any more: the command is gone, as when its SSH session was cut."""
    try:
        sys.stdout.write(json.dumps({kind: content}) + "\n")
        sys.stdout.flush()
    except ConnectionError:
        # What could not be written must not be tried again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
