"""What somebody does, or tries, on the walled box: each function runs in a process that is that somebody (`inside`)."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import stat
import time
from pathlib import Path
from typing import Any

from appliance.base.asking import Asker
from appliance.base.errors import ApplianceError
from appliance.base.paths import Paths
from appliance.cli.main import main as run_command
from tests.crash.world import Technologist, answers

_PATHS = Paths.from_environment()


def attempt(act: str, path: str) -> str:
    """`done`, or the name of the error with which the kernel refused; what was done is undone."""
    try:
        _ACTS[act](Path(path))
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


def _create(path: Path) -> None:
    probe = path / ".part-probe"
    os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640))
    probe.unlink()


def _rename(path: Path) -> None:
    aside = path.with_name(f".part-{path.name}")
    path.rename(aside)
    aside.rename(path)


def _connect(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(path))


def _append(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_APPEND))


_ACTS = {
    "list": os.listdir,
    "read": Path.read_bytes,
    "create in": _create,
    "write to": _append,
    "rename": _rename,
    "connect to": _connect,
}


def wait_for(seconds: float, function: str, *arguments: Any) -> bool:
    """Whether the function of this module gives something true within `seconds`."""
    end = time.monotonic() + seconds
    while not globals()[function](*arguments):
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def owners_below(directory: str) -> dict[str, tuple[int, int, int]]:
    """Owner, group and mode of everything below, and of the directory itself, by path."""
    top = Path(directory)
    found = {}
    for path in (top, *top.rglob("*")):
        status = path.lstat()
        found[str(path)] = (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))
    return found


def find(pattern: str) -> list[str]:
    """The paths below the state directory that fit."""
    return sorted(map(str, _PATHS.state.glob(pattern)))


def make_socket(path: str, gid: int, mode: int) -> None:
    """As systemd makes a socket that nobody listens on yet: whoever may connect is refused in another way."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path)
    os.chown(path, 0, gid)
    Path(path).chmod(mode)


def write(path: str, text: str) -> None:
    Path(path).write_text(text)


def make_stick(path: str, uid: int) -> None:
    """A directory that is mounted for the export's user."""
    Path(path).mkdir()
    os.chown(path, uid, -1)


def remove(path: str) -> None:
    shutil.rmtree(path)


def is_box_ready(device: str) -> bool:
    """Whether console, forward and the device's acquire all answer."""
    places = [(_PATHS.console_socket, "/api/alive"), (_PATHS.forward_socket, "/status")]
    places.append((_PATHS.acquire_socket(device), "/status"))
    return all(answers(Asker(path, "It"), about) for path, about in places)


def has_signal(device: str) -> bool:
    with contextlib.suppress(ApplianceError):
        return bool(Asker(_PATHS.acquire_socket(device), "It").ask("GET", "/status")["state"] == "idle")
    return False


def open_exam() -> str:
    return _technologist().open_exam(0)


def tap(device: str, action: str, exam_id: str) -> dict[str, Any]:
    return _technologist().tap(device, action, exam_id)


def discard(exam_id: str, uid: str, reason: str) -> None:
    _ask("/api/exam/discard", {"exam_id": exam_id, "uid": uid, "reason": reason})


def describe(exam_id: str, device: str, description: str) -> None:
    _ask("/api/exam/describe", {"exam_id": exam_id, "device": device, "description": description})


def _ask(path: str, body: dict[str, Any]) -> None:
    Asker(_PATHS.console_socket, "The console").ask("POST", path, body)


def close_exam(exam_id: str) -> dict[str, Any]:
    return _technologist().close_exam(exam_id)


def _technologist() -> Technologist:
    return Technologist(Asker(_PATHS.console_socket, "The console"))


def command(*words: str) -> int:
    """The exit status of `appliance WORDS`; what it prints goes nowhere."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nothing, descriptor)
    return run_command(list(words))
