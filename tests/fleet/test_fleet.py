"""A fleet by ansible-core, over real sshd: idempotent, with check and diff mode, confirmed, stopped at a failure.

Three boxes in `make test`; `make fleet-test` takes twenty, and says what unchanged boxes cost.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.fleet import Fleet, running_fleet
from tests.namespaces import refusal

_BOXES = int(os.environ.get("FLEET_BOXES", "3"))
_RECAP = re.compile(r"^(room-\d+) +: ok=(\d+) +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.MULTILINE)
# The first batch is all but one box, and its last box fails: the others of it finish, the one behind it is not touched.
_BATCHES = ("-e", json.dumps({"batches": [_BOXES - 1, "100%"]}))


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """The last box but one fails its first change."""
    if why := refusal():
        pytest.skip(f"NOT PROVEN on this machine, which lets nobody have networks ({why}): run it as root")
    with running_fleet(tmp_path, _BOXES, _BOXES - 1) as running:
        yield running


def _recap(done: subprocess.CompletedProcess[str]) -> dict[str, tuple[int, int]]:
    """How many tasks changed and failed, by box."""
    return {name: (int(changed), int(failed)) for name, _, changed, _, failed in _RECAP.findall(done.stdout)}


@pytest.mark.timeout(1800)
def test_ok__a_play_brings_every_box_to_its_configuration_or_leaves_it_as_it_was(fleet: Fleet) -> None:
    names, bad, behind = fleet.names, fleet.failing, fleet.names[-1]
    good = names[:-2]

    fleet.wish("After")
    tried = fleet.play("configure", "--check", "--diff", *_BATCHES)
    assert tried.returncode == 0, tried.stdout + tried.stderr
    assert _recap(tried) == dict.fromkeys(names, (1, 0))
    assert tried.stdout.count('box.institution was "Before", is "After"') == len(names)
    assert {fleet.institution_of(name) for name in names} == {"Before"}

    before = {name: fleet.connections_of(name) for name in names}
    done = fleet.play("configure", *_BATCHES)
    assert done.returncode != 0
    assert "The box went back: Job for appliance-forward.service failed." in done.stdout
    assert _recap(done) == {**dict.fromkeys(good, (1, 0)), bad: (0, 1)}, done.stdout
    assert [fleet.institution_of(name) for name in names] == [*["After"] * len(good), "Before", "Before"]
    connections = [fleet.connections_of(name) - before[name] for name in (*good, bad, behind)]
    assert connections == [*[2] * len(good), 1, 0]  # who confirms has come anew

    # What failed is tried again; what has its configuration is asked once, and not touched.
    before = {name: fleet.connections_of(name) for name in names}
    began = time.monotonic()
    again = fleet.play("configure", *_BATCHES)
    assert again.returncode == 0, again.stdout
    assert _recap(again) == {**dict.fromkeys(good, (0, 0)), bad: (1, 0), behind: (1, 0)}
    assert {fleet.institution_of(name) for name in names} == {"After"}
    assert {fleet.connections_of(name) - before[name] for name in good} == {1}
    print(f"\n{len(names)} boxes, {len(good)} unchanged: {time.monotonic() - began:.1f} s")


if _BOXES > 3:  # of `make fleet-test`

    @pytest.mark.timeout(1800)
    def test_ok__unchanged_boxes_cost_the_same_each(fleet: Fleet) -> None:
        fleet.wish("Before")
        for part in (len(fleet.names) // 2, len(fleet.names)):
            before = sum(map(fleet.connections_of, fleet.names))
            began = time.monotonic()
            limit = ",".join(fleet.names[:part])
            done = fleet.play("configure", "--limit", limit, "-e", json.dumps({"batches": ["100%"]}))
            assert _recap(done) == dict.fromkeys(fleet.names[:part], (0, 0)), done.stdout
            connections = sum(map(fleet.connections_of, fleet.names)) - before
            assert connections == part
            print(f"\n{part} unchanged boxes: {time.monotonic() - began:.1f} s, {connections} connections")
        seen = fleet.play("report")
        assert seen.returncode == 0 and seen.stdout.count('"msg": "well: "') == len(fleet.names), seen.stdout
