"""The main job, unattended, from three old machines to an archive that has committed."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from datetime import date
from pathlib import Path

import httpx
import pytest
import tomlkit
from pydicom import dcmread

from appliance.simulator.hospital.worklist_items import items_of_day
from appliance.spool.names import is_intact
from tests.ports import pick_free_port
from tests.services.demo_box import JobResult, get_json, logs_of, prepare_site, run_job, running_demo

SC, TRUE_COLOR, GRAY_WORD = (f"1.2.840.10008.5.1.4.1.1.7{suffix}" for suffix in ("", ".4", ".3"))

# What dciodvfy says of our objects beside errors, and why each stays.
ALLOWED_WARNINGS = {
    "</Laterality(0020,0060)> - is only permitted to be empty when actually unknown": (
        "a paired organ or not: nobody told us, so it is empty (type 2C)"
    ),
    "- Unrecognized defined term = <99HOSPITAL>": "the hospital's own coding scheme, copied from its worklist",
    "RequestingPhysician(0032,1032)> - Attribute is not present in standard DICOM IOD": (
        "copied into the request's item as archives' worklist mappings expect; a standard extension"
    ),
}


@pytest.fixture(scope="module")
def simulator_job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, JobResult]:
    directory = tmp_path_factory.mktemp("simulator") / "demo"
    return directory, run_job(directory, "--deadline", "180")


@pytest.fixture(scope="module")
def job(simulator_job: tuple[Path, JobResult]) -> JobResult:
    return simulator_job[1]


@pytest.fixture(scope="module")
def directory(simulator_job: tuple[Path, JobResult]) -> Path:
    return simulator_job[0]


def test_ok__everything_is_committed_and_every_step_completed(job: JobResult) -> None:
    assert job.status == 0, job.document["missing"]
    assert job.document["complete"] is True
    assert {one["state"] for one in job.objects} == {"committed"}
    kinds = Counter((one["device"], one["sop_class_uid"]) for one in job.objects)
    assert kinds[("endoscope", SC)] >= 2
    assert kinds[("endoscope", TRUE_COLOR)] >= 1
    assert kinds[("ultrasound", SC)] >= 1
    assert kinds[("film", GRAY_WORD)] >= 1
    steps = job.document["performed_steps"]
    assert sorted((step["modality"], step["status"]) for step in steps) == [
        ("ES", "COMPLETED"),
        ("RG", "COMPLETED"),
        ("US", "COMPLETED"),
    ]
    listed = sorted(uid for step in steps for uid in step["instances"])
    assert listed == sorted(one["sop_instance_uid"] for one in job.objects)


def test_ok__the_times_are_in_order(job: JobResult) -> None:
    for one in job.objects:
        assert 0 <= one["seconds_to_saved"] <= one["seconds_to_stored"] <= one["seconds_to_committed"], one


def test_ok__one_patient_in_every_record(job: JobResult) -> None:
    scheduled = {str(item.StudyInstanceUID): item for item in items_of_day(date.today(), "BRIDGE")}
    (study,) = {one["study_instance_uid"] for one in job.objects}
    assert {one["patient_id"] for one in job.objects} == {str(scheduled[study].PatientID)}
    assert {one["accession_number"] for one in job.objects} == {str(scheduled[study].AccessionNumber)}


def test_ok__the_archive_holds_what_the_box_saved_byte_for_byte(job: JobResult, directory: Path) -> None:
    held = {path.stem: path for path in (directory / "hospital" / "objects").glob("*.dcm")}
    assert sorted(held) == sorted(one["sop_instance_uid"] for one in job.objects)
    assert not list((directory / "hospital").glob("conflicts/*"))
    for one in job.objects:
        path = Path(one["path"])
        assert is_intact(path)
        assert dataset_bytes(path) == dataset_bytes(held[one["sop_instance_uid"]])


def dataset_bytes(path: Path) -> bytes:
    """The file without its meta information, which the receiver writes anew (PS3.10 7.1)."""
    data = path.read_bytes()
    length = int.from_bytes(data[140:144], "little")
    return data[144 + length :]


def test_ok__dciodvfy_finds_no_error_and_no_warning_without_reason(job: JobResult) -> None:
    for one in job.objects:
        done = subprocess.run(
            ["/usr/bin/dciodvfy", "-new", one["path"]], capture_output=True, text=True, check=False, timeout=60
        )
        lines = (done.stdout + done.stderr).splitlines()
        assert any("SCImage" in line for line in lines)  # it knew the object's kind, so it judged it
        assert [line for line in lines if line.startswith("Error")] == []
        for line in lines:
            if line.startswith("Warning"):
                assert any(allowed in line for allowed in ALLOWED_WARNINGS), line


def test_ok__dcmtk_and_gdcm_read_every_object(job: JobResult) -> None:
    for one in job.objects:
        dumped = subprocess.run(["/usr/bin/dcmdump", one["path"]], capture_output=True, check=True, timeout=60).stdout
        assert one["sop_instance_uid"].encode() in dumped
        info = subprocess.run(["/usr/bin/gdcminfo", one["path"]], capture_output=True, check=True, timeout=60).stdout
        assert b"MediaStorage" in info


def test_ok__the_clip_plays_for_five_seconds(job: JobResult) -> None:
    (clip, *_) = [one for one in job.objects if one["sop_class_uid"] == TRUE_COLOR]
    header = dcmread(clip["path"], stop_before_pixels=True)
    seconds = int(header.NumberOfFrames) * float(header.FrameTime) / 1000
    assert clip["frames"] == header.NumberOfFrames
    assert 4.0 < seconds < 8.0
    assert (header.Columns, header.Rows) == (1920, 1080)


def test_ok__no_logged_line_holds_patient_data(directory: Path, job: JobResult) -> None:
    logged = logs_of(directory)
    assert job.objects[0]["sop_instance_uid"] in logged  # it is the real log
    assert find_patient_data(logged) == []


def find_patient_data(text: str) -> list[str]:
    """The names, identifiers and accession numbers of today's schedule that `text` holds."""
    found = []
    for item in items_of_day(date.today(), "BRIDGE"):
        words = [str(item.PatientID), str(item.get("AccessionNumber", "") or "")]
        for group in str(item.PatientName).split("="):
            words += [word for word in re.split(r"[\^ ]", group) if len(word) > 3]
        found += [word for word in words if word and word in text]
    return found


