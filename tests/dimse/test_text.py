"""Every character set of PS3.3 C.12.1.1.2 is read right, from bytes that no encoder of ours has written.

The bytes are those of PS3.5 Annexes H (Japanese), I (Korean), J (Latin, Greek, Cyrillic, Arabic, Hebrew with the
examples of dclunie's character set tests) and K (Chinese), or were taken from the code charts of the registered sets.
"""

from __future__ import annotations

import struct
import subprocess
from datetime import date
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread

from appliance.config.schema import WorklistSource
from appliance.dimse.association import Caller
from appliance.dimse.identifier import elements_from
from appliance.dimse.text import MARK, Trouble, character_sets_from
from appliance.dimse.worklist import query_worklist
from appliance.exam.answers import item_from_packed
from appliance.exam.item import WorklistItem
from tests.peers import running, start_wlmscpfs, worklist_file

DAY = date(2026, 11, 22)
# PS3.5 K.2, Zhang^XiaoDong=张^小东=: ESC 02/04 02/09 04/01 in front of each component that is in GB 2312
CHINESE = bytes.fromhex("5a68616e67 5e 5869616f446f6e67 3d 1b242941 d5c5 5e 1b242941 d0a1b6ab 3d")
# Terms, the value of (0010,0010) in hexadecimal, the groups as people read them.
NAMES: list[tuple[str, str, tuple[str, ...]]] = [
    # Buc^Jerome, without accents
    ("", "427563 5e 4a65726f6d65", ("Buc Jerome",)),
    ("ISO_IR 6", "427563 5e 4a65726f6d65", ("Buc Jerome",)),
    # PS3.5 J: Buc^Jérôme; e9 and f4 in Latin-1
    ("ISO_IR 100", "427563 5e 4ae972f46d65", ("Buc Jérôme",)),
    # Łukasz^Żółć; a3, af f3 b3 e6 in Latin-2
    ("ISO_IR 101", "a3756b61737a 5e aff3b3e6", ("Łukasz Żółć",)),
    # Ġużeppi^Ħal; d5, bf, a1 in Latin-3
    ("ISO_IR 109", "d575bf65707069 5e a1616c", ("Ġużeppi Ħal",)),
    # Ķīniņš^Ēriks; d3 ef f1 b9, aa in Latin-4
    ("ISO_IR 110", "d3ef6e69f1b9 5e aa72696b73", ("Ķīniņš Ēriks",)),
    # PS3.5 J: Люкceмбypг, some of whose letters are Latin
    ("ISO_IR 144", "bbeeda63 65dcd179 70d3", ("Люкceмбypг",)),
    # PS3.5 J: قباني^لنزار
    ("ISO_IR 127", "e2c8c7e6ea 5e e4e6d2c7d1", ("قباني لنزار",)),
    # PS3.5 J: Διονυσιος
    ("ISO_IR 126", "c4e9efedf5f3e9eff2", ("Διονυσιος",)),
    # PS3.5 J: שרון^דבורה
    ("ISO_IR 138", "f9f8e5ef 5e e3e1e5f8e4", ("שרון דבורה",)),
    # Çavuşoğlu^İğde; c7, fe, f0, dd in Latin-5
    ("ISO_IR 148", "c7617675fe6ff06c75 5e ddf06465", ("Çavuşoğlu İğde",)),
    # นามสกุล (family name)
    ("ISO_IR 166", "b9d2c1caa1d8c5", ("นามสกุล",)),
    # Œuvre^€; bc, a4 in Latin-9
    ("ISO_IR 203", "bc75767265 5e a4", ("Œuvre €",)),
    # PS3.5 H.3.2: ﾔﾏﾀﾞ^ﾀﾛｳ in JIS X 0201, ideographic and phonetic group in JIS X 0208
    ("ISO_IR 13", "d4cfc0de 5e c0dbb3", ("ﾔﾏﾀﾞ ﾀﾛｳ",)),
    (
        "ISO 2022 IR 13\\ISO 2022 IR 87",
        "d4cfc0de5ec0dbb3 3d 1b2442 3b334544 1b284a 5e 1b2442 42404f3a 1b284a"
        " 3d 1b2442 2464245e2440 1b284a 5e 1b2442 243f246d2426 1b284a",
        ("ﾔﾏﾀﾞ ﾀﾛｳ", "山田 太郎", "やまだ たろう"),
    ),
    # PS3.5 H.3.1
    (
        "\\ISO 2022 IR 87",
        "59616d616461 5e 5461726f75 3d 1b2442 3b334544 1b2842 5e 1b2442 42404f3a 1b2842"
        " 3d 1b2442 2464245e2440 1b2842 5e 1b2442 243f246d2426 1b2842",
        ("Yamada Tarou", "山田 太郎", "やまだ たろう"),
    ),
    # JIS X 0212, row 0x30: 0x3021 丂, 0x3022 丄; then JIS X 0208 without going back between them
    ("ISO 2022 IR 6\\ISO 2022 IR 87\\ISO 2022 IR 159", "3d 1b242844 30213022 1b2442 3b33 1b2842", ("丂丄山",)),
    # 十 is 3d3d, 申 3f3d and 移 305c: nothing in two-byte mode is a delimiter
    (
        "\\ISO 2022 IR 87",
        "413d 1b2442 3d3d3f3d 1b2842 5e 1b2442 305c 1b2842",
        (
            "A",
            "十申 移",
        ),
    ),
    # PS3.5 I.2: Hong^Gildong=洪^吉洞=홍^길동
    (
        "\\ISO 2022 IR 149",
        "486f6e67 5e 47696c646f6e67 3d 1b242943 fbf3 5e 1b242943 d1ced4d7 3d 1b242943 c8ab 5e 1b242943 b1e6b5bf",
        ("Hong Gildong", "洪 吉洞", "홍 길동"),
    ),
    ("\\ISO 2022 IR 58", CHINESE.hex(), ("Zhang XiaoDong", "张 小东")),
    # PS3.5 J.1: Wang^XiaoDong=王^小東= in UTF-8
    (
        "ISO_IR 192",
        "57616e67 5e 5869616f446f6e67 3d e78e8b 5e e5b08fe69db1 3d",
        ("Wang XiaoDong", "王 小東"),
    ),
    # PS3.5 J.2: Wang^XiaoDong=王^小东= in GB18030
    ("GB18030", "57616e67 5e 5869616f446f6e67 3d cdf5 5e d0a1b6ab 3d", ("Wang XiaoDong", "王 小东")),
    # 乗 is 815c, 昢 955e, 刕 845e: their second bytes look like delimiters; ý is 81308b35, of four bytes
    ("GB18030", "815c 5e 955e 3d 845e 81308b35", ("乗 昢", "刕ý")),
    ("GBK", "815c 5e 955e 3d 845e", ("乗 昢", "刕")),
    # Code extensions of single bytes (PS3.3 Table C.12-3): Dionysios=Διονυσιος, and three scripts in one name
    ("ISO 2022 IR 6\\ISO 2022 IR 126", "44696f 3d 1b2d46 c4e9efedf5f3e9eff2", ("Dio", "Διονυσιος")),
    ("ISO 2022 IR 100\\ISO 2022 IR 144\\ISO 2022 IR 126", "4ae972 20 1b2d4c bbee 20 1b2d46 c4e9", ("Jér Лю Δι",)),
    ("ISO 2022 IR 100\\ISO 2022 IR 101", "4ae9 5e 1b2d42 a3 5e e9", ("Jé Ł é",)),  # Latin-1 again behind the ^
    ("ISO 2022 IR 6\\ISO 2022 IR 100", "1b2d41 e9", ("é",)),
    ("ISO 2022 IR 6\\ISO 2022 IR 109", "1b2d43 a1", ("Ħ",)),
    ("ISO 2022 IR 6\\ISO 2022 IR 110", "1b2d44 aa", ("Ē",)),
    ("ISO 2022 IR 6\\ISO 2022 IR 127", "1b2d47 e2c8", ("قب",)),
    ("ISO 2022 IR 6\\ISO 2022 IR 138", "1b2d48 f9f8", ("שר",)),
    ("ISO 2022 IR 6\\ISO 2022 IR 148", "1b2d4d dd", ("İ",)),
    ("ISO 2022 IR 6\\ISO 2022 IR 166", "1b2d54 b9d2", ("นา",)),
    ("ISO 2022 IR 6\\ISO 2022 IR 13", "1b2949 d4cf", ("ﾔﾏ",)),
    ("ISO 2022 IR 6\\ISO 2022 IR 203", "1b2d62 a4", ("€",)),
    *((f"ISO 2022 IR {number}", "41", ("A",)) for number in (6, 13, 100, 101, 109, 110, 126, 127, 138, 144, 148, 166)),
    *((f"\\ISO 2022 IR {number}", "41 5e 42", ("A B",)) for number in (58, 87, 149, 159)),
]


