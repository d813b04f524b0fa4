"""Letting go of objects: what may be released, what is written down, and the command that asks for it."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from appliance.base.asking import Unreachable
from appliance.base.errors import ApplianceError
from appliance.base.findings import FindingBoard
from appliance.cli.main import main
from appliance.cli.release_talk import state_of
from appliance.console.releasing import PATH, Releases
from appliance.exam.audit import Act, AuditTrail, Effect
from appliance.exam.audit_gate import AuditGate
from appliance.exam.audit_record import Record, list_segments, read_segment
from appliance.exam.decisions import Decision, DecisionKind
from appliance.exam.exam import Exam
from appliance.exam.facts import ExamFacts
from tests.console.conftest import Bench
from tests.export.world import Box, patient, uid_of

REASON = "The archive was switched off for good."
WHO = "maria (as told by the command line)"


class World(Box):
    """A box with an exam of three objects, and what forward would answer."""

    def begin(self) -> World:
        self.states: dict[str, dict[str, str]] = {}
        self.is_silent = False
        self.hints = 0
        self.exam = self.open(patient("Doe^Jane", "PAT-1"))
        self.objects = [uid_of(self.still(self.exam)) for _ in range(3)]
        self.end(self.exam)
        gate = AuditGate(AuditTrail(self.paths.audit, "console", self.clock), FindingBoard())
        self.audit = gate
        return self.configure()

    def configure(self, *destinations: str) -> World:
        ask, hint = self.ask, self.hint
        made = Releases(self.spool, self.clock, self.audit, destinations=destinations, ask_states=ask, hint=hint)
        self.releases = made
        return self

    def ask(self, exam_id: str) -> Mapping[str, Mapping[str, str]]:
        assert exam_id in self.facts.exam_ids()
        if self.is_silent:
            raise Unreachable("The sender does not answer.")
        return self.states

    def hint(self) -> None:
        self.hints += 1
        if self.is_silent:
            raise Unreachable("The sender does not answer.")

    def records(self) -> list[Record]:
        return [line.record for path in list_segments(self.paths.audit / "console") for line in read_segment(path)[0]]

    def released(self, exam: Exam | None = None) -> set[str]:
        found = self.facts.decisions((exam or self.exam).exam_id)
        return {one.sop_instance_uid for one in found if one.kind is DecisionKind.RELEASED}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path).begin()


def test_ok__an_exam_is_let_go_of_and_it_stays_on_record(world: World) -> None:
    world.states = {world.objects[0]: {"archive": "refused"}}
    looked = world.releases.look(world.exam.exam_id)
    assert [one.sop_instance_uid for one in looked.objects] == sorted(world.objects)
    assert {one.place for one in looked.objects} == {"outbox"}
    assert dict(next(one for one in looked.objects if one.sop_instance_uid == world.objects[0]).states) == {
        "archive": "refused"
    }
    assert world.released() == set() and world.records() == []
    assert world.releases.release(world.exam.exam_id, WHO, f" {REASON}\n") == looked
    assert sorted(world.facts.decisions(world.exam.exam_id), key=lambda one: one.sop_instance_uid) == [
        Decision(DecisionKind.RELEASED, uid, world.clock.now(), WHO, REASON) for uid in sorted(world.objects)
    ]
    (record,) = world.records()
    assert (record.act, record.actor, record.outcome, record.detail) == (Act.OBJECT_RELEASED, WHO, 0, REASON)
    assert set(record.objects) == set(world.objects)
    assert record.subject is not None and record.subject.exam_id == world.exam.exam_id
    assert world.hints == 1


def test_ok__one_object_and_then_the_rest(world: World) -> None:
    world.releases.release(world.objects[1], WHO, REASON)
    assert world.released() == {world.objects[1]}
    with pytest.raises(ApplianceError, match="It was released before"):
        world.releases.release(world.objects[1], WHO, REASON)
    rest = world.releases.release(world.exam.exam_id, WHO, REASON)
    assert (len(rest.objects), rest.decided) == (2, 1)
    assert len(world.records()) == 2


def test_ok__from_a_destination_that_was_removed_and_the_others_still_get_it(world: World) -> None:
    one, two, three = world.objects
    world.states = {
        one: {"archive": "pending", "gone": "pending"},
        two: {"archive": "committed", "gone": "stored"},
        three: {"archive": "committed", "gone": "committed"},
    }
    world.configure("archive")
    with pytest.raises(ApplianceError, match="archive still waits for it") as raised:
        world.releases.release(world.exam.exam_id, WHO, REASON)
    assert "--destination NAME" in raised.value.suggestion and "--everywhere" in raised.value.suggestion
    assert world.released() == set() and world.records() == []
    letting = world.releases.release(world.exam.exam_id, WHO, REASON, "gone")
    assert {one.sop_instance_uid for one in letting.objects} == {one, two}
    assert (letting.destination, letting.waiting, letting.committed) == ("gone", (), 1)
    names = {path.name for path in (world.facts.directory / world.exam.exam_id).glob("released-*")}
    assert names == {f"released-{one}@gone.json", f"released-{two}@gone.json"}
    assert [record.detail for record in world.records()] == [f"at gone alone: {REASON}"]
    with pytest.raises(ApplianceError, match="It was released before"):
        world.releases.release(one, WHO, REASON, "gone")
    # What is left of it: an archive has one, and the other waits for one that is configured.
    world.states[one]["gone"] = world.states[two]["gone"] = "released"
    letting = world.releases.look(world.exam.exam_id)
    assert [found.sop_instance_uid for found in letting.objects] == [one]
    assert (letting.waiting, letting.committed) == (("archive",), 2)
    world.releases.release(one, WHO, REASON, is_everywhere=True)
    assert f"released-{one}.json" in {path.name for path in (world.facts.directory / world.exam.exam_id).iterdir()}


def test_ok__what_is_let_go_of_at_each_destination_is_let_go_of(world: World) -> None:
    uid = world.objects[0]
    world.states = {uid: {"a": "refused", "b": "pending"}}
    world.configure("a", "b")
    for name in ("a", "b"):
        world.releases.release(uid, WHO, REASON, name)
    with pytest.raises(ApplianceError, match="It was released before"):
        world.releases.look(uid)


def test_ok__what_is_only_stored_of_a_settled_exam(world: World) -> None:
    world.is_silent = True
    world.settle(world.exam, dict.fromkeys(world.objects, "stored_only"))
    world.configure("archive")
    looked = world.releases.look(world.exam.exam_id)
    assert (len(looked.objects), looked.waiting) == (3, ())
    world.releases.release(world.exam.exam_id, WHO, REASON)
    assert world.released() == set(world.objects)


def test_fail__while_forward_is_silent_a_configured_destination_may_wait(world: World) -> None:
    world.is_silent = True
    world.configure("archive", "other")  # the exam goes to the former alone
    with pytest.raises(ApplianceError, match=r"^archive still waits"):
        world.releases.release(world.exam.exam_id, WHO, REASON)
    with pytest.raises(ApplianceError, match="Nothing of it goes to this destination"):
        world.releases.release(world.exam.exam_id, WHO, REASON, "other")
    assert len(world.releases.release(world.exam.exam_id, WHO, REASON, "archive").objects) == 3


def test_ok__what_lies_in_quarantine_too(world: World) -> None:
    path = next(world.spool.outbox.glob(f"{world.objects[2]}*"))
    path.rename(world.spool.quarantine / path.name)
    (one,) = world.releases.release(world.objects[2], WHO, REASON).objects
    assert one.place == "quarantine"


def test_ok__while_forward_is_silent(world: World) -> None:
    world.is_silent = True
    released = world.releases.release(world.exam.exam_id, WHO, REASON)
    assert (len(released.objects), released.forward) == (3, "The sender does not answer.")


def test_ok__what_is_rejected_waits_like_everything_else_and_may_be_released(world: World) -> None:
    uid = world.objects[0]
    world.decide(world.exam, DecisionKind.REJECTED, uid)
    assert world.releases.release(uid, WHO, REASON).objects[0].sop_instance_uid == uid


def test_fail__what_is_committed_at_one_archive_and_released_at_the_other_is_done(world: World) -> None:
    """Its exam waits for it no longer, wherever its file lies: nothing is left that a release could change."""
    uid = world.objects[0]
    world.states = {uid: {"archive": "committed", "gone": "refused"}}
    assert world.releases.release(uid, WHO, REASON, "gone").objects[0].sop_instance_uid == uid
    world.states = {uid: {"archive": "committed", "gone": "released"}}
    with pytest.raises(ApplianceError, match="committed already: the archive took responsibility"):
        world.releases.release(uid, WHO, REASON, is_everywhere=True)


def test_fail__what_is_committed_already(world: World) -> None:
    """By forward's word, and by `settled/` alone."""
    world.states = {world.objects[0]: {"archive": "committed"}, world.objects[1]: {"one": "committed", "two": "stored"}}
    with pytest.raises(ApplianceError, match="committed already"):
        world.releases.release(world.objects[0], WHO, REASON)
    assert world.releases.look(world.exam.exam_id).committed == 1
    world.is_silent = True
    world.settle(world.exam, dict.fromkeys(world.objects, "committed"))
    for what in (world.exam.exam_id, world.objects[1]):
        with pytest.raises(ApplianceError, match="committed already"):
            world.releases.release(what, WHO, REASON)
    assert world.released() == set() and world.records() == []


