"""Hearing the archives' commitment reports: whose they are, and that they are durable before they are answered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from appliance.base.errors import Finding
from appliance.base.findings import FindingBoard
from appliance.config.schema import Destination
from appliance.dimse.commitment import CommitmentReport
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
    ) -> None:
        """`on_settled` is called with a destination's name when one of its reports was made durable."""
        self._transactions = transactions
        self._destinations = {destination.name: destination for destination in destinations}
        self._findings = findings
        self._on_settled = on_settled

    def hear(self, report: CommitmentReport) -> bool:
        """True when the report is durable, or is of no concern to us; false makes the sender hear 0110H.

        Files are deleted because of what a report says, one day. So it counts only from the AE title of the destination
        that was asked; a stranger's is told about and changes nothing.
        """
        name = self._transactions.destination_of(report.transaction_uid)
        if name is None:
            # After a lost journal this is an old transaction of ours: what it says will be asked again.
            _log.warning("%s reports on transaction %s, unknown here", report.calling_ae, report.transaction_uid)
            return True
        destination = self._destinations.get(name)
        if destination is None or destination.ae_title != report.calling_ae:
            self._findings.report(
                Finding(
                    "stranger-report",
                    f"{report.calling_ae} reported on a commitment that {name} was asked for. It was not believed.",
                    "Find out who calls himself so: only the archive's own AE title may report.",
                    report.calling_ae,
                )
            )
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
        self._on_settled(name)
        return True
