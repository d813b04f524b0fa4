"""What the box makes, read by DCMTK, held against the tables worklist → image → performed step (hospital_tables)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom.dsutils import encode

from appliance.compose import rows
from appliance.compose.attributes import DOCUMENT, OBJECT
from appliance.compose.document import document_series_uid_from
from appliance.compose.rows import Origin, Presence, Row, Rows
from appliance.compose.self_test import open_self_test_exam
from appliance.compose.steps import CREATION, FINAL, PERFORMED_SERIES, creation_from, final_from
from appliance.config.schema import Configuration
from appliance.config.schema import TestPatient as Patient
from appliance.exam.exam import Closed, Exam, Instance, Outcome, StudySoFar, open_exam
from appliance.exam.moved import Described, exam_as_described
from appliance.exam.unscheduled import unscheduled_item_from
from appliance.simulator.hospital.step_rules import TABLE, refusal_of_creation, refusal_of_update, step_from_update
from tests.compose.hospital_tables import (
    ALL,
    FIRST,
    ISSUED,
    LINES,
    OTHER_IMAGE_TAGS,
    REQUEST,
    SAME,
    SCHEDULED_STEP,
    SERIES_TYPES,
    ItemLine,
    Line,
)
from tests.compose.world import (
    BOX,
    CLOSED_AT,
    DEVICES,
    EXAM_ID,
    KINDS,
    OPENED_AT,
    SERIAL,
    code,
    full_entry,
    gray_frame,
    item_from_entry,
    local,
    make_document,
    make_still,
    run,
    sparse_entry,
)

Element = dict[str, Any]
Elements = Mapping[str, Element]

PIXEL_DATA = b"\xe0\x7f\x10\x00O"


def entry_with_everything() -> Dataset:
    """Also what is optional and what is shown only."""
    entry = full_entry()
    entry.PatientSexNeutered = "UNALTERED"
    entry.PatientAddress = "Somewhere 1"
    entry.MilitaryRank = "Private"
    entry.EthnicGroup = "Unknown"
    entry.AdditionalPatientHistory = "Nothing"
    entry.Allergies = "Penicillin"
    entry.CurrentPatientLocation = "Ward 4"
    entry.ConfidentialityConstraintOnPatientDataDescription = "VIP"
    entry.PatientState = "Diabetes"
    entry.ServiceEpisodeID = "EP-1"
    return entry


def second_step(entry: Dataset) -> Dataset:
    """Another scheduled procedure step of the same requested procedure (MESA 213, 221)."""
    other = deepcopy(entry)
    step = other.ScheduledProcedureStepSequence[0]
    step.ScheduledProcedureStepID = "SPS-6"
    step.ScheduledProcedureStepDescription = "Kidneys"
    step.ScheduledProtocolCodeSequence = [code("PROT-2", "99HOSP", "Kidney protocol")]
    return other


def second_procedure(entry: Dataset) -> Dataset:
    """A step of another requested procedure of the same patient (MESA 222)."""
    other = second_step(entry)
    other.AccessionNumber = "ACC-4712"
    other.IssuerOfAccessionNumberSequence = [local("RIS-ACC")]
    other.StudyInstanceUID = "1.2.276.0.7230010.3.2.4712"
    other.ReferencedStudySequence[0].ReferencedSOPInstanceUID = "1.2.276.0.7230010.3.9.2"
    other.RequestedProcedureID = "RP-32"
    other.RequestedProcedureDescription = "Ultrasound of the kidneys"
    other.RequestedProcedureCodeSequence = [code("PROC-2", "99HOSP", "Renal sonography")]
    other.PlacerOrderNumberImagingServiceRequest = "PLACER-2"
    return other


@dataclass(frozen=True)
class Case:
    """What was chosen, and the exam that was opened on it."""

    entries: tuple[Dataset, ...]
    exam: Exam
    study_date: str = "20261122"
    study_time: str = "093015"


def case_of(*entries: Dataset, so_far: StudySoFar | None = None, **more: str) -> Case:
    first, *further = (item_from_entry(entry) for entry in entries)
    exam = open_exam(first, DEVICES, OPENED_AT, EXAM_ID, further_items=further, so_far=so_far)
    return Case(entries, exam, **more)


def unscheduled_case() -> Case:
    item = unscheduled_item_from("Núñez^Íñigo", "EMERGENCY-1", "19750801", "M", date(2026, 11, 22))
    return Case((Dataset.from_json(item.elements),), open_exam(item, DEVICES, OPENED_AT, EXAM_ID))


def _number(tag: str) -> int:
    return int(tag.replace(",", ""), 16)


def without(tag: str, *, is_there: bool = False) -> Dataset:
    """The entry without one of its attributes, or with it but empty, as most sources answer a key they do not have."""
    entry = deepcopy(EVERYTHING)
    for dataset in (entry, entry.ScheduledProcedureStepSequence[0]):
        if _number(tag) in dataset:
            dataset[_number(tag)].value = None
            if not is_there:
                del dataset[_number(tag)]
    return entry


EVERYTHING = entry_with_everything()
MAPPED = (*(line for line in LINES if (line.image, line.create) != ("-", "-")), *REQUEST, *SCHEDULED_STEP)
LACKING = sorted({line.source.rpartition(">")[2] for line in MAPPED if line.source})
FIRST_EXAM = StudySoFar("1.2.276.0.7230010.3.2.4711", OPENED_AT - timedelta(hours=1, minutes=1), 3)

CASES: dict[str, Case] = {
    "scheduled, everything": case_of(EVERYTHING),
    "next to nothing": case_of(sparse_entry()),
    "one procedure, two steps": case_of(EVERYTHING, second_step(EVERYTHING)),
    "two procedures": case_of(EVERYTHING, second_procedure(EVERYTHING)),
    "two procedures, the second with codes alone": case_of(without("0032,1064"), second_procedure(EVERYTHING)),
    "appended": case_of(EVERYTHING, so_far=FIRST_EXAM, study_time="082915"),
    "unscheduled": unscheduled_case(),
}
LACKING_CASES: dict[str, Case] = {
    **{f"without {tag}": case_of(without(tag)) for tag in LACKING},
    **{f"{tag} empty": case_of(without(tag, is_there=True)) for tag in LACKING if tag.startswith("0040")},
}

# -- reading, by DCMTK


def _read(path: Path, *options: str) -> Elements:
    done = run("dcm2json", *options, path)
    assert done.returncode == 0, done.stderr
    elements: Elements = json.loads(done.stdout)
    return {f"{tag[:4]},{tag[4:]}": element for tag, element in elements.items()}


def read_message(path: Path, dataset: Dataset) -> Elements:
    """As it goes over the line, in Implicit VR Little Endian."""
    encoded = encode(dataset, True, True)
    assert encoded is not None
    path.write_bytes(encoded)
    return _read(path, "-f", "-ti")


def read_header(path: Path) -> Elements:
    """A file up to its pixels, which DCMTK cannot write as JSON where they are compressed."""
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(PIXEL_DATA)])
    return _read(path)


def item_elements(item: Mapping[str, Element]) -> Elements:
    return {f"{tag[:4]},{tag[4:]}": element for tag, element in item.items()}


# -- judging


def value_at(entry: Elements, source: str) -> list[Any] | None:
    """The values of the worklist's attribute; None when it has none."""
    here = entry
    *outer, tag = source.split(">")
    for one in outer:
        items = here.get(one, {}).get("Value") or []
        if not items:
            return None
        here = item_elements(items[0])
    return here.get(tag, {}).get("Value") or None


