"""Runs in the guest, by the box's own Python: asks a service of ours on its socket, and prints its answer as JSON.

ask.py console|forward|acquire-NAME METHOD PATH BODY
"""

from __future__ import annotations

import json
import sys

from appliance.base.http import Asker
from appliance.base.paths import Paths

_SECONDS = 300.0


def main(service: str, method: str, path: str, body: str) -> None:
    paths = Paths.from_environment()
    sockets = {"console": paths.console_socket, "forward": paths.forward_socket}
    socket = sockets.get(service) or paths.acquire_socket(service.removeprefix("acquire-"))
    answer = Asker(socket, service).ask(method, path, json.loads(body), seconds=_SECONDS)
    sys.stdout.write(json.dumps(answer))


main(*sys.argv[1:])
