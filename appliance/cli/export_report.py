"""Starts the export's process and shows what it says: a line that moves on a terminal, a summary at the end.

On a box systemd starts it, as a user of its own and in its walls, for whoever connects to its socket. Where there is
none, as in the demo, it is a child.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from appliance.base.errors import ApplianceError
from appliance.base.paths import Paths
from appliance.cli.caller import actor_from
from appliance.cli.table import printable_text

_QUIET_SECONDS = 10.0


def run_export(given: argparse.Namespace) -> int:
    """Export; 0 when everything that was wanted lies verified on the medium, 1 otherwise.

    ApplianceError when it could not begin, or when the process died without an answer.
    """
    paths = Paths.from_environment()
    words = [str(given.directory.absolute()), "--actor", actor_from(os.environ)]
    words += [word for exam in given.exam for word in ("--exam", exam)]
    words += [f"--{name.replace('_', '-')}" for name in ("all", "damaged", "own_flash") if getattr(given, name)]
    shown = _ProgressLine(is_quiet=given.json)
    last: Mapping[str, Any] = {}
    begun = _asked(paths, words) if paths.export_socket.exists() else _child(paths, words)
    with begun as lines:
        for line in lines:
            last = json.loads(line)
            if "progress" in last:
                shown.show(last["progress"])
    shown.end()
    if "error" in last:
        raise ApplianceError(last["error"]["sentence"], last["error"]["suggestion"])
    if "exported" not in last:
        raise ApplianceError("The export died before its end.", "Repeat the command: it goes on where it was.")
    if given.json:
        print(json.dumps(last["exported"], indent=1, ensure_ascii=False))
    else:
        print("\n".join(summary_lines(last["exported"])))
    return 0 if len(last["exported"]["safe"]) == last["exported"]["objects"] and not last["exported"]["trouble"] else 1


@contextmanager
def _child(paths: Paths, words: list[str]) -> Iterator[Iterator[str]]:
    command = [sys.executable, "-m", "appliance.services.export", *words]
    environment = {**os.environ, **paths.environment()}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        # The process hears a Ctrl-C of the terminal too; it ends in order and says how far it came.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            yield process.stdout
        finally:
            signal.signal(signal.SIGINT, before)


@contextmanager
def _asked(paths: Paths, words: list[str]) -> Iterator[Iterator[str]]:
    """ApplianceError when nobody listens, or this user may not ask."""
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(str(paths.export_socket))
        except OSError as error:
            raise ApplianceError(
                f"The export cannot be started ({error.strerror}).", "Run it as the user of support, or as root."
            ) from error
        with suppress(ConnectionError):
            line.sendall(json.dumps(words).encode() + b"\n")

        def end_our_side(*_: object) -> None:
            with suppress(OSError):  # the other side may have ended meanwhile
                line.shutdown(socket.SHUT_WR)

        # At a Ctrl-C the process ends in order and says how far it came.
        before = signal.signal(signal.SIGINT, end_our_side)
        try:
            # Where the connection breaks the process died, as where a child's pipe ends: what it said is all.
            with line.makefile("r", encoding="utf-8") as lines, suppress(ConnectionError):
                yield lines
        finally:
            signal.signal(signal.SIGINT, before)


class _ProgressLine:
    """One line that is written over on a terminal; elsewhere a line now and then."""

    def __init__(self, *, is_quiet: bool) -> None:
        self._is_quiet = is_quiet
        self._is_terminal = sys.stderr.isatty()
        self._shown_at = time.monotonic()
        self._width = 0

    def show(self, progress: Mapping[str, Any]) -> None:
        line = line_of(progress)
        if self._is_terminal:
            print(f"\r{line:<{self._width}}", end="", file=sys.stderr, flush=True)
            self._width = len(line)
        elif not self._is_quiet and time.monotonic() - self._shown_at >= _QUIET_SECONDS:
            self._shown_at = time.monotonic()
            print(line, file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._width:
            print(file=sys.stderr)


def line_of(progress: Mapping[str, Any]) -> str:
    """How far the export is: `12 of 40 objects, 310 of 1,204 MB, 74 s left`."""
    left = progress["seconds_left"]
    done, whole = progress["bytes_done"] / 1e6, progress["bytes"] / 1e6
    line = f"{progress['objects_done']} of {progress['objects']} objects, {done:,.0f} of {whole:,.0f} MB"
    return line if left is None else f"{line}, {left:,.0f} s left"


def summary_lines(exported: Mapping[str, Any]) -> list[str]:
    """What came of it, for people."""
    lines = []
    safe, wanted = len(exported["safe"]), exported["objects"]
    if exported["trouble"]:
        lines += [exported["trouble"], exported["suggestion"]]
    elif not wanted:
        lines += ["Nothing is to be exported."]
    else:
        size = f"{exported['bytes'] / 1e6:,.1f} MB"
        before = f" ({exported['there_before']} from before)" if exported["there_before"] else ""
        lines += [
            f"{safe} of {wanted} objects ({size}) lie on {printable_text(exported['medium'])}, verified{before}.",
            f"Its DICOMDIR lists {exported['listed']}. They stay on this box too.",
        ]
    left = [
        (exported["committed"], "committed (--all exports them too)"),
        (exported["decided"], "released or discarded by a person"),
        (exported["in_quarantine"], "in quarantine (--damaged exports them too)"),
    ]
    told = [f"{count} {what}" for count, what in left if count]
    if told:
        lines.append(f"Also on this box: {'; '.join(told)}.")
    for finding in exported["findings"]:
        subject = f" ({finding['subject']})" if finding["subject"] else ""
        lines.append(f"! {finding['sentence']}{subject} {finding['suggestion']}")
    return [line for line in lines if line]
