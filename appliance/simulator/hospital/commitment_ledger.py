"""What this hospital has been asked to take responsibility for, one file a transaction, kept over a restart."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

from appliance.base.durable import make_directory, replace_file
from appliance.simulator.hospital.uid_names import is_uid


class TransactionState(StrEnum):
    """Where a transaction stands."""

    PENDING = "pending"
    REPORTED = "reported"  # the box answered 0000 to our report
    GIVEN_UP = "given_up"  # the box could not be reached often enough
    SILENCED = "silenced"  # a fault wants it never to be reported on


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """One object of a transaction, as (0008,1199) names it."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Transaction:
    """A storage commitment request (PS3.4 J.3.2) and what became of it."""

    transaction_uid: str
    references: tuple[Reference, ...]
    state: TransactionState = TransactionState.PENDING
    attempts: int = 0
    event_type: int | None = None  # 1 all committed, 2 failures exist; None before the first report


class CommitmentLedger:
    """`UID.json` for each transaction, replaced as a whole."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        make_directory(directory)

    def write(self, transaction: Transaction) -> None:
        """Make the transaction durable. OSError when the disk fails, ValueError for what is no UID."""
        if not is_uid(transaction.transaction_uid):
            raise ValueError("the transaction UID is no UID")
        text = json.dumps(asdict(transaction), indent=1)
        replace_file(self._path(transaction.transaction_uid), text.encode())

    def read(self, transaction_uid: str) -> Transaction | None:
        """The transaction as it stands, None when there is none."""
        if not is_uid(transaction_uid) or not self._path(transaction_uid).exists():
            return None
        facts = json.loads(self._path(transaction_uid).read_text(encoding="utf-8"))
        transaction = Transaction(**facts)
        return replace(
            transaction,
            references=tuple(Reference(**reference) for reference in facts["references"]),
            state=TransactionState(facts["state"]),
        )

    def pending(self) -> list[str]:
        """UIDs of the transactions that still wait for their report."""
        uids = (path.stem for path in sorted(self._directory.glob("[0-9]*.json")))
        found = (self.read(uid) for uid in uids)
        return [each.transaction_uid for each in found if each is not None and each.state is TransactionState.PENDING]

    def _path(self, transaction_uid: str) -> Path:
        return self._directory / f"{transaction_uid}.json"
