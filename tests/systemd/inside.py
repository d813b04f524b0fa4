"""Runs as root in a mount namespace of its own, where `/var/lib` and `/run` are empty: the box's real paths and users.

For `box.WalledBox`: one JSON line in, one out. A service, or a function of `acts`, is forked, becomes whom it is told
to be, and runs. Nothing is mounted or made outside of this namespace, which ends with this process.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import signal
import struct
import subprocess
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import Any

from tests.crash.launcher import end, start

# Linux, capability.h and capset(2).
_CAPABILITIES = {"CAP_DAC_READ_SEARCH": 2, "CAP_NET_ADMIN": 12}
_CAPSET_VERSION = 0x20080522
SERVICES = ("acquire", "console", "forward", "export", "recover")


def lay_out(etc: str, tmpfiles: str, reachable: list[str]) -> None:
    """The box's users, its directories as systemd-tmpfiles makes them, and the program where everyone may read it."""
    for place in ("/var/lib", "/run"):
        _mount("-t", "tmpfs", "tmpfs", place)
    for file in ("passwd", "group"):
        _mount("--bind", f"{etc}/{file}", f"/etc/{file}")
    for path in reachable:
        _open_the_way(Path(path))
    subprocess.run(["systemd-tmpfiles", "--create", tmpfiles], check=True, timeout=60)


def _open_the_way(path: Path) -> None:
    """Let everyone pass to `path`, for instance below the home of who runs the tests."""
    closed = [one for one in reversed(path.parents) if not one.stat().st_mode & 0o001]
    if closed:
        _mount("--mkdir", "--rbind", str(path), "/run/way")
        _mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", str(closed[0]))
        _mount("--mkdir", "--rbind", "/run/way", str(path))


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, timeout=60)


def become(identity: dict[str, Any]) -> None:
    """Whom systemd, or a login, would have made of this process."""
    os.umask(identity["umask"])
    os.setgroups(identity["groups"])
    os.setgid(identity["gid"])
    os.setuid(identity["uid"])
    if identity["capabilities"] is not None:
        _keep_capabilities(identity["capabilities"])


def _keep_capabilities(names: list[str]) -> None:
    """Effective and permitted ones; none is inherited."""
    kept = sum(1 << _CAPABILITIES[name] for name in names)
    header, data = struct.pack("Ii", _CAPSET_VERSION, 0), struct.pack("6I", kept, kept, 0, 0, 0, 0)
    if ctypes.CDLL(None, use_errno=True).capset(header, data) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def call(function: str, arguments: list[Any], identity: dict[str, Any]) -> Any:
    """What the function of `acts` answers in a process that is `identity`."""
    acts = importlib.import_module("tests.systemd.acts")
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(read)
            become(identity)
            answer = getattr(acts, function)(*arguments)
        except BaseException:  # noqa: BLE001 -- the test shows it
            answer = {"fault": traceback.format_exc()}
        with contextlib.suppress(OSError):
            os.write(write, json.dumps(answer).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return json.loads(told)


def main(log: str) -> None:
    for service in SERVICES:
        importlib.import_module(f"appliance.services.{service}")
    importlib.import_module("tests.systemd.acts")
    children: dict[str, int] = {}
    for line in sys.stdin:
        told = json.loads(line)
        answer: Any = None
        match told.pop("act"):
            case "lay out":
                lay_out(**told)
            case "start":
                identity = told.pop("identity")
                answer = children[told["name"]] = start(log, **told, become=partial(become, identity))
            case "wait":
                answer = os.waitstatus_to_exitcode(os.waitpid(children.pop(told["name"]), 0)[1])
            case "kill":
                os.kill(children[told["name"]], signal.SIGKILL)
                os.waitpid(children.pop(told["name"]), 0)
            case "died":
                answer = [name for name, child in children.items() if os.waitpid(child, os.WNOHANG)[0]]
            case "call":
                answer = call(**told)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    end(set(children.values()))


if __name__ == "__main__":
    main(*sys.argv[1:])
