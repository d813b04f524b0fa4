"""What a worklist is asked: the identifier of a broad and of a patient query (IHE RAD-5, PS3.4 K.6), from what a person
typed or scanned."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import Any

from pydicom import Dataset
from pynetdicom.dsutils import encode

from appliance.base.errors import ApplianceError
from appliance.config.schema import WorklistSource
from appliance.dimse.identifier import elements_from

_MOST_QUERIES = 9
_UTF_8 = "ISO_IR 192"

# The return keys (PS3.4 Table K.6-1), empty: universal matching. (0008,0005) is asked for because some sources name
# their character set only to those who ask.
RETURN_KEYS = (
    "SpecificCharacterSet",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    "RequestedProcedureCodeSequence",
    "RequestedProcedurePriority",
    "RequestedProcedureComments",
    "ReasonForTheRequestedProcedure",
    "ReasonForRequestedProcedureCodeSequence",
    "StudyInstanceUID",
    "ReferencedStudySequence",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "RequestingPhysician",
    "RequestingPhysicianIdentificationSequence",
    "RequestingService",
    "RequestingServiceCodeSequence",
    "ReferringPhysicianName",
    "ReferringPhysicianIdentificationSequence",
    "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
    "OrderPlacerIdentifierSequence",
    "OrderFillerIdentifierSequence",
    "InstitutionName",
    "AdmissionID",
    "IssuerOfAdmissionIDSequence",
    "RouteOfAdmissions",
    "CurrentPatientLocation",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "OtherPatientIDsSequence",
    "PatientBirthDate",
    "PatientSex",
    "PatientSexNeutered",
    "PatientSize",
    "PatientWeight",
    "PregnancyStatus",
    "MedicalAlerts",
    "Allergies",
    "PatientState",
    "ConfidentialityConstraintOnPatientDataDescription",
)
STEP_RETURN_KEYS = (
    "ScheduledStationAETitle",
    "ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepStartTime",
    "Modality",
    "ScheduledPerformingPhysicianName",
    "ScheduledProcedureStepDescription",
    "ScheduledProtocolCodeSequence",
    "ScheduledProcedureStepID",
    "ScheduledStationName",
    "ScheduledProcedureStepLocation",
    "PreMedication",
    "ScheduledProcedureStepStatus",
)

# The longest value of each key (PS3.5 6.2: PN, for each component group, and LO have 64 characters, SH has 16).
_LONGEST = {"patient_name": 64, "patient_id": 64, "accession_number": 16, "requested_procedure_id": 16}
_WORDS = {
    "patient_name": "The name",
    "patient_id": "The patient ID",
    "accession_number": "The accession number",
    "requested_procedure_id": "The requested procedure",
    "barcode": "The barcode",
    "text": "What was typed",
}
MATCHING_KEYWORDS = {
    "patient_name": "PatientName",
    "patient_id": "PatientID",
    "accession_number": "AccessionNumber",
    "requested_procedure_id": "RequestedProcedureID",
}
IDENTIFIERS = ("accession_number", "requested_procedure_id", "patient_id")
"""What a barcode may be."""
# Hiragana, katakana, Han, Hangul: names that stand behind an alphabetic one (PS3.5 6.2.1.2).
_IDEOGRAPHIC = re.compile(r"[\u1100-\u11ff\u3005-\u30ff\u3130-\u318f\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_PHONETIC = re.compile(r"\A[\u3040-\u30ff\s^*?=]+\Z")


class BadQueryError(ApplianceError):
    """What was typed cannot be asked for."""


@dataclass(frozen=True, slots=True)
class PatientQuery:
    """The matching keys of a patient query, as they go over the wire; what is empty matches everything.

    Raises BadQueryError when nothing is asked, or something that no value of the key could match.
    """

    patient_name: str = ""
    patient_id: str = ""
    accession_number: str = ""
    requested_procedure_id: str = ""

    def __post_init__(self) -> None:
        if not any(getattr(self, one.name) for one in fields(self)):
            raise BadQueryError("Nothing was asked for.", "Give a name, a patient ID, an accession or a procedure.")
        for name, longest in _LONGEST.items():
            value: str = getattr(self, name)
            _check_characters(value, name)
            if any(len(group) > longest for group in (value.split("=") if name == "patient_name" else (value,))):
                raise BadQueryError(f"{_WORDS[name]} has more than {longest} characters.", "Ask for less of it.")


def _check_characters(text: str, name: str) -> None:
    if any(unicodedata.category(letter) in {"Cc", "Cs", "Cn", "Co", "Zl", "Zp"} or letter == "\\" for letter in text):
        raise BadQueryError(f"{_WORDS[name]} has a character that no such value has.", "Type it again without it.")


def patient_queries_from(asked: Mapping[str, Any]) -> tuple[PatientQuery, ...]:
    """The queries that together answer what a person asked; their answers are merged.

    `asked` has the fields of PatientQuery, the name as a person types it; or `barcode`, which may be any of the three
    identifiers; or `text`, which is a name unless it has a digit. BadQueryError for anything else.
    """
    texts = {name: _text_of(asked, name) for name in _WORDS}
    barcode, text = texts.pop("barcode"), texts.pop("text")
    given = [one for one in (barcode, text, any(texts.values())) if one]
    if len(given) > 1:
        raise BadQueryError("A barcode stands alone.", "Ask for it, or for what was typed.")
    if barcode:
        return _identifier_queries(_scanned_text(barcode))
    if text and any(letter.isdigit() for letter in text):
        _check_characters(text, "text")
        return _identifier_queries(text)
    names = name_patterns_from(texts["patient_name"] or text) or ("",)
    return tuple(PatientQuery(**(texts | {"patient_name": name})) for name in names)


def _text_of(asked: Mapping[str, Any], name: str) -> str:
    value = asked.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadQueryError(f"{_WORDS[name]} must be a text.")
    return unicodedata.normalize("NFC", value).strip()


def _scanned_text(barcode: str) -> str:
    """A barcode's text without what scanners put around it: control characters, and the asterisks of Code 39."""
    text = re.sub(r"\A[\x00-\x20*]+|[\x00-\x20*]+\Z", "", barcode)
    _check_characters(text, "barcode")
    if not text or "*" in text or "?" in text:
        raise BadQueryError("This barcode is no patient's or examination's.", "Scan the one on the request.")
    return text


