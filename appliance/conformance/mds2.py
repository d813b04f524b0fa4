"""Answers to the MDS2 form (ANSI/NEMA HN 1-2019) that follow from the configuration and from what the product is.

A question is named by its identifier, with words of our own. What follows from neither is answered "See note", with
the note that whoever places the product on the market fills it in: a machine cannot know it, and does not guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Final

from appliance.config.devices import FilmDevice, GrabberDevice
from appliance.config.schema import Configuration
from appliance.conformance.box import statement_of
from appliance.conformance.document import Document, Paragraph, Section, table
from appliance.conformance.statement import Product, Statement


class Answer(StrEnum):
    """The form's own words."""

    YES = "Yes"
    NO = "No"
    NOT_APPLICABLE = "N/A"
    SEE_NOTE = "See note"


OWNER_FILLS: Final = "Not decided by the software: whoever places the product on the market fills it in."


@dataclass(frozen=True, slots=True)
class Answered:
    """One row of the form. `words` is empty where nothing of the question is known here but its number."""

    id: str
    words: str
    answer: Answer
    note: str


@dataclass(frozen=True, slots=True)
class Form:
    """Every question, in the form's order."""

    product: Product
    rows: tuple[Answered, ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What answers are made of."""

    configuration: Configuration
    statement: Statement

    @property
    def peers(self) -> list[str]:
        return [one.name for one in self.statement.connections if one.role not in ("listener", "audit")]

    @property
    def unencrypted(self) -> list[str]:
        """Connections that name patients and are not encrypted with both sides authenticated."""
        return [
            one.name for one in self.statement.connections if not (one.is_encrypted and one.is_authenticated_mutually)
        ]

    @property
    def devices(self) -> list[str]:
        return [one.name for one in self.configuration.devices]


_Says = Callable[[_Seen], tuple[Answer, str]]


def form_of(configuration: Configuration) -> Form:
    """The form of the box, configured so."""
    seen = _Seen(configuration, statement_of(configuration))
    return Form(seen.statement.product, tuple(_row(identifier, seen) for identifier in identifiers()))


def _row(identifier: str, seen: _Seen) -> Answered:
    known = ANSWERS.get(identifier)
    if known is None:
        return Answered(identifier, "", Answer.SEE_NOTE, OWNER_FILLS)
    words, says = known
    return Answered(identifier, words, *says(seen))


def _always(answer: Answer, note: str) -> _Says:
    return lambda _seen: (answer, note)


def _if(is_so: bool, so: str, otherwise: str) -> tuple[Answer, str]:
    return (Answer.YES, so) if is_so else (Answer.NO, otherwise)


def _with_peers(seen: _Seen) -> tuple[Answer, str]:
    return _if(bool(seen.peers), f"With {', '.join(seen.peers)}.", "No peer is configured.")


def _deletes(seen: _Seen) -> tuple[Answer, str]:
    kept, waits = seen.configuration.retention, []
    if any(one.commitment for one in seen.configuration.destinations):
        waits.append(f"{kept.committed_days:g} days after the archive committed (retention.committed_days)")
    is_found = seen.statement.retention is not None and not seen.statement.retention.is_kept_until_committed
    found = "what C-FIND verified or " if is_found else "what "
    waits.append(f"{found}a person released after {kept.unproven_days:g} days")
    return Answer.YES, f"{'; '.join(waits)}; earlier where flash runs short; nothing else goes by itself."


def _films(seen: _Seen) -> tuple[Answer, str]:
    films = [one.name for one in seen.configuration.devices if isinstance(one, FilmDevice)]
    return _if(bool(films), f"Film digitizers: {', '.join(films)}.", "No film digitizer is configured.")


def _cables(seen: _Seen) -> tuple[Answer, str]:
    return _if(bool(seen.devices), f"From {', '.join(seen.devices)}.", "No device is configured.")


def _own_protocols(seen: _Seen) -> tuple[Answer, str]:
    own = [one.name for one in seen.configuration.devices if not isinstance(one, GrabberDevice | FilmDevice)]
    return _if(bool(own), f"In only, from {', '.join(own)}.", "No device is configured that has a protocol of its own.")


def _locks(seen: _Seen) -> tuple[Answer, str]:
    seconds = seen.configuration.panel.lock_seconds
    is_so = bool(seen.configuration.operators) and seconds > 0
    return _if(
        is_so, f"The panel, after {seconds:g} s (panel.lock_seconds).", "No operators are configured, or no time."
    )


def _operators(note: str) -> _Says:
    return lambda seen: _if(bool(seen.configuration.operators), note, "No operators are configured.")


def _named(seen: _Seen) -> tuple[Answer, str]:
    here = "The operator who had unlocked the panel"
    return _if(bool(seen.configuration.operators), f"{here}; support.", "Support alone: no operators are configured.")


def _logins(seen: _Seen) -> tuple[Answer, str]:
    where = "At the panel, and support" if seen.configuration.operators else "Support; the panel has no operators"
    return Answer.YES, f"{where}. The end of a session is not recorded."


def _collected(note: str) -> _Says:
    return lambda seen: _if(seen.configuration.audit is not None, note, "No collector is configured ([audit]).")


def _encrypted(note: str) -> _Says:
    def say(seen: _Seen) -> tuple[Answer, str]:
        if not seen.peers:
            return Answer.NOT_APPLICABLE, "No peer is configured."
        return _if(not seen.unencrypted, note, f"Not encrypted: {', '.join(seen.unencrypted)} (tls of each peer).")

    return say


_NONE: Final = "There is none."
_TLS: Final = "TLS with certificates of both sides, to every peer and from it (PS3.15 B.12)."
ANSWERS: Final[dict[str, tuple[str, _Says]]] = {
    "DOC-3": ("Model of the device", lambda seen: (Answer.SEE_NOTE, seen.statement.product.name)),
    "DOC-6": ("Connected to a network", _with_peers),
    "DOC-10": ("Diagram of network and data flows", _always(Answer.YES, "Section 4.1 of the conformance statement.")),
    "MPII-1": ("Handles personal data", _always(Answer.YES, "Patients' names, IDs, birth dates, images.")),
    "MPII-2": ("Keeps personal data", _always(Answer.YES, "In objects, records of examinations and the ledger.")),
    "MPII-2.1": ("In volatile memory", _always(Answer.YES, "The worklist; the frame that is taken now.")),
    "MPII-2.2": (
        "Persistently on internal media",
        _always(Answer.YES, "Until delivered; then as configured."),
    ),
    "MPII-2.3": (
        "Until it is erased on purpose",
        _always(Answer.NO, "What may go by itself, and when: see MPII-2.5."),
    ),
    "MPII-2.4": ("In a database", _always(Answer.YES, "The ledger of deliveries has the Patient ID.")),
    "MPII-2.5": ("Deletes by itself what is stored elsewhere", _deletes),
    "MPII-2.6": ("Exchanges it with other systems", _with_peers),
    "MPII-2.7": ("Keeps it when power fails", _always(Answer.YES, "What was shown as saved is durable.")),
    "MPII-3": ("Transmits, imports, exports personal data", _with_peers),
    "MPII-3.1": ("Displays it", _always(Answer.YES, "On the touchscreen's panel.")),
    "MPII-3.2": ("Makes hard copies of it", _always(Answer.NO, "Nothing is printed.")),
    "MPII-3.3": ("Writes or reads removable media", _always(Answer.YES, "`appliance export` writes; nothing is read.")),
    "MPII-3.4": ("Takes it over a dedicated cable", _cables),
    "MPII-3.5": ("Transmits it over a wired network", _with_peers),
    "MPII-3.8": ("Scans it", _films),
    "MPII-3.9": ("By a protocol of its own", _own_protocols),
    "ALOF-1": ("Locks after a time without use", _locks),
    "ALOF-2": ("The time can be configured", _always(Answer.YES, "panel.lock_seconds, by support.")),
    "AUDT-1": ("Has an audit trail of its own", _always(Answer.YES, "PS3.15 A.5, append-only.")),
    "AUDT-1.1": ("With the user in it", _named),
    "AUDT-1.2": ("With other personal data in it", _always(Answer.YES, "Patient IDs and Study Instance UIDs.")),
    "AUDT-2.1": ("Records who logged in", _logins),
    "AUDT-2.2": ("Records who could not", _operators("Wrong PINs.")),
    "AUDT-2.6": ("Records creation and change of data", _always(Answer.YES, "Examinations and objects.")),
    "AUDT-2.7": ("Records import and export on media", _always(Answer.YES, "What was exported.")),
    "AUDT-2.8": (
        "Records what went over the network",
        _always(Answer.YES, "Transfers of objects; no query and no performed step."),
    ),
    "AUDT-4": ("Records time", _always(Answer.YES, "")),
    "AUDT-4.1": ("Date and time of each record", _always(Answer.YES, "")),
    "AUDT-5": ("The trail can be exported", _always(Answer.YES, "`appliance audit --xml`; see also AUDT-5.2.")),
    "AUDT-5.2": ("To a collector (IHE ATNA)", _collected("Syslog over TLS (RFC 5425).")),
    "AUDT-5.4": ("Encrypted", _collected("Never otherwise.")),
    "AUDT-6": ("The owner can read it", _always(Answer.YES, "`appliance audit`.")),
    "AUDT-7": ("It is protected against change", _always(Answer.YES, "Each record has the hash of the one before.")),
    "AUDT-8": ("The device analyses it", _always(Answer.NO, _NONE)),
    "AUTH-1": ("Keeps strangers out", _operators("The PIN of an operator, at the panel.")),
    "AUTH-1.1": ("By a directory service", _always(Answer.NO, _NONE)),
    "AUTH-1.2": ("By the owner's group policies", _always(Answer.NO, _NONE)),
    "AUTH-2": ("Has roles", _always(Answer.YES, "Who works at the panel, support, administration.")),
    "AUTH-4": (
        "Asks for leave at each call of an interface",
        _always(Answer.YES, "A token, or a socket's owner."),
    ),
    "AUTH-5": ("Runs as a kiosk", _always(Answer.YES, "")),
    "DIDT-1": ("De-identifies", _always(Answer.NO, _NONE)),
    "DIDT-1.1": ("By a DICOM profile", _always(Answer.NOT_APPLICABLE, "")),
    "DTBK-1": ("Is where data is kept for long", _always(Answer.NO, "It keeps them until an archive has committed.")),
    "DTBK-3": ("Saves data onto removable media", _always(Answer.YES, "`appliance export`, what no archive has.")),
    "EMRG-1": (
        "Can be used in an emergency without logging in",
        _always(Answer.YES, "It needs no PIN."),
    ),
    "IGAU-1": ("Notices when stored data are changed", _always(Answer.YES, "Each object's name carries its SHA-256.")),
    "IGAU-2": (
        "Protects them against failure of the disk",
        _always(Answer.NO, "The archive has the copy."),
    ),
    "NAUT-1": ("Both ends of a connection are authenticated", _encrypted(_TLS)),
    "NAUT-3": ("By certificates", _encrypted(_TLS)),
    "CONN-2": (
        "The ports are listed",
        _always(Answer.YES, "DICOM's: section 8.3 of the conformance statement. Beside them SSH, and metrics.port."),
    ),
    "CONN-3": ("Talks to systems of the customer", _with_peers),
    "CONN-6": ("Needs the internet", _always(Answer.NO, "")),
    "CONN-7": ("Has TLS", _always(Answer.YES, _TLS)),
    "CONN-7.1": ("TLS can be configured", _always(Answer.YES, "tls of each peer; [tls].")),
    "PAUT-1": ("Users have names and secrets of their own", _operators("A PIN for each operator.")),
    "PAUT-2": ("A directory authenticates them", _always(Answer.NO, _NONE)),
    "PAUT-3": ("Locks out after failures", _operators("Wrong PINs make the next try wait, longer each time.")),
    "PAUT-8": ("More than one factor", _always(Answer.NO, _NONE)),
    "PAUT-9": ("Single sign-on", _always(Answer.NO, _NONE)),
    "PAUT-11": ("Biometrics", _always(Answer.NO, _NONE)),
    "PAUT-12": ("Badges or tokens", _always(Answer.NO, _NONE)),
    "PAUT-14": ("Keeps credentials", _operators("A slow function of each PIN (scrypt).")),
    "PAUT-14.1": ("Safely", _operators("Salted scrypt; no PIN stands anywhere.")),
    "TXCF-1": ("Sends only over a dedicated cable", _always(Answer.NO, "Over the hospital's network.")),
    "TXCF-2": ("Encrypts before it sends", _encrypted(_TLS)),
    "TXCF-2.1": ("Encryption can be configured", _always(Answer.YES, "tls of each peer.")),
    "TXCF-3": ("Sends to a fixed list", _always(Answer.YES, "The configured destinations, and no others.")),
    "TXCF-4": ("Sends only to whom it has authenticated", _encrypted(_TLS)),
    "TXCF-5": ("Uses a secure way to transmit", _encrypted(_TLS)),
    "TXIG-1": ("Notices when data are changed on their way", _encrypted("TLS.")),
    "TXIG-2": ("Consists of parts that cables join", _cables),
}
"""Of each question that is answered here: our words for it, and what answers it."""

# The form's questions, by section: numbers, ranges, and what is below them, as a published form of 2019 has them.
_QUESTIONS: Final = """
DOC 1-11 11.1-11.4; MPII 1 2 2.1-2.9 3 3.1-3.10; ALOF 1-2; AUDT 1 1.1-1.2 2 2.1-2.8 2.8.1-2.8.2 2.9-2.11 3 4 4.1 4.1.1
5 5.1-5.4 6 7 7.1 8; AUTH 1 1.1-1.3 2-5; CSUP 1-11 11.1-11.2; DIDT 1 1.1; DTBK 1-6; EMRG 1; IGAU 1-2; MLDP 1-2 2.1-2.8
3-5 5.1-5.2; NAUT 1-2 2.1 3; CONN 1 1.1 1.1.1-1.1.4 1.2 1.2.1-1.2.4 2-7 7.1 8; PAUT 1 1.1 2-14 14.1; PLOK 1-4; RDMP 1-4;
SBOM 1-2 2.1-2.4 3-4; SAHD 1-3 3.1-3.2 4-5 5.1 6 6.1-6.2 7-14 14.1 15-16; SGUD 1-3 3.1 4; STCF 1 1.1-1.3 2-4; TXCF 1-2
2.1 3-5; TXIG 1-2; RMOT 1 1.1-1.3 2-3
"""


def identifiers() -> Iterator[str]:
    """Every question's identifier, in the form's order."""
    for section in " ".join(_QUESTIONS.split()).split(";"):
        name, *ranges = section.split()
        for one in ranges:
            yield from (f"{name}-{number}" for number in _numbers(one))


def _numbers(written: str) -> Iterator[str]:
    first, _, last = written.partition("-")
    above, start = re.fullmatch(r"((?:\d+\.)*)(\d+)", first).groups()  # type: ignore[union-attr]
    end = last.removeprefix(above) if last else start
    yield from (f"{above}{number}" for number in range(int(start), int(end) + 1))


def form_document(form: Form, issued: date) -> Document:
    """The form, a section for each of its own, of the day `issued`."""
    product = form.product
    names = list(dict.fromkeys(one.id.partition("-")[0] for one in form.rows))
    return Document(
        title="Manufacturer Disclosure Statement for Medical Device Security (MDS2)",
        cover=(
            ("Product", product.name),
            ("Version", product.version),
            ("Form", "ANSI/NEMA HN 1-2019"),
            ("Date", issued.isoformat()),
        ),
        sections=(
            Section(
                "1",
                "What These Answers Are",
                (
                    Paragraph(
                        "Questions are named by the form's identifiers; the words beside them are ours. Answers follow "
                        "from the configuration and from what the product is."
                    ),
                    Paragraph(f"See note, where nothing else is said: {OWNER_FILLS}"),
                ),
            ),
            *(
                Section(
                    str(number),
                    name,
                    (
                        table(
                            name,
                            ("Question", "In our words", "Answer", "Note"),
                            (
                                (one.id, one.words, one.answer, "" if one.note == OWNER_FILLS else one.note)
                                for one in form.rows
                                if one.id.partition("-")[0] == name
                            ),
                        ),
                    ),
                )
                for number, name in enumerate(names, start=2)
            ),
        ),
    )


def form_json(form: Form) -> dict[str, Any]:
    """The same for programs."""
    return {
        "form": "ANSI/NEMA HN 1-2019",
        "product": form.product.model_dump(),
        "answers": [{"id": one.id, "words": one.words, "answer": one.answer, "note": one.note} for one in form.rows],
    }
