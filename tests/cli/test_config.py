"""`appliance config`: what is in force, what would change, one key set."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from appliance.base.paths import RUN_VARIABLE, STATE_VARIABLE
from appliance.cli.main import main
from appliance.config.effective import keep_effective
from appliance.config.example import EXAMPLE
from appliance.config.load import configuration_from
from appliance.config.restarts import _SERVICES, restarts_between
from appliance.config.schema import Configuration
from appliance.config.short_code import short_code_of

Output = pytest.CaptureFixture[str]
SITE = """# the left one
[box]
name = "left"   # as its label says

[[operators]]
name = "Muster^Anna"
pin = "{pin}"

[[destinations]]
name = "archive"
ae_title = "PACS"
host = "10.0.0.7"
port = 104
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a box that is configured."""
    from appliance.base.pins import kept_pin_from

    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    monkeypatch.setenv(RUN_VARIABLE, str(tmp_path / "run"))
    file = tmp_path / "state/config/active.toml"
    file.parent.mkdir(parents=True)
    file.write_text(SITE.format(pin=kept_pin_from("2468")))
    return file


def _answer(capsys: Output, *arguments: str) -> str:
    assert main(["config", *arguments]) == 0
    return capsys.readouterr().out


def test_ok__everything_that_is_in_force_and_no_secret(site: Path, capsys: Output) -> None:
    lines = _answer(capsys, "show").splitlines()
    assert 'box.name = "left"' in lines and 'box.ae_title = "BRIDGE"' in lines
    assert "destinations[0].port = 104" in lines
    assert "scrypt" not in "\n".join(lines) and any(line.startswith("operators[0].pin = ") for line in lines)
    tree = json.loads(_answer(capsys, "show", "--json"))
    assert tree["destinations"][0]["connect_seconds"] == 10.0
    assert "scrypt" not in json.dumps(tree)


def test_ok__only_what_differs_from_the_defaults(site: Path, capsys: Output) -> None:
    keys = [line.partition(" = ")[0] for line in _answer(capsys, "show", "--diff-defaults").splitlines()]
    destination = [f"destinations[0].{key}" for key in ("ae_title", "host", "port", "name")]
    assert keys == ["box.name", "operators[0].name", "operators[0].pin", *destination]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("box.name", "left\n"),
        ("destinations[0].port", "104\n"),
        ("destinations[archive].commitment", "true\n"),
        ("retention", "committed_days = 14.0\nunproven_days = 90.0\nfacts_days = 90.0\n"),
        ("worklist", "[]\n"),
        ("panel.allowed_hosts", '["127.0.0.1", "localhost"]\n'),
    ],
)
def test_ok__one_key(site: Path, capsys: Output, key: str, value: str) -> None:
    assert _answer(capsys, "get", key) == value


def test_ok__a_key_without_a_value_is_told_by_the_status(site: Path, capsys: Output) -> None:
    assert main(["config", "get", "destinations[0].tls_name"]) == 1
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("key", ["box.nam", "destinations[1]", "destinations[pacs]", "box.name.x", "box[0]"])
def test_fail__no_such_key(site: Path, capsys: Output, key: str) -> None:
    assert main(["config", "get", key]) == 1
    said = capsys.readouterr().err
    assert "there is" in said.lower() and (key != "box.nam" or "Did you mean box.name?" in said)


def test_ok__what_was_kept_is_shown_without_reading_a_schema(site: Path, tmp_path: Path, capsys: Output) -> None:
    """Commands that look answer at once; a file that was changed by hand is read itself."""
    text = site.read_bytes()
    kept = tmp_path / "run/apply/effective.json"
    keep_effective(kept, text, configuration_from(text, site))
    program = """