def _identifier_queries(text: str) -> tuple[PatientQuery, ...]:
    """One query for each identifier that `text` may be; which of them it is, only the hospital knows."""
    found = tuple(PatientQuery(**{name: text}) for name in IDENTIFIERS if len(text) <= _LONGEST[name])
    if not found:
        raise BadQueryError("This is too long for any identifier.", "Type or scan it again.")
    return found


def name_patterns_from(typed: str) -> tuple[str, ...]:
    """PN matching keys (PS3.4 C.2.2.2.4) for a name as a person types it: `mül anna`, `Müller, Anna`, `MULLER^ANNA`.

    Words begin a component each. Where a family name ends is not typed, so each way of dividing the words is a key:
    `de groot jan` may be `de^groot jan`. Whether case counts is the source's to say, so that what is typed in small
    letters is asked for in capitals too. Characters that stand in the second or third group are looked for there too.
    """
    if not typed:
        return ()
    written = [typed, typed.title(), typed.upper()] if typed.islower() else [typed]
    most = _MOST_QUERIES // max(2, len(written))
    keys = [key for name in written for key in _divided(name)[:most]]
    if _IDEOGRAPHIC.search(typed) and "=" not in typed:
        group = "*=*=" if _PHONETIC.match(typed) else "*="
        keys += [group + key for key in keys]
    return tuple(keys)


def _divided(typed: str) -> list[str]:
    if "^" in typed or "=" in typed:
        return [typed if typed.endswith(("*", "?")) else f"{typed}*"]
    if "," in typed:
        family, _, given = typed.partition(",")
        key = "^".join(_open_end(" ".join(part.split())) for part in (family, given) if part.strip())
        return [key] if key else []
    words = typed.split()
    keys = [_open_end(" ".join(words))]
    for place in range(len(words) - 1, 0, -1):
        keys.append(f"{_open_end(' '.join(words[:place]))}^{_open_end(' '.join(words[place:]))}")
    return keys


def _open_end(words: str) -> str:
    return words if words.endswith("*") else f"{words}*"


def patient_query_from(query: PatientQuery, source: WorklistSource) -> Dataset:
    """The identifier of a patient query (IHE RAD-5): its keys alone, no date, modality or station, all return keys.

    Text beyond ASCII goes in the source's own character set if that has every character, else in UTF-8.
    """
    identifier = _universal_query()
    for name, keyword in MATCHING_KEYWORDS.items():
        setattr(identifier, keyword, getattr(query, name))
    if not all(getattr(query, name).isascii() for name in MATCHING_KEYWORDS):
        identifier.SpecificCharacterSet = (
            source.character_set.split("\\") if _fits(query, source.character_set) else [_UTF_8]
        )
    return identifier


def _fits(query: PatientQuery, character_set: str) -> bool:
    """True when what is written in `character_set` reads back as it was: what does not fit is written as `?`."""
    probe = Dataset()
    probe.SpecificCharacterSet = character_set.split("\\")
    probe.PatientName = query.patient_name
    probe.PatientComments = "\n".join(getattr(query, name) for name in MATCHING_KEYWORDS)
    written = encode(probe, is_implicit_vr=True, is_little_endian=True)
    if written is None:
        return False
    read, findings = elements_from(written, True, "ISO_IR 6")
    names = read["00100010"].get("Value", [{}])[0]
    name = "=".join(names.get(group, "") for group in ("Alphabetic", "Ideographic", "Phonetic")).rstrip("=")
    return not findings and (name, read["00104000"]["Value"]) == (query.patient_name, [probe.PatientComments])


def query_from(source: WorklistSource, day: date, modality: str = "") -> Dataset:
    """The identifier of a broad query (IHE RAD-5): date window, modality and station as configured, all return keys."""
    query = _universal_query()
    step = query.ScheduledProcedureStepSequence[0]
    step.ScheduledStationAETitle = source.scheduled_station_ae_title or ""
    step.ScheduledProcedureStepStartDate = _date_range(
        day - timedelta(days=source.days_back), day + timedelta(days=source.days_ahead)
    )
    step.Modality = modality
    return query


def _universal_query() -> Dataset:
    step = Dataset()
    for keyword in STEP_RETURN_KEYS:
        setattr(step, keyword, None)
    query = Dataset()
    for keyword in RETURN_KEYS:
        setattr(query, keyword, None)
    query.ScheduledProcedureStepSequence = [step]
    return query


def _date_range(first: date, last: date) -> str:
    # PS3.4 C.2.2.2.5: a single value, or first-last with both included.
    return f"{first:%Y%m%d}" if first == last else f"{first:%Y%m%d}-{last:%Y%m%d}"
