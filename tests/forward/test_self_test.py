"""The self test against real peers, and against a hospital with faults."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from appliance.base.clock import SystemClock
from appliance.base.errors import ApplianceError
from appliance.base.sockets import pick_free_port
from appliance.compose.self_test import open_self_test_exam
from appliance.config.schema import Configuration
from appliance.dimse.association import Caller
from appliance.dimse.commitment import CommitmentReport
from appliance.dimse.listener import CommitmentListener
from appliance.dimse.tls import identity_from
from appliance.forward.self_test import SelfTest
from tests.certificates import make_authority
from tests.peers import running, start_orthanc, start_storescp, start_wlmscpfs, wait_until, worklist_file
from tests.simulator.hospitals import Hospital

Report = dict[str, Any]


def peer(ae_title: str, port: int, **more: Any) -> dict[str, Any]:
    return {
        "ae_title": ae_title,
        "host": "127.0.0.1",
        "port": port,
        "connect_seconds": 20,
        "answer_seconds": 20,
        **more,
    }


DEVICES = [
    {"name": "endoscope", "driver": "grabber", "modality": "ES", "source": "es.sock"},
    {"name": "film", "driver": "sane", "modality": "RG", "sane_device": "test"},
]
BRIDGE = Caller("BRIDGE")
# What the devices above make, and both ways of a report.
STORED = [
    "store at archive: Secondary Capture",
    "store at archive: Multi-frame True Color Secondary Capture",
    "store at archive: Multi-frame Grayscale Word Secondary Capture",
]
COMMITTED = ["commitment at archive, its association kept open", "commitment at archive, its association released"]
PATIENT = {"patient_name": "TEST^BRIDGE", "patient_id": "TEST-0001", "issuer_of_patient_id": "HOSPITAL"}


class Bench:
    """A self test with its listener; `foreign` are the reports that were not its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = pick_free_port()
        self.foreign: list[CommitmentReport] = []
        self.listeners: list[CommitmentListener] = []

    def of(self, commitment_seconds: float = 20.0, caller: Caller = BRIDGE, **sections: Any) -> SelfTest:
        sections = {"listener": {"port": self.port}, "test_patient": PATIENT, "devices": DEVICES, **sections}
        configuration = Configuration.model_validate(sections)
        self_test = SelfTest(configuration, caller, self.directory, SystemClock(), commitment_seconds)
        self.close()
        hear = self_test.heard_before(self._hear_foreign)
        self.listeners.append(CommitmentListener(configuration.listener, caller, hear))
        return self_test

    def _hear_foreign(self, report: CommitmentReport) -> bool:
        self.foreign.append(report)
        return True

    def close(self) -> None:
        while self.listeners:
            self.listeners.pop().stop()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    directory = tmp_path / "run"
    directory.mkdir()
    made = Bench(directory)
    yield made
    made.close()
    assert list(directory.iterdir()) == [], "nothing of the test object stays on the box"


@pytest.fixture(scope="module")
def shared_port() -> int:
    return pick_free_port()


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory, shared_port: int) -> Iterator[Hospital]:
    directory = tmp_path_factory.mktemp("self-test") / "hospital"
    with running(Hospital.in_directory(directory, shared_port, "--commitment-delay", "0.1")) as started:
        assert isinstance(started, Hospital)
        yield started


@pytest.fixture
def start_all_of(bench: Bench, hospital: Hospital, shared_port: int) -> Callable[..., SelfTest]:
    """A self test for which the hospital is everything at once, under three names."""
    bench.port = shared_port

    def start(answer_seconds: float = 20.0, **more: Any) -> SelfTest:
        everything = peer("HOSPITAL", hospital.port, answer_seconds=answer_seconds)
        return bench.of(
            worklist=[{"name": "ris", **everything}],
            performed_step=everything,
            destinations=[{"name": "archive", **everything}],
            **more,
        )

    return start


def verdicts(report: Report) -> dict[str, str]:
    return {check["name"]: check["verdict"] for check in report["checks"]}


def words(report: Report, name: str) -> str:
    (check,) = [check for check in report["checks"] if check["name"] == name]
    return f"{check['words']} {check['suggestion']}".strip()


