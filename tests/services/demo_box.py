"""The demo as a process: the box's own services, the hospital and the machines, as `make demo` starts them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import tomlkit

from appliance.base.asking import Asker
from appliance.base.paths import Paths
from appliance.cli.demo_site import example_with_free_ports
from tests.peers import wait_until
from tests.ports import pick_free_port

START_SECONDS = 120.0


@dataclass
class Demo:
    """One run of `appliance demo` in `directory`."""

    directory: Path
    process: subprocess.Popen[str]
    printed: Path

    @property
    def paths(self) -> Paths:
        return Paths.below(self.directory)

    def pid_of(self, service: str) -> int | None:
        """The process of a service or of a device's acquire, if it runs now."""
        wanted = {
            "console": ["appliance.services.console"],
            "forward": ["appliance.services.forward"],
            "hospital": ["appliance.services.hospital"],
        }.get(service, ["appliance.services.acquire", service.removeprefix("acquire-")])
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                arguments = (entry / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.process.pid and arguments[1:2] == ["-m"] and arguments[2 : 2 + len(wanted)] == wanted:
                    return int(entry.name)
        return None

    def kill(self, service: str) -> None:
        """SIGKILL; waits until there is such a process first, since it may just have been killed before."""
        pid: list[int] = []

        def found() -> bool:
            pid[:] = [one for one in [self.pid_of(service)] if one is not None]
            return bool(pid)

        wait_until(found, f"{service} runs", START_SECONDS)
        os.kill(pid[0], signal.SIGKILL)

    def text(self) -> str:
        return self.printed.read_text(encoding="utf-8")

    @property
    def panel(self) -> str:
        """The panel's address, as it was printed."""
        found: list[str] = []

        def printed() -> bool:
            assert self.process.poll() is None, self.text()
            found[:] = re.findall(r"The panel: +(http://127\.0\.0\.1:\d+/\?token=\S+)", self.text())
            return bool(found)

        wait_until(printed, "the demo prints the panel's address", START_SECONDS)
        return found[0]

    def console(self) -> Asker:
        return Asker(self.paths.console_socket, "The console")

    def machines(self) -> Asker:
        return Asker(self.paths.run / "machines.sock", "The machines")

    def wait(self, seconds: float) -> int:
        return self.process.wait(seconds)

    def stop(self) -> int:
        """Ctrl-C."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


def prepare_site(directory: Path, archive: str = "simulator") -> Path:
    """The site that the demo would write at its first start, with ports that no other demo of this run has.

    Two demos that start at the same moment would both find the usual ports free.
    """
    site = directory / "site.toml"
    if site.exists():
        return site
    directory.mkdir(parents=True, exist_ok=True)
    document = tomlkit.parse(example_with_free_ports(archive))
    hospital, listener = pick_free_port(), pick_free_port()
    document["listener"]["port"] = listener  # type: ignore[index]
    document["performed_step"]["port"] = hospital  # type: ignore[index]
    archive_port = pick_free_port() if archive == "orthanc" else hospital
    for peer in (document["worklist"][0], document["destinations"][0]):  # type: ignore[index]
        peer["port"] = archive_port
    site.write_text(tomlkit.dumps(document), encoding="utf-8")
    return site


def demo_command(directory: Path, *arguments: str) -> list[str]:
    """`appliance demo` in `directory`, with ports of its own."""
    archive = arguments[arguments.index("--archive") + 1] if "--archive" in arguments else "simulator"
    prepare_site(directory, archive)
    ports = [f"--panel-port={pick_free_port()}", f"--machines-port={pick_free_port()}"]
    return [sys.executable, "-m", "appliance", "demo", "--directory", str(directory), *ports, *arguments]


def start_demo(directory: Path, *arguments: str) -> Demo:
    """Start the command; what it prints goes to a file."""
    command = demo_command(directory, *arguments)
    printed = directory.with_suffix(".printed")
    with printed.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, text=True
        )
    return Demo(directory, process, printed)


@contextlib.contextmanager
def running_demo(directory: Path, *arguments: str) -> Iterator[Demo]:
    """A demo that is stopped at the end of the block, whatever happens in it."""
    demo = start_demo(directory, *arguments)
    try:
        yield demo
    finally:
        if demo.process.poll() is None:
            demo.stop()


@dataclass(frozen=True)
class JobResult:
    """How `appliance demo --once --json` ended."""

    status: int
    document: dict[str, Any]
    errors: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        return list(self.document["objects"])


def run_job(directory: Path, *arguments: str, seconds: float = 240.0) -> JobResult:
    """The unattended job to its end."""
    command = demo_command(directory, "--once", "--json", *arguments)
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.stdout.strip(), f"the job printed nothing:\n{done.stderr}\n{logs_of(directory)}"
    return JobResult(done.returncode, json.loads(done.stdout), done.stderr)


def logs_of(directory: Path) -> str:
    """Everything that every process logged."""
    return "\n".join(
        path.read_text(encoding="utf-8", errors="replace") for path in sorted((directory / "log").glob("*"))
    )


def get_json(url: str) -> Any:
    answer = httpx.get(url, timeout=20)
    assert answer.status_code == 200, f"{url}: {answer.status_code} {answer.text[:200]}"
    return answer.json()
