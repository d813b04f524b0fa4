"""Names in every script: which character set is written, and that others than the writer read the same."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread

from appliance.compose.charset import UTF_8, choose_character_set, is_in_repertoire
from appliance.compose.encode import encode_dataset
from appliance.compose.steps import creation_from
from appliance.exam.item import WorklistItem
from tests.compose.world import BOX, SERIAL, exam_on, gray_frame, make_still, named_entry, run

YAMADA = "Yamada^Tarou=山田^太郎=やまだ^たろう"
IGARASHI = "Igarashi^Jun=五十嵐^純=いがらし^じゅん"  # in JIS its bytes hold "=" and "^", which delimit nothing there
HONG = "Hong^Gildong=洪^吉洞=홍^길동"
WANG = "Wang^XiaoDong=王^小东"
CHENG = "Cheng=誠^乗"  # in GBK its bytes hold a backslash

# What the worklist named, the name, the character set that the object has.
WRITTEN: list[tuple[list[str], str, list[str]]] = [
    (["ISO_IR 100"], "Müller^Jörg", ["ISO_IR 100"]),
    (["ISO_IR 101"], "Wałęsa^Lech", ["ISO_IR 101"]),
    (["ISO_IR 109"], "Ħaż-Żebbuġ^Ġorġ", ["ISO_IR 109"]),
    (["ISO_IR 110"], "Bērziņš^Jānis", ["ISO_IR 110"]),
    (["ISO_IR 126"], "Διονυσιος", ["ISO_IR 126"]),
    (["ISO_IR 127"], "قباني^لنزار", ["ISO_IR 127"]),
    (["ISO_IR 138"], "שרון^דבורה", ["ISO_IR 138"]),
    (["ISO_IR 144"], "Люкceмбypг", ["ISO_IR 144"]),
    (["ISO_IR 148"], "Çavuşoğlu^Şükrü", ["ISO_IR 148"]),
    (["ISO_IR 166"], "นามสกุล^ชื่อ", ["ISO_IR 166"]),
    (["ISO_IR 192"], YAMADA, ["ISO_IR 192"]),
    (["GB18030"], WANG, ["GB18030"]),
    (["GB18030"], CHENG, ["GB18030"]),
    (["GBK"], WANG, ["GBK"]),
    (["", "ISO 2022 IR 87"], YAMADA, ["", "ISO 2022 IR 87"]),
    (["ISO 2022 IR 6", "ISO 2022 IR 87"], YAMADA, ["ISO 2022 IR 6", "ISO 2022 IR 87"]),
    (["ISO 2022 IR 6", "ISO 2022 IR 87"], IGARASHI, ["ISO 2022 IR 6", "ISO 2022 IR 87"]),
    (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", ["ISO 2022 IR 13", "ISO 2022 IR 87"]),
    (
        ["ISO 2022 IR 6", "ISO 2022 IR 87", "ISO 2022 IR 159"],
        "Yamada^Tarou=丂山^太郎",
        ["ISO 2022 IR 6", "ISO 2022 IR 87", "ISO 2022 IR 159"],
    ),
    (["", "ISO 2022 IR 149"], HONG, ["", "ISO 2022 IR 149"]),
    (["ISO 2022 IR 100", "ISO 2022 IR 87"], "Müller=山田", ["ISO 2022 IR 100", "ISO 2022 IR 87"]),
    # none named
    ([], "Muller^Jorg", []),
    ([], "Müller^Jörg", [UTF_8]),
    # the repertoire does not hold it
    (["ISO_IR 100"], YAMADA, [UTF_8]),
    (["ISO_IR 6"], "Müller", [UTF_8]),
    (["ISO_IR 101"], "Müller=山田", [UTF_8]),
    (["ISO_IR 13"], YAMADA, [UTF_8]),
    (["ISO_IR 13"], "ﾔﾏﾀﾞ^ﾀﾛｳ", [UTF_8]),
    (["ISO 2022 IR 6", "ISO 2022 IR 87"], "Müller=山田", [UTF_8]),
    (["ISO 2022 IR 6", "ISO 2022 IR 159"], "Müller", [UTF_8]),
    (["ISO 2022 IR 6", "ISO 2022 IR 159"], "Αβγ^Δ", [UTF_8]),
    (["", "ISO 2022 IR 149"], "Hong=山^뷁갋", [UTF_8]),
    # a name's first group needs an escape sequence, which it may not have
    (["ISO 2022 IR 100", "ISO 2022 IR 144"], "Müller^Люк", [UTF_8]),
    (["ISO 2022 IR 6", "ISO 2022 IR 87"], "山田^太郎", [UTF_8]),
    # what is written in it nobody can read
    (["ISO 2022 IR 6", "ISO 2022 IR 58"], WANG, [UTF_8]),
    # terms that do not exist, or not together
    (["ISO_IR 999"], "Muller", [UTF_8]),
    (["ISO_IR 192", "ISO_IR 100"], "Müller", [UTF_8]),
    (["ISO_IR 100", "ISO 2022 IR 87"], YAMADA, [UTF_8]),
    (["ISO 2022 IR 6", "GBK"], WANG, [UTF_8]),
]

# What this release of DCMTK (iconv) cannot convert; a single value is what it can.
# Debian 13's build converts no GB18030, Debian 12's does.
_UNKNOWN_TO_DCMTK = ("ISO 2022 IR 13", "ISO 2022 IR 87", "ISO 2022 IR 159", "GB18030")


def _terms_of(dataset: Dataset) -> list[str]:
    found = dataset.get("SpecificCharacterSet")
    return [found] if isinstance(found, str) else list(found or [])


@pytest.mark.parametrize(("terms", "name", "written"), WRITTEN)
def test_ok__a_name_is_read_as_it_was_received(tmp_path: Path, terms: list[str], name: str, written: list[str]) -> None:
    text = name.rsplit("=", maxsplit=1)[-1].replace("^", " ")
    exam = exam_on(named_entry(terms, name, text))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # pydicom warns when it replaces a character
        made = make_still(tmp_path / "still.dcm", exam, SERIAL, gray_frame())
        creation = dcmread(io.BytesIO(encode_dataset(creation_from(exam, exam.step_of("US"), BOX))), force=True)
    for dataset in (dcmread(made.path), creation):
        assert _terms_of(dataset) == written
        assert str(dataset.PatientName) == name
        assert dataset.PerformedProcedureStepDescription == text
    if not any(term in _UNKNOWN_TO_DCMTK for term in written):
        dumped = run("dcmdump", "+U8", "+L", "+P", "0010,0010", "+P", "0008,1030", made.path)
        assert dumped.returncode == 0, dumped.stderr
        assert re.findall(r"\[(.*)\]", dumped.stdout) == [name, text]


def test_ok__japanese_bytes_are_those_of_the_standards_example() -> None:
    """PS3.5 Annex H.3.1, byte for byte."""
    exam = exam_on(named_entry(["", "ISO 2022 IR 87"], YAMADA))
    sent = encode_dataset(creation_from(exam, exam.step_of("US"), BOX))
    expected = (
        b"Yamada^Tarou="
        b"\x1b\x24\x42\x3b\x33\x45\x44\x1b\x28\x42^\x1b\x24\x42\x42\x40\x4f\x3a\x1b\x28\x42="
        b"\x1b\x24\x42\x24\x64\x24\x5e\x24\x40\x1b\x28\x42^\x1b\x24\x42\x24\x3f\x24\x6d\x24\x26\x1b\x28\x42"
    )
    assert expected in sent
    assert b"\\ISO 2022 IR 87" in sent


def test_ok__korean_bytes_are_those_of_the_standards_example() -> None:
    """PS3.5 Annex I.2, byte for byte."""
    exam = exam_on(named_entry(["", "ISO 2022 IR 149"], HONG))
    sent = encode_dataset(creation_from(exam, exam.step_of("US"), BOX))
    expected = (
        b"Hong^Gildong="
        b"\x1b\x24\x29\x43\xfb\xf3^\x1b\x24\x29\x43\xd1\xce\xd4\xd7="
        b"\x1b\x24\x29\x43\xc8\xab^\x1b\x24\x29\x43\xb1\xe6\xb5\xbf"
    )
    assert expected in sent


def test_ok__one_text_out_of_the_repertoire_makes_the_whole_object_unicode(tmp_path: Path) -> None:
    """The box's own institution is Latin, the hospital's names are Cyrillic."""
    entry = named_entry("ISO_IR 144", "Люк^Иван")
    del entry.InstitutionName
    exam = exam_on(entry)
    dataset = dcmread(make_still(tmp_path / "still.dcm", exam, SERIAL, gray_frame()).path)
    assert dataset.SpecificCharacterSet == UTF_8  # "Klinik am Hügel"
    assert (dataset.PatientName, dataset.InstitutionName) == ("Люк^Иван", "Klinik am Hügel")


def test_ok__texts_inside_of_sequences_count() -> None:
    item = Dataset()
    item.CodeMeaning = "Łódź"
    dataset = Dataset()
    dataset.ProcedureCodeSequence = [item]
    assert choose_character_set(dataset, ["ISO_IR 100"]) == [UTF_8]
    assert choose_character_set(dataset, ["ISO_IR 101"]) == ["ISO_IR 101"]


def test_ok__values_without_a_character_set_do_not_count() -> None:
    dataset = Dataset()
    dataset.PatientSex = "M"
    dataset.StudyInstanceUID = "1.2.3"
    assert choose_character_set(dataset, ["ISO_IR 144"]) == ["ISO_IR 144"]


_TERMS = st.sampled_from([terms for terms, _, _ in WRITTEN])
_LETTERS = st.characters(min_codepoint=0x20, exclude_characters="\\^=\x7f", exclude_categories=("Cs", "Cn", "Cc"))
_SCRIPTS = st.sampled_from("abc~'üłĦēΩصדЛşชﾔ山田丂한글小东¥‾")


@given(terms=_TERMS, groups=st.lists(st.text(_LETTERS | _SCRIPTS, min_size=1, max_size=6), min_size=1, max_size=3))
def test_ok__whatever_set_is_chosen_no_character_is_lost(terms: list[str], groups: list[str]) -> None:
    name = "=".join(group.strip() or "x" for group in groups)
    dataset = Dataset()
    dataset.PatientName = name
    dataset.StudyDescription = name
    dataset.SpecificCharacterSet = choose_character_set(dataset, terms)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = dcmread(io.BytesIO(encode_dataset(dataset)), force=True)
        assert (str(read.PatientName), read.StudyDescription) == (name, name)


def test_fail__unknown_terms_hold_nothing() -> None:
    assert not is_in_repertoire("a", ["ISO_IR 999"])
    assert is_in_repertoire("a", [])
    assert not is_in_repertoire("¥", ["ISO 2022 IR 13", "ISO 2022 IR 87"])  # would become the separator of values


def test_ok__a_worklists_empty_first_term_survives_the_snapshot() -> None:
    """As JSON an empty value among several is null (PS3.18 F.2.5)."""
    elements = named_entry(["", "ISO 2022 IR 87"], YAMADA).to_json_dict()
    exam = exam_on(Dataset.from_json(WorklistItem("ris", elements).elements))
    assert _terms_of(creation_from(exam, exam.step_of("US"), BOX)) == ["", "ISO 2022 IR 87"]