def _element(tag: int, vr: bytes, value: bytes) -> bytes:
    value += b" " * (len(value) % 2)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value if value else b""


def item_of(terms: str, value: bytes, default: str = "ISO_IR 100") -> WorklistItem:
    """An item of which the wire says this much: Explicit VR Little Endian, (0008,0005) and (0010,0010)."""
    wire = _element(0x00080005, b"CS", terms.encode()) + _element(0x00100010, b"PN", value)
    elements, findings = elements_from(wire, False, default)
    return WorklistItem("ris", elements, findings=findings)


@pytest.mark.parametrize(("terms", "written", "groups"), NAMES, ids=lambda one: one if isinstance(one, str) else "")
def test_ok__a_name_in_every_character_set(terms: str, written: str, groups: tuple[str, ...]) -> None:
    item = item_of(terms, bytes.fromhex(written))
    assert item.patient_name.groups() == groups
    assert item.findings == ()


def test_ok__every_defined_term_has_a_name() -> None:
    named = {term for terms, _, _ in NAMES for term in terms.split("\\") if term}
    single = (6, 13, 100, 101, 109, 110, 126, 127, 138, 144, 148, 166)
    assert named >= {f"ISO_IR {number}" for number in (*single, 192)} | {"GB18030", "GBK"}
    assert named >= {f"ISO 2022 IR {number}" for number in (*single, 58, 87, 149, 159)}