def gathered_value(entries: Sequence[Elements], source: str, gather: str) -> list[Any] | None:
    values = [value_at(entry, source) for entry in entries] if source else []
    there = [value for value in values if value]
    if not there or (gather == SAME and (len(there) < len(values) or any(one != there[0] for one in there))):
        return None
    if gather in (FIRST, SAME):
        return there[0]
    assert gather == ALL
    once: list[Any] = []
    for item in (item for value in there for item in value):
        if item not in once:
            once.append(item)
    return once


def judge(cell: str, expected: list[Any] | None, found: Element | None, what: str) -> None:
    if cell == "-":
        assert found is None, f"{what} must not be there"
        return
    how, _, kind = cell.rpartition("/")
    if how.startswith("copy or ") and expected is None:
        expected = [how.removeprefix("copy or ")]
    if how.startswith("copy"):
        if expected is None and kind == "3":
            assert found is None, f"{what} has nothing to say"
            return
        assert expected is not None or kind == "2", f"{what} must have a value"
    assert found is not None, f"{what} is missing"
    value = found.get("Value")
    if how == "gen":
        assert value, f"{what} is empty"
    elif how == "0":
        assert not value, f"{what} is not empty"
    elif how.startswith("="):
        assert value == [how[1:]], what
    else:
        assert (value or None) == expected, what


