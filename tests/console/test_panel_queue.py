"""The queue as the panel draws it: stored, committed, and stored where nobody commits, are told apart in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.console.conftest import Bench


def _object(uid: str, **states: str) -> dict[str, Any]:
    told = {"stored_at": "2026-11-22T09:30:00+01:00", "committed_at": "", "said": ""}
    return {
        "sop_instance_uid": uid,
        "exam_id": "20261122-093000-0001",
        "device": "ultrasound",
        "modality": "US",
        "kind": "transfer",
        "frames": 1,
        "bytes": 1000,
        "saved_at": "2026-11-22T09:29:00+01:00",
        "destinations": {name: {**told, "state": state} for name, state in states.items()},
    }


def _destination(name: str, **given: object) -> dict[str, Any]:
    counts = dict.fromkeys(("pending", "stored", "stored_only", "verified", "committed", "refused"), 0)
    return {"name": name, "trouble": "", "commits": True} | counts | given


@pytest.fixture(scope="module")
def page(quiet_bench: Bench) -> Iterator[Page]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = chromium.new_page()
        page.goto(quiet_bench.address())
        yield page
        chromium.close()


def _draw(page: Page, queue: dict[str, Any], destinations: list[dict[str, Any]]) -> dict[str, Any]:
    """The words of each object's cells, of each destination's line, and of each step."""
    drawn: dict[str, Any] = page.evaluate(
        """async ([queue, destinations]) => {
            const { drawQueue } = await import("/static/queue.js");
            drawQueue(queue, { findings: [], destinations }, "", [], () => {});
            const all = (name) => [...document.querySelectorAll(`[data-testid=${name}]`)];
            const cells = (row) => [...row.children].slice(1).map((cell) => cell.firstChild.textContent);
            return {
                rows: Object.fromEntries(all("queue-object").map((row) => [row.dataset.uid, cells(row)])),
                destinations: all("destination").map((line) => line.textContent.trim()),
                steps: all("step").map((step) => step.textContent),
            };
        }""",
        [queue, destinations],
    )
    return drawn


def test_ok__an_archive_that_does_not_commit_is_told_apart(page: Page) -> None:
    queue = {
        "objects": [
            _object("1", archive="committed"),
            _object("2", archive="stored"),
            _object("3", plain="stored_only"),
            _object("4", plain="verified"),
        ],
        "steps": [],
        "exams": {},
        "open": None,
    }
    destinations = [
        _destination("archive", committed=1, stored=1),
        _destination("plain", commits=False, stored_only=1, verified=1),
    ]
    drawn = _draw(page, queue, destinations)
    assert drawn["rows"] == {
        "1": ["✓ saved", "✓ stored in archive", "✓ committed in archive"],
        "2": ["✓ saved", "✓ stored in archive", "not committed in archive"],
        "3": ["✓ saved", "✓ stored in plain; this archive does not commit"],
        "4": ["✓ saved", "✓ stored in plain and found there; this archive does not commit"],
    }
    assert drawn["destinations"] == [
        "archive 0 waiting · 1 stored, not committed yet · 1 committed",
        "plain 0 waiting · 2 stored; this archive does not commit",
    ]


def test_ok__what_waits_says_why_and_until_when(page: Page) -> None:
    objects = [_object("1", archive="pending"), _object("2", archive="stored"), _object("3", old="refused")]
    down, removed = "PACS refuses connections.", "This destination is not configured any more: configure it again."
    objects[0]["destinations"]["archive"]["trouble"] = down
    objects[1]["destinations"]["archive"] |= {"trouble": down, "said": "coerced"}
    objects[2]["destinations"]["old"] |= {"trouble": removed, "said": "C000H"}
    step = {"exam_id": objects[0]["exam_id"], "modality": "US", "state": "due", "said": ""}
    queue = {"objects": objects, "steps": [step, step | {"trouble": "RIS is down."}], "exams": {}, "open": None}
    waiting = {"pending": 1, "pending_since": "2026-11-22T09:29:00+01:00"}
    drawn = _draw(
        page,
        queue,
        [
            _destination("archive", **waiting, trouble=down, seconds_to_next_attempt=41.2),
            _destination("second", **waiting, trouble=down, seconds_to_next_attempt=0.0),
            _destination(
                "old",
                refused=1,
                stored_only=4,
                released=2,
                is_configured=False,
                trouble=removed,
                seconds_to_next_attempt=0.0,
            ),
        ],
    )
    assert [cells[-1] for cells in drawn["rows"].values()] == [down, f"coerced · {down}", f"Refused: C000H · {removed}"]
    assert drawn["steps"] == ["Step US: to be told", "Step US: to be told (RIS is down.)"]
    since = "1 waiting since 22 Nov 2026 09:29:00 · 0 stored, not committed yet · 0 committed"
    assert drawn["destinations"] == [
        f"archive {since} {down} It is tried again in 41 s.",
        f"second {since} {down} It is tried again now.",
        f"old 0 waiting · 4 stored · 2 released · 1 refused  {removed}",
    ]


def test_ok__the_room_is_said_in_what_a_person_thinks_in(page: Page) -> None:
    said = page.evaluate(
        """async () => {
            const { drawQueue } = await import("/static/queue.js");
            const status = await (await fetch("/api/status")).json();
            drawQueue({ objects: [], steps: [] }, status, "", [], () => {});
            return document.querySelector("[data-testid=room]").textContent;
        }"""
    )
    assert re.fullmatch(r"Room for about \d+ minutes of clip \(.+\), or \d+ films \(.+\); [\d.]+ GB are free\.", said)


def test_ok__what_has_expired_is_not_shown_as_saved(page: Page) -> None:
    gone = _object("1", archive="expired") | {"expired_at": "2026-12-22T09:29:00+01:00"}
    queue = {"objects": [gone], "steps": [], "exams": {}, "open": None}
    drawn = _draw(page, queue, [_destination("archive", committed=1)])
    assert drawn["rows"] == {"1": ["expired", "✓ stored", "✓ committed"]}
