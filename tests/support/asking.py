"""What the box in a namespace is asked from outside of it, over a socket in its directory: one line there, one back."""

from __future__ import annotations

import json
import socket
from pathlib import Path

SOCKET = "asked.sock"
_SECONDS = 180.0


def ask(directory: Path, *words: str) -> str:
    """What the box answers: nothing when it did as it was asked, else why not."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(_SECONDS)
        line.connect(str(directory / SOCKET))
        line.sendall(json.dumps(words).encode() + b"\n")
        with line.makefile("r", encoding="utf-8") as answer:
            return str(json.loads(answer.readline()))
