"""Exam + frame → the bytes of a Secondary Capture object, in the order in which they go to flash.

A still is composed whole. A clip's header has slots of fixed width for what is known only at its end; a film's header
is known before its first row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydicom import Dataset
from pydicom.uid import (
    UID,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)
from pydicom.valuerep import IS, DSfloat

from appliance.base.errors import ApplianceError
from appliance.base.uids import new_uid
from appliance.base.version import VERSION
from appliance.compose.attributes import CLOCK_IN_DOUBT, OBJECT
from appliance.compose.charset import set_character_set
from appliance.compose.chosen import chosen_from
from appliance.compose.density import DensityTable
from appliance.compose.encode import (
    Slot,
    date_from,
    encode_dataset,
    file_lead_bytes,
    format_frame_time,
    slot_of,
    time_from,
    wide_number,
    zone_from,
)
from appliance.compose.kinds import film_class_of, film_conditions_of
from appliance.compose.pixels import (
    SEQUENCE_DELIMITER,
    UNDEFINED_LENGTH,
    PixelForm,
    format_ratio,
    fragment_header,
    padding,
    pixel_data_header,
)
from appliance.compose.rows import Facts, dataset_from
from appliance.config.devices import Device
from appliance.config.schema import Box
from appliance.exam.exam import Exam

# A value of 32-bit length ends below the undefined length (PS3.5 7.1.1), and most readers at 2 GiB.
MAX_NATIVE_BYTES = 0x7FFFFFFE
# Characters of a Long Text (PS3.5 6.2).
MAX_COMMENTS = 10240


@dataclass(frozen=True, slots=True)
class Origins:
    """Whose object this is and where it comes from. `exam` is None for a frame that nobody chose a patient for.

    `is_clock_trusted` says whether the box believed its own clock at `captured_at`, which is aware. `printed_text` is
    what stands on a page, in lines.
    """

    exam: Exam | None
    device: Device
    box: Box
    sop_instance_uid: str
    captured_at: datetime
    instance_number: int
    video_format: str = ""
    digital_format: str = ""
    printed_text: str = ""
    is_self_test: bool = False
    is_clock_trusted: bool = True


@dataclass(frozen=True, slots=True)
class Composed:
    """A header that ends where the pixels begin, and what follows them."""

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    header: bytes
    trailer: bytes
    slots: Mapping[str, Slot] = field(default_factory=dict)


def compose_still(origins: Origins, form: PixelForm, length: int, lossy_bytes: int = 0) -> Composed:
    """A Secondary Capture Image of `length` bytes of pixel data (a JPEG image's, if `form` is compressed).

    `lossy_bytes` is what the pixels took while they were lossy, where they were decoded from such a form.
    """
    device: dict[str, Any] = {"lossy_ratio": format_ratio(form.frame_bytes, lossy_bytes or length)}
    dataset = _dataset_of(origins, form, SecondaryCaptureImageStorage, {"still"}, device)
    if UID(form.transfer_syntax_uid).is_compressed:
        pixels, trailer = _coded_pixels(length)
    else:
        pixels, trailer = _native_pixels(form, length)
    return _composed(dataset, form, pixels, trailer)


def compose_clip(origins: Origins, form: PixelForm, frame_time_ms: float) -> Composed:
    """A multi-frame object whose frames follow one by one.

    Each of a compressed `form` is one fragment behind `fragment_header`. Native ones lie behind each other, and the
    header's last four bytes are zero until `native_length` is patched in; what follows is at most `padding`. Slots:
    `NumberOfFrames`, `FrameTime` (nominal until patched), and `LossyImageCompressionRatio` where it is lossy.
    """
    sop_class = _CLIPS.get((form.is_native, form.photometric, form.bits_allocated))
    if sop_class is None:
        raise ApplianceError(
            f"The grabber's frames are {form.photometric}, which a clip cannot hold.",
            "Set the grabber to colour JPEG.",
        )
    device = {
        "lossy_ratio": wide_number(DSfloat(1.0), "1.00", 16),
        # As many as are known to be on flash: a native frame cannot be told from a lost one by itself.
        "frames": wide_number(IS(0), "0", 12) if form.is_native else wide_number(IS(1), "1", 12),
        "frame_time": wide_number(DSfloat(frame_time_ms), format_frame_time(frame_time_ms), 16),
    }
    kind = {"clip", "gray frames"} if form.samples == 1 else {"clip"}
    dataset = _dataset_of(origins, form, sop_class, kind, device)
    if form.is_native:
        return _composed(dataset, form, pixel_data_header(form.pixel_vr, 0), b"", ("NumberOfFrames", "FrameTime"))
    pixels = pixel_data_header(b"OB", UNDEFINED_LENGTH)
    slotted = ("NumberOfFrames", "FrameTime", "LossyImageCompressionRatio")
    return _composed(dataset, form, pixels, SEQUENCE_DELIMITER, slotted)


# What holds many frames, by whether they are native, their photometric interpretation and bits (PS3.3 A.8.3 to A.8.5).
_CLIPS = {
    (False, "YBR_FULL_422", 8): MultiFrameTrueColorSecondaryCaptureImageStorage,
    (True, "RGB", 8): MultiFrameTrueColorSecondaryCaptureImageStorage,
    (True, "MONOCHROME2", 8): MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    (True, "MONOCHROME2", 16): MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
}


def compose_film(
    origins: Origins,
    form: PixelForm,
    resolution_dpi: float,
    *,
    density: DensityTable | None = None,
    length: int | None = None,
) -> Composed:
    """A film's object, whose rows (little-endian) follow the header, or the `length` bytes of a compressed `form`.

    With `density` its samples are said to be optical densities.
    """
    spacing = f"{25.4 / resolution_dpi:.6g}"
    sop_class = film_class_of(form.bits_stored, form.photometric, has_density=density is not None)
    kind = set(film_conditions_of(sop_class, has_density=density is not None))
    device: dict[str, Any] = {"scanned_spacing": [spacing, spacing]}
    if density is not None:
        device |= {
            "density_descriptor": [density.entries % 65536, 0, 16],  # 0 stands for 65,536
            "density_data": density.data,
            "window_center": f"{(density.least + density.most) / 2:g}",
            "window_width": str(density.most - density.least + 1),
        }
    dataset = _dataset_of(origins, form, sop_class, kind, device)
    if length is None:
        pixels, trailer = _native_pixels(form, form.frame_bytes)
    else:
        pixels, trailer = _coded_pixels(length)
    return _composed(dataset, form, pixels, trailer)


def _coded_pixels(length: int) -> tuple[bytes, bytes]:
    header = pixel_data_header(b"OB", UNDEFINED_LENGTH) + fragment_header(length + length % 2)
    return header, padding(length) + SEQUENCE_DELIMITER


def _dataset_of(
    origins: Origins, form: PixelForm, sop_class_uid: str, kind: set[str], device: Mapping[str, Any]
) -> Dataset:
    of_pixels = ({"color"} if form.samples > 1 else set()) | ({"lossy"} if form.lossy_method else set())
    pixels = {
        "rows": form.rows,
        "columns": form.columns,
        "samples": form.samples,
        "photometric": form.photometric,
        "bits_allocated": form.bits_allocated,
        "bits_stored": form.bits_stored,
        "high_bit": form.bits_stored - 1,
        "lossy": "01" if form.lossy_method else "00",
        "lossy_method": form.lossy_method,
    }
    facts = facts_from(origins, sop_class_uid, kind | of_pixels, {**pixels, **device})
    dataset = dataset_from(OBJECT, facts)
    set_character_set(dataset, facts.entries)
    return dataset


def facts_from(origins: Origins, sop_class_uid: str, kind: set[str], device: Mapping[str, Any]) -> Facts:
    """What the rows of an object's table look their values up in; `kind` are the conditions that the object fulfils."""
    exam = origins.exam
    chosen = chosen_from(exam)
    purpose = {"self test"} if origins.is_self_test else set()
    is_trusted = origins.is_clock_trusted and (exam is None or exam.is_clock_trusted)
    doubt = set() if is_trusted else {"clock in doubt"}
    told = {"printed": origins.printed_text, "video": origins.video_format, "digital": origins.digital_format}
    configured = _configuration_facts(origins)
    called = configured["series_description"]
    return Facts(
        entries=chosen.entries,
        generated={
            **chosen.generated,
            **generated_from(
                exam,
                origins.device.name,
                origins.device.modality,
                origins.captured_at,
                instance_number=origins.instance_number,
                sop_class_uid=sop_class_uid,
                sop_instance_uid=origins.sop_instance_uid,
            ),
        },
        configuration={**configured, **chosen.configuration},
        device={
            "video_format": origins.video_format,
            "digital_format": origins.digital_format,
            "printed_text": _comments_from(origins.printed_text, has_doubt=not is_trusted),
            **device,
        },
        # People at the panel called the series so, where it is not as its device is configured.
        user={**chosen.user, "series_description": "" if called == origins.device.series_description else called},
        conditions=chosen.conditions | kind | purpose | doubt | {name for name, text in told.items() if text},
    )


def generated_from(
    exam: Exam | None,
    device: str,
    modality: str,
    captured_at: datetime,
    *,
    instance_number: int,
    sop_class_uid: str,
    sop_instance_uid: str,
) -> dict[str, Any]:
    """What the rows' GENERATED origins look up; `captured_at` is aware; no `modality`: it is of no performed step.

    KeyError for a device or a modality that is unknown to the exam.
    """
    # Study Date and Time are the same text in everything of the study, and one object has one offset from UTC: so the
    # offset is that of the study's beginning, also for what is captured after a change of daylight saving.
    zone = zone_from(exam.study_began_at if exam else captured_at)
    captured_at = captured_at.astimezone(zone)
    study_began_at = exam.study_began_at.astimezone(zone) if exam else captured_at
    started_at = exam.opened_at.astimezone(zone) if exam else captured_at
    step = exam.step_of(modality) if exam and modality else None
    return {
        "study_instance_uid": exam.study_instance_uid if exam else new_uid(),
        "series_instance_uid": exam.series_of(device).series_instance_uid if exam else new_uid(),
        "series_number": exam.series_of(device).series_number if exam else 1,
        "performed_step_uid": step.sop_instance_uid if step else "",
        "performed_step_id": step.performed_procedure_step_id if step else "",
        "study_date": date_from(study_began_at),
        "study_time": time_from(study_began_at),
        "started_date": date_from(started_at),
        "started_time": time_from(started_at),
        "captured_date": date_from(captured_at),
        "captured_time": time_from(captured_at),
        "timezone": f"{captured_at:%z}",
        "instance_number": instance_number,
        "sop_class_uid": sop_class_uid,
        "sop_instance_uid": sop_instance_uid,
        "software_version": VERSION,
    }


def _comments_from(printed_text: str, *, has_doubt: bool) -> str:
    """What a page says, behind what the box has to say of its times: both have one attribute."""
    lines = [CLOCK_IN_DOUBT, ""] if has_doubt else []
    return "\r\n".join([*lines, *printed_text.split("\n")])[:MAX_COMMENTS]


def configured_facts(device: Device, box: Box) -> dict[str, Any]:
    """What the rows' CONFIGURATION origins look up, before an exam has frozen any of it."""
    return {
        "modality": device.modality,
        "manufacturer": device.manufacturer,
        "model": device.model,
        "serial_number": device.serial_number,
        "station_name": device.station_name,
        "series_description": device.series_description,
        "protocol_name": device.protocol_name,
        "conversion_type": device.conversion_type,
        "burned_in_annotation": device.burned_in_annotation,
        "institution": box.institution,
        "box_name": box.name,
    }


def _configuration_facts(origins: Origins) -> dict[str, Any]:
    facts = configured_facts(origins.device, origins.box)
    if origins.exam is None:
        return facts
    series = origins.exam.series_of(origins.device.name)
    return facts | {"series_description": series.series_description, "protocol_name": series.protocol_name}


def _native_pixels(form: PixelForm, length: int) -> tuple[bytes, bytes]:
    if length + length % 2 > MAX_NATIVE_BYTES:
        raise ApplianceError(
            f"The picture has {length // 1_000_000} MB without compression; an object holds 2,147 MB.",
            "Lower the resolution.",
        )
    return pixel_data_header(form.pixel_vr, length + length % 2), padding(length)


def _composed(
    dataset: Dataset, form: PixelForm, pixels: bytes, trailer: bytes, slotted: tuple[str, ...] = ()
) -> Composed:
    lead = file_lead_bytes(dataset.SOPClassUID, dataset.SOPInstanceUID, form.transfer_syntax_uid)
    slots = {keyword: slot_of(dataset, keyword, len(lead)) for keyword in slotted}
    header = bytearray(lead + encode_dataset(dataset) + pixels)
    for slot in slots.values():
        header[slot.position : slot.end] = slot.fill(header[slot.position : slot.end].decode("ascii").strip())
    return Composed(
        sop_instance_uid=str(dataset.SOPInstanceUID),
        sop_class_uid=str(dataset.SOPClassUID),
        transfer_syntax_uid=form.transfer_syntax_uid,
        header=bytes(header),
        trailer=trailer,
        slots=slots,
    )