def test_ok__everything_in_one_report(
    start_all_of: Callable[..., SelfTest], hospital: Hospital, bench: Bench, tmp_path: Path
) -> None:
    self_test = start_all_of()
    report = self_test.test("archive", may_write=True)
    assert report["is_good"], report
    assert set(verdicts(report).values()) == {"good"}
    names = list(verdicts(report))
    assert names[0] == "association"
    assert [name for name in names if name.startswith("proposed: ")] == [
        "proposed: Verification",
        "proposed: Secondary Capture in JPEG Baseline",
        "proposed: Secondary Capture in Explicit VR Little Endian",
        "proposed: Secondary Capture in Implicit VR Little Endian",
        "proposed: Multi-frame True Color Secondary Capture in JPEG Baseline",
        "proposed: Multi-frame True Color Secondary Capture in Explicit VR Little Endian",
        "proposed: Multi-frame True Color Secondary Capture in Implicit VR Little Endian",
        "proposed: Multi-frame Grayscale Word Secondary Capture in Explicit VR Little Endian",
        "proposed: Multi-frame Grayscale Word Secondary Capture in Implicit VR Little Endian",
        "proposed: Storage Commitment Push Model",
        "proposed: Modality Worklist Information Model - FIND",
        "proposed: Modality Performed Procedure Step",
    ]
    assert names[-9:] == [
        "verification (C-ECHO)",
        "worklist query of ris",
        "performed step begins",
        *STORED,
        *COMMITTED,
        "performed step ends DISCONTINUED",
    ]
    assert words(report, COMMITTED[0]) == "HOSPITAL committed 3 objects, on an association of its own."
    assert words(report, "worklist query of ris") == "17 entries for the configured days."
    assert bench.foreign == []
    uids = [uid for what, uid in report["written"].items() if what.endswith(" at archive")]
    assert len(uids) == 3
    for uid in uids:
        check_object(hospital.objects()[uid], report)
    step = json.loads((hospital.state / "steps" / f"{report['written']['performed step']}.json").read_bytes())
    assert step["00400252"]["Value"] == ["DISCONTINUED"]
    assert step["00400281"]["Value"][0]["00080100"]["Value"] == ["110513"]
    images = step["00400340"]["Value"][0]["00081140"]["Value"]
    assert [image["00081155"]["Value"][0] for image in images] == uids


def check_object(path: Path, report: Report) -> None:
    kept = dcmread(path)
    assert kept.QualityControlImage == "YES"
    assert (kept.PatientName, kept.PatientID, kept.IssuerOfPatientID) == ("TEST^BRIDGE", "TEST-0001", "HOSPITAL")
    assert kept.StudyInstanceUID == report["written"]["study"]
    assert kept.Modality == "ES"
    (step,) = kept.ReferencedPerformedProcedureStepSequence
    assert step.ReferencedSOPInstanceUID == report["written"]["performed step"]
    judged = subprocess.run(
        ["/usr/bin/dciodvfy", "-new", path], capture_output=True, text=True, timeout=30, check=False
    )
    assert "Error" not in judged.stderr


def test_ok__an_issuer_beyond_ascii_is_readable(tmp_path: Path) -> None:
    configuration = Configuration.model_validate({"test_patient": {**PATIENT, "issuer_of_patient_id": "Klinik Süd"}})
    assert configuration.test_patient is not None
    exam = open_self_test_exam(configuration, configuration.test_patient, SystemClock().now())
    ((path, _),) = exam.write_objects(tmp_path, has_step=True)
    for made in (dcmread(path), exam.creation()):
        assert made.SpecificCharacterSet == "ISO_IR 192"
        assert made.IssuerOfPatientID == "Klinik Süd"


def test_ok__without_writing_nothing_is_written(start_all_of: Callable[..., SelfTest], hospital: Hospital) -> None:
    before = (len(hospital.objects()), len(list((hospital.state / "steps").iterdir())))
    report = start_all_of().test("performed-step", may_write=False)
    assert report["is_good"]
    assert report["written"] == {}
    assert (len(hospital.objects()), len(list((hospital.state / "steps").iterdir()))) == before


def test_ok__echo(start_all_of: Callable[..., SelfTest], hospital: Hospital) -> None:
    self_test = start_all_of()
    for name in ("ris", "archive", "performed-step"):
        assert verdicts(self_test.echo(name)) == {"verification (C-ECHO)": "good"}
    with hospital.faults("refuse-association"):
        report = self_test.echo("ris")
    assert not report["is_good"]
    assert "refused the association for now" in words(report, "verification (C-ECHO)")


