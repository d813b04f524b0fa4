"""The worklist in Chromium: ten thousand entries, what an entry lacks, and asking the hospital for one patient."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import expect

from appliance.exam.answers import entry_from
from appliance.exam.item import WorklistItem
from tests.console.conftest import Bench
from tests.console.fakes import make_item, make_items, write_worklist
from tests.console.test_panel import Browser, Panel, browser

__all__ = ["browser"]  # a fixture

_THOUSANDS = 10_000


@pytest.fixture
def panel(browser: Browser, quiet_bench: Bench) -> Iterator[Panel]:
    write_worklist(quiet_bench.paths, make_items())
    quiet_bench.forward.asked, quiet_bench.forward.answers = [], []
    made = Panel(browser, quiet_bench, "800x480")
    yield made
    made.close()


def _found(*items: WorklistItem, **given: Any) -> dict[str, Any]:
    views = [json.loads(entry_from(item).view) | {"packed": entry_from(item).packed.decode()} for item in items]
    return {"source": "ris", "trouble": "", "is_cut_off": False, "items": views} | given


def test_ok__asking_the_hospital(quiet_bench: Bench, panel: Panel) -> None:
    panel.count("worklist-row", 30)
    expect(panel.page.get_by_test_id("ask-hospital")).to_be_hidden()
    # A scanner types into no field, and presses Enter.
    panel.page.keyboard.type("Müller 4711")
    panel.count("worklist-row", 1)
    panel.has("ask-hospital", "Ask the hospital for Müller 4711")
    stranger = make_item(
        {"Alphabetic": "Mueller^Ida", "Ideographic": "山田^太郎"}, "NEW-1", procedure="ERCP", accession="777"
    )
    quiet_bench.forward.answers = [
        _found(stranger, make_items()[0], is_cut_off=True),
        _found(source="clinic", trouble="It does not answer."),
    ]
    panel.page.keyboard.press("Enter")
    panel.has("found", "The hospital has 2 entries for “Müller 4711”.")
    panel.has("found-trouble", "ris has more than are shown here: type more. clinic: It does not answer.")
    panel.count("worklist-row", 2)
    assert quiet_bench.forward.asked == [{"text": "Müller 4711"}]
    panel.check_touch_targets()
    panel.shot("worklist-found")
    panel.page.locator("[data-testid=worklist-row][data-patient-id=NEW-1]").tap()
    panel.is_on("confirm")
    panel.has("confirm-name", "Mueller Ida")
    panel.tap("confirm-back")
    panel.count("found", 1)
    # Typing again filters the list as before.
    panel.page.get_by_test_id("search").fill("")
    panel.count("found", 0)
    panel.count("worklist-row", 30)


def test_ok__what_an_entry_lacks_is_said_in_its_row(quiet_bench: Bench, panel: Panel) -> None:
    whole = make_item("Łukasz^Żak", "P-1")
    elements = {tag: value for tag, value in whole.elements.items() if tag not in {"0020000D", "00401001"}}
    broken = replace(whole, elements=elements, findings=("Patient's Name has bytes that are no characters",))
    nothing = WorklistItem("ris", {}, "AAAA")
    write_worklist(quiet_bench.paths, [broken, nothing])
    panel.count("worklist-row", 2)
    assert set(panel.texts("entry-wrong")) == {
        "lacks Study Instance UID; lacks Requested Procedure ID; Patient's Name has bytes that are no characters",
        "lacks Patient's Name; lacks Patient ID; lacks Study Instance UID; lacks Requested Procedure ID;"
        " lacks Scheduled Procedure Step",
    }
    panel.shot("worklist-lacking")
    panel.page.locator("[data-testid=worklist-row][data-patient-id=P-1]").tap()
    panel.has("confirm-missing", "The entry lacks 2 values: Study Instance UID, Requested Procedure ID.")
    panel.has("confirm-findings", "Patient's Name has bytes that are no characters.")
    panel.shot("confirm-lacking")


def test_ok__ten_thousand_entries(quiet_bench: Bench, panel: Panel) -> None:
    """A hundred rows exist at a time; the last is reached, typing finds one of all, and looks again cost nothing."""
    items = make_items()
    more = [
        make_item(f"Patient^Number {number}", f"T-{number:05}", step=f"S{number}", accession=f"T{number:05}")
        for number in range(_THOUSANDS - len(items))
    ]
    write_worklist(quiet_bench.paths, items + more)
    listed = panel.page.get_by_test_id("worklist")
    expect(listed.locator(".rows")).to_have_css("height", f"{_THOUSANDS * 76}px", timeout=30_000)
    assert panel.page.get_by_test_id("worklist-row").count() < 120
    listed.evaluate("list => { list.scrollTop = list.scrollHeight; }")
    expect(panel.page.locator("[data-testid=worklist-row]").last).to_be_in_viewport()
    assert panel.page.get_by_test_id("worklist-row").count() < 120
    for step in range(60):
        listed.evaluate("(list, top) => { list.scrollTop = top % list.scrollHeight; }", step * 131_071)
    assert 0 < panel.page.get_by_test_id("worklist-row").count() < 120
    panel.shot("worklist-ten-thousand")
    place = listed.evaluate("list => list.scrollTop")
    with panel.page.expect_response(lambda response: "/api/worklist?version=" in response.url) as looked:
        pass
    with panel.page.expect_response(lambda response: "/api/worklist?version=" in response.url) as looked:
        pass
    assert len(looked.value.body()) < 600, "the entries are not sent again"
    assert listed.evaluate("list => list.scrollTop") == place
    panel.page.get_by_test_id("search").fill("t-09876")
    panel.count("worklist-row", 1)
    panel.page.get_by_test_id("search").fill("")
    panel.page.get_by_test_id("search").fill("nobody at all")
    panel.has("list-empty", "Nobody on the list matches.")