def judge_items(lines: Sequence[ItemLine], items: Sequence[Any], case: Case, entries: Sequence[Elements]) -> None:
    assert len(items) == len(entries)
    for item, entry in zip(map(item_elements, items), entries, strict=True):
        assert set(item) <= {line.tag for line in lines}
        for line in lines:
            expected = value_at(entry, line.source)
            if line.tag in ISSUED and value_at(entry, ISSUED[line.tag]) is None:
                expected = None
            if line.cell == "copy/1" and expected is None:
                expected = [case.exam.study_instance_uid]
            judge(line.cell, expected, item.get(line.tag), f"item's {line.tag}")


def _expected(line: Line, entries: Sequence[Elements]) -> list[Any] | None:
    by_tag = {one.tag: one for one in LINES}
    number = by_tag.get(ISSUED.get(line.tag, ""))
    if number is not None and gathered_value(entries, number.source, number.gather) is None:
        return None
    return gathered_value(entries, line.source, line.gather)


def closed_of(exam: Exam, outcome: Outcome, reason: str = "", has_document: bool = False) -> Closed:
    series = exam.series_of("ultrasound")
    instances = tuple(
        Instance(
            "1.2.840.10008.5.1.4.1.1.7",
            f"1.2.3.{number}",
            "1.2.840.10008.1.2.1",
            series.series_instance_uid,
            "ultrasound",
            "US",
            f"1.2.3.{number}.dcm",
            1000,
        )
        for number in (1, 2)
    )
    document = replace(
        instances[0],
        sop_class_uid="1.2.840.10008.5.1.4.1.1.104.1",
        sop_instance_uid="1.2.3.4",
        series_instance_uid=document_series_uid_from(series.series_instance_uid),
    )
    instances += (document,) if has_document else ()
    return Closed(CLOSED_AT, outcome, instances, ("archive",), reason)


def given_entries(case: Case) -> list[Elements]:
    return [item_elements(entry.to_json_dict()) for entry in case.entries]


@pytest.mark.parametrize("case", [*CASES.values(), *LACKING_CASES.values()], ids=[*CASES, *LACKING_CASES])
def test_ok__image_and_creation_are_what_the_tables_say(case: Case, tmp_path: Path) -> None:
    entries = given_entries(case)
    judge_image(case, entries, tmp_path)
    judge_creation(case, entries, tmp_path)