# -- whole tables, against the C library's converter


def _converted(written: bytes, name: str) -> str:
    done = subprocess.run(["/usr/bin/iconv", "-f", name, "-t", "UTF-8"], input=written, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


@pytest.mark.parametrize(
    ("number", "name", "letters"),
    [
        (100, "ISO-8859-1", 96),
        (101, "ISO-8859-2", 96),
        (109, "ISO-8859-3", 89),
        (110, "ISO-8859-4", 96),
        (126, "ISO-8859-7", 93),
        (127, "ISO-8859-6", 51),
        (138, "ISO-8859-8", 60),
        (144, "ISO-8859-5", 96),
        (148, "ISO-8859-9", 96),
        (203, "ISO-8859-15", 96),
        (13, "SHIFT_JIS", 63),
    ],
)
def test_ok__every_character_of_a_single_byte_set(number: int, name: str, letters: int) -> None:
    sets = character_sets_from((f"ISO_IR {number}",), "")
    known = bytes(code for code in range(0xA0, 0x100) if sets.decode(bytes((code,)))[1] is Trouble.NONE)
    assert len(known) == letters
    assert sets.decode(known) == (_converted(known, name), Trouble.NONE)
    assert sets.decode(b"\x80\x9f") == (MARK * 2, Trouble.UNREADABLE)


@pytest.mark.parametrize(
    ("number", "escape", "half", "name", "letters"),
    [
        (87, b"\x1b$B", 0x00, "ISO-2022-JP", 6879),
        (159, b"\x1b$(D", 0x00, "ISO-2022-JP-2", 6067),
        (149, b"\x1b$)C", 0x80, "EUC-KR", 8225),
        (58, b"\x1b$)A", 0x80, "GB2312", 7445),
    ],
)
def test_ok__every_character_of_a_double_byte_set(
    number: int, escape: bytes, half: int, name: str, letters: int
) -> None:
    sets = character_sets_from(("", f"ISO 2022 IR {number}"), "")
    cells = [bytes((row | half, column | half)) for row in range(0x21, 0x7F) for column in range(0x21, 0x7F)]
    known = b"".join(cell for cell in cells if sets.decode(escape + cell)[1] is Trouble.NONE)
    assert len(known) == 2 * letters
    expected = _converted(known if half else escape + known + b"\x1b(B", name)
    assert sets.decode(escape + known) == (expected, Trouble.NONE)


def test_ok__every_line_of_a_long_text_names_its_set_anew() -> None:
    """PS3.5 K.3: 第 is b5da, 一 d2bb, 二 b6fe, 行 d0d0; after a line's end it is ASCII again (6.1.2.5.3)."""
    line = "3129 20 1b242941 b5da {} d0d0 0d0a 3229 20 1b242941 b5da {} d0d0"
    sets = character_sets_from(("", "ISO 2022 IR 58"), "")
    assert sets.decode(bytes.fromhex(line.format("d2bb", "b6fe")), b"") == ("1) 第一行\r\n2) 第二行", Trouble.NONE)


# -- what is not as it should be


@pytest.mark.parametrize(
    ("terms", "written", "groups", "finding"),
    [
        # an escape sequence of which the rest is missing, and one of no set
        ("\\ISO 2022 IR 87", "41 1b", ("A\ufffd",), "Patient's Name has bytes that are no characters"),
        ("\\ISO 2022 IR 87", "41 1b2451 5e 42", ("A\ufffd B",), "Patient's Name has bytes"),
        # half a character, and one that JIS X 0208 does not have
        ("\\ISO 2022 IR 87", "1b2442 3b33 45 1b2842 5e 41", ("山\ufffd A",), "Patient's Name has bytes"),
        ("\\ISO 2022 IR 87", "1b2442 3b33 7e7e 4544 1b2842", ("山\ufffd田",), "Patient's Name has bytes"),
        ("ISO_IR 192", "4dc3bc ff 6c", ("Mü\ufffdl",), "Patient's Name has bytes"),
        ("GB18030", "41 ff 5e 42", ("A\ufffd B",), "Patient's Name has bytes"),
        ("ISO_IR 100", "41 8a", ("A\ufffd",), "Patient's Name has bytes"),
        ("ISO_IR 127", "e2 a1 c8", ("ق\ufffdب",), "Patient's Name has bytes"),
        # the escape sequence is not repeated behind the delimiter, and only one set can be meant
        ("\\ISO 2022 IR 149", "1b242943 fbf3 5e d1ced4d7", ("洪 吉洞",), "does not say which characters"),
        # ASCII is named and Latin-1, which the peer usually sends, is sent
        ("ISO_IR 6", "4dfc6c6c6572", ("Müller",), "does not say which characters"),
        # misspelt terms, unknown ones, and a set that must stand alone
        ("ISO_IR_100", "4dfc6c6c6572", ("Müller",), "Character set ISO_IR_100 is not one of DICOM's"),
        ("iso-ir 100", "4dfc6c6c6572", ("Müller",), "Character set iso-ir 100 is not one of DICOM's"),
        ("UTF-8", "4dc3bc6c", ("Mül",), "Character set UTF-8 is not one of DICOM's"),
        ("LATIN", "4dfc6c6c6572", ("Müller",), "Character set LATIN is not one of DICOM's"),
        ("\\ISO_IR 87", "1b2442 3b33 1b2842", ("山",), "Character set ISO_IR 87 is not one of DICOM's"),
        ("ISO_IR 192\\ISO 2022 IR 87", "4dc3bc6c", ("Mül",), "Character set ISO_IR 192 must stand alone"),
    ],
)
def test_ok__what_is_wrong_is_said_and_the_rest_is_right(
    terms: str, written: str, groups: tuple[str, ...], finding: str
) -> None:
    item = item_of(terms, bytes.fromhex(written))
    assert item.patient_name.groups() == groups
    assert len(item.findings) == 1
    assert finding in item.findings[0]


@pytest.mark.parametrize(
    ("default", "written", "groups"),
    [
        ("ISO_IR 101", "a3f3", ("Łó",)),
        ("ISO_IR 192", "4dc3bc6c", ("Mül",)),
        ("\\ISO 2022 IR 87", "3d 1b2442 3b33 1b2842", ("山",)),
        ("GB18030", "815c", ("乗",)),
    ],
)
def test_ok__a_peer_that_names_no_set_has_its_own(default: str, written: str, groups: tuple[str, ...]) -> None:
    item = item_of("", bytes.fromhex(written), default)
    assert (item.patient_name.groups(), item.findings) == (groups, ())


_TERMS = st.sampled_from(sorted({terms for terms, _, _ in NAMES}))


@given(_TERMS, st.binary(max_size=40), st.sampled_from([b"", b"\\", b"\\^="]))
def test_ok__any_bytes_are_text(terms: str, data: bytes, delimiters: bytes) -> None:
    text, trouble = character_sets_from(tuple(terms.split("\\")), "ISO_IR 100").decode(data, delimiters)
    assert "\x1b" not in text or terms in {"ISO_IR 192", "GB18030", "GBK"}
    assert not any("\x80" <= letter < "\xa0" for letter in text)
    assert trouble is not Trouble.UNREADABLE or MARK in text


@given(_TERMS, st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7D, exclude_characters="\\"), max_size=20))
def test_ok__ascii_is_ascii_everywhere(terms: str, text: str) -> None:
    assert character_sets_from(tuple(terms.split("\\")), "").decode(text.encode()) == (text, Trouble.NONE)


