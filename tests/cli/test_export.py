"""`appliance export`: the command and the process behind it, and what they say."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from appliance.base.sockets import bind_unix
from appliance.cli import export_report
from appliance.cli.caller import actor_from
from appliance.cli.export_report import line_of, summary_lines
from appliance.cli.main import main
from appliance.exam.audit_record import list_segments, read_segment
from tests.export.world import Box, make_large, patient, uid_of

_MEGABYTE = 1024 * 1024
PROCESS_ARGUMENTS = ("--actor", "maria", "--own-flash")


def command(box: Box, *arguments: str) -> list[str]:
    line = [sys.executable, "-m", "appliance", "--box", str(box.spool.state), "export", str(box.stick)]
    return [*line, "--own-flash", *arguments]


def run(box: Box, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """The command in this process, the export in its own; status, stdout, stderr."""
    status = main(command(box, *arguments)[3:])
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    made = Box(tmp_path)
    made.paths.configuration.parent.mkdir(parents=True)
    made.paths.configuration.write_text("")  # what --box knows a box by
    # A busy machine may take so long that the command says how far it is.
    monkeypatch.setattr(export_report, "_QUIET_SECONDS", 3600.0)
    for name, value in {**made.paths.environment(), "SUDO_USER": "maria"}.items():
        monkeypatch.setenv(name, value)
    return made


def test_ok__the_whole_way_for_people_and_for_programs(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    exam = box.open(patient("Doe^Jane", "PAT-1"))
    first = box.still(exam)
    box.end(exam)
    status, out, err = run(box, capsys)
    assert (status, err) == (0, "")
    assert "1 of 1 objects" in out and "verified." in out
    assert "Its DICOMDIR lists 1. They stay on this box too." in out
    second = box.still(None)
    status, out, err = run(box, capsys, "--json", "--all")
    answer = json.loads(out)
    assert {one["sop_instance_uid"]: one["exam_id"] for one in answer["safe"]} == {
        uid_of(first): exam.exam_id,
        uid_of(second): "",
    }
    assert all((box.stick / one["file_id"]).is_file() for one in answer["safe"])
    (path,) = list_segments(box.paths.audit / "export")
    assert {line.record.actor for line in read_segment(path)[0]} == {"maria (as told by the command line)"}


def test_fail__a_sentence_and_a_suggestion(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.still(None)
    (box.stick / "DICOMDIR").write_bytes(b"somebody's")
    status, out, err = run(box, capsys)
    assert (status, out) == (1, "")
    assert err.startswith(f"appliance: {box.stick} holds DICOM media of another system (DICOMDIR).\n")
    assert "Take an empty stick" in err


@contextmanager
def starter(box: Box, *program: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """What systemd does for `appliance-export.socket`: the program for each connection, as its stdin and stdout."""
    begun: list[subprocess.Popen[bytes]] = []
    listener = bind_unix(box.paths.export_socket)

    def accept() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            with line:
                begun.append(subprocess.Popen(program, stdin=line, stdout=line, stderr=subprocess.PIPE))

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield begun
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for process in begun:
            process.communicate(timeout=60)


ASKED = (sys.executable, "-m", "appliance.services.export", "--asked")


def test_ok__on_a_box_systemd_starts_the_export_for_who_asks(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    made = box.still(None)
    with starter(box, *ASKED) as begun:
        status, out, err = run(box, capsys, "--json")
    assert (status, err, len(begun)) == (0, "", 1)
    assert [one["sop_instance_uid"] for one in json.loads(out)["safe"]] == [uid_of(made)]
    (path,) = list_segments(box.paths.audit / "export")
    assert {line.record.actor for line in read_segment(path)[0]} == {"maria (as told by the command line)"}


@pytest.mark.parametrize("said", [b"", b"no JSON\n", b"[1]\n"])
def test_fail__who_asks_for_nothing_is_told_so(box: Box, said: bytes) -> None:
    done = subprocess.run(ASKED, input=said, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (1, b"")
    assert "error" in json.loads(done.stdout)


def test_fail__an_export_that_dies_at_its_start_is_told(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    with starter(box, "false"):
        status, out, err = run(box, capsys)
    assert (status, out) == (1, "")
    assert err.startswith("appliance: The export died before its end.\n")


def test_fail__who_may_not_ask_is_told(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    with starter(box, *ASKED):
        pass  # the socket's name stays, and nobody listens
    status, _, err = run(box, capsys)
    assert status == 1
    assert err.startswith("appliance: The export cannot be started (Connection refused).\n")


# In the export's process: behind each megabyte it waits for a byte in the pipe, or until it is to stop.
HELD = """
import os, select
from appliance.export import run

class Held(run.Export):
    def __init__(self, *given, on_progress, is_stopped, **named):
        pipe = os.open(os.environ["HELD_BY"], os.O_RDONLY)
        def tell(progress):
            on_progress(progress)
            while not is_stopped() and not select.select([pipe], [], [], 0.01)[0]:
                pass
        super().__init__(*given, on_progress=tell, is_stopped=is_stopped, **named)

