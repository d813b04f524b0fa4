"""The statement held against every byte that the box says: nothing happens that it does not state, and nothing is
stated that never happens here.

The forward process does the whole job and its troubles with a hospital behind recording proxies, with objects of every
kind of its configuration.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from appliance.base.asking import Asker
from appliance.base.errors import ApplianceError
from appliance.base.paths import Paths
from appliance.base.uids import new_uid
from appliance.config.load import load_configuration
from appliance.conformance.box import statement_of
from appliance.conformance.chapters.communication import APPLICATION_CONTEXT
from appliance.conformance.statement import Matching, Role, Statement
from appliance.exam.exam import Closed, Closing, Exam, Instance, Outcome, Started
from appliance.exam.facts import ExamFacts
from appliance.spool.tree import Spool
from appliance.spool.writer import ObjectWriter
from tests.compose import world
from tests.compose.world import exam_on, full_entry, sparse_entry
from tests.conformance.test_objects_as_stated import DEVICES, MADE, check
from tests.conformance.wire import Negotiated, Recorder, Spoken, associations_of
from tests.peers import Peer, running, wait_until
from tests.ports import pick_free_port
from tests.simulator.hospitals import Hospital

REPOSITORY = Path(__file__).parents[2]
FIND_WORKLIST = "1.2.840.10008.5.1.4.31"
# Of an association that the box opens, beside its contexts (PS3.8 D.1, PS3.7 D.3.3.2): nothing more is stated.
NEGOTIATED = {
    "MaximumLengthNotification",
    "ImplementationClassUIDNotification",
    "ImplementationVersionNameNotification",
}
NOW = datetime.now().astimezone().replace(microsecond=0)


@dataclass
class Wire:
    """Everything that was said: by the box to its peers, and by the archive to the box."""

    statement: Statement
    said: list[Negotiated]
    heard: list[Negotiated]

    def messages(self, *, by_box: bool) -> Iterator[tuple[Negotiated, Spoken]]:
        """With their association, from both ways."""
        for one in self.said:
            yield from ((one, message) for message in one.messages if message.is_asked == by_box)
        for one in self.heard:
            yield from ((one, message) for message in one.messages if message.is_asked != by_box)


def write_configuration(paths: Paths, port: int, listener: int) -> None:
    peer: dict[str, Any] = {"ae_title": "HOSPITAL", "host": "127.0.0.1", "port": port}
    configuration = {
        "box": {"name": "bridge-3", "ae_title": "BRIDGE", "institution": "Klinik am Hügel"},
        "listener": {"port": listener},
        "worklist": [{"name": "ris", **peer, "every_seconds": 3600, "modalities": ["US", "ES"]}],
        "performed_step": peer,
        "destinations": [
            {
                "name": "archive",
                **peer,
                "commitment_seconds": 30,
                "retry_first_seconds": 0.2,
                "retry_longest_seconds": 0.5,
            }
        ],
        "test_patient": {"patient_id": "TEST-0001"},
        "devices": [one.model_dump(mode="json", exclude_unset=True) for one in DEVICES],
    }
    paths.configuration.parent.mkdir(parents=True, exist_ok=True)
    paths.configuration.write_text(tomlkit.dumps(configuration))


def hand_over(
    box: Path,
    exam: Exam,
    outcome: Outcome,
    monkeypatch: pytest.MonkeyPatch,
    destinations: tuple[str, ...] = ("archive",),
) -> None:
    """An exam with an object of every kind, as console and acquires leave it: its facts, its objects in the outbox."""
    spool = Spool(Paths.below(box).state)
    facts = ExamFacts(spool.exams)
    facts.write(exam.exam_id, "exam", exam)
    instances = []
    for number, (device, _form, make) in enumerate(MADE.values(), start=1):
        uid = new_uid()
        monkeypatch.setattr(world, "UID", uid)
        made = make(box / "made.dcm", exam)
        writer = ObjectWriter(spool.outbox, uid, made.path.read_bytes())
        path = writer.publish(number)
        instances.append(
            Instance(
                made.composed.sop_class_uid,
                uid,
                made.composed.transfer_syntax_uid,
                exam.series_of(device.name).series_instance_uid,
                device.name,
                device.modality,
                path.name,
                path.stat().st_size,
                NOW,
            )
        )
    for step in exam.steps:
        uid = next(one.sop_instance_uid for one in instances if one.modality == step.modality)
        facts.write(exam.exam_id, f"started-{step.modality}", Started(step.modality, NOW, uid))
    reason = "110514" if outcome is Outcome.DISCONTINUED else ""
    facts.write(exam.exam_id, "closing", Closing(NOW, outcome, reason))
    facts.write(exam.exam_id, "closed", Closed(NOW, outcome, tuple(instances), destinations, reason))


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """The whole job, once."""
    directory = tmp_path_factory.mktemp("wire")
    paths = Paths.below(directory / "box")
    Spool(paths.state).make()
    listener = pick_free_port()
    to_box = Recorder(listener)
    hospital = Hospital.in_directory(
        directory / "hospital", to_box.port, "--commitment-delay", "0.1", "--commitment-pause", "0.2"
    )
    with running(hospital), to_box.running(), Recorder(hospital.port).running() as to_hospital:
        write_configuration(paths, to_hospital.port, listener)
        environment = {"PYTHONPATH": str(REPOSITORY), **paths.environment()}
        command = [sys.executable, "-m", "appliance.services.forward"]
        forward = Peer("forward", command, listener, directory / "forward.log", environment)
        asker = Asker(paths.forward_socket, "The forward process")
        forward.start(lambda: _is_answering(asker))
        try:
            with pytest.MonkeyPatch.context() as monkeypatch:
                do_the_job(directory / "box", asker, hospital, monkeypatch)
        finally:
            asker.close()
            forward.stop()
    statement = statement_of(load_configuration(paths.configuration))
    yield Wire(statement, associations_of(to_hospital), associations_of(to_box))


def _is_answering(asker: Asker) -> bool:
    with contextlib.suppress(ApplianceError):
        return bool(asker.ask("GET", "/status", seconds=10))
    return False


def do_the_job(box: Path, asker: Asker, hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that the forward process is ever asked for, and the troubles that make it say something else."""

    def ask(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return asker.ask(method, path, body, seconds=60)

    ask("POST", "/worklist/refresh")
    for asked in ({"patient_id": "PAT"}, {"patient_name": "Müller, Jörg"}, {"barcode": "ACC-1"}):
        ask("POST", "/worklist/query", asked)
    for path, body in (("/echo", {}), ("/test", {"write": True})):
        report = ask("POST", path, {"name": "archive", **body})
        assert report["is_good"], [one for one in report["checks"] if one["verdict"] != "good"]
    whole = (exam_on(full_entry(), DEVICES), Outcome.COMPLETED)
    bare = (replace(exam_on(sparse_entry(), DEVICES), exam_id="20261122-101500-0002"), Outcome.DISCONTINUED)
    # The one is reported on associations of the archive's own, the other on the one that asked.
    for (exam, outcome), fault in ((whole, ()), (bare, ("commitment-same-association",))):
        hospital.set_faults(*fault)
        hand_over(box, exam, outcome, monkeypatch)
        ask("POST", "/hint")
        settled = Spool(Paths.below(box).state).settled / f"{exam.exam_id}.json"
        wait_until(settled.exists, f"exam {exam.exam_id} is settled")


def test_ok__each_association_is_as_stated(wire: Wire) -> None:
    stated = {
        (context.abstract_syntax, context.transfer_syntaxes)
        for service in wire.statement.services
        if service.role is Role.SCU
        for context in service.contexts
    }
    assert wire.said
    for one in wire.said:
        assert one.calling == "BRIDGE" and one.called == "HOSPITAL"
        assert one.implementation_class_uid == wire.statement.product.implementation_class_uid
        assert one.max_pdu_bytes == wire.statement.max_pdu_bytes
        assert one.application_context == APPLICATION_CONTEXT
        assert one.user_items == NEGOTIATED, "neither asynchronous operations nor user identity nor roles"
        assert set(one.proposed.values()) <= stated
    assert {context for one in wire.said for context in one.proposed.values()} == stated, "nothing stated never happens"


def test_ok__each_accepted_context_is_as_stated(wire: Wire) -> None:
    """Of the associations that the archive opens: its reports come on the commitment's context."""
    reported = [service for service in wire.statement.services if "N-EVENT-REPORT" in service.operations]
    accepted_here = [one for one in wire.statement.services if one.role is Role.SCP] + reported
    stated = {
        context.abstract_syntax: set(context.transfer_syntaxes) for one in accepted_here for context in one.contexts
    }
    taken = [(one.proposed[number][0], syntax) for one in wire.heard for number, syntax in one.accepted.items()]
    assert taken
    for abstract_syntax, syntax in taken:
        assert syntax in stated[abstract_syntax]


def test_ok__each_request_is_an_operation_that_is_stated(wire: Wire) -> None:
    stated = {
        (service.sop_class_uid, operation)
        for service in wire.statement.services
        if service.role is Role.SCU
        for operation in service.operations
    }
    said = {(one.abstract_syntax, one.operation) for _, one in wire.messages(by_box=True) if not one.is_response}
    heard = {(one.abstract_syntax, one.operation) for _, one in wire.messages(by_box=False) if not one.is_response}
    assert said <= stated
    reports = {one for one in stated if one[1] == "N-EVENT-REPORT"}
    assert heard == reports
    # A query is cancelled only where its answer is longer than is taken: test_troubles_on_the_wire.
    assert stated - said - reports == {one for one in stated if one[1] == "C-CANCEL"}


def test_ok__each_status_that_came_has_a_row(wire: Wire) -> None:
    rows = {
        (status.operation, service.sop_class_uid): [
            (other.first, other.last) for other in service.statuses if other.operation == status.operation
        ]
        for service in wire.statement.services
        for status in service.statuses
    }
    seen = set()
    for _, one in wire.messages(by_box=False):
        ranges = rows.get((one.operation, one.abstract_syntax))
        if one.is_response and ranges:
            status = int(one.command.Status)
            assert any(first <= status <= last for first, last in ranges[:-1]), (one.operation, status)
            seen.add(one.operation)
    assert seen == {"C-FIND", "C-STORE", "N-CREATE", "N-SET", "N-ACTION"}


def test_ok__each_query_has_the_stated_keys(wire: Wire) -> None:
    stated = {key.path: key for key in wire.statement.worklist_keys}
    queries = [
        one.data
        for _, one in wire.messages(by_box=True)
        if one.operation == "C-FIND" and one.abstract_syntax == FIND_WORKLIST and one.data is not None
    ]
    matched: dict[Matching, set[tuple[str, ...]]] = {Matching.BROAD: set(), Matching.PATIENT: set()}
    for query in queries:
        step = query.ScheduledProcedureStepSequence[0]
        said = {
            (one.keyword,): one for one in query if one.VR != "SQ" or one.keyword != "ScheduledProcedureStepSequence"
        }
        said |= {("ScheduledProcedureStepSequence", one.keyword): one for one in step}
        assert said.keys() == stated.keys()
        kind = Matching.BROAD if step.ScheduledProcedureStepStartDate else Matching.PATIENT
        values = {path for path, one in said.items() if not one.is_empty} - {("SpecificCharacterSet",)}
        matched[kind] |= values
        for path in values:
            assert kind in stated[path].matching, path
    for kind, paths in matched.items():
        assert paths == {path for path, key in stated.items() if kind in key.matching}


def test_ok__each_message_of_a_step_is_as_stated(wire: Wire) -> None:
    created, ended = wire.statement.messages
    steps = [one for _, one in wire.messages(by_box=True) if one.operation in ("N-CREATE", "N-SET")]
    assert {one.operation for one in steps} == {"N-CREATE", "N-SET"}
    for one in steps:
        assert one.data is not None
        check((created if one.operation == "N-CREATE" else ended).attributes, one.data)


def test_ok__each_object_that_is_sent_is_as_stated(wire: Wire) -> None:
    """In the transfer syntax that it was made in, which this archive takes."""
    sent = [one for _, one in wire.messages(by_box=True) if one.operation == "C-STORE" and one.data is not None]
    kinds, tested = set(), set()
    for one in sent:
        assert one.data is not None
        modality = one.data.Modality
        if one.data.get("PatientID") == "TEST-0001":
            (kind,) = [kind for kind in wire.statement.test_objects if kind.sop_class_uid == one.data.SOPClassUID]
            check(kind.attributes, one.data)
            tested.add(kind.sop_class_uid)
            continue
        fitting = [
            kind
            for kind in wire.statement.objects
            if (kind.sop_class_uid, kind.transfer_syntax_uid) == (one.data.SOPClassUID, one.transfer_syntax)
            and any(device.name in kind.devices for device in DEVICES if device.modality == modality)
        ]
        assert fitting, (one.data.SOPClassUID, one.transfer_syntax, modality)
        errors = []
        for kind in fitting:
            try:
                check(kind.attributes, one.data)
            except AssertionError as error:
                errors.append(error)
            else:
                kinds.add((kind.form, kind.sop_class_uid, kind.transfer_syntax_uid, kind.devices))
                break
        else:
            raise errors[0]
    assert tested == {kind.sop_class_uid for kind in wire.statement.objects}, "an object of each class was tried"
    made = {(kind.form, kind.sop_class_uid, kind.transfer_syntax_uid, kind.devices) for kind in wire.statement.objects}
    assert {one[:3] for one in made} - {one[:3] for one in kinds} <= {
        # A colour clip without compression is long: tests/acquire compose and check it.
        ("clip", "1.2.840.10008.5.1.4.1.1.7.4", "1.2.840.10008.1.2.1")
    }
