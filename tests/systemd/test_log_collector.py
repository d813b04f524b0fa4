"""What is logged reaches a collector: systemd's own receiver over TLS, asked with the unit's own command."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.certificates import Credentials, make_authority
from tests.cli.journals import write_journal
from tests.ports import pick_free_port
from tests.systemd.identity import read_values

_RECEIVER = "/lib/systemd/systemd-journal-remote"
_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Box:
    """A journal, how far it was sent, and whose certificate the box has."""

    journal: Path
    state: Path
    own: Credentials

    def log(self, *messages: str) -> None:
        """More lines at the journal's end."""
        write_journal(self.journal, [(datetime.now(UTC), "appliance-forward.service", 6, one) for one in messages])

    def send(self, port: int) -> int:
        """The unit's command until all is sent, its journal and credentials elsewhere; its exit status."""
        (line,) = read_values("appliance-logs.service", "ExecStart")
        files = {"certificate": self.own.certificate, "key": self.own.key, "authorities": self.own.authorities}
        for name, file in files.items():
            line = line.replace(f"%d/{name}", str(file))
        line = line.replace("${COLLECTOR}", f"https://localhost:{port}")
        line = line.replace("/var/lib/appliance-logs/state", str(self.state))
        command = [*line.split(), f"--directory={self.journal}", "--follow=no"]
        return subprocess.run(command, check=False, timeout=_SECONDS, capture_output=True).returncode


@contextlib.contextmanager
def _collector(directory: Path, port: int, own: Credentials) -> Iterator[Path]:
    """systemd's receiver (as Debian builds it, it asks nobody for a certificate); where it keeps what it got."""
    directory.mkdir(exist_ok=True)
    kept = directory / "remote.journal"
    command = [_RECEIVER, f"--listen-https=127.0.0.1:{port}", "--split-mode=none", f"--output={kept}"]
    command += [f"--key={own.key}", f"--cert={own.certificate}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as receiver:
        end = time.monotonic() + _SECONDS
        while not _is_open(port):
            assert receiver.poll() is None and time.monotonic() < end
            time.sleep(0.05)
        yield kept
        receiver.terminate()
        receiver.communicate(timeout=_SECONDS)


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _messages(kept: Path) -> list[str]:
    """What a collector has, by journalctl."""
    if not kept.exists():
        return []
    command = ["journalctl", f"--file={kept}", "--output=json", "--no-pager"]
    done = subprocess.run(command, check=True, timeout=_SECONDS, capture_output=True, text=True)
    return [json.loads(line)["MESSAGE"] for line in done.stdout.splitlines()]


@pytest.fixture
def box(tmp_path: Path) -> Box:
    own = make_authority(tmp_path / "hospital").issue("box")
    (tmp_path / "journal").mkdir()
    return Box(tmp_path / "journal", tmp_path / "state", own)


def test_ok__all_of_it_arrives_in_its_order_and_what_a_collector_missed_later(box: Box, tmp_path: Path) -> None:
    port = pick_free_port()
    box.log("first", "second")
    assert box.send(port) != 0, "nobody listens"
    with _collector(tmp_path / "collector", port, box.own) as kept:
        assert box.send(port) == 0
        box.log("third")
        assert box.send(port) == 0  # started anew, as after a power cut: it goes on where it was
    # systemd 252 sends the last line that it sent once more when it starts.
    assert _messages(kept) in (["first", "second", "third"], ["first", "second", "second", "third"])


def test_fail__a_collector_that_the_hospital_does_not_vouch_for_gets_nothing(box: Box, tmp_path: Path) -> None:
    port = pick_free_port()
    box.log("first")
    stranger = make_authority(tmp_path / "elsewhere").issue("collector")
    with _collector(tmp_path / "collector", port, stranger) as kept:
        assert box.send(port) != 0
    assert _messages(kept) == [] and not box.state.exists()


def test_ok__a_collector_that_asks_who_the_box_is_is_told(box: Box) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(box.own.certificate, box.own.key)
    context.load_verify_locations(box.own.authorities)
    context.verify_mode = ssl.CERT_REQUIRED
    box.log("first")
    shown = []
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as beside:
        server.settimeout(_SECONDS)
        sending = beside.submit(box.send, server.getsockname()[1])
        line, _ = server.accept()
        line.settimeout(_SECONDS)
        with context.wrap_socket(line, server_side=True) as talk:
            shown.append(talk.getpeercert(binary_form=True))
        assert sending.result(_SECONDS) != 0, "who took nothing has nothing"
    assert shown == [box.own.der] and not box.state.exists()