def test_fail__what_nobody_can_let_go_of(world: World) -> None:
    running = world.open(patient("Open^Exam", "PAT-2"))
    running_uid, unassigned = uid_of(world.still(running)), uid_of(world.still(None))
    empty = world.open(patient("No^Image", "PAT-3"))
    world.end(empty)
    for what, said in (
        (running.exam_id, "is not ended yet"),
        (running_uid, "belongs to no exam that was ended"),
        (unassigned, "belongs to no exam that was ended"),
        (empty.exam_id, "has no objects"),
        ("1.2.3", "no such exam or object"),
        ("", "no such exam or object"),
        ("../../etc", "no such exam or object"),
    ):
        with pytest.raises(ApplianceError, match=said):
            world.releases.release(what, WHO, REASON)
    assert world.released() == set() and world.records() == []


@pytest.mark.parametrize(
    ("actor", "reason", "said"),
    [
        (WHO, "", "reason is missing"),
        (WHO, " \n ", "reason is missing"),
        ("", REASON, "actor is missing"),
        (WHO, "x" * 501, "longer than 500"),
        (WHO, "a\x1b[2Jb", "cannot be kept"),
    ],
)
def test_fail__without_a_reason_or_a_name(world: World, actor: str, reason: str, said: str) -> None:
    with pytest.raises(ApplianceError, match=said):
        world.releases.release(world.exam.exam_id, actor, reason)
    assert world.released() == set() and world.records() == []


