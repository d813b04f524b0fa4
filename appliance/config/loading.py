"""Brings what runs to what the configuration says: files below /run, the programs that read them, our own services."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.base.durable import make_directory, remove_file, replace_file
from appliance.base.errors import ApplianceError
from appliance.base.flash import in_words
from appliance.base.lock import ProcessLock
from appliance.base.paths import Paths
from appliance.config.render import DAEMON_RELOAD, PARTS, Files, render
from appliance.config.restarts import ACQUIRE, units_of
from appliance.config.schema import Configuration

_log = logging.getLogger(__name__)

_RELOAD_SECONDS = 30.0
# forward may have a lost journal to rebuild, and is then ready later: the change is not to blame, but goes back.
_RESTART_SECONDS = 180.0
_LONGEST_SAID = 300

Run = Callable[[Sequence[str], float], None]
"""Runs a command for so many seconds at most; ApplianceError when it fails."""


def run_command(command: Sequence[str], seconds: float) -> None:
    """`command`, without a shell. ApplianceError with its last line when it fails, or does not end."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise ApplianceError(f"{' '.join(command)} did not end in {seconds:.0f} s.") from None
    except OSError as error:
        raise ApplianceError(f"{command[0]} cannot be run: {error.strerror}.") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}").splitlines()[-1]
        raise ApplianceError(f"{' '.join(command)} failed: {said[:_LONGEST_SAID].rstrip('.')}.")


def lock_changes(paths: Paths) -> ProcessLock:
    """Of whoever changes what is in force there is one. ApplianceError while another is at work."""
    return ProcessLock(paths.run / "apply" / "apply.lock", "The program that changes the configuration")


@dataclass(frozen=True, slots=True)
class System:
    """The system that runs below `root`, which is `/` on a box."""

    root: Path
    run: Run = run_command

    def put(self, before: Files, after: Files) -> list[str]:
        """Write what differs below the root; the names of the parts whose files did. ApplianceError from the flash."""
        changed = []
        for part in PARTS:
            wanted = {name: after[name] for name in part.files if name in after}
            with in_words(f"What is to be loaded ({part.name}) cannot be written"):
                written = [self._write(self.root / name, text) for name, text in wanted.items()]
                removed = [
                    self._remove(self.root / name) for name in part.files if name in before and name not in after
                ]
            if any((*written, *removed)):
                changed.append(part.name)
        return changed

    def boot(self, configuration: Configuration) -> None:
        """Before anything reads it: everything that `configuration` says, and nothing of it loaded but the units."""
        changed = self.put({}, render(configuration))
        for part in PARTS:
            if part.name in changed and DAEMON_RELOAD in part.reload:
                self._reload([DAEMON_RELOAD])

    def load(self, before: Configuration, after: Configuration, restarts: Sequence[str]) -> None:
        """All parts and services, whatever fails; then ApplianceError with everything that did."""
        troubles = []
        changed = self.put(render(before), render(after))
        for part in PARTS:
            if part.name in changed:
                try:
                    self._reload(part.reload)
                except ApplianceError as error:
                    troubles.append(error.sentence)
        for command, seconds in _service_commands(restarts, units_of(before), units_of(after)):
            try:
                self.run(command, seconds)
            except ApplianceError as error:
                troubles.append(error.sentence)
        _log.info("loaded: %s; started anew: %s", ", ".join(changed) or "nothing", ", ".join(restarts) or "nothing")
        if troubles:
            raise ApplianceError(" ".join(troubles))

    def _reload(self, commands: Sequence[Sequence[str]]) -> None:
        for command in commands:
            self.run(command, _RELOAD_SECONDS)

    def _write(self, path: Path, text: str) -> bool:
        """Whether it was something else."""
        data = text.encode("utf-8")
        if path.is_file() and path.read_bytes() == data:
            return False
        make_directory(path.parent, 0o755)
        replace_file(path, data, 0o644)
        return True

    def _remove(self, path: Path) -> bool:
        if not path.exists():
            return False
        remove_file(path)
        return True


def _service_commands(
    restarts: Sequence[str], before: frozenset[str], after: frozenset[str]
) -> list[tuple[list[str], float]]:
    """What systemd is asked. A machine's process runs while the machine is plugged in: nobody waits for that."""
    devices = [unit for unit in restarts if unit.startswith(ACQUIRE)]
    services = [unit for unit in restarts if unit not in devices]
    commands: list[tuple[list[str], float]] = []
    for verb, units in (
        ("stop", [unit for unit in devices if unit not in after]),
        ("try-restart", [unit for unit in devices if unit in before & after]),
        ("start", [unit for unit in devices if unit in after - before]),
    ):
        if units:
            options = ["--no-block"] if verb == "start" else []
            commands.append((["systemctl", verb, *options, *units], _RESTART_SECONDS))
    if services:
        commands.append((["systemctl", "restart", *services], _RESTART_SECONDS))
    return commands
