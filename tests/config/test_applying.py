"""A change is in force for good only by somebody's word; a crash at every durable step, a full flash, a reboot."""

from __future__ import annotations

import errno
import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from appliance.base import durable
from appliance.base.errors import ApplianceError
from appliance.config import history as history_room
from appliance.config.applying import Applier
from appliance.config.change_states import FINAL, TRANSITIONS, ChangeEvent, ChangeState, state_after
from appliance.config.history import Change, History, Outcome
from appliance.config.load import ConfigurationError
from appliance.config.schema import Configuration

OLD, NEW = b'# old\n[box]\nname = "old"\n', b'# new\n[box]\nname = "new"\n'
FILE = Path("new.toml")
WITHIN = 600.0


class Turned:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.seconds = 5000.0

    def now(self) -> datetime:
        return datetime(2026, 11, 23, 9, 0, tzinfo=timezone(timedelta(hours=1))) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.seconds += seconds
        return event.is_set()


@dataclass
class World:
    """What runs: the name under which everything was loaded last. `trouble` is what loading a name says."""

    runs: str = "old"
    trouble: dict[str, str] = field(default_factory=dict)
    failed_test: str = ""
    not_now: str = ""
    loaded: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    on_load: Callable[[], None] = lambda: None

    def begin(self) -> None:
        if self.not_now:
            raise ApplianceError(self.not_now)

    def load(self, before: Configuration, after: Configuration, restarts: Sequence[str]) -> None:
        self.on_load()
        self.runs = after.box.name
        self.loaded.append((after.box.name, tuple(restarts)))
        if after.box.name in self.trouble:
            raise ApplianceError(self.trouble[after.box.name])

    def test(self, before: Configuration, after: Configuration, seconds: float) -> Sequence[str]:
        if self.failed_test:
            raise ApplianceError(self.failed_test)
        return ("all is well",)


class Box:
    """One flash; `start` is a program's start, in the same boot or in the next."""

    def __init__(self, directory: Path) -> None:
        self.config = directory / "config"
        self.config.mkdir()
        (self.config / "active.toml").write_bytes(OLD)
        self.clock, self.world, self.boots = Turned(), World(), 1
        self.ended: list[tuple[Change, Outcome]] = []
        self.start()

    def start(self, *, is_reboot: bool = False) -> Applier:
        if is_reboot:
            self.boots += 1
            self.clock.seconds = 10.0
        self.history = History(self.config)
        self.applier = Applier(
            self.history,
            self.world,
            self.clock,
            f"boot-{self.boots}",
            lambda change, outcome: self.ended.append((change, outcome)),
        )
        self.applier.resume()
        return self.applier

    @property
    def active(self) -> bytes:
        return (self.config / "active.toml").read_bytes()

    def propose(self, text: bytes = NEW, who: str = "maria") -> Change:
        change = self.applier.propose(text, FILE, who=who, what="apply", confirm_seconds=WITHIN)
        assert change is not None
        return change

    def work(self) -> None:
        while self.applier.step():
            pass

    def state(self, number: int = 1) -> str:
        return str(self.applier.view(number)["state"])


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


@pytest.fixture(autouse=True)
def quick_flash(monkeypatch: pytest.MonkeyPatch) -> None:
    """The medium is a table of steps here: what a sync costs is of no interest."""
    monkeypatch.setattr(durable.os, "fsync", lambda _descriptor: None)


# -- the table


def test_ok__every_state_ends_and_only_two_are_ends() -> None:
    for state in ChangeState:
        leads = {after for (before, _event), after in TRANSITIONS.items() if before is state}
        assert bool(leads) != (state in FINAL)
        if state not in FINAL and state is not ChangeState.GOING_BACK:
            assert ChangeState.GOING_BACK in leads
    assert {after for (before, _), after in TRANSITIONS.items() if before is ChangeState.GOING_BACK} == {
        ChangeState.ROLLED_BACK
    }
    # Nothing but a person's word makes it stay.
    assert [key for key, after in TRANSITIONS.items() if after is ChangeState.CONFIRMED] == [
        (ChangeState.WAITING, ChangeEvent.CONFIRMED)
    ]


def test_fail__what_cannot_happen() -> None:
    for state, event in itertools.product(ChangeState, ChangeEvent):
        if (state, event) not in TRANSITIONS:
            with pytest.raises(KeyError):
                state_after(state, event)


# -- the way of one change


