"""A root shell inside the guest, over a stream: each command ends with a word that only it can know."""

from __future__ import annotations

import secrets
import shlex
import socket
import time
from dataclasses import dataclass
from pathlib import Path


class ShellError(Exception):
    """The guest did not answer in time, went away, or a command that should succeed failed."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a command left: its exit status and what it wrote, both streams together."""

    status: int
    output: str


class Shell:
    """Commands run one after the other, each in a subshell, with an empty standard input."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = b""

    @classmethod
    def connect(cls, path: Path) -> Shell:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(path))
        return cls(connection)

    def wait_ready(self, seconds: float) -> None:
        """Until the guest's shell answers; whatever it wrote before belongs to nobody. ShellError when it does not.

        A command is sent again only while nothing reads it: a question that is answered twice leaves words that the
        next answer's own word steps over.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.try_run("true", min(5.0, max(0.1, deadline - time.monotonic())))
                return
            except TimeoutError as error:
                if time.monotonic() >= deadline:
                    raise ShellError(f"no shell in the guest within {seconds:.0f} s") from error

    def run(self, command: str, seconds: float = 60.0) -> str:
        """What the command wrote. ShellError when it fails, with all of its words."""
        done = self.try_run(command, seconds)
        if done.status != 0:
            raise ShellError(f"{command}\nended with {done.status}:\n{done.output}")
        return done.output

    def try_run(self, command: str, seconds: float = 60.0) -> Done:
        """Run it and tell how it ended. TimeoutError after `seconds`: then the shell is of no use until it is idle."""
        nonce = self._begin(f"( eval {shlex.quote(command)} ) </dev/null 2>&1")
        output, status = self._finish(nonce, time.monotonic() + seconds)
        return Done(status, output.decode(errors="replace"))

    def write_file(self, path: str, content: bytes, seconds: float = 60.0) -> None:
        """Put `content` into a file of the guest, byte by byte as it is."""
        nonce = self._begin(f"head -c {len(content)} > {shlex.quote(path)}")
        self._connection.settimeout(seconds)
        self._connection.sendall(content)
        output, status = self._finish(nonce, time.monotonic() + seconds)
        if status != 0:
            raise ShellError(f"{path} was not written: {output.decode(errors='replace')}")

    def read_file(self, path: str, seconds: float = 60.0) -> bytes:
        """The content of a file of the guest. ShellError when there is none."""
        nonce = self._begin(f"cat {shlex.quote(path)}")
        output, status = self._finish(nonce, time.monotonic() + seconds)
        if status != 0:
            raise ShellError(f"{path} cannot be read in the guest")
        return output

    def wait_until(self, command: str, seconds: float = 120.0) -> str:
        """Ask again and again until the command succeeds; what it wrote then. ShellError with its last words."""
        deadline = time.monotonic() + seconds
        pause = 0.1
        while True:
            done = self.try_run(command, seconds)
            if done.status == 0:
                return done.output
            if time.monotonic() > deadline:
                raise ShellError(f"{command}\nfailed for {seconds:.0f} s, at last with {done.status}:\n{done.output}")
            # Who asks takes an emulated processor from whom it waits for.
            time.sleep(pause)
            pause = min(2.0, pause * 1.5)

    def close(self) -> None:
        self._connection.close()

    def _begin(self, command: str) -> str:
        nonce = secrets.token_hex(12)
        # Written in two halves, so that an echo of the line is never taken for its end.
        half = len(nonce) // 2
        line = f"{command}; printf '%s%s %d;' {nonce[:half]} {nonce[half:]} $?\n"
        self._connection.settimeout(300.0)
        try:
            self._connection.sendall(line.encode())
        except TimeoutError:
            raise TimeoutError("the guest reads nothing") from None
        except OSError as error:
            raise ShellError(f"the guest's shell has gone away: {error}") from error
        return nonce

    def _finish(self, nonce: str, deadline: float) -> tuple[bytes, int]:
        mark = nonce.encode() + b" "
        searched = 0
        while True:
            place = self._received.find(mark, searched)
            end = self._received.find(b";", place) if place >= 0 else -1
            if end >= 0:
                output, status = self._received[:place], int(self._received[place + len(mark) : end])
                self._received = self._received[end + 1 :]
                return output, status
            searched = max(0, len(self._received) - len(mark)) if place < 0 else place
            self._connection.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                piece = self._connection.recv(1 << 20)
            except TimeoutError:
                raise TimeoutError(f"the guest did not end a command; so far: {self._received[-2000:]!r}") from None
            except OSError as error:
                raise ShellError(f"the guest's shell has gone away: {error}") from error
            if not piece:
                raise ShellError("the guest's shell has gone away")
            self._received += piece
