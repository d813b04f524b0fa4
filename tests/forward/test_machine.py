"""The forward process under power cuts, lost journals, odd archives, repeated, late, partial and strangers' reports,
people's decisions, flash that runs short, and clocks that jump: a state machine drives the real parts, and holds what
is promised.

Nothing that is not committed leaves the box's care but as DESIGN.md excepts; nothing committed, expired or withdrawn
is sent again, also by a rebuilt journal; no file goes before its time but for room, however the clock jumps; no
destination's trouble touches another's; and whatever happened, in the end everything is delivered.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from appliance.config.schema import Destination
from appliance.console.expired import ExpiredExams
from appliance.dimse.commitment import CommitmentReport
from appliance.exam.decisions import DecisionKind
from appliance.forward.retention import DAY_SECONDS
from appliance.forward.states import FINAL_DELIVERIES, DeliveryState
from appliance.forward.work_time import MOST_OFF_SECONDS
from tests.forward.archive_world import Archive, World
from tests.forward.hand_clock import HandClock
from tests.forward.hospital_job import Job


def _destination(name: str, **given: object) -> Destination:
    values = {"name": name, "ae_title": name.upper(), "host": "h", "port": 104, "retry_longest_seconds": 60}
    return Destination.model_validate(values | {"commitment_seconds": 600, "commitment_rounds": 2} | given)


DESTINATIONS = (
    _destination("one", verify_by_find=True),
    _destination("two", concurrency=2),
    _destination("plain", commitment=False),
    _destination("shown", commitment=False, verify_by_find=True),
)
NAMES = tuple(one.name for one in DESTINATIONS)
_STORES = ["0000", "B000", "A700", "0110", "C000", "not kept", "abort before", "abort behind", "no context"]
_ACTIONS = ["0000", "0000", "0131", "0213", "abort before", "abort behind", "no context", "report first"]
_FINDS = ["0000", "refused", "abort"]
# Decisions that may keep an object for as long as no other one lets it go.
_KEEPING = frozenset({DecisionKind.REASSIGNED, DecisionKind.REJECTED})


class ForwardMachine(RuleBasedStateMachine):
    @initialize(start=st.sampled_from(["closed", "partly kept", "gone early", "settled", "settled long ago"]))
    def begin(self, start: str) -> None:
        self.clock = HandClock()
        self.world = World(DESTINATIONS, self.clock)
        self.decided: dict[str, set[DecisionKind]] = {}
        self.released: set[tuple[str, str]] = set()  # from single destinations
        self.held: set[str] = set()
        self.gone: set[str] = set()
        self.kept_since: dict[str, tuple[float, int]] = {}
        self.was_room_short = False
        self.close_an_exam(2, set(NAMES), 1 if start in ("partly kept", "gone early") else 2)
        if start != "closed":
            self.quiet_hour()
            self.expire()
        if start == "gone early":
            self.flash_runs_short()
        if start == "settled long ago":
            self.days_pass(15)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            try:
                self.in_the_end_everything_is_delivered()
            finally:
                self.world.end()

    @property
    def uids(self) -> dict[str, Job]:
        """In the order of their making: what is drawn must not depend on the identifiers, which are random."""
        return {one.sop_instance_uid: job for job in self.world.jobs for one in job.instances}

    # -- the console and the people

    @precondition(lambda self: len(self.world.jobs) < 2)
    @rule(count=st.integers(1, 2), names=st.sets(st.sampled_from(NAMES), min_size=1), here=st.integers(0, 2))
    def close_an_exam(self, count: int, names: set[str], here: int) -> None:
        exam_id = f"20261122-09000{len(self.world.jobs)}-000{len(self.world.jobs)}"
        job = Job(self.world.spool, self.world.configuration, tuple(sorted(names)), exam_id)
        for _ in range(count):
            job.capture()
        job.close()
        self.world.jobs.append(job)
        self.hand_over(here)
        self.rescan()

    @rule(most=st.integers(1, 2))
    def hand_over(self, most: int) -> None:
        """The console was stopped between an exam's end and its renames, and repeats them, or some of them."""
        for job in self.world.jobs:
            captured = self.world.spool.captured("ultrasound", job.exam_id)
            paths = [captured / one.file_name for one in job.instances if (captured / one.file_name).exists()]
            for path in paths[:most]:
                path.rename(self.world.spool.outbox / path.name)

    @rule(data=st.data(), kind=st.sampled_from(DecisionKind), is_under_way=st.booleans())
    def decide(self, data: st.DataObject, kind: DecisionKind, is_under_way: bool) -> None:
        """A person decides that an object is not to be stored (any more), perhaps in the middle of its way."""
        if here := [uid for uid, job in self.uids.items() if not self.is_taken_away(job)]:
            uid = data.draw(st.sampled_from(here))

            def write() -> None:
                if self.is_taken_away(self.uids[uid]):
                    return
                (self.world.spool.exams / self.uids[uid].exam_id / f"{kind}-{uid}.json").write_text("{}")
                self.decided.setdefault(uid, set()).add(kind)
                if kind is DecisionKind.REASSIGNED and uid not in self.gone:
                    self.held.add(uid)
                if is_under_way:
                    self.world.intake.rescan()
                    self.world.settlement.settle()
                    self.forbid_withdrawn()

            if is_under_way:
                self.world.meanwhile = write
            else:
                write()

    def forbid_withdrawn(self) -> None:
        """The rescan has seen every decision: what is withdrawn is not sent again."""
        self.world.not_again |= {(uid, name) for uid in self.decided for name in NAMES} | self.released

    @rule(data=st.data(), name=st.sampled_from(NAMES))
    def release_from(self, data: st.DataObject, name: str) -> None:
        """A person lets go of an object at one destination, perhaps one to which it does not go."""
        if here := [uid for uid, job in self.uids.items() if not self.is_taken_away(job)]:
            uid = data.draw(st.sampled_from(here))
            (self.world.spool.exams / self.uids[uid].exam_id / f"released-{uid}@{name}.json").write_text("{}")
            self.released.add((uid, name))

    @rule(name=st.sampled_from(NAMES))
    def retry(self, name: str) -> None:
        self.world.run(lambda: self.world.deliveries[name].retry())

    # -- the process

    @rule()
    def rescan(self) -> None:
        if self.world.run(self.world.intake.rescan):
            self.forbid_withdrawn()
        self.world.run(self.world.settlement.settle)

    @rule()
    def expire(self) -> None:
        """One look at what is kept, and the console's at what has expired."""
        self.note_kept()
        self.world.run(self.world.expiry.expire)
        self.every_file_is_there()
        ExpiredExams(self.world.spool, self.world.findings, self.clock).remove()

    def note_kept(self) -> None:
        for job in self.world.jobs:
            for uid in job.kept() & job.uids:
                self.kept_since.setdefault(uid, (self.clock.seconds, self.world.runs))

    @rule(name=st.sampled_from(NAMES), number=st.sampled_from([0, 0, 1]))
    def work(self, name: str, number: int) -> None:
        delivery = self.world.deliveries[name]
        before = self.world.rows_of_others(name)
        runs, is_alone = self.world.runs, self.world.meanwhile is None
        self.world.run(lambda: delivery.work(min(number, len(delivery.workers) - 1)))
        if runs == self.world.runs and is_alone:
            assert self.world.rows_of_others(name) == before, "one destination's work touches another's"

    @rule(times=st.integers(1, 3))
    def work_everywhere(self, times: int) -> None:
        for _ in range(times):
            self.rescan()
            for name in NAMES:
                self.work(name, 0)

    # -- the archives

    @rule(name=st.sampled_from(NAMES), is_up=st.booleans())
    def switch(self, name: str, is_up: bool) -> None:
        self.world.archives[name].is_up = is_up

    @rule(name=st.sampled_from(NAMES), answer=st.sampled_from(_STORES))
    def answer_stores(self, name: str, answer: str) -> None:
        self.world.archives[name].store = answer

    @rule(name=st.sampled_from(["one", "two"]), answer=st.sampled_from(_ACTIONS))
    def answer_requests(self, name: str, answer: str) -> None:
        self.world.archives[name].action = answer

    @rule(name=st.sampled_from(["one", "shown"]), answer=st.sampled_from(_FINDS))
    def answer_queries(self, name: str, answer: str) -> None:
        self.world.archives[name].find = answer

    @rule(name=st.sampled_from(NAMES), data=st.data())
    def lose(self, name: str, data: st.DataObject) -> None:
        """An archive may lose what it has not taken responsibility for."""
        archive = self.world.archives[name]
        if loose := [uid for uid in self.uids if uid in archive.holds - archive.responsible_for]:
            archive.holds.discard(data.draw(st.sampled_from(loose)))

    @rule(
        name=st.sampled_from(["one", "two"]),
        data=st.data(),
        reason=st.sampled_from([0x0110, 0x0112, 0x0119, 0x0122, 0x0131, 0x0213, 0x7777]),
    )
    def report(self, name: str, data: st.DataObject, reason: int) -> None:
        """On any request, old or new, once more, for any part of it; and on objects that were never asked about."""
        archive = self.world.archives[name]
        if not archive.asked:
            return
        transaction = data.draw(st.sampled_from(list(archive.asked)))
        self.lie(archive, transaction)
        members = archive.asked[transaction]
        good = archive.commit(transaction, data.draw(st.sets(st.sampled_from(members))))
        bad = data.draw(st.sets(st.sampled_from(members))) - good  # it may contradict what it said before
        said = CommitmentReport(name.upper(), transaction, good | {"6.6.6"}, dict.fromkeys(bad, reason))
        before = self.world.rows_of_others(name)
        runs = self.world.runs
        self.world.run(lambda: self.world.hear(said))
        if runs == self.world.runs:
            assert self.world.rows_of_others(name) == before

    def lie(self, archive: Archive, transaction: str) -> None:
        """A stranger, or another archive, reports on a request that it was not asked: nobody believes it."""
        states = self.states()
        for who in ("EVIL", "PLAIN"):
            report = CommitmentReport(who, transaction, frozenset(archive.asked[transaction]), {})
            if self.world.run(lambda said=report: self.world.hear(said)):
                assert self.states() == states, "a stranger was believed"

    @rule()
    def quiet_hour(self) -> None:
        """All archives do what they should, long enough for an exam to be settled."""
        for archive in self.world.archives.values():
            archive.is_up, archive.store, archive.action, archive.find = True, "0000", "report first", "0000"
        for _ in range(4):
            self.work_everywhere(1)
            self.clock.advance(61)
        self.rescan()

    # -- time, room and power

    @rule(seconds=st.sampled_from([1.0, 61.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(days=st.sampled_from([1, 10, 15, 91]))
    def days_pass(self, days: int) -> None:
        self.clock.advance(days * DAY_SECONDS)

    @rule(is_trusted=st.booleans())
    def the_clock_is_trusted(self, is_trusted: bool) -> None:
        self.world.is_clock_trusted = is_trusted

    @rule()
    def flash_runs_short(self) -> None:
        """For a moment; the same look finds what is not to go for it."""
        self.was_room_short = self.world.is_room_short = True
        self.expire()
        self.world.is_room_short = False

    @rule(seconds=st.sampled_from([-400 * 86_400.0, -86_400.0, -30.0, 30.0, 86_400.0, 400 * 86_400.0]))
    def clock_is_set(self, seconds: float) -> None:
        self.clock.set_wall(seconds)

    @rule(points=st.integers(1, 12))
    def cut_the_power_soon(self, points: int) -> None:
        self.world.power.left = points

    @rule()
    def crash(self) -> None:
        self.world.restart()

    @rule()
    def lose_the_journal(self) -> None:
        """Everything is off, and the journal is deleted. What is settled stays so, and what was decided."""
        self.world.restart(is_journal_lost=True)
        settled = {uid for job in self.world.jobs if self.is_settled(job) for uid in job.uids}
        known = settled | self.gone | set(self.decided)
        self.world.not_again = {pair for pair in self.world.not_again if pair[0] in known} | self.released
        self.rescan()

    # -- what holds

    def states(self) -> dict[tuple[str, str], DeliveryState | None]:
        return {(uid, name): self.world.state(uid, name) for uid in self.uids for name in NAMES}

    def is_taken_away(self, job: Job) -> bool:
        """The console took the exam's record away, since nothing of it is here any more."""
        return not (self.world.spool.exams / job.exam_id).exists()

    def is_settled(self, job: Job) -> bool:
        return job.settled.exists() or self.is_taken_away(job)

    @invariant()
    def every_file_is_there(self) -> None:
        for job in self.world.jobs:
            kept = job.kept()
            for one in job.instances:
                uid = one.sop_instance_uid
                captured = self.world.spool.captured("ultrasound", job.exam_id)
                places = [captured, self.world.spool.outbox, self.world.spool.kept]
                here = [place for place in places if (place / one.file_name).exists()]
                assert len(here) < 2, "an object is there twice"
                if not here:
                    assert self.may_be_gone(uid, job), "an object is lost"
                    self.gone.add(uid)
                    self.world.not_again |= {(uid, name) for name in NAMES}
                else:
                    assert uid not in self.gone
                    assert not self.is_taken_away(job), "the record went before the object"
                if uid in kept and uid not in self.decided:
                    for name in job.destinations:
                        if (uid, name) not in self.released:
                            self.is_done(uid, self.world.archives[name])

    def may_be_gone(self, uid: str, job: Job) -> bool:
        """It has expired: the archives, or a person, allowed it, and its time was over or flash ran short."""
        if uid in self.gone:
            return True
        if not self.was_room_short:
            seconds, runs = self.kept_since[uid]
            counted = self.clock.seconds - seconds + MOST_OFF_SECONDS * (self.world.runs - runs)
            assert counted >= self.world.configuration.retention.committed_days * DAY_SECONDS, "gone before its time"
        assert uid not in self.held, "a decision needs the file"
        asked = [self.world.archives[name] for name in job.destinations]
        if self.is_let_go(uid, job):
            return True
        return any(uid in (one.responsible_for if one.destination.commitment else one.shown) for one in asked)

    def is_let_go(self, uid: str, job: Job) -> bool:
        """A person decided that it is needed nowhere."""
        is_everywhere = all((uid, name) in self.released for name in job.destinations)
        return is_everywhere or bool(self.decided.get(uid, set()) & {DecisionKind.RELEASED, DecisionKind.DISCARDED})

    def is_done(self, uid: str, archive: Archive) -> None:
        """What lies in `kept` waits for nobody: the archive must have earned it."""
        if archive.destination.commitment:
            assert uid in archive.responsible_for, "let go without commitment"
        elif archive.destination.verify_by_find:
            assert uid in archive.shown, "let go unverified"
        else:
            assert uid in archive.accepted, "let go without having been stored"

    @invariant()
    def the_ledger_says_what_is_true(self) -> None:
        for (uid, name), state in self.states().items():
            archive = self.world.archives[name]
            assert state is not DeliveryState.STORING, "a claim of nobody"
            if state in {DeliveryState.COMMITTED, DeliveryState.EXPIRED}:
                assert uid in archive.responsible_for, "committed, says the ledger alone"
                self.world.not_again.add((uid, name))
            if state is DeliveryState.EXPIRED:
                assert uid in self.gone
            if state is DeliveryState.VERIFIED:
                assert uid in archive.shown
                assert name == "shown"
            if state is DeliveryState.STORED_ONLY:
                assert name == "plain"
            if state is DeliveryState.RELEASED:
                assert uid in self.decided or (uid, name) in self.released

    @invariant()
    def nothing_waits_for_nothing(self) -> None:
        for destination in DESTINATIONS:
            waits = {DeliveryState.PENDING, DeliveryState.STORED, DeliveryState.COMMIT_REQUESTED}
            with self.world.journal.reading() as db:
                count = db.execute(
                    "SELECT count(*) FROM deliveries JOIN objects USING (sop_instance_uid) WHERE destination = ?"
                    f" AND state IN ({', '.join(repr(str(state)) for state in waits)}) AND place = 'outbox'",
                    (destination.name,),
                ).fetchone()[0]
            assert not count or self.world.ledger.seconds_to_next(destination) is not None

    def in_the_end_everything_is_delivered(self) -> None:
        world = self.world
        world.power.left = 0
        self.hand_over(2)
        for archive in world.archives.values():
            archive.is_up, archive.store, archive.action, archive.find = True, "0000", "report first", "0000"
        for name in NAMES:
            world.deliveries[name].retry()
        for _ in range(40):
            self.rescan()
            for name in NAMES:
                self.work(name, 0)
            self.every_file_is_there()
            if all(self.is_settled(job) for job in world.jobs):
                break
            self.clock.advance(61)
            for name in NAMES:
                for uid in list(world.ledger.refused(world.archives[name].destination)):
                    world.deliveries[name].retry(uid)
        assert all(self.is_settled(job) for job in world.jobs), "not everything arrived, though all is well"
        for state in self.states().values():
            assert state is None or state in FINAL_DELIVERIES
        self.in_the_end_everything_expires()

    def in_the_end_everything_expires(self) -> None:
        """Nothing grows for ever: of an exam that is over no file, no record and no row stays, but of the newest.

        And of what is only stored somewhere, which waits for a person.
        """
        world, newest = self.world, self.world.jobs[-1]
        proofs = {DeliveryState.COMMITTED, DeliveryState.EXPIRED, DeliveryState.VERIFIED}
        stored_only = {
            uid
            for uid, job in self.uids.items()
            if uid not in self.gone and not self.is_let_go(uid, job)
            if not proofs & {world.state(uid, name) for name in job.destinations}
        }
        for _ in range(3):
            self.rescan()
            self.expire()
            self.clock.advance(91 * DAY_SECONDS)
        for job in world.jobs:
            uncommitted = {uid for uid in job.uids if set(self.decided.get(uid, ())) & _KEEPING or uid in stored_only}
            if not uncommitted:
                assert job.kept() & job.uids == set()
                with world.journal.reading() as db:
                    found = db.execute("SELECT count(*) FROM objects WHERE exam_id = ?", (job.exam_id,)).fetchone()
                assert found[0] == 0
                if job is not newest:
                    assert self.is_taken_away(job)
                    assert not list(world.spool.settled.glob(f"{job.exam_id}*"))


ForwardMachine.TestCase.settings = settings(
    max_examples=35,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
test_ok__forward_machine = pytest.mark.filterwarnings("default")(ForwardMachine.TestCase)
