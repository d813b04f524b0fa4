"""The troubles of a job, recorded byte by byte: each status that is stated comes once and is followed by what is stated
of it; each failure of communication happens; and nothing happens that is not stated.

One forward process has three destinations: a scripted archive that answers every status of the tables, one without
commitment, and a simulated hospital whose associations are refused, aborted, cut and stood still. It is asked to go on
as a person would ask it, until everything is settled.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from appliance.base.asking import Asker
from appliance.base.paths import Paths
from appliance.config.load import load_configuration
from appliance.conformance.box import statement_of
from appliance.conformance.statement import Role, Statement, Status
from appliance.dimse.listener import LIMIT_EXCEEDED, OTHER_TITLE
from appliance.dimse.status import ReasonVerdict, StoreVerdict, reason_verdict, store_verdict
from appliance.dimse.visits import MOST_ASSOCIATIONS
from appliance.exam.exam import Outcome
from appliance.spool.tree import Spool
from tests.compose.world import exam_on, full_entry
from tests.conformance.scripted_peer import ENDED
from tests.conformance.test_objects_as_stated import DEVICES
from tests.conformance.test_on_the_wire import REPOSITORY, _is_answering, hand_over
from tests.conformance.wire import Negotiated, Recorder, Spoken, associations_of
from tests.peers import DEADLINE, Peer, running
from tests.ports import pick_free_port
from tests.simulator.hospitals import Hospital

WORKLIST, LOOK = "1.2.840.10008.5.1.4.31", "1.2.840.10008.5.1.4.1.2.2.1"
# A status that is in no table, of each operation.
UNLISTED = 0x0211
SCRIPT = {
    "RIS/C-FIND": [0xA700, 0x0122, 0xA900, 0xC000, UNLISTED, 0xFF01, 0xFE00],
    "MPPS/N-CREATE": [0x0106, 0x0110, 0x0120, 0x0121, 0x0122, 0x0124, 0x0213, UNLISTED, 0x0001, 0x0107, 0x0116, 0x0111],
    "MPPS/N-SET": [0x0110, 0x0106, 0x0120, 0x0121, 0x0124, 0x0213, UNLISTED, 0x0112, ENDED, 0x0001, 0x0107, 0x0116],
    "ARCHIVE/C-STORE": [0xA700, 0x0110, UNLISTED, 0xB000, 0xB006, 0xB007, 0xA900, 0xC000, 0x0122, 0x0124],
    "ARCHIVE/N-ACTION": [0x0110, 0x0112, 0x0122, 0x0123, 0x0124, 0x0131, 0x0210, 0x0213, UNLISTED],
    "ARCHIVE/reasons": [0x0110, 0x0112, 0x0119, 0x0122, 0x0131, 0x0213, UNLISTED],
    "PLAIN/C-FIND": [0xA700, 0x0122, 0xA900, 0xC000, UNLISTED, 0xFE00, 0xFF01],
}
# Where nothing is done any more at a destination.
DONE = ("committed", "verified")
# Each strikes once: refused for now and for good, nothing accepted, cut, aborted, and stood still.
FAULTS = (
    "refuse-association=1",
    "wrong-ae=1",
    "no-context=1",
    "abort-in-store=1",
    "cut-in-answer=1",
    "stall=1",
    "commitment-stranger=1",
)


@dataclass
class Troubles:
    """Everything that was said, and which objects were seen to wait for a person."""

    statement: Statement
    said: list[Negotiated]
    heard: list[Negotiated]
    refused: set[str]
    final: dict[str, dict[str, str]]

    def answers(self, operation: str, sop_class_uid: str | None = None) -> Iterator[tuple[Negotiated, Spoken]]:
        """The peers' responses to one operation of the box."""
        for one in self.said:
            for message in one.messages:
                is_wanted = sop_class_uid in (None, message.abstract_syntax) and message.operation == operation
                if message.is_response and not message.is_asked and is_wanted:
                    yield one, message

    def reports(self) -> Iterator[Spoken]:
        for one in self.said:
            yield from (each for each in one.messages if each.operation == "N-EVENT-REPORT" and not each.is_asked)
        for one in self.heard:
            yield from (each for each in one.messages if each.operation == "N-EVENT-REPORT" and each.is_asked)


