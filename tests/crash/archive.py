"""The hospital as forward sees it, at the dimse boundary: what it holds, and what it answers. No network.

It goes on from what the recorded hospital had on its own disk at the moment of the box's power cut. Where it is
recorded itself, it writes what it holds below a `directory`, as that hospital did.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

from appliance.dimse.association import PeerUnreachable
from appliance.dimse.commitment import ActionAnswer, CommitmentReport
from appliance.dimse.performed_step import StepAnswer
from appliance.dimse.status import ActionVerdict, StepVerdict, StoreVerdict
from appliance.dimse.store import StoreStatus
from tests.crash.record import Promise

REPORT_SECONDS = 0.4
_META_START = 144  # behind the preamble, DICM and (0002,0000) (PS3.10 7.1)
_STATUS = "00400252"


def dataset_in(file: bytes) -> bytes:
    """What of a DICOM file crosses the network: everything behind its file meta information."""
    return file[_META_START + int.from_bytes(file[140:144], "little") :]


class Turned(Protocol):
    """A clock that stands still until it is turned."""

    def monotonic(self) -> float: ...

    def turn(self, seconds: float) -> None: ...


@dataclass
class Archive:
    """Worklist, steps, objects and commitment of the hospital."""

    clock: Turned
    ae_title: str = "HOSPITAL"
    objects: dict[str, bytes] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    stored_again: list[str] = field(default_factory=list)
    steps: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    hear: Callable[[CommitmentReport], bool] | None = None
    directory: Path | None = None
    voice: Callable[..., None] = lambda *_, **__: None
    """Told of what the box promises to the archive (`recorder.voiced`)."""
    _owed: list[tuple[float, str, frozenset[str]]] = field(default_factory=list)

    @classmethod
    def from_tree(cls, tree: dict[str, bytes | None], clock: Turned, directory: Path | None = None) -> Archive:
        """As the recorded hospital's files say."""
        archive = cls(clock, directory=directory)
        for path, content in tree.items():
            top, _, name = path.partition("/")
            if content is None or name.startswith("."):
                continue
            if top == "objects":
                archive.objects[name.removesuffix(".dcm")] = dataset_in(content)
            elif top == "conflicts":
                archive.conflicts.append(name)
            elif top == "steps":
                archive.steps[name.removesuffix(".json")] = json.loads(content)[_STATUS]["Value"][0]
            elif top == "commitments":
                told = json.loads(content)
                if told["state"] == "pending":
                    archive._owe(told["transaction_uid"], [one["sop_instance_uid"] for one in told["references"]])
        return archive

    def _write(self, path: str, content: bytes) -> None:
        """The hospital's disk has it from now on."""
        if self.directory is not None:
            file = self.directory / path
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary = file.with_name(f".{file.name}")
            temporary.write_bytes(content)
            temporary.rename(file)

    def _write_commitment(self, transaction_uid: str, uids: Iterable[str], state: str) -> None:
        references = [{"sop_instance_uid": uid} for uid in sorted(uids)]
        told = {"transaction_uid": transaction_uid, "state": state, "references": references}
        self._write(f"commitments/{transaction_uid}.json", json.dumps(told).encode())

    def _write_step(self, sop_instance_uid: str) -> None:
        told = {_STATUS: {"vr": "CS", "Value": [self.steps[sop_instance_uid]]}}
        self._write(f"steps/{sop_instance_uid}.json", json.dumps(told).encode())

    def _owe(self, transaction_uid: str, uids: Sequence[str]) -> None:
        self._owed.append((self.clock.monotonic() + REPORT_SECONDS, transaction_uid, frozenset(uids)))

    def report_due(self) -> None:
        """Report on what was asked some time ago; a report that was not taken is repeated."""
        if self.hear is None:
            return
        due = [one for one in self._owed if one[0] <= self.clock.monotonic()]
        for one in due:
            self._owed.remove(one)
            _, transaction_uid, uids = one
            held = frozenset(uid for uid in uids if uid in self.objects)
            report = CommitmentReport(self.ae_title, transaction_uid, held, dict.fromkeys(uids - held, 0x0112))
            if not self.hear(report):
                self.wrong.append(f"the report on transaction {transaction_uid} was not believed")
                continue
            for uid in sorted(held):
                self.voice(Promise.COMMITTED, uid)
            self._write_commitment(transaction_uid, uids, "reported")

    # -- what stands for appliance.dimse

    @contextmanager
    def open_association(self, peer: Any, *_: Any, **__: Any) -> Iterator[Any]:
        yield SimpleNamespace(peer=peer, is_established=True, attend=self._attend)

    def _attend(self, seconds: float) -> bool:
        """The association is held for a report on it."""
        self.clock.turn(seconds)
        return True

    def store_object(self, _association: Any, path: Path, *_: Any, **__: Any) -> StoreStatus:
        uid, file = path.name.partition("~")[0], path.read_bytes()
        data = dataset_in(file)
        known = self.objects.setdefault(uid, data)
        if known is data:
            self._write(f"objects/{uid}.dcm", file)
        else:
            self.stored_again.append(uid)
            if known != data:
                self.conflicts.append(uid)
                self._write(f"conflicts/{uid}", file)
        return StoreStatus(0, "", StoreVerdict.STORED, "stored")

    def request_commitment(self, _association: Any, transaction_uid: str, references: Sequence[Any]) -> ActionAnswer:
        self.voice(Promise.ASKED, transaction_uid)
        uids = [one.sop_instance_uid for one in references]
        self._owe(transaction_uid, uids)
        self._write_commitment(transaction_uid, uids, "pending")
        return ActionAnswer(0, ActionVerdict.ACCEPTED, "taken")

    def create_step(self, _association: Any, sop_instance_uid: str, _dataset: Any) -> StepAnswer:
        if sop_instance_uid in self.steps:
            return StepAnswer(0x0111, StepVerdict.DUPLICATE, "duplicate", sop_instance_uid)
        self.steps[sop_instance_uid] = "IN PROGRESS"
        self._write_step(sop_instance_uid)
        return StepAnswer(0, StepVerdict.DONE, "created", sop_instance_uid)

    def set_step(self, _association: Any, sop_instance_uid: str, dataset: Any) -> StepAnswer:
        known = self.steps.get(sop_instance_uid)
        if known is None:
            return StepAnswer(0x0112, StepVerdict.UNKNOWN_STEP, "unknown", sop_instance_uid)
        if known != "IN PROGRESS":
            return StepAnswer(0x0110, StepVerdict.MAY_BE_FINAL, "final already", sop_instance_uid)
        self.steps[sop_instance_uid] = str(dataset.PerformedProcedureStepStatus)
        self._write_step(sop_instance_uid)
        return StepAnswer(0, StepVerdict.DONE, "set", sop_instance_uid)

    def query_worklist(self, *_: Any, **__: Any) -> Any:
        """The list is away today: the box goes on with the one that it kept."""
        raise PeerUnreachable("The worklist does not answer.")
