"""The box's own screen: plugged in it starts the kiosk, and what it shows is the panel."""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path

from PIL import Image

from tests.vm.box import Box
from tests.vm.frozen import REPOSITORY
from tests.vm.grabber import wait_for
from tests.vm.machine import Machine

_UNIT = "appliance-kiosk.service"
_SECONDS = 3600.0
# A browser on an emulated processor, and a screen without a graphics processor.
_SLOW = b"""\
[Service]
TimeoutStartSec=2h
WatchdogSec=2h
Environment=WLR_RENDERER=pixman GSK_RENDERER=cairo WEBKIT_DISABLE_DMABUF_RENDERER=1
"""


def test_ok__the_screen_shows_the_panel(guest: Machine, tmp_path: Path) -> None:
    box = Box(guest)
    guest.shell.run(f"mkdir -p /run/systemd/system/{_UNIT}.d")
    guest.shell.write_file(f"/run/systemd/system/{_UNIT}.d/slow.conf", _SLOW)
    guest.shell.run("systemctl daemon-reload", 300)
    # Its driver was held back at the boot (hardware.py); now udev sees a screen.
    guest.shell.run("modprobe virtio_gpu; udevadm settle", 300)
    guest.shell.wait_until("test -e /dev/dri/card0")
    _wait_ready(box)
    status = guest.shell.run(f"systemctl show --property StatusText --property NRestarts --value {_UNIT}")
    assert sorted(status.splitlines()) == ["0", "The panel is shown."]
    colours = panel_colours()
    # What the page is drawn with, and how: its ground, the bar above with its line, and words on both.
    picture = wait_for(lambda: _shown(guest, tmp_path / "screen.png", colours), "the panel's start screen")
    assert picture.size == (800, 480)


def panel_colours() -> dict[str, tuple[int, int, int]]:
    """The named colours of the panel's own style sheet."""
    sheet = "".join(path.read_text() for path in (REPOSITORY / "appliance/console/static").glob("*.css"))
    found = re.findall(r"--(\w+): #([0-9a-f]{6});", sheet)
    return {name: (int(code[:2], 16), int(code[2:4], 16), int(code[4:], 16)) for name, code in found}


def _shown(guest: Machine, path: Path, colours: dict[str, tuple[int, int, int]]) -> Image.Image | None:
    """The screen's picture once it is the panel: words, on the ground, below a bar with a line under it."""
    picture = screenshot(guest, path)
    counted = Counter(picture.getdata())
    rows = [[picture.getpixel((x, y)) for x in range(picture.width)] for y in range(80)]
    bar = Counter(pixel for row in rows[:56] for pixel in row)
    is_panel = (
        counted[colours["ground"]] > picture.width * picture.height // 3
        and bar[colours["surface"]] + bar[colours["raised"]] > picture.width * 56 // 2
        and any(row.count(colours["line"]) > picture.width * 9 // 10 for row in rows[50:])
        and counted[colours["text"]] > 50
        and len(counted) > 20
    )
    return picture if is_panel else None


def _wait_ready(box: Box) -> None:
    end = time.monotonic() + _SECONDS
    while box.shell.try_run(f"systemctl is-active {_UNIT}").status != 0:
        said = box.shell.run(f"journalctl --no-pager --boot --unit {_UNIT} | tail -n 30", 300)
        restarts = box.shell.run(f"systemctl show --property NRestarts --value {_UNIT}")
        assert restarts == "0\n" and time.monotonic() < end, said
        time.sleep(3.0)


def screenshot(guest: Machine, path: Path) -> Image.Image:
    guest.monitor.execute("screendump", filename=str(path), device="screen", format="png")
    with Image.open(path) as picture:
        return picture.convert("RGB")
