"""Run by the system's Python under umockdev-wrapper: a command that watches, and what is plugged in meanwhile.

Its words: the file of devices that are there, the file of devices that come and go again, how many lines are awaited,
and the command. It prints what the command printed.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading

import gi

gi.require_version("UMockdev", "1.0")
from gi.repository import UMockdev  # noqa: E402

_SECONDS = 60.0


def main(here: str, coming: str, lines: str, command: list[str]) -> int:
    bed = UMockdev.Testbed.new()
    bed.add_from_file(here)
    with open(coming) as file:
        text = file.read()
    # Whoever runs the tests in the background of a shell ignores Ctrl-C, and so would the command.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    killer = threading.Timer(_SECONDS, child.kill)
    killer.start()
    ready = child.stderr.readline()
    assert "Ctrl-C" in ready, ready + child.stderr.read()
    bed.add_from_string(text)  # an event "add" each
    paths = [line[3:].strip() for line in text.splitlines() if line.startswith("P: ")]
    for path in reversed(paths):
        bed.uevent(f"/sys{path}", "remove")
    for _ in range(int(lines)):
        print(child.stdout.readline(), end="")
    child.send_signal(signal.SIGINT)
    rest = child.stdout.read()
    killer.cancel()
    print(rest, end="")
    print(child.stderr.read(), end="", file=sys.stderr)
    return child.wait()


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        status = main(*sys.argv[1:4], sys.argv[4:])
    sys.stdout.flush()
    os._exit(status)
