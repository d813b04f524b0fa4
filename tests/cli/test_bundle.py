"""`appliance support-bundle`: opened with age itself, and searched byte by byte for patients and secrets."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.base.asking import Asker
from appliance.base.errors import ApplianceError
from appliance.base.paths import Paths
from appliance.base.pins import kept_pin_from
from appliance.cli import bundle_contents
from appliance.cli.bundle_writing import check_recipients, encrypt_into
from appliance.cli.main import main
from appliance.cli.scrub import MARK, Scrubber
from appliance.config.devices import GrabberDevice
from appliance.exam.answers import WorklistAnswer, write_answer
from appliance.exam.exam import open_exam
from appliance.exam.facts import ExamFacts
from appliance.exam.unscheduled import unscheduled_item_from
from appliance.spool.tree import Spool
from tests.cli.journals import write_journal
from tests.ssh.door import make_key

_NOW = datetime.now(UTC)
# What must stand nowhere: patients of exams, of the worklist, who works here, and secrets.
_PATIENTS = ("Krásnohorská", "Eliška", "PID-80815", "19470311", "山田", "太郎", "Yamadera", "HX-55123")
_PEOPLE = ("Oberärztin", "TESTPERSON", "TP-90909")
_SECRET = kept_pin_from("4711").rpartition(":")[2]
_CONFIGURATION = f"""
[box]
reserve_bytes = 0
[[operators]]
name = "{_PEOPLE[0]}^Ida"
pin = "{kept_pin_from("4711")}"
[[worklist]]
name = "ris"
ae_title = "RIS"
host = "10.0.0.9"
port = 104
[test_patient]
patient_name = "{_PEOPLE[1]}^One"
patient_id = "{_PEOPLE[2]}"
[[devices]]
name = "analyser"
driver = "xmodem"
modality = "OT"
line = "/dev/null"
transcript_bytes = 1000
"""


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A box with an open exam, a worklist, and processes that name patients where they should not."""
    paths = Paths.below(tmp_path / "box")
    Spool(paths.state).make()
    paths.configuration.parent.mkdir(parents=True, exist_ok=True)
    paths.configuration.write_text(_CONFIGURATION)
    for name, value in paths.environment().items():
        monkeypatch.setenv(name, value)
    device = GrabberDevice(name="endoscope", driver="grabber", modality="ES", source=Path("x"))
    item = unscheduled_item_from("Krásnohorská^Eliška", "PID-80815", "19470311", "F", _NOW.date())
    exam = open_exam(item, (device,), _NOW, f"E000001-{_NOW:%Y%m%d}-090000")
    assert ExamFacts(paths.state / "exams").write(exam.exam_id, "exam", exam)
    other = unscheduled_item_from("Yamadera^Taro=山田^太郎", "HX-55123", "", "M", _NOW.date())
    write_answer(paths.worklist, WorklistAnswer("ris"), [other])
    slip = "Yamadera^Taro (hx-55123) was refused"
    finding = {"code": "x", "subject": "", "sentence": f"{slip}.", "suggestion": "Ask Eliška."}
    told = {"sop_instance_uid": "1.2.3", "exam_id": exam.exam_id, "patient_id": "PID-80815", "accession_number": "A"}
    view = {"exam_id": exam.exam_id, "state": "open", "opened_at": "", "procedure": "for 山田"}
    view |= {"names": ["Krásnohorská^Eliška"], "patient_id": "PID-80815"}
    answers: dict[str, dict[str, Any]] = {
        "/api/status": {"room": {"is_full": False, "sentence": "Room."}, "findings": [finding]},
        "/api/exam": {"exam": view, "devices": [], "captured": []},
        "/api/clock": {"is_trusted": True, "sentence": "Believed.", "suggestion": ""},
        "/status": {"destinations": [], "steps": {"due": 0, "trouble": slip}},
        "/queue": {"objects": [{**told, "destinations": {"archive": {"said": slip}}}], "steps": [], "left_out": 0},
        "/transcript": {"entries": [{"age": 1.0, "direction": "in", "bytes": b"PID-80815".hex()}]},
    }
    monkeypatch.setattr(Asker, "ask", lambda _self, _method, path, *_, **__: answers[path])
    lines = [(_NOW - timedelta(hours=1), "appliance-forward.service", 4, f"a slip: {slip}; Eliška; id PID-80815")]
    journal = write_journal(tmp_path / "journal", lines)
    monkeypatch.setattr(bundle_contents, "journal_lines", lambda wanted: read(wanted, journal))
    return paths


