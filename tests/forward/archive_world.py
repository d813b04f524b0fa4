"""A whole forward process without its threads and its network: the real parts, archives made of sets, and a power cut.

An archive here is what the functions of dimse would tell of one: what it holds, for what it took responsibility, what
it was asked. The power can be cut before and after each commit of the journal, each rename, and each message.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from appliance.base.clock import Clock
from appliance.base.durable import remove_file, rename_file, replace_file, sync_directory, write_once
from appliance.base.findings import FindingBoard
from appliance.config.schema import Configuration, Destination
from appliance.dimse.association import AssociationAborted, Caller, NoAcceptedContext, PeerUnreachable
from appliance.dimse.commitment import ActionAnswer, CommitmentReport, Reference
from appliance.dimse.find import FindRefused
from appliance.dimse.status import action_verdict, store_verdict
from appliance.dimse.store import StoreStatus
from appliance.exam.audit import AuditTrail
from appliance.exam.audit_gate import AuditGate
from appliance.forward.delivery import Delivery
from appliance.forward.expiry import Expiry
from appliance.forward.intake import Intake
from appliance.forward.journal import Journal
from appliance.forward.ledger import Ledger
from appliance.forward.listing import Listing
from appliance.forward.refused_callers import RefusedCallers
from appliance.forward.reports import ReportDesk
from appliance.forward.settle import Settlement
from appliance.forward.states import DeliveryState
from appliance.forward.transactions import Transactions
from appliance.forward.troubles import Troubles
from appliance.spool.tree import Spool
from tests.forward.hand_clock import HandClock
from tests.forward.hospital_job import Job

_MEMORY = Path("/dev/shm")


class PowerCut(BaseException):
    """Nothing that ran goes on."""


class Power:
    """Cut at the `left`-th of the points that are passed from now on."""

    def __init__(self) -> None:
        self.left = 0
        self.is_off = False

    def pass_point(self) -> None:
        if self.left:
            self.left -= 1
            self.is_off = not self.left
        if self.is_off:
            raise PowerCut


class CutJournal(Journal):
    """The journal; the power may go before a commit, which is then lost, or after it."""

    def __init__(self, path: Path, power: Power) -> None:
        self._power = power
        super().__init__(path)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        if self._power.is_off:
            raise PowerCut
        is_outermost = not self._connection.in_transaction
        with super().transaction() as db:
            yield db
            if is_outermost:
                self._power.pass_point()
        if is_outermost:
            self._power.pass_point()


@dataclass
class Archive:
    """One destination's other end. `sent` lists every object that came, each time that it came."""

    destination: Destination
    is_up: bool = True
    store: str = "0000"
    action: str = "0000"
    find: str = "0000"
    holds: set[str] = field(default_factory=set)
    responsible_for: set[str] = field(default_factory=set)
    accepted: set[str] = field(default_factory=set)
    shown: set[str] = field(default_factory=set)
    sent: list[str] = field(default_factory=list)
    asked: dict[str, list[str]] = field(default_factory=dict)

    def commit(self, transaction_uid: str, among: set[str]) -> frozenset[str]:
        """Take responsibility for what is held of a transaction, if it is `among`."""
        good = frozenset(among & self.holds & set(self.asked[transaction_uid]))
        self.responsible_for |= good
        return good


class FakeAssociation:
    def __init__(self, world: World, archive: Archive) -> None:
        self.world = world
        self.archive = archive

    def attend(self, seconds: float) -> bool:
        self.world.clock.wait(threading.Event(), seconds)
        return self.archive.is_up


