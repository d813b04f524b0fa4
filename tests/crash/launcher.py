"""Starts and kills the services for `world.Processes`: one JSON line in, one out. A parent that strace can follow.

Every service is a process of its own with its own composition root, forked from this one, which has imported them all
once: five programs that each import everything would take most of the time of a recording.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

SERVICES = ("acquire", "console", "forward", "hospital", "recover")
_END_SECONDS = 20.0


def start(log: str, name: str, service: str, arguments: list[str], become: Callable[[], None] = lambda: None) -> int:
    """A process that runs `python -m appliance.services.SERVICE ARGUMENTS`; its pid. It first does `become`."""
    module = importlib.import_module(f"appliance.services.{service}")
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        output = os.open(os.path.join(log, f"{name}.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, nothing), (1, output), (2, output)):
            os.dup2(source, target)
        os.closerange(3, 64)
        become()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.stdout = sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        sys.argv = [str(module.__file__), *arguments]
        status = module.main(arguments) if service == "acquire" else module.main()
        logging.shutdown()
    except BaseException:  # noqa: BLE001 -- as the interpreter would print it
        traceback.print_exc()
    finally:
        os._exit(status)


def main(log: str) -> None:
    for service in SERVICES:
        importlib.import_module(f"appliance.services.{service}")
    importlib.import_module("tests.crash.pixels").give_pixels()
    children: dict[str, int] = {}
    for line in sys.stdin:
        told = json.loads(line)
        answer: Any = None
        match told["act"]:
            case "start":
                answer = children[told["name"]] = start(log, told["name"], told["service"], told["arguments"])
            case "wait":
                answer = os.waitstatus_to_exitcode(os.waitpid(children.pop(told["name"]), 0)[1])
            case "kill":
                for name in told["names"]:
                    os.kill(children[name], signal.SIGKILL)
                for name in told["names"]:
                    os.waitpid(children.pop(name), 0)
            case "died":
                answer = [name for name, child in children.items() if os.waitpid(child, os.WNOHANG)[0]]
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    end(set(children.values()))


def end(children: set[int]) -> None:
    """SIGTERM to all, SIGKILL to who does not hear."""
    for child in children:
        os.kill(child, signal.SIGTERM)
    deadline = time.monotonic() + _END_SECONDS
    while children and time.monotonic() < deadline:
        children = {child for child in children if not os.waitpid(child, os.WNOHANG)[0]}
        time.sleep(0.02)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
