"""Objects and messages as they are composed, held against what is stated of them: nothing more, nothing less."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, FileDataset, dcmread

from appliance.compose.attributes import IDENTITY
from appliance.compose.chosen import chosen_from
from appliance.compose.kinds import Form
from appliance.compose.note import compose_note
from appliance.compose.rows import Presence, Source
from appliance.compose.self_test import OF_THE_STEP, open_self_test_exam
from appliance.compose.steps import creation_from, final_from
from appliance.config.devices import Device, GrabberDevice, PrinterDevice, TextDevice
from appliance.config.schema import Configuration, Destination, PerformedStepManager, WorklistSource
from appliance.config.schema import TestPatient as Patient
from appliance.conformance.box import statement_of
from appliance.conformance.statement import Attribute, ObjectKind, Statement
from appliance.exam.exam import Closed, Exam, Instance, Outcome, PlannedSeries, open_exam
from appliance.exam.item import WorklistItem
from appliance.exam.moved import Described, exam_as_described
from appliance.exam.unscheduled import emergency_item_from, unscheduled_item_from, with_patient_id
from tests.compose.world import (
    BOX,
    FILM,
    GRABBER,
    OPENED_AT,
    SERIAL,
    STEPS,
    Made,
    clip_frames,
    exam_on,
    full_entry,
    gray16_frame,
    gray_frame,
    jpeg,
    jpeg_frame,
    make_clip,
    make_document,
    make_film,
    make_still,
    rgb_frame,
    run,
    sparse_entry,
)

PRINTER = PrinterDevice(name="bone-density", driver="printer", line=Path("tty"), modality="BMD", language="pcl")
TEXT = TextDevice(name="lensmeter", driver="text", line=Path("tty"), modality="LEN", profile="astm", pdf=True)
COLOUR = GrabberDevice(name="theatre", driver="grabber", source=Path("/dev/video0"), modality="XC", formats=("RGB24",))
DENSE = FILM.model_copy(update={"name": "film-density", "density_steps": STEPS})
DARK = FILM.model_copy(update={"name": "film-dark", "photometric": "MONOCHROME1", "depth": 8})
SMALL = FILM.model_copy(update={"name": "film-small", "compression": "jpeg-ls"})
DEVICES: tuple[Device, ...] = (SERIAL, GRABBER, FILM, PRINTER, TEXT, COLOUR, DENSE, DARK, SMALL)

MADE: dict[str, tuple[Device, Form, Callable[[Path, Exam | None], Made]]] = {
    "serial, colour": (SERIAL, Form.STILL, lambda path, exam: make_still(path, exam, SERIAL, rgb_frame())),
    "serial, was JPEG": (
        SERIAL,
        Form.STILL,
        lambda path, exam: make_still(path, exam, SERIAL, rgb_frame(lossy_bytes=100)),
    ),
    "serial, gray": (SERIAL, Form.STILL, lambda path, exam: make_still(path, exam, SERIAL, gray_frame())),
    "serial, 12 bit": (SERIAL, Form.STILL, lambda path, exam: make_still(path, exam, SERIAL, gray16_frame())),
    "page": (PRINTER, Form.PAGE, lambda path, exam: make_still(path, exam, PRINTER, gray_frame(), "T-score\n-2.1")),
    "page without text": (PRINTER, Form.PAGE, lambda path, exam: make_still(path, exam, PRINTER, gray_frame())),
    "JPEG": (GRABBER, Form.STILL, lambda path, exam: make_still(path, exam, GRABBER, jpeg_frame(jpeg(is_odd=True)))),
    "gray JPEG": (
        GRABBER,
        Form.STILL,
        lambda path, exam: make_still(path, exam, GRABBER, jpeg_frame(jpeg(gray=True, is_odd=True))),
    ),
    "clip": (GRABBER, Form.CLIP, lambda path, exam: make_clip(path, exam, clip_frames())),
    "uncompressed": (COLOUR, Form.STILL, lambda path, exam: make_still(path, exam, COLOUR, rgb_frame())),
    "film": (FILM, Form.FILM, make_film),
    "text": (TEXT, Form.PAGE, lambda path, exam: make_still(path, exam, TEXT, gray_frame(), "SPH -06.50")),
    "document": (TEXT, Form.DOCUMENT, lambda path, exam: make_document(path, exam, device=TEXT)),
    "film in densities": (DENSE, Form.FILM, lambda path, exam: make_film(path, exam, device=DENSE)),
    "film in JPEG-LS": (SMALL, Form.FILM, lambda path, exam: make_film(path, exam, device=SMALL)),
    "film, dark": (DARK, Form.FILM, lambda path, exam: make_film(path, exam, device=DARK)),
}
EXAM_ID = "E000123-20261122-093015"
EXAMS: dict[str, Exam | None] = {
    "everything scheduled": exam_on(full_entry(), DEVICES),
    "next to nothing scheduled": exam_on(sparse_entry(), DEVICES),
    "unassigned": None,
}


@pytest.fixture(scope="module")
def statement() -> Statement:
    return statement_of(
        Configuration(
            box=BOX,
            devices=DEVICES,
            worklist=(WorklistSource(name="ris", ae_title="RIS", host="ris", port=104),),
            performed_step=PerformedStepManager(ae_title="RIS", host="ris", port=104),
            destinations=(Destination(name="archive", ae_title="PACS", host="pacs", port=104),),
        )
    )


def leaves_of(dataset: Dataset, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Each attribute's path, and whether it has a value; those of every item."""
    for element in dataset:
        path = (*above, element.keyword)
        yield path, not element.is_empty
        if element.VR == "SQ":
            for item in element.value:
                yield from leaves_of(item, path)


