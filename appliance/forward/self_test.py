"""Trying a peer while everything else goes on: what it accepts, whether it answers, and on demand a whole small job.

A name stands for an application entity: whoever is configured under the same AE title, host and port is the same one,
and every service that the box uses of it is tried in one report.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from appliance.base.clock import Clock, Deadline
from appliance.base.errors import ApplianceError
from appliance.compose.self_test import open_self_test_exam
from appliance.config.schema import (
    MANAGER,
    Configuration,
    Destination,
    Peer,
    PerformedStepManager,
    TestPatient,
    WorklistSource,
)
from appliance.dimse.association import Caller, Context, NoAcceptedContext, open_association
from appliance.dimse.commitment import CommitmentReport, OnReport
from appliance.dimse.echo import echo
from appliance.dimse.worklist import query_worklist
from appliance.forward.proposals import checks_from, proposals_for
from appliance.forward.self_test_job import Ear, SelfTestJob
from appliance.forward.self_test_report import Report

_log = logging.getLogger(__name__)

WHOLE_SECONDS = 300.0
"""After this much time no further check is begun."""
COMMITMENT_SECONDS = 60.0
_ROLES = {WorklistSource: "worklist", PerformedStepManager: "performed-step", Destination: "destination"}


class SelfTest:
    """The commands `echo` and `test`, for the forward process, which alone has the network and the keys."""

    def __init__(
        self,
        configuration: Configuration,
        caller: Caller,
        directory: Path,
        clock: Clock,
        commitment_seconds: float = COMMITMENT_SECONDS,
    ) -> None:
        """`directory` holds the test object while it is sent."""
        self._configuration = configuration
        self._caller = caller
        self._directory = directory
        self._clock = clock
        self._ear = Ear()
        self._commitment_seconds = commitment_seconds
        self._running = threading.Lock()

    def heard_before(self, desk: OnReport) -> OnReport:
        """Who hears the listener's reports: the self test its own one, `desk` all others."""

        def hear(report: CommitmentReport) -> bool:
            is_heard = self._ear.hear(report)
            return desk(report) if is_heard is None else is_heard

        return hear

    def echo(self, name: str) -> dict[str, Any]:
        """Verify the peer called `name`. ApplianceError when nobody is called so."""
        roles = self._roles_of(name)
        report = self._report_on(name, roles)
        report.run("verification (C-ECHO)", partial(self._echo, roles[0]))
        return report.as_json()

    def test(self, name: str, may_write: bool, wanted: Sequence[Context] = ()) -> dict[str, Any]:
        """Try everything that the box uses of the peer called `name`; with `may_write` as the test patient, too.

        `wanted` are contexts that are proposed besides, to see whether it takes them.

        ApplianceError when nobody is called so, when no test patient is configured to write as, or when another test
        is under way.
        """
        roles = self._roles_of(name)
        patient = self._test_patient() if may_write else None
        if not self._running.acquire(blocking=False):
            raise ApplianceError("Another test is under way.", "Wait for its end; it takes a few minutes at most.")
        try:
            _log.info("self test of %s begins", name)
            report = self._report_on(name, roles)
            if report.run("association", partial(self._negotiate, roles, wanted, report)):
                self._use(roles, patient, report)
            else:
                report.skip("everything else", "Without an association nothing else can be tried.")
            _log.info("self test of %s ends, %s", name, "all is well" if report.is_good else "something failed")
            return report.as_json()
        finally:
            self._running.release()

    def _report_on(self, name: str, roles: Sequence[Peer]) -> Report:
        peer = roles[0]
        where = f"{peer.ae_title} at {peer.host}:{peer.port}{' over TLS' if peer.tls else ''}"
        names = tuple(dict.fromkeys(_ROLES[type(one)] for one in roles))
        return Report(name, where, Deadline.after(self._clock, WHOLE_SECONDS), roles=names)

    def _roles_of(self, name: str) -> list[Peer]:
        """What the application entity called `name` is to the box, the role of that name first."""
        known: list[tuple[str, Peer]] = [(one.name, one) for one in self._configuration.worklist]
        known += [(one.name, one) for one in self._configuration.destinations]
        if self._configuration.performed_step is not None:
            known.append((MANAGER, self._configuration.performed_step))
        named = [peer for called, peer in known if called == name]
        if not named:
            names = ", ".join(dict.fromkeys(called for called, _ in known))
            raise ApplianceError(
                f'No peer is called "{name}".', f"There are: {names}." if names else "None is configured at all."
            )
        where = _entity_of(named[0])
        others = [peer for _, peer in known if peer is not named[0] and _entity_of(peer) == where]
        return [named[0], *others]

    def _test_patient(self) -> TestPatient:
        if self._configuration.test_patient is None:
            raise ApplianceError(
                "No test patient is configured, so nothing can be written.",
                "Ask the hospital for one, and add [test_patient] with patient_name and patient_id to the "
                "configuration.",
            )
        return self._configuration.test_patient

    def _negotiate(self, roles: Sequence[Peer], wanted: Sequence[Context], report: Report) -> str:
        peer = roles[0]
        proposals = proposals_for(roles, self._configuration)
        own = [one.context for one in proposals]
        proposed = [*own, *(context for context in dict.fromkeys(wanted) if context not in own)]
        try:
            with open_association(peer, self._caller, proposed) as association:
                # By its place: contexts of one service differ in their transfer syntaxes alone.
                taken = {
                    ((context.context_id or 1) - 1) // 2: str(context.transfer_syntax[0])
                    for context in association.accepted_contexts
                }
                longest = association.acceptor.maximum_length
        except NoAcceptedContext:
            report.checks += checks_from(proposals, {})
            raise
        for place, syntax in taken.items():
            report.accepted.setdefault(proposed[place].abstract_syntax, []).append(syntax)
        report.checks += checks_from(
            proposals, {one: taken[place] for place, one in enumerate(proposals) if place in taken}
        )
        limit = f"PDUs of up to {longest} bytes" if longest else "PDUs of any length"
        return f"{peer.ae_title} takes the association, and {limit}."

    def _use(self, roles: Sequence[Peer], patient: TestPatient | None, report: Report) -> None:
        report.run("verification (C-ECHO)", partial(self._echo, roles[0]))
        for source in (role for role in roles if isinstance(role, WorklistSource)):
            report.run(f"worklist query of {source.name}", partial(self._query, source))
        if patient is not None:
            job = SelfTestJob(
                exam=open_self_test_exam(self._configuration, patient, self._clock.now()),
                caller=self._caller,
                clock=self._clock,
                ear=self._ear,
                directory=self._directory,
                commitment_seconds=self._commitment_seconds,
            )
            job.run(roles, report)

    def _echo(self, peer: Peer) -> str:
        echo(peer, self._caller)
        return f"{peer.ae_title} answered."

    def _query(self, source: WorklistSource) -> str:
        found = query_worklist(source, self._caller, self._clock.now().date())
        more = f", and more than the {source.max_items} that are taken" if found.is_cut_off else ""
        return f"{len(found.entries)} entries for the configured days{more}."


def _entity_of(peer: Peer) -> tuple[str, str, int]:
    return peer.ae_title, peer.host, peer.port
