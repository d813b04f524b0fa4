"""The kernel's own test camera is a camera to the box: it opens, tells its formats, and gives pictures."""

from __future__ import annotations

import json
from pathlib import Path

from tests.vm.machine import Machine

_PYTHON = "/usr/lib/appliance/venv/bin/python"
_GRAB = Path(__file__).with_name("inside") / "grab.py"


def test_ok__vivid_gives_pictures(guest: Machine) -> None:
    guest.shell.run("modprobe vivid n_devs=1 num_inputs=1 input_types=0x00")
    node = guest.shell.wait_until("ls /dev/v4l/by-path/platform-vivid*-video-index0").split()[0]
    guest.shell.write_file("/tmp/grab.py", _GRAB.read_bytes())
    told = json.loads(guest.shell.run(f"{_PYTHON} /tmp/grab.py {node}", 300))
    assert told["driver"] == "vivid"
    assert told["pixel_format"] == "YUYV"
    assert told["frames"] == [told["bytes_for_a_frame"]] * 3
    assert told["bytes_for_a_frame"] == told["width"] * told["height"] * 2
    # Colour bars, so not one value everywhere.
    assert told["values"] > 8
