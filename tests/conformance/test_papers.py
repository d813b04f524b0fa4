"""What is told beside the statement: IHE's integration statement, the MDS2 answers, and all papers as files."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from appliance.base.pins import kept_pin_from
from appliance.cli.main import main
from appliance.config.example import EXAMPLE
from appliance.config.load import load_configuration
from appliance.config.schema import Configuration
from appliance.conformance.ihe import ACTORS, Claim, integration_statement_of
from appliance.conformance.mds2 import ANSWERS, OWNER_FILLS, Answer, form_of, identifiers
from appliance.conformance.profile import OWN_PROFILES, own_profile
from tests.conformance.golden import changed

DAY = date(2026, 11, 22)
TLS = {"certificate": "box.pem", "key": "box.key", "authorities": "ca.pem"}


@pytest.fixture(scope="module")
def example() -> Configuration:
    return load_configuration(EXAMPLE)


def encrypted(example: Configuration) -> Configuration:
    """Every connection over TLS, and the audit trail collected."""
    tree = example.model_dump(mode="json", exclude_unset=True)
    tree |= {"tls": TLS, "listener": {"port": None, "tls_port": 2762}, "audit": {"host": "collector"}}
    for peer in (*tree["worklist"], *tree["destinations"], tree["performed_step"]):
        peer["tls"] = True
    return Configuration.model_validate_json(json.dumps(tree))


def claims(configuration: Configuration) -> dict[str, Claim]:
    return {one.actor: one for one in integration_statement_of(configuration, DAY).claims}


# A key, its value, and what of each actor is claimed then: None, or the options.
CLAIMED: list[tuple[str, Any, dict[str, set[str] | None]]] = [
    (
        "box.name",
        "bridge",
        {"Acquisition Modality": {"Patient Based Worklist Query", "PPS Exception Management", "Modality Group Case"}},
    ),
    (
        "worklist.0.modalities",
        ["US"],
        {"Acquisition Modality": {"Patient Based Worklist Query", "PPS Exception Management", "Modality Group Case"}},
    ),
    # A rejection note is no image: what ties images to their order is not asked of it.
    (
        "box.corrections",
        True,
        {"Acquisition Modality": {"Patient Based Worklist Query", "PPS Exception Management", "Modality Group Case"}},
    ),
    ("worklist", [], {"Acquisition Modality": None}),
    ("performed_step", None, {"Acquisition Modality": None}),
    ("destinations.0.commitment", False, {"Acquisition Modality": None}),
    ("devices", [], {"Acquisition Modality": None}),
]


@pytest.mark.parametrize(("key", "value", "expected"), CLAIMED, ids=[key for key, _, _ in CLAIMED])
def test_ok__what_is_claimed_follows_from_the_configuration(
    key: str, value: Any, expected: dict[str, set[str] | None], example: Configuration
) -> None:
    found = claims(changed(example, key, value))
    for actor, options in expected.items():
        assert found[actor].is_made == (options is not None), found[actor].lacking
        if options is not None:
            assert set(found[actor].options) == options
    assert not found["Importer"].is_made, "nothing of the film's own data is kept as original values"
    assert not found["Secure Application"].is_made


def test_ok__the_broad_query_is_an_option_once_it_is_configured(example: Configuration) -> None:
    tree = changed(example, "worklist.0.modalities", ["US"])
    found = claims(changed(tree, "worklist.0.scheduled_station_ae_title", "US1"))
    assert "Broad Worklist Query" in found["Acquisition Modality"].options


def test_ok__a_secure_application_is_one_where_everything_is_encrypted(example: Configuration) -> None:
    whole = encrypted(example)
    assert claims(whole)["Secure Application"].is_made
    assert [one.partition(":")[0] for one in claims(whole)["Secure Application"].to_confirm] == ["SWF-CT"]
    for key in ("worklist.0.tls", "destinations.0.tls", "performed_step.tls"):
        tree = whole.model_copy(update={"listener": whole.listener.model_copy(update={"port": 11112})})
        assert not claims(changed(tree, key, False))["Secure Application"].is_made, key
    assert not claims(changed(whole, "audit", None))["Secure Application"].is_made


def test_ok__what_a_person_must_confirm_stands_beside_the_claim(example: Configuration) -> None:
    found = claims(example)["Acquisition Modality"].to_confirm
    assert [one.partition(":")[0] for one in found] == ["SWF-CT", "SWF-GROUP"]


def test_ok__every_option_names_a_requirement_of_its_file() -> None:
    for actor in ACTORS:
        known = {one.id for one in own_profile(actor.requirements).requirements}
        assert {requirement for _, requirement in actor.options} <= known


def test_ok__the_form_has_every_question_once_and_answers_what_it_says() -> None:
    every = list(identifiers())
    assert len(every) == len(set(every)) == len(form_of(Configuration()).rows)
    assert ANSWERS.keys() <= set(every)
    assert every[:3] == ["DOC-1", "DOC-2", "DOC-3"] and {"MPII-2.9", "CONN-1.1.4", "SAHD-6.2", "RMOT-3"} <= set(every)


def test_ok__what_nobody_knows_is_left_to_whoever_does(example: Configuration) -> None:
    for one in form_of(example).rows:
        if one.id not in ANSWERS:
            assert (one.answer, one.note, one.words) == (Answer.SEE_NOTE, OWNER_FILLS, "")


def answers_of(configuration: Configuration) -> dict[str, Answer]:
    return {one.id: one.answer for one in form_of(configuration).rows}


NAMED = ("ALOF-1", "AUTH-1", "PAUT-1", "PAUT-3", "PAUT-14", "AUDT-2.2")
OPERATORS = [{"name": "Doe^Jane", "pin": kept_pin_from("4711")}]
# What makes an answer another one, and to which.
FLIPS: list[tuple[str, Any, dict[str, Answer]]] = [
    (
        "operators",
        OPERATORS,
        dict.fromkeys(NAMED, Answer.YES),
    ),
    ("devices", [], dict.fromkeys(("MPII-3.4", "MPII-3.8", "MPII-3.9", "TXIG-2"), Answer.NO)),
]


@pytest.mark.parametrize(("key", "value", "expected"), FLIPS, ids=[key for key, _, _ in FLIPS])
def test_ok__answers_follow_from_the_configuration(
    key: str, value: Any, expected: dict[str, Answer], example: Configuration
) -> None:
    before, behind = answers_of(example), answers_of(changed(example, key, value))
    for identifier, answer in expected.items():
        assert behind[identifier] is answer is not before[identifier], identifier


def test_ok__what_is_sent_is_encrypted_only_where_everything_is(example: Configuration) -> None:
    asked = ("TXCF-2", "TXCF-4", "TXCF-5", "TXIG-1", "NAUT-1", "NAUT-3")
    whole = encrypted(example)
    assert {answers_of(whole)[one] for one in asked} == {Answer.YES}
    assert {answers_of(example)[one] for one in asked} == {Answer.NO}
    assert {answers_of(Configuration())[one] for one in asked} == {Answer.NOT_APPLICABLE}
    assert [answers_of(one)["MPII-3.5"] for one in (example, Configuration())] == [Answer.YES, Answer.NO]
    assert answers_of(whole)["AUDT-5.2"] is Answer.YES and answers_of(example)["AUDT-5.2"] is Answer.NO


def test_ok__what_goes_by_itself_is_what_is_configured(example: Configuration) -> None:
    def said(**keys: Any) -> str:
        site = example
        for key, value in keys.items():
            site = changed(site, f"destinations.0.{key}", value)
        (note,) = [one.note for one in form_of(site).rows if one.id == "MPII-2.5"]
        return note

    assert "archive committed" in said() and "C-FIND" not in said() and "flash runs short" in said()
    assert "archive committed" not in said(commitment=False)
    assert "C-FIND verified" in said(commitment=False, verify_by_find=True)


def test_ok__the_trail_is_answered_for_without_operators_too(example: Configuration) -> None:
    """Support's logins are recorded, and the trail can be had, whatever is configured."""
    answers = answers_of(example)
    assert (answers["AUDT-2.1"], answers["AUDT-5"], answers["AUDT-2.2"]) == (Answer.YES, Answer.YES, Answer.NO)


