"""A machine whose acknowledgement was lost sends its image again: in the same exam, in the next one, in none."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from appliance.acquire.transfers import TransferRunner
from appliance.devices.serial.line import SerialLine
from appliance.devices.serial.receiver import Transfer
from appliance.exam.exam import Closed, Exam, Instance, Outcome
from tests.acquire.conftest import Room
from tests.acquire.world import START, begin_closing, make_serial, open_exam_of


def image(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (32, 24), shade).save(buffer, "PNG")
    return buffer.getvalue()


class Sender:
    """A machine's transfers as they come out of the receiver, kept one after another."""

    def __init__(self, room: Room) -> None:
        device = make_serial()
        line = SerialLine("/nowhere", room.clock, name=device.name)
        self.room = room
        self.runner = TransferRunner(device, line, room.keeper(device), room.gate, room.clock, room.findings)

    def send(self, payload: bytes) -> None:
        ticket = self.room.gate.admit()
        try:
            self.runner._keep(ticket, Transfer(None, payload, 0.0))  # type: ignore[arg-type] -- nobody is answered here
        finally:
            self.room.gate.end(ticket)


def close_with(room: Room, exam: Exam) -> None:
    """End the exam as the console does: its list holds what was captured."""
    begin_closing(room.facts, exam)
    instances = tuple(
        Instance("1.2.840.10008.5.1.4.1.1.7", name.sop_instance_uid, "", "", "ultrasound", "US", path.name, 1)
        for path, name in room.objects("ultrasound", exam.exam_id)
    )
    room.facts.write(exam.exam_id, "closed", Closed(START, Outcome.COMPLETED, instances, ()))


def uids(room: Room, exam_id: str | None) -> list[str]:
    return [name.sop_instance_uid for _, name in room.objects("ultrasound", exam_id)]


def test_ok__again_in_the_same_exam_is_one_object(tmp_path: Path) -> None:
    room = Room(tmp_path)
    exam = open_exam_of(room.facts)
    sender = Sender(room)
    sender.send(image(1))
    sender.send(image(1) + b"\x1a" * 96)  # the padding of another block size
    sender.send(image(2))
    assert len(uids(room, exam.exam_id)) == 2
    assert "kept once" not in room.finding("sent_again")  # over, since another image came


def test_fail__again_after_its_exam_it_is_not_the_next_patients(tmp_path: Path) -> None:
    room = Room(tmp_path)
    first = open_exam_of(room.facts, 1)
    sender = Sender(room)
    sender.send(image(1))
    close_with(room, first)
    second = open_exam_of(room.facts, 2)
    sender.send(image(1))
    sender.send(image(1))
    sender.send(image(3))
    assert len(uids(room, first.exam_id)) == 1
    assert len(uids(room, None)) == 1  # kept, once, and nobody's until a person says so
    assert len(uids(room, second.exam_id)) == 1
    assert "unassigned" in room.finding("sent_late")


def test_ok__nobody_chosen(tmp_path: Path) -> None:
    room = Room(tmp_path)
    sender = Sender(room)
    sender.send(image(1))
    assert len(uids(room, None)) == 1
