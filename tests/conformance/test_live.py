"""What real peers answer to a profile: DCMTK and Orthanc, and the simulated hospital with a service switched off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from appliance.config.schema import Configuration
from appliance.conformance.comparison import Comparison, Finding, Verdict, compare_box
from appliance.conformance.live import answer_from, wanted_contexts, with_answers
from appliance.conformance.profile import PROFILES, Profile, read_profile
from appliance.dimse.association import Context
from tests.forward.test_self_test import BRIDGE, DEVICES, PATIENT, Bench, peer
from tests.peers import running, start_orthanc, start_storescp, start_wlmscpfs, worklist_file
from tests.simulator.hospitals import Hospital

PROFILE = read_profile(PROFILES / "prior-1993.toml")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    directory = tmp_path / "run"
    directory.mkdir()
    made = Bench(directory)
    yield made
    made.close()


def check(
    bench: Bench,
    *names: str,
    profile: Profile = PROFILE,
    may_write: bool = False,
    seconds: float = 20.0,
    **sections: Any,
) -> Comparison:
    """The profile held against a box with these peers, and those called `names` asked just now."""
    self_test = bench.of(seconds, BRIDGE, **sections)
    configuration = Configuration.model_validate(
        {"listener": {"port": bench.port}, "test_patient": PATIENT, "devices": DEVICES, **sections}
    )
    comparison = compare_box(profile, configuration)
    wanted = [Context(one, (syntax,)) for one, syntax in wanted_contexts(profile, comparison.statement)]
    answers = [answer_from(self_test.test(name, may_write, wanted)) for name in names]
    return with_answers(comparison, answers, is_written=may_write)


def finding(comparison: Comparison, name: str) -> Finding:
    (one,) = (one for one in comparison.findings if one.requirement.id == name)
    return one


def everything(port: int) -> dict[str, Any]:
    """One application entity that is all of a hospital."""
    whole = peer("HOSPITAL", port)
    return {
        "worklist": [{"name": "ris", **whole}],
        "performed_step": whole,
        "destinations": [{"name": "archive", **whole}],
    }


def hospital_of(bench: Bench, tmp_path: Path, *faults: str) -> Hospital:
    words = [word for fault in faults for word in ("--fault", fault)]
    return Hospital.in_directory(tmp_path / "hospital", bench.port, "--commitment-delay", "0.1", *words)


def test_ok__a_whole_hospital_bears_it_out(bench: Bench, tmp_path: Path) -> None:
    with running(hospital_of(bench, tmp_path)) as hospital:
        comparison = check(bench, "archive", may_write=True, **everything(hospital.port))
    assert comparison.status == 0
    assert any("worklist query of ris" in said for said in finding(comparison, "PRIOR-2").live)
    assert any("commitment at archive" in said for said in finding(comparison, "PRIOR-3").live)
    ends = [said for said in finding(comparison, "PRIOR-4").live if "performed step" in said]
    assert len(ends) >= 2, "begun and ended"


@pytest.mark.parametrize(
    ("fault", "requirement", "said"),
    [
        ("no-context", "PRIOR-1", "could not be asked"),
        ("refuse-association", "PRIOR-3", "could not be asked"),
        ("no-commitment", "PRIOR-3", "sent no report"),
        ("refuse-store", "PRIOR-3", "did not take the object"),
    ],
)
def test_fail__a_service_that_is_switched_off(
    fault: str, requirement: str, said: str, bench: Bench, tmp_path: Path
) -> None:
    with running(hospital_of(bench, tmp_path, fault)) as hospital:
        comparison = check(bench, "archive", may_write=True, seconds=2.0, **everything(hospital.port))
    found = finding(comparison, requirement)
    assert found.verdict is Verdict.NOT_MET and comparison.status == 1
    assert any(said in one for one in found.live)


@pytest.mark.parametrize("start", [start_storescp])
def test_fail__an_archive_alone_is_no_hospital(start: Callable[..., Any], bench: Bench, tmp_path: Path) -> None:
    """DCMTK's storescp: it stores, and neither commits nor has a worklist."""
    with running(start(tmp_path / "archive")) as archive:
        comparison = check(bench, "archive", **everything(archive.port))
    assert finding(comparison, "PRIOR-2").verdict is Verdict.NOT_MET
    assert "archive does not accept Modality Worklist Information Model - FIND." in finding(comparison, "PRIOR-2").live
    assert finding(comparison, "PRIOR-4").verdict is Verdict.NOT_MET
    stored = [one for one in finding(comparison, "PRIOR-3").live if "Secondary Capture" in one]
    assert stored == ["archive accepts Secondary Capture."]


def test_fail__an_archive_that_takes_no_implicit_vr(bench: Bench, tmp_path: Path) -> None:
    """The profile wants it proposed, and it is, though nothing else of the box would."""
    sections = everything(0)
    sections["destinations"][0]["transfer_syntaxes"] = ["jpeg-baseline", "explicit-little-endian"]
    with running(start_storescp(tmp_path / "archive", accepts="+xe")) as archive:
        for section in (*sections["worklist"], *sections["destinations"], sections["performed_step"]):
            section["port"] = archive.port
        comparison = check(bench, "archive", **sections)
    # The configuration does not send it: that is said first, with what would.
    assert finding(comparison, "PRIOR-1").verdict is Verdict.MET_IF


def test_ok__orthanc_as_archive(bench: Bench, tmp_path: Path) -> None:
    with running(start_orthanc(tmp_path / "orthanc", box_port=bench.port)) as archive:
        comparison = check(bench, "archive", may_write=True, **everything(archive.port))
    live = finding(comparison, "PRIOR-3").live
    assert any("its association released: HOSPITAL committed 3 objects" in one for one in live), live
    assert finding(comparison, "PRIOR-4").verdict is Verdict.NOT_MET, "Orthanc hears of no performed step"


