"""The kiosk's own program with a hand in it: scripts come over a unix socket and are run in its page.

Runs with the system's Python, as the kiosk does. A line is `{"run": "script"}` and is answered with what the script
gives, as JSON; `{"end": true}` ends the web process, as the kernel does that runs out of memory.
"""

from __future__ import annotations

import importlib.util
import json
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

_KIOSK = Path(__file__).parents[2] / "systemd" / "kiosk" / "panel.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("kiosk", _KIOSK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Hand:
    """One caller at a time, one line at a time, in GLib's loop."""

    def __init__(self, kiosk: ModuleType, view: Any, path: str) -> None:
        self._kiosk = kiosk
        self._view = view
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen(1)
        kiosk.GLib.io_add_watch(self._listener.fileno(), kiosk.GLib.IOCondition.IN, self._accept)

    def _accept(self, *_: object) -> bool:
        connection, _address = self._listener.accept()
        self._lines = connection.makefile("rw", encoding="utf-8")
        self._kiosk.GLib.io_add_watch(connection.fileno(), self._kiosk.GLib.IOCondition.IN, self._do)
        return True

    def _do(self, *_: object) -> bool:
        line = self._lines.readline()
        if not line:
            return False
        asked = json.loads(line)
        if "end" in asked:
            self._view.terminate_web_process()
            self._answer("null")
        else:
            script = f"return JSON.stringify(await (async () => {{ {asked['run']} }})() ?? null)"
            self._view.call_async_javascript_function(script, -1, None, None, None, None, self._done, None)
        return True

    def _done(self, view: Any, result: Any, _data: object) -> None:
        try:
            self._answer(view.call_async_javascript_function_finish(result).to_string())
        except self._kiosk.GLib.Error as error:
            self._answer(json.dumps({"error": error.message}))

    def _answer(self, text: str) -> None:
        self._lines.write(f"{text}\n")
        self._lines.flush()


if __name__ == "__main__":
    loaded = _load()
    loaded.Gtk.init()
    hand = Hand(loaded, loaded.Panel(sys.argv[1])._view, sys.argv[2])
    loaded.GLib.MainLoop().run()