def check(attributes: tuple[Attribute, ...], dataset: Dataset) -> None:
    stated = {one.path: one for one in attributes}
    assert len(stated) == len(attributes), "an attribute is stated twice"
    # What stands in a sequence that is copied from the worklist is the hospital's.
    copied = {path for path, one in stated.items() if one.vr == "SQ" and Source.MWL in one.sources}
    found: dict[tuple[str, ...], list[bool]] = {}
    for path, has_value in leaves_of(dataset):
        if not any(path[:length] in copied for length in range(1, len(path))):
            found.setdefault(path, []).append(has_value)
    assert found.keys() <= stated.keys(), "something is there that nobody stated"
    for path, one in stated.items():
        if path[:-1] and not any(found.get(path[:-1], [])):
            continue  # there is no item
        values = found.get(path, [])
        match one.presence:
            case Presence.ALWAYS:
                assert values and all(values), path
            case Presence.VNAP:
                assert values, path
            case Presence.EMPTY:
                assert values and not any(values), path
        if one.sources == (Source.FIXED,) and values:
            element = _element_at(dataset, path)
            assert str(element).replace("['", "").replace("', '", "\\").replace("']", "") == one.value, path


def _element_at(dataset: Dataset, path: tuple[str, ...]) -> object:
    here = dataset
    for keyword in path[:-1]:
        here = here[keyword].value[0]
    return here[path[-1]].value


def kind_of(statement: Statement, device: Device, form: Form, made: FileDataset) -> ObjectKind:
    syntax = made.file_meta.TransferSyntaxUID
    (kind,) = (
        one
        for one in statement.objects
        if (one.form, one.sop_class_uid, one.transfer_syntax_uid) == (form, made.SOPClassUID, syntax)
        and device.name in one.devices
    )
    return kind


def instances_of(exam: Exam) -> tuple[Instance, ...]:
    """An object of each series."""
    return tuple(
        Instance("1.2.840.10008.5.1.4.1.1.7", f"1.2.{number}", "", "", one.device, one.modality, "", 1)
        for number, one in enumerate(exam.series)
    )


@pytest.mark.parametrize("exam", EXAMS, ids=str)
@pytest.mark.parametrize("kind", MADE, ids=str)
def test_ok__each_object_is_as_stated(kind: str, exam: str, statement: Statement, tmp_path: Path) -> None:
    device, form, make = MADE[kind]
    made = dcmread(make(tmp_path / "object.dcm", EXAMS[exam]).path)
    check(kind_of(statement, device, form, made).attributes, made)