def configuration_of(scripted: int, hospital: int, listener: int) -> dict[str, Any]:
    def peer(title: str, port: int, seconds: float = 30) -> dict[str, Any]:
        waits = {"connect_seconds": seconds, "answer_seconds": seconds}
        return {"ae_title": title, "host": "127.0.0.1", "port": port, **waits}

    # What a busy machine makes late must not count as an answer that never came; the hospital's silence is waited for.
    patience = {"retry_first_seconds": 0.1, "retry_longest_seconds": 0.2, "commitment_seconds": 60}
    short = {**patience, "commitment_seconds": 5}
    return {
        "box": {"name": "bridge-3", "ae_title": "BRIDGE"},
        "listener": {"port": listener},
        "worklist": [{"name": "ris", **peer("RIS", scripted), "every_seconds": 3600, "max_items": 3}],
        "performed_step": peer("MPPS", scripted),
        "destinations": [
            {"name": "archive", **peer("ARCHIVE", scripted), **patience},
            {"name": "plain", **peer("PLAIN", scripted), **patience, "commitment": False, "verify_by_find": True},
            {"name": "second", **peer("HOSPITAL", hospital, 3), **short},
        ],
        "devices": [one.model_dump(mode="json", exclude_unset=True) for one in DEVICES],
    }


@pytest.fixture(scope="module")
def troubles(tmp_path_factory: pytest.TempPathFactory) -> Troubles:
    directory = tmp_path_factory.mktemp("troubles")
    paths = Paths.below(directory / "box")
    Spool(paths.state).make()
    listener, scripted_port = pick_free_port(), pick_free_port()
    to_box = Recorder(listener)
    script = directory / "script.json"
    script.write_text(json.dumps(SCRIPT))
    environment = {"PYTHONPATH": str(REPOSITORY), **paths.environment()}
    words = [sys.executable, "-m", "tests.conformance.scripted_peer", str(scripted_port), str(to_box.port), str(script)]
    scripted = Peer("the scripted peer", words, scripted_port, directory / "scripted.log", environment)
    hospital = Hospital.in_directory(
        directory / "hospital", to_box.port, "--commitment-delay", "0.1", "--commitment-pause", "0.2"
    )
    with contextlib.ExitStack() as stack:
        for one in (running(scripted), running(hospital), to_box.running()):
            stack.enter_context(one)
        to_scripted = stack.enter_context(Recorder(scripted_port).running())
        to_hospital = stack.enter_context(Recorder(hospital.port).running())
        paths.configuration.parent.mkdir(parents=True, exist_ok=True)
        paths.configuration.write_text(tomlkit.dumps(configuration_of(to_scripted.port, to_hospital.port, listener)))
        hospital.set_faults(*FAULTS)
        command = [sys.executable, "-m", "appliance.services.forward"]
        forward = Peer("forward", command, listener, directory / "forward.log", environment)
        asker = Asker(paths.forward_socket, "The forward process")
        stack.callback(asker.close)
        forward.start(lambda: _is_answering(asker))
        stack.callback(forward.stop)
        with pytest.MonkeyPatch.context() as monkeypatch:
            refused, final = suffer(directory / "box", asker, monkeypatch)
        trouble_the_listener(to_box.port)
    statement = statement_of(load_configuration(paths.configuration))
    said = [*associations_of(to_scripted), *associations_of(to_hospital)]
    return Troubles(statement, said, associations_of(to_box), refused, final)


def suffer(box: Path, asker: Asker, monkeypatch: pytest.MonkeyPatch) -> tuple[set[str], dict[str, dict[str, str]]]:
    """An exam with all its troubles; what waited for a person at the archive, and how all of it stands at the end."""
    for _ in SCRIPT["RIS/C-FIND"]:
        asker.ask("POST", "/worklist/refresh", {}, seconds=60)
    exam = exam_on(full_entry(), DEVICES)
    hand_over(box, exam, Outcome.COMPLETED, monkeypatch, destinations=("archive", "plain", "second"))
    settled = Spool(Paths.below(box).state).settled / f"{exam.exam_id}.json"
    refused: set[str] = set()
    final: dict[str, dict[str, str]] = {}
    end = time.monotonic() + 4 * DEADLINE
    asker.ask("POST", "/hint", {}, seconds=60)
    while not final or any(state not in DONE for states in final.values() for state in states.values()):
        assert time.monotonic() < end, asker.ask("GET", "/queue?only=waiting", seconds=60)
        time.sleep(0.2)
        for one in asker.ask("GET", "/queue", seconds=60)["objects"]:
            uid = one["sop_instance_uid"]
            final[uid] = {name: str(told["state"]) for name, told in one["destinations"].items()}
            if final[uid]["archive"] == "refused":
                refused.add(uid)
            for name in (name for name, state in final[uid].items() if state == "refused"):
                # A person did something about this one, which was seen to wait for him.
                asker.ask("POST", "/retry", {"destination": name, "sop_instance_uid": uid}, seconds=60)
    while not settled.exists():
        assert time.monotonic() < end, asker.ask("GET", "/status", seconds=60)
        time.sleep(0.2)
        # And about the steps: what waits for its time, or for him, is told at once.
        asker.ask("POST", "/retry", {}, seconds=60)
    return refused, final


