"""Performed steps over the wire: statuses, error identifiers, and the JSON that is kept."""

from __future__ import annotations

import json

from pydicom.dataset import Dataset

from appliance.base.uids import new_uid
from appliance.simulator.hospital.sop_classes import PERFORMED_STEP
from tests.simulator.datasets import step_creation, step_end
from tests.simulator.hospitals import Hospital


def create(hospital: Hospital, uid: str | None, attributes: Dataset) -> Dataset:
    with hospital.associated(PERFORMED_STEP) as association:
        return association.send_n_create(attributes, PERFORMED_STEP, uid)[0]


def change(hospital: Hospital, uid: str, modifications: Dataset) -> Dataset:
    with hospital.associated(PERFORMED_STEP) as association:
        return association.send_n_set(modifications, PERFORMED_STEP, uid)[0]


def kept(hospital: Hospital, uid: str) -> dict[str, dict[str, list[object]]]:
    return json.loads((hospital.state / "steps" / f"{uid}.json").read_text(encoding="utf-8"))


def test_ok__a_step_from_its_start_to_its_end(hospital: Hospital) -> None:
    uid = new_uid()
    assert create(hospital, uid, step_creation()).Status == 0x0000
    assert kept(hospital, uid)["00400252"]["Value"] == ["IN PROGRESS"]
    end = step_end()
    assert change(hospital, uid, end).Status == 0x0000
    step = Dataset.from_json(kept(hospital, uid))
    assert step.PerformedProcedureStepStatus == "COMPLETED"
    assert step.PerformedSeriesSequence == end.PerformedSeriesSequence
    assert step.PatientID == "HS-102290"


def test_ok__names_in_every_script_are_kept_as_text(hospital: Hospital) -> None:
    uid, step = new_uid(), step_creation()
    step.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    step.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert create(hospital, uid, step).Status == 0x0000
    facts = kept(hospital, uid)
    assert facts["00080005"]["Value"] == ["", "ISO 2022 IR 87"]
    assert facts["00100010"]["Value"] == [
        {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
    ]
    assert change(hospital, uid, step_end()).Status == 0x0000
    assert kept(hospital, uid)["00100010"] == facts["00100010"]


def test_ok__the_provider_chooses_a_uid_when_none_was_given(hospital: Hospital) -> None:
    before = set((hospital.state / "steps").iterdir())
    assert create(hospital, None, step_creation()).Status == 0x0000
    assert len(set((hospital.state / "steps").iterdir()) - before) == 1


def test_fail__duplicate(hospital: Hospital) -> None:
    uid = new_uid()
    assert create(hospital, uid, step_creation()).Status == 0x0000
    assert create(hospital, uid, step_creation()).Status == 0x0111


def test_fail__missing_attribute_and_value(hospital: Hospital) -> None:
    step = step_creation()
    del step.PatientSex
    answer = create(hospital, new_uid(), step)
    assert answer.Status == 0x0120
    assert answer.ErrorComment == "Missing: PatientSex"
    step = step_creation()
    step.PerformedProcedureStepID = ""
    assert create(hospital, new_uid(), step).Status == 0x0121


def test_fail__unknown_instance(hospital: Hospital) -> None:
    assert change(hospital, new_uid(), step_end()).Status == 0x0112


def test_fail__after_a_final_state(hospital: Hospital) -> None:
    uid = new_uid()
    create(hospital, uid, step_creation())
    assert change(hospital, uid, step_end("DISCONTINUED")).Status == 0x0000
    before = kept(hospital, uid)
    answer = change(hospital, uid, step_end())
    assert (answer.Status, answer.ErrorID) == (0x0110, 0xA710)
    assert answer.ErrorComment == "Performed Procedure Step Object may no longer be updated"
    assert kept(hospital, uid) == before


def test_fail__what_an_update_may_not_hold(hospital: Hospital) -> None:
    uid = new_uid()
    create(hospital, uid, step_creation())
    end = step_end()
    end.PatientID = "HS-102290"
    assert change(hospital, uid, end).Status == 0x0105
    assert kept(hospital, uid)["00400252"]["Value"] == ["IN PROGRESS"]


def test_ok__steps_survive_a_kill(start_own_hospital) -> None:
    own = start_own_hospital()
    uid = new_uid()
    assert create(own, uid, step_creation()).Status == 0x0000
    own.kill()
    own.start()
    assert create(own, uid, step_creation()).Status == 0x0111
    assert change(own, uid, step_end()).Status == 0x0000
