"""Storage commitment: what a report says, with and without its Event Type ID, on real associations and on Orthanc."""

from __future__ import annotations

import queue
import socket
import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from appliance.base.uids import new_uid
from appliance.config.schema import Listener, Peer
from appliance.dimse.association import Caller, Context, open_association
from appliance.dimse.commitment import (
    COMMITMENT_CONTEXT,
    CommitmentReport,
    Reference,
    report_from,
    report_handlers,
    request_commitment,
)
from appliance.dimse.echo import echo
from appliance.dimse.listener import CannotListen, CommitmentListener
from appliance.dimse.status import ActionVerdict
from appliance.dimse.store import store_object
from tests.peers import SECONDARY_CAPTURE, running, save_object, small_object, start_hospital, start_orthanc
from tests.ports import pick_free_port

CALLER = Caller("BRIDGE")


class Box:
    """A listener whose reports are kept in a queue; `is_durable` is what it answers."""

    def __init__(self) -> None:
        self.port = pick_free_port()
        self.reports: queue.Queue[CommitmentReport] = queue.Queue()
        self.is_durable = True
        self.listener = CommitmentListener(Listener(port=self.port), CALLER, self.hear)

    def hear(self, report: CommitmentReport) -> bool:
        self.reports.put(report)
        return self.is_durable


@pytest.fixture
def box() -> Iterator[Box]:
    box = Box()
    yield box
    box.listener.stop()


def _information(transaction: str, good: tuple[str, ...], bad: tuple[tuple[str, int], ...] = ()) -> Dataset:
    information = Dataset()
    information.TransactionUID = transaction
    information.ReferencedSOPSequence = [_item(uid) for uid in good]
    if bad:
        information.FailedSOPSequence = [_item(uid, reason) for uid, reason in bad]
    return information