def trouble_the_listener(port: int) -> None:
    """Somebody who calls another title, more callers than there is room for, one who says nothing, one who aborts."""
    entity = AE(ae_title="CALLER")
    entity.add_requested_context(Verification)
    entity.acse_timeout = entity.dimse_timeout = DEADLINE
    assert entity.associate("127.0.0.1", port, ae_title="SOMEBODY").is_rejected
    callers = [entity.associate("127.0.0.1", port, ae_title="BRIDGE") for _ in range(MOST_ASSOCIATIONS)]
    assert all(one.is_established for one in callers)
    assert callers[0].send_c_echo().Status == 0
    assert entity.associate("127.0.0.1", port, ae_title="BRIDGE").is_rejected
    callers[0].abort()
    for one in callers[1:]:
        one.release()
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as silent:
        silent.sendall(b"\x01\x00\x00\x00\x00\x44")  # the beginning of a request, and the line is cut


def rows_of(statement: Statement, operation: str, sop_class_uid: str | None = None) -> list[Status]:
    """What is stated of one operation, the row for everything else at the end."""
    for service in statement.services:
        found = [one for one in service.statuses if one.operation == operation]
        if found and sop_class_uid in (None, service.sop_class_uid):
            return found
    raise AssertionError(operation)


def row_for(rows: list[Status], code: int) -> Status:
    return next(one for one in rows if one.first <= code <= one.last)


@pytest.mark.parametrize(
    ("operation", "sop_class_uid"),
    [
        ("C-FIND", WORKLIST),
        ("C-FIND", LOOK),
        ("C-STORE", None),
        ("N-CREATE", None),
        ("N-SET", None),
        ("N-ACTION", None),
    ],
)
def test_ok__every_status_that_is_stated_came_and_none_else(
    operation: str, sop_class_uid: str | None, troubles: Troubles
) -> None:
    rows = rows_of(troubles.statement, operation, sop_class_uid)
    came: list[Status] = []
    for _, answer in troubles.answers(operation, sop_class_uid):
        code = ENDED if answer.command.get("ErrorID") == ENDED else int(answer.command.Status)
        came.append(row_for(rows, code))
    assert [one.meaning for one in rows if one not in came] == []


def test_ok__every_failure_reason_that_is_stated_came(troubles: Troubles) -> None:
    rows = rows_of(troubles.statement, "N-EVENT-REPORT, Failure Reason")
    came = [
        row_for(rows, int(item.FailureReason))
        for report in troubles.reports()
        if report.data is not None and not report.is_response
        for item in report.data.get("FailedSOPSequence", [])
    ]
    assert [one.meaning for one in rows if one not in came] == []


def test_ok__both_answers_to_a_report_that_are_stated_were_given(troubles: Troubles) -> None:
    """0000 to the archives', 0110 to the stranger's."""
    stated = {one.first for one in rows_of(troubles.statement, "N-EVENT-REPORT, answered")}
    given = {
        int(message.command.Status)
        for one in (*troubles.said, *troubles.heard)
        for message in one.messages
        if message.operation == "N-EVENT-REPORT" and message.is_response
    }
    assert given == stated


def test_ok__reports_came_on_every_association_that_is_stated(troubles: Troubles) -> None:
    on_same = any(message.operation == "N-EVENT-REPORT" for one in troubles.said for message in one.messages)
    on_new = any(message.operation == "N-EVENT-REPORT" for one in troubles.heard for message in one.messages)
    (archive,) = [one for one in troubles.statement.commitment if one.destination == "archive"]
    assert (archive.report_on_same_association, archive.report_on_new_association) == (on_same, on_new)


def test_ok__what_waits_for_a_person_is_what_is_stated(troubles: Troubles) -> None:
    """Objects whose status or reason is said to refuse them were seen as refused, and no others; all went on then."""
    expected = {
        str(answer.command.AffectedSOPInstanceUID)
        for one, answer in troubles.answers("C-STORE")
        if one.called == "ARCHIVE" and store_verdict(int(answer.command.Status))[0] is StoreVerdict.REFUSED
    }
    for report in troubles.reports():
        for item in report.data.get("FailedSOPSequence", []) if report.data is not None else ():
            if reason_verdict(int(item.FailureReason))[0] is ReasonVerdict.REFUSED:
                expected.add(str(item.ReferencedSOPInstanceUID))
    assert expected and troubles.refused == expected
    assert {states["archive"] for states in troubles.final.values()} == {"committed"}
    assert {states["plain"] for states in troubles.final.values()} == {"verified"}