@pytest.mark.parametrize(
    ("fault", "check", "said"),
    [
        ("wrong-ae", "association", "the called AE title is not recognized"),
        ("no-context", "association", "takes the association, but nothing"),
        ("stall", "association", "did not complete the association"),
        ("out-of-resources", STORED[0], "the archive is out of resources"),
        ("refuse-store", STORED[0], "C000H"),
        ("abort-in-pdu", STORED[0], "connection was lost"),
        (
            "lose-objects",
            COMMITTED[0],
            "did not commit the object of class Secondary Capture: the archive does not have the object",
        ),
        ("no-commitment", COMMITTED[0], "sent no report within"),
        ("commitment-partial", COMMITTED[0], "the report does not name it"),
        ("commitment-stranger", COMMITTED[0], "STRANGER reported and was not believed"),
        ("steps-down", "proposed: Modality Performed Procedure Step", "It cannot hear of performed steps."),
        ("steps-refusing:0106", "performed step begins", "did not create the step"),
    ],
)
def test_ok__what_fails_is_said_and_the_rest_is_tried(
    start_all_of: Callable[..., SelfTest], hospital: Hospital, fault: str, check: str, said: str
) -> None:
    # Only what never comes is not waited for.
    self_test = start_all_of(
        answer_seconds=2.0 if fault == "stall" else 20.0,
        commitment_seconds={"no-commitment": 1.0, "commitment-stranger": 2.0}.get(fault, 20.0),
    )
    with hospital.faults(fault):
        report = self_test.test("archive", may_write=True)
    assert not report["is_good"]
    assert verdicts(report)[check] == "failed"
    assert said in words(report, check)
    others = {name: verdict for name, verdict in verdicts(report).items() if name != check}
    if check == "association":
        assert "skipped" in others.values()
        assert "verification (C-ECHO)" not in others
    elif fault != "abort-in-pdu":  # which ends every association with data
        assert others["verification (C-ECHO)"] == others["worklist query of ris"] == "good"
    if report["written"].get("performed step"):
        assert others["performed step ends DISCONTINUED"] in ("good", "failed")


@pytest.mark.parametrize("fault", ["commitment-same-association", "commitment-first", "commitment-twice"])
def test_ok__the_report_comes_by_any_road(
    start_all_of: Callable[..., SelfTest], hospital: Hospital, fault: str
) -> None:
    self_test = start_all_of()
    with hospital.faults(fault):
        report = self_test.test("archive", may_write=True)
    assert report["is_good"], report
    same = "on the same association" in words(report, COMMITTED[0])
    assert same == (fault == "commitment-same-association")
    assert words(report, COMMITTED[1]).endswith("on an association of its own.")


def test_ok__orthanc(bench: Bench, tmp_path: Path) -> None:
    with running(start_orthanc(tmp_path / "orthanc", box_port=bench.port)) as orthanc:
        self_test = bench.of(
            destinations=[peer("ORTHANC", orthanc.port, name="archive", verify_by_find=True)],
            worklist=[peer("ORTHANC", orthanc.port, name="ris")],
        )
        report = self_test.test("ris", may_write=True)
        assert report["is_good"], report
        assert words(report, "worklist query of ris").startswith("0 entries")
        assert verdicts(report)["proposed: Study Root Query/Retrieve Information Model - FIND"] == "good"
        written = {uid for what, uid in report["written"].items() if what.endswith(" at archive")}
        assert len(written) == 3 and set(orthanc.stored()) == written
        assert "performed step" not in report["written"]
        for identifier in orthanc.stored().values():
            kept = dcmread(BytesIO(orthanc.file(identifier)))
            assert kept.QualityControlImage == "YES"
            assert "ReferencedPerformedProcedureStepSequence" not in kept


