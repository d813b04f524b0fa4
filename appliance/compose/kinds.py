"""What each configured device makes: the kinds of object, before any exists.

`compose.instance` decides about a frame that is there; this says the same of a configuration, for what is decided
before: which presentation contexts to propose, and what the conformance statement says. A test composes an object of
each kind and holds it against this.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from pydicom.uid import (
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    KeyObjectSelectionDocumentStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from appliance.config.devices import Device, FilmDevice, GrabberDevice, PrinterDevice, SerialDevice, TextDevice

_STILL, _CLIP = str(SecondaryCaptureImageStorage), str(MultiFrameTrueColorSecondaryCaptureImageStorage)
_GRAY_CLIP = str(MultiFrameGrayscaleByteSecondaryCaptureImageStorage)
_PDF = str(EncapsulatedPDFStorage)
_WORD = str(MultiFrameGrayscaleWordSecondaryCaptureImageStorage)
_JPEG, _NATIVE = str(JPEGBaseline8Bit), str(ExplicitVRLittleEndian)
_JPEG_LS = str(JPEGLSLossless)
_GRAYS: Final = frozenset({"GREY", "Y10", "Y12", "Y16"})


class Form(StrEnum):
    """What an object holds."""

    STILL = "still"
    CLIP = "clip"
    PAGE = "page"
    FILM = "film"
    DOCUMENT = "document"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object of one device.

    `conditions` of the attribute table (compose.attributes) hold in every object of the kind; those of `perhaps` in
    some. What depends on the exam or on the clock (exam, scheduled, …) stands in neither: it may be so in every kind.
    """

    form: Form
    sop_class_uid: str
    transfer_syntax_uid: str
    conditions: frozenset[str]
    perhaps: frozenset[str] = frozenset()


NOTE_KIND: Final = Kind(Form.NOTE, str(KeyObjectSelectionDocumentStorage), _NATIVE, frozenset())
"""What rejects images that went to a wrong patient, where the site enabled corrections; of no device."""


def kinds_of(device: Device) -> tuple[Kind, ...]:
    """What `device` may make."""
    match device:
        case SerialDevice():
            return (_still(conditions={"digital"}, perhaps={"color", "lossy"}),)
        case PrinterDevice():
            return (Kind(Form.PAGE, _STILL, _NATIVE, frozenset({"still", "digital"}), frozenset({"printed"})),)
        case TextDevice():
            page = Kind(Form.PAGE, _STILL, _NATIVE, frozenset({"still", "digital", "printed"}))
            return (page, Kind(Form.DOCUMENT, _PDF, _NATIVE, frozenset({"document"}))) if device.pdf else (page,)
        case GrabberDevice():
            return tuple(replace(kind, conditions=kind.conditions | {"video"}) for kind in _grabber_kinds(device))
        case FilmDevice():
            has_density = bool(device.density_steps)
            sop_class = film_class_of(device.depth, film_photometric_of(device), has_density=has_density)
            # What does not become smaller by compression is not compressed.
            syntaxes = (_JPEG_LS, _NATIVE) if device.compression == "jpeg-ls" else (_NATIVE,)
            conditions = film_conditions_of(sop_class, has_density=has_density)
            return tuple(Kind(Form.FILM, sop_class, syntax, conditions) for syntax in syntaxes)


def film_photometric_of(device: FilmDevice) -> str:
    """What the highest of the values that are shown is: of densities (behind the Modality LUT) it is black."""
    return "MONOCHROME1" if device.density_steps else device.photometric


def film_class_of(bits_stored: int, photometric: str, *, has_density: bool) -> str:
    """A multi-frame class of one frame where that can hold the film: it must say where the pixels lie on the film.

    The multi-frame grayscale classes have MONOCHROME2 alone, and a Modality LUT that changes nothing (PS3.3 A.8.3.4,
    A.8.4.4, C.8.6.3); what is otherwise is a Secondary Capture Image (A.8.1), which may have both modules.
    """
    if photometric != "MONOCHROME2" or has_density:
        return _STILL
    return _GRAY_CLIP if bits_stored == 8 else _WORD


def film_conditions_of(sop_class_uid: str, *, has_density: bool) -> frozenset[str]:
    """What holds of a film of this class."""
    kind = {"film", "still"} if sop_class_uid == _STILL else {"film", "film frame", "gray frames"}
    return frozenset(kind | ({"density"} if has_density else set()))


def storable_kinds(devices: Iterable[Device], *, has_notes: bool) -> tuple[tuple[str, str], ...]:
    """SOP class and transfer syntax of everything that `devices` make, each once; with `has_notes` rejection notes."""
    kinds = [kind for device in devices for kind in kinds_of(device)] + [NOTE_KIND] * has_notes
    return tuple(dict.fromkeys((kind.sop_class_uid, kind.transfer_syntax_uid) for kind in kinds))


def _still(syntax: str = _NATIVE, conditions: Iterable[str] = (), perhaps: Iterable[str] = ()) -> Kind:
    return Kind(Form.STILL, _STILL, syntax, frozenset({"still", *conditions}), frozenset(perhaps))


def _grabber_kinds(device: GrabberDevice) -> tuple[Kind, ...]:
    """JPEG from a socket; from a video node what its formats make. Gray clips count where no colours are configured."""
    formats = set(device.formats) if device.is_video_node else {"MJPEG"}
    kinds = []
    if "MJPEG" in formats:
        kinds.append(_still(_JPEG, {"lossy"}, {"color"}))
        kinds.append(Kind(Form.CLIP, _CLIP, _JPEG, frozenset({"clip", "lossy", "color"})))
    native = formats - {"MJPEG"}
    colors = native - _GRAYS
    if native:
        kinds.append(_still(_NATIVE, {"color"} if native == colors else (), {"color"} if colors != native else ()))
    if colors:
        kinds.append(Kind(Form.CLIP, _CLIP, _NATIVE, frozenset({"clip", "color"})))
    elif native:
        gray = frozenset({"clip", "gray frames"})
        kinds += [Kind(Form.CLIP, _GRAY_CLIP, _NATIVE, gray)] if "GREY" in native else []
        kinds += [Kind(Form.CLIP, _WORD, _NATIVE, gray)] if native - {"GREY"} else []
    return tuple(kinds)
