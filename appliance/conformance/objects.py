"""The objects and messages that this configuration makes, attribute by attribute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from appliance.compose.attributes import DOCUMENT, OBJECT
from appliance.compose.charset import CHARACTER_SET
from appliance.compose.document import ENCAPSULATED
from appliance.compose.instance import configured_facts
from appliance.compose.kinds import NOTE_KIND, Form, Kind, kinds_of
from appliance.compose.note import NOTE
from appliance.compose.pixels import PIXEL_DATA
from appliance.compose.rows import Presence, Row, Rows, Source, configured
from appliance.compose.self_test import OF_THE_STEP, self_test_device, self_test_kinds
from appliance.compose.steps import CREATION, FINAL
from appliance.config.devices import Device
from appliance.config.schema import Configuration
from appliance.conformance.attributes import Circumstances, attributes_from
from appliance.conformance.statement import Attribute, Message, ObjectKind

# Conditions of which every object may have one or none: they depend on the exam, the clock and the purpose.
_ALWAYS_PERHAPS = frozenset({"exam", "clock in doubt"})
_STEP_BEGUN = "the performed step was begun"
# What the test's own objects take from [test_patient].
_OF_TEST_PATIENT: Final = {
    "PatientName": "patient_name",
    "PatientID": "patient_id",
    "IssuerOfPatientID": "issuer_of_patient_id",
}
_OF_WORKLISTS = frozenset({"scheduled", "worklist's study", "own study"})
_WITHOUT_WORKLISTS = frozenset({"own study"})


def object_kinds(configuration: Configuration) -> tuple[ObjectKind, ...]:
    """Each kind of object of each device; kinds that agree in every attribute are one, of several devices."""
    merged: dict[str, ObjectKind] = {}
    for device in configuration.devices:
        for kind in kinds_of(device):
            described = ObjectKind(
                form=kind.form,
                sop_class_uid=kind.sop_class_uid,
                transfer_syntax_uid=kind.transfer_syntax_uid,
                attributes=_object_attributes(configuration, device, kind),
            )
            same = merged.setdefault(described.model_dump_json(), described)
            merged[described.model_dump_json()] = same.model_copy(update={"devices": (*same.devices, device.name)})
    notes = (_note_kind(configuration),) if configuration.box.corrections else ()
    return (*merged.values(), *notes)


def kinds_for_test(configuration: Configuration) -> tuple[ObjectKind, ...]:
    """What `appliance test --write` stores under the test patient: no entry of a worklist has a part in it."""
    return tuple(_each_kind_for_test(configuration))


def _each_kind_for_test(configuration: Configuration) -> Iterator[ObjectKind]:
    if configuration.test_patient is None:
        return
    device = self_test_device(configuration)
    told = configuration.performed_step is not None

    def is_of_step(kind: Kind, attribute: Attribute) -> bool:
        return kind != NOTE_KIND and attribute.path[0] in OF_THE_STEP

    for kind in self_test_kinds(configuration):
        circumstances = Circumstances(
            always=kind.conditions | {"exam", "step told", "own study"},
            perhaps=frozenset(),
            configured={**configured_facts(device, configuration.box), **configuration.test_patient.model_dump()},
            sources=frozenset(Source) - {Source.MWL, Source.USER},
        )
        attributes = [
            one.model_copy(update={"presence": Presence.ANAP, "when": _STEP_BEGUN})
            if is_of_step(kind, one) and len(one.path) == 1
            else one
            for one in _attributes(tuple(map(_of_test_patient, _table_of(kind))), circumstances)
            if told or not is_of_step(kind, one)
        ]
        yield ObjectKind(
            form=kind.form,
            sop_class_uid=kind.sop_class_uid,
            transfer_syntax_uid=kind.transfer_syntax_uid,
            devices=(device.name,),
            attributes=tuple(attributes),
        )


def _note_kind(configuration: Configuration) -> ObjectKind:
    box = configuration.box
    circumstances = Circumstances(
        always=_always(configuration),
        perhaps=_perhaps(configuration),
        configured={"box_name": box.name, "institution": box.institution, **_unscheduled(configuration)},
        uncertain=_unscheduled(configuration).keys(),
        sources=_sources(configuration),
    )
    return ObjectKind(
        form=NOTE_KIND.form,
        sop_class_uid=NOTE_KIND.sop_class_uid,
        transfer_syntax_uid=NOTE_KIND.transfer_syntax_uid,
        attributes=_attributes(NOTE, circumstances),
    )


def messages_of(configuration: Configuration) -> tuple[Message, ...]:
    """The data sets of a performed step's two messages, where somebody is told them."""
    if configuration.performed_step is None:
        return ()
    circumstances = Circumstances(
        always=frozenset({"exam"}) | _always(configuration),
        perhaps=frozenset({"clock in doubt", "discontinued"}) | _perhaps(configuration),
        configured={
            "box_ae_title": configuration.box.ae_title,
            "box_name": configuration.box.name,
            **_unscheduled(configuration),
        },
        uncertain=_unscheduled(configuration).keys(),
        sources=_sources(configuration),
        lacking=_lacking(configuration),
    )
    return (
        Message(name="N-CREATE", attributes=_attributes(CREATION, circumstances)),
        Message(name="N-SET", attributes=_attributes(FINAL, circumstances)),
    )


def _object_attributes(configuration: Configuration, device: Device, kind: Kind) -> tuple[Attribute, ...]:
    circumstances = Circumstances(
        always=kind.conditions | _always(configuration),
        perhaps=kind.perhaps | _perhaps(configuration),
        configured={**configured_facts(device, configuration.box), **_unscheduled(configuration)},
        # A series that people called nothing is called nothing.
        uncertain={*_unscheduled(configuration), "series_description"},
        sources=_sources(configuration),
        lacking=_lacking(configuration),
    )
    return _attributes(_table_of(kind), circumstances)


def _table_of(kind: Kind) -> Rows:
    if kind.form is Form.NOTE:
        return NOTE
    return (*DOCUMENT, *ENCAPSULATED) if kind.form is Form.DOCUMENT else (*OBJECT, *PIXEL_DATA)


def _of_test_patient(row: Row) -> Row:
    key = _OF_TEST_PATIENT.get(row.keyword)
    return replace(row, origins=(configured(key),)) if key else row


def _attributes(rows: Rows, circumstances: Circumstances) -> tuple[Attribute, ...]:
    return attributes_from((*CHARACTER_SET, *rows), circumstances)


def _always(configuration: Configuration) -> frozenset[str]:
    return frozenset() if configuration.worklist else _WITHOUT_WORKLISTS


def _perhaps(configuration: Configuration) -> frozenset[str]:
    told = {"step told"} if configuration.performed_step else set()
    return _ALWAYS_PERHAPS | told | (_OF_WORKLISTS if configuration.worklist else frozenset())


def _sources(configuration: Configuration) -> frozenset[Source]:
    """Without a worklist there is nobody to take its values from."""
    return frozenset(Source) - (frozenset() if configuration.worklist else {Source.MWL})


def _unscheduled(configuration: Configuration) -> dict[str, str]:
    """What stands in the place of what nobody typed, where nobody scheduled the patient either."""
    given = configuration.unscheduled
    return {"emergency_name": given.emergency_name, "issuer_of_own_ids": given.issuer or configuration.box.ae_title}


def _lacking(configuration: Configuration) -> frozenset[tuple[Source, str]]:
    """Without operators nobody says at the panel who he is."""
    return frozenset() if configuration.operators else frozenset({(Source.USER, "operators_name")})
