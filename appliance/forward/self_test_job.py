"""The part of the self test that writes: a performed step, an object of each class, their commitment, the step's end.

Commitment is asked for twice: once the association stays open, so that the archive may report on it, and once it is
released at once, so that the archive must open one of its own. A box meets archives of both kinds.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from appliance.base.clock import Clock, Deadline
from appliance.base.uids import new_uid
from appliance.compose.self_test import SelfTestExam
from appliance.config.schema import Destination, Peer, PerformedStepManager
from appliance.dimse.association import Association, Caller, open_association
from appliance.dimse.commitment import (
    COMMITMENT_CONTEXT,
    CommitmentReport,
    Reference,
    report_handlers,
    request_commitment,
)
from appliance.dimse.performed_step import STEP_CONTEXT, create_step, set_step
from appliance.dimse.status import ActionVerdict, StepVerdict, StoreVerdict, reason_verdict
from appliance.dimse.store import storable_as, store_object
from appliance.dimse.uid_names import uid_name_of
from appliance.exam.exam import Instance
from appliance.forward.reports import strangeness_of
from appliance.forward.self_test_report import CheckFailed, Report

_LOOK_SECONDS = 0.2
_DONE = (StepVerdict.DONE, StepVerdict.DONE_WITH_WARNING)
_LAST_CHECK_SECONDS = 60.0


class Ear:
    """Hears the report on one transaction, on whichever association it comes."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._awaited: tuple[str, Destination] | None = None
        self._heard: CommitmentReport | None = None
        self._strangers: list[str] = []  # who reported on it and may not, in words

    def listen(self, transaction_uid: str, destination: Destination) -> None:
        """From now on for this one, and no longer for another."""
        with self._condition:
            self._awaited, self._heard, self._strangers = (transaction_uid, destination), None, []

    def hear(self, report: CommitmentReport) -> bool | None:
        """None when the report is on another transaction; else whether its sender may report on this one."""
        with self._condition:
            if self._awaited is None or self._awaited[0] != report.transaction_uid:
                return None
            strangeness = strangeness_of(report, self._awaited[1])
            if strangeness:
                self._strangers.append(f"{report.calling_ae} reported and was not believed: {strangeness}.")
                return False
            self._heard = report
            self._condition.notify_all()
            return True

    def report_within(self, seconds: float) -> CommitmentReport | None:
        """What was heard, at once or within `seconds`."""
        with self._condition:
            self._condition.wait_for(lambda: self._heard is not None, seconds)
            return self._heard

    @property
    def strangers(self) -> Sequence[str]:
        """A sentence for each report whose sender may not report on it."""
        return tuple(dict.fromkeys(self._strangers))