@pytest.mark.parametrize("said", ["Antrum", ""])
@pytest.mark.parametrize("kind", ["page", "clip", "film", "document"])
def test_ok__what_people_call_a_series_is_as_stated(kind: str, said: str, statement: Statement, tmp_path: Path) -> None:
    """The panel's word goes before the configured one, also where it is that there is none."""
    device, form, make = MADE[kind]
    opened = EXAMS["everything scheduled"]
    assert opened is not None
    exam = exam_as_described(opened, [Described(device.name, said, OPENED_AT, "panel")])
    made = dcmread(make(tmp_path / "object.dcm", exam).path)
    attributes = kind_of(statement, device, form, made).attributes
    check(attributes, made)
    assert made.get("SeriesDescription", "") == said
    (stated,) = [one for one in attributes if one.path == ("SeriesDescription",)]
    assert stated.presence is Presence.ANAP and stated.sources[0] is Source.USER


@pytest.mark.parametrize("kind", ["page", "clip", "film", "document"])
def test_ok__without_a_manager_no_object_refers_to_a_step(kind: str, statement: Statement, tmp_path: Path) -> None:
    """An archive would wait for a step that never comes. When it was done is said all the same."""
    ris = WorklistSource(name="ris", ae_title="RIS", host="ris", port=104)
    alone = statement_of(Configuration(box=BOX, devices=DEVICES, worklist=(ris,)))
    device, form, make = MADE[kind]
    opened = EXAMS["everything scheduled"]
    assert opened is not None
    made = dcmread(make(tmp_path / "object.dcm", replace(opened, has_told_steps=False)).path)
    reference = "ReferencedPerformedProcedureStepSequence"
    assert reference not in made and made.PerformedProcedureStepID and made.PerformedProcedureStepStartDate
    check(kind_of(alone, device, form, made).attributes, made)
    stated = [{one.path[0] for each in of.objects for one in each.attributes} for of in (alone, statement)]
    assert [reference in found for found in stated] == [False, True]


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("exam", ["everything scheduled", "next to nothing scheduled"])
def test_ok__each_message_is_as_stated(exam: str, outcome: Outcome, statement: Statement) -> None:
    opened = EXAMS[exam]
    assert opened is not None
    created, ended = statement.messages
    step = opened.steps[0]
    check(created.attributes, creation_from(opened, step, BOX))
    closed = Closed(
        closed_at=opened.opened_at, outcome=outcome, instances=instances_of(opened), destinations=("archive",)
    )
    check(ended.attributes, final_from(opened, step, closed))


@pytest.mark.parametrize("exam", ["everything scheduled", "next to nothing scheduled"])
def test_ok__a_rejection_note_is_as_stated_where_the_site_enabled_it(exam: str, statement: Statement) -> None:
    opened = EXAMS[exam]
    assert opened is not None
    assert Form.NOTE not in {one.form for one in statement.objects}
    ris = WorklistSource(name="ris", ae_title="RIS", host="127.0.0.1", port=104)
    site = Configuration(box=BOX.model_copy(update={"corrections": True}), devices=DEVICES, worklist=(ris,))
    (kind,) = [one for one in statement_of(site).objects if one.form == Form.NOTE]
    own = replace(opened, series=(PlannedSeries("film", "KO", "1.2.3.9", 103, "Rejection note"),), steps=())
    rejected = [replace(one, series_instance_uid="1.2.5") for one in instances_of(opened)]
    note = dcmread(BytesIO(compose_note(own, BOX, "film", "2.25.7", rejected)))
    assert kind.sop_class_uid == note.SOPClassUID
    check(kind.attributes, note)


