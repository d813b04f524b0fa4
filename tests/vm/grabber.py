"""A frame grabber in the box, under its real unit and as the panel would ask it. Nobody has chosen a patient."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.vm.box import STATE, Box, RefusedError

UNIT = "appliance-acquire@scope.service"
SECONDS = 1800.0


def wait_for(ask: Callable[[], Any], what: str) -> Any:
    """What `ask` gives once it is true. AssertionError with `what` when it does not become so."""
    end = time.monotonic() + SECONDS
    while True:
        found = ask()
        if found:
            return found
        assert time.monotonic() < end, f"not within {SECONDS:g} s: {what}"
        time.sleep(1.0)


class Grabber:
    """The device `scope`. `process` is what its unit's main process was when it came up."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.process = ""

    def wait_up(self) -> None:
        """Until udev has named it, its unit is ready and a picture is there."""
        self.box.wait_active(UNIT)
        self.process = self._main_process()
        self.wait_state("idle")

    def status(self) -> dict[str, Any]:
        return self.box.ask("acquire-scope", "GET", "/status")

    def findings(self) -> dict[str, str]:
        """Code → sentence."""
        return {finding["code"]: finding["sentence"] for finding in self.status()["findings"]}

    def wait_finding(self, code: str) -> str:
        """Its sentence, once it is there."""
        return str(wait_for(lambda: self.findings().get(code), f"a finding {code}"))

    def wait_no_finding(self, *codes: str) -> None:
        wait_for(lambda: not set(codes) & set(self.findings()), f"none of {codes}")

    def count_told(self, sentence: str) -> int:
        """How often a finding was told of in the log: it may be over before anybody asks for it."""
        log = self.box.shell.run(f"journalctl --boot --no-pager --output cat --unit {UNIT}", SECONDS)
        return log.count(sentence)

    def wait_state(self, state: str) -> str:
        """What the device says of itself, once it is in that state."""

        def sentence() -> str | None:
            status = self.status()
            return str(status["sentence"]) if status["state"] == state else None

        return str(wait_for(sentence, state))

    def still(self) -> str:
        """The name of a new still's object."""
        return str(self.box.ask("acquire-scope", "POST", "/still", {})["file_name"])

    def wait_still(self) -> None:
        """The picture is there again by itself, in the same process: a still of it is stored."""
        self.wait_state("idle")
        before = self.objects()
        assert self.still() not in before
        assert len(self.objects()) == len(before) + 1
        assert self._main_process() == self.process

    def refused_still(self) -> str:
        """The sentence with which a still is refused; nothing is stored of it."""
        before = self.objects()
        with pytest.raises(RefusedError) as refused:
            self.still()
        assert self.objects() == before
        return str(refused.value)

    def start_clip(self, seconds: float = 2.0) -> None:
        """Begin a clip, and let it come to that length."""
        self.box.ask("acquire-scope", "POST", "/clip/start", {})
        wait_for(lambda: (self.status()["progress"] or {}).get("done", 0.0) >= seconds, f"{seconds:g} s of a clip")

    def stop_clip(self) -> str:
        """The name of its object."""
        return str(self.box.ask("acquire-scope", "POST", "/clip/stop", {})["file_name"])

    def objects(self) -> set[str]:
        """The names of all that was captured."""
        found = self.box.shell.try_run(f"ls {STATE}/captured/scope/unassigned")
        return {name for name in found.output.split() if name.endswith(".dcm")} if found.status == 0 else set()

    def read(self, name: str) -> bytes:
        return self.box.shell.read_file(f"{STATE}/captured/scope/unassigned/{name}", SECONDS)

    def _main_process(self) -> str:
        return self.box.shell.run(f"systemctl show --property MainPID --value {UNIT}").strip()
