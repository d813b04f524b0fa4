"""Whose report counts: only that of the destination that was asked, by AE title and, under TLS, by certificate."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.base.findings import FindingBoard
from appliance.config.schema import Destination
from appliance.dimse.certificate import PeerCertificate
from appliance.dimse.commitment import CommitmentReport
from appliance.forward.journal import Journal
from appliance.forward.ledger import Ledger, Place
from appliance.forward.refused_callers import RefusedCallers
from appliance.forward.reports import ReportDesk, strangeness_of
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
    clock = HandClock()
    refused = RefusedCallers(findings, clock)
    ledger = Ledger(Journal(tmp_path / "journal.sqlite"), clock)
    ledger.add_object(EXAM, instance(1), ["archive"])
    ledger.place_object("1.2.1", Place.OUTBOX)
    ledger.record("1.2.1", "archive", DeliveryEvent.CLAIMED)
    ledger.record("1.2.1", "archive", DeliveryEvent.STORE_ACCEPTED)
    transactions = Transactions(ledger)
    transactions.open("9.1", destinations[0], 5)
    settled: list[str] = []
    desk = ReportDesk(transactions, destinations, findings, settled.append, refused)
    for stranger in ("OTHER", "EVIL"):
        assert not desk.hear(CommitmentReport(stranger, "9.1", frozenset({"1.2.1"}), {}))
        assert ledger.state_of("1.2.1", "archive") is DeliveryState.COMMIT_REQUESTED
        (finding,) = findings.listing()
        assert (finding.code, finding.subject) == ("stranger-report", "archive"), "one for each destination, at most"
        assert stranger in finding.sentence
        assert "tls.authorities" in finding.suggestion, "where a pinned one must lie as well"
    assert desk.hear(CommitmentReport("ARCHIVE", "7.7", frozenset({"1.2.1"}), {})), "unknown: nothing to us"
    assert len(findings.listing()) == 1
    assert not desk.hear(CommitmentReport("EVIL", "7.7", frozenset({"1.2.1"}), {})), "a stranger's is told all the same"
    assert [one.subject for one in findings.listing()] == ["archive", "EVIL"]
    assert "unknown here came from EVIL and was not believed" in findings.listing()[1].sentence
    assert not settled
    for _ in range(2):
        assert desk.hear(CommitmentReport("ARCHIVE", "9.1", frozenset({"1.2.1"}), {}))
        assert ledger.state_of("1.2.1", "archive") is DeliveryState.COMMITTED
    assert settled == ["archive", "archive"]
    assert caplog.messages.count("object 1.2.1 is committed at archive") == 1, "a repeated report commits nothing"
    clock.advance(3500)
    refused.forget()
    assert len(findings.listing()) == 2
    clock.advance(200)
    refused.forget()
    assert findings.listing() == [], "an hour after the last one"


OWN, OTHER, REPORTER = ("ab" * 32, "cd" * 32, "EF" * 32)
VOUCHED = PeerCertificate(OWN, frozenset({"pacs.example", "10.0.0.7"}), is_vouched=True)


def _peer(**more: object) -> Destination:
    return Destination.model_validate(
        {"name": "archive", "ae_title": "ARCHIVE", "host": "pacs.example", "port": 104, **more}
    )


@pytest.mark.parametrize(
    ("destination", "report", "why"),
    [
        # Whom we asked ourselves has shown already who he is.
        (_peer(), {"asked": "archive"}, ""),
        (_peer(tls=True), {"asked": "archive"}, ""),
        (_peer(), {"asked": "other"}, "it came on an association with other"),
        # By AE title.
        (_peer(), {}, ""),
        (_peer(), {"calling_ae": "EVIL"}, "that AE title does not report for it"),
        (_peer(), {"calling_ae": "archive"}, "that AE title does not report for it"),
        (_peer(report_ae_titles=["REPORTER"]), {"calling_ae": "REPORTER"}, ""),
        (_peer(report_ae_titles=["REPORTER"]), {}, ""),
        # A destination without TLS may report over TLS.
        (_peer(), {"certificate": VOUCHED}, ""),
        # By name.
        (_peer(tls=True), {}, "it came without TLS"),
        (_peer(tls=True), {"certificate": VOUCHED}, ""),
        (_peer(tls=True, host="10.0.0.7"), {"certificate": VOUCHED}, ""),
        (_peer(tls=True, host="10.0.0.8"), {"certificate": VOUCHED}, "its certificate was not issued to 10.0.0.8"),
        (_peer(tls=True, host="10.0.0.8", tls_name="pacs.example"), {"certificate": VOUCHED}, ""),
        (
            _peer(tls=True, tls_name="other.example"),
            {"certificate": VOUCHED},
            "its certificate was not issued to other.example",
        ),
        (
            _peer(tls=True),
            {"certificate": replace(VOUCHED, is_vouched=False)},
            "its certificate was not issued to pacs.example",
        ),
        (_peer(tls=True), {"certificate": VOUCHED, "calling_ae": "EVIL"}, "that AE title does not report for it"),
        # By pin: neither name nor chain count then.
        (_peer(tls=True, tls_pin=OWN.upper()), {"certificate": replace(VOUCHED, is_vouched=False)}, ""),
        (
            _peer(tls=True, tls_pin=OTHER),
            {"certificate": VOUCHED},
            "its certificate is none of those that are pinned for it",
        ),
        # The reporter's own pins stand in place of the store's.
        (
            _peer(tls=True, tls_pin=OWN, report_tls_pins=[REPORTER]),
            {"certificate": VOUCHED},
            "its certificate is none of those that are pinned for it",
        ),
        (
            _peer(tls=True, tls_pin=OWN, report_tls_pins=[OTHER, REPORTER]),
            {"certificate": PeerCertificate(REPORTER.lower())},
            "",
        ),
        (
            _peer(tls=True, report_tls_pins=[REPORTER]),
            {"certificate": VOUCHED},
            "its certificate is none of those that are pinned for it",
        ),
    ],
)
def test_ok__who_may_report(destination: Destination, report: dict[str, Any], why: str) -> None:
    said = replace(CommitmentReport("ARCHIVE", "9.1", frozenset()), **report)
    assert strangeness_of(said, destination) == why