def test_ok__an_object_is_stored_again_only_where_that_is_stated(troubles: Troubles) -> None:
    """As often as a C-STORE of it failed, and once more; and once for each reason that says the archive lacks it."""
    stores: dict[str, list[int]] = {}
    for one, answer in troubles.answers("C-STORE"):
        if one.called == "ARCHIVE":
            stores.setdefault(str(answer.command.AffectedSOPInstanceUID), []).append(int(answer.command.Status))
    again = dict.fromkeys(stores, 0)
    for report in troubles.reports():
        for item in report.data.get("FailedSOPSequence", []) if report.data is not None else ():
            verdict = reason_verdict(int(item.FailureReason))[0]
            again[str(item.ReferencedSOPInstanceUID)] += verdict in (ReasonVerdict.STORE_AGAIN, ReasonVerdict.REFUSED)
    done = (StoreVerdict.STORED, StoreVerdict.STORED_WITH_WARNING)
    for uid, statuses in stores.items():
        taken = [code for code in statuses if store_verdict(code)[0] in done]
        assert len(taken) == 1 + again[uid], (uid, statuses, again[uid])


def test_ok__commitment_is_never_asked_for_twice_under_one_transaction(troubles: Troubles) -> None:
    asked = [
        str(message.data.TransactionUID)
        for one in troubles.said
        for message in one.messages
        if message.operation == "N-ACTION" and message.is_asked and message.data is not None
    ]
    assert len(asked) > len(SCRIPT["ARCHIVE/N-ACTION"])
    assert len(set(asked)) == len(asked)
    assert all(UID(one).is_valid for one in asked)


def test_ok__a_step_that_is_not_known_is_created_again(troubles: Troubles) -> None:
    created, told = {}, {}
    for _, answer in troubles.answers("N-CREATE"):
        created.setdefault(str(answer.command.AffectedSOPInstanceUID), []).append(int(answer.command.Status))
    for _, answer in troubles.answers("N-SET"):
        told.setdefault(str(answer.command.AffectedSOPInstanceUID), []).append(int(answer.command.Status))
    lost = [uid for uid, statuses in told.items() if 0x0112 in statuses]
    assert lost and all(
        len([code for code in created[uid] if code in (0, 1, 0x0107, 0x0111, 0x0116)]) == 2 for uid in lost
    )


def test_ok__each_failure_of_communication_happened(troubles: Troubles) -> None:
    """What is said of a refusal, an abort, a lost connection and a timeout: the box aborts, and it is tried again."""
    ends = {one.end for one in troubles.said if one.called == "HOSPITAL"}
    assert ends == {"released", "aborted by the caller", "aborted by the called", "cut"}
    refusals = {one.rejected for one in troubles.said if one.rejected}
    assert {(source, reason) for _, source, reason in refusals} == {(1, 7), (3, 1)}
    assert any(not one.accepted and not one.rejected for one in troubles.said), "an association without any context"
    assert {states["second"] for states in troubles.final.values()} == {"committed"}


def test_ok__whoever_answers_is_released_whatever_the_answer_is(troubles: Troubles) -> None:
    """An archive may undo what it took on an association that is aborted behind a status that it gave."""
    answering = {"RIS", "MPPS", "ARCHIVE", "PLAIN"}
    assert {(one.called, one.end) for one in troubles.said if one.called in answering} == {
        (title, "released") for title in answering
    }


def test_ok__the_listener_refuses_as_it_is_stated(troubles: Troubles) -> None:
    assert {one.rejected for one in troubles.heard if one.rejected} == {OTHER_TITLE, LIMIT_EXCEEDED}


def test_ok__nothing_was_said_but_what_is_stated(troubles: Troubles) -> None:
    """In all the troubles no other context, operation or peer."""
    services = [one for one in troubles.statement.services if one.role is Role.SCU]
    contexts = {(each.abstract_syntax, each.transfer_syntaxes) for one in services for each in one.contexts}
    operations = {(one.sop_class_uid, operation) for one in services for operation in one.operations}
    said = {
        (message.abstract_syntax, message.operation)
        for one in troubles.said
        for message in one.messages
        if message.is_asked and not message.is_response
    }
    for one in troubles.said:
        assert set(one.proposed.values()) <= contexts
    assert said <= operations
    assert (WORKLIST, "C-CANCEL") in said, "the answer that was too long"
