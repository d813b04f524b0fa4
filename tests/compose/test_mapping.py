"""What the worklist said arrives where IHE's tables want it: in the objects, in N-CREATE and in N-SET.

The expectations are written out by hand from the tables (IHE RAD TF-2 Appendix A, PS3.17 Annex J, PS3.4 F.7.2), not
from the product's own: tag → value, a path of tags for what lies inside a sequence's first item.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.datadict import keyword_dict
from pydicom.multival import MultiValue
from pydicom.uid import ExplicitVRLittleEndian

from appliance.compose.attributes import OBJECT
from appliance.compose.encode import encode_dataset
from appliance.compose.instance import compose_clip, compose_film, compose_still
from appliance.compose.pixels import film_form_from, pixel_form_from
from appliance.compose.rows import Row, Rows, Source
from appliance.compose.steps import CREATION, FINAL, PERFORMED_SERIES, creation_from, final_from
from appliance.config.schema import Box, WorklistSource
from appliance.dimse.worklist import item_from, query_from
from appliance.exam.exam import Closed, Exam, Instance, Outcome, open_exam
from appliance.exam.facts import bytes_from, fact_from
from appliance.exam.item import WorklistItem
from appliance.simulator.hospital.step_rules import refusal_of_creation, refusal_of_update, step_from_update
from tests.compose.world import (
    BOX,
    CLOSED_AT,
    DEVICES,
    EXAM_ID,
    FILM,
    GRABBER,
    OPENED_AT,
    SERIAL,
    UID,
    clip_frames,
    exam_on,
    full_entry,
    gray_frame,
    item_from_entry,
    jpeg_frame,
    named_entry,
    origins_of,
    sparse_entry,
)

Path = tuple[str, ...]

# -- what a worklist entry with everything gives (world.full_entry)

_STUDY_REFERENCE = {("0008,1150",): "1.2.840.10008.3.1.2.3.1", ("0008,1155",): "1.2.276.0.7230010.3.9.1"}

PATIENT_IN_BOTH: dict[Path, Any] = {
    ("0010,0010",): "Müller^Jörg^^Dr.",
    ("0010,0020",): "PAT-0815",
    ("0010,0021",): "KIS",
    ("0010,0024", "0040,0032"): "1.2.276.0.99.1",
    ("0010,0024", "0040,0033"): "ISO",
    ("0010,0030",): "19560708",
    ("0010,0040",): "M",
    ("0038,0010",): "ADM-9",
    ("0038,0014", "0040,0031"): "KIS-ADM",
    ("0020,0010",): "RP-31",  # Study ID = Requested Procedure ID, in the images as in the step
    ("0008,1032", "0008,0100"): "PROC-1",
    ("0008,1032", "0008,0102"): "99HOSP",
    ("0008,1032", "0008,0104"): "Abdominal sonography",
    ("0040,0244",): "20261122",
    ("0040,0245",): "093015",
    ("0040,0254",): "Ultrasound of the abdomen",
    ("0040,0260", "0008,0100"): "PROT-1",
}

OBJECT_OF_EVERYTHING: dict[Path, Any] = {
    **PATIENT_IN_BOTH,
    ("0010,1002", "0010,0020"): "OTHER-77",
    ("0010,1002", "0010,0021"): "ELSEWHERE",
    ("0010,1020",): 1.83,
    ("0010,1030",): 81.5,
    ("0038,0016",): "Emergency room",
    # study
    ("0020,000D",): "1.2.276.0.7230010.3.2.4711",
    ("0008,0020",): "20261122",
    ("0008,0030",): "093015",
    ("0008,0050",): "ACC-4711",
    ("0008,0051", "0040,0031"): "RIS-ACC",
    ("0008,0090",): "Referrer^Renée",
    ("0008,0096", "0040,1101", "0008,0100"): "REF-1",
    ("0008,0096", "0008,0080"): "Praxis Referrer",
    ("0008,1030",): "Ultrasound of the abdomen",
    ("0008,1110", "0008,1150"): "1.2.840.10008.3.1.2.3.1",
    ("0008,1110", "0008,1155"): "1.2.276.0.7230010.3.9.1",
    ("0032,1033",): "Innere Medizin",
    ("0032,1034", "0008,0100"): "SERV-1",
    ("0040,1012", "0008,0100"): "R10.1",
    ("0008,0080",): "Uniklinik",
    # series
    ("0008,0060",): "US",
    ("0008,1050",): "Performer^Paula",
    ("0008,103E",): "Abdominal ultrasound",
    ("0018,1030",): "Abdominal ultrasound",
    ("0008,1111", "0008,1150"): "1.2.840.10008.3.1.2.3.3",
    # the request's item
    ("0040,0275", "0008,0050"): "ACC-4711",
    ("0040,0275", "0008,0051", "0040,0031"): "RIS-ACC",
    ("0040,0275", "0008,1110", "0008,1155"): "1.2.276.0.7230010.3.9.1",
    ("0040,0275", "0020,000D"): "1.2.276.0.7230010.3.2.4711",
    ("0040,0275", "0040,1001"): "RP-31",
    ("0040,0275", "0032,1060"): "Ultrasound of the abdomen",
    ("0040,0275", "0032,1064", "0008,0100"): "PROC-1",
    ("0040,0275", "0040,1002"): "Pain on the right",
    ("0040,0275", "0040,100A", "0008,0104"): "Upper abdominal pain",
    ("0040,0275", "0032,1032"): "Requester^Rudi",
    ("0040,0275", "0032,1031", "0040,1101", "0008,0100"): "REQ-1",
    ("0040,0275", "0032,1033"): "Innere Medizin",
    ("0040,0275", "0032,1034", "0008,0104"): "Internal medicine",
    ("0040,0275", "0040,0009"): "SPS-5",
    ("0040,0275", "0040,0007"): "Liver and spleen",
    ("0040,0275", "0040,0008", "0008,0100"): "PROT-1",
    # the machine, the box, the moment
    ("0008,0070",): "Demo Sonics",
    ("0008,1090",): "SL-1",
    ("0018,1000",): "1987-0042",
    ("0008,1010",): "US1",
    ("0008,0064",): "DI",
    ("0018,1010",): "bridge-3",
    ("0018,1023",): "XMODEM",
    ("0018,1012",): "20261122",
    ("0018,1014",): "094107.250000",
    ("0008,0022",): "20261122",
    ("0008,0032",): "094107.250000",
    ("0008,0023",): "20261122",
    ("0008,0033",): "094107.250000",
    ("0008,0201",): "+0100",
    ("0020,0013",): 7,
    ("0028,0301",): "YES",
    ("0008,0008",): ["ORIGINAL", "PRIMARY"],
    ("0028,2110",): "00",
}

CREATION_OF_EVERYTHING: dict[Path, Any] = {
    **PATIENT_IN_BOTH,
    ("0040,0241",): "BRIDGE3",
    ("0040,0242",): "bridge-3",
    ("0040,0252",): "IN PROGRESS",
    ("0008,0060",): "US",
    ("0040,0270", "0020,000D"): "1.2.276.0.7230010.3.2.4711",
    ("0040,0270", "0008,1110", "0008,1155"): "1.2.276.0.7230010.3.9.1",
    ("0040,0270", "0008,0050"): "ACC-4711",
    ("0040,0270", "0008,0051", "0040,0031"): "RIS-ACC",
    ("0040,0270", "0040,2016"): "PLACER-1",
    ("0040,0270", "0040,2017"): "FILLER-1",
    ("0040,0270", "0040,0026", "0040,0031"): "WARD",
    ("0040,0270", "0040,0027", "0040,0031"): "RIS-FILL",
    ("0040,0270", "0040,1001"): "RP-31",
    ("0040,0270", "0032,1064", "0008,0100"): "PROC-1",
    ("0040,0270", "0032,1060"): "Ultrasound of the abdomen",
    ("0040,0270", "0040,0009"): "SPS-5",
    ("0040,0270", "0040,0007"): "Liver and spleen",
    ("0040,0270", "0040,0008", "0008,0100"): "PROT-1",
}

# Created empty, since N-SET may set only what was created (PS3.4 F.7.2.2).
CREATED_EMPTY = {
    *("0008,1120", "0040,0243", "0040,0250", "0040,0251", "0040,0255", "0040,0281", "0040,0340"),
}
# "Not allowed" at N-SET (PS3.4 Table F.7.2-1).
NOT_IN_SET = {
    *("0040,0270", "0010,0010", "0010,0020", "0010,0030", "0010,0040", "0008,1120", "0040,0253", "0040,0241"),
    *("0040,0242", "0040,0243", "0040,0244", "0040,0245", "0008,0060", "0020,0010", "0038,0010"),
}


def _tag(text: str) -> int:
    return int(text.replace(",", ""), 16)


def _value_at(dataset: Dataset, path: Path) -> Any:
    here = dataset
    for step in path[:-1]:
        assert _tag(step) in here, f"{path}: no {step}"
        items = here[_tag(step)].value
        assert len(items) == 1, path
        here = items[0]
    assert _tag(path[-1]) in here, f"{path} is not there"
    value = here[_tag(path[-1])].value
    return list(value) if isinstance(value, MultiValue) else value


def _assert_values(dataset: Dataset, expected: dict[Path, Any]) -> None:
    found = {path: _value_at(dataset, path) for path in expected}
    assert found == expected


def _still_of(exam: Exam) -> Dataset:
    frame = gray_frame()
    composed = compose_still(origins_of(exam, SERIAL), pixel_form_from(frame), len(frame.data))
    return dcmread(io.BytesIO(composed.header + frame.data + composed.trailer))


def _through_wire(dataset: Dataset) -> Dataset:
    """The data set as a peer reads it."""
    return dcmread(io.BytesIO(encode_dataset(dataset)), force=True)


def _instance(device: str, modality: str, number: int, exam: Exam) -> Instance:
    uid = f"1.2.3.{number}"
    return Instance(
        "1.2.840.10008.5.1.4.1.1.7",
        uid,
        str(ExplicitVRLittleEndian),
        exam.series_of(device).series_instance_uid,
        device,
        modality,
        f"{uid}.dcm",
        1000,
    )


def _closed(exam: Exam, *numbers: int, outcome: Outcome = Outcome.COMPLETED, reason: str = "") -> Closed:
    instances = tuple(_instance("ultrasound", "US", number, exam) for number in numbers)
    return Closed(CLOSED_AT, outcome, instances, ("archive",), reason)


# -- the objects


def test_ok__everything_scheduled_arrives_in_the_object() -> None:
    exam = exam_on(full_entry())
    dataset = _still_of(exam)
    _assert_values(dataset, OBJECT_OF_EVERYTHING)
    assert dataset.SpecificCharacterSet == "ISO_IR 100"
    assert dataset.SeriesInstanceUID == exam.series_of("ultrasound").series_instance_uid
    step = exam.step_of("US")
    assert dataset.PerformedProcedureStepID == step.performed_procedure_step_id
    assert dataset.ReferencedPerformedProcedureStepSequence[0].ReferencedSOPInstanceUID == step.sop_instance_uid
    # Shown on the panel, not copied: PS3.3 has no place for them in a Secondary Capture image.
    assert "PregnancyStatus" not in dataset and "MedicalAlerts" not in dataset


def test_ok__what_is_known_of_the_study_is_the_same_in_every_kind_of_object() -> None:
    exam = exam_on(full_entry())
    clip = compose_clip(origins_of(exam, GRABBER), pixel_form_from(jpeg_frame(clip_frames()[0])), 40.0)
    film = compose_film(origins_of(exam, FILM), film_form_from(4, 4, 16), 150)
    of_the_machine = {("0008,0060",), ("0008,103E",), ("0018,1030",), ("0008,0064",), ("0018,1023",), ("0028,2110",)}
    of_the_machine |= {("0008,0070",), ("0008,1090",), ("0018,1000",), ("0008,1010",)}
    expected = {path: value for path, value in OBJECT_OF_EVERYTHING.items() if path not in of_the_machine}
    for composed, modality in ((clip, "ES"), (film, "RG")):
        dataset = dcmread(io.BytesIO(composed.header), stop_before_pixels=True)
        _assert_values(dataset, expected)
        assert dataset.Modality == modality
        assert dataset.ReferencedPerformedProcedureStepSequence[0].ReferencedSOPInstanceUID == (
            exam.step_of(modality).sop_instance_uid
        )


def test_ok__the_box_says_its_institution_where_the_worklist_does_not() -> None:
    entry = full_entry()
    del entry.InstitutionName
    assert _still_of(exam_on(entry)).InstitutionName == "Klinik am Hügel"


def test_ok__nothing_scheduled_means_nothing_invented() -> None:
    exam = exam_on(sparse_entry())
    dataset = _still_of(exam)
    assert dataset.StudyInstanceUID == exam.study_instance_uid
    for keyword in ("AccessionNumber", "ReferringPhysicianName", "StudyID", "PatientBirthDate", "PatientSex"):
        assert keyword in dataset and not dataset[keyword].value  # type 2: there, and empty
    for keyword in ("StudyDescription", "ProcedureCodeSequence", "RequestAttributesSequence", "PatientWeight"):
        assert keyword not in dataset


def test_ok__codes_without_a_value_are_no_codes() -> None:
    """Some sources send every key of an item that they do not have: an empty code is an error to every reader."""
    entry = full_entry()
    empty = Dataset()
    empty.CodeValue = empty.CodingSchemeDesignator = empty.CodeMeaning = ""
    entry.RequestedProcedureCodeSequence = [empty]
    entry.ReferencedStudySequence = [Dataset()]
    entry.ScheduledProcedureStepSequence[0].ScheduledProtocolCodeSequence[0].CodingSchemeVersion = ""
    exam = exam_on(entry)
    dataset = _still_of(exam)
    assert "ProcedureCodeSequence" not in dataset and "ReferencedStudySequence" not in dataset
    assert "CodingSchemeVersion" not in dataset.PerformedProtocolCodeSequence[0]
    assert refusal_of_creation(creation_from(exam, exam.step_of("US"), BOX)) is None


# What a source in explicit VR has sent instead of a text, a number, a sequence.
_WRONG: tuple[dict[str, Any], ...] = (
    {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["X"]}}]},
    {"vr": "LO", "Value": ["x"]},
    {"vr": "LO", "Value": ["x", "y"]},
    {"vr": "UN", "InlineBinary": "AAAA"},
    {"vr": "OB", "InlineBinary": "AAAA"},
    {"vr": "DS", "Value": [70.12345678901234]},
    {"vr": "FD", "Value": [1.5]},
    {"vr": "US", "Value": [7]},
    {"vr": "PN", "Value": [{"Alphabetic": "a"}, {"Alphabetic": "b"}]},
    {"vr": "AT", "Value": ["00100010"]},
)


def _origins(rows: Rows) -> Iterator[Path]:
    for row in rows:
        yield from (origin.key for origin in row.origins if origin.source is Source.MWL)
        yield from _origins(row.item)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("path", sorted({*_origins(OBJECT), *_origins(CREATION), *_origins(PERFORMED_SERIES)}))
def test_fail__no_value_of_a_worklist_costs_a_frame(path: Path) -> None:
    """Whatever stands under a key: if the entry could be read at all, its frames become objects and its step begins."""
    for wrong in _WRONG:
        elements: dict[str, Any] = {f"{int(keyword_dict[path[-1]]):08X}": wrong}
        for keyword in reversed(path[:-1]):
            elements = {f"{int(keyword_dict[keyword]):08X}": {"vr": "SQ", "Value": [elements]}}
        try:
            received = encode_dataset(Dataset.from_json(elements))
        except (TypeError, ValueError, AttributeError, OSError):
            continue  # pydicom itself cannot write such a data set
        _capture_on(received)


_LONG_LENGTH = ("SQ", "UN", "OB", "UT")
_FOREIGN = ("RequestedProcedureComments", "PregnancyStatus", "PixelSpacing", "FrameIncrementPointer", "StudyDate")
_TAGS = sorted({path[-1] for path in {*_origins(OBJECT), *_origins(CREATION)}} | set(_FOREIGN))


@st.composite
def _elements(draw: st.DrawFn) -> bytes:
    """A data set in explicit VR whose keys are right and whose VRs and values are anything."""
    written = b""
    for keyword in sorted(draw(st.sets(st.sampled_from(_TAGS), max_size=6)), key=lambda one: int(keyword_dict[one])):
        tag = int(keyword_dict[keyword])
        vr = draw(st.sampled_from(["AE", "AT", "CS", "DA", "DS", "FD", "IS", "LO", "PN", "SH", "TM", "UI", "US", "UT"]))
        vr = draw(st.sampled_from([vr, vr, vr, "UN", "OB", "SQ"]))
        value = draw(st.binary(max_size=12) | st.text("0123456789.-^=\\ aé", max_size=12).map(str.encode))
        value += b" " * (len(value) % 2)
        length = struct.pack("<HL", 0, len(value)) if vr in _LONG_LENGTH else struct.pack("<H", len(value))
        written += struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode() + length + value
    return written


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=60)
@given(_elements())
def test_fail__no_bytes_of_a_worklist_cost_a_frame(received: bytes) -> None:
    _capture_on(received)


def _capture_on(received: bytes) -> None:
    """An entry that could be read at all is shown; whoever opens it must get objects and a step."""
    source = WorklistSource(name="ris", ae_title="RIS", host="localhost", port=104)
    item = item_from(received, ExplicitVRLittleEndian, source)
    if item is None:
        return
    exam = open_exam(item, DEVICES, OPENED_AT, EXAM_ID)
    exam = fact_from(bytes_from(exam), Exam, FilePath("exam.json"))
    dataset = _still_of(exam)
    str(dataset)  # every element can be read back
    encode_dataset(creation_from(exam, exam.step_of("US"), BOX))
    encode_dataset(final_from(exam, exam.step_of("US"), _closed(exam, 1)))


def _keywords(rows: tuple[Row, ...]) -> Iterator[str]:
    for row in rows:
        yield row.keyword
        yield from _keywords(row.item)


def test_ok__every_keyword_is_the_dictionarys() -> None:
    tables = (OBJECT, CREATION, FINAL, PERFORMED_SERIES)
    named = {keyword for rows in tables for keyword in _keywords(rows)}
    named |= {keyword for rows in tables for path in _origins(rows) for keyword in path}
    assert named <= set(keyword_dict)


def test_ok__whatever_is_copied_is_asked_for() -> None:
    """A key that the query does not name is not answered (PS3.4 C.2.2.1): its row would never have a value."""
    query = query_from(WorklistSource(name="ris", ae_title="RIS", host="h", port=104), OPENED_AT.date())
    for path in {*_origins(OBJECT), *_origins(CREATION), *_origins(PERFORMED_SERIES)}:
        here = query
        for keyword in path[:-1]:
            here = here[keyword].value[0]
        assert path[-1] in here, path


# -- the performed step


def test_ok__everything_scheduled_arrives_in_the_step() -> None:
    exam = exam_on(full_entry())
    step = exam.step_of("US")
    creation = _through_wire(creation_from(exam, step, BOX))
    _assert_values(creation, CREATION_OF_EVERYTHING)
    assert creation.SpecificCharacterSet == "ISO_IR 100"
    assert creation.PerformedProcedureStepID == step.performed_procedure_step_id
    assert all(_tag(tag) in creation and not creation[_tag(tag)].value for tag in CREATED_EMPTY)
    assert "InstitutionName" not in creation


@pytest.mark.parametrize("entry", [full_entry(), sparse_entry(), named_entry("ISO_IR 192", "Yamada^Tarou=山田^太郎")])
@pytest.mark.parametrize(
    ("outcome", "reason", "objects"),
    [
        (Outcome.COMPLETED, "", (1, 2)),
        (Outcome.DISCONTINUED, "", (1,)),
        (Outcome.DISCONTINUED, "wrong entry", (1, 2)),
        (Outcome.DISCONTINUED, "wrong entry", ()),
        (Outcome.COMPLETED, "", ()),
    ],
)
def test_ok__a_strict_manager_takes_the_whole_step(
    entry: Dataset, outcome: Outcome, reason: str, objects: tuple[int, ...]
) -> None:
    exam = exam_on(entry)
    step = exam.step_of("US")
    creation = _through_wire(creation_from(exam, step, BOX))
    assert refusal_of_creation(creation) is None
    final = _through_wire(final_from(exam, step, _closed(exam, *objects, outcome=outcome, reason=reason)))
    assert refusal_of_update(creation, final) is None
    kept = step_from_update(creation, final)
    assert kept.PerformedProcedureStepStatus == outcome
    assert kept.PatientID == entry.PatientID
    (series,) = kept.PerformedSeriesSequence
    assert series.SeriesInstanceUID == exam.series_of("ultrasound").series_instance_uid
    assert series.ProtocolName == "Abdominal ultrasound"
    assert [one.ReferencedSOPInstanceUID for one in series.ReferencedImageSequence] == [f"1.2.3.{n}" for n in objects]
    codes = kept.PerformedProcedureStepDiscontinuationReasonCodeSequence
    if outcome is Outcome.DISCONTINUED:
        (given,) = codes
        expected = (
            ("110514", "Incorrect worklist entry selected")
            if reason
            else (
                "110513",
                "Discontinued for unspecified reason",
            )
        )
        assert (given.CodeValue, given.CodeMeaning, given.CodingSchemeDesignator) == (*expected, "DCM")
    else:
        assert not codes


def test_ok__the_end_says_what_only_the_end_knows_and_nothing_else() -> None:
    exam = exam_on(full_entry())
    final = final_from(exam, exam.step_of("US"), _closed(exam, 1))
    assert not [tag for tag in NOT_IN_SET if _tag(tag) in final]
    _assert_values(
        final,
        {
            ("0040,0252",): "COMPLETED",
            ("0040,0250",): "20261122",
            ("0040,0251",): "095503",
            ("0040,0340", "0008,1050"): "Performer^Paula",
            ("0040,0340", "0018,1030"): "Abdominal ultrasound",
            ("0040,0340", "0008,103E"): "Abdominal ultrasound",
            ("0040,0340", "0008,1140", "0008,1150"): "1.2.840.10008.5.1.4.1.1.7",
            ("0040,0340", "0008,1140", "0008,1155"): "1.2.3.1",
        },
    )
    series = final.PerformedSeriesSequence[0]
    for keyword in ("RetrieveAETitle", "OperatorsName", "ReferencedNonImageCompositeSOPInstanceSequence"):
        assert keyword in series and not series[keyword].value


def test_ok__each_modality_has_a_step_of_its_own_with_its_own_series() -> None:
    second = SERIAL.model_copy(update={"name": "doppler", "series_description": ""})
    exam = exam_on(full_entry(), (*DEVICES, second))
    assert [step.modality for step in exam.steps] == ["US", "ES", "RG"]
    assert len({step.performed_procedure_step_id for step in exam.steps}) == 3
    instances = (
        _instance("ultrasound", "US", 1, exam),
        _instance("endoscope", "ES", 2, exam),
        _instance("doppler", "US", 3, exam),
        _instance("ultrasound", "US", 4, exam),
    )
    closed = Closed(CLOSED_AT, Outcome.COMPLETED, instances, ("archive",))
    listed = {
        step.modality: {
            str(series.SeriesInstanceUID): [str(one.ReferencedSOPInstanceUID) for one in series.ReferencedImageSequence]
            for series in final_from(exam, step, closed).PerformedSeriesSequence
        }
        for step in exam.steps
    }
    uid = {series.device: series.series_instance_uid for series in exam.series}
    assert listed == {
        "US": {uid["ultrasound"]: ["1.2.3.1", "1.2.3.4"], uid["doppler"]: ["1.2.3.3"]},
        "ES": {uid["endoscope"]: ["1.2.3.2"]},
        "RG": {uid["film"]: []},  # a final state needs a series item, also with nothing in it
    }


def test_ok__the_longest_name_of_a_box_is_a_station_name() -> None:
    """Performed Station Name (0040,0242) is SH, 16 characters: a longer one would be refused for ever."""
    exam = exam_on(full_entry())
    box = Box(name="b" + "-" * 14 + "3", ae_title="A" * 16)
    assert refusal_of_creation(creation_from(exam, exam.step_of("US"), box)) is None


def test_ok__a_reason_that_this_release_does_not_know_is_unspecified() -> None:
    exam = exam_on(full_entry())
    closed = _closed(exam, outcome=Outcome.DISCONTINUED, reason="of another release")
    final = final_from(exam, exam.step_of("US"), closed)
    assert final.PerformedProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == "110513"


def test_ok__the_exam_keeps_what_was_received() -> None:
    assert isinstance(item_from_entry(full_entry()), WorklistItem)
    assert exam_on(full_entry()).study_instance_uid == "1.2.276.0.7230010.3.2.4711"
    assert UID.startswith("2.25.")