# -- over the line


def test_ok__every_name_from_wlmscpfs(tmp_path: Path) -> None:
    plain = worklist_file(tmp_path, character_set="CHARACTERS", name=b"PATIENTNAME!", number=1, day=DAY)
    items = []
    for number, (terms, written, _) in enumerate(NAMES):
        changed = plain.replace(b"ACC00001", f"N{number:07}".encode()).replace(b"SPS00001", f"S{number:07}".encode())
        changed = changed.replace(b"\x08\0\x05\0CS\x0a\0CHARACTERS", _element(0x00080005, b"CS", terms.encode()))
        name = _element(0x00100010, b"PN", bytes.fromhex(written))
        items.append(changed.replace(b"\x10\0\x10\0PN\x0c\0PATIENTNAME!", name))
    with running(start_wlmscpfs(tmp_path / "wl", "RIS", *items)) as scp:
        source = WorklistSource(name="ris", ae_title="RIS", host="127.0.0.1", port=scp.port)
        found = query_worklist(source, Caller("BRIDGE"), DAY)
    shown = {item.accession_number: item for item in map(item_from_packed, (one.packed for one in found.entries))}
    assert [shown[f"N{number:07}"].patient_name.groups() for number in range(len(NAMES))] == [one[2] for one in NAMES]
    assert not any(item.findings for item in shown.values())