PAPERS = ("conformance-statement", "integration-statement", "mds2")
REPORTS = [f"profile-{name}" for name in OWN_PROFILES]


@pytest.mark.parametrize("form", ["html", "markdown", "docbook", "json"])
@pytest.mark.parametrize(("paper", "said"), [("integration", "Acquisition Modality"), ("mds2", "TXCF-2")])
def test_ok__the_commands(paper: str, said: str, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", paper, "--config", str(EXAMPLE), "--format", form]) == 0
    printed = capsys.readouterr().out
    assert said in printed
    if form == "json":
        assert json.loads(printed)["product"]["name"]


def test_ok__every_paper_as_a_file(tmp_path: Path) -> None:
    assert main(["conformance", "documents", str(tmp_path / "papers"), "--config", str(EXAMPLE)]) == 0
    names = {path.name for path in (tmp_path / "papers").iterdir()}
    assert names == {
        "profile-example.toml",
        *(f"{name}.{ending}" for name in (*PAPERS, *REPORTS) for ending in ("html", "json")),
    }
    for path in (tmp_path / "papers").glob("*.html"):
        assert path.read_text().startswith("<!DOCTYPE html>")


def test_ok__papers_of_a_build_are_of_its_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert main(["conformance", "integration", "--config", str(EXAMPLE)]) == 0
    assert "| Date | 2023-11-14 |" in capsys.readouterr().out


def test_fail__a_directory_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["conformance", "documents", str(tmp_path / "file" / "papers"), "--config", str(EXAMPLE)]) == 1
    assert "cannot be written" in capsys.readouterr().err