def judge_image(case: Case, entries: Sequence[Elements], tmp_path: Path) -> None:
    image = read_header(make_still(tmp_path / "still.dcm", case.exam, SERIAL, gray_frame()).path)
    for line in LINES:
        judge(line.image, _expected(line, entries), image.get(line.tag), f"image's {line.name}")
    assert set(image) <= {line.tag for line in LINES if line.image != "-"} | OTHER_IMAGE_TAGS
    study = value_at(entries[0], "0020,000D") or [case.exam.study_instance_uid]
    assert image["0020,000D"]["Value"] == study
    assert (image["0008,0020"]["Value"], image["0008,0030"]["Value"]) == ([case.study_date], [case.study_time])
    step = case.exam.step_of("US")
    assert image["0040,0253"]["Value"] == [step.performed_procedure_step_id]
    (reference,) = map(item_elements, image["0008,1111"]["Value"])
    assert reference["0008,1150"]["Value"] == ["1.2.840.10008.3.1.2.3.3"]
    assert reference["0008,1155"]["Value"] == [step.sop_instance_uid]
    has_request = any(value_at(entry, line.source) for entry in entries for line in REQUEST)
    if case.exam.is_scheduled and has_request:
        judge_items(REQUEST, image["0040,0275"]["Value"], case, entries)
    else:
        assert "0040,0275" not in image


def judge_creation(case: Case, entries: Sequence[Elements], tmp_path: Path) -> None:
    step = case.exam.step_of("US")
    dataset = creation_from(case.exam, step, BOX)
    assert refusal_of_creation(dataset) is None
    creation = read_message(tmp_path / "creation", dataset)
    for line in LINES:
        judge(line.create, _expected(line, entries), creation.get(line.tag), f"N-CREATE's {line.name}")
    assert set(creation) <= {line.tag for line in LINES if line.create != "-"} | {"0008,0005", "0040,0270"}
    assert creation["0040,0253"]["Value"] == [step.performed_procedure_step_id]
    judge_items(SCHEDULED_STEP, creation["0040,0270"]["Value"], case, entries)


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_ok__the_end_is_what_the_tables_say(case: Case, outcome: Outcome, tmp_path: Path) -> None:
    entries = given_entries(case)
    step = case.exam.step_of("US")
    creation = creation_from(case.exam, step, BOX)
    reason = "110505" if outcome is Outcome.DISCONTINUED else ""
    dataset = final_from(case.exam, step, closed_of(case.exam, outcome, reason))
    assert refusal_of_update(creation, dataset) is None
    assert step_from_update(creation, dataset).PerformedProcedureStepStatus == outcome
    final = read_message(tmp_path / "final", dataset)
    created = read_message(tmp_path / "creation", creation)
    assert set(final) - {"0008,0005"} <= {line.tag for line in LINES if line.is_settable}
    assert set(final) - {"0008,0005"} <= set(created)  # only what was created may be set
    assert final["0040,0252"]["Value"] == [str(outcome)]
    assert (final["0040,0250"]["Value"], final["0040,0251"]["Value"]) == (["20261122"], ["095503"])
    if outcome is Outcome.DISCONTINUED:
        (given,) = map(item_elements, final["0040,0281"]["Value"])
        assert [given[tag]["Value"] for tag in ("0008,0100", "0008,0102", "0008,0104")] == [
            ["110505"],
            ["DCM"],
            ["Patient refused to continue procedure"],
        ]
    else:
        assert "0040,0281" not in final
    (series,) = map(item_elements, final["0040,0340"]["Value"])
    assert set(series) == set(SERIES_TYPES)
    assert all(series[tag].get("Value") for tag, kind in SERIES_TYPES.items() if kind == 1)
    assert series["0020,000E"]["Value"] == [case.exam.series_of("ultrasound").series_instance_uid]
    assert series["0008,1050"].get("Value") == gathered_value(entries, "0040,0100>0040,0006", SAME)
    references = [item_elements(item) for item in series["0008,1140"]["Value"]]
    assert [one["0008,1155"]["Value"] for one in references] == [["1.2.3.1"], ["1.2.3.2"]]


# -- the cases by themselves, in plain words


def _image_of(name: str, directory: Path) -> Elements:
    return read_header(make_still(directory / "still.dcm", CASES[name].exam, SERIAL, gray_frame()).path)


