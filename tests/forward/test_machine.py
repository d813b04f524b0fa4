"""The forward process under power cuts, lost journals, odd archives, repeated, late, partial and strangers' reports,
and clocks that jump: a state machine drives the real parts, and holds what is promised.

Nothing that is not committed leaves the box's care but as DESIGN.md excepts; nothing committed is sent again; no
destination's trouble touches another's; and whatever happened, in the end everything is delivered.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from appliance.config.schema import Destination
from appliance.dimse.commitment import CommitmentReport
from appliance.forward.states import FINAL_DELIVERIES, DeliveryState
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


class ForwardMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.clock = HandClock()
        self.world = World(DESTINATIONS, self.clock)
        self.decided: set[str] = set()
        self.close_an_exam(2, set(NAMES), True)

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
    @rule(count=st.integers(1, 2), names=st.sets(st.sampled_from(NAMES), min_size=1), is_here=st.booleans())
    def close_an_exam(self, count: int, names: set[str], is_here: bool) -> None:
        exam_id = f"20261122-09000{len(self.world.jobs)}-000{len(self.world.jobs)}"
        job = Job(self.world.spool, self.world.configuration, tuple(sorted(names)), exam_id)
        for _ in range(count):
            job.capture()
        job.close()
        self.world.jobs.append(job)
        if is_here:
            job.hand_over()
        self.rescan()

    @rule()
    def hand_over(self) -> None:
        """The console was stopped between an exam's end and its renames, and repeats them."""
        for job in self.world.jobs:
            if (self.world.spool.captured("ultrasound", job.exam_id) / job.instances[0].file_name).exists():
                job.hand_over()

    @rule(data=st.data())
    def reject(self, data: st.DataObject) -> None:
        """A person decides that an object is not to be stored."""
        if self.uids:
            uid = data.draw(st.sampled_from(list(self.uids)))
            decision = self.world.spool.exams / self.uids[uid].exam_id / f"rejected-{uid}.json"
            decision.write_text("{}")
            self.decided.add(uid)

    @rule(name=st.sampled_from(NAMES))
    def retry(self, name: str) -> None:
        self.world.run(lambda: self.world.deliveries[name].retry())

    # -- the process

    @rule()
    def rescan(self) -> None:
        self.world.run(self.world.intake.rescan)
        self.world.run(self.world.settlement.settle)

    @rule(name=st.sampled_from(NAMES), number=st.sampled_from([0, 0, 1]))
    def work(self, name: str, number: int) -> None:
        delivery = self.world.deliveries[name]
        before = self.world.rows_of_others(name)
        runs = self.world.runs
        self.world.run(lambda: delivery.work(min(number, len(delivery.workers) - 1)))
        if runs == self.world.runs:
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

    # -- time and power

    @rule(seconds=st.sampled_from([1.0, 61.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

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
        settled = {uid for job in self.world.jobs if job.settled.exists() for uid in job.uids}
        rejected = self.decided - settled
        self.world.not_again = {(uid, name) for uid, name in self.world.not_again if uid in settled}
        self.world.not_again |= {(uid, name) for uid in rejected for name in NAMES}
        self.rescan()

    # -- what holds

    def states(self) -> dict[tuple[str, str], DeliveryState | None]:
        return {(uid, name): self.world.state(uid, name) for uid in self.uids for name in NAMES}

    @invariant()
    def every_file_is_there(self) -> None:
        for job in self.world.jobs:
            kept = job.kept()
            for one in job.instances:
                captured = self.world.spool.captured("ultrasound", job.exam_id)
                places = [captured, self.world.spool.outbox, self.world.spool.kept]
                here = [place for place in places if (place / one.file_name).exists()]
                assert len(here) == 1, "an object is lost, or there twice"
                if one.sop_instance_uid in kept:
                    for name in job.destinations:
                        self.is_done(one.sop_instance_uid, self.world.archives[name])

    def is_done(self, uid: str, archive: Archive) -> None:
        """What lies in `kept` may be deleted one day: the archive must have earned it."""
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
            if state is DeliveryState.COMMITTED:
                assert uid in archive.responsible_for, "committed, says the ledger alone"
                self.world.not_again.add((uid, name))
            if state is DeliveryState.VERIFIED:
                assert uid in archive.shown
                assert name == "shown"
            if state is DeliveryState.STORED_ONLY:
                assert name == "plain"

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
        self.hand_over()
        for archive in world.archives.values():
            archive.is_up, archive.store, archive.action, archive.find = True, "0000", "report first", "0000"
        for name in NAMES:
            world.deliveries[name].retry()
        for _ in range(40):
            self.rescan()
            for name in NAMES:
                self.work(name, 0)
            self.every_file_is_there()
            if all(job.settled.exists() for job in world.jobs):
                break
            self.clock.advance(61)
            for name in NAMES:
                for uid in list(world.ledger.refused(world.archives[name].destination)):
                    world.deliveries[name].retry(uid)
        assert all(job.settled.exists() for job in world.jobs), "not everything arrived, though all is well"
        for (uid, _name), state in self.states().items():
            assert state is None or state in FINAL_DELIVERIES or uid in self.decided


ForwardMachine.TestCase.settings = settings(
    max_examples=35,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
test_ok__forward_machine = pytest.mark.filterwarnings("default")(ForwardMachine.TestCase)
