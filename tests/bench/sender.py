"""The box's own sending in a process of its own: asked line by line on its standard input, so that it starts once."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from appliance.config.schema import Peer
from appliance.dimse.association import Caller, Context, open_association
from appliance.dimse.store import store_object
from tests.bench.processes import memory_of, reset_peak


def main() -> None:
    """For each line {host, port, files, context}: a line {seconds, idle, peak}, the last two bytes of VmRSS, VmHWM."""
    for line in sys.stdin:
        asked = json.loads(line)
        peer = Peer(ae_title="STORESCP", host=asked["host"], port=asked["port"], answer_seconds=60)
        sop_class, syntax = asked["context"]
        pid = os.getpid()
        reset_peak(pid)
        idle = memory_of(pid).rss
        began = time.perf_counter()
        with open_association(peer, Caller("BENCH"), [Context(sop_class, (syntax,))]) as association:
            for path in asked["files"]:
                status = store_object(association, Path(path))
                assert status.code == 0, status.said
        seconds = time.perf_counter() - began
        print(json.dumps({"seconds": seconds, "idle": idle, "peak": memory_of(pid).peak}), flush=True)


if __name__ == "__main__":
    main()
