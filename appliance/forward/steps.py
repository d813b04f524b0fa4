"""Telling the performed-step manager what began and what ended, each once, in order, and for as long as it takes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from pydicom import Dataset

from appliance.base.clock import Clock
from appliance.base.errors import ApplianceError, Finding, ended_sentence, finding_from
from appliance.base.findings import FindingBoard
from appliance.base.flash import reason_of
from appliance.config.schema import Box, PerformedStepManager
from appliance.dimse.association import Association, Caller, open_association
from appliance.dimse.performed_step import (
    RETRY_FIRST_SECONDS,
    RETRY_LONGEST_SECONDS,
    STEP_CONTEXT,
    create_step,
    set_step,
)
from appliance.exam.exam import Closed, Exam, Outcome, PlannedStep
from appliance.exam.facts import DamagedFactError, ExamFacts
from appliance.forward.states import StepEvent, StepState, backoff_seconds, event_of_creation, event_of_final
from appliance.forward.step_ledger import StepLedger, StepRow
from appliance.forward.troubles import Troubles
from appliance.forward.under_way import UnderWay
from appliance.forward.worker import LONGEST_SLEEP_SECONDS, Worker

_log = logging.getLogger(__name__)

CreationFrom = Callable[[Exam, PlannedStep, Box], Dataset]
"""Composes the N-CREATE data set (compose.steps.creation_from)."""
FinalFrom = Callable[[Exam, PlannedStep, Closed], Dataset]
"""Composes the N-SET data set (compose.steps.final_from)."""

_PEER = "performed step"
_MOST_NAMED = 3


class StepMessages:
    """The work for the one performed-step manager. Its being down delays nothing else."""

    def __init__(
        self,
        manager: PerformedStepManager,
        box: Box,
        caller: Caller,
        *,
        facts: ExamFacts,
        ledger: StepLedger,
        troubles: Troubles,
        findings: FindingBoard,
        clock: Clock,
        creation_from: CreationFrom,
        final_from: FinalFrom,
    ) -> None:
        self._manager = manager
        self._box = box
        self._caller = caller
        self._facts = facts
        self._ledger = ledger
        self._troubles = troubles
        self._findings = findings
        self._creation_from = creation_from
        self._final_from = final_from
        self.calls = UnderWay(clock)
        """The association that is being opened, with the steps that are due."""
        self.messages = UnderWay(clock)
        """The step that is being told."""
        self.worker = Worker(_PEER, self.work, clock, findings=findings)

    @property
    def trouble(self) -> str:
        """Why the manager hears nothing now, in a sentence; empty while all is well."""
        known = self._troubles.of(_PEER)
        return known.sentence if known else ""

    @property
    def seconds_left(self) -> float:
        """Until the manager is asked again after a trouble; 0 while there is none."""
        return self._troubles.seconds_left(_PEER, RETRY_LONGEST_SECONDS)

    def retry(self) -> None:
        """A person did something about it: what waits for its next attempt, or for the manager's, is told now.

        What somebody else ended is told once more too. If it is not taken then either, it stays as the manager has it.
        """
        self._ledger.hasten()
        self._troubles.hasten(_PEER)
        self.worker.wake()

    def work(self) -> float:
        """Tell what is due; the seconds until something will be."""
        self._tell_people_of_refused()
        left = self.seconds_left
        if left > 0:
            return left
        due = self._ledger.due(RETRY_LONGEST_SECONDS)
        if not due:
            seconds = self._ledger.seconds_to_next()
            if seconds is None:
                self._clear_trouble()  # nothing is to be told any more
            return LONGEST_SLEEP_SECONDS if seconds is None else max(seconds, 0.05)
        try:
            with ExitStack() as stack:
                with self.calls.trying(step.sop_instance_uid for step in due):
                    opening = open_association(self._manager, self._caller, [STEP_CONTEXT])
                    association = stack.enter_context(opening)
                for step in due:
                    if self.worker.is_stopping:
                        break
                    with self.messages.trying([step.sop_instance_uid]):
                        self._tell(association, step)
        except ApplianceError as error:
            delay = self._troubles.add(_PEER, error.sentence, RETRY_FIRST_SECONDS, RETRY_LONGEST_SECONDS)
            self._findings.report(finding_from(error, "step-manager-trouble", "performed-step"))
            return delay
        return 0.0

    def _tell(self, association: Association, row: StepRow) -> None:
        """N-CREATE if the step is due, and then N-SET if its exam is over: never the other way round."""
        try:
            self._tell_step(association, row)
        except ApplianceError as error:
            # The association broke at this step: the others come first when the manager is asked again.
            self._ledger.postpone(row.sop_instance_uid, error.sentence, _backoff)
            raise

    def _tell_step(self, association: Association, row: StepRow) -> None:
        try:
            exam = self._facts.exam(row.exam_id)
            closed = self._facts.closed(row.exam_id)
        except DamagedFactError as error:
            self._postpone(row, error.sentence)
            return
        except OSError as error:
            self._postpone(row, f"The exam's own record cannot be read: {reason_of(error)}.")
            return
        if exam is None:
            self._postpone(row, "The exam's own record is missing.")
            return
        step = exam.step_of(row.modality)
        if row.state is StepState.DUE and not self._create(association, row, exam, step):
            return
        known = self._ledger.read(row.sop_instance_uid)
        is_open = known is not None and known.state in {StepState.IN_PROGRESS, StepState.RETRIED}
        if known and is_open and known.outcome is not None and closed is not None:
            self._finish(association, known, self._final_from(exam, step, replace(closed, outcome=known.outcome)))

    def _create(self, association: Association, row: StepRow, exam: Exam, step: PlannedStep) -> bool:
        dataset = self._creation_from(exam, step, self._box)
        if not self._ledger.mark_creation_sent(row.sop_instance_uid):
            return False  # nothing of it remained, and it was dropped a moment ago
        answer = create_step(association, row.sop_instance_uid, dataset)
        self._clear_trouble()
        event = event_of_creation(answer.verdict)
        if event is None:
            self._postpone(row, answer.said)
            return False
        self._ledger.record(row.sop_instance_uid, event, _warning(answer.code, answer.said), answer.sop_instance_uid)
        _log.info("exam %s: step of %s is in progress (%s)", row.exam_id, row.modality, answer.said)
        return True

    def _finish(self, association: Association, row: StepRow, dataset: Dataset) -> None:
        self._ledger.mark_final_sent(row.sop_instance_uid)
        answer = set_step(association, row.managers_uid, dataset)
        self._clear_trouble()
        event = event_of_final(
            answer.verdict,
            is_discontinued=row.outcome is Outcome.DISCONTINUED,
            # What a person lets be told again was ended by somebody else, whatever was lost since.
            may_have_been_sent=row.is_final_sent and row.state is StepState.IN_PROGRESS,
        )
        if event not in {StepEvent.SET_COMPLETED, StepEvent.SET_DISCONTINUED}:
            # This one was answered: it is no excuse for the next. An earlier one may have been lost all the same.
            self._ledger.mark_final_sent(row.sop_instance_uid, is_sent=row.is_final_sent)
        if event is None:
            self._postpone(row, answer.said)
            return
        self._findings.clear("step-refused", row.exam_id)
        state = self._ledger.record(row.sop_instance_uid, event, _warning(answer.code, answer.said))
        if event is StepEvent.NOT_KNOWN:
            # Told anew, the first time at once; a manager that never knows what it took is asked less and less.
            self._ledger.postpone(row.sop_instance_uid, answer.said, lambda failures: _backoff(failures - 1))
        _log.info("exam %s: step of %s is %s (%s)", row.exam_id, row.modality, state, answer.said)

    def _tell_people_of_refused(self) -> None:
        """Read from the journal each time: a restart forgets none, and what is over disappears."""
        refused = self._ledger.refused()
        if not refused:
            self._findings.clear("step-ended-elsewhere")
            return
        named = [f"{step.modality} of exam {step.exam_id}" for step in refused[:_MOST_NAMED]]
        named += [f"{len(refused) - _MOST_NAMED} more"] if len(refused) > _MOST_NAMED else []
        steps = "step was" if len(refused) == 1 else "steps were"
        self._findings.report(
            Finding(
                "step-ended-elsewhere",
                f"The manager says that the performed {steps} ended by somebody else: {', '.join(named)}. "
                "Their outcome and list of images were not taken; the images are sent all the same.",
                "Let the manager's administrator look at these exams, then press Try again: they are told once more, "
                "and what is not taken then either stays as the manager has it.",
            )
        )

    def _postpone(self, row: StepRow, said: str) -> None:
        self._ledger.postpone(row.sop_instance_uid, said, _backoff)
        self._findings.report(
            Finding(
                "step-refused",
                f"The performed step of {row.modality} could not be told: {ended_sentence(said)}",
                "It is tried again. If it stays so, ask the administrator of the performed-step manager.",
                row.exam_id,
            )
        )

    def _clear_trouble(self) -> None:
        self._troubles.clear(_PEER)
        self._findings.clear("step-manager-trouble", "performed-step")


def _backoff(failures: int) -> float:
    return backoff_seconds(failures, RETRY_FIRST_SECONDS, RETRY_LONGEST_SECONDS) if failures > 0 else 0.0


def _warning(code: int, said: str) -> str:
    return said if code else ""
