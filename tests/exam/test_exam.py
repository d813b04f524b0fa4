"""Opening an exam fixes every identifier that it will ever use."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from appliance.base.errors import ApplianceError
from appliance.config.devices import Device, SerialDevice
from appliance.exam.exam import Exam, StudySoFar, open_exam
from appliance.exam.facts import bytes_from, fact_from
from appliance.exam.item import WorklistItem

NOW = datetime(2026, 11, 22, 9, 30, 15, 123456, tzinfo=UTC)
EXAM_ID = "20261122-093015-4af1"


def _device(name: str, modality: str, **more: Any) -> SerialDevice:
    return SerialDevice(name=name, driver="xmodem", line=Path("tty"), modality=modality, **more)


DEVICES: tuple[Device, ...] = (
    _device("ultrasound", "US", series_description="Abdomen", title="Ultrasound"),
    _device("endoscope", "ES", title="Endoscope"),
    _device("doppler", "US"),
)
ITEM = WorklistItem("ris", {"0020000D": {"vr": "UI", "Value": ["1.2.276.0.1"]}})


def _open(item: WorklistItem = ITEM, devices: tuple[Device, ...] = DEVICES, exam_id: str = EXAM_ID) -> Exam:
    return open_exam(item, devices, NOW, exam_id)


def test_ok__a_series_for_each_device_and_a_step_for_each_modality() -> None:
    exam = _open()
    assert [(series.device, series.modality, series.series_number) for series in exam.series] == [
        ("ultrasound", "US", 1),
        ("endoscope", "ES", 2),
        ("doppler", "US", 3),
    ]
    assert [step.modality for step in exam.steps] == ["US", "ES"]
    uids = [series.series_instance_uid for series in exam.series] + [step.sop_instance_uid for step in exam.steps]
    assert len(set(uids)) == 5
    assert exam.series_of("doppler") is exam.series[2]
    assert exam.step_of("ES") is exam.steps[1]


def test_fail__what_was_not_configured_at_the_opening_is_not_part_of_it() -> None:
    with pytest.raises(KeyError, match="x-ray"):
        _open().series_of("x-ray")
    with pytest.raises(KeyError, match="CR"):
        _open().step_of("CR")


def test_ok__a_protocol_always_has_a_name() -> None:
    """Type 1 in the performed series (PS3.3 C.4.15): the description, or the machine's title, or its modality."""
    assert [series.protocol_name for series in _open().series] == ["Abdomen", "Endoscope", "US"]


def test_ok__the_study_is_the_worklists_or_a_new_one() -> None:
    assert _open().study_instance_uid == "1.2.276.0.1"
    without = [_open(WorklistItem("ris", {})).study_instance_uid for _ in range(2)]
    assert without[0] != without[1] and all(uid.startswith("2.25.") for uid in without)


def test_ok__the_start_is_a_whole_second() -> None:
    """The same text in every object and message, whoever writes it."""
    assert _open().opened_at == NOW.replace(microsecond=0)


def test_ok__the_identifiers_of_steps_fit_and_differ() -> None:
    """Two performed steps of one requested procedure must not share an ID (IHE RAD, MESA 231); SH, 16 characters."""
    modalities = ["US", "ES", "OPTBSV", "OPTENF", "OPT", "ULTRASOUND1", "ULTRASOUND2", "XC"]
    devices = tuple(_device(f"d{number}", modality) for number, modality in enumerate(modalities))
    names = ("E000123-20261122-093016", "E000124-20261122-093016", "E000124-20261122-093017")
    steps = [step for name in names for step in _open(devices=devices, exam_id=name).steps]
    identifiers = [step.performed_procedure_step_id for step in steps]
    assert identifiers[0] == "000123-093016-1"
    assert len(set(identifiers)) == len(steps) == 24
    assert all(len(identifier) <= 16 for identifier in identifiers)


def test_ok__an_exam_without_devices_is_an_exam() -> None:
    exam = _open(devices=())
    assert (exam.series, exam.steps) == ((), ())


def test_fail__an_exam_does_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        _open().exam_id = "other"  # type: ignore[misc]


def _entry(study: str, patient: str = "P1", *, issuer: str = "", source: str = "ris", step: str = "S1") -> WorklistItem:
    elements: dict[str, Any] = {
        "00100020": {"vr": "LO", "Value": [patient]},
        "0020000D": {"vr": "UI", "Value": [study]},
        "00400100": {"vr": "SQ", "Value": [{"00400009": {"vr": "SH", "Value": [step]}}]},
    }
    if issuer:
        elements["00100021"] = {"vr": "LO", "Value": [issuer]}
    return WorklistItem(source, elements)


def _open_together(*items: WorklistItem) -> Exam:
    return open_exam(items[0], DEVICES, NOW, EXAM_ID, further_items=items[1:])


def test_ok__a_group_has_the_study_of_the_first_that_was_chosen() -> None:
    first, second = _entry("1.2.1", step="S1"), _entry("1.2.2", step="S2")
    exam = _open_together(second, first, second)
    assert exam.items == (second, first)  # each once, in the order in which they were chosen
    assert exam.study_instance_uid == "1.2.2"
    assert fact_from(bytes_from(exam), Exam, Path("exam.json")) == exam


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (_entry("1.2"), _entry("1.2", "P2", step="S2")),
        (_entry("1.2", ""), _entry("1.2", "", step="S2")),
        (_entry("1.2", issuer="A"), _entry("1.2", issuer="B", step="S2")),
        (_entry("1.2", issuer="A"), _entry("1.2", step="S2")),
        (_entry("1.2", source="one"), _entry("1.2", source="two", step="S2")),
    ],
)
def test_fail__a_group_is_of_one_patient(first: WorklistItem, second: WorklistItem) -> None:
    with pytest.raises(ApplianceError, match="cannot be examined together"):
        _open_together(first, second)


def test_ok__two_sources_that_name_one_issuer_mean_one_patient() -> None:
    exam = _open_together(_entry("1.2", issuer="A", source="one"), _entry("1.3", issuer="A", source="two"))
    assert len(exam.items) == 2


def test_ok__an_exam_goes_on_with_a_study() -> None:
    so_far = StudySoFar("1.2.99", NOW.replace(hour=8, microsecond=0), 7)
    exam = open_exam(ITEM, DEVICES, NOW, EXAM_ID, so_far=so_far)
    assert (exam.study_instance_uid, exam.study_began_at, exam.opened_at.hour) == ("1.2.99", so_far.started_at, 9)
    assert [series.series_number for series in exam.series] == [8, 9, 10]
    assert fact_from(bytes_from(exam), Exam, Path("exam.json")) == exam


@pytest.mark.parametrize("text", ["1.2.x", "none", "1.2 ", "1" * 65])
def test_ok__what_is_no_uid_is_no_study(text: str) -> None:
    assert _open(_entry(text)).study_instance_uid.startswith("2.25.")
