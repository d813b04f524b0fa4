"""Runs in the guest, in a network of its own beside the box's: which TCP ports answer there. Prints them as JSON.

scan.py ADDRESS FIRST LAST, an IPv4 one. Every port between is asked to open a connection; what is dropped on the way
never answers.
"""

from __future__ import annotations

import contextlib
import errno
import json
import selectors
import socket
import sys
import time

_AT_ONCE = 16000
_ANSWER_SECONDS = 10.0


def main(address: str, lowest: int, highest: int) -> None:
    found: dict[str, list[int]] = {"open": [], "closed": []}
    for first in range(lowest, highest + 1, _AT_ONCE):
        ports = range(first, min(first + _AT_ONCE, highest + 1))
        with contextlib.ExitStack() as stack:
            answers = stack.enter_context(selectors.DefaultSelector())
            lines: dict[int, socket.socket] = {}
            for port in ports:
                line = stack.enter_context(socket.socket())
                line.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    line.connect((address, port))
                answers.register(line, selectors.EVENT_WRITE, port)
                lines[port] = line
            end = time.monotonic() + _ANSWER_SECONDS
            while answers.get_map() and time.monotonic() < end:
                for key, _ in answers.select(max(0.0, end - time.monotonic())):
                    error = lines[key.data].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    answers.unregister(key.fileobj)
                    if error == 0:
                        found["open"].append(key.data)
                    elif error == errno.ECONNREFUSED:
                        found["closed"].append(key.data)
    print(json.dumps(found))


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
