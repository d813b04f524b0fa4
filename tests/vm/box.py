"""The box inside the guest, as a site and a technologist see it: its configuration, its machines, its panel."""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path
from typing import Any

from tests.vm.machine import Machine

PYTHON = "/usr/lib/appliance/venv/bin/python"
STATE = "/var/lib/appliance"
# QEMU's user network: the host's own loopback as the guest sees it.
HOST = "10.0.2.2"
LISTENER = 11112
_INSIDE = Path(__file__).with_name("inside")
_SECONDS = 1800.0


class RefusedError(Exception):
    """A service of the box said no, or could not be reached; with its sentence."""


def wait_change(guest: Machine, state: str, command: str = "true") -> dict[str, Any]:
    """The last change, as root reads the records, once it is in that state; `command` is run until then.

    `waiting` is one that stood its self-test and has no end yet.
    """
    end = time.monotonic() + _SECONDS
    while True:
        said = guest.shell.try_run(command, _SECONDS).output
        changes: list[dict[str, Any]] = json.loads(guest.shell.run("appliance config log --json", _SECONDS))
        if changes and _state_of(changes[-1]) == state:
            return changes[-1]
        assert time.monotonic() < end, (said, changes[-1:])


def _state_of(change: dict[str, Any]) -> str:
    return "waiting" if change["state"] == "under way" and change["checks"] else str(change["state"])


def change_configuration(guest: Machine, configuration: str) -> None:
    """As somebody does at the box's own console: proposed, tried by the box, confirmed."""
    guest.shell.write_file("/run/site.toml", configuration.encode())
    # An emulated machine may be slower than the command is patient.
    wait_change(guest, "waiting", "appliance config apply /run/site.toml --confirm-within 6h")
    wait_change(guest, "confirmed", "appliance config confirm")


class Box:
    """Our services in a running guest."""

    def __init__(self, guest: Machine) -> None:
        self.guest = guest
        self.shell = guest.shell
        self.shell.write_file("/run/ask.py", (_INSIDE / "ask.py").read_bytes())

    def configure(self, configuration: str, rules: str = "") -> None:
        """What the unit that applies a configuration will do: the file, the site's names, the door for reports."""
        self.shell.write_file(f"{STATE}/config/active.toml", configuration.encode())
        self.shell.run(f"chmod 0644 {STATE}/config/active.toml")
        if rules:
            self.name_devices(rules)
        self.open_door()
        self.shell.run("systemctl restart appliance-forward.service appliance-console.service", _SECONDS)
        self.wait_active("appliance-forward.service", "appliance-console.service")
        self.trust_clock()

    def trust_clock(self) -> None:
        """A person at the panel says that the time is right."""
        self.ask("console", "POST", "/api/clock/trust", {})

    def open_door(self) -> None:
        """For the hospital's reports."""
        self.shell.run(f"nft add rule inet filter input tcp dport {LISTENER} accept")

    def name_devices(self, rules: str) -> None:
        """The site's rules for udev, for what is plugged in from now on."""
        self.shell.run("mkdir -p /run/udev/rules.d")
        self.shell.write_file("/run/udev/rules.d/69-appliance-site.rules", rules.encode())
        self.shell.run("udevadm control --reload")

    def wait_active(self, *units: str) -> None:
        names = " ".join(shlex.quote(unit) for unit in units)
        self.shell.wait_until(f"test $(systemctl is-active {names} | grep -cx active) = {len(units)}", _SECONDS)

    def ask(self, service: str, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """A service's answer: of `console`, `forward` or `acquire-NAME`. RefusedError with its sentence."""
        place = f"/run/appliance/{service.partition('-')[0]}/{service}.sock"
        words = [PYTHON, "-I", "-S", "/run/ask.py", place, method, path, "" if body is None else json.dumps(body)]
        told = json.loads(self.shell.run(shlex.join(words), _SECONDS))
        if "refused" in told:
            raise RefusedError(told["refused"])
        answer = told["answer"]
        assert isinstance(answer, dict)
        return answer

    def wait_finding(self, code: str) -> str:
        """The sentence of a finding that the panel shows, once it is there."""
        end = time.monotonic() + _SECONDS
        while True:
            findings = {one["code"]: one["sentence"] for one in self.ask("console", "GET", "/api/status")["findings"]}
            if code in findings:
                return str(findings[code])
            assert time.monotonic() < end, f"not within {_SECONDS:g} s: {code} among {findings}"
            time.sleep(1.0)

    def open_exam(self, number: int = 0) -> str:
        """Choose the `number`-th patient of the day."""
        self.ask("console", "POST", "/api/worklist/refresh", {})
        items = self.ask("console", "GET", "/api/worklist")["items"]
        key = [item["key"] for item in items if not item["missing"]][number]
        return str(self.ask("console", "POST", "/api/exams", {"key": key})["exam_id"])

    def close_exam(self, exam: str) -> None:
        self.ask("console", "POST", "/api/exam/close", {"exam_id": exam, "outcome": "COMPLETED"})

    def objects(self, exam: str, device: str) -> list[str]:
        """Names of the finished objects that wait for the exam's end."""
        found = self.shell.try_run(f"ls {STATE}/captured/{shlex.quote(device)}/{shlex.quote(exam)}")
        return [name for name in found.output.split() if name.endswith(".dcm")] if found.status == 0 else []

    def journal(self) -> str:
        """What our units logged."""
        return self.shell.run("journalctl --no-pager --boot --unit 'appliance-*' | tail -n 150", _SECONDS)
