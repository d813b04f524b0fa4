"""Profiles held against configurations: golden verdicts for the right one and for ten wrong ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance.cli.main import main
from appliance.config.example import EXAMPLE
from appliance.config.load import load_configuration
from appliance.config.schema import Configuration
from appliance.conformance.box import statement_of
from appliance.conformance.comparison import Comparison, Verdict, compare_box, compare_statement
from appliance.conformance.levers import LEVERS, Lever, smallest
from appliance.conformance.needs import SecurityNeed
from appliance.conformance.profile import PROFILES, Profile, Requirement, Strength, read_profile
from tests.conformance.golden import DIRECTORY, WRONG, changed, configurations, text_of

NAMES = ("prior-1993", "ihe-swf-acquisition-modality", "ihe-irwf-importer")
MET, NOT, IF, PERSON = Verdict.MET, Verdict.NOT_MET, Verdict.MET_IF, Verdict.BY_PERSON
UNSIGNED = Verdict.NOT_UNDERSTOOD


@pytest.fixture(scope="module")
def profiles() -> dict[str, Profile]:
    return {name: read_profile(PROFILES / f"{name}.toml") for name in NAMES}


@pytest.fixture(scope="module")
def example() -> Configuration:
    return load_configuration(EXAMPLE)


def verdicts(comparison: Comparison) -> dict[str, Verdict]:
    return {one.requirement.id: one.verdict for one in comparison.findings}


# What the example configuration, right as it is, comes to.
RIGHT: dict[str, tuple[int, dict[str, Verdict]]] = {
    "prior-1993": (0, {"PRIOR-1": MET, "PRIOR-2": MET, "PRIOR-3": MET, "PRIOR-4": MET}),
    "ihe-swf-acquisition-modality": (
        3,
        {
            "SWF-RAD-5": MET,
            "SWF-RAD-5-PATIENT": MET,
            "SWF-RAD-5-BROAD": IF,
            "SWF-RAD-5-KEYS": MET,
            "SWF-RAD-6": MET,
            "SWF-RAD-7": MET,
            "SWF-RAD-7-EXCEPTION": MET,
            "SWF-GROUP": PERSON,
            "SWF-RAD-8": MET,
            "SWF-RAD-10": MET,
            "SWF-CT": PERSON,
        },
    ),
    "ihe-irwf-importer": (
        1,
        {
            "IRWF-RAD-5": MET,
            "IRWF-RAD-59": MET,
            "IRWF-RAD-60": MET,
            "IRWF-RAD-61": MET,
            "IRWF-ORIGINAL": NOT,
            "IRWF-EQUIPMENT": NOT,
            "IRWF-UNSCHEDULED": PERSON,
        },
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_ok__the_right_configuration(name: str, profiles: dict[str, Profile], example: Configuration) -> None:
    comparison = compare_box(profiles[name], example)
    assert (comparison.status, verdicts(comparison)) == RIGHT[name]
    assert all(one.evidence for one in comparison.findings)


@pytest.mark.parametrize("name", [name for name, _ in configurations()])
def test_ok__the_reports_are_the_golden_ones(name: str) -> None:
    """Whoever changes them on purpose: `python -m tests.conformance.golden`, and read the difference."""
    assert text_of(dict(configurations())[name]) == (DIRECTORY / f"{name}.txt").read_text(encoding="utf-8")


def test_fail__each_wrong_configuration_comes_to_something_worse() -> None:
    """In at least one of the profiles a *shall* that was met is not, and every such requirement says what would do."""
    reports = {one.stem: one.read_text() for one in DIRECTORY.glob("*.txt")}
    assert reports.keys() == {"right", *WRONG} and len(WRONG) == 10
    right = _verdicts_in(reports["right"])
    for name in WRONG:
        worse = {key: said for key, said in _verdicts_in(reports[name]).items() if said != right[key]}
        assert any("(shall)" in key for key in worse), name
        assert set(worse.values()) <= {"met if configured so", "not met"}, (name, worse)


def _verdicts_in(report: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Z0-9-]+ \([a-z]+\)): (.+)$", report, re.MULTILINE))


def test_fail__without_any_machine(profiles: dict[str, Profile], example: Configuration) -> None:
    comparison = compare_box(profiles["ihe-irwf-importer"], changed(example, "devices", []))
    (film,) = (one for one in comparison.findings if one.requirement.id == "IRWF-RAD-61")
    assert (film.verdict, film.keys) == (IF, ('[[devices]] with driver = "sane"',))


def test_ok__another_products_statement_has_no_configuration(
    profiles: dict[str, Profile], example: Configuration
) -> None:
    statement = statement_of(changed(example, "performed_step", None))
    comparison = compare_statement(profiles["prior-1993"], statement)
    assert verdicts(comparison)["PRIOR-4"] is NOT
    assert comparison.status == 1


def test_fail__what_is_not_understood_is_never_met(tmp_path: Path, example: Configuration) -> None:
    file = tmp_path / "profile.toml"
    file.write_text(
        'equipment = "modality interface"\n[[requirements]]\nid = "X"\nstrength = "shall"\ntext = "Something."\n'
        'needs = [{ about = "no private attributes" }, { about = "service", sop_class = "1.2.3", role = "SCU" }]\n'
    )
    comparison = compare_box(read_profile(file), example)
    assert verdicts(comparison) == {"X": UNSIGNED}
    assert comparison.status == 1


def test_ok__every_lever_does_something() -> None:
    """Pulled on the empty configuration with the peers that it needs."""
    full = Configuration()
    for lever in LEVERS:
        before = full
        full = lever.pull(full)
        usual = lever.keys in ("destinations: commitment = true", "destinations: transfer_syntaxes")
        assert (full != before) or usual, lever.keys
    Configuration.model_validate_json(full.model_dump_json())


@pytest.mark.parametrize(
    ("need", "keys"),
    [
        (SecurityNeed(about="security", audit_collector=True), ("[tls]", "[audit]")),
        (
            SecurityNeed(about="security", encrypted=("destination",)),
            ("[tls]", "listener.tls_port and tls = true of each peer"),
        ),
    ],
)
def test_ok__an_audit_collector_needs_no_encrypted_peer(
    need: SecurityNeed, keys: tuple[str, ...], example: Configuration
) -> None:
    wanted = Profile("P", "", (Requirement("R", Strength.SHALL, "It is.", "", (need,)),))
    (found,) = compare_box(wanted, example).findings
    assert (found.verdict, found.keys) == (Verdict.MET_IF, keys)


def test_ok__the_smallest_set_has_nothing_to_spare() -> None:
    """The first is needed only for the second, and the third for nothing."""
    order: list[str] = []

    def lever(name: str) -> Lever:
        return Lever(name, lambda given: given.model_copy(update={"devices": (*given.devices, name)}))

    def is_met(given: Configuration) -> bool:
        order.append("asked")
        pulled = set(given.devices)
        return "goal" in pulled and not ({"second"} & pulled and "first" not in pulled)

    found = smallest(Configuration(), is_met, [lever("first"), lever("second"), lever("third"), lever("goal")])
    assert found is not None and [one.keys for one in found] == ["goal"]
    assert smallest(Configuration(), lambda _given: False) is None


@pytest.mark.parametrize("form", ["text", "html", "markdown", "docbook", "json"])
def test_ok__the_command(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["conformance", "check", "prior-1993", "--config", str(EXAMPLE), "--format", form]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "PRIOR-4" in said and "Every requirement that shall be met is met." in said


def test_ok__another_statement_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "other.json"
    file.write_text('{"product": {"name": "Other Box", "version": "7", "manufacturer": "Somebody"}}')
    assert main(["conformance", "check", "prior-1993", "--statement", str(file)]) == 1
    said = capsys.readouterr().out
    assert "held against Other Box" in said
    assert (
        "Modality Worklist Information Model - FIND (1.2.840.10008.5.1.4.31) as SCU is not among the services." in said
    )


@pytest.mark.parametrize(
    "words",
    [["--statement", "x.json", "--live", "ris"], ["--write"], ["--live", "ris", "--config", "x.toml"]],
)
def test_fail__words_that_do_not_go_together(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["conformance", "check", "prior-1993", *words])
    assert ended.value.code == 2
    assert "--" in capsys.readouterr().err


def test_ok__the_example_and_its_schema_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", "profile", "--example"]) == 0
    assert capsys.readouterr().out == (PROFILES / "example.toml").read_text()
    assert main(["conformance", "profile", "--schema"]) == 0
    assert '"WrittenRequirement"' in capsys.readouterr().out
