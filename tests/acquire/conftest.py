"""One box's directories, its gate and a keeper for any device: everything of the room but threads and processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.acquire.gate import ExamGate
from appliance.acquire.keeping import ObjectKeeper
from appliance.base.clock import Clock
from appliance.base.findings import FindingBoard
from appliance.config.devices import Device
from appliance.devices.video.layout import PixelFormat
from appliance.exam.facts import ExamFacts
from appliance.spool.names import ObjectName, is_intact
from appliance.spool.tree import Spool, list_objects
from tests.acquire.nodes import Node
from tests.acquire.world import HandClock, make_configuration


class Room:
    """What a device's runner stands on."""

    def __init__(self, directory: Path) -> None:
        self.clock = HandClock()
        self.spool = Spool(directory)
        self.spool.make()
        self.facts = ExamFacts(self.spool.exams)
        self.findings = FindingBoard()
        self.gate = ExamGate(self.facts, self.clock)
        self.box = make_configuration().box

    def keeper(self, device: Device, clock: Clock | None = None) -> ObjectKeeper:
        return ObjectKeeper(self.spool, self.box, device, clock or self.clock)

    def objects(self, device: str, exam_id: str | None) -> list[tuple[Path, ObjectName]]:
        """What is published there; each file is what its name promises."""
        found = list(list_objects(self.spool.captured(device, exam_id)))
        assert all(is_intact(path) for path, _ in found)
        return found

    def only_object(self, device: str, exam_id: str | None) -> Path:
        ((path, _),) = self.objects(device, exam_id)
        return path

    def temporaries(self) -> list[Path]:
        return list((self.spool.state / "captured").rglob(".part-*"))

    def finding(self, code: str) -> str:
        """The sentence of the finding `code`; empty when there is none."""
        return next((one.sentence for one in self.findings.listing() if one.code == code), "")

    def is_idle(self) -> bool:
        """No ticket is left over: a drain has nothing to wait for."""
        return not self.gate._under_way


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


@pytest.fixture
def make_node(room: Room) -> Iterator[Callable[..., Node]]:
    made: list[Node] = []

    def make(pixels: PixelFormat, prepare: Callable[[Node], None] = lambda _: None, **changes: object) -> Node:
        node = Node(room, pixels, **changes)
        made.append(node)
        prepare(node)
        node.start()
        return node

    yield make
    for node in made:
        node.stop()
