"""The two lights: what puts out which, and never the other."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from appliance.console.current import CurrentExam
from appliance.console.lights import lights_from
from appliance.exam.exam import open_exam
from tests.console.fakes import make_configuration, make_item

EXAM = open_exam(
    make_item(), make_configuration().devices, datetime(2026, 11, 22, 9, tzinfo=UTC), "E000001-20261122-090000"
)
CALM: dict[str, Any] = {
    "statuses": [{"title": "Endoscope", "state": "idle"}, {"title": "Film", "state": "not running"}],
    "current": CurrentExam(EXAM, is_closing=False),
    "findings": [{"code": "clock-untrusted"}],
    "captured": 0,
    "unassigned": 0,
    "on_the_way": 0,
    "is_forward_silent": False,
}


def codes(**changes: Any) -> tuple[list[str], list[str]]:
    lights = lights_from(**(CALM | changes))
    return [one["code"] for one in lights["switch_off"]], [one["code"] for one in lights["erase"]]


def test_ok__both_are_on_while_nothing_happens_and_nothing_waits() -> None:
    assert codes() == ([], [])
    assert codes(current=None) == ([], [])


@pytest.mark.parametrize(
    ("changes", "switch_off", "erase"),
    [
        ({"statuses": [{"title": "Endoscope", "state": "recording"}]}, ["capturing"], ["capturing"]),
        ({"statuses": [{"title": "Film", "state": "scanning"}]}, ["capturing"], ["capturing"]),
        ({"statuses": [{"title": "Ultrasound", "state": "receiving"}]}, ["capturing"], ["capturing"]),
        ({"current": CurrentExam(EXAM, is_closing=True)}, ["closing"], []),
        ({"findings": [{"code": "audit-unwritten"}]}, ["unsaved"], []),
        ({"findings": [{"code": "flash-unwritable"}]}, ["unsaved"], []),
        ({"findings": [{"code": "data-damaged"}]}, ["unsaved"], []),
        ({"captured": 2}, [], ["captured"]),
        ({"unassigned": 1}, [], ["unassigned"]),
        ({"on_the_way": 3}, [], ["on_the_way"]),
        ({"findings": [{"code": "object-damaged"}]}, [], ["damaged"]),
        ({"findings": [{"code": "quarantined"}]}, [], ["damaged"]),
        ({"is_forward_silent": True}, [], ["unknown"]),
        ({"captured": 1, "on_the_way": 2, "is_forward_silent": True}, [], ["captured", "on_the_way", "unknown"]),
    ],
)
def test_ok__each_reason_puts_out_its_light(changes: dict[str, Any], switch_off: list[str], erase: list[str]) -> None:
    assert codes(**changes) == (switch_off, erase)


def test_ok__a_reason_says_how_many_and_which() -> None:
    lights = lights_from(**(CALM | {"captured": 2, "statuses": [{"title": "Film", "state": "scanning"}]}))
    assert lights["erase"] == [{"code": "capturing", "devices": "Film"}, {"code": "captured", "count": 2}]
