"""Reports as bytes on a line, into the real journal: on either association, early, twice, late, in part."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import Dataset
from pynetdicom.dsutils import encode

from appliance.base.findings import FindingBoard
from appliance.config.schema import Destination, Listener
from appliance.dimse.association import Caller, open_association
from appliance.dimse.commitment import (
    COMMITMENT_CONTEXT,
    CommitmentReport,
    Reference,
    report_handlers,
    request_commitment,
)
from appliance.dimse.listener import CommitmentListener
from appliance.dimse.status import ActionVerdict
from appliance.forward.journal import Journal
from appliance.forward.ledger import Ledger, Place
from appliance.forward.refused_callers import RefusedCallers
from appliance.forward.reports import ReportDesk
from appliance.forward.states import DeliveryEvent, DeliveryState
from appliance.forward.transactions import Transactions
from tests.dimse.hand_made_client import Client, in_pdus, information, report, report_command
from tests.dimse.hand_made_peer import RELEASE, RELEASE_RP, Conversation, hand_made_peer, response
from tests.forward.hand_clock import HandClock
from tests.forward.test_ledger import EXAM, instance
from tests.peers import SECONDARY_CAPTURE, wait_until
from tests.ports import pick_free_port

_N_ACTION_RSP, _N_EVENT_REPORT_RSP = 0x8130, 0x8100
FIRST, SECOND = "1.2.1", "1.2.2"
COMMITTED, STORED, REQUESTED, PENDING = (
    DeliveryState.COMMITTED,
    DeliveryState.STORED,
    DeliveryState.COMMIT_REQUESTED,
    DeliveryState.PENDING,
)


@dataclass
class Box:
    """Two stored objects, of which the transaction 9.1 asks, and a listener."""

    directory: Path
    port: int

    def __post_init__(self) -> None:
        self.destination = Destination(name="archive", ae_title="ARCHIVE", host="127.0.0.1", port=self.port or 104)
        self.findings = FindingBoard()
        self.ledger = Ledger(Journal(self.directory / "journal.sqlite"), HandClock())
        self.transactions = Transactions(self.ledger)
        for number in (1, 2):
            self.ledger.add_object(EXAM, instance(number), ["archive"])
            self.ledger.place_object(f"1.2.{number}", Place.OUTBOX)
            self.ledger.record(f"1.2.{number}", "archive", DeliveryEvent.CLAIMED)
            self.ledger.record(f"1.2.{number}", "archive", DeliveryEvent.STORE_ACCEPTED)
        assert len(self.transactions.open("9.1", self.destination, 5)) == 2
        self.refused = RefusedCallers(self.findings, HandClock())
        self.desk = ReportDesk(self.transactions, [self.destination], self.findings, lambda name: None, self.refused)
        self.listening_port = pick_free_port()
        self.listener = CommitmentListener(Listener(port=self.listening_port), Caller("BRIDGE"), self.desk.hear)

    def states(self) -> tuple[DeliveryState | None, DeliveryState | None]:
        return self.ledger.state_of(FIRST, "archive"), self.ledger.state_of(SECOND, "archive")

    def ask(self, reports: int) -> None:
        """Ask for the commitment of both, and wait on the association for so many reports on it."""
        heard: list[str] = []

        def hear(said: CommitmentReport) -> bool:
            heard.append(said.transaction_uid)
            return self.desk.hear(said)

        handlers = report_handlers(hear)
        with open_association(self.destination, Caller("BRIDGE"), [COMMITMENT_CONTEXT], handlers) as association:
            references = [Reference(SECONDARY_CAPTURE, one) for one in (FIRST, SECOND)]
            answer = request_commitment(association, "9.1", references)
            assert answer.verdict is ActionVerdict.ACCEPTED
            for _ in range(400):
                if len(heard) == reports or not association.attend(0.05):
                    break
        assert heard == ["9.1"] * reports

    def hear(self, *reports: bytes) -> list[int]:
        """Reports on one new association; what they were answered."""
        with Client(self.listening_port) as client:
            assert client.associate() == 2
            statuses = []
            for data in reports:
                client.write(data)
                statuses.append(client.status())
            client.release()
        return statuses


@contextlib.contextmanager
def box_for(tmp_path: Path, port: int = 0) -> Iterator[Box]:
    box = Box(tmp_path, port)
    try:
        yield box
    finally:
        box.listener.stop()


def _said(transaction: str, good: list[str]) -> bytes:
    """A report's data set in Explicit VR Little Endian, which the archive made by hand accepts."""
    said = Dataset()
    said.TransactionUID = transaction
    said.ReferencedSOPSequence = []
    for uid in good:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = SECONDARY_CAPTURE, uid
        said.ReferencedSOPSequence.append(item)
    encoded = encode(said, False, True)
    assert encoded
    return encoded


def _report_on(talk: Conversation, event_type: int | None = 1, message_id: int = 1) -> None:
    """Report on the same association, and read what it is answered."""
    talk.write(in_pdus(report_command(event_type, message_id), 1) + in_pdus(_said("9.1", [FIRST, SECOND]), 0))
    answer = talk.read_message()
    assert (answer.field, answer.status) == (_N_EVENT_REPORT_RSP, 0)


def _answer(talk: Conversation) -> None:
    talk.say(response(_N_ACTION_RSP, 1, 0))


def _end(talk: Conversation) -> None:
    assert talk.read_pdu()[0] == RELEASE
    talk.write(RELEASE_RP)