def _item(uid: str, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = SECONDARY_CAPTURE
    item.ReferencedSOPInstanceUID = uid
    if reason is not None:
        item.FailureReason = reason
    return item


def _send_report(port: int, information: Dataset, event_type: int | None = 1, ae_title: str = "ARCHIVE") -> int:
    """An archive that opens an association of its own, as SCP by role selection (PS3.4 J.3.3)."""
    ae = AE(ae_title=ae_title)
    ae.add_requested_context(StorageCommitmentPushModel, ImplicitVRLittleEndian)
    role = build_role(StorageCommitmentPushModel, scu_role=False, scp_role=True)
    association = ae.associate("127.0.0.1", port, ae_title="BRIDGE", ext_neg=[role])
    assert association.is_established
    assert association.accepted_contexts[0].as_scp
    request = N_EVENT_REPORT()
    request.MessageID = 1
    request.AffectedSOPClassUID = StorageCommitmentPushModel
    request.AffectedSOPInstanceUID = StorageCommitmentPushModelInstance
    request.EventTypeID = event_type
    encoded = encode(information, True, True)
    assert encoded
    request.EventInformation = BytesIO(encoded)
    association._reactor_checkpoint.clear()
    association.dimse.send_msg(request, 1)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    association.release()
    assert answer is not None
    return int(answer.Status)


def test_ok__a_report_on_an_association_of_the_archives_own(box: Box) -> None:
    assert _send_report(box.port, _information("1.2.3", ("1.1", "1.2"), (("1.3", 0x0112),)), 2) == 0
    report = box.reports.get(timeout=5)
    assert report == CommitmentReport("ARCHIVE", "1.2.3", frozenset({"1.1", "1.2"}), {"1.3": 0x0112})


def test_ok__a_report_without_event_type_is_heard(box: Box) -> None:
    assert _send_report(box.port, _information("1.2.4", ("1.1",)), None) == 0
    assert box.reports.get(timeout=5).committed == {"1.1"}


def test_fail__what_is_not_durable_is_answered_with_processing_failure(box: Box) -> None:
    box.is_durable = False
    assert _send_report(box.port, _information("1.2.5", ("1.1",))) == 0x0110


def test_fail__a_report_without_transaction(box: Box) -> None:
    information = Dataset()
    information.ReferencedSOPSequence = [_item("1.1")]
    assert _send_report(box.port, information) == 0x0110
    assert box.reports.empty()


def test_ok__anyone_may_verify_the_listener(box: Box) -> None:
    echo(Peer(ae_title="BRIDGE", host="127.0.0.1", port=box.port), Caller("ANYONE"))


def test_fail__the_port_is_taken(box: Box) -> None:
    with pytest.raises(CannotListen, match=str(box.port)):
        CommitmentListener(Listener(port=box.port), CALLER, box.hear)


def test_ok__an_object_in_both_lists_is_not_committed() -> None:
    report = report_from(_information("1.2", ("1.1", "1.2"), (("1.2", 0x0110),)), "ARCHIVE")
    assert (report.committed, report.failed) == ({"1.1"}, {"1.2": 0x0110})


@pytest.mark.parametrize("peer_name", ["orthanc", "hospital"])
def test_ok__store_ask_and_hear(peer_name: str, tmp_path: Path, box: Box) -> None:
    path = save_object(tmp_path / "out", small_object())
    uid = path.name.partition("~")[0]
    start = start_orthanc if peer_name == "orthanc" else start_hospital
    with running(start(tmp_path / peer_name, box_port=box.port)) as archive:
        peer = Peer(ae_title=peer_name.upper(), host="127.0.0.1", port=archive.port, answer_seconds=20)
        contexts = [Context(SECONDARY_CAPTURE, ("1.2.840.10008.1.2.1",)), COMMITMENT_CONTEXT]
        transaction, absent = new_uid(), new_uid()
        with open_association(peer, Caller("BRIDGE"), contexts, handlers=report_handlers(box.hear)) as association:
            assert store_object(association, path).code == 0
            references = [Reference(SECONDARY_CAPTURE, uid), Reference(SECONDARY_CAPTURE, absent)]
            answer = request_commitment(association, transaction, references)
            assert answer.verdict is ActionVerdict.ACCEPTED
        report = box.reports.get(timeout=30)
    assert report.calling_ae == peer_name.upper()
    assert (report.transaction_uid, report.committed, report.failed) == (transaction, {uid}, {absent: 0x0112})


def test_ok__the_listener_outlives_garbage(box: Box) -> None:
    for garbage in (
        b"",
        b"GET / HTTP/1.0\r\n\r\n",
        struct.pack(">BBI", 1, 0, 4) + b"xxxx",
        b"\x04\x00\x00\x00\x00\x00",
    ):
        with socket.create_connection(("127.0.0.1", box.port), 5) as connection:
            connection.sendall(garbage)
    echo(Peer(ae_title="BRIDGE", host="127.0.0.1", port=box.port), Caller("ANYONE"))


def test_ok__a_report_on_the_association_that_asked(box: Box) -> None:
    """An archive that reports before it even answers, and on the same association."""
    heard: queue.Queue[CommitmentReport] = queue.Queue()
    ae = AE(ae_title="ARCHIVE")
    ae.add_supported_context(StorageCommitmentPushModel)
    answers: queue.Queue[int] = queue.Queue()

    def on_action(event: evt.Event) -> tuple[int, None]:
        information = event.action_information
        good = tuple(str(item.ReferencedSOPInstanceUID) for item in information.ReferencedSOPSequence)
        status, _ = event.assoc.send_n_event_report(
            _information(str(information.TransactionUID), good),
            1,
            StorageCommitmentPushModel,
            StorageCommitmentPushModelInstance,
        )
        answers.put(int(status.Status))
        return 0x0000, None

    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_ACTION, on_action)])
    assert server is not None
    try:
        peer = Peer(ae_title="ARCHIVE", host="127.0.0.1", port=server.server_address[1], answer_seconds=10)
        handlers = report_handlers(lambda report: heard.put(report) is None)
        with open_association(peer, Caller("BRIDGE"), [COMMITMENT_CONTEXT], handlers=handlers) as association:
            answer = request_commitment(association, "1.2.9", [Reference(SECONDARY_CAPTURE, "1.1")])
            assert answer.verdict is ActionVerdict.ACCEPTED
        report = heard.get(timeout=5)
        assert (report.calling_ae, report.transaction_uid, report.committed) == ("ARCHIVE", "1.2.9", {"1.1"})
        assert answers.get(timeout=5) == 0
    finally:
        server.shutdown()
