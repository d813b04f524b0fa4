"""Transfers in the audit trail: what begins to leave, before it leaves; what arrived and what was refused, after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.base.findings import FindingBoard
from appliance.config.schema import Destination
from appliance.exam.audit import Act, AuditTrail, Effect, Party
from appliance.exam.audit_gate import AuditGate
from appliance.exam.audit_reading import read_trail
from appliance.exam.facts import ExamFacts
from appliance.forward.journal import Journal
from appliance.forward.ledger import DueObject, Place
from appliance.forward.states import DeliveryState
from appliance.forward.transfer_audit import TransferAudit
from tests.exam.audit_world import EXAM, SUBJECT
from tests.forward.hand_clock import HandClock

SECONDARY = "1.2.840.10008.5.1.4.1.1.7"
ARCHIVE = Destination(name="archive", ae_title="PACS", host="10.1.2.3", port=104)
PACS = Party("PACS", "10.1.2.3")


@dataclass
class World:
    directory: Path
    journal: Journal
    audit: TransferAudit

    def due(self, uid: str, exam_id: str = EXAM.exam_id) -> DueObject:
        with self.journal.transaction() as connection:
            connection.execute(
                "INSERT INTO objects (sop_instance_uid, exam_id, sop_class_uid, transfer_syntax_uid, device, modality,"
                " file_name, bytes) VALUES (?, ?, ?, '1.2', 'us', 'US', 'x', 1)",
                (uid, exam_id, SECONDARY),
            )
        return DueObject(uid, SECONDARY, "1.2.840.10008.1.2.1", "x.dcm", Place.OUTBOX)

    def told(self) -> list[tuple[Act, Effect, tuple[str, ...]]]:
        return [
            (line.record.act, line.record.outcome, line.record.objects)
            for line in read_trail(self.directory / "forward").lines
        ]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    facts = ExamFacts(tmp_path / "exams")
    facts.write(EXAM.exam_id, "exam", EXAM)
    journal = Journal(tmp_path / "journal.sqlite")
    gate = AuditGate(AuditTrail(tmp_path / "audit", "forward", HandClock()), FindingBoard())
    yield World(tmp_path / "audit", journal, TransferAudit(gate, ARCHIVE, facts, journal))
    journal.close()


def test_ok__what_leaves_is_told_before_and_what_arrived_after(world: World) -> None:
    one, two, three = world.due("1.1"), world.due("1.2"), world.due("1.3")
    with world.audit.transferring([one, two, three]) as transfer:
        assert world.told() == [(Act.TRANSFER_BEGUN, Effect.SUCCESS, ("1.1", "1.2", "1.3"))]
        transfer.note(one, DeliveryState.STORED)
        transfer.note(two, DeliveryState.REFUSED)
        transfer.note(three, DeliveryState.PENDING)
    assert world.told()[1:] == [
        (Act.OBJECTS_TRANSFERRED, Effect.SUCCESS, ("1.1",)),
        (Act.OBJECTS_TRANSFERRED, Effect.SERIOUS_FAILURE, ("1.2",)),
    ]
    records = [line.record for line in read_trail(world.directory / "forward").lines]
    assert all((one.party, one.subject, one.actor) == (PACS, SUBJECT, "forward") for one in records)
    assert records[-1].detail == "archive refused them." and records[0].sop_classes == (SECONDARY,) * 3


def test_ok__what_is_tried_again_and_again_begins_once(world: World) -> None:
    one, two = world.due("1.1"), world.due("1.2")
    for _ in range(3):
        with pytest.raises(ConnectionError), world.audit.transferring([one, two]) as transfer:
            raise ConnectionError
    with world.audit.transferring([one, two]) as transfer:
        transfer.note(one, DeliveryState.STORED)
        transfer.note(two, DeliveryState.COMMITTED)
    with world.audit.transferring([one]):  # the archive lost it, and it is sent once more
        pass
    assert [act for act, _, _ in world.told()] == [Act.TRANSFER_BEGUN, Act.OBJECTS_TRANSFERRED, Act.TRANSFER_BEGUN]


def test_ok__what_arrived_before_the_line_broke_is_told(world: World) -> None:
    one, two = world.due("1.1"), world.due("1.2")
    with pytest.raises(ConnectionError), world.audit.transferring([one, two]) as transfer:
        transfer.note(one, DeliveryState.STORED)
        raise ConnectionError
    assert world.told()[-1] == (Act.OBJECTS_TRANSFERRED, Effect.SUCCESS, ("1.1",))


def test_ok__one_record_speaks_of_one_patient(world: World) -> None:
    with world.audit.transferring([world.due("1.1"), world.due("2.1", "E000018-20261122-100000"), world.due("1.2")]):
        pass
    assert [objects for _, _, objects in world.told()] == [("1.1", "1.2"), ("2.1",)]


def test_fail__an_exam_that_cannot_be_read_hides_no_transfer(world: World, tmp_path: Path) -> None:
    (tmp_path / "exams" / EXAM.exam_id / "exam.json").write_text("{")
    with world.audit.transferring([world.due("1.1")]):
        pass
    assert world.told() == [(Act.TRANSFER_BEGUN, Effect.SUCCESS, ("1.1",))]