SERVICES = """
equipment = "modality interface"
requirements = [
  { id = "ECHO", strength = "shall", text = "Verified.", needs = [
    { about = "service", sop_class = "Verification", role = "SCU" } ] },
  { id = "LIST", strength = "shall", text = "Scheduled.", needs = [
    { about = "service", sop_class = "ModalityWorklistInformationModelFind", role = "SCU" },
    { about = "worklist key", path = "PatientID", matching = "patient" },
    { about = "timer", connection = "worklist", name = "answer_seconds", at_most = 60 } ] },
  { id = "STILL", strength = "shall", text = "Stills stored.", needs = [
    { about = "object", sop_class = "SecondaryCaptureImageStorage" } ] },
  { id = "CLIP", strength = "shall", text = "Clips stored.", needs = [
    { about = "object", sop_class = "MultiFrameTrueColorSecondaryCaptureImageStorage" } ] },
  { id = "COMMIT", strength = "shall", text = "Committed both ways.", needs = [
    { about = "commitment", same_association = true, new_association = true } ] },
  { id = "END", strength = "shall", text = "Told.", needs = [
    { about = "end of study", states = ["COMPLETED", "DISCONTINUED"] } ] },
  { id = "PAPER", strength = "shall", text = "Of no peer.", needs = [{ about = "no private attributes" }] },
]
"""


@pytest.fixture
def services(tmp_path: Path) -> Profile:
    """A requirement for each service of a hospital."""
    file = tmp_path / "services.toml"
    file.write_text(SERVICES)
    return read_profile(file)


def unmet(comparison: Comparison) -> set[str]:
    return {one.requirement.id for one in comparison.findings if one.verdict is not Verdict.MET}


@pytest.mark.parametrize(
    ("without", "not_met"),
    [
        ("", set()),
        ("Echo", {"ECHO"}),
        ("FindWorklist", {"LIST"}),
        ("Store", {"STILL", "CLIP", "COMMIT"}),
        ("StorageCommitment", {"COMMIT"}),
    ],
)
def test_fail__orthanc_without_a_service(
    without: str, not_met: set[str], bench: Bench, services: Profile, tmp_path: Path
) -> None:
    """Orthanc hears of no performed steps: END is not met, and everything else is but what is switched off."""
    with running(start_orthanc(tmp_path / "orthanc", box_port=bench.port, without=without)) as archive:
        comparison = check(bench, "archive", profile=services, may_write=True, seconds=3.0, **everything(archive.port))
    assert unmet(comparison) == {"END", *not_met}, [one.live for one in comparison.findings]


@pytest.mark.parametrize(
    ("off", "not_met"),
    [("", {"COMMIT", "END"}), ("ris", {"LIST", "COMMIT", "END"}), ("archive", {"STILL", "CLIP", "COMMIT", "END"})],
)
def test_fail__dcmtk_with_a_service_off(
    off: str, not_met: set[str], bench: Bench, services: Profile, tmp_path: Path
) -> None:
    """wlmscpfs is the worklist and storescp the archive; neither commits or hears of steps. One is down in each run."""
    item = worklist_file(tmp_path, character_set="ISO_IR 100", name=b"M\xfcller")
    ris, archive = start_wlmscpfs(tmp_path / "ris", "WLM", item), start_storescp(tmp_path / "archive")
    with ExitStack() as stack:
        for one, name in ((ris, "ris"), (archive, "archive")):
            if name != off:
                stack.enter_context(running(one))
        comparison = check(
            bench,
            "ris",
            "archive",
            profile=services,
            may_write=True,
            seconds=1.0,
            worklist=[{"name": "ris", **peer("WLM", ris.port)}],
            destinations=[{"name": "archive", **peer("PLAIN", archive.port)}],
        )
    assert unmet(comparison) == not_met, [one.live for one in comparison.findings]
    concerned = {"": (), "ris": ("LIST",), "archive": ("STILL", "CLIP", "COMMIT")}
    for name in concerned[off]:
        live = finding(comparison, name).live
        assert any(said.startswith(f"{off} could not be asked: ") for said in live), live


def test_ok__without_write_nothing_is_borne_out_that_would_write(
    bench: Bench, services: Profile, tmp_path: Path
) -> None:
    with running(hospital_of(bench, tmp_path)) as hospital:
        comparison = check(bench, "archive", profile=services, **everything(hospital.port))
    assert unmet(comparison) == set()
    assert finding(comparison, "COMMIT").live == ("Not tried with anybody: that needs --write.",)
    timed = [said for said in finding(comparison, "LIST").live if "of at most 60 s" in said]
    assert len(timed) == 1, "how long the worklist took just now"


def test_fail__a_peer_that_is_down(bench: Bench) -> None:
    comparison = check(bench, "archive", **everything(1))
    assert comparison.status == 1
    for name in ("PRIOR-1", "PRIOR-2", "PRIOR-3", "PRIOR-4"):
        found = finding(comparison, name)
        assert found.verdict is Verdict.NOT_MET
        assert any(one.startswith("archive could not be asked: ") for one in found.live)


def test_fail__a_peer_that_is_down_bears_nothing_out_that_was_not_tried(bench: Bench, services: Profile) -> None:
    comparison = check(bench, "archive", profile=services, **everything(1))
    found = finding(comparison, "COMMIT")
    assert found.verdict is Verdict.NOT_MET
    assert found.live[0].startswith("archive could not be asked: ")
    assert found.live[-1] == "Not tried with anybody: that needs --write."
