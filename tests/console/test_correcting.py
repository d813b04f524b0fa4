"""The wrong patient, noticed after the exam had ended: the real forward process, and DCMTK as the archive."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from appliance.base.clock import SystemClock
from appliance.base.errors import ApplianceError
from appliance.base.findings import FindingBoard
from appliance.config.load import load_configuration
from appliance.console.audit import PanelAudit
from appliance.console.closing import Drain
from appliance.console.correcting import Corrections
from appliance.console.exams import ExamKeeper
from appliance.exam.audit import AuditTrail
from appliance.exam.audit_gate import AuditGate
from appliance.exam.exam import Exam, Outcome
from appliance.exam.facts import ExamFacts
from tests.console.fakes import make_item, write_object
from tests.forward.test_service import Box
from tests.peers import Peer, running, start_storescp, wait_until

WRONG, RIGHT = make_item("Wrong^Wilma", "WRONG-1"), make_item("Right^Rita", "RIGHT-2", accession="A-2")


class Site:
    """The console's part of a box without its process, beside the real forward."""

    def __init__(self, box: Box) -> None:
        box.write_configuration()
        self.box = box
        self.facts = ExamFacts(box.spool.exams)
        configuration = load_configuration(box.paths.configuration)
        findings, clock = FindingBoard(), SystemClock()
        audit = PanelAudit(AuditGate(AuditTrail(box.paths.audit, "console", clock), findings))
        self.keeper = ExamKeeper(
            *(box.spool, configuration, clock), drain=self.drain, hint=self.hint, findings=findings, audit=audit
        )
        self.corrections = Corrections(
            *(box.spool, self.facts, configuration.box, clock),
            keeper=self.keeper,
            audit=audit,
            ask_unsent=self.ask_unsent,
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.keeper.run, args=(self._stop, lambda: None))
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self.keeper.wake()
        self._thread.join()

    def drain(self, devices: Sequence[str], _exam_id: str) -> Mapping[str, Drain]:
        return dict.fromkeys(devices, Drain.DRAINED)

    def hint(self) -> None:
        self.box.ask("/hint", "POST")

    def ask_unsent(self, exam_id: str) -> set[str]:
        answer = self.box.ask(f"/queue?exam_id={exam_id}")
        return {
            one["sop_instance_uid"]
            for one in answer["objects"]
            if all(told["is_unsent"] for told in one["destinations"].values())
        }

    def examine(self) -> Exam:
        exam = self.keeper.open(WRONG)
        for device in ("endoscope", "ultrasound"):
            write_object(self.box.spool, exam, device)
        self.keeper.close(exam.exam_id, Outcome.COMPLETED)
        return exam


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "box")
    made.text = made.text.replace("[box]", "[box]\ncorrections = true")
    yield made
    if made.process is not None:
        made.process.stop()


def received(peer: Peer) -> list[Dataset]:
    assert peer.directory is not None
    return [dcmread(path) for path in sorted(peer.directory.iterdir())]


def test_ok__the_archive_gets_a_note_that_rejects_them_and_the_images_anew(box: Box, tmp_path: Path) -> None:
    with running(start_storescp(tmp_path / "archive")) as archive:
        box.add_destination("archive", archive.port, "ARCHIVE", "commitment = false")
        site = Site(box)
        try:
            box.start()
            old = site.examine()
            wait_until(lambda: [*box.states("archive").values()] == ["stored_only"] * 2, "the archive has them")
            wrong = {one.SOPInstanceUID for one in received(archive)}
            site.corrections.correct(old.exam_id, None, [RIGHT], "panel")
            wait_until(
                lambda: [*box.states("archive").values()] == ["stored_only"] * 5, "the note and the images arrived"
            )
        finally:
            site.stop()
        by_patient = {
            name: [one for one in received(archive) if one.PatientID == name] for name in ("WRONG-1", "RIGHT-2")
        }
        assert sorted(one.Modality for one in by_patient["RIGHT-2"]) == ["ES", "US"]
        (note,) = [one for one in by_patient["WRONG-1"] if one.Modality == "KO"]
        assert note.StudyInstanceUID == old.study_instance_uid
        assert note.ConceptNameCodeSequence[0].CodeValue == "113038"
        assert {one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for one in note.ContentSequence} == wrong
        assert archive.directory is not None
        (path,) = [path for path in archive.directory.iterdir() if dcmread(path).Modality == "KO"]
        said = subprocess.run(
            ["/usr/bin/dciodvfy", "-new", str(path)], capture_output=True, text=True, timeout=60, check=False
        )
        assert "KeyObjectSelectionDocument" in said.stdout + said.stderr
        assert "Error" not in said.stdout + said.stderr
        with pytest.raises(ApplianceError, match="None of its images"):
            site.corrections.look(old.exam_id)


def test_ok__what_no_archive_had_yet_is_only_withdrawn(box: Box, tmp_path: Path) -> None:
    archive = start_storescp(tmp_path / "archive")
    box.add_destination("archive", archive.port, "ARCHIVE", "commitment = false")
    site = Site(box)
    try:
        box.start()
        old = site.examine()
        wait_until(lambda: [*box.states("archive").values()] == ["pending"] * 2, "forward knows them")
        assert site.corrections.look(old.exam_id).sent == frozenset()
        new = site.corrections.correct(old.exam_id, None, [RIGHT], "panel")
        withdrawn = {one.sop_instance_uid for one in site.facts.decisions(old.exam_id)}
        wait_until(
            lambda: {uid for uid, state in box.states("archive").items() if state == "released"} == withdrawn,
            "forward obeys",
        )
        wait_until(lambda: site.facts.closed(new.exam_id), "the right exam has ended")
        with running(archive):
            stored = ["released", "released", "stored_only", "stored_only"]
            wait_until(lambda: sorted(box.states("archive").values()) == stored, "the right ones arrived")
            assert {one.PatientID for one in received(archive)} == {"RIGHT-2"}
            assert len(received(archive)) == 2
    finally:
        site.stop()


def test_ok__what_a_process_before_may_have_sent_is_rejected_too(box: Box, tmp_path: Path) -> None:
    archive = start_storescp(tmp_path / "archive")
    box.add_destination("archive", archive.port, "ARCHIVE", "commitment = false")
    site = Site(box)
    try:
        box.start()
        old = site.examine()
        wait_until(lambda: [*box.states("archive").values()] == ["pending"] * 2, "forward knows them")
        wait_until(lambda: not site.corrections.look(old.exam_id).sent, "none was sent by this process")
        assert box.process is not None
        box.process.kill()
        # It may have been killed between the last byte of an image and the archive's answer.
        assert len(site.corrections.look(old.exam_id).sent) == 2
        box.start()
        wait_until(lambda: [*box.states("archive").values()] == ["pending"] * 2, "forward knows them again")
        assert len(site.corrections.look(old.exam_id).sent) == 2
    finally:
        site.stop()