def test_ok__confirmed_in_time(box: Box) -> None:
    change = box.propose()
    assert (change.number, change.changes, change.who) == (1, ('box.name was "old", is "new"',), "maria")
    assert box.active == OLD, "the record comes first"
    box.work()
    assert (box.active, box.state(), box.world.runs) == (NEW, "waiting", "new")
    assert box.world.loaded == [("new", ("appliance-forward.service", "appliance-console.service"))]
    assert box.applier.view(1)["checks"] == ["all is well"]
    box.clock.seconds += WITHIN - 1
    box.work()
    box.applier.confirm("otto")
    assert (box.active, box.state(), box.applier.is_busy()) == (NEW, "confirmed", False)
    ((ended, outcome),) = box.ended
    assert (ended.number, outcome.state, outcome.who) == (1, "confirmed", "otto")
    box.clock.seconds += 10 * WITHIN
    box.work()
    assert box.active == NEW
    assert sorted(path.name for path in (box.config / "changes/000001").iterdir()) == [
        *("after.toml", "before.toml", "change.json", "outcome.json", "tested.json")
    ]


def test_ok__nobody_confirms(box: Box) -> None:
    box.propose()
    box.work()
    box.clock.seconds += WITHIN
    with pytest.raises(ApplianceError, match="cannot be confirmed now"):
        box.applier.confirm("otto")
    box.work()
    assert (box.active, box.state(), box.world.runs) == (OLD, "rolled back", "old")
    assert box.ended[0][1].why.startswith("nobody confirmed it until 1")
    assert box.ended[0][1].who == "the box"


def test_ok__taken_back_by_a_person_at_any_moment(box: Box) -> None:
    for steps in range(4):
        box.propose()
        for _ in range(steps):
            box.applier.step()
        box.applier.take_back("otto")
        box.work()
        assert (box.active, box.world.runs) == (OLD, "old")
        assert (box.ended[-1][1].who, box.ended[-1][1].why) == ("otto", "it was taken back")
    assert box.history.numbers() == [1, 2, 3, 4]
    # Before anything was touched nothing has to be loaded anew.
    assert [name for name, _ in box.world.loaded] == ["old", "new", "old", "new", "old"]


@pytest.mark.parametrize("trouble", ["load", "test"])
def test_ok__what_fails_goes_back_and_says_why(box: Box, trouble: str) -> None:
    if trouble == "load":
        box.world.trouble["new"] = "appliance-forward.service does not start."
    else:
        box.world.failed_test = "archive does not answer."
    box.propose()
    box.work()
    assert (box.active, box.state(), box.world.runs) == (OLD, "rolled back", "old")
    assert box.ended[0][1].why in ("appliance-forward.service does not start.", "archive does not answer.")


def test_ok__what_was_in_force_does_not_start_either(box: Box) -> None:
    box.world.trouble = {"new": "New does not start.", "old": "Old does not start."}
    box.propose()
    box.work()
    assert (box.active, box.state()) == (OLD, "rolled back")
    assert box.ended[0][1].why == "New does not start.; and then: Old does not start."


def test_ok__the_same_text_is_no_change(box: Box) -> None:
    assert box.applier.propose(OLD, FILE, who="maria", what="apply", confirm_seconds=WITHIN) is None
    assert box.history.numbers() == []


def test_ok__a_file_that_cannot_be_read_any_more_is_replaced_by_a_good_one(box: Box) -> None:
    (box.config / "active.toml").write_bytes(b"[box")
    box.propose()
    box.work()
    box.applier.confirm("otto")
    assert box.active == NEW


# -- refused, and nothing changed


@pytest.mark.parametrize(
    "text",
    [b"[box", b"\xff\xfe[\x00b\x00", b"\x00\x01\x02", b'[box]\nnam = "x"', b"a = " + b"[" * 5000, b"#" * 1_048_577],
)
def test_fail__a_text_that_is_none(box: Box, text: bytes) -> None:
    with pytest.raises(ConfigurationError):
        box.propose(text)
    assert (box.active, box.history.numbers(), box.applier.is_busy()) == (OLD, [], False)


def test_fail__an_update_that_began_at_the_same_moment(box: Box) -> None:
    """What began with it is seen once the record stands: it goes back, and nothing was touched."""
    box.world.not_now = "The box is being updated: nothing was changed."
    box.propose()
    box.work()
    ((_, outcome),) = box.ended
    assert (outcome.state, outcome.why) == (ChangeState.ROLLED_BACK, box.world.not_now)
    assert (box.active, box.world.loaded, box.world.runs) == (OLD, [], "old")


def test_fail__a_change_during_a_change(box: Box) -> None:
    box.propose()
    for _ in range(4):
        with pytest.raises(ApplianceError, match=r"Change 1 of maria is .* until 1") as refused:
            box.propose(OLD + b"# another\n")
        assert "Nothing was changed" in refused.value.suggestion
        box.applier.step()
    assert box.history.numbers() == [1]


