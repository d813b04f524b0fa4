"""A peer that answers what it was told to, one status after the other, and success when the list is at its end.

`python -m tests.conformance.scripted_peer PORT BOX_PORT SCRIPT.json`: the script maps `AE TITLE/OPERATION` to
statuses, and `AE TITLE/reasons` to the Failure Reasons of the objects that it is asked to commit. The first report of a
title goes over the association that asked, the others over one of the peer's own. Status 0110 with Error ID A710 is
written A710.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLSLossless,
)
from pynetdicom import AE, StoragePresentationContexts, build_role, evt
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

SYNTAXES = [JPEGBaseline8Bit, JPEGLSLossless, ExplicitVRLittleEndian, ImplicitVRLittleEndian]
ENDED = 0xA710
MANY = 50  # entries of an answer that is to be cancelled


class ScriptedPeer:
    """What is left to be answered, by title and operation."""

    def __init__(self, box_port: int, script: dict[str, list[int]]) -> None:
        self._box_port = box_port
        self._script = script
        self._lock = threading.Lock()
        self._has_reported: set[str] = set()

    def next_of(self, title: str, operation: str) -> int:
        with self._lock:
            left = self._script.get(f"{title}/{operation}", [])
            return left.pop(0) if left else 0

    def store(self, event: Any) -> int:
        return self.next_of(title_of(event), "C-STORE")

    def create(self, event: Any) -> tuple[Dataset, None]:
        return status_from(self.next_of(title_of(event), "N-CREATE")), None

    def set(self, event: Any) -> tuple[Dataset, None]:
        return status_from(self.next_of(title_of(event), "N-SET")), None

    def find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        """A pending status comes with an entry; FE00 waits until the query is cancelled."""
        status = self.next_of(title_of(event), "C-FIND")
        is_worklist = event.request.AffectedSOPClassUID == ModalityWorklistInformationFind
        if status == 0xFE00 and is_worklist:
            for number in range(MANY):
                if event.is_cancelled:
                    break
                yield 0xFF00, entry_from(number)
                time.sleep(0.01)
            yield 0xFE00, None
        elif is_worklist and status in (0, 0xFF01):
            yield status or 0xFF00, entry_from(0)
        elif status in (0, 0xFF01):
            uids = event.identifier.SOPInstanceUID
            for uid in [uids] if isinstance(uids, str) else uids:
                found = Dataset()
                found.QueryRetrieveLevel, found.SOPInstanceUID = "IMAGE", uid
                yield status or 0xFF00, found
        else:
            yield status, None

    def act(self, event: Any) -> tuple[int, None]:
        title = title_of(event)
        status = self.next_of(title, "N-ACTION")
        if status == 0:
            information, association = event.action_information, event.assoc
            threading.Thread(target=self.report, args=(title, information, association), daemon=True).start()
        return status, None

    def report(self, title: str, asked: Dataset, association: Any) -> None:
        told = Dataset()
        told.TransactionUID = asked.TransactionUID
        good, bad = [], []
        for one in asked.ReferencedSOPSequence:
            reason = self.next_of(title, "reasons")
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = (
                one.ReferencedSOPClassUID,
                one.ReferencedSOPInstanceUID,
            )
            if reason:
                item.FailureReason = reason
            (bad if reason else good).append(item)
        if good:
            told.ReferencedSOPSequence = Sequence(good)
        if bad:
            told.FailedSOPSequence = Sequence(bad)
        with self._lock:
            is_first = title not in self._has_reported
            self._has_reported.add(title)
        time.sleep(0.1)
        event_type, instance = (2 if bad else 1), StorageCommitmentPushModelInstance
        if is_first and association.is_established:
            association.send_n_event_report(told, event_type, StorageCommitmentPushModel, instance)
            return
        caller = AE(ae_title=title)
        caller.add_requested_context(StorageCommitmentPushModel)
        own = caller.associate(
            "127.0.0.1",
            self._box_port,
            ae_title="BRIDGE",
            ext_neg=[build_role(StorageCommitmentPushModel, scu_role=False, scp_role=True)],
        )
        if own.is_established:
            own.send_n_event_report(told, event_type, StorageCommitmentPushModel, instance)
            own.release()


def title_of(event: Any) -> str:
    return str(event.assoc.requestor.primitive.called_ae_title).strip()


def status_from(code: int) -> Dataset:
    status = Dataset()
    status.Status = 0x0110 if code == ENDED else code
    if code == ENDED:
        status.ErrorID = ENDED
    return status


def entry_from(number: int) -> Dataset:
    entry = Dataset()
    entry.PatientName, entry.PatientID = "Test^Wire", f"W-{number}"
    entry.StudyInstanceUID, entry.RequestedProcedureID = UID(f"1.2.3.{number + 1}"), f"RP-{number}"
    step = Dataset()
    step.Modality, step.ScheduledProcedureStepID = "US", f"SPS-{number}"
    entry.ScheduledProcedureStepSequence = Sequence([step])
    return entry


def main(port: int, box_port: int, script: Path) -> None:
    peer = ScriptedPeer(box_port, json.loads(script.read_text()))
    ae = AE(ae_title="SCRIPTED")
    for context in StoragePresentationContexts:
        ae.add_supported_context(context.abstract_syntax, SYNTAXES)
    for uid in (
        Verification,
        EncapsulatedPDFStorage,
        ModalityWorklistInformationFind,
        StudyRootQueryRetrieveInformationModelFind,
        ModalityPerformedProcedureStep,
        StorageCommitmentPushModel,
    ):
        ae.add_supported_context(uid, SYNTAXES[2:] if uid != EncapsulatedPDFStorage else SYNTAXES)
    ae.start_server(
        ("127.0.0.1", port),
        evt_handlers=[
            (evt.EVT_C_STORE, peer.store),
            (evt.EVT_C_FIND, peer.find),
            (evt.EVT_N_CREATE, peer.create),
            (evt.EVT_N_SET, peer.set),
            (evt.EVT_N_ACTION, peer.act),
        ],
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
