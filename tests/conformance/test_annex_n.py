"""The organization of the statement, held heading by heading against what could be seen of PS3.2 Annex N.

No copy of the whole annex was to be had when this was written. What stands here are the numbers and titles that were
read, with where: pages of the standard itself (with the edition of the copy), and a vendor's published statement that
says it follows the annex of edition 2026d and keeps every position. Where a vendor shortened a title, or leaves one of
ours to the annex, the statement's own title stands. A person with the annex must compare the rest.
"""

from __future__ import annotations

import re

import pytest

from appliance.conformance.annex_n import OUTLINE

NUMBERS = [number for number, _, _ in OUTLINE]
TITLES = {number: title for number, title, _ in OUTLINE}

# dicom.nema.org, part02: the number of each section that a stored page shows, and its title there.
SEEN_IN_THE_STANDARD: dict[str, tuple[str, str]] = {
    "1": ("Overview", "sect_N.1, 2025a"),
    "1.1": ("Content and Transfer", "sect_N.1, 2025a"),
    "3.3": ("Remarks", "sect_N.3.3, by its address"),
    "5.2": ("DIMSE Services", "sect_N.5.2, 2025a"),
    "5.2.1": ("Basic Worklist Management Service", "sect_N.5.2, 2025a"),
    "5.2.2": ("Modality Performed Procedure Step Service", "sect_N.5.2.2"),
    "5.2.5": ("Storage Service", "sect_N.5.2.5, 2025a"),
    "5.2.5.1": ("SCU of the Storage SOP Classes", "sect_N.5.2.5, 2025a"),
    "5.2.5.1.1": ("Transcoding of Transfer Syntaxes", "sect_N.5.2.5, 2025a"),
    "5.2.6": ("Storage Commitment Service", "sect_N.5.2.6, 2024e"),
    "6": ("Configuration", "sect_N.6, 2024c"),
    "6.1": ("General Configuration Parameters", "sect_N.6, 2024c"),
    "6.2": ("Configuration of DIMSE Services", "sect_N.6.2, 2024d"),
    "7.2": ("Specifications", "sect_N.7.2, 2025a"),
    "7.2.1.1": ("Sequencing of Real-World Activities", "sect_N.7.2, 2025a"),
    "7.2.1.2": ("Association Parameters", "sect_N.7.2, 2025a"),
    "7.2.1.3": ("Association Initiation", "sect_N.7.2, 2025a"),
    "7.3": ("Status Codes", "sect_N.7.3, 2024c"),
    "7.3.1.1": ("Communication Failure Behavior as Association Initiator", "sect_N.7.3, 2024c"),
    "7.3.1.2": ("Communication Failure Handling as Association Acceptor", "sect_N.7.3, 2024c"),
    "7.3.2.1": ("Basic Worklist Management Service", "sect_N.7.3.2, 2024c"),
    "7.3.2.2": ("Modality Performed Procedure Step Service", "sect_N.7.3.2.2"),
    "7.3.2.5": ("Storage Service", "sect_N.7.3.2.5, 2024d"),
    "7.3.2.6": ("Storage Commitment Service", "sect_N.7.3.2.6, 2024d"),
    "A.A": ("Information Object Definitions (IODs)", "sect_N.9, 2024e"),
    "A.A.1": ("Information Shared Across Multiple IODs", "sect_N.9, 2024e"),
    "A.A.1.1": ("Common Modules", "sect_N.9, 2024e"),
    "A.C.2.2": ("Audit Trail Messages", "sect_N.11.2.2, 2024e"),
}
# A vendor's statement of 2026-09-24 after the annex of 2026d (DCAM-DCS-001): every position that it keeps, in its
# order, and words that both titles have.
SEEN_AT_A_VENDOR: tuple[tuple[str, str], ...] = (
    *(
        ("1", "overview"),
        ("1.1", "content transfer"),
        ("1.1.1", "structured reporting root"),
        ("1.2", "dimse"),
    ),
    *(("1.2.1", "verification"), ("1.2.2", "storage"), ("1.2.3", "workflow management"), ("1.2.4", "query/retrieve")),
    *(("1.2.5", "print"), ("1.3", "web services"), ("1.3.1", "uri"), ("1.3.2", "studies"), ("1.3.3", "worklist")),
    *(("1.3.4", "non-patient instance"), ("1.3.5", "storage commitment"), ("1.3.6", "scheduled procedure step")),
    *(("1.3.7", "performed procedure step"), ("1.4", "media services"), ("1.5", "real-time video")),
    *(("1.6", "de-identification profiles"), ("1.7", "character sets"), ("2", "table contents"), ("3", "introduction")),
    *(("3.1", "revision history"), ("3.2", "audience"), ("3.3", "remarks"), ("3.4", "terms definitions")),
    *(("3.5", "abbreviations"), ("3.6", "references"), ("4", "implementation model")),
    *(("4.1", "application entities data flow"), ("4.1.1", "functional definition")),
    *(("5", "service interoperability description"), ("5.1", "mapping services application entities")),
    *(("5.2", "dimse services"), ("5.2.1", "basic worklist management"), ("5.2.2", "performed procedure step")),
    *(("5.2.3", "unified worklist procedure step"), ("5.2.4", "instance availability notification")),
    *(("5.2.5", "storage"), ("5.2.5.1", "scu storage sop classes"), ("5.2.5.1.1", "transcoding transfer syntaxes")),
    *(("5.2.5.2", "scp storage sop classes"), ("5.2.6", "storage commitment"), ("5.2.7", "query/retrieve")),
    *(("5.2.8", "print management"), ("5.3", "web services"), ("5.3.1", "uri"), ("5.3.2", "studies")),
    *(("5.3.3", "worklist"), ("5.3.4", "non-patient instance"), ("5.3.5", "notification")),
    *(("5.3.6", "storage commitment"), ("5.3.7", "scheduled procedure step"), ("5.3.8", "performed procedure step")),
    *(("5.4", "media services"), ("5.5", "real-time video"), ("5.6", "cross-service considerations")),
    *(("5.7", "character sets"), ("6", "configuration"), ("6.1", "general configuration parameters")),
    *(("6.2", "configuration dimse services"), ("6.2.1", "worklist"), ("6.2.2", "performed"), ("6.2.3", "unified")),
    *(("6.2.4", "availability notification"), ("6.2.5", "storage"), ("6.2.6", "commitment")),
    *(("6.2.7", "query/retrieve"), ("6.2.8", "print"), ("6.3", "configuration web services"), ("6.3.1", "uri")),
    *(("6.3.2", "studies"), ("6.3.3", "worklist"), ("6.3.4", "non-patient"), ("6.3.5", "commitment")),
    *(("6.3.6", "scheduled procedure step"), ("6.3.7", "performed procedure step"), ("6.4", "media storage")),
    *(("6.5", "real-time video"), ("6.6", "audit trail syslog"), ("7", "network media communication details")),
    *(("7.1", "general"), ("7.1.1", "general association parameters"), ("7.2", "specifications")),
    *(("7.2.1", "application entity"), ("7.2.1.1", "sequencing real-world activities")),
    *(("7.2.1.2", "association parameters"), ("7.2.1.3", "association initiation")),
    *(("7.2.1.4", "association acceptance"), ("7.3", "status codes"), ("7.3.1", "general communication failure")),
    *(("7.3.2", "dimse services"), ("7.3.3", "web services"), ("8", "security"), ("8.1", "introduction")),
    *(("8.2", "external network requirements"), ("8.3", "tcp port configuration"), ("8.4", "security profiles")),
    *(("8.4.1", "secure use user identity"), ("8.4.2", "secure transport connection")),
    *(("8.4.3", "media storage security"), ("8.4.4", "attribute confidentiality"), ("8.4.5", "digital signature")),
    *(
        ("8.4.6", "additional security profiles"),
        ("8.5", "user identity negotiation"),
        ("8.5.1", "initiation"),
    ),
    *(("8.5.2", "association acceptance"), ("8.6", "web services security features")),
    *(("8.7", "other security features"), ("8.7.1", "media storage security"), ("8.7.2", "network security")),
    *(("8.7.3", "other security features"), ("A.A", "information object definitions")),
    *(("A.A.1", "information shared across multiple iods"), ("A.A.1.1", "common modules")),
    *(
        ("A.A.1.2", "functional group macros"),
        ("A.A.1.3", "common private modules"),
        ("A.A.1.4", "coded values"),
    ),
    *(("A.B", "structured report content encoding"), ("A.C", "security details")),
    *(
        ("A.C.1", "external network requirement details"),
        ("A.C.1.1", "time"),
        ("A.C.1.2", "address management"),
    ),
    *(("A.C.1.3", "application configuration management"), ("A.C.1.4", "dns service discovery")),
    *(("A.C.2", "security profile details"), ("A.D", "mapping attributes"), ("A.E", "code set usage")),
)
# Positions that neither source shows whole, and where they are from.
INFERRED = {
    "5.2.1.1": "the pattern of 5.2.2.1 and Table N.5-2",
    "5.2.1.2": "Table N.5-3",
    "5.2.2.1": "Table N.5-4 (sect_N.5.2.2)",
    "5.2.2.2": "Table N.5-5 (sect_N.5.2.2.2)",
    "5.2.6.1": "sect_N.5.2.6",
    "5.2.6.2": "Table N.5-16 (sect_N.5.2.6.2)",
    "7.3.2.3": "between 7.3.2.2 and 7.3.2.5, in the order of 5.2",
    "7.3.2.4": "between 7.3.2.2 and 7.3.2.5, in the order of 5.2",
    "7.3.2.7": "in the order of 5.2",
    "7.3.2.8": "in the order of 5.2",
    "A.A.2": "one section for each IOD: here one for all of a configuration",
    "A.A.3": "as A.A.2: what is stored under the test patient",
    "A.C.2.1": "the vendor's order of profiles",
    "A.C.2.2": "sect_N.11.2.2",
    "7.3.1.1": "sect_N.7.3",
    "7.3.1.2": "sect_N.7.3",
}