@pytest.mark.parametrize("seconds", [0.0, 19.0, -1.0, 90_000.0, float("nan")])
def test_fail__no_time_for_its_confirmation(box: Box, seconds: float) -> None:
    with pytest.raises(ApplianceError, match="must be from 20 s to 24 h"):
        box.applier.propose(NEW, FILE, who="maria", what="apply", confirm_seconds=seconds)
    assert box.history.numbers() == []


def test_fail__nothing_to_confirm_or_to_take_back(box: Box) -> None:
    for act in (box.applier.confirm, box.applier.take_back):
        with pytest.raises(ApplianceError, match="No change is waiting"):
            act("otto")
    box.propose()
    with pytest.raises(ApplianceError, match="Change 1 is proposed: it cannot be confirmed now"):
        box.applier.confirm("otto")
    with pytest.raises(ApplianceError, match="There is no change 7"):
        box.applier.view(7)


# -- starts anew


def test_ok__the_program_starts_anew_and_the_deadline_goes_on(box: Box) -> None:
    box.propose()
    box.work()
    box.clock.seconds += WITHIN - 1
    box.start()
    box.work()
    assert (box.active, box.state()) == (NEW, "waiting")
    box.clock.seconds += 1
    box.work()
    assert (box.active, box.state()) == (OLD, "rolled back")


@pytest.mark.parametrize("steps", range(5))
def test_ok__a_reboot_takes_it_back_wherever_it_was(box: Box, steps: int) -> None:
    box.propose()
    for _ in range(steps):
        box.applier.step()
    box.start(is_reboot=True)
    box.work()
    assert (box.active, box.state()) == (OLD, "rolled back")
    assert box.ended[-1][1].why == "the box was started anew before it was confirmed"
    box.start(is_reboot=True)
    assert not box.applier.is_busy()


def test_ok__a_confirmed_one_stays_through_a_reboot(box: Box) -> None:
    box.propose()
    box.work()
    box.applier.confirm("otto")
    box.start(is_reboot=True)
    box.work()
    assert (box.active, box.state()) == (NEW, "confirmed")


def test_ok__a_damaged_record_goes_back_at_once(box: Box) -> None:
    box.propose()
    box.work()
    (box.config / "changes/000001/change.json").write_bytes(b"\x00")
    box.start()
    box.work()
    assert (box.active, box.state()) == (OLD, "rolled back")


# -- a crash at every durable step, in the change and in what takes it back


class Crash(BaseException):
    """The plug is pulled here; nothing may catch it."""


STEPS = ("replace_file", "rename_file", "move_file", "write_once", "remove_file", "sync_directory", "make_directory")


def _cut(patch: pytest.MonkeyPatch, at: int, error: Callable[[], BaseException], *, for_ever: bool) -> list[int]:
    """Raise `error` before or after the `at`-th durable step, and at each one from then on where it is `for_ever`."""
    count = [0]

    def around(act: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*arguments: object, **options: object) -> object:
            answer = None
            for is_before in (True, False):
                count[0] += 1
                if count[0] == at or (for_ever and count[0] > at):
                    raise error()
                if is_before:
                    answer = act(*arguments, **options)
            return answer

        return wrapped

    for step in STEPS:
        patch.setattr(history_room, step, around(getattr(durable, step)))
    return count


def _confirmed_or_old(box: Box) -> None:
    """After the next boot: the old configuration, or the new one if and only if somebody's word is on the flash."""
    outcome = box.history.outcome(1) if 1 in box.history.numbers() else None
    is_new = outcome is not None and outcome.state is ChangeState.CONFIRMED
    assert box.active == (NEW if is_new else OLD)
    assert not box.applier.is_busy()
    assert box.history.under_way() is None
    assert [number for number in box.history.numbers() if not box.history.has_ended(number)] == []


def _cuts(tmp_path: Path) -> Iterator[tuple[int, Box]]:
    for at in itertools.count(1):
        directory = tmp_path / str(at)
        directory.mkdir()
        yield at, Box(directory)