@pytest.mark.parametrize("has_step", [True, False])
def test_ok__what_is_stored_under_the_test_patient_is_as_stated(has_step: bool, tmp_path: Path) -> None:
    """An object of each class, valid by itself; images are marked as no examination."""
    gray = GrabberDevice(name="gray", driver="grabber", source=Path("/dev/video0"), modality="US", formats=("GREY",))
    patient = Patient(patient_id="TEST-1", issuer_of_patient_id="HOSPITAL")
    peer = PerformedStepManager(ae_title="RIS", host="ris", port=104) if has_step else None
    box = BOX.model_copy(update={"corrections": True})
    site = Configuration(box=box, devices=(*DEVICES, gray), test_patient=patient, performed_step=peer)
    stated = statement_of(site)
    made = list(open_self_test_exam(site, patient, OPENED_AT).write_objects(tmp_path, has_step=has_step))
    assert {one.sop_class_uid for _, one in made} == {one.sop_class_uid for one in stated.objects}
    assert len(made) == 6
    for path, one in made:
        dataset = dcmread(path)
        judged = run("dciodvfy", "-new", path)
        assert "Error" not in judged.stderr, (one.sop_class_uid, judged.stderr)
        (kind,) = [kind for kind in stated.test_objects if kind.sop_class_uid == one.sop_class_uid]
        check(kind.attributes, dataset)
        # Each is composed of the same facts in every run: what is stated of it is there.
        there = {path for path, _ in leaves_of(dataset)}
        absent = {attribute.path for attribute in kind.attributes} - there - {("SpecificCharacterSet",)}
        assert all(path[0] in OF_THE_STEP for path in absent) and bool(absent) <= (not has_step), absent
        said = {attribute.path: (attribute.sources, attribute.value) for attribute in kind.attributes}
        assert said[("PatientID",)] == ((Source.CONFIGURATION,), patient.patient_id)
        is_image = "PixelData" in dataset
        assert (dataset.get("QualityControlImage") == "YES") == is_image
        assert is_image or "no examination" in dataset.get("DocumentTitle", "") or dataset.Modality == "KO"
        if is_image:
            assert dataset.pixel_array.size


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (
            with_patient_id(unscheduled_item_from("Doe^Jane", "X-1", "", "", OPENED_AT.date()), EXAM_ID, "B", "KLINIK"),
            {"PatientName": Source.USER, "PatientID": Source.USER},
        ),
        (
            with_patient_id(unscheduled_item_from("Doe^Jane", "", "", "", OPENED_AT.date()), EXAM_ID, "B", "KLINIK"),
            {"PatientName": Source.USER, "PatientID": Source.GENERATED, "IssuerOfPatientID": Source.CONFIGURATION},
        ),
        (
            with_patient_id(emergency_item_from("UNKNOWN^EMERGENCY", OPENED_AT.date()), EXAM_ID, "B", "KLINIK"),
            {
                "PatientName": Source.CONFIGURATION,
                "PatientID": Source.GENERATED,
                "IssuerOfPatientID": Source.CONFIGURATION,
            },
        ),
    ],
    ids=["typed", "typed without an ID", "emergency"],
)
def test_ok__who_names_an_unscheduled_patient_is_as_stated(
    item: WorklistItem, expected: dict[str, Source], statement: Statement, tmp_path: Path
) -> None:
    """Each value from the one place that is stated of it, in objects and steps alike."""
    exam = open_exam(item, DEVICES, OPENED_AT, EXAM_ID)
    chosen = chosen_from(exam)
    facts = {Source.USER: chosen.user, Source.CONFIGURATION: chosen.configuration, Source.GENERATED: chosen.generated}
    made = dcmread(make_still(tmp_path / "object.dcm", exam, PRINTER, gray_frame()).path)
    kind = kind_of(statement, PRINTER, Form.PAGE, made)
    check(kind.attributes, made)
    check(statement.messages[0].attributes, creation_from(exam, exam.steps[0], BOX))
    found = {}
    for row in IDENTITY:
        values = {one.source: facts[one.source][one.key] for one in row.origins if one.source in facts}
        given = [source for source, value in values.items() if value]
        if given:
            (found[row.keyword],) = given
            for attributes in (kind.attributes, statement.messages[0].attributes):
                (stated,) = [one for one in attributes if one.path == (row.keyword,)]
                assert set(given) <= set(stated.sources)
    assert found == expected
    assert {keyword for keyword in expected if made.get(keyword)} == expected.keys()
