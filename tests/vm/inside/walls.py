"""Runs in the guest in place of a service of ours, inside its unit: what the walls around it let through, as JSON.

walls.py OUTPUT TRY...: each TRY is `read:PATH`, `write:PATH`, `open:PATH`, `inet:ADDRESS:PORT`, `udp:ADDRESS:PORT` or
`unix:PATH`. Told is `done`, or the error's name.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from pathlib import Path


def attempt(what: str) -> None:
    kind, _, where = what.partition(":")
    match kind:
        case "read":
            os.listdir(where)
        case "see":
            if not Path(where).read_bytes():
                raise OSError(errno.ENODATA, where)
        case "change":
            Path(where).write_bytes(Path(where).read_bytes())
        case "write":
            path = Path(where, "tried")
            path.touch()
            path.unlink()
        case "open":
            os.close(os.open(where, os.O_RDWR | os.O_NONBLOCK))
        case "inet" | "udp":
            address, _, port = where.rpartition(":")
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "inet" else socket.SOCK_DGRAM) as line:
                line.settimeout(20)
                line.connect((address, int(port)))
                if kind == "udp":
                    line.send(b"?")
        case "unix":
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
                line.connect(where)


def main(output: str, *tries: str) -> None:
    told = {"user": str(os.getuid())}
    for what in tries:
        try:
            attempt(what)
        except OSError as error:
            told[what] = errno.errorcode.get(error.errno or 0, type(error).__name__)
        else:
            told[what] = "done"
    sys.stdout.write(f"{output} {json.dumps(told)}\n")


main(*sys.argv[1:])
