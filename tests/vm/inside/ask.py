"""Runs in the guest, by the box's own Python: asks a service of ours on its socket.

ask.py console|forward|acquire-NAME METHOD PATH BODY prints {"answer": …}, or {"refused": the sentence}.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from appliance.base.errors import ApplianceError
from appliance.base.http import Asker
from appliance.base.paths import Paths

_SECONDS = 300.0


def main(service: str, method: str, path: str, body: str) -> None:
    paths = Paths.from_environment()
    sockets = {"console": paths.console_socket, "forward": paths.forward_socket}
    socket = sockets.get(service) or paths.acquire_socket(service.removeprefix("acquire-"))
    try:
        told: dict[str, Any] = {"answer": Asker(socket, service).ask(method, path, json.loads(body), seconds=_SECONDS)}
    except ApplianceError as error:
        told = {"refused": error.sentence}
    sys.stdout.write(json.dumps(told))


main(*sys.argv[1:])