def _after(talk: Conversation) -> None:
    talk.read_message()
    _answer(talk)
    _report_on(talk)


def _before(talk: Conversation) -> None:
    talk.read_message()
    _report_on(talk)
    _answer(talk)


def _without_event_type(talk: Conversation) -> None:
    talk.read_message()
    _answer(talk)
    _report_on(talk, None)


def _twice(talk: Conversation) -> None:
    talk.read_message()
    _report_on(talk, 1, 1)
    _answer(talk)
    _report_on(talk, 1, 2)


@pytest.mark.parametrize("behave", [_after, _before, _without_event_type, _twice])
def test_ok__on_the_association_that_asked(behave: Callable[[Conversation], None], tmp_path: Path) -> None:
    def whole(talk: Conversation) -> None:
        behave(talk)
        _end(talk)

    with hand_made_peer(whole) as port, box_for(tmp_path, port) as box:
        box.ask(reports=2 if behave is _twice else 1)
        assert box.states() == (COMMITTED, COMMITTED)
        assert not box.findings.listing()


def test_ok__on_a_new_association_before_the_request_is_answered(tmp_path: Path) -> None:
    boxes: list[Box] = []

    def behave(talk: Conversation) -> None:
        talk.read_message()
        assert boxes[0].hear(report(1, information("9.1", [FIRST, SECOND]))) == [0]
        assert boxes[0].states() == (COMMITTED, COMMITTED), "durable before it is answered"
        _answer(talk)
        _end(talk)

    with hand_made_peer(behave) as port, box_for(tmp_path, port) as box:
        boxes.append(box)
        box.ask(reports=0)
        assert box.states() == (COMMITTED, COMMITTED)


BOTH = information("9.1", [FIRST, SECOND])


@pytest.mark.parametrize(
    ("reports", "statuses", "states"),
    [
        ([report(1, BOTH)], [0], (COMMITTED, COMMITTED)),
        ([report(None, BOTH)], [0], (COMMITTED, COMMITTED)),
        ([report(1, BOTH, 1), report(1, BOTH, 2)], [0, 0], (COMMITTED, COMMITTED)),
        # The type says that all is well, the content says otherwise: the content counts.
        ([report(1, information("9.1", [FIRST], {SECOND: 0x0112}))], [0], (COMMITTED, PENDING)),
        ([report(None, information("9.1", [FIRST], {SECOND: 0x0110}))], [0], (COMMITTED, STORED)),
        # Part of the set: what is in neither list is not committed, and is asked for again.
        ([report(1, information("9.1", [SECOND]))], [0], (STORED, COMMITTED)),
        ([report(1, information("9.1", []))], [0], (STORED, STORED)),
        # A failure after a success changes nothing any more; a success after a failure does.
        ([report(1, BOTH, 1), report(2, information("9.1", [], {FIRST: 0x0112}), 2)], [0, 0], (COMMITTED, COMMITTED)),
        ([report(2, information("9.1", [], {FIRST: 0x0110}), 1), report(1, BOTH, 2)], [0, 0], (COMMITTED, COMMITTED)),
        # Of somebody else's transaction, or of one before the journal was lost.
        ([report(1, information("7.7", [FIRST, SECOND]))], [0], (REQUESTED, REQUESTED)),
        ([report(1, information("9.1", ["5.5"]))], [0], (STORED, STORED)),
        ([report(1, information("", [FIRST, SECOND]))], [0x0110], (REQUESTED, REQUESTED)),
    ],
)
def test_ok__on_a_new_association(
    reports: list[bytes], statuses: list[int], states: tuple[DeliveryState, DeliveryState], tmp_path: Path
) -> None:
    with box_for(tmp_path) as box:
        assert box.hear(*reports) == statuses
        assert box.states() == states
        assert not box.findings.listing()


def test_ok__late(tmp_path: Path) -> None:
    """After it was given up and asked for anew: what the archive then says of the old request is still true."""
    with box_for(tmp_path) as box:
        box.transactions.end("9.1", DeliveryEvent.REPORT_MISSING, "no report in time", None)
        assert box.states() == (STORED, STORED)
        assert len(box.transactions.open("9.2", box.destination, 5)) == 2
        assert box.hear(report(1, information("9.1", [FIRST]))) == [0]
        assert box.states() == (COMMITTED, REQUESTED)
        assert box.hear(report(1, information("9.2", [FIRST, SECOND]))) == [0]
        assert box.states() == (COMMITTED, COMMITTED)


def test_fail__a_stranger(tmp_path: Path) -> None:
    with box_for(tmp_path) as box:
        said = report(1, BOTH)
        box.destination = box.destination.model_copy(update={"ae_title": "OTHER"})
        box.desk = ReportDesk(box.transactions, [box.destination], box.findings, lambda name: None, box.refused)
        box.listener.stop()
        box.listener = CommitmentListener(Listener(port=box.listening_port), Caller("BRIDGE"), box.desk.hear)
        wait_until(lambda: box.hear(said) == [0x0110], "it is heard")
        assert box.states() == (REQUESTED, REQUESTED)
        (finding,) = box.findings.listing()
        assert finding.code == "stranger-report" and "came from ARCHIVE and was not believed" in finding.sentence
        assert box.hear(report(1, information("7.7", [FIRST]))) == [0x0110]
        assert [(one.code, one.subject) for one in box.findings.listing()] == [
            ("stranger-report", "archive"),
            ("stranger-report", "ARCHIVE"),
        ]
