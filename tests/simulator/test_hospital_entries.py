"""The schedule itself: believable, valid, and the same after a restart."""

from __future__ import annotations

from collections import Counter
from datetime import date
from io import BytesIO

import pydicom.config
import pytest
from pydicom.dataset import Dataset
from pydicom.valuerep import validate_value
from pynetdicom.dsutils import decode, encode

from appliance.simulator.hospital.entries import SCHEDULE, ScheduledEntry
from appliance.simulator.hospital.uid_names import is_uid
from appliance.simulator.hospital.worklist_items import item_from_entry, items_of_day

DAY = date(2026, 11, 22)


def test_ok__a_dozen_or_more_of_several_modalities_and_scripts() -> None:
    assert len(SCHEDULE) >= 12
    modalities = Counter(entry.modality for entry in SCHEDULE)
    assert modalities["US"] >= 3 and modalities["ES"] >= 3 and modalities["RG"] >= 2
    assert len({entry.character_set for entry in SCHEDULE}) >= 8
    assert len({entry.number for entry in SCHEDULE}) == len(SCHEDULE)
    assert len({entry.patient_id for entry in SCHEDULE}) == len([one for one in SCHEDULE if one.step_of is None])


@pytest.mark.parametrize("entry", SCHEDULE, ids=lambda entry: f"{entry.number}-{entry.modality}")
def test_ok__every_item_is_valid_and_survives_its_character_set(entry: ScheduledEntry) -> None:
    item = item_from_entry(entry, DAY, "BRIDGE")
    encoded = encode(item, False, True)
    assert encoded is not None
    back = decode(BytesIO(encoded), False, True)
    back.decode()
    assert encode(back, False, True) == encoded
    assert str(back.PatientName) == entry.name
    assert back.RequestedProcedureDescription == entry.procedure
    _check_values(back)


def _check_values(dataset: Dataset) -> None:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _check_values(item)
        elif not element.is_empty and element.keyword != "SpecificCharacterSet":
            value = str(element.value) if element.VR in ("PN", "DS") else element.value
            validate_value(str(element.VR), value, pydicom.config.RAISE)


def test_ok__identifiers_are_stable_for_a_day_and_unique() -> None:
    again = items_of_day(DAY, "BRIDGE")
    for keyword in ("StudyInstanceUID", "AccessionNumber", "RequestedProcedureID"):
        values = [item[keyword].value for item in items_of_day(DAY, "BRIDGE")]
        assert values == [item[keyword].value for item in again]
        assert len(set(values)) == len([entry for entry in SCHEDULE if entry.step_of is None])
        tomorrow = [item[keyword].value for item in items_of_day(date(2026, 11, 23), "BRIDGE")]
        assert not set(values) & set(tomorrow)
    assert all(is_uid(item.StudyInstanceUID) for item in again)


def test_ok__two_steps_of_one_requested_procedure() -> None:
    items = {entry.number: item for entry, item in zip(SCHEDULE, items_of_day(DAY, "BRIDGE"), strict=True)}
    (second,) = [entry for entry in SCHEDULE if entry.step_of is not None]
    one, other = items[second.step_of or 0], items[second.number]
    for keyword in ("PatientID", "StudyInstanceUID", "AccessionNumber", "RequestedProcedureID"):
        assert one[keyword].value == other[keyword].value
    steps = [item.ScheduledProcedureStepSequence[0].ScheduledProcedureStepID for item in items.values()]
    assert len(set(steps)) == len(steps)


def test_ok__the_box_is_the_station_where_none_is_named() -> None:
    stations = [item.ScheduledProcedureStepSequence[0].ScheduledStationAETitle for item in items_of_day(DAY, "BOX7")]
    assert stations.count("BOX7") >= 10
    assert "EYE_CLINIC" in stations
