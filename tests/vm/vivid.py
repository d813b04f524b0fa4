"""The kernel's own test grabber in the guest, and its settings."""

from __future__ import annotations

import shlex
from pathlib import Path

from tests.vm.box import PYTHON
from tests.vm.machine import Machine

# One video node among those that vivid makes, so that udev has one to name.
RULE = 'SUBSYSTEM=="video4linux", ATTR{name}=="vivid-000-vid-cap", ENV{APPLIANCE_NAME}="scope"\n'
_SCRIPT = Path(__file__).with_name("inside") / "v4l2.py"


class Vivid:
    """Loaded, with its four kinds of inputs: a webcam, television, S-Video, HDMI."""

    def __init__(self, guest: Machine) -> None:
        self._shell = guest.shell
        self._shell.write_file("/run/v4l2.py", _SCRIPT.read_bytes())
        self._shell.run("modprobe vivid n_devs=1", 300)
        self.node = self._shell.wait_until("ls /dev/v4l/by-path/platform-vivid*-video-index0").split()[0]

    def run(self, *words: str, seconds: float = 300.0) -> str:
        """inside/v4l2.py with these words; what it printed."""
        return self._shell.run(shlex.join([PYTHON, "/run/v4l2.py", self.node, *words]), seconds)

    def set(self, settings: dict[str, int]) -> None:
        """Vivid's controls, by their own names."""
        self.run("set", *(word for name, value in settings.items() for word in (name, str(value))))