def test_fail__a_damaged_list_hides_no_other_exam(world: World) -> None:
    other = world.open(patient("Doe^John", "PAT-2"))
    uid = uid_of(world.still(other))
    world.end(other)
    (world.facts.directory / world.exam.exam_id / "closed.json").write_text("{")
    assert world.releases.release(uid, WHO, REASON).exam_id == other.exam_id
    with pytest.raises(ApplianceError, match="no such exam or object") as raised:
        world.releases.look(world.objects[0])
    assert "is damaged" in raised.value.suggestion
    with pytest.raises(ApplianceError, match="is damaged"):
        world.releases.look(world.exam.exam_id)


def test_fail__flash_that_takes_only_the_first_decision(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., bool] = ExamFacts.decide
    calls: list[str] = []

    def decide(self: ExamFacts, exam_id: str, decision: Decision) -> bool:
        calls.append(decision.sop_instance_uid)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, exam_id, decision)

    monkeypatch.setattr(ExamFacts, "decide", decide)
    with pytest.raises(ApplianceError, match="1 of 3 objects are released"):
        world.releases.release(world.exam.exam_id, WHO, REASON)
    assert world.released() == {calls[0]}
    begun, failed = world.records()
    assert (begun.outcome, failed.outcome) == (Effect.SUCCESS, Effect.SERIOUS_FAILURE)
    assert set(failed.objects) == set(world.objects) - world.released()


# -- through the real console, as the command asks it


