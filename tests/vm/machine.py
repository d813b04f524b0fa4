"""A running virtual machine: started from its disk or from a saved state, and ended by the process that started it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from tests.vm.hardware import DISK_BYTES, NEW_VARIABLES, Hardware, variables_of
from tests.vm.qmp import Monitor, MonitorError
from tests.vm.shell import Shell, ShellError

# Emulated, beside other work: a bound for what hangs, never a measure of the box.
BOOT_SECONDS = 3600.0
_START_SECONDS = 600.0
_SAVE_SECONDS = 1800.0
_POLL_SECONDS = 3.0
_ANSWER_SECONDS = 60.0
_Peer = TypeVar("_Peer")


class Machine:
    """QEMU, its monitor and the shell inside."""

    def __init__(self, hardware: Hardware, incoming: Path | None = None) -> None:
        """Start it; with `incoming` it is paused until `resume`. MonitorError when QEMU does not come up."""
        self.hardware = hardware
        self._log = hardware.directory / "qemu.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                hardware.command(incoming), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self.monitor = self._connected(Monitor.connect, hardware.monitor_socket)
            self.shell = self._connected(Shell.connect, hardware.shell_socket)
        except BaseException:
            self.kill()
            raise

    def wait_booted(self, seconds: float = BOOT_SECONDS) -> str:
        """Until systemd has nothing more to start: `running`, or `degraded` when a unit failed.

        ShellError with the jobs that still wait when it does not come to that.
        """
        deadline = time.monotonic() + seconds
        self.shell.wait_ready(seconds)
        while True:
            state = self.shell.try_run("systemctl is-system-running", seconds).output.strip()
            if state in ("running", "degraded"):
                return state
            if time.monotonic() > deadline:
                waiting = self.shell.try_run("systemctl list-jobs; systemctl list-units --failed", seconds).output
                raise ShellError(f"the boot has not ended but is {state}:\n{waiting}")
            time.sleep(_POLL_SECONDS)

    def restart(self) -> str:
        """Start it anew as its own software does, and `wait_booted`."""
        before = self._boot()
        self.shell.try_run("(sleep 1; systemctl reboot) >/dev/null 2>&1 & true")
        self.wait_another_boot(before)
        return self.wait_booted()

    def reset(self) -> None:
        """As by the board's reset button, and until another boot answers: nothing is said to what runs."""
        before = self._boot()
        self.monitor.execute("system_reset")
        self.wait_another_boot(before)

    def wait_another_boot(self, before: str, seconds: float = BOOT_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while True:
            self.shell.wait_ready(max(1.0, deadline - time.monotonic()))
            with contextlib.suppress(TimeoutError):
                if self._boot(_ANSWER_SECONDS) != before:
                    return
            if time.monotonic() > deadline:
                raise ShellError(f"not started anew within {seconds:.0f} s")
            time.sleep(_POLL_SECONDS)

    def _boot(self, seconds: float = _START_SECONDS) -> str:
        return self.shell.run("cat /proc/sys/kernel/random/boot_id", seconds).strip()

    def save(self, memory: Path) -> None:
        """Stop it for good and keep its memory and devices in a file; its disk goes with it, unchanged from now on."""
        self.monitor.execute("stop")
        # The default would send at an ordinary network's speed.
        self.monitor.execute("migrate-set-parameters", max_bandwidth=1 << 40)
        self.monitor.execute("migrate", uri=f"exec:cat > {memory}")
        self._wait_migrated()
        self.quit()

    def resume(self) -> None:
        """Go on where `save` stopped, with the host's time of now: a box that slept would have kept its clock."""
        self._wait_migrated()
        self.monitor.execute("cont")
        self.shell.wait_ready(_START_SECONDS)
        self.shell.run(f"date --utc --set=@{time.time():.3f}")

    def quit(self) -> None:
        """End QEMU now, as if the cord were pulled but with what reached its files kept."""
        with contextlib.suppress(MonitorError):
            self.monitor.execute("quit")
        self._end()

    def kill(self) -> None:
        self._process.kill()
        self._end()

    def describe(self) -> str:
        """For the one who reads a failure: the ends of the console and of QEMU's own words."""
        ends = [f"{path.name}:\n{_end_of(path)}" for path in (self.hardware.console_log, self._log) if path.exists()]
        return "\n".join(ends)

    def _end(self) -> None:
        for part in ("monitor", "shell"):
            if hasattr(self, part):
                getattr(self, part).close()
        self._process.wait(60)

    def _wait_migrated(self) -> None:
        deadline = time.monotonic() + _SAVE_SECONDS
        while True:
            status = self.monitor.execute("query-migrate").get("status")
            if status == "completed":
                return
            if status == "failed" or time.monotonic() > deadline:
                raise MonitorError(f"the saved state: {status}\n{self.describe()}")
            time.sleep(0.05)

    def _connected(self, connect: Callable[[Path], _Peer], path: Path) -> _Peer:
        """Between the socket's name and its listening there is a moment in which it refuses."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                return connect(path)
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise MonitorError(f"QEMU did not start:\n{self.describe()}")
            time.sleep(0.02)


def make_disk(backing: Path, backing_format: str, disk: Path) -> None:
    """A new disk that begins as `backing` and writes elsewhere, and the firmware's variables that go with it."""
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", backing, "-F", backing_format, disk, str(DISK_BYTES)],
        check=True,
    )
    known = variables_of(backing)
    shutil.copyfile(known if known.exists() else NEW_VARIABLES, variables_of(disk))


@contextlib.contextmanager
def running(machine: Machine) -> Iterator[Machine]:
    """Ends it at the block's end, whatever happened."""
    try:
        yield machine
    finally:
        machine.quit()


def _end_of(path: Path, size: int = 6000) -> str:
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - size))
        return file.read().decode(errors="replace")
