"""Profiles held against configurations: golden verdicts for the right one and for ten wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.cli.main import main
from appliance.config.example import EXAMPLE
from appliance.config.load import load_configuration
from appliance.config.schema import Configuration
from appliance.conformance.box import statement_of
from appliance.conformance.comparison import Comparison, Verdict, compare_box, compare_statement
from appliance.conformance.levers import LEVERS, Lever, smallest
from appliance.conformance.profile import PROFILES, Profile, read_profile
from tests.conformance.test_box import changed

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
# A key that is wrong, and what comes out otherwise than with the right configuration; with the keys that would mend it.
WRONG: list[tuple[str, Any, dict[str, tuple[Verdict, tuple[str, ...]]]]] = [
    (
        "worklist",
        [],
        {
            "PRIOR-2": (IF, ("[[worklist]]",)),
            "SWF-RAD-5": (IF, ("[[worklist]]",)),
            "SWF-RAD-5-PATIENT": (IF, ("[[worklist]]",)),
            "SWF-RAD-5-KEYS": (IF, ("[[worklist]]",)),
            "SWF-RAD-6": (IF, ("[[worklist]]",)),
            "SWF-GROUP": (IF, ("[[worklist]]",)),
            "SWF-RAD-8": (IF, ("[[worklist]]",)),
            "IRWF-RAD-5": (IF, ("[[worklist]]",)),
            "IRWF-RAD-59": (IF, ("[[worklist]]",)),
            "IRWF-RAD-61": (IF, ("[[worklist]]",)),
        },
    ),
    (
        "performed_step",
        None,
        {
            "PRIOR-4": (IF, ("[performed_step]",)),
            "SWF-RAD-6": (IF, ("[performed_step]",)),
            "SWF-RAD-7": (IF, ("[performed_step]",)),
            "SWF-RAD-7-EXCEPTION": (IF, ("[performed_step]",)),
            "SWF-GROUP": (IF, ("[performed_step]",)),
            "IRWF-RAD-59": (IF, ("[performed_step]",)),
            "IRWF-RAD-60": (IF, ("[performed_step]",)),
        },
    ),
    (
        "destinations",
        [],
        {
            "PRIOR-1": (IF, ("[[destinations]]",)),
            "PRIOR-3": (IF, ("[[destinations]]",)),
            "SWF-RAD-8": (IF, ("[[destinations]]",)),
            "SWF-RAD-10": (IF, ("[[destinations]]",)),
            "IRWF-RAD-61": (IF, ("[[destinations]]",)),
        },
    ),
    (
        "destinations.0.commitment",
        False,
        {
            "PRIOR-3": (IF, ("destinations: commitment = true",)),
            "SWF-RAD-10": (IF, ("destinations: commitment = true",)),
        },
    ),
    (
        "destinations.0.transfer_syntaxes",
        ["explicit-little-endian"],
        {"PRIOR-1": (IF, ("destinations: transfer_syntaxes",))},
    ),
    ("worklist.0.modalities", ["US"], {}),
    ("devices.2.modality", "OT", {}),
    ("retention.committed_days", 0, {}),
    ("box.institution", "", {}),
]


@pytest.mark.parametrize("name", NAMES)
def test_ok__the_right_configuration(name: str, profiles: dict[str, Profile], example: Configuration) -> None:
    comparison = compare_box(profiles[name], example)
    assert (comparison.status, verdicts(comparison)) == RIGHT[name]
    assert all(one.evidence for one in comparison.findings)


@pytest.mark.parametrize(("key", "value", "otherwise"), WRONG, ids=[key for key, _, _ in WRONG])
def test_fail__wrong_ones(
    key: str,
    value: Any,
    otherwise: dict[str, tuple[Verdict, tuple[str, ...]]],
    profiles: dict[str, Profile],
    example: Configuration,
) -> None:
    found: dict[str, tuple[Verdict, tuple[str, ...]]] = {}
    for name in NAMES:
        right = RIGHT[name][1]
        for one in compare_box(profiles[name], changed(example, key, value)).findings:
            if one.verdict is not right[one.requirement.id]:
                found[one.requirement.id] = (one.verdict, one.keys)
    assert found == otherwise


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