@dataclass(slots=True)
class SelfTestJob:
    """One run for the test patient. `directory` holds the object while it is sent: no part of the spool."""

    exam: SelfTestExam
    caller: Caller
    clock: Clock
    ear: Ear
    directory: Path
    commitment_seconds: float
    stored: list[Instance] = field(default_factory=list)

    def run(self, roles: Sequence[Peer], report: Report) -> None:
        """Everything that `roles` take, each step of it one check of `report`."""
        manager = next((role for role in roles if isinstance(role, PerformedStepManager)), None)
        has_begun = manager is not None and report.run(
            "performed step begins", partial(self._begin_step, manager, report)
        )
        for destination in (role for role in roles if isinstance(role, Destination)):
            stored = self._store_each(destination, report)
            if destination.commitment and stored:
                for stays_open, what in ((True, "kept open"), (False, "released")):
                    report.run(
                        f"commitment at {destination.name}, its association {what}",
                        partial(self._commit, destination, stored, stays_open, report.deadline),
                    )
        if manager is not None and has_begun:
            # Also when the time is over: no step stays in progress behind us.
            report.deadline = Deadline.after(self.clock, report.deadline.remaining() + _LAST_CHECK_SECONDS)
            step_uid = report.written["performed step"]
            report.run("performed step ends DISCONTINUED", partial(self._end_step, manager, step_uid))

    def _begin_step(self, manager: PerformedStepManager, report: Report) -> str:
        planned = self.exam.step.sop_instance_uid
        with open_association(manager, self.caller, [STEP_CONTEXT]) as association:
            answer = create_step(association, planned, self.exam.creation())
        if answer.verdict not in _DONE:
            raise CheckFailed(f"{manager.ae_title} did not create the step: {answer.said}.")
        report.written["performed step"] = answer.sop_instance_uid
        return f"{manager.ae_title} has the step in progress ({answer.said})."

    def _end_step(self, manager: PerformedStepManager, step_uid: str) -> str:
        dataset = self.exam.end(self.clock.now(), tuple(self.stored))
        with open_association(manager, self.caller, [STEP_CONTEXT]) as association:
            answer = set_step(association, step_uid, dataset)
        if answer.verdict not in _DONE:
            raise CheckFailed(
                f"{manager.ae_title} did not end the step: {answer.said}.",
                "The test step stays in progress there: let its administrator end it.",
            )
        return f"{manager.ae_title} has the step as discontinued ({answer.said})."

    def _store_each(self, destination: Destination, report: Report) -> list[Instance]:
        """An object of each class; those that the archive took."""
        stored: list[Instance] = []
        has_step = "performed step" in report.written
        with tempfile.TemporaryDirectory(prefix="self-test-", dir=self.directory) as directory:
            for path, instance in self.exam.write_objects(Path(directory), has_step=has_step):
                name = uid_name_of(instance.sop_class_uid)
                if report.run(
                    f"store at {destination.name}: {name}", partial(self._store, destination, path, instance)
                ):
                    stored.append(instance)
                    report.written[f"{name} at {destination.name}"] = instance.sop_instance_uid
                path.unlink()
        if stored:
            report.written["study"] = self.exam.exam.study_instance_uid
            self.stored += stored
        return stored

    def _store(self, destination: Destination, path: Path, instance: Instance) -> str:
        contexts = storable_as(instance.sop_class_uid, instance.transfer_syntax_uid, destination.transfer_syntaxes)
        with open_association(destination, self.caller, contexts) as association:
            status = store_object(association, path)
        if status.verdict not in (StoreVerdict.STORED, StoreVerdict.STORED_WITH_WARNING):
            raise CheckFailed(f"{destination.ae_title} did not take the object: {status.said} ({status.code:04X}H).")
        return f"{destination.ae_title} has the object of {instance.bytes} bytes ({status.said})."

    def _commit(
        self, destination: Destination, stored: Sequence[Instance], stays_open: bool, deadline: Deadline
    ) -> str:
        transaction_uid = new_uid()
        self.ear.listen(transaction_uid, destination)
        references = [Reference(one.sop_class_uid, one.sop_instance_uid) for one in stored]
        handlers = report_handlers(lambda report: self.ear.hear(report) is True)
        end = deadline.sooner(self.commitment_seconds)
        begun = self.clock.monotonic()
        with open_association(destination, self.caller, [COMMITMENT_CONTEXT], handlers) as association:
            answer = request_commitment(association, transaction_uid, references)
            if answer.verdict is not ActionVerdict.ACCEPTED:
                raise CheckFailed(f"{destination.ae_title} does not take the request: {answer.said}.")
            on_same = self._await(association, end) if stays_open else None
        heard = on_same or self.ear.report_within(end.remaining())
        if heard is None:
            raise CheckFailed(
                f"{destination.ae_title} took the request and sent no report within "
                f"{self.clock.monotonic() - begun:.0f} seconds. {' '.join(self.ear.strangers)}".rstrip(),
                "Its administrator must know the box's AE title, address and the listener's port for reports.",
            )
        for one in stored:
            if one.sop_instance_uid not in heard.committed:
                reason = heard.failed.get(one.sop_instance_uid)
                said = f"{reason_verdict(reason)[1]} ({reason:04X}H)" if reason else "the report does not name it"
                name = uid_name_of(one.sop_class_uid)
                raise CheckFailed(f"{destination.ae_title} did not commit the object of class {name}: {said}.")
        where = "on the same association" if heard.asked else "on an association of its own"
        return f"{destination.ae_title} committed {len(stored)} objects, {where}."

    def _await(self, association: Association, end: Deadline) -> CommitmentReport | None:
        """Until the report has come, the archive has ended the association, or it is too late."""
        while not end.is_over():
            if not association.attend(_LOOK_SECONDS):
                return None
            heard = self.ear.report_within(0)
            if heard is not None:
                return heard
        return None
