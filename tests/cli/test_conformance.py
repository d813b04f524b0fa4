"""`appliance conformance statement`: the command."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from appliance.cli.main import main
from appliance.config.example import EXAMPLE


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["conformance", "statement", "--config", str(EXAMPLE), *arguments]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return said.out


def test_ok__markdown(capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys)
    assert "| Patient ID | (0010,0020) | LO | 2 | VNAP | MWL; USER; GENERATED |" in said
    assert "### 1.3 DICOM Web Services - N/A" in said


def test_ok__html_asks_nobody_for_anything(capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys, "--format", "html")
    assert said.startswith("<!DOCTYPE html>")
    assert not re.search(r'(?:src|href)="(?!#)|url\(|@import|<script', said)
    # Every line of the contents leads somewhere.
    assert set(re.findall(r'href="#([^"]+)"', said)) == set(re.findall(r'<h\d id="([^"]+)"', said))


def test_ok__docbook_is_docbook(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "statement.xml"
    file.write_text(run(capsys, "--format", "docbook"))
    checked = subprocess.run(["xmllint", "--noout", file], capture_output=True, text=True, timeout=60, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert file.read_text().count("<section") > 80


def test_ok__json_is_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    said = json.loads(run(capsys, "--format", "json"))
    assert said["format"] == "modality-bridge/conformance-statement/1"
    assert {one["role"] for one in said["services"]} == {"SCU", "SCP"}


def test_fail__a_configuration_that_is_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["conformance", "statement", "--config", str(tmp_path / "none.toml")]) == 1
    assert "none.toml" in capsys.readouterr().err
