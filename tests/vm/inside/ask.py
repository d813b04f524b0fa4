"""Runs in the guest: asks a service of ours on its socket; by little that an emulated processor has to import.

ask.py SOCKET METHOD PATH BODY prints {"answer": …}, or {"refused": the sentence}.
"""

from __future__ import annotations

import json
import socket
import sys
from http.client import HTTPResponse
from typing import Any

_SECONDS = 300.0


def main(path: str, method: str, where: str, body: str) -> None:
    lines = (f"{method} {where} HTTP/1.1", "Host: appliance", "Connection: close", f"Content-Length: {len(body)}")
    told: dict[str, Any]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(_SECONDS)
            line.connect(path)
            line.sendall("\r\n".join([*lines, "", body]).encode("ascii"))
            response = HTTPResponse(line, method=method)
            response.begin()
            content = json.loads(response.read())
    except OSError as error:
        told = {"refused": f"The service does not answer: {error}."}
    else:
        told = {"answer": content} if response.status == 200 else {"refused": content["error"]["sentence"]}
    sys.stdout.write(json.dumps(told))


main(*sys.argv[1:])
