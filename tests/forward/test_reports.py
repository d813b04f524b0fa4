"""Whose report counts: only that of the AE title that was asked."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from appliance.base.findings import FindingBoard
from appliance.config.schema import Destination
from appliance.dimse.commitment import CommitmentReport
from appliance.forward.journal import Journal
from appliance.forward.ledger import Ledger, Place
from appliance.forward.reports import ReportDesk
from appliance.forward.states import DeliveryEvent, DeliveryState
from appliance.forward.transactions import Transactions
from tests.forward.hand_clock import HandClock
from tests.forward.test_ledger import EXAM, instance


def test_ok__a_strangers_report_changes_nothing_and_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    destinations = [
        Destination(name="archive", ae_title="ARCHIVE", host="h", port=104),
        Destination(name="other", ae_title="OTHER", host="h", port=104),
    ]
    findings = FindingBoard()
    ledger = Ledger(Journal(tmp_path / "journal.sqlite"), HandClock(), "run")
    ledger.add_object(EXAM, instance(1), ["archive"])
    ledger.place_object("1.2.1", Place.OUTBOX)
    ledger.record("1.2.1", "archive", DeliveryEvent.CLAIMED)
    ledger.record("1.2.1", "archive", DeliveryEvent.STORE_ACCEPTED)
    transactions = Transactions(ledger)
    transactions.open("9.1", destinations[0], 5)
    settled: list[str] = []
    desk = ReportDesk(transactions, destinations, findings, settled.append)
    for stranger in ("OTHER", "EVIL"):
        assert not desk.hear(CommitmentReport(stranger, "9.1", frozenset({"1.2.1"}), {}))
        assert ledger.state_of("1.2.1", "archive") is DeliveryState.COMMIT_REQUESTED
    assert {(one.code, one.subject) for one in findings.listing()} == {
        ("stranger-report", "OTHER"),
        ("stranger-report", "EVIL"),
    }
    assert desk.hear(CommitmentReport("ARCHIVE", "7.7", frozenset({"1.2.1"}), {})), "unknown: nothing to us"
    assert not settled
    for _ in range(2):
        assert desk.hear(CommitmentReport("ARCHIVE", "9.1", frozenset({"1.2.1"}), {}))
        assert ledger.state_of("1.2.1", "archive") is DeliveryState.COMMITTED
    assert settled == ["archive", "archive"]
    assert caplog.messages.count("object 1.2.1 is committed at archive") == 1, "a repeated report commits nothing"