read = bundle_contents.journal_lines


def _bundle(directory: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[bytes, dict[str, bytes]]:
    """The encrypted bytes, and what `age` and `tar` make of them."""
    key = directory / "key"
    public = make_key(key)
    encrypted = directory / "bundle.age"
    with encrypted.open("wb") as file, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", io.TextIOWrapper(file))
        assert main(["support-bundle", "--to", public, *words]) == 0
        sys.stdout.detach()
    opened = subprocess.run(["age", "--decrypt", "-i", key, encrypted], capture_output=True, check=True, timeout=60)
    with tarfile.open(fileobj=io.BytesIO(opened.stdout)) as tar:
        members = {one.name.partition("/")[2]: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]
    whole = gzip.decompress(opened.stdout)
    return encrypted.read_bytes() + whole, members


def test_ok__no_byte_of_it_names_a_patient_or_a_secret(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every_byte, members = _bundle(tmp_path, monkeypatch)
    assert set(members) == {
        *("about.json", "configuration.json", "status.json", "ledger.json", "exams.json", "processes.json"),
        "journal.txt",
    }
    for text in (*_PATIENTS, *_PEOPLE, _SECRET):
        for told in (text, text.casefold(), text.upper(), json.dumps(text).strip('"')):
            assert told.encode() not in every_byte, told
    # And it is all there.
    assert f"a slip: {MARK}^" in members["journal.txt"].decode()
    ledger = json.loads(members["ledger.json"])
    assert ledger["objects"][0]["sop_instance_uid"] == "1.2.3" and "patient_id" not in ledger["objects"][0]
    assert json.loads(members["exams.json"])[0]["state"] == "open"
    assert json.loads(members["configuration.json"])["worklist"][0]["host"] == "10.0.0.9"
    assert json.loads(members["about.json"])["packages"]["pydicom"]


def test_ok__transcripts_only_when_asked_and_on_record(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, members = _bundle(tmp_path, monkeypatch, "--transcripts")
    assert bytes.fromhex(json.loads(members["transcripts/analyser.json"])["entries"][0]["bytes"]) == b"PID-80815"
    assert any(b"in a bundle" in one.read_bytes() for one in (paths.audit / "cli").iterdir())


def test_ok__a_sick_box_gives_one_too(paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> dict[str, Any]:
        raise ApplianceError("The forward process does not answer.")

    monkeypatch.setattr(Asker, "ask", refuse)
    paths.configuration.write_text("[box\n")
    _, members = _bundle(tmp_path, monkeypatch)
    assert "does not answer" in json.loads(members["ledger.json"])["not_read"]
    assert "is not TOML" in json.loads(members["configuration.json"])["not_read"]


@pytest.mark.parametrize(
    "recipient",
    ["", "-r", "age1short", "AGE-SECRET-KEY-1", "ssh-ed25519", "/etc/passwd", "ssh-dss " + "A" * 99, "sk-ssh-ed25519"],
)
def test_fail__whom_age_does_not_know(recipient: str) -> None:
    with pytest.raises(ApplianceError, match="no key for which age"):
        check_recipients([recipient])


def test_fail__age_says_why(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as target, pytest.raises(ApplianceError, match="could not encrypt"):
        encrypt_into(target, ["ssh-ed25519 " + "A" * 68], [], _NOW)


def test_fail__age_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with (tmp_path / "out").open("wb") as target, pytest.raises(ApplianceError, match="not installed"):
        encrypt_into(target, [], [], _NOW)


@given(st.text(max_size=40), st.text(max_size=40))
def test_ok__what_is_known_is_taken_out_wherever_it_stands(before: str, after: str) -> None:
    scrubber = Scrubber(["Müller^Anna-Lena"], ["P4711"])
    cleaned = scrubber.clean(f"{before} MÜLLER/anna ({after}) p4711 {after}")
    for word in ("müller", "anna", "p4711"):
        assert word not in cleaned.casefold() or word in before.casefold() or word in after.casefold()


def test_ok__the_rest_stays() -> None:
    assert Scrubber(["Li^Bo"], ["12"]).clean("Li says 12") == "Li says 12"  # too short to be told from words
    assert Scrubber(["李^波"], []).clean("李 sent") == f"{MARK} sent"
