"""The kiosk as a box runs it, but for the screen: cage in a window of a screen in memory, in it the kiosk's program.

Needs Debian's cage, xwayland, xvfb, xdotool, grim, gir1.2-gtk-4.0 and gir1.2-webkit-6.0. (On wlroots' own screen in
memory the cage of Debian 12 shows a program's first picture for ever; in a window it shows all of them.)
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.peers import wait_until
from tests.ports import pick_free_port

_HAND = Path(__file__).with_name("kiosk_hand.py")
_WAIT_SECONDS = 90.0
_NOBODY = 65534


class Kiosk:
    """A running kiosk; `directory` holds its sockets and its credential."""

    def __init__(self, directory: Path, process: subprocess.Popen[bytes], told: socket.socket, display: str) -> None:
        self.directory = directory
        self.process = process
        self._told = told
        self._display = display
        self._lines: Any = None

    def wait_until_ready(self) -> None:
        """Until it tells systemd that the panel is shown."""
        self._told.settimeout(_WAIT_SECONDS)
        while b"READY=1" not in self._told.recv(4096):
            pass

    def run(self, script: str) -> Any:
        """What `script` gives, a function's body in the page."""
        return self._ask({"run": script})

    def end_web_process(self) -> None:
        self._ask({"end": True})

    def wait(self, script: str, what: str) -> Any:
        """What `script` gives, once that is true; a page that is just being loaded gives nothing."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while (given := self.run(script)) in (None, False, 0) or isinstance(given, dict):
            assert time.monotonic() < deadline, f"waited in vain until {what}: {given}"
            time.sleep(0.2)
        return given

    def is_on(self, screen: str) -> None:
        self.wait(f"return document.body?.dataset.screen === '{screen}'", f"the screen is {screen}")

    def tap(self, testid: str, button: int = 1) -> None:
        """A press in the middle of what is seen there, which the compositor hands on as it does a finger's."""
        place = self.wait(
            f"""const found = document.querySelector("[data-testid='{testid}']");
            if (!found || found.disabled) return null;
            found.scrollIntoView({{ block: "nearest" }});
            const box = found.getBoundingClientRect();
            const [x, y] = [Math.round(box.x + box.width / 2), Math.round(box.y + box.height / 2)];
            return found.contains(document.elementFromPoint(x, y)) ? [x, y] : null;""",
            f"{testid} can be tapped",
        )
        command = ["xdotool", "mousemove", *map(str, place), "click", str(button)]
        subprocess.run(command, env={"PATH": "/usr/bin:/bin", "DISPLAY": self._display}, check=True, timeout=20)

    def photograph(self) -> bytes:
        """What the compositor shows, as PNG, by grim."""
        environment = {**_environment(self.directory, self._display), "WAYLAND_DISPLAY": "wayland-0"}
        return subprocess.run(["grim", "-"], env=environment, capture_output=True, check=True).stdout

    def pids(self) -> list[int]:
        """The compositor's and of all that it began."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                except OSError:
                    continue
                children.setdefault(parent, []).append(int(entry.name))
        found = [self.process.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def _ask(self, asked: dict[str, Any]) -> Any:
        if self._lines is None:
            line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            line.settimeout(_WAIT_SECONDS)
            line.connect(str(self.directory / "hand"))
            self._lines = line.makefile("rw", encoding="utf-8")
        self._lines.write(f"{json.dumps(asked)}\n")
        self._lines.flush()
        return json.loads(self._lines.readline())


def _environment(directory: Path, display: str) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(directory),
        "XDG_RUNTIME_DIR": str(directory),
        "DISPLAY": display,
        "WLR_BACKENDS": "x11",
        "WLR_RENDERER": "pixman",
        "GTK_A11Y": "none",
        # As the kiosk's unit says: that is the sandbox.
        "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1",
        # A screen in memory has no graphics processor that could share its buffers.
        "GSK_RENDERER": "cairo",
        "WEBKIT_DISABLE_DMABUF_RENDERER": "1",
        "LIBGL_ALWAYS_SOFTWARE": "1",
        "LANG": "C.UTF-8",
    }


@contextmanager
def kiosk(directory: Path, origin: str, token: str) -> Iterator[Kiosk]:
    """A kiosk on the panel at `origin`, which it opens with `token` as systemd's LoadCredential gives it."""
    directory.mkdir(mode=0o700)
    display = f":{pick_free_port()}"
    screen = subprocess.Popen(["Xvfb", display, "-screen", "0", "1100x800x24", "-nolisten", "tcp", "-ac"])
    wait_until(lambda: Path(f"/tmp/.X11-unix/X{display[1:]}").exists(), "the screen is there")
    (directory / "token").write_text(f"{token} boot\n", encoding="ascii")
    (directory / "backlight" / "lcd").mkdir(parents=True)
    (directory / "backlight" / "lcd" / "bl_power").write_text("0", encoding="ascii")
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(directory / "notify"))
    environment = {
        **_environment(directory, display),
        "CREDENTIALS_DIRECTORY": str(directory),
        "BACKLIGHT": str(directory / "backlight"),
        "NOTIFY_SOCKET": str(directory / "notify"),
    }
    command = ["cage", "--", "/usr/bin/python3", "-I", str(_HAND), f"{origin}/", str(directory / "hand")]
    # cage will not run as root.
    user = _NOBODY if os.geteuid() == 0 else None
    if user is not None:
        for path in (directory, *directory.rglob("*")):
            os.chown(path, user, user)
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, cwd=os.sep, user=user, group=user,
            extra_groups=None if user is None else [],
        )  # fmt: skip
    try:
        yield Kiosk(directory, process, notify, display)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)
        screen.terminate()
        screen.wait(20)
        notify.close()
