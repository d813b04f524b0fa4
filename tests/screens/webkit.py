"""The main job in WebKit's engine, which is the kiosk's: by the protocol that every engine speaks (W3C WebDriver).

Needs Debian's webkit2gtk-driver and xvfb.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx

from tests.ports import pick_free_port

_DRIVER, _SCREEN = "WebKitWebDriver", "Xvfb"
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_WAIT_SECONDS = 60.0


def _browsers() -> list[Path]:
    return sorted(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"))


class WebKit:
    """One page."""

    def __init__(self, client: httpx.Client, session: str) -> None:
        self._client = client
        self._session = session

    @classmethod
    def begin(cls, client: httpx.Client) -> Self:
        browser = {"binary": str(_browsers()[-1]), "args": ["--automation"]}
        wanted = {"capabilities": {"alwaysMatch": {"webkitgtk:browserOptions": browser}}}
        answer = client.post("/session", json=wanted).raise_for_status().json()["value"]
        return cls(client, answer["sessionId"])

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        url = f"/session/{self._session}{path}"
        answer = self._client.get(url) if body is None else self._client.post(url, json=body)
        return answer.raise_for_status().json()["value"]

    def run(self, script: str, *arguments: object) -> Any:
        return self.ask("/execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, script: str, what: str) -> None:
        """Until `script` gives something true."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while not self.run(script):
            assert time.monotonic() < deadline, (
                f"waited in vain until {what}: {self.run('return document.body.innerText')}"
            )
            time.sleep(0.2)

    def is_on(self, screen: str) -> None:
        self.wait(f"return document.body.dataset.screen === '{screen}'", f"the screen is {screen}")

    def click(self, testid: str) -> None:
        """A click that the engine makes: on what is hidden or covered it is none."""
        found = self.ask("/element", {"using": "css selector", "value": f"[data-testid='{testid}']"})
        self.ask(f"/element/{found[_ELEMENT]}/click", {})


@contextmanager
def webkit() -> Iterator[WebKit]:
    """A browser of its own on a screen of its own, of 800×480."""
    port, display = pick_free_port(), f":{pick_free_port()}"
    screen = subprocess.Popen([_SCREEN, display, "-screen", "0", "1024x768x24", "-nolisten", "tcp"])
    environment = {"DISPLAY": display, "PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GDK_BACKEND": "x11",
                   "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1", "LIBGL_ALWAYS_SOFTWARE": "1",
                   "WEBKIT_DISABLE_COMPOSITING_MODE": "1"}  # fmt: skip
    driver = subprocess.Popen([_DRIVER, f"--port={port}"], env=environment)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=_WAIT_SECONDS) as client:
            deadline = time.monotonic() + _WAIT_SECONDS
            while not _is_ready(client):
                assert time.monotonic() < deadline
                time.sleep(0.1)
            page = WebKit.begin(client)
            yield page
            client.delete(f"/session/{page._session}")
    finally:
        for process in (driver, screen):
            process.terminate()
            process.wait(20)


def _is_ready(client: httpx.Client) -> bool:
    try:
        return bool(client.get("/status").json()["value"]["ready"])
    except httpx.TransportError:
        return False