@pytest.mark.parametrize("is_confirmed", [True, False])
def test_ok__a_power_cut_at_every_durable_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_confirmed: bool
) -> None:
    cuts = 0
    for at, box in _cuts(tmp_path):
        answered = False
        with monkeypatch.context() as patch:
            _cut(patch, at, Crash, for_ever=False)
            try:
                box.propose()
                box.work()
                if is_confirmed:
                    box.applier.confirm("otto")
                    answered = True
                else:
                    box.clock.seconds += WITHIN
                    box.work()
            except Crash:
                cuts += 1
            else:
                break
        # The boot that follows one cut in five is cut as well, at each of its own steps, before one is whole.
        for again in itertools.count(1 if at % 5 == 0 else 1000):
            with monkeypatch.context() as patch:
                _cut(patch, again, Crash, for_ever=False)
                try:
                    box.start(is_reboot=True)
                    box.work()
                    break
                except Crash:
                    continue
        _confirmed_or_old(box)
        assert not answered or box.active == NEW
        box.propose(OLD + b"# the next one\n")
        box.work()
        box.applier.confirm("otto")
    assert cuts > 20
    assert box.active == (NEW if is_confirmed else OLD)


def test_ok__a_full_flash_from_any_step_on_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes room fails; what only renames goes on, as on a real one."""
    refused = 0
    for at, box in _cuts(tmp_path):
        with monkeypatch.context() as patch:
            count = [0]

            def take_room(act: Callable[..., object], count: list[int] = count, at: int = at) -> Callable[..., object]:
                def wrapped(*arguments: object, **options: object) -> object:
                    count[0] += 1
                    if count[0] >= at:
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    return act(*arguments, **options)

                return wrapped

            for step in ("replace_file", "write_once", "make_directory"):
                patch.setattr(history_room, step, take_room(getattr(durable, step)))
            try:
                box.propose()
                box.work()
                box.applier.confirm("otto")
            except ApplianceError as error:
                refused += 1
                assert "the flash is full" in str(error) or "cannot be confirmed" in str(error)
            for _ in range(5):
                box.clock.seconds += WITHIN
                box.applier.step()
            is_new = count[0] < at
            assert box.active == (NEW if is_new else OLD)
            assert box.world.runs == ("new" if is_new else "old")
        if is_new:
            break
        # With room again the end is written.
        box.work()
        _confirmed_or_old(box)
        assert box.active == OLD
    assert refused >= 8


@settings(max_examples=20, stateful_step_count=25)
class Support(RuleBasedStateMachine):
    """Whatever people, crashes and time do: what runs is what the file says, and the file what was confirmed last."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self._directory = tempfile.TemporaryDirectory()
        self.box = Box(Path(self._directory.name))
        self.confirmed, self.count = OLD, 0

    def teardown(self) -> None:
        self._directory.cleanup()

    @rule()
    def propose(self) -> None:
        self.count += 1
        is_busy = self.box.applier.is_busy()
        self.text = b'[box]\nname = "n%d"\n' % self.count
        try:
            self.box.propose(self.text)
            assert not is_busy
            self.proposed = self.text
        except ApplianceError:
            assert is_busy

    @precondition(lambda self: self.box.applier.is_busy())
    @rule()
    def confirm(self) -> None:
        try:
            self.box.applier.confirm("otto")
            self.confirmed = self.proposed
        except ApplianceError:
            pass

    @precondition(lambda self: self.box.applier.is_busy())
    @rule()
    def take_back(self) -> None:
        self.box.applier.take_back("otto")

    @rule(count=st.integers(1, 6))
    def work(self, count: int) -> None:
        for _ in range(count):
            self.box.applier.step()

    @rule(seconds=st.floats(0, WITHIN))
    def pass_time(self, seconds: float) -> None:
        self.box.clock.seconds += seconds

    @rule(is_reboot=st.booleans())
    def start_anew(self, is_reboot: bool) -> None:
        self.box.start(is_reboot=is_reboot)

    @rule(fails=st.booleans())
    def break_something(self, fails: bool) -> None:
        self.box.world.failed_test = "It is broken." if fails else ""

    @invariant()
    def what_is_left_alone_is_what_was_confirmed(self) -> None:
        if not self.box.applier.is_busy():
            assert self.box.active == self.confirmed
            assert self.box.history.under_way() is None


TestSupport = Support.TestCase


def test_ok__over_a_text_that_nobody_can_use_it_goes_back_to_what_the_box_works_by(box: Box) -> None:
    """By hand or by flash the file was damaged: the defaults in its place would know none of support's keys."""
    kept = box.propose()
    box.work()
    box.applier.confirm("maria")
    (box.config / "active.toml").write_bytes(b"[box")
    third = NEW.replace(b"new", b"third")
    assert third != NEW
    change = box.propose(third)
    assert change.number == kept.number + 1
    box.work()
    box.applier.take_back("maria")
    box.work()
    assert box.active == b"[box"
    assert box.world.runs == "new"
