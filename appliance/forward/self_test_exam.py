"""The exam of the self test: a study of its own for the configured test patient, with one small still.

It is composed as any other, and marked Quality Control Image (0028,0300), so that no reader takes it for an
examination. Nothing of it enters the spool or the journal.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian

from appliance.base.uids import new_uid
from appliance.compose.instance import Origins, compose_still
from appliance.compose.pixels import PixelForm
from appliance.compose.steps import creation_from, final_from
from appliance.config.devices import Device, SerialDevice
from appliance.config.schema import Box, Configuration, TestPatient
from appliance.exam.exam import Closed, Exam, Instance, Outcome, PlannedStep, open_exam
from appliance.exam.item import ISSUER_OF_PATIENT_ID, PATIENT_ID, PATIENT_NAME, WorklistItem
from appliance.exam.reasons import UNSPECIFIED

_EDGE = 128  # pixels
_OF_THE_STEP = (
    "ReferencedPerformedProcedureStepSequence",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "PerformedProcedureStepID",
)


@dataclass(frozen=True, slots=True)
class SelfTestExam:
    """One run's exam; `device` is what the still claims to come from, an image over a serial line."""

    exam: Exam
    device: Device
    box: Box
    began_at: datetime

    @property
    def step(self) -> PlannedStep:
        return self.exam.steps[0]

    def write_object(self, path: Path, *, has_step: bool) -> Instance:
        """Compose the still into `path`; it names the performed step if that was told. OSError."""
        form = PixelForm(ExplicitVRLittleEndian, _EDGE, _EDGE, 1, "MONOCHROME2", 8, 8)
        pixels = bytes((row ^ column) & 0xFF for row in range(_EDGE) for column in range(_EDGE))
        origins = Origins(self.exam, self.device, self.box, new_uid(), self.began_at, 1, is_self_test=True)
        composed = compose_still(origins, form, len(pixels))
        dataset = dcmread(BytesIO(composed.header + pixels + composed.trailer))
        if not has_step:
            for keyword in _OF_THE_STEP:
                del dataset[keyword]
        dataset.save_as(path, enforce_file_format=True)
        return Instance(
            sop_class_uid=composed.sop_class_uid,
            sop_instance_uid=composed.sop_instance_uid,
            transfer_syntax_uid=composed.transfer_syntax_uid,
            series_instance_uid=self.exam.series_of(self.device.name).series_instance_uid,
            device=self.device.name,
            modality=self.device.modality,
            file_name=path.name,
            bytes=path.stat().st_size,
        )

    def creation(self) -> Dataset:
        """The data set of N-CREATE."""
        return creation_from(self.exam, self.step, self.box)

    def end(self, now: datetime, instances: tuple[Instance, ...]) -> Dataset:
        """The data set of N-SET: discontinued, with what was stored."""
        closed = Closed(now, Outcome.DISCONTINUED, instances, (), reason=UNSPECIFIED.code)
        return final_from(self.exam, self.step, closed)


def open_self_test_exam(configuration: Configuration, patient: TestPatient, now: datetime) -> SelfTestExam:
    """A new exam of `patient`, of the first configured device's modality."""
    device = SerialDevice(
        driver="xmodem",
        name="self-test",
        line=Path("self-test"),
        modality=configuration.devices[0].modality if configuration.devices else "OT",
        manufacturer="Modality bridge",
        model="Self test",
        series_description="Test of the connection",
        burned_in_annotation="NO",
    )
    item = WorklistItem(
        "",
        {
            PATIENT_NAME: {"vr": "PN", "Value": [{"Alphabetic": patient.patient_name}]},
            PATIENT_ID: {"vr": "LO", "Value": [patient.patient_id]},
            **(
                {ISSUER_OF_PATIENT_ID: {"vr": "LO", "Value": [patient.issuer_of_patient_id]}}
                if patient.issuer_of_patient_id
                else {}
            ),
        },
    )
    exam = open_exam(item, [device], now, f"test-{now:%Y%m%d-%H%M%S}")
    return SelfTestExam(exam, device, configuration.box, now)