def test_ok__an_archive_without_jpeg_and_without_commitment(bench: Bench, tmp_path: Path) -> None:
    with running(start_storescp(tmp_path / "plain", "+x=")) as plain:
        archive = peer("PLAIN", plain.port, name="archive", commitment=False)
        report = bench.of(destinations=[archive]).test("archive", may_write=True)
        assert report["is_good"], report
        assert verdicts(report)["proposed: Secondary Capture in JPEG Baseline"] == "noted"
        assert "decoded while they are sent" in words(report, "proposed: Secondary Capture in JPEG Baseline")
        assert not any(name.startswith("commitment") for name in verdicts(report))
        lacking = bench.of(destinations=[{**archive, "commitment": True}]).test("archive", may_write=False)
        assert verdicts(lacking)["proposed: Storage Commitment Push Model"] == "failed"
        assert "configure commitment = false" in words(lacking, "proposed: Storage Commitment Push Model")
    with running(start_storescp(tmp_path / "implicit", "+xi")) as implicit:
        archive = peer("PLAIN", implicit.port, name="archive", commitment=False)
        explicit = bench.of(destinations=[{**archive, "transfer_syntaxes": ["explicit-little-endian"]}])
        report = explicit.test("archive", may_write=True)
        assert words(report, "proposed: Multi-frame True Color Secondary Capture in Explicit VR Little Endian") == (
            "Refused. Every Multi-frame True Color Secondary Capture in JPEG Baseline would be refused."
        )
        assert not any(name.startswith("store") and verdict == "good" for name, verdict in verdicts(report).items())
        both = bench.of(destinations=[archive]).test("archive", may_write=True)
        assert both["is_good"], both
        assert "another transfer syntax" in words(both, "proposed: Secondary Capture in Explicit VR Little Endian")


def test_ok__over_tls(bench: Bench, tmp_path: Path) -> None:
    """The whole job encrypted both ways; a peer whose certificate is not the pinned one is refused in words."""
    authority = make_authority(tmp_path / "ca")
    papers, own = authority.issue("hospital"), authority.issue("box")
    port = pick_free_port()
    arguments = [
        *("--tls-port", str(port), "--box-tls", "--commitment-delay", "0.1"),
        *(f"--tls-{name}={getattr(papers, name)}" for name in ("certificate", "key", "authorities")),
    ]
    with running(Hospital.in_directory(tmp_path / "hospital", bench.port, *arguments), port):
        everything = peer("HOSPITAL", port, tls=True)
        sections = {
            "tls": own.tls.model_dump(),
            "listener": {"port": None, "tls_port": bench.port},
            "worklist": [{"name": "ris", **everything}],
            "performed_step": everything,
            "destinations": [{"name": "archive", **everything}],
        }
        caller = Caller("BRIDGE", identity_from(own.tls))
        report = bench.of(caller=caller, **sections).test("archive", may_write=True)
        assert report["is_good"], report
        assert report["peer"].endswith("over TLS")
        pinned = {**sections, "destinations": [{"name": "archive", **everything, "tls_pin": own.pin}]}
        wrong = bench.of(caller=caller, **pinned).test("archive", may_write=False)
        assert verdicts(wrong)["association"] == "failed"
        assert "its certificate is not the one that is pinned" in words(wrong, "association")


def test_ok__wlmscpfs(bench: Bench, tmp_path: Path) -> None:
    item = worklist_file(tmp_path, character_set="ISO_IR 100", name=b"M\xfcller^J\xfcrgen")
    with running(start_wlmscpfs(tmp_path / "worklists", "WLM", item)) as source:
        self_test = bench.of(worklist=[peer("WLM", source.port, name="ris")])
        report = self_test.test("ris", may_write=True)
        assert report["is_good"], report
        assert words(report, "worklist query of ris") == "1 entries for the configured days."
        assert report["written"] == {}


def test_fail__unknown_names_and_no_test_patient(bench: Bench) -> None:
    self_test = bench.of(destinations=[peer("GONE", pick_free_port(), name="archive")], test_patient=None)
    for ask in (self_test.echo, lambda name: self_test.test(name, may_write=False)):
        with pytest.raises(ApplianceError) as nobody:
            ask("nobody")
        assert nobody.value.suggestion == "There are: archive."
    with pytest.raises(ApplianceError) as unwritten:
        self_test.test("archive", may_write=True)
    assert "[test_patient]" in unwritten.value.suggestion
    report = self_test.test("archive", may_write=False)
    assert verdicts(report) == {"association": "failed", "everything else": "skipped"}
    assert "refuses connections" in words(report, "association")


def test_fail__two_tests_at_once(start_all_of: Callable[..., SelfTest], hospital: Hospital) -> None:
    self_test = start_all_of()
    before = hospital.log.stat().st_size
    with hospital.faults("steps-slow:1.5=1"):
        first = threading.Thread(target=self_test.test, args=("archive", True))
        first.start()
        try:
            wait_until(
                lambda: hospital.log.read_text()[before:].count("fault steps-slow strikes"), "the first is there"
            )
            with pytest.raises(ApplianceError, match="Another test is under way"):
                self_test.test("archive", may_write=False)
            assert self_test.echo("archive")["is_good"]
        finally:
            first.join(30)
    assert self_test.test("archive", may_write=False)["is_good"]