def test_fail__the_search_for_patient_data_can_fail() -> None:
    item = items_of_day(date.today(), "BRIDGE")[0]
    assert find_patient_data(f"stored {item.PatientID}") == [str(item.PatientID)]


def test_ok__the_same_job_with_orthanc(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    job = run_job(directory, "--archive", "orthanc", "--deadline", "180")
    assert job.status == 0, job.document["missing"]
    assert {one["state"] for one in job.objects} == {"committed"}
    assert not list((directory / "hospital" / "objects").glob("*.dcm"))  # it was Orthanc that took them
    # Started again, Orthanc's own decoder reads every one of them.
    with running_demo(directory, "--archive", "orthanc") as demo:
        assert demo.panel
        base = f"http://127.0.0.1:{(directory / 'orthanc' / 'http-port').read_text().strip()}"
        tags = {}
        for instance in get_json(f"{base}/instances"):
            tags[get_json(f"{base}/instances/{instance}/simplified-tags")["SOPInstanceUID"]] = instance
        assert sorted(tags) == sorted(one["sop_instance_uid"] for one in job.objects)
        for one in job.objects:
            picture = httpx.get(f"{base}/instances/{tags[one['sop_instance_uid']]}/preview", timeout=60)
            assert picture.status_code == 200, one
            assert picture.content[:8] == b"\x89PNG\r\n\x1a\n"


def test_fail__an_archive_that_is_down(tmp_path: Path) -> None:
    """One sentence at the deadline, everything saved; when the archive is back, all of it gets there."""
    directory = tmp_path / "demo"
    with_dead_archive(directory)
    job = run_job(directory, "--deadline", "40")
    assert job.status == 1
    assert not job.document["complete"]
    (sentence,) = [line for line in job.errors.splitlines() if line.startswith("appliance: ")]
    assert "not committed" in sentence and "saved" in sentence
    assert len(job.objects) >= 5
    for one in job.objects:
        assert one["state"] in ("pending", "storing")
        assert is_intact(Path(one["path"]))

    site = tomlkit.parse((directory / "site.toml").read_text())
    site["destinations"][0]["port"] = site["performed_step"]["port"]  # type: ignore[index]
    (directory / "site.toml").write_text(tomlkit.dumps(site))
    again = run_job(directory, "--deadline", "180")
    assert again.status == 0, again.document["missing"]
    held = {path.stem for path in (directory / "hospital" / "objects").glob("*.dcm")}
    assert {one["sop_instance_uid"] for one in job.objects + again.objects} <= held


def with_dead_archive(directory: Path) -> None:
    """A site as the demo writes it, but with a destination where nobody listens."""
    prepare_site(directory)
    site = tomlkit.parse((directory / "site.toml").read_text())
    site["destinations"][0]["port"] = pick_free_port()  # type: ignore[index]
    site["destinations"][0]["retry_first_seconds"] = 0.5  # type: ignore[index]
    (directory / "site.toml").write_text(tomlkit.dumps(site))
