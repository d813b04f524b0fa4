"""What real peers answer to a profile: DCMTK and Orthanc, and the simulated hospital with a service switched off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.cli.conformance_check import PROFILES
from appliance.config.schema import Configuration
from appliance.conformance.comparison import Comparison, Finding, Verdict, compare_box
from appliance.conformance.live import answer_from, wanted_contexts, with_answers
from appliance.conformance.profile import read_profile
from appliance.dimse.association import Context
from tests.forward.test_self_test import BRIDGE, DEVICES, PATIENT, Bench, peer
from tests.peers import running, start_orthanc, start_storescp
from tests.simulator.hospitals import Hospital

PROFILE = read_profile(PROFILES / "prior-1993.toml")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    directory = tmp_path / "run"
    directory.mkdir()
    made = Bench(directory)
    yield made
    made.close()


def check(bench: Bench, name: str, *, may_write: bool = False, seconds: float = 20.0, **sections: Any) -> Comparison:
    """The profile held against a box with these peers, and `name` asked just now."""
    self_test = bench.of(seconds, BRIDGE, **sections)
    configuration = Configuration.model_validate(
        {"listener": {"port": bench.port}, "test_patient": PATIENT, "devices": DEVICES, **sections}
    )
    comparison = compare_box(PROFILE, configuration)
    wanted = [Context(one, (syntax,)) for one, syntax in wanted_contexts(PROFILE, comparison.statement)]
    answer = answer_from(self_test.test(name, may_write, wanted))
    return with_answers(comparison, [answer], is_written=may_write)


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
    assert any("committed the object" in one for one in live)
    assert finding(comparison, "PRIOR-4").verdict is Verdict.NOT_MET, "Orthanc hears of no performed step"


def test_fail__a_peer_that_is_down(bench: Bench) -> None:
    comparison = check(bench, "archive", **everything(1))
    assert comparison.status == 1
    for name in ("PRIOR-1", "PRIOR-2", "PRIOR-3", "PRIOR-4"):
        found = finding(comparison, name)
        assert found.verdict is Verdict.NOT_MET
        assert any(one.startswith("archive could not be asked: ") for one in found.live)