@pytest.fixture
def asked(quiet_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> World:
    """An exam of its own on the running box; the environment of somebody at its command line."""
    made = World.__new__(World)
    made.paths, made.spool, made.facts = quiet_bench.paths, quiet_bench.spool, quiet_bench.facts
    made.exams, made.numbers = len(quiet_bench.facts.exam_ids()), {}
    made.exam = made.open(patient("Doe^Jane", "PAT-1"))
    made.objects = [uid_of(made.still(made.exam)) for _ in range(2)]
    made.end(made.exam)
    for name, value in {**quiet_bench.paths.environment(), "SUDO_USER": "maria"}.items():
        monkeypatch.setenv(name, value)
    return made


def test_ok__the_command_for_scripts(asked: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["release", asked.objects[0], "--reason", REASON, "--yes"]) == 1
    assert "archive still waits for it" in capsys.readouterr().err
    assert asked.released() == set()
    assert main(["release", asked.objects[0], "--reason", REASON, "--yes", "--everywhere", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [one["sop_instance_uid"] for one in answer["objects"]] == [asked.objects[0]]
    (decision,) = asked.facts.decisions(asked.exam.exam_id)
    assert (decision.actor, decision.reason) == (WHO, REASON)
    assert [one.act for one in asked.records()].count(Act.OBJECT_RELEASED) == 1
    assert main(["release", asked.objects[0], "--reason", REASON, "--yes"]) == 1
    assert "appliance: It was released before." in capsys.readouterr().err


def test_ok__the_command_for_one_destination(asked: World, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["release", asked.exam.exam_id, "--destination", "archive", "--reason", REASON, "--yes"]
    assert main(arguments) == 0
    assert "2 objects of the exam" in (out := capsys.readouterr().out) and "released from archive" in out
    assert {one.destination for one in asked.facts.decisions(asked.exam.exam_id)} == {"archive"}


@pytest.mark.parametrize(
    ("typed", "status"), [("release 2 everywhere\n", 0), ("release 2\n", 1), ("yes\n", 1), ("\x04", 1)]
)
def test_ok__the_command_shows_asks_and_proposes_the_export(
    asked: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, typed: str, status: int
) -> None:
    master, slave = pty.openpty()
    with os.fdopen(slave, "r") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        os.write(master, typed.encode())
        assert main(["release", asked.exam.exam_id, "--reason", REASON]) == status
    os.close(master)
    out = capsys.readouterr().out
    assert all(uid in out for uid in asked.objects)
    assert "archive: saved, to be stored" in out
    assert f"Of 2 objects of the exam {asked.exam.exam_id} 2 are committed by no archive." in out
    assert "archive is configured and still waits for 2 objects: it would not get them either." in out
    assert f"appliance export DIRECTORY --exam {asked.exam.exam_id}" in out
    assert (asked.released() == set(asked.objects)) == (status == 0)
    assert ("Nothing was released." in out) == (status == 1)


def test_fail__nobody_is_there_to_be_asked(
    asked: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path(os.devnull).open() as nobody:
        monkeypatch.setattr(sys, "stdin", nobody)
        assert main(["release", asked.exam.exam_id, "--reason", REASON]) == 1
    assert "say --yes" in capsys.readouterr().err
    assert asked.released() == set()


def test_fail__the_panel_releases_nothing(asked: World, quiet_bench: Bench) -> None:
    body = {"what": asked.exam.exam_id, "actor": "panel", "reason": REASON}
    answer = quiet_bench.browser().post(PATH, json=body)
    assert answer.status_code == 403 and "The panel cannot do this." in answer.text
    assert quiet_bench.browser().get(PATH).status_code == 403
    assert asked.released() == set()


def test_ok__who_has_committed_and_who_will_not_get_it(
    asked: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the record, which tells more than one destination."""
    states = [{"archive": "committed", "gone": "stored_only"}, {"archive": "committed", "gone": "committed"}]
    told = [
        {"sop_instance_uid": uid, "destinations": {name: {"state": state} for name, state in one.items()}}
        for uid, one in zip(asked.objects, states, strict=True)
    ]
    path = asked.spool.settled / f"{asked.exam.exam_id}.json"
    path.write_text(json.dumps({"objects": told, "steps": []}))
    master, slave = pty.openpty()
    with os.fdopen(slave, "r") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        os.write(master, b"no\n")
        assert main(["release", asked.exam.exam_id, "--destination", "gone", "--reason", REASON]) == 1
    os.close(master)
    out = capsys.readouterr().out
    (row,) = [line for line in out.splitlines() if asked.objects[0] in line]
    assert re.search(r"archive: committed +gone: stored; this archive does not commit$", row.rstrip())
    assert f"Of 1 object of the exam {asked.exam.exam_id} each is committed by an archive." in out
    assert "they are not sent to gone any more; nothing changes at the others." in out
    assert "Type 'release 1 from gone'" in out and asked.objects[1] not in out
    path.unlink()


def test_ok__states_are_said_in_words() -> None:
    told: dict[str, Any] = {"archive": "refused", "cloud": "stored"}
    assert state_of(told) == "archive: refused; cloud: stored, not committed"
    assert state_of({}) == "-"
