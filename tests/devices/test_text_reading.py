"""Fields in a machine's text, the pages that are drawn of them, and profiles that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.base.errors import ApplianceError
from appliance.config.text_profiles import TextProfile, list_profiles, load_profile
from appliance.devices.text.drawing import COLUMNS, LINES, MAX_PAGES, WIDTH, frame_from_page, pages_from_reading
from appliance.devices.text.reading import MAX_LINES, MAX_ROWS, reading_from_text
from tests.devices.text_world import LENSES, PATIENT_ID, RECORDS

ASTM, NIDEK = load_profile("astm"), load_profile("nidek-lm")
TEXT = "".join(record + "\r" for record in RECORDS).encode()


def test_ok__astm_fields_and_tables() -> None:
    reading = reading_from_text(TEXT, ASTM)
    assert dict(reading.fields) == {
        "Instrument": "DENSITO 3 1.2",
        "Date and time of the message": "20261122093015",
        "Patient ID (from the machine)": PATIENT_ID,
        "Laboratory patient ID (from the machine)": "LAB-9",
        "Patient's name (from the machine)": "Qvistgaard Zenobia",
        "Specimen ID": "SPEC-1",
    }
    results, comments = reading.tables
    assert results.rows == (
        ("BMD-L1", "0.912", "g/cm2", "0.8 1.2", "N", "20261122093010"),
        ("BMD-L2", "0.744", "g/cm2", "0.8 1.2", "L", "20261122093012"),
    )
    assert comments.rows == (("repeat | scan",),)  # an escaped field delimiter
    assert reading.patient_ids == (PATIENT_ID,)
    assert reading.lines == RECORDS


def test_ok__delimiters_are_those_that_the_header_names() -> None:
    reading = reading_from_text(TEXT.replace(b"|", b"!").replace(b"^", b"%"), ASTM)
    assert reading.tables[0].rows[0][:3] == ("BMD-L1", "0.912", "g/cm2")
    assert reading_from_text(b"P|1|X\rR|1|^^^A|5\r", ASTM).tables[0].rows == (("A", "5", "", "", "", ""),)


def test_ok__a_lensmeters_values() -> None:
    items = (*LENSES, "AR02.00", "PD64.031.532.5", "DA2021.10.20.16:45")
    payload = b"DLM\x02" + "".join(item + "\x17" for item in items).encode()
    reading = reading_from_text(payload, NIDEK)
    assert dict(reading.fields) == {
        "Machine": "NIDEK/LM-600P",
        "Measured (by the machine's clock)": "2021.10.20.16:45",
    }
    lenses, addition, prism, distance = reading.tables
    assert lenses.rows == (("R", "-06.50", "-01.50", "010"), ("L", "-05.75", "-01.50", "179"))
    assert addition.rows == (("AR", "02.00"),)
    assert prism.rows == (("PR", "00.00", "I"), ("PR", "00.00", "U"), ("PL", "00.00", "O"), ("PL", "00.00", "U"))
    assert distance.rows == (("64.0", "31.5", "32.5"),)


def test_ok__a_single_lens_right_behind_the_head() -> None:
    assert reading_from_text(b"DLM\x02  +01.00+00.00000\x17", NIDEK).tables[0].rows == (
        ("", "+01.00", "+00.00", "000"),
    )


def test_ok__what_is_too_much_is_cut_and_said() -> None:
    reading = reading_from_text(b"R|1|^^^A|5\r" * 3000, ASTM)
    assert (len(reading.lines), len(reading.tables[0].rows), reading.is_cut) == (MAX_LINES, MAX_ROWS, True)
    pages, is_cut = pages_from_reading(reading, "Densitometer")
    assert (len(pages), is_cut) == (MAX_PAGES, True)
    assert "more than is shown" in pages[0].foot


def test_ok__pages_hold_everything_and_are_drawn() -> None:
    pages, is_cut = pages_from_reading(reading_from_text(TEXT + b"C|1|I|" + b"x" * 500 + b"\r", ASTM), "Densitometer")
    text = "\n".join(page.text for page in pages)
    for record in RECORDS:
        assert record in text
    assert text.count("x") >= 500 and not is_cut
    assert all(len(line) <= COLUMNS for page in pages for line in page.lines)
    assert all(len(page.lines) <= LINES - 2 for page in pages)
    frame = frame_from_page(pages[0].draw(), 1, 5.0)
    assert (frame.width, frame.bits_stored, len(frame.data)) == (WIDTH, 8, frame.width * frame.height)
    assert set(frame.data) >= {0, 255}


def test_ok__each_character_stands_in_its_cell() -> None:
    """Figures stand below each other, however wide what stands before them is."""

    def ink_of(line: bytes) -> list[int]:
        (page,), _ = pages_from_reading(reading_from_text(line + b"\r", ASTM), "M")
        picture = page.draw().crop((80 + 2 * 13, 80, 80 + 3 * 13, 80 + 27 * 8))
        return list(picture.crop((0, 27 * 5, 13, 27 * 6)).tobytes())

    assert ink_of(b"..8") == ink_of(b"iO8") != ink_of(b"..3")


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([ASTM, NIDEK]))
def test_ok__any_text_becomes_pages(payload: bytes, profile: TextProfile) -> None:
    pages, _ = pages_from_reading(reading_from_text(payload, profile), "Machine")
    assert all(character.isprintable() or character == "\n" for page in pages for character in page.text)


def test_ok__every_profile_that_comes_along_is_right() -> None:
    assert list_profiles() == ["astm", "nidek-lm"]
    assert all(load_profile(name).fields for name in list_profiles())


GOOD = 'title = "T"\nformat = "F"\n[framing]\nstart = "02"\nend = "03"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("03", "02"), "must be different bytes"),
        (GOOD.replace('"02"', '"2"'), "framing.start"),
        (GOOD + 'ack = "06"\n', "ack and nak belong together"),
        (GOOD.replace('end = "03"', 'checksum = "sum8-hex"'), "without an end mark"),
        (GOOD + 'color = "red"\n', "framing.color"),
        (GOOD + '[[fields]]\nlabel = "A"\npattern = "(("\n', "no regular expression"),
        (GOOD + '[[fields]]\nlabel = "A"\npattern = "a"\n', "exactly one group"),
        (GOOD + '[[fields]]\nlabel = "A"\nrecord = "R"\n', "a record and a field"),
        (GOOD + '[[tables]]\npattern = "(a)"\ncolumns = [{ title = "A", field = 2 }]\n', "fewer groups"),
        (GOOD + '[[tables]]\ncolumns = [{ title = "A", field = 2 }]\n', "a pattern or a record"),
        ("[", "no TOML file"),
    ],
)
def test_fail__a_profile_that_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(ApplianceError, match=r"own\.toml") as told:
        load_profile(str(path))
    assert words in told.value.sentence


def test_fail__a_profile_that_is_not_there_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(ApplianceError, match="cannot be read") as told:
        load_profile("nothing")
    assert "astm" in told.value.suggestion
    path = tmp_path / "large.toml"
    path.write_text(GOOD + "#" * 300_000)
    with pytest.raises(ApplianceError, match="too large"):
        load_profile(str(path))
