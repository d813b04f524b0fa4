"""Hearing the archives' commitment reports: whose they are, and that they are durable before they are answered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from appliance.base.errors import ApplianceError
from appliance.base.findings import FindingBoard
from appliance.base.flash import flash_finding_from
from appliance.config.schema import Destination
from appliance.dimse.certificate import plain_pin
from appliance.dimse.commitment import CommitmentReport
from appliance.dimse.tls import name_of
from appliance.dimse.tls_reason import PINNED_TOO
from appliance.forward.refused_callers import STRANGER_REPORT, RefusedCallers
from appliance.forward.states import backoff_seconds
from appliance.forward.transactions import Transactions

_log = logging.getLogger(__name__)


class ReportDesk:
    """Every report comes here, whichever association it came on."""

    def __init__(
        self,
        transactions: Transactions,
        destinations: Sequence[Destination],
        findings: FindingBoard,
        on_settled: Callable[[str], None],
        refused: RefusedCallers,
    ) -> None:
        """`on_settled` is called with a destination's name when one of its reports was made durable.

        `refused` shows whose reports were not believed.
        """
        self._transactions = transactions
        self._destinations = {destination.name: destination for destination in destinations}
        self._findings = findings
        self._on_settled = on_settled
        self._refused = refused

    def hear(self, report: CommitmentReport) -> bool:
        """True when the report is durable, or is of no concern to us; false makes the sender hear 0110H.

        Files are deleted because of what a report says, one day. So it counts only from the destination that was asked
        (`strangeness_of`); a stranger's is told about and changes nothing.
        """
        try:
            return self._hear(report)
        except OSError as error:
            said = "It is not acknowledged, and comes again."
            told = flash_finding_from(error, "report-unwritten", "A commitment report cannot be kept", said)
            self._findings.report(told)
            return False

    def _hear(self, report: CommitmentReport) -> bool:
        name = self._transactions.destination_of(report.transaction_uid)
        if name is None:
            if all(strangeness_of(report, one) for one in self._destinations.values()):
                what = "a transaction that is unknown here"
                self._tell_of_stranger(report, report.calling_ae, what, "no destination reports like that")
                return False
            # After a lost journal this is an old transaction of ours: what it says will be asked again.
            _log.warning("%s reports on transaction %s, unknown here", report.calling_ae, report.transaction_uid)
            return True
        destination = self._destinations.get(name)
        strange = strangeness_of(report, destination) if destination else "is configured no longer"
        if destination is None or strange:
            self._tell_of_stranger(report, name, f"what {name} was asked to commit", strange)
            return False
        first, longest = destination.retry_first_seconds, destination.retry_longest_seconds
        committed = self._transactions.apply_report(report, lambda rounds: backoff_seconds(rounds, first, longest))
        _log.info(
            "%s reports on transaction %s: %d committed, %d not",
            name,
            report.transaction_uid,
            len(report.committed),
            len(report.failed),
        )
        for sop_instance_uid in committed:
            _log.info("object %s is committed at %s", sop_instance_uid, name)
        self._findings.clear("report-unwritten")
        self._on_settled(name)
        return True

    def _tell_of_stranger(self, report: CommitmentReport, subject: str, what: str, why: str) -> None:
        told = ApplianceError(
            f"A report on {what} came from {report.calling_ae} and was not believed: {why}.",
            "Find out who that is. If it is the archive, configure its report_ae_titles and report_tls_pins. "
            f"{PINNED_TOO}",
        )
        self._refused.note(subject, told, STRANGER_REPORT)


def strangeness_of(report: CommitmentReport, destination: Destination) -> str:
    """Why a report cannot be the destination's, in words; empty when it is.

    On an association that we opened, we have checked already whom we speak with. On one that somebody opened to us, he
    must call himself as the destination does, and for a destination with TLS show the certificate that it is known by:
    one of `report_tls_pins`, else `tls_pin`, else one that an authority issued to its name.
    """
    if report.asked is not None:
        return "" if report.asked == destination.name else f"it came on an association with {report.asked}"
    if report.calling_ae not in (destination.ae_title, *destination.report_ae_titles):
        return "that AE title does not report for it"
    if not destination.tls:
        return ""
    if report.certificate is None:
        return "it came without TLS"
    pins = destination.report_tls_pins or ([destination.tls_pin] if destination.tls_pin else ())
    if pins:
        is_known = report.certificate.fingerprint in map(plain_pin, pins)
        return "" if is_known else "its certificate is none of those that are pinned for it"
    name = name_of(destination)
    return "" if report.certificate.is_for(name) else f"its certificate was not issued to {name}"
