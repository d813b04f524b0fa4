"""A purchaser's profile as it is read: what is understood, and how each thing that is not is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.conformance.needs import AttributeNeed, PersonNeed, keywords_of
from appliance.conformance.profile import (
    PROFILES,
    Profile,
    Strength,
    UnreadableProfile,
    WrittenProfile,
    read_profile,
    schema,
)

HEAD = 'equipment = "modality interface"\ntitle = "T"\npurchaser = "P"\n'


def requirement(needs: str, number: int = 1, strength: str = "shall", more: str = "") -> str:
    return (
        f'[[requirements]]\nid = "R-{number}"\nstrength = "{strength}"\ntext = "Something."\nneeds = [{needs}]\n{more}'
    )


def read(tmp_path: Path, text: str | bytes) -> Profile:
    file = tmp_path / "profile.toml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_profile(file)


@pytest.mark.parametrize("name", sorted(path.stem for path in PROFILES.glob("*.toml")))
def test_ok__the_products_own_are_understood(name: str) -> None:
    profile = read_profile(PROFILES / f"{name}.toml")
    assert [one.fault for one in profile.requirements] == [""] * len(profile.requirements)
    assert profile.title and profile.requirements


def test_ok__the_example_has_every_kind_of_need() -> None:
    text = (PROFILES / "example.toml").read_text()
    kinds = schema()["$defs"]
    for kind in (one for one in kinds.values() if "about" in one.get("properties", {})):
        assert f'about = "{kind["properties"]["about"]["const"]}"' in text
        for key in kind["properties"]:
            assert f"{key} = " in text, key


def test_ok__the_schema_takes_the_example() -> None:
    import tomllib

    WrittenProfile.model_validate_json(json.dumps(tomllib.loads((PROFILES / "example.toml").read_text())))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "does not say what equipment it is for"),
        ('equipment = "archive"', "is for 'archive', and this is a modality interface"),
        (HEAD, "has no [[requirements]]"),
        (HEAD + "colour = 1\n" + requirement('{ about = "person", look_at = "it" }'), "'colour' at its top"),
        ("[[[", "is no TOML"),
        (b"\xff\xfe", "is no TOML"),
        (b"#" * 1_100_000, "more than 1 MiB"),
        (HEAD + requirement('{ about = "person", look_at = "it" }') * 1001, "1001 requirements"),
    ],
)
def test_fail__what_is_no_profile(text: str | bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableProfile) as refused:
        read(tmp_path, text)
    assert said in refused.value.sentence


def test_fail__a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnreadableProfile, match="cannot be read"):
        read_profile(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        ('{ about = "service", sop_class = "1.2.3", role = "SCU" }', "need 1, sop_class: '1.2.3' is no UID"),
        ('{ about = "service", sop_class = "Verificaton", role = "SCU" }', "did you mean 'Verification'?"),
        ('{ about = "service", sop_class = "Verification", role = "USER" }', "need 1, role"),
        ('{ about = "attribute", path = "PatientIdentity" }', "'PatientIdentity' is no keyword of PS3.6"),
        ('{ about = "attribute", path = "PatientID", presence = ["SOMETIMES"] }', "need 1, presence.0"),
        ('{ about = "attribute", path = "PatientID", where = 1 }', "need 1, where: is not known here"),
        ('{ about = "attribute", path = "(0009,1001)" }', "'(0009,1001)' is no tag of PS3.6"),
        ('{ about = "attribute", path = "0040,0275 > 0008,FFFF" }', "'0008,FFFF' is no tag of PS3.6"),
        ('{ about = "worklist key", path = "PatientWisdom" }', "'PatientWisdom' is no keyword of PS3.6"),
        ('{ about = "object", sop_class = "JPEGBaseline8Bit" }', "is a Transfer Syntax, and no SOP class"),
        (
            '{ about = "object", sop_class = "SecondaryCaptureImageStorage", transfer_syntax = "Verification" }',
            "need 1, transfer_syntax: 'Verification' is a SOP Class, and no transfer syntax",
        ),
        (
            '{ about = "character set", term = "ISO_IR 10", direction = "read" }',
            "'ISO_IR 10' is no defined term of PS3.3 C.12.1.1.2; did you mean 'ISO_IR 1",
        ),
        ('{ about = "end of study", states = ["FINISHED"] }', "need 1, states.0"),
        ('{ about = "attribute", path = "" }', "'' is no keyword of PS3.6"),
        ('{ about = "attribute", path = "PatientID > ", is_absent = true }', "'' is no keyword of PS3.6"),
        (
            '{ about = "attribute", path = "PatientID > PatientName", is_absent = true }',
            "'PatientID' is no sequence",
        ),
        ('{ about = "attribute", path = "PatientID", presence = [] }', "need 1, presence"),
        (
            '{ about = "attribute", path = "Modality", within = "N-CREATE", sop_class = "EncapsulatedPDFStorage" }',
            "sop_class is of objects",
        ),
        ('{ about = "security" }', "it asks for nothing"),
        ('{ about = "retention", committed_days = 0 }', "it asks for nothing"),
        ('{ about = "retention", committed_days = nan }', "need 1, committed_days"),
        ('{ about = "timer", connection = "destination", name = "answer_seconds", at_least = nan }', "at_least"),
        ('{ about = "timer", connection = "destination", name = "answer_seconds", at_most = nan }', "at_most"),
        ('{ about = "timer", connection = "destination", name = "answer_seconds", at_most = inf }', "at_most"),
        ('{ about = "attribute", path = "Modality", value = "US", is_absent = true }', "has neither value nor source"),
        (
            '{ about = "timer", connection = "destination", name = "answer_seconds", at_least = 9, at_most = 8 }',
            "at_most is below at_least",
        ),
        (
            '{ about = "attribute", path = "Modality", value = "US" }, '
            '{ about = "attribute", path = "(0008,0060)", value = "ES" }',
            "it contradicts itself",
        ),
        ('{ about = "wishes" }', "about must be one of"),
        ('{ colour = "red" }', "about must be one of"),
        ('"text"', "need 1"),
        ("", "it has no needs"),
    ],
)
def test_fail__a_need_that_is_not_understood(needs: str, said: str, tmp_path: Path) -> None:
    (one,) = read(tmp_path, HEAD + requirement(needs)).requirements
    assert said in one.fault


def test_fail__a_requirement_that_is_not_understood_weighs_as_much_as_can_be(tmp_path: Path) -> None:
    text = HEAD + '[[requirements]]\nstrength = "must"\ncolour = 1\n'
    (one,) = read(tmp_path, text).requirements
    assert one.id == "requirement 1" and one.strength is Strength.SHALL
    for said in ("it has no id", "its strength is 'must'", "it has no text", "it has no needs", "'colour' is no key"):
        assert said in one.fault


@pytest.mark.parametrize("strength", ['["shall"]', "{}", "5", "1979-05-27"])
def test_fail__a_strength_that_is_no_word(strength: str, tmp_path: Path) -> None:
    text = HEAD + requirement('{ about = "person", look_at = "it" }').replace('"shall"', strength)
    (one,) = read(tmp_path, text).requirements
    assert "it must be shall, should or may" in one.fault and one.strength is Strength.SHALL


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            '{ about = "attribute", path = "EthnicGroup" }',
            '{ about = "attribute", path = "EthnicGroup", is_absent = true }',
        ),
        (
            '{ about = "attribute", path = "Modality", value = "US" }',
            '{ about = "attribute", path = "Modality", value = "ES" }',
        ),
        (
            '{ about = "attribute", path = "PatientID", presence = ["ALWAYS"] }',
            '{ about = "attribute", path = "PatientID", presence = ["EMPTY"] }',
        ),
        (
            '{ about = "timer", connection = "destination", name = "answer_seconds", at_least = 30 }',
            '{ about = "timer", connection = "destination", name = "answer_seconds", at_most = 20 }',
        ),
    ],
)
def test_fail__requirements_that_contradict_each_other(first: str, second: str, tmp_path: Path) -> None:
    one, other = read(tmp_path, HEAD + requirement(first, 1) + requirement(second, 2)).requirements
    assert (one.fault, other.fault) == ("it contradicts R-2", "it contradicts R-1")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            '{ about = "attribute", path = "Modality", value = "US", sop_class = "SecondaryCaptureImageStorage" }',
            '{ about = "attribute", path = "Modality", value = "ES", sop_class = "EncapsulatedPDFStorage" }',
        ),
        (
            '{ about = "attribute", path = "PatientID", within = "N-CREATE", is_absent = true }',
            '{ about = "attribute", path = "PatientID" }',
        ),
        (
            '{ about = "timer", connection = "destination", name = "answer_seconds", at_least = 30 }',
            '{ about = "timer", connection = "worklist", name = "answer_seconds", at_most = 20 }',
        ),
    ],
)
def test_ok__requirements_about_different_things_do_not(first: str, second: str, tmp_path: Path) -> None:
    found = read(tmp_path, HEAD + requirement(first, 1) + requirement(second, 2)).requirements
    assert [one.fault for one in found] == ["", ""]


def test_fail__two_requirements_of_one_id(tmp_path: Path) -> None:
    need = '{ about = "person", look_at = "it" }'
    one, other = read(tmp_path, HEAD + requirement(need) + requirement(need)).requirements
    assert one.fault == "" and "its id is that of another requirement: R-1" in other.fault
    assert one.needs == (PersonNeed(about="person", look_at="it"),)


def test_ok__a_tag_is_as_good_as_a_keyword(tmp_path: Path) -> None:
    need = '{ about = "attribute", path = "(0040,0275) > 0008,0050" }'
    (one,) = read(tmp_path, HEAD + requirement(need)).requirements
    assert one.fault == ""
    (understood,) = one.needs
    assert isinstance(understood, AttributeNeed)
    assert keywords_of(understood.path) == ("RequestAttributesSequence", "AccessionNumber")
