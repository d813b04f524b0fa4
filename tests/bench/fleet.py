"""What a play costs over boxes that are as they should be: time and connections, by how many there are."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tests.bench.tables import BenchError, Table
from tests.fleet.fleet import running_fleet
from tests.namespaces import refusal

_BOXES = (25, 50, 100)


def measure_fleet(directory: Path) -> Table:
    """`modality.bridge.configure` over so many unchanged boxes behind real sshd, ten at a time. Takes root."""
    if why := refusal():
        raise BenchError(f"Boxes in networks of their own take root: {why}.")
    directory.mkdir()
    rows, values = [], {}
    with running_fleet(directory, max(_BOXES)) as fleet:
        fleet.wish("Before")
        for count in (5, *_BOXES):
            before = sum(map(fleet.connections_of, fleet.names))
            limit = ",".join(fleet.names[:count])
            began = time.perf_counter()
            done = fleet.play("configure", "--limit", limit, "-e", json.dumps({"batches": ["100%"]}))
            seconds = time.perf_counter() - began
            if done.returncode:
                raise BenchError(f"The play over {count} boxes failed: {done.stdout[-500:]}{done.stderr[-500:]}")
            if count not in _BOXES:
                continue  # into the page cache
            connections = sum(map(fleet.connections_of, fleet.names)) - before
            rows.append((str(count), f"{seconds:.1f}", f"{seconds / count:.2f}", str(connections)))
            values[str(count)] = {"seconds": seconds, "connections": connections}
    (first, *_, last) = (values[str(count)]["seconds"] / count for count in _BOXES)
    return Table(
        "fleet",
        "a play over unchanged boxes (s)",
        "Ansible with ten forks, controller and all boxes on these cores",
        ("boxes", "seconds", "a box", "connections"),
        rows,
        [f"a box of {_BOXES[-1]} takes {last / first:.2f} times what one of {_BOXES[0]} does"],
        values,
    )
