"""Runs in the guest: the acquire process itself on vivid, from the node to objects, through an unplugging. JSON.

python v4l2_process.py NODE FORMAT
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inside.v4l2 import Bench
from pydicom import dcmread

from appliance.base.clock import SystemClock
from appliance.base.errors import ApplianceError
from appliance.base.http import Asker
from appliance.base.paths import Paths
from appliance.spool.names import is_intact
from appliance.spool.tree import Spool, list_objects

_SECONDS = 600.0
_CONFIGURATION = """
[[devices]]
name = "scope"
driver = "grabber"
title = "Scope"
modality = "ES"
source = "{node}"
input = "Webcam 000-0"
formats = ["{pixels}"]
size = [640, 360]
frames_per_second = 15.0
"""


class Process:
    """One acquire process in a directory of its own."""

    def __init__(self, directory: Path, node: str, pixels: str) -> None:
        self.paths = Paths.below(directory)
        self.spool = Spool(self.paths.state)
        self.spool.make()
        self.paths.run.mkdir(parents=True, exist_ok=True)
        self.paths.configuration.parent.mkdir(parents=True, exist_ok=True)
        self.paths.configuration.write_text(_CONFIGURATION.format(node=node, pixels=pixels))
        self.log = (directory / "acquire.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "appliance.services.acquire", "scope"],
            env={**os.environ, **self.paths.environment()},
            stdout=self.log,
            stderr=self.log,
        )
        self._asker = Asker(self.paths.acquire_socket("scope"), "scope")

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return self._asker.ask(method, path, body, seconds=60.0)

    def wait_for(self, *states: str) -> dict[str, Any]:
        def is_so() -> dict[str, Any] | None:
            try:
                status = self.ask("GET", "/status")
            except ApplianceError as error:
                print(error, file=sys.stderr)
                return None
            print(status["state"], status["sentence"], status["findings"], file=sys.stderr)
            return status if status["state"] in states else None

        return wait_until(is_so, f"{states}")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_SECONDS)


def wait_until(ask: Callable[[], Any], what: str) -> Any:
    end = SystemClock().monotonic() + _SECONDS
    while SystemClock().monotonic() < end:
        found = ask()
        if found:
            return found
        time.sleep(0.1)
    raise TimeoutError(what)


def main(node: str, pixels: str) -> None:
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        one = Process(Path(name), node, pixels)
        try:
            one.wait_for("idle")
            told["still"] = one.ask("POST", "/still", {})["frames"]
            one.ask("POST", "/clip/start", {})
            time.sleep(3.0)
            told["clip"] = one.ask("POST", "/clip/stop", {})["frames"]
            one.ask("POST", "/clip/start", {})
            time.sleep(1.0)
            Bench(node).set("Disconnect", 1)
            # Not the state: it comes and goes between two looks of an emulated machine.
            log = Path(name) / "acquire.log"
            wait_until(lambda: "The scope's video is not there." in log.read_text(), "it is said")
            told["back"] = one.wait_for("idle")["sentence"]
            one.ask("POST", "/still", {})
            told["findings"] = [found["sentence"] for found in one.ask("GET", "/status")["findings"]]
        except Exception:
            print((Path(name) / "acquire.log").read_text())
            raise
        finally:
            told["status"] = one.stop()
        told["objects"] = []
        for path, _ in list_objects(one.spool.captured("scope", None)):
            read = dcmread(path)
            told["objects"].append(
                {
                    "class": read.SOPClassUID.name,
                    "frames": int(read.get("NumberOfFrames", 1)),
                    "format": read.VideoImageFormatAcquired,
                    "photometric": read.PhotometricInterpretation,
                    "size": [read.Columns, read.Rows],
                    "bytes": len(read.PixelData),
                    "frame_time": float(read.get("FrameTime", 0)),
                    "is_intact": is_intact(path),
                }
            )
        told["log"] = [line for line in (Path(name) / "acquire.log").read_text().splitlines() if "Traceback" in line]
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
