"""Runs in the guest in place of a service of ours, inside its unit: loaded, and waiting until it may begin.

late.py NAME: the service of that name begins when /run/go/NAME is there. What an emulated processor has to
read and compile for it is done by then, once for all the states that it will find.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

_POLL_SECONDS = 0.05


def main(name: str) -> int:
    service = importlib.import_module(f"appliance.services.{name}")
    print("It waits.", flush=True)
    while not Path("/run/go", name).exists():
        time.sleep(_POLL_SECONDS)
    return int(service.main())


sys.exit(main(sys.argv[1]))
