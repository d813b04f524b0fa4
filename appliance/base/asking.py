"""Asking one of our processes over its unix socket: HTTP/JSON, one question a connection, one form of an error.

HTTP/1.0 (RFC 1945): one request, one answer, which ends with the connection. A command that asks is over before a
larger client, with TLS and all, would have been imported.
"""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from appliance.base.errors import ApplianceError

_log = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 64 * 1024 * 1024
_CONNECT_SECONDS = 2.0
_CHUNK_BYTES = 65_536
_HEAD_BYTES = 65_536
_TRY_AGAIN = "It may be starting; try again."


class Unreachable(ApplianceError):
    """The process at the other end did not answer in time: it is starting, restarting, or gone."""


class Refused(ApplianceError):
    """The process at the other end answered that it will not, and why."""


class Asker:
    """Asks one process over its unix socket. A connection serves one question: one that was kept could have ended."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, seconds: float = 5.0
    ) -> dict[str, Any]:
        """The JSON object answered within `seconds`; Unreachable when none came, Refused with the sentence given."""
        status, content = self._exchange(method, path, body, seconds)
        return _object_from(status, content, self._name)

    def ask_bytes(self, path: str, *, seconds: float = 5.0) -> bytes:
        """The body answered to a GET of `path`, a picture for instance. Errors as of `ask`."""
        status, content = self._exchange("GET", path, None, seconds)
        if status != 200:
            _object_from(status, content, self._name)
            raise Unreachable(f"{self._name} answered without a body (status {status}).")
        return content

    def close(self) -> None:
        """Nothing is held between two questions."""

    def _exchange(self, method: str, path: str, body: Mapping[str, Any] | None, seconds: float) -> tuple[int, bytes]:
        end = time.monotonic() + seconds
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
                line.settimeout(min(seconds, _CONNECT_SECONDS))
                line.connect(str(self._path))
                line.settimeout(seconds)
                line.sendall(_request_bytes(method, path, body))
                return _answer_from(bytes(self._read(line, end)))
        except (OSError, _BrokenOffError) as error:
            _log.debug("%s does not answer (%s)", self._name, type(error).__name__)
            raise Unreachable(f"{self._name} does not answer.", _TRY_AGAIN) from error

    def _read(self, line: socket.socket, end: float) -> bytearray:
        content = bytearray()
        while chunk := line.recv(_CHUNK_BYTES):
            content += chunk
            # A socket limits each wait, not their sum: a peer that drips would hold us for ever.
            if len(content) > MAX_ANSWER_BYTES + _HEAD_BYTES or time.monotonic() > end:
                raise Unreachable(f"{self._name} does not come to an end with its answer.", _TRY_AGAIN)
        return content


class _BrokenOffError(Exception):
    """What came is no whole answer."""


def _request_bytes(method: str, path: str, body: Mapping[str, Any] | None) -> bytes:
    assert path.isascii() and path.isprintable() and " " not in path, "a path is quoted by who asks"
    content = b"" if body is None else json.dumps(body).encode("ascii")
    lines = [f"{method} {path} HTTP/1.0", "Host: appliance", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(content)}", "", ""]
    return "\r\n".join(lines).encode("ascii") + content


def _answer_from(data: bytes) -> tuple[int, bytes]:
    """Status and body of a whole answer (RFC 1945 6). _BrokenOffError otherwise."""
    head, gap, content = data.partition(b"\r\n\r\n")
    first, *fields = head.split(b"\r\n")
    words = first.split(b" ", 2)
    if not gap or len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise _BrokenOffError
    for field in fields:
        name, _, value = field.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip() != b"%d" % len(content):
            raise _BrokenOffError
    return int(words[1][:3]), content


def _object_from(status: int, content: bytes, name: str) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Unreachable(f"{name} answered something that is not JSON (status {status}).") from error
    if status >= 400 or not isinstance(value, dict):
        said = value.get("error") if isinstance(value, dict) else None
        said = said if isinstance(said, dict) else {}
        sentence = str(said.get("sentence") or f"{name} refused with status {status}.")
        kind = Unreachable if status == 503 else Refused
        raise kind(sentence, str(said.get("suggestion", "")))
    return value