def test_ok__chinese_from_wlmscpfs_as_the_standard_and_as_pydicom_write_it(tmp_path: Path) -> None:
    """pydicom 3.0 writes GB 2312 without its escape sequence: it is shown right where only that set can be meant, and
    with a remark, since the bytes alone do not say it.
    """
    name = "Zhang^XiaoDong=张^小东="
    terms = [["", "ISO 2022 IR 58"], ["ISO 2022 IR 58"]]
    files = [
        worklist_file(tmp_path, character_set="\\".join(one), name=CHINESE, number=number, day=DAY)
        for number, one in enumerate(terms)
    ]
    for number, one in enumerate(terms, start=len(files)):
        written = dcmread(BytesIO(worklist_file(tmp_path, character_set="", name=b"", number=number, day=DAY)))
        written.SpecificCharacterSet = one
        written.PatientName = name
        written.save_as(file := BytesIO())
        files.append(file.getvalue())
    with running(start_wlmscpfs(tmp_path / "wl", "RIS", *files)) as scp:
        source = WorklistSource(name="ris", ae_title="RIS", host="127.0.0.1", port=scp.port)
        found = query_worklist(source, Caller("BRIDGE"), DAY)
    shown = {item.accession_number: item for item in map(item_from_packed, (one.packed for one in found.entries))}
    assert len(shown) == 4
    for number, file in enumerate(files):
        item = shown[f"ACC{number:05}"]
        assert item.patient_name.groups() == ("Zhang XiaoDong", "张 小东")
        says_so = b"\x1b$)A" in file or number == 3  # what stands alone needs none
        remark = "Patient's Name does not say which characters it is in; the usual ones were taken"
        assert item.findings == (() if says_so else (remark,))