import sys
from appliance.cli.main import main
status = main(sys.argv[1:])
heavy = {"pydantic", "tomlkit", "httpx", "starlette"} & set(sys.modules)
assert not heavy, heavy
sys.exit(status)
"""
    for words in (
        ["show"],
        ["show", "--diff-defaults", "--json"],
        ["get", "box.name"],
        ["export"],
        ["log"],
        ["example"],
    ):
        command = [sys.executable, "-c", program, "config", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, ""), words
        assert done.stdout == _answer(capsys, *words) or words == ["export"]
    site.write_bytes(text.replace(b'"left"', b'"right"'))
    assert _answer(capsys, "get", "box.name") == "right\n"
    for damaged in (b"", b"[]", b'{"digest": 3}', b"\xff"):
        kept.write_bytes(damaged)
        assert _answer(capsys, "get", "box.name") == "right\n"


def test_ok__what_would_change_and_what_would_start_anew(
    site: Path, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.toml"
    other.write_text(site.read_text().replace("104", "11112"))
    assert _answer(capsys, "diff", str(other)).splitlines() == [
        "destinations[0].port was 104, is 11112",
        "2 services would start anew: appliance-forward.service, appliance-console.service",
    ]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(site.read_bytes())))
    told = json.loads(_answer(capsys, "diff", "-", "--json"))
    assert told == {"is_changed": False, "changes": [], "restarts": []}


def test_ok__the_code_that_a_new_box_shows_of_a_stick(tmp_path: Path, capsys: Output) -> None:
    file = tmp_path / "modality-bridge.toml"
    file.write_bytes(b'[box]\nname = "room-9"\n')
    assert main(["config", "check", "--code", str(file)]) == 0
    assert f"code on a new box's panel: {short_code_of(file.read_bytes())}\n" in capsys.readouterr().out
    assert main(["config", "check", str(file)]) == 0
    assert "a new box's panel" not in capsys.readouterr().out
    # Its certificates lie on the box, not on the desk.
    file.write_bytes(b'[tls]\ncertificate = "/no/box.crt"\nkey = "/no/box.key"\nauthorities = "/no/all.crt"\n')
    assert main(["config", "check", "--code", str(file)]) == 1
    assert short_code_of(file.read_bytes()) in capsys.readouterr().out


def test_ok__the_file_as_it_is(site: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["config", "export"]) == 0
    assert capfdbinary.readouterr().out == site.read_bytes()


def test_ok__one_key_is_set_and_the_comments_stay(site: Path, capsys: Output) -> None:
    before = site.read_text()
    site.chmod(0o604)
    assert _answer(capsys, "set", "destinations[archive].host", "pacs.example", "--file", str(site)) == ""
    assert site.read_text() == before.replace("10.0.0.7", "pacs.example")
    assert site.stat().st_mode & 0o777 == 0o604
    assert _answer(capsys, "set", "destinations[0].commitment", "false", "--file", str(site)) == ""
    assert site.read_text().endswith("port = 104\ncommitment = false\n")
    site.write_text(before.replace("port = 104", "port = 0"))
    assert _answer(capsys, "set", "destinations[0].port", "104", "--file", str(site)) == ""
    assert site.read_text() == before, "what was wrong can be mended so"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("destinations[0].port", "many", ":13: destinations[0].port: should be a valid integer (it is 'many')"),
        ("box.nam", "x", "box.nam: is not a key that is known here; did you mean 'name'?"),
        ("destinations[x].port", "1", 'nothing there is called "x"'),
    ],
)
def test_fail__a_value_that_cannot_be_changes_nothing(
    site: Path, capsys: Output, key: str, value: str, said: str
) -> None:
    before = site.read_bytes()
    assert main(["config", "set", key, value, "--file", str(site)]) == 1
    assert said in capsys.readouterr().err
    assert site.read_bytes() == before


def test_fail__two_boxes_with_one_ae_title(site: Path, tmp_path: Path, capsys: Output) -> None:
    files = [tmp_path / "one.toml", tmp_path / "two.toml", tmp_path / "three.toml"]
    for file, title in zip(files, ("LEFT", "RIGHT", "LEFT"), strict=True):
        file.write_text(f'[box]\n\nae_title = "{title}"\n')
    assert main(["config", "check", *map(str, files)]) == 1
    told = capsys.readouterr()
    assert told.out.splitlines() == [f"{file}: good" for file in files[:2]]
    (said,) = told.err.splitlines()
    assert said.startswith(f"{files[2]}:3: box.ae_title: 'LEFT' is what the box of {files[0]} is called too")


def test_ok__the_schema_is_of_the_file(capsys: Output) -> None:
    schema = json.loads(_answer(capsys, "schema"))
    made = {"$schema": schema["$schema"], "title": "Modality bridge", **Configuration.model_json_schema()}
    told = "appliance/config/schema.json is not of these models; write it anew with what stands here"
    assert schema == made, f"{told}: {json.dumps(made)}"
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(schema["properties"]) == set(Configuration.model_fields)
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Destination"]["properties"]["port"]["maximum"] == 65535


def _sections(text: str) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(text)


def test_ok__every_section_says_who_reads_it() -> None:
    assert set(_SERVICES) == set(Configuration.model_fields)
    assert set(_sections(EXAMPLE.read_text())) <= set(_SERVICES)


def test_ok__a_device_s_own_service_starts_anew() -> None:
    device = '[[devices]]\nname = "c-arm"\ndriver = "xmodem"\nmodality = "XA"\nline = "/dev/appliance/c-arm"\n'
    with_device = configuration_from(device.encode(), Path("site.toml"))
    assert restarts_between(Configuration(), with_device) == (
        r"appliance-acquire@c\x2darm.service",
        "appliance-forward.service",
        "appliance-console.service",
    )
    assert restarts_between(with_device, with_device) == ()
