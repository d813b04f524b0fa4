"""Setting a key changes that key: every other letter of the file stays."""

from __future__ import annotations

import difflib
import tomllib
from typing import Any

import pytest

from appliance.config.editing import EditError, text_with, value_from
from appliance.config.example import EXAMPLE

TEXT = """# our box
[box]
name = "left"        # the door's side

[[destinations]]
name = "archive"
port = 104   # not 11112
modalities = ["US", # one
  "ES"]

[[destinations]]
name = "second"
port = 105
"""


def _changed_lines(before: str, after: str) -> list[str]:
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return [line.rstrip() for line in lines if line[0] in "+-"]


@pytest.mark.parametrize(
    ("key", "value", "lines"),
    [
        (
            "box.name",
            "right",
            ['- name = "left"        # the door\'s side', '+ name = "right"        # the door\'s side'],
        ),
        ("destinations[0].port", 11112, ["- port = 104   # not 11112", "+ port = 11112   # not 11112"]),
        ("destinations[second].port", 106, ["- port = 105", "+ port = 106"]),
        ("box.ae_title", "BOX", ['+ ae_title = "BOX"']),
        ("box.name", None, ['- name = "left"        # the door\'s side']),
        ("panel.language", "de", ["+", "+ [panel]", '+ language = "de"']),
        ("destinations[1]", None, ["-", "- [[destinations]]", '- name = "second"', "- port = 105"]),
        ("destinations[2].name", "third", ["+", "+ [[destinations]]", '+ name = "third"']),
        ("worklist[0].name", "ris", ["+", "+ [[worklist]]", '+ name = "ris"']),
        ("destinations[0].modalities[1]", "XA", ['-   "ES"]', '+   "XA"]']),
    ],
)
def test_ok__a_key_is_set_and_nothing_else(key: str, value: Any, lines: list[str]) -> None:
    changed = _changed_lines(TEXT, text_with(TEXT, key, value))
    assert [line for line in changed if line not in "+-"] == [line for line in lines if line not in "+-"]


def test_ok__every_comment_of_the_example_stays() -> None:
    text = EXAMPLE.read_text()
    after = text_with(text, "destinations[archive].port", 105)
    after = text_with(after, "devices[endoscope].controls", {"Hue": 1})
    assert len(_changed_lines(text, after)) <= 4
    assert text.count("#") == after.count("#")
    assert text_with(after, "devices[endoscope].controls", {}).count("#") == text.count("#")


def test_ok__windows_ends_of_lines_stay() -> None:
    text = TEXT.replace("\n", "\r\n")
    after = text_with(text, "box.name", "right")
    assert after.replace("\r\n", "").count("\n") == 0
    assert tomllib.loads(after)["box"]["name"] == "right"


@pytest.mark.parametrize(
    ("written", "value"),
    [("104", 104), ("true", True), ("pacs.example", "pacs.example"), ('"104"', "104"), ('["US"]', ["US"]), ("", ""),
     ("10.0.0.1", "10.0.0.1"), ("1\nother = 2", "1\nother = 2"), ("[" * 2000, "[" * 2000), ("A B", "A B")],
)  # fmt: skip
def test_ok__what_a_person_types_is_a_value_or_a_text(written: str, value: Any) -> None:
    assert value_from(written) == value


@pytest.mark.parametrize(
    ("text", "key", "value", "said"),
    [
        (TEXT, "destinations[x].port", 1, 'nothing there is called "x". There are: archive, second.'),
        (TEXT, "destinations[3].port", 1, "is beyond the last one, which is 1."),
        (TEXT, "worklist[1].port", 1, "there is none yet; the first one is 0."),
        (TEXT, "Box-name", 1, "is no key"),
        (TEXT, "box..name", 1, "is no key"),
        (TEXT, "", 1, "is no key"),
        (TEXT, "box.name.more", 1, "what stands there is no section"),
        (TEXT, "box[0]", 1, "what stands there is no section"),
        (TEXT, "box[0].name", 1, "what stands there is no list"),
        (TEXT, "box.ae_title", None, "is not set here"),
        ("[box", "box.name", 1, "the file is not TOML"),
        ("[" * 3000, "box.name", 1, "the file is not TOML"),
    ],
)
def test_fail__what_cannot_be_set_is_said(text: str, key: str, value: Any, said: str) -> None:
    with pytest.raises(EditError) as refused:
        text_with(text, key, value)
    assert said in str(refused.value)
