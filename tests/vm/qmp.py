"""QEMU's machine protocol (docs/interop/qmp-spec): one JSON object a line, answers in order, events in between."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

JsonObject = dict[str, Any]


class MonitorError(Exception):
    """QEMU refused a command, or went away."""


class Monitor:
    """The monitor's client: `execute` waits for its answer, events are kept until somebody asks for them."""

    def __init__(self, connection: socket.socket, seconds: float = 300.0) -> None:
        """Greets at once. `seconds` is how long an answer may take. MonitorError when it is not a monitor."""
        self._connection = connection
        self._seconds = seconds
        self._received = b""
        self._events: list[JsonObject] = []
        if "QMP" not in self._next_object(time.monotonic() + seconds):
            raise MonitorError("the other side is not a QEMU monitor")
        self.execute("qmp_capabilities")

    @classmethod
    def connect(cls, path: Path, seconds: float = 300.0) -> Monitor:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(seconds)
        connection.connect(str(path))
        return cls(connection, seconds)

    def execute(self, command: str, **arguments: Any) -> Any:
        """What the command returned. Names with hyphens are given with underscores. MonitorError with QEMU's words."""
        request: JsonObject = {"execute": command}
        if arguments:
            request["arguments"] = {name.rstrip("_").replace("_", "-"): value for name, value in arguments.items()}
        self._send(request)
        deadline = time.monotonic() + self._seconds
        while True:
            answer = self._next_object(deadline)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise MonitorError(f"{command}: {answer['error']['desc']}")
            self._keep_event(answer)

    def wait_event(self, name: str, seconds: float) -> JsonObject:
        """The first event of that name that nobody has taken yet. MonitorError when none comes."""
        deadline = time.monotonic() + seconds
        while True:
            for event in self._events:
                if event["event"] == name:
                    self._events.remove(event)
                    return event
            self._keep_event(self._next_object(deadline))

    def close(self) -> None:
        self._connection.close()

    def _keep_event(self, answer: JsonObject) -> None:
        if "event" in answer:
            self._events.append(answer)

    def _send(self, request: JsonObject) -> None:
        try:
            self._connection.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise MonitorError(f"QEMU has gone away: {error}") from error

    def _next_object(self, deadline: float) -> JsonObject:
        while b"\n" not in self._received:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise MonitorError("QEMU does not answer")
            self._connection.settimeout(remaining)
            try:
                piece = self._connection.recv(65536)
            except TimeoutError as error:
                raise MonitorError("QEMU does not answer") from error
            except OSError as error:
                raise MonitorError(f"QEMU has gone away: {error}") from error
            if not piece:
                raise MonitorError("QEMU has gone away")
            self._received += piece
        line, self._received = self._received.split(b"\n", 1)
        answer = json.loads(line)
        if not isinstance(answer, dict):
            raise MonitorError(f"not an object: {line!r}")
        return answer
