"""Runs in the guest: looks at a stream of JPEG pictures until so many have come (multipart/x-mixed-replace).

frames.py PORT COUNT ends with 0 then, and with 1 when there is no such stream.
"""

from __future__ import annotations

import socket
import sys

_SILENT_SECONDS = 120.0
_BEGIN = b"\xff\xd8\xff"


def main(port: str, count: str) -> int:
    seen, tail = 0, b""
    try:
        with socket.create_connection(("127.0.0.1", int(port)), _SILENT_SECONDS) as line:
            line.sendall(b"GET /stream HTTP/1.1\r\nHost: box\r\n\r\n")
            while seen < int(count):
                piece = line.recv(1 << 16)
                if not piece:
                    return 1
                # A picture's beginning may come in two pieces, and is counted once.
                seen += (tail + piece).count(_BEGIN)
                tail = (tail + piece)[-(len(_BEGIN) - 1) :]
    except OSError as error:
        print(error)
        return 1
    return 0


sys.exit(main(*sys.argv[1:]))
