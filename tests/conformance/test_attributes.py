"""What the attribute tables mean under a configuration, held against objects that were composed under it."""

from __future__ import annotations

import pytest

from appliance.compose.attributes import ALTERNATIVES, CONDITIONS, OBJECT
from appliance.compose.rows import Presence, Row, Rows, Source, configured, device, fixed, generated, mwl, user
from appliance.compose.steps import CREATION, FINAL
from appliance.conformance.attributes import Circumstances, attributes_from
from appliance.conformance.statement import Attribute

ALWAYS, VNAP, ANAP, EMPTY = Presence.ALWAYS, Presence.VNAP, Presence.ANAP, Presence.EMPTY


def read(rows: Rows, **given: object) -> tuple[Attribute, ...]:
    values: dict[str, object] = {
        "always": frozenset(),
        "perhaps": frozenset(),
        "configured": {},
        "sources": frozenset(Source),
    }
    return attributes_from(rows, Circumstances(**{**values, **given}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("row", "given", "expected"),
    [
        # What always has a value has it, from its one source.
        (Row("StudyDate", "2", ALWAYS, (generated("study_date"),)), {}, (ALWAYS, [Source.GENERATED], "study date")),
        (Row("ImageType", "3", ALWAYS, (fixed(("A", "B")),)), {}, (ALWAYS, [Source.FIXED], "A\\B")),
        # A type 2 attribute of two sources: the worklist and a person.
        (
            Row("PatientID", "2", VNAP, (mwl("PatientID"), user("patient_id"))),
            {},
            (VNAP, [Source.MWL, Source.USER], "PatientID; patient id"),
        ),
        # Without a worklist the person alone gives it.
        (
            Row("PatientID", "2", VNAP, (mwl("PatientID"), user("patient_id"))),
            {"sources": frozenset(Source) - {Source.MWL}},
            (VNAP, [Source.USER], "patient id"),
        ),
        # What is configured is certain, and its value is known.
        (
            Row("InstitutionName", "3", ANAP, (mwl("InstitutionName"), configured("institution"))),
            {"configured": {"institution": "Clinic"}},
            (ALWAYS, [Source.MWL, Source.CONFIGURATION], "InstitutionName; Clinic"),
        ),
        # What is configured as nothing gives nothing.
        (
            Row("InstitutionName", "3", ANAP, (mwl("InstitutionName"), configured("institution"))),
            {"configured": {"institution": ""}},
            (ANAP, [Source.MWL], "InstitutionName"),
        ),
        (Row("Manufacturer", "2", VNAP, (configured("m"),)), {"configured": {"m": ""}}, (EMPTY, [], "")),
        (
            Row("Manufacturer", "2", VNAP, (configured("m"),)),
            {"configured": {"m": "Acme"}},
            (ALWAYS, ["CONFIGURATION"], "Acme"),
        ),
        (Row("Laterality", "2C", EMPTY), {}, (EMPTY, [], "")),
        # A condition that always holds changes nothing, one that may hold makes it ANAP.
        (
            Row("FrameTime", "1C", ALWAYS, (device("frame_time"),), when="clip"),
            {"always": frozenset({"clip"})},
            (ALWAYS, [Source.DEVICE], "frame time"),
        ),
        (
            Row("PlanarConfiguration", "1C", ALWAYS, (fixed(0),), when="color"),
            {"perhaps": frozenset({"color"})},
            (ANAP, [Source.FIXED], "0"),
        ),
        (Row("IssuerOfPatientID", "3", ANAP, (user("i"),), beside="PatientID"), {}, (ANAP, [Source.USER], "i")),
    ],
)
def test_ok__one_row(row: Row, given: dict[str, object], expected: tuple[object, ...]) -> None:
    (one,) = read((row,), **given)
    assert (one.presence, list(one.sources), one.value) == expected


@pytest.mark.parametrize(
    ("row", "given"),
    [
        (Row("FrameTime", "1C", ALWAYS, (device("frame_time"),), when="clip"), {}),
        (Row("StationName", "3", ANAP, (configured("s"),)), {"configured": {"s": ""}}),
        (Row("StudyDescription", "3", ANAP, (mwl("X"),)), {"sources": frozenset({Source.USER})}),
        (
            Row("RequestAttributesSequence", "3", ANAP, item=(Row("StudyID", "3", ANAP, (mwl("X"),)),)),
            {"sources": frozenset({Source.USER})},
        ),
    ],
)
def test_ok__what_is_never_there_is_not_stated(row: Row, given: dict[str, object]) -> None:
    assert read((row,), **given) == ()


def test_ok__alternatives_together_are_always_there() -> None:
    rows = tuple(row for row in OBJECT if row.keyword == "StudyInstanceUID")
    whole, half = ALTERNATIVES[0], frozenset({"own study"})
    (one,) = read(rows, perhaps=whole)
    assert (one.presence, one.when, set(one.sources)) == (ALWAYS, "", {Source.MWL, Source.GENERATED})
    (one,) = read(rows, perhaps=half)
    assert (one.presence, one.when) == (ANAP, CONDITIONS["own study"])


def test_ok__two_rows_of_one_attribute_are_one() -> None:
    rows = tuple(row for row in OBJECT if row.keyword == "ImageComments")
    (one,) = read(rows, perhaps=frozenset({"printed", "clock in doubt"}))
    assert one.presence is ANAP
    assert one.when == f"{CONDITIONS['clock in doubt']}; {CONDITIONS['printed']}"
    assert set(one.sources) == {Source.FIXED, Source.DEVICE}


def test_ok__every_condition_of_the_tables_has_words() -> None:
    def conditions_of(rows: Rows) -> set[str]:
        return {row.when for row in rows if row.when} | {
            when for row in rows for when in conditions_of((*row.item, *row.holds))
        }

    assert conditions_of((*OBJECT, *CREATION, *FINAL)) <= CONDITIONS.keys()
