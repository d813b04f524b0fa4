"""Where things lie. The same tree on the box (/var/lib/appliance, /run/appliance) and in the demo's one directory.

Below `run` each service has a directory of its own: on the box its owner and group decide who may write there and who
may connect to the sockets in it (systemd/tmpfiles.d).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

STATE_VARIABLE = "APPLIANCE_STATE"
RUN_VARIABLE = "APPLIANCE_RUN"

# sockaddr_un.sun_path holds 108 bytes with its NUL (unix(7)); the longest socket name of ours is below 48.
_LONGEST_RUN_PATH = 60


@dataclass(frozen=True, slots=True)
class Paths:
    """The durable tree `state` (one filesystem) and the sockets and locks under `run`."""

    state: Path
    run: Path

    @classmethod
    def from_environment(cls) -> Paths:
        """The box's own paths unless the environment names others, as the demo and the tests do."""
        return cls(
            Path(os.environ.get(STATE_VARIABLE, "/var/lib/appliance")),
            Path(os.environ.get(RUN_VARIABLE, "/run/appliance")),
        )

    @classmethod
    def below(cls, directory: Path) -> Paths:
        """Everything in one directory; the sockets elsewhere if their paths would grow too long for the kernel."""
        state = directory.absolute()
        run = state / "run"
        if len(os.fsencode(run)) > _LONGEST_RUN_PATH:
            import hashlib  # neither is a box's need, and both take as long as much of a command
            import tempfile

            digest = hashlib.sha256(os.fsencode(state)).hexdigest()[:16]
            run = Path(tempfile.gettempdir()) / f"appliance-{os.getuid()}-{digest}"
        return cls(state, run)

    def environment(self) -> dict[str, str]:
        """What a child process needs to find the same tree."""
        return {STATE_VARIABLE: str(self.state), RUN_VARIABLE: str(self.run)}

    @property
    def configuration(self) -> Path:
        return self.state / "config" / "active.toml"

    @property
    def rules(self) -> Path:
        """What udev is told of the site's devices; on the box it reads them by a link (systemd/tmpfiles.d)."""
        return self.state / "config" / "rules"

    @property
    def journal(self) -> Path:
        return self.state / "journal" / "journal.sqlite"

    @property
    def worklist(self) -> Path:
        return self.state / "worklist"

    @property
    def audit(self) -> Path:
        return self.state / "audit"

    @property
    def clock(self) -> Path:
        """Where the console writes down whether the clock is right."""
        return self.run / "console"

    @property
    def console_socket(self) -> Path:
        return self.run / "console" / "console.sock"

    @property
    def console_lock(self) -> Path:
        return self.run / "console" / "console.lock"

    @property
    def forward_socket(self) -> Path:
        return self.run / "forward" / "forward.sock"

    @property
    def forward_lock(self) -> Path:
        return self.run / "forward" / "forward.lock"

    @property
    def export_socket(self) -> Path:
        """Where systemd starts an export for whoever connects; in the demo there is none."""
        return self.run / "export.sock"

    @property
    def apply_socket(self) -> Path:
        """Where systemd starts the program that changes the configuration; in the demo there is none."""
        return self.run / "apply.sock"

    @property
    def first_socket(self) -> Path:
        """Where systemd starts what a new box's panel asks for its first configuration; in the demo there is none."""
        return self.run / "first.sock"

    @property
    def effective(self) -> Path:
        """What is in force, as the program that changes the configuration keeps it for whoever looks."""
        return self.run / "apply" / "effective.json"

    @property
    def recover_lock(self) -> Path:
        return self.run / "acquire" / "recover.lock"

    def acquire_socket(self, device: str) -> Path:
        return self.run / "acquire" / f"acquire-{device}.sock"

    def acquire_lock(self, device: str) -> Path:
        """Held by the device's acquire, or by the recovery while it looks through the device's directory."""
        return self.run / "acquire" / f"acquire-{device}.lock"
