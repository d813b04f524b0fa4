"""What changed between two configurations, by key."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.config.changes import changes_between, settings_from
from appliance.config.example import EXAMPLE
from appliance.config.load import configuration_from

TEXT = EXAMPLE.read_text(encoding="utf-8")
DESTINATION = '[[destinations]]\nname = "archive"\nae_title = "ARCHIVE"\nhost = "127.0.0.1"\nport = {}\n'


def changes(before: str, after: str) -> list[str]:
    return changes_between(
        *(settings_from(configuration_from(text.encode(), Path("site.toml"))) for text in (before, after))
    )


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (DESTINATION.format(104), DESTINATION.format(104), []),
        (DESTINATION.format(104), DESTINATION.format(11112), ["destinations[0].port was 104, is 11112"]),
        ('[box]\nname = "left"\n', '[box]\nname = "right"\n', ['box.name was "left", is "right"']),
        # What is left out has its default's value: naming it changes nothing.
        ("", '[box]\nname = "bridge"\n', []),
        (
            '[tls]\ncertificate = "a.pem"\nkey = "b.pem"\nauthorities = "c.pem"\n',
            "",
            [
                'tls.certificate was "a.pem", is gone',
                'tls.key was "b.pem", is gone',
                'tls.authorities was "c.pem", is gone',
            ],
        ),
    ],
)
def test_ok__changes(before: str, after: str, said: list[str]) -> None:
    assert changes(before, after) == said


def test_ok__a_destination_more() -> None:
    said = changes("", DESTINATION.format(104))
    assert 'destinations[0].ae_title is new: "ARCHIVE"' in said
    assert all(one.startswith("destinations[0].") for one in said)


def test_ok__the_example_is_itself() -> None:
    assert changes(TEXT, TEXT) == []
