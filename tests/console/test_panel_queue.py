"""The queue as the panel draws it: stored, committed, and stored where nobody commits, are told apart in words."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import sync_playwright

from tests.console.conftest import Bench


def _object(uid: str, **states: str) -> dict[str, Any]:
    told = {"stored_at": "2026-11-22T09:30:00+01:00", "committed_at": "", "said": ""}
    return {
        "sop_instance_uid": uid,
        "exam_id": "20261122-093000-0001",
        "device": "ultrasound",
        "modality": "US",
        "frames": 1,
        "bytes": 1000,
        "saved_at": "2026-11-22T09:29:00+01:00",
        "destinations": {name: {**told, "state": state} for name, state in states.items()},
    }


def _destination(name: str, **given: object) -> dict[str, Any]:
    counts = dict.fromkeys(("pending", "stored", "stored_only", "verified", "committed", "refused"), 0)
    return {"name": name, "trouble": "", "commits": True} | counts | given


def test_ok__an_archive_that_does_not_commit_is_told_apart(quiet_bench: Bench) -> None:
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
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = chromium.new_page()
        page.goto(quiet_bench.url)
        drawn = page.evaluate(
            """async ([queue, destinations]) => {
                const { drawQueue } = await import("/static/queue.js");
                drawQueue(queue, { findings: [], destinations }, "", [], () => {});
                const cells = (row) => [...row.children].slice(1).map((cell) => cell.firstChild.textContent);
                return {
                    rows: Object.fromEntries([...document.querySelectorAll("[data-testid=queue-object]")]
                        .map((row) => [row.dataset.uid, cells(row)])),
                    destinations: [...document.querySelectorAll("[data-testid=destination]")]
                        .map((line) => line.textContent.trim()),
                };
            }""",
            [queue, destinations],
        )
        chromium.close()
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
