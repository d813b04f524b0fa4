"""The board of what is wrong now."""

from __future__ import annotations

import logging

import pytest

from appliance.base.errors import ApplianceError, Finding, finding_from
from appliance.base.findings import MAX_FINDINGS, FindingBoard


def test_ok__a_finding_stays_until_it_is_cleared() -> None:
    board = FindingBoard()
    board.report(Finding("down", "The archive is down.", "Wait.", "archive"))
    board.report(Finding("down", "The other is down.", "", "other"))
    assert board.as_json() == [
        {"code": "down", "sentence": "The archive is down.", "suggestion": "Wait.", "subject": "archive"},
        {"code": "down", "sentence": "The other is down.", "suggestion": "", "subject": "other"},
    ]
    board.clear("down", "archive")
    board.clear("down", "archive")
    assert [finding.subject for finding in board.listing()] == ["other"]


def test_ok__a_changed_sentence_replaces_the_old_one() -> None:
    board = FindingBoard()
    for number in range(3):
        board.report(Finding("unassigned", f"{number} objects belong to nobody."))
    assert [finding.sentence for finding in board.listing()] == ["2 objects belong to nobody."]


def test_ok__the_same_again_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    board = FindingBoard()
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            board.report(Finding("down", "It is down.", "Wait.", "archive"))
        board.report(Finding("down", "It refuses.", "", "archive"))
        board.clear("down", "archive")
        board.clear("down", "archive")
    assert [record.getMessage().strip() for record in caplog.records] == [
        "archive: down: It is down. Wait.",
        "archive: down: It refuses.",
        "archive: down: over",
    ]


def test_ok__a_count_that_grows_does_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    board = FindingBoard()
    with caplog.at_level(logging.INFO):
        for number in range(1, 1001):
            board.report(Finding("torn", f"{number} frames were left out.", "", "endoscope"))
        board.clear("torn", "endoscope")
    logged = [record.getMessage().strip() for record in caplog.records]
    assert logged[:4] == [f"endoscope: torn: {number} frames were left out." for number in (1, 2, 3, 5)]
    assert len(logged) == 12
    assert logged[-1] == "endoscope: torn: over; at last: 1000 frames were left out."


def test_ok__the_board_is_bounded_and_the_oldest_falls_off() -> None:
    board = FindingBoard()
    for number in range(MAX_FINDINGS + 5):
        board.report(Finding("code", "Sentence.", "", str(number)))
    subjects = [finding.subject for finding in board.listing()]
    assert subjects == [str(number) for number in range(5, MAX_FINDINGS + 5)]


def test_ok__an_error_becomes_a_finding() -> None:
    error = ApplianceError("It broke.", "Mend it.")
    assert finding_from(error, "broken", "box") == Finding("broken", "It broke.", "Mend it.", "box")
    assert (str(error), str(ApplianceError("It broke."))) == ("It broke. Mend it.", "It broke.")