run.Export = Held
"""


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Hold each export that begins, however fast the machine is, until this is called or it is told to stop."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "sitecustomize.py").write_text(HELD)
    monkeypatch.setenv("HELD_BY", str(pipe))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path[1:]]))
    descriptor = os.open(pipe, os.O_RDWR)
    yield lambda: _write_a_byte(descriptor)
    os.close(descriptor)


def _write_a_byte(descriptor: int) -> None:
    assert os.write(descriptor, b".") == 1


@pytest.mark.parametrize("is_asked", [False, True])
@pytest.mark.usefixtures("release")
def test_ok__ctrl_c_ends_in_order_and_the_next_run_goes_on(box: Box, is_asked: bool) -> None:
    """On a terminal: a line that is written over, and the summary."""
    for _ in range(2):
        make_large(box.still(None), 4 * _MEGABYTE)
    with starter(box, *ASKED) if is_asked else nullcontext():
        _interrupt_on_a_terminal(box)
    assert not list(box.stick.rglob("*.PRT"))
    assert len(box.export().safe) == 2


def _interrupt_on_a_terminal(box: Box) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(command(box), stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    said = b""
    while b"objects, " not in said:
        said += os.read(master, 4096)
    os.killpg(process.pid, signal.SIGINT)
    said += read_all(master)
    assert process.wait(60) == 1
    assert b"\r" in said
    assert b"The export was stopped." in said and b"of 2 objects are whole on it." in said


def read_all(descriptor: int) -> bytes:
    data = b""
    while True:
        try:
            block = os.read(descriptor, 65536)
        except OSError:  # how the end of a pseudo-terminal is told
            block = b""
        if not block:
            os.close(descriptor)
            return data
        data += block


def test_ok__a_command_that_died_stops_the_process(box: Box, release: Callable[[], None]) -> None:
    make_large(box.still(None), 4 * _MEGABYTE)
    program = "import sys; from appliance.services import export; export._TELL_SECONDS = 0; sys.exit(export.main())"
    line = [sys.executable, "-c", program, str(box.stick), *PROCESS_ARGUMENTS]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    assert b"progress" in process.stdout.readline()
    process.stdout.close()
    release()
    assert process.wait(60) == 1
    assert process.stderr.read() == b""
    assert [path for path in box.stick.rglob("*") if path.is_file()] == []


def test_ok__the_line_of_progress() -> None:
    told: dict[str, Any] = {
        "objects": 40,
        "objects_done": 12,
        "bytes": 1_204_000_000,
        "bytes_done": 310_400_000,
        "seconds_left": None,
    }
    assert line_of(told) == "12 of 40 objects, 310 of 1,204 MB"
    assert line_of({**told, "seconds_left": 74.4}) == "12 of 40 objects, 310 of 1,204 MB, 74 s left"


EXPORTED: dict[str, Any] = {
    "medium": "/media/usb",
    "objects": 2,
    "bytes": 3_140_000,
    "safe": [{}, {}],
    "written": 1,
    "there_before": 1,
    "listed": 7,
    "committed": 0,
    "decided": 0,
    "in_quarantine": 0,
    "findings": [],
    "trouble": "",
    "suggestion": "",
}


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        (
            {},
            [
                "2 of 2 objects (3.1 MB) lie on /media/usb, verified (1 from before).",
                "Its DICOMDIR lists 7. They stay on this box too.",
            ],
        ),
        (
            {"objects": 0, "committed": 3, "in_quarantine": 1},
            [
                "Nothing is to be exported.",
                "Also on this box: 3 committed (--all exports them too); 1 in quarantine (--damaged exports them too).",
            ],
        ),
        (
            {"trouble": "The stick is full.", "suggestion": "Take a larger one.", "decided": 2},
            ["The stick is full.", "Take a larger one.", "Also on this box: 2 released or discarded by a person."],
        ),
        (
            {"objects": 3, "findings": [{"sentence": "It is damaged.", "suggestion": "Look.", "subject": "1.2"}]},
            [
                "2 of 3 objects (3.1 MB) lie on /media/usb, verified (1 from before).",
                "Its DICOMDIR lists 7. They stay on this box too.",
                "! It is damaged. (1.2) Look.",
            ],
        ),
    ],
)
def test_ok__the_summary(changes: dict[str, Any], lines: list[str]) -> None:
    assert summary_lines({**EXPORTED, **changes}) == lines


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"SUDO_USER": "maria", "LOGNAME": "root"}, "maria"),
        ({"LOGNAME": "otto"}, "otto"),
        ({"USER": "eva\n\x1b[2J"}, "eva[2J"),
        ({"SUDO_USER": "x" * 500}, "x" * 64),
    ],
)
def test_ok__who_it_was_is_what_the_command_line_says(environment: dict[str, str], name: str) -> None:
    assert actor_from(environment) == f"{name} (as told by the command line)"


def test_ok__without_an_environment_it_is_the_systems_user() -> None:
    assert actor_from({}).endswith(" (as told by the command line)") and len(actor_from({})) > 30