@pytest.mark.parametrize(("number", "title"), [(number, title) for number, (title, _) in SEEN_IN_THE_STANDARD.items()])
def test_ok__a_heading_of_the_standard_has_its_number_and_its_words(number: str, title: str) -> None:
    assert TITLES[number] == title


def test_ok__every_position_that_a_vendor_keeps_is_kept_in_the_same_order() -> None:
    kept = [number for number, _ in SEEN_AT_A_VENDOR]
    assert [number for number in NUMBERS if number in kept] == kept
    for number, words in SEEN_AT_A_VENDOR:
        for word in words.split():
            assert word in TITLES[number].lower(), (number, word)


def test_ok__nothing_is_there_that_nobody_has_seen() -> None:
    seen = {number for number, _ in SEEN_AT_A_VENDOR} | SEEN_IN_THE_STANDARD.keys() | INFERRED.keys()
    assert set(NUMBERS) - seen == set()


def test_ok__sections_stand_in_order_below_their_chapters() -> None:
    def place(number: str) -> list[int]:
        return [int(part) if part.isdigit() else 100 + ord(part) for part in number.split(".")]

    assert sorted(NUMBERS, key=place) == NUMBERS
    for number in NUMBERS:
        above = number.rpartition(".")[0]
        assert not above or above == "A" or above in NUMBERS, number
        assert re.fullmatch(r"[1-8](\.\d+)*|A\.[A-E](\.\d+)*", number)
