"""What people do at the panel is in the audit trail before it is a fact."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.base.errors import ApplianceError
from appliance.base.findings import FindingBoard
from appliance.console.audit import PANEL, PanelAudit
from appliance.exam.audit import Act, AuditTrail, Effect
from appliance.exam.audit_gate import AuditGate
from appliance.exam.audit_reading import read_trail
from appliance.exam.audit_record import Record
from appliance.exam.exam import Closed, Instance, Outcome
from tests.exam.audit_world import EXAM, NOW, SUBJECT, FixedClock

SECONDARY = "1.2.840.10008.5.1.4.1.1.7"
INSTANCES = tuple(
    Instance(SECONDARY, f"1.2.3.{number}", "1.2.840.10008.1.2.1", "1.2.3", "ultrasound", "US", "x.dcm", 1, NOW)
    for number in range(2)
)


@pytest.fixture
def make_audit(tmp_path: Path) -> Callable[[], PanelAudit]:
    """A console that starts now."""
    return lambda: PanelAudit(AuditGate(AuditTrail(tmp_path, "console", FixedClock()), FindingBoard()))


def records(tmp_path: Path) -> list[Record]:
    return [line.record for line in read_trail(tmp_path / "console").lines]


def test_ok__the_record_is_there_before_the_exam(tmp_path: Path, make_audit: Callable[[], PanelAudit]) -> None:
    with make_audit().opening(EXAM):
        (one,) = records(tmp_path)
        assert (one.act, one.actor, one.outcome, one.subject) == (Act.EXAM_OPENED, PANEL, Effect.SUCCESS, SUBJECT)
    assert len(records(tmp_path)) == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "x"), "Not opened: the flash is full"),
        (ApplianceError("It could not."), "Not opened: It could not."),
    ],
)
def test_fail__an_exam_that_was_not_opened(
    tmp_path: Path, make_audit: Callable[[], PanelAudit], error: Exception, said: str
) -> None:
    with pytest.raises(type(error)), make_audit().opening(EXAM):
        raise error
    assert [(one.act, one.outcome, one.detail) for one in records(tmp_path)] == [
        (Act.EXAM_OPENED, Effect.SUCCESS, ""),
        (Act.EXAM_OPENED, Effect.SERIOUS_FAILURE, said),
    ]


@pytest.mark.parametrize(
    ("outcome", "instances", "reason", "act", "detail"),
    [
        (Outcome.COMPLETED, INSTANCES, "", Act.EXAM_CLOSED, ""),
        (Outcome.DISCONTINUED, INSTANCES, "110514", Act.EXAM_DISCONTINUED, "Incorrect worklist entry selected"),
        (Outcome.DISCONTINUED, (), "nothing was captured", Act.EXAM_DISCONTINUED, "nothing was captured"),
    ],
)
def test_ok__the_end_names_every_image_and_why(
    tmp_path: Path,
    make_audit: Callable[[], PanelAudit],
    outcome: Outcome,
    instances: tuple[Instance, ...],
    reason: str,
    act: Act,
    detail: str,
) -> None:
    audit, closed = make_audit(), Closed(NOW, outcome, instances, ("archive",), reason)
    for _ in range(3):  # the ending is tried again when flash failed
        audit.record_end(EXAM, closed)
    (one,) = records(tmp_path)
    assert (one.act, one.actor, one.detail, one.subject) == (act, PANEL, detail, SUBJECT)
    assert one.objects == tuple(instance.sop_instance_uid for instance in instances)
    assert one.sop_classes == (SECONDARY,) * len(instances)
