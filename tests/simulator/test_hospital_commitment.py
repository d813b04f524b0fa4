"""Storage commitment: reports on a new association, failures, a box that is away, a hospital that is killed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pynetdicom import AE, evt
from pynetdicom.events import Event

from appliance.base.errors import ApplianceError
from appliance.base.uids import new_uid
from appliance.simulator.hospital.commitment_ledger import CommitmentLedger, Reference, Transaction, TransactionState
from appliance.simulator.hospital.commitment_report import Report, failures_from_references, report_from_transaction
from appliance.simulator.hospital.commitment_reporter import CommitmentReporter, ReportTiming
from appliance.simulator.hospital.faults import FaultBoard
from appliance.simulator.hospital.sop_classes import COMMITMENT, COMMITMENT_INSTANCE
from tests.peers import SECONDARY_CAPTURE, small_object, wait_until
from tests.simulator.conftest import HandClock
from tests.simulator.hospitals import Hospital


@dataclass
class Box:
    """What listens for reports: collects them by transaction, answers with the next of `statuses`, then 0000."""

    statuses: list[int] = field(default_factory=list)
    reports: dict[str, tuple[int, Dataset]] = field(default_factory=dict)
    callers: list[str] = field(default_factory=list)
    attempts: int = 0

    def take(self, event: Event) -> tuple[int, None]:
        self.attempts += 1
        self.callers.append(event.assoc.requestor.ae_title)
        status = self.statuses.pop(0) if self.statuses else 0x0000
        if status == 0x0000:
            information = event.event_information
            self.reports[information.TransactionUID] = (event.event_type, information)
        return status, None


@contextmanager
def listening(box: Box, port: int) -> Iterator[Box]:
    ae = AE(ae_title="BRIDGE")
    ae.add_supported_context(COMMITMENT, scu_role=True, scp_role=True)
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, box.take)])
    try:
        yield box
    finally:
        assert server is not None
        server.shutdown()


def request(*instances: Dataset, uid: str = "") -> Dataset:
    information = Dataset()
    information.TransactionUID = uid or new_uid()
    items = []
    for instance in instances:
        item = Dataset()
        item.ReferencedSOPClassUID = instance.SOPClassUID
        item.ReferencedSOPInstanceUID = instance.SOPInstanceUID
        items.append(item)
    information.ReferencedSOPSequence = Sequence(items)
    return information


def ask(hospital: Hospital, information: Dataset, action: int = 1, instance: str = COMMITMENT_INSTANCE) -> int:
    with hospital.associated(COMMITMENT) as association:
        return association.send_n_action(information, action, COMMITMENT, instance)[0].Status


def state_of(hospital: Hospital, uid: str) -> str:
    return json.loads((hospital.state / "commitments" / f"{uid}.json").read_text())["state"]


def test_ok__all_committed(hospital: Hospital) -> None:
    first, second = small_object(), small_object()
    hospital.store(first, second)
    with listening(Box(), hospital.box_port) as box:
        wanted = request(first, second)
        assert ask(hospital, wanted) == 0x0000
        wait_until(lambda: state_of(hospital, wanted.TransactionUID) == "reported", "the report")
    event_type, information = box.reports[wanted.TransactionUID]
    assert event_type == 1
    assert information.ReferencedSOPSequence == wanted.ReferencedSOPSequence
    assert "FailedSOPSequence" not in information
    assert information.RetrieveAETitle == "HOSPITAL"
    assert box.callers == ["HOSPITAL"]


def test_ok__failures_exist(hospital: Hospital) -> None:
    held, unknown, other = small_object(), small_object(), small_object()
    hospital.store(held, other)
    other.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7.4"
    with listening(Box(), hospital.box_port) as box:
        wanted = request(held, unknown, other)
        assert ask(hospital, wanted) == 0x0000
        wait_until(lambda: wanted.TransactionUID in box.reports, "the report")
    event_type, information = box.reports[wanted.TransactionUID]
    assert event_type == 2
    assert [item.ReferencedSOPInstanceUID for item in information.ReferencedSOPSequence] == [held.SOPInstanceUID]
    failed = {item.ReferencedSOPInstanceUID: item.FailureReason for item in information.FailedSOPSequence}
    assert failed == {unknown.SOPInstanceUID: 0x0112, other.SOPInstanceUID: 0x0119}


def test_ok__again_until_the_box_takes_it(hospital: Hospital) -> None:
    instance = small_object()
    hospital.store(instance)
    wanted = request(instance)
    assert ask(hospital, wanted) == 0x0000
    record = hospital.state / "commitments" / f"{wanted.TransactionUID}.json"
    wait_until(lambda: json.loads(record.read_text())["attempts"] >= 1, "an attempt that meets nobody")
    with listening(Box(statuses=[0x0110]), hospital.box_port) as box:
        wait_until(lambda: wanted.TransactionUID in box.reports, "the report")
    assert box.attempts == 2


def test_ok__a_repeated_request_is_reported_again(hospital: Hospital) -> None:
    instance = small_object()
    hospital.store(instance)
    wanted = request(instance)
    with listening(Box(), hospital.box_port) as box:
        for attempts in (1, 2):
            assert ask(hospital, wanted) == 0x0000
            wait_until(lambda expected=attempts: box.attempts == expected, "the report")
        wait_until(lambda: state_of(hospital, wanted.TransactionUID) == "reported", "the ledger")


@pytest.mark.parametrize(("action", "instance", "status"), [(2, COMMITMENT_INSTANCE, 0x0123), (1, "1.2.3", 0x0112)])
def test_fail__other_actions_and_instances(hospital: Hospital, action: int, instance: str, status: int) -> None:
    assert ask(hospital, request(small_object()), action, instance) == status


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_fail__incomplete_requests(hospital: Hospital) -> None:
    assert ask(hospital, request()) == 0x0115
    assert ask(hospital, request(small_object(), uid="none")) == 0x0115


def test_fail__a_transaction_uid_in_use(hospital: Hospital) -> None:
    with listening(Box(), hospital.box_port) as box:
        first = request(small_object())
        assert ask(hospital, first) == 0x0000
        assert ask(hospital, request(small_object(), uid=first.TransactionUID)) == 0x0110
        wait_until(lambda: first.TransactionUID in box.reports, "the report")


def test_ok__a_request_survives_a_kill(start_own_hospital: Callable[..., Hospital]) -> None:
    own = start_own_hospital("--commitment-delay", "1.5")
    instance = small_object()
    own.store(instance)
    wanted = request(instance)
    assert ask(own, wanted) == 0x0000
    own.kill()
    assert state_of(own, wanted.TransactionUID) == "pending"
    with listening(Box(), own.box_port) as box:
        own.start()
        wait_until(lambda: wanted.TransactionUID in box.reports, "the report after the restart")
    assert box.reports[wanted.TransactionUID][0] == 1


# Below: without network, the clock turned by hand.

REFERENCES = (Reference(SECONDARY_CAPTURE, "1.2.3"), Reference(SECONDARY_CAPTURE, "1.2.4"))


def reporter_of(
    directory: Path, clock: HandClock, deliver: Callable[[Report, object], None], *faults: str, attempts: int = 3
) -> tuple[CommitmentLedger, CommitmentReporter]:
    ledger = CommitmentLedger(directory / "commitments")
    reporter = CommitmentReporter(
        ledger,
        class_of=lambda _uid: SECONDARY_CAPTURE,
        deliver=deliver,
        faults=FaultBoard(directory / "faults", faults),
        clock=clock,
        timing=ReportTiming(delay=2.0, first_pause=1.0, longest_pause=3.0, attempts=attempts),
        retrieve_ae="HOSPITAL",
        on_failure=lambda: None,
    )
    return ledger, reporter


def test_ok__the_delay_is_kept(tmp_path: Path, clock: HandClock) -> None:
    delivered: list[int] = []
    ledger, reporter = reporter_of(tmp_path, clock, lambda report, _: delivered.append(report.event_type))
    ledger.write(Transaction("1.2", REFERENCES))
    reporter.queue("1.2")
    assert reporter.report_due() == pytest.approx(2.0)
    clock.seconds += 1.9
    assert reporter.report_due() == pytest.approx(0.1)
    assert delivered == []
    clock.seconds += 0.2
    reporter.report_due()
    assert delivered == [1]
    assert ledger.read("1.2") == Transaction("1.2", REFERENCES, TransactionState.REPORTED, 1, 1)


def test_fail__given_up_after_bounded_attempts(tmp_path: Path, clock: HandClock) -> None:
    moments: list[float] = []

    def fail(_report: Report, _asker: object) -> None:
        moments.append(clock.seconds)
        raise ApplianceError("The box is away.")

    ledger, reporter = reporter_of(tmp_path, clock, fail, attempts=4)
    ledger.write(Transaction("1.2", REFERENCES))
    reporter.queue("1.2")
    for _ in range(10):
        clock.seconds += reporter.report_due()
    pauses = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert pauses == pytest.approx([1.0, 2.0, 3.0])
    found = ledger.read("1.2")
    assert found is not None and (found.state, found.attempts) == (TransactionState.GIVEN_UP, 4)
    assert ledger.pending() == []


def test_ok__pending_transactions_are_queued_at_the_start(tmp_path: Path, clock: HandClock) -> None:
    for number, state in enumerate(TransactionState, 1):
        CommitmentLedger(tmp_path / "commitments").write(Transaction(f"1.2.{number}", REFERENCES, state))
    delivered: list[str] = []
    _, reporter = reporter_of(tmp_path, clock, lambda report, _: delivered.append(report.information.TransactionUID))
    clock.seconds += 2.5
    reporter.report_due()
    assert delivered == ["1.2.1"]


def test_ok__silenced_transactions_stay_so(tmp_path: Path, clock: HandClock) -> None:
    delivered: list[str] = []
    ledger, reporter = reporter_of(
        tmp_path, clock, lambda report, _: delivered.append(report.information.TransactionUID), "no-commitment=1"
    )
    for uid in ("1.2", "1.3"):
        ledger.write(Transaction(uid, REFERENCES))
        reporter.queue(uid)
        clock.seconds += 0.1
    for _ in range(20):
        clock.seconds += reporter.report_due()
    assert delivered == ["1.3"]
    found = ledger.read("1.2")
    assert found is not None and found.state is TransactionState.SILENCED


def test_ok__asked_again_during_the_report(tmp_path: Path, clock: HandClock) -> None:
    delivered: list[int] = []

    def deliver(report: Report, _asker: object) -> None:
        delivered.append(report.event_type)
        if len(delivered) == 1:
            reporter.queue("1.2")

    ledger, reporter = reporter_of(tmp_path, clock, deliver)
    ledger.write(Transaction("1.2", REFERENCES))
    reporter.queue("1.2")
    for _ in range(5):
        clock.seconds += reporter.report_due()
    assert delivered == [1, 1]


def test_ok__every_reference_is_in_exactly_one_list() -> None:
    held = {"1.2.3": SECONDARY_CAPTURE}
    failures = failures_from_references(REFERENCES, held.get)
    assert failures == {REFERENCES[1]: 0x0112}
    report = report_from_transaction("1.9", REFERENCES, failures, "HOSPITAL")
    information = report.information
    assert report.event_type == 2
    assert [item.ReferencedSOPInstanceUID for item in information.ReferencedSOPSequence] == ["1.2.3"]
    assert [item.ReferencedSOPInstanceUID for item in information.FailedSOPSequence] == ["1.2.4"]
    report = report_from_transaction("1.9", REFERENCES, dict.fromkeys(REFERENCES, 0x0112), "X")
    assert report.event_type == 2
    assert "ReferencedSOPSequence" not in report.information
