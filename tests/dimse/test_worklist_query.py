"""What a person types or scans, and the bytes that are asked for it; then the same on real peers."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pynetdicom.dsutils import encode

from appliance.base.errors import ApplianceError
from appliance.base.sockets import pick_free_port
from appliance.config.schema import WorklistSource
from appliance.dimse.association import Caller
from appliance.dimse.worklist import query_patient
from appliance.dimse.worklist_query import (
    BadQueryError,
    PatientQuery,
    name_patterns_from,
    patient_queries_from,
    patient_query_from,
)
from appliance.exam.answers import item_from_packed
from tests.peers import Peer, running, start_hospital, start_orthanc, start_wlmscpfs, worklist_file

DAY = date(2026, 11, 22)


def _source(port: int = 1, **given: object) -> WorklistSource:
    values: dict[str, object] = {"name": "ris", "ae_title": "RIS", "host": "127.0.0.1", "port": port}
    return WorklistSource.model_validate(values | {"connect_seconds": 3, "answer_seconds": 20} | given)


@pytest.mark.parametrize(
    ("typed", "patterns"),
    [
        ("", ()),
        ("mül", ("mül*", "Mül*", "MÜL*")),  # a source may heed the case
        ("Mül anna", ("Mül anna*", "Mül*^anna*")),
        ("  Mül   Anna ", ("Mül Anna*", "Mül*^Anna*")),
        ("mül, anna", ("mül*^anna*", "Mül*^Anna*", "MÜL*^ANNA*")),
        (
            "de groot jan",
            (
                *("de groot jan*", "de groot*^jan*", "de*^groot jan*"),
                *("De Groot Jan*", "De Groot*^Jan*", "De*^Groot Jan*"),
                *("DE GROOT JAN*", "DE GROOT*^JAN*", "DE*^GROOT JAN*"),
            ),
        ),
        ("Müller, Anna Maria", ("Müller*^Anna Maria*",)),
        ("Müller,", ("Müller*",)),
        ("MULLER^ANNA", ("MULLER^ANNA*",)),
        ("MULLER^*", ("MULLER^*",)),
        ("Muller*", ("Muller*",)),
        ("M?ller*", ("M?ller*",)),
        ("山田　太郎", ("山田 太郎*", "山田*^太郎*", "*=山田 太郎*", "*=山田*^太郎*")),
        ("やまだ", ("やまだ*", "*=*=やまだ*")),
        ("홍", ("홍*", "*=홍*")),
        ("Иванов", ("Иванов*",)),
    ],
)
def test_ok__a_name_as_a_person_types_it(typed: str, patterns: tuple[str, ...]) -> None:
    assert name_patterns_from(typed) == patterns


@pytest.mark.parametrize(
    ("asked", "queries"),
    [
        ({"patient_id": " P-1 "}, [PatientQuery(patient_id="P-1")]),
        ({"accession_number": "A*"}, [PatientQuery(accession_number="A*")]),
        (
            {"patient_name": "Mül", "patient_id": "1", "requested_procedure_id": "R"},
            [PatientQuery(patient_name="Mül*", patient_id="1", requested_procedure_id="R")],
        ),
        ({"text": "Mül"}, [PatientQuery(patient_name="Mül*")]),
        (
            {"text": "A 42"},
            [
                PatientQuery(accession_number="A 42"),
                PatientQuery(requested_procedure_id="A 42"),
                PatientQuery(patient_id="A 42"),
            ],
        ),
        # Code 39 with its asterisks, and the key that a scanner presses behind it
        (
            {"barcode": "*HS-1*\r\n"},
            [
                PatientQuery(accession_number="HS-1"),
                PatientQuery(requested_procedure_id="HS-1"),
                PatientQuery(patient_id="HS-1"),
            ],
        ),
        ({"barcode": "12345678901234567"}, [PatientQuery(patient_id="12345678901234567")]),
        ({"patient_name": None, "patient_id": "1", "other": 7}, [PatientQuery(patient_id="1")]),
        ({"patient_name": "Mu\u0308ller"}, [PatientQuery(patient_name="Müller*")]),
    ],
)
def test_ok__what_is_asked_for(asked: dict[str, Any], queries: list[PatientQuery]) -> None:
    assert list(patient_queries_from(asked)) == queries


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({}, "Nothing was asked for"),
        ({"patient_name": "  "}, "Nothing was asked for"),
        ({"patient_id": "a\\b"}, "patient ID has a character"),
        ({"patient_name": "a\\b"}, "name has a character"),
        ({"patient_name": "a\tb^c\x00"}, "name has a character"),
        ({"patient_id": "\u202e1"}, ""),
        ({"accession_number": "1" * 17}, "accession number has more than 16"),
        ({"requested_procedure_id": "1" * 17}, "requested procedure has more than 16"),
        ({"patient_id": "1" * 65}, "patient ID has more than 64"),
        ({"patient_name": "x" * 64}, "name has more than 64"),
        ({"barcode": "1" * 65}, "too long for any identifier"),
        ({"barcode": "1?2"}, "barcode is no patient's"),
        ({"barcode": "**"}, "barcode is no patient's"),
        ({"barcode": "1\x1d2"}, "barcode has a character"),
        ({"barcode": "1", "patient_id": "2"}, "stands alone"),
        ({"patient_id": 12}, "must be a text"),
    ],
)
def test_fail__what_cannot_be_asked_for(asked: dict[str, Any], sentence: str) -> None:
    if not sentence:
        assert patient_queries_from(asked)
        return
    with pytest.raises(BadQueryError, match=sentence) as refused:
        patient_queries_from(asked)
    assert not any(len(value) > 8 and value in str(refused.value) for value in asked.values() if isinstance(value, str))


@given(st.dictionaries(st.sampled_from(["patient_name", "patient_id", "barcode", "text"]), st.text(max_size=20)))
def test_ok__any_text_is_asked_for_or_refused_in_words(asked: dict[str, str]) -> None:
    try:
        queries = patient_queries_from(asked)
    except ApplianceError:
        return
    assert 1 <= len(queries) <= 6
    for query in queries:
        assert encode(patient_query_from(query, _source()), True, True)


# -- the bytes


def _written(query: PatientQuery, **given: object) -> bytes:
    """The identifier in Explicit VR Little Endian."""
    written = encode(patient_query_from(query, _source(**given)), False, True)
    assert written is not None
    return written


def test_ok__the_identifier_of_a_patient_query() -> None:
    written = _written(PatientQuery(patient_name="MULLER*", patient_id="4711", accession_number="A1"))
    assert written.startswith(bytes.fromhex("08000500 4353 0000"))  # (0008,0005) CS, asked for
    assert bytes.fromhex("08005000 5348 0200") + b"A1" in written  # (0008,0050) SH
    assert bytes.fromhex("10001000 504e 0800") + b"MULLER* " in written  # (0010,0010) PN
    assert bytes.fromhex("10002000 4c4f 0400") + b"4711" in written  # (0010,0020) LO
    assert bytes.fromhex("40000110 5348 0000") in written  # (0040,1001) SH, asked for
    assert bytes.fromhex("0d00 5549 0000") in written  # (0020,000D) UI, asked for
    # no station, no date, no time, no modality: all of them universal, in the step's item
    step = written[written.index(bytes.fromhex("40000001 5351")) :]
    for empty in ("08006000 4353 0000", "40000100 4145 0000", "40000200 4441 0000", "40000300 544d 0000"):
        assert bytes.fromhex(empty) in step


@pytest.mark.filterwarnings("ignore:Failed to encode value")
@pytest.mark.parametrize(
    ("character_set", "name", "named", "pattern"),
    [
        # in the source's own set where that has the letters
        ("ISO_IR 100", "Mül*", b"ISO_IR 100", "4dfc6c2a"),
        ("ISO_IR 101", "Łó*", b"ISO_IR 101", "a3f32a20"),
        ("ISO_IR 192", "Mül*", b"ISO_IR 192", "4dc3bc6c2a20"),
        ("GB18030", "王*", b"GB18030 ", "cdf52a20"),
        ("\\ISO 2022 IR 87", "*=山田*", b"\\ISO 2022 IR 87", "2a3d1b24423b3345441b28422a20"),
        # in UTF-8 where it has not
        ("ISO_IR 100", "Łó*", b"ISO_IR 192", "c581c3b32a20"),
        ("ISO_IR 100", "*=山田*", b"ISO_IR 192", "2a3de5b1b1e794b02a20"),
        ("ISO_IR 6", "Mül*", b"ISO_IR 192", "4dc3bc6c2a20"),
    ],
)
def test_ok__the_characters_of_a_query(character_set: str, name: str, named: bytes, pattern: str) -> None:
    written = _written(PatientQuery(patient_name=name), character_set=character_set)
    named += b" " * (len(named) % 2)
    value = bytes.fromhex(pattern)
    assert bytes.fromhex("08000500 4353") + len(named).to_bytes(2, "little") + named in written
    assert bytes.fromhex("10001000 504e") + len(value).to_bytes(2, "little") + value in written


def test_ok__all_keys_are_asked_for_in_both_queries() -> None:
    from appliance.dimse.worklist_query import query_from

    def tags(dataset: Dataset) -> set[int]:
        return {*dataset.keys(), *dataset.ScheduledProcedureStepSequence[0].keys()}

    patient = patient_query_from(PatientQuery(patient_id="1"), _source())
    assert tags(patient) == tags(query_from(_source(), DAY))


# -- real peers


def _asked(port: int, asked: dict[str, str], **given: object) -> list[str]:
    found = query_patient(_source(port, **given), Caller("BRIDGE"), patient_queries_from(asked))
    return sorted(item_from_packed(entry.packed).accession_number for entry in found.entries)


def _items(directory: Path) -> tuple[bytes, ...]:
    latin, utf_8 = "ISO_IR 100", "ISO_IR 192"
    return (
        worklist_file(directory, character_set=latin, name="Müller^Anna".encode("latin-1"), number=1, day=DAY),
        # long ago and long ahead: a patient query has no date
        worklist_file(directory, character_set=latin, name=b"Miller^Bea", number=2, day=date(2020, 1, 1)),
        worklist_file(directory, character_set=latin, name=b"Muller^Carl", number=3, day=date(2030, 1, 1)),
        worklist_file(directory, character_set=utf_8, name="Иванов^Иван".encode(), number=4, day=DAY, modality="ES"),
        worklist_file(directory, character_set=latin, name=b"de Groot^Jan", number=5, day=DAY, patient_id="ACC00001"),
    )


def _check_matching(peer: Peer) -> None:
    """What does not depend on how a peer matches: case, and whether a mark is a byte or a character, are its own."""
    assert _asked(peer.port, {"patient_name": "Müller, Anna"}) == ["ACC00001"]
    assert _asked(peer.port, {"patient_name": "M?ller^C*"}) == ["ACC00003"]
    assert _asked(peer.port, {"patient_name": "M*ller"}) == ["ACC00001", "ACC00002", "ACC00003"]
    assert _asked(peer.port, {"patient_name": "de Groot"}) == ["ACC00005"]
    assert _asked(peer.port, {"patient_name": "de Groot Jan"}) == ["ACC00005"]
    assert _asked(peer.port, {"patient_id": "PID00002"}) == ["ACC00002"]
    assert _asked(peer.port, {"accession_number": "ACC00003"}) == ["ACC00003"]
    assert _asked(peer.port, {"requested_procedure_id": "RP00004"}) == ["ACC00004"]
    assert _asked(peer.port, {"patient_id": "PID00002", "accession_number": "ACC00003"}) == []
    # one patient's accession number is another's ID: both are shown, each once
    assert _asked(peer.port, {"barcode": "*ACC00001*\r"}) == ["ACC00001", "ACC00005"]
    assert _asked(peer.port, {"patient_id": "nobody"}) == []


def test_ok__wlmscpfs_finds_the_patient(tmp_path: Path) -> None:
    with running(start_wlmscpfs(tmp_path / "wl", "RIS", *_items(tmp_path))) as scp:
        _check_matching(scp)


def test_ok__orthanc_finds_the_patient(tmp_path: Path) -> None:
    with running(start_orthanc(tmp_path / "orthanc", box_port=pick_free_port(), worklist=_items(tmp_path))) as scp:
        _check_matching(scp)
        assert _asked(scp.port, {"patient_name": "иванов"}) == ["ACC00004"]


def test_ok__the_simulator_finds_the_patient(tmp_path: Path) -> None:
    with running(start_hospital(tmp_path / "hospital", box_port=pick_free_port())) as scp:
        found = query_patient(
            _source(scp.port, ae_title="HOSPITAL"), Caller("BRIDGE"), patient_queries_from({"patient_name": "m"})
        )
        items = [item_from_packed(entry.packed) for entry in found.entries]
        assert items
        assert all(item.patient_name.alphabetic.lower().startswith("m") for item in items)
        again = _asked(scp.port, {"barcode": items[0].accession_number}, ae_title="HOSPITAL")
        assert again == [items[0].accession_number]