def test_ok__one_procedure_in_two_steps(tmp_path: Path) -> None:
    """MESA 213, 221: what the steps share is said once, each step has an item."""
    image = _image_of("one procedure, two steps", tmp_path)
    values = {tag: image[tag].get("Value") for tag in ("0008,0050", "0020,0010", "0008,1030", "0020,000D")}
    assert values == {
        "0008,0050": ["ACC-4711"],
        "0020,0010": ["RP-31"],
        "0008,1030": ["Ultrasound of the abdomen"],
        "0020,000D": ["1.2.276.0.7230010.3.2.4711"],
    }
    steps = [item_elements(item)["0040,0009"]["Value"] for item in image["0040,0275"]["Value"]]
    assert steps == [["SPS-5"], ["SPS-6"]]
    assert len(image["0040,0260"]["Value"]) == 2


def test_ok__two_procedures(tmp_path: Path) -> None:
    """MESA 222, PS3.17 J.4.1: the study is the first one's, what differs is empty, and both requests are named."""
    image = _image_of("two procedures", tmp_path)
    assert image["0020,000D"]["Value"] == ["1.2.276.0.7230010.3.2.4711"]
    assert [image[tag].get("Value") for tag in ("0008,0050", "0020,0010")] == [None, None]
    assert "0008,1030" not in image and "0008,0051" not in image
    requests = [item_elements(item) for item in image["0040,0275"]["Value"]]
    assert [one["0008,0050"]["Value"] for one in requests] == [["ACC-4711"], ["ACC-4712"]]
    assert [one["0020,000D"]["Value"][0][-4:] for one in requests] == ["4711", "4712"]
    assert len(image["0008,1110"]["Value"]) == len(image["0008,1032"]["Value"]) == 2


def test_ok__an_unscheduled_patient(tmp_path: Path) -> None:
    """MESA 201: who it is, and nothing about an order that nobody gave."""
    exam = CASES["unscheduled"].exam
    image = _image_of("unscheduled", tmp_path)
    creation = read_message(tmp_path / "creation", creation_from(exam, exam.step_of("US"), BOX))
    for read in (image, creation):
        assert read["0010,0010"]["Value"] == [{"Alphabetic": "Núñez^Íñigo"}]
        assert read["0010,0020"]["Value"] == ["EMERGENCY-1"]
    # DCMTK writes JSON in UTF-8 and says so; the term itself is looked for in the bytes.
    assert b"ISO_IR 192" in (tmp_path / "creation").read_bytes()
    assert b"ISO_IR 192" in (tmp_path / "still.dcm").read_bytes()
    assert image["0020,000D"]["Value"][0].startswith("2.25.")
    (item,) = map(item_elements, creation["0040,0270"]["Value"])
    assert item["0020,000D"]["Value"] == image["0020,000D"]["Value"]
    empty = ("0008,0050", "0040,1001", "0032,1060", "0040,0009", "0040,0007", "0008,1110", "0040,0008")
    assert all(tag in item and not item[tag].get("Value") for tag in empty)


def test_ok__an_appended_exam_shares_its_study_and_nothing_else(tmp_path: Path) -> None:
    """MESA 231."""
    first, second = CASES["scheduled, everything"].exam, CASES["appended"].exam
    assert second.study_instance_uid == first.study_instance_uid
    assert not {one.series_instance_uid for one in first.series} & {one.series_instance_uid for one in second.series}
    assert [one.series_number for one in second.series] == [4, 5, 6]
    assert not {one.sop_instance_uid for one in first.steps} & {one.sop_instance_uid for one in second.steps}
    image = _image_of("appended", tmp_path)
    assert (image["0008,0030"]["Value"], image["0040,0245"]["Value"]) == (["082915"], ["093015"])


# -- the tables themselves


