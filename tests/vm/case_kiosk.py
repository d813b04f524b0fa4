"""The box's own screen: plugged in it starts the kiosk, and what it shows is the panel."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from PIL import Image

from tests.vm.box import Box
from tests.vm.machine import Machine

_UNIT = "appliance-kiosk.service"
_SECONDS = 1800.0


def test_ok__the_screen_shows_the_panel(guest: Machine, tmp_path: Path) -> None:
    box = Box(guest)
    # A browser on an emulated processor.
    guest.shell.run(f"mkdir -p /run/systemd/system/{_UNIT}.d")
    guest.shell.write_file(
        f"/run/systemd/system/{_UNIT}.d/slow.conf", b"[Service]\nTimeoutStartSec=1h\nWatchdogSec=1h\n"
    )
    guest.shell.run("systemctl daemon-reload", 300)
    # Its driver was held back at the boot (hardware.py); now udev sees a screen.
    guest.shell.run("modprobe virtio_gpu; udevadm settle", 300)
    guest.shell.wait_until("test -e /dev/dri/card0")
    box.wait_active(_UNIT)
    assert guest.shell.run(f"systemctl show --property StatusText --value {_UNIT}") == "The panel is shown.\n"
    picture = screenshot(guest, tmp_path / "screen.png")
    assert picture.size == (800, 480)
    print(Counter(picture.getdata()).most_common(8))


def screenshot(guest: Machine, path: Path) -> Image.Image:
    guest.monitor.execute("screendump", filename=str(path), device="screen", format="png")
    with Image.open(path) as picture:
        return picture.convert("RGB")