class World:
    """The parts as services/forward.py puts them together; `restart` is the next run on the same files."""

    def __init__(self, destinations: Sequence[Destination], clock: Clock | None = None) -> None:
        # In memory where there is such a place: what is cut here are processes, and fsync would only cost time.
        self.directory = Path(tempfile.mkdtemp(dir=_MEMORY if _MEMORY.is_dir() else None))
        self.spool = Spool(self.directory)
        self.spool.make()
        self.clock = clock or HandClock()
        self.power = Power()
        self.archives = {one.name: Archive(one) for one in destinations}
        self.configuration = Configuration.model_validate(
            {
                "destinations": [one.model_dump() for one in destinations],
                "devices": [{"name": "ultrasound", "driver": "xmodem", "modality": "US", "line": "a"}],
            }
        )
        self.jobs: list[Job] = []
        self.runs = 0
        self.not_again: set[tuple[str, str]] = set()
        """(object, destination) that must never be sent any more."""
        self.is_room_short = False
        self.is_clock_trusted = True
        self.meanwhile: Callable[[], object] | None = None
        """What happens once, while the next object is on its way."""
        self._patches = ExitStack()
        for name, act in (
            ("appliance.forward.delivery.open_association", self._open),
            ("appliance.forward.visit.store_object", self._store),
            ("appliance.forward.visit.request_commitment", self._request),
            ("appliance.forward.visit.find_instances", self._find),
            ("appliance.forward.settle.rename_file", self._around(rename_file)),
            ("appliance.forward.settle.sync_directory", self._around(sync_directory)),
            ("appliance.forward.settle.write_once", self._around(write_once)),
            ("appliance.forward.settle.remove_file", self._around(remove_file)),
            ("appliance.forward.expiry.replace_file", self._around(replace_file)),
            ("appliance.forward.expiry.sync_directory", self._around(sync_directory)),
            ("appliance.forward.expiry.write_once", self._around(write_once)),
        ):
            self._patches.enter_context(patch(name, act))
        self.start()

    def start(self) -> None:
        self.runs += 1
        self.journal = CutJournal(self.journal_path, self.power)
        self.findings = FindingBoard()
        self.ledger = Ledger(self.journal, self.clock)
        self.transactions = Transactions(self.ledger)
        self.troubles = Troubles(self.journal, self.clock)
        destinations = self.configuration.destinations
        self.refused = RefusedCallers(self.findings, self.clock)
        self.desk = ReportDesk(self.transactions, destinations, self.findings, lambda _name: None, self.refused)
        self.deliveries = {
            one.name: Delivery(
                one,
                Caller("BRIDGE"),
                spool=self.spool,
                ledger=self.ledger,
                transactions=self.transactions,
                troubles=self.troubles,
                desk=self.desk,
                findings=self.findings,
                audit=AuditGate(AuditTrail(self.spool.state / "audit", "forward", self.clock), self.findings),
                clock=self.clock,
            )
            for one in destinations
        }
        self.intake = Intake(
            self.spool,
            self.ledger,
            None,
            self.findings,
            self.clock,
            destinations=frozenset(self.archives),
            on_new=lambda: None,
        )
        listing = Listing(self.journal, self.spool)
        self.expiry = Expiry(
            self.spool,
            self.ledger,
            self.configuration.retention,
            1000,
            listing=listing,
            intake=self.intake,
            findings=self.findings,
            clock=self.clock,
            audit=AuditGate(AuditTrail(self.spool.state / "audit", "forward", self.clock), self.findings),
            is_clock_trusted=lambda: self.is_clock_trusted,
            free_bytes=lambda _directory: 0 if self.is_room_short else 1000,
        )
        self.settlement = Settlement(
            self.spool,
            self.ledger,
            None,
            listing=listing,
            intake=self.intake,
            findings=self.findings,
            clock=self.clock,
            seconds_of_work=self.expiry.seconds_of_work,
        )

    @property
    def journal_path(self) -> Path:
        return self.directory / "journal" / "journal.sqlite"

    def restart(self, *, is_journal_lost: bool = False) -> None:
        self.power.left, self.power.is_off = 0, False
        self.journal.close()
        if is_journal_lost:
            shutil.rmtree(self.journal_path.parent)
        self.start()

    def end(self) -> None:
        self._patches.close()
        self.journal.close()
        shutil.rmtree(self.directory)

    def run(self, act: Callable[[], object]) -> bool:
        """`act`; false when the power went meanwhile, and it is back now."""
        try:
            act()
        except PowerCut:
            self.restart()
            return False
        return True

    # -- what can be asked about it

    def state(self, uid: str, name: str) -> DeliveryState | None:
        return self.ledger.state_of(uid, name)

    def rows_of_others(self, name: str) -> list[tuple[Any, ...]]:
        """All that is written about other destinations than `name`."""
        with self.journal.reading() as db:
            rows = db.execute("SELECT * FROM deliveries WHERE destination <> ?", (name,)).fetchall()
            rows += db.execute("SELECT * FROM transactions WHERE destination <> ?", (name,)).fetchall()
            rows += db.execute("SELECT * FROM peers WHERE name <> ?", (f"destination {name}",)).fetchall()
        return [tuple(row) for row in rows]

    def hear(self, report: CommitmentReport) -> bool:
        return self.desk.hear(report)

    # -- the functions of dimse

    @contextmanager
    def _open(self, peer: Destination, *_rest: object) -> Iterator[FakeAssociation]:
        archive = self.archives[peer.name]
        if not archive.is_up:
            raise PeerUnreachable("It is down.")
        yield FakeAssociation(self, archive)

    def _store(self, association: FakeAssociation, path: Path) -> StoreStatus:
        archive, uid = association.archive, path.name.partition("~")[0]
        path.stat()
        assert (uid, archive.destination.name) not in self.not_again, "what is committed is sent again"
        if self.meanwhile is not None:
            act, self.meanwhile = self.meanwhile, None
            act()
        self.power.pass_point()
        match archive.store:
            case "abort before":
                raise AssociationAborted("It broke.")
            case "no context":
                raise NoAcceptedContext("It takes no such thing.")
            case "not kept":
                status = 0
            case "abort behind":
                status = 0
                archive.holds.add(uid)
            case code:
                status = int(code, 16)
                if status in (0x0000, 0xB000):
                    archive.holds.add(uid)
        archive.sent.append(uid)
        if status in (0x0000, 0xB000):
            archive.accepted.add(uid)
        self.power.pass_point()
        if archive.store == "abort behind":
            raise AssociationAborted("It broke behind the object.")
        verdict, said = store_verdict(status)
        return StoreStatus(status, "", verdict, said)

    def _request(
        self, association: FakeAssociation, transaction_uid: str, references: Sequence[Reference]
    ) -> ActionAnswer:
        archive = association.archive
        uids = [one.sop_instance_uid for one in references]
        self._check_durable(transaction_uid, uids)
        assert transaction_uid not in archive.asked, "a transaction's identifier is used twice"
        assert not {(uid, archive.destination.name) for uid in uids} & self.not_again
        self.power.pass_point()
        if archive.action == "abort before":
            raise AssociationAborted("It broke.")
        if archive.action == "no context":
            raise NoAcceptedContext("It does not commit.")
        archive.asked[transaction_uid] = uids
        if archive.action == "report first":
            good = archive.commit(transaction_uid, set(uids))
            bad = dict.fromkeys(set(uids) - good, 0x0112)
            assert self.hear(CommitmentReport(archive.destination.ae_title, transaction_uid, good, bad))
        self.power.pass_point()
        if archive.action == "abort behind":
            raise AssociationAborted("It broke.")
        status = 0 if archive.action == "report first" else int(archive.action, 16)
        verdict, said = action_verdict(status)
        return ActionAnswer(status, verdict, said)

    def _find(self, association: FakeAssociation, study: str, series: str | None, uids: Sequence[str]) -> set[str]:
        archive = association.archive
        assert study
        assert series
        self.power.pass_point()
        if archive.find == "refused":
            raise FindRefused("It does not tell.")
        if archive.find == "abort":
            raise AssociationAborted("It broke.")
        found = set(uids) & archive.holds
        archive.shown |= found
        return found

    def _check_durable(self, transaction_uid: str, uids: Sequence[str]) -> None:
        """Another connection sees the transaction and its members: N-ACTION may leave."""
        with sqlite3.connect(self.journal_path) as db:
            found = db.execute(
                "SELECT sop_instance_uid FROM transactions JOIN transaction_members USING (transaction_uid)"
                " WHERE transaction_uid = ? AND is_open",
                (transaction_uid,),
            ).fetchall()
        db.close()
        assert sorted(row[0] for row in found) == sorted(uids), "asked before it was durable"

    def _around(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def cuttable(*given: Any) -> Any:
            self.power.pass_point()
            done = act(*given)
            self.power.pass_point()
            return done

        return cuttable