def test_ok__the_simulated_manager_keeps_the_same_table() -> None:
    lines = {line.tag: line for line in LINES}
    compared = 0
    for one in TABLE:
        tag = f"{one.tag.group:04X},{one.tag.element:04X}"
        line = lines.get(tag)
        if line is None or line.create == "-":
            continue
        compared += 1
        assert one.is_settable is line.is_settable, tag
        # Created empty by this box, although it need not be there at all.
        assert one.creation == (3 if tag == "0040,0281" else int(line.create[-1])), tag
    assert compared >= 23
    types = {f"{one.tag.group:04X},{one.tag.element:04X}": one.creation for rule in TABLE for one in rule.items}
    for item_line in SCHEDULED_STEP:
        if not item_line.cell.endswith("3"):
            assert types[item_line.tag] == int(item_line.cell[-1]), item_line.tag
    assert {tag: types[tag] for tag in SERIES_TYPES} == SERIES_TYPES


def _every_row(table: Rows) -> Iterator[Row]:
    for row in table:
        yield row
        yield from _every_row(row.item)


def test_ok__everything_that_is_set_was_created() -> None:
    assert {row.keyword for row in FINAL} <= {row.keyword for row in CREATION}


def test_ok__each_row_and_each_source_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that none of these exams executes would be a promise that nobody has seen kept."""
    used_rows: set[int] = set()
    used_origins: set[int] = set()
    value_of, look_up = rows._value_of, rows._look_up

    def note_row(row: Row, facts: rows.Facts) -> Any:
        value = value_of(row, facts)
        if row.presence is Presence.EMPTY or not rows._is_absent(value):
            used_rows.add(id(row))
        return value

    def note_origin(origin: Origin, facts: rows.Facts) -> Any:
        value = look_up(origin, facts)
        if not rows._is_absent(value):
            used_origins.add(id(origin))
        return value

    monkeypatch.setattr(rows, "_value_of", note_row)
    monkeypatch.setattr(rows, "_look_up", note_origin)
    exams = [CASES[name].exam for name in ("scheduled, everything", "unscheduled", "next to nothing")]
    called = [Described(one.device, "Antrum", CLOSED_AT, "panel") for one in exams[0].series]
    exams.append(exam_as_described(exams[0], called))
    for exam in (*(replace(one, operators_name="Op^One", is_clock_trusted=False) for one in exams), None):
        for number, make in enumerate(KINDS.values()):
            make(tmp_path / f"{number}.dcm", exam)
        make_document(tmp_path / "document.dcm", exam)
        if exam is not None:
            step = exam.step_of("US")
            creation_from(exam, step, BOX)
            final_from(exam, step, closed_of(exam, Outcome.DISCONTINUED, has_document=True))
    patient = Patient(patient_id="TEST-1", issuer_of_patient_id="HOSPITAL")
    self_test = open_self_test_exam(Configuration(), patient, CLOSED_AT)
    list(self_test.write_objects(tmp_path, has_step=True))
    self_test.creation()
    every = list(_every_row((*OBJECT, *DOCUMENT, *CREATION, *FINAL, *PERFORMED_SERIES)))
    assert [row.keyword for row in every if id(row) not in used_rows] == []
    assert [(row.keyword, origin) for row in every for origin in row.origins if id(origin) not in used_origins] == []


def test_ok__a_document_is_told_in_a_series_of_its_own_and_not_among_images() -> None:
    exam = CASES["scheduled, everything"].exam
    final = final_from(exam, exam.step_of("US"), closed_of(exam, Outcome.COMPLETED, has_document=True))
    images, documents = final.PerformedSeriesSequence
    assert [len(images.ReferencedImageSequence), len(documents.ReferencedNonImageCompositeSOPInstanceSequence)] == [
        2,
        1,
    ]
    assert not images.ReferencedNonImageCompositeSOPInstanceSequence and not documents.ReferencedImageSequence
    assert images.SeriesInstanceUID == exam.series_of("ultrasound").series_instance_uid != documents.SeriesInstanceUID
