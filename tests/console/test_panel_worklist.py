"""The worklist in Chromium: ten thousand entries, what an entry lacks, and asking the hospital for one patient."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import expect

from appliance.exam.answers import entry_from
from appliance.exam.item import WorklistItem
from tests.console.conftest import Bench, wait_until
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
    # Who types into no field searches.
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
    panel.page.wait_for_timeout(200)  # a person's Enter: a scanner's comes at once
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
    asked: list[str] = []
    panel.page.on("request", lambda request: asked.append(request.url))
    write_worklist(quiet_bench.paths, items + more, age_seconds=400)
    # A busy machine may take its minutes.
    expect(panel.page.get_by_test_id("list-age")).to_contain_text(re.compile(r"\b([6-9]|1\d) min old"), timeout=30_000)
    assert not [url for url in asked if "/api/worklist" in url], "the entries are not sent again"
    assert listed.evaluate("list => list.scrollTop") == place
    panel.page.get_by_test_id("search").fill("t-09876")
    panel.count("worklist-row", 1)
    panel.page.get_by_test_id("search").fill("")
    panel.page.get_by_test_id("search").fill("nobody at all")
    panel.has("list-empty", "Nobody on the list matches.")


def test_ok__a_day_and_a_modality_are_chosen(quiet_bench: Bench, panel: Panel) -> None:
    items = [
        *make_items()[:6],
        make_item("Yester^Day", "Y-1", day="20251231", modality="US"),
        make_item("Tomor^Row", "Z-1", day="20991231"),
        make_item("Some^Day", "S-1", day=" "),
    ]
    write_worklist(quiet_bench.paths, items)
    panel.count("worklist-row", 7)  # what has no day is never hidden by one
    expect(panel.page.locator("[data-testid=filter-day][aria-pressed=true]")).to_have_text("Today")
    panel.check_touch_targets()
    panel.shot("worklist-filter")
    panel.page.locator("[data-testid=filter-modality][data-value=US]").tap()
    panel.count("worklist-row", 1)
    panel.page.locator("[data-testid=filter-day][data-value='20251231']").tap()
    panel.count("worklist-row", 1)
    panel.has("worklist-row", "Yester Day")
    panel.has("worklist-row", "31 Dec")
    panel.page.locator("[data-testid=filter-day][data-value='']").tap()
    panel.page.locator("[data-testid=filter-modality][data-value='']").tap()
    panel.count("worklist-row", 9)
    panel.page.locator("[data-testid=filter-day][data-value='20991231']").tap()
    # Who searches may mean anybody.
    panel.page.get_by_test_id("search").fill("yester")
    panel.count("worklist-row", 1)
    panel.page.locator("[data-testid=worklist-row]").tap()
    panel.tap("confirm-back")


def test_ok__a_barcode_is_read_on_any_screen(quiet_bench: Bench, panel: Panel) -> None:
    items = make_items()
    items += [make_item("Two^Steps", "TWO-1", accession="T-1", step="A"), make_item("Two^Steps", "TWO-1", step="B")]
    write_worklist(quiet_bench.paths, items)
    panel.count("worklist-row", 32)
    _scan(panel, "jp-000123")
    panel.is_on("confirm")
    panel.has("confirm-patient-id", "JP-000123")
    _scan(panel, "20261")  # an accession number, on the confirm screen
    panel.has("confirm-patient-id", "4711")
    panel.tap("confirm-back")
    panel.tap("show-queue")
    panel.is_on("queue")
    _scan(panel, "TWO-1")  # asks which
    panel.is_on("worklist")
    panel.count("worklist-row", 2)
    stranger = make_item("Mueller^Ida", "NEW-1")
    quiet_bench.forward.answers = [_found(stranger)]
    panel.page.get_by_test_id("search").focus()
    panel.page.get_by_test_id("search").fill("")
    _scan(panel, "NEW-1")  # on no list: the hospital knows
    panel.is_on("confirm")
    panel.has("confirm-name", "Mueller Ida")
    quiet_bench.forward.answers = [_found()]
    _scan(panel, "NOBODY-7")
    panel.is_on("worklist")
    panel.has("found", "The hospital has 0 entries for “NOBODY-7”.")
    assert quiet_bench.forward.asked == [{"text": "NEW-1"}, {"text": "NOBODY-7"}]
    panel.page.get_by_test_id("search").fill("")
    panel.tap("unscheduled")
    panel.page.get_by_test_id("patient-id").focus()
    _scan(panel, "WRIST-9")  # fills the field
    panel.is_on("unscheduled")
    expect(panel.page.get_by_test_id("patient-id")).to_have_value("WRIST-9")


def _scan(panel: Panel, code: str) -> None:
    """As a scanner does, in one burst: key by key over the test's own connection is as slow as a person."""
    panel.page.evaluate(
        """code => {
            let moment = performance.now();
            const press = (key) => {
                const target = document.activeElement || document.body;
                const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
                // As the kernel stamps them, however busy this machine is.
                Object.defineProperty(event, "timeStamp", { value: (moment += 5) });
                if (target.dispatchEvent(event) && key.length === 1 && document.activeElement.tagName === "INPUT")
                    document.execCommand("insertText", false, key);
            };
            for (const key of code) press(key);
            press("Enter");
        }""",
        code,
    )


def test_ok__names_that_are_easily_confused_are_marked(quiet_bench: Bench, panel: Panel) -> None:
    allergic = make_item("Meyer^Hanna", "M-1", birth_date="19500101", time_of_day="070000")
    allergic.elements["00102110"] = {"vr": "LO", "Value": ["Penicillin", "Latex", " "]}
    allergic.elements["00102000"] = {"vr": "LO", "Value": ["Pacemaker"]}
    items = [
        allergic,
        make_item("Maier^Hannah", "M-2", birth_date="19510101", time_of_day="071000"),
        make_item("Müller^Jürgen", "U-1", time_of_day="072000"),
        make_item("Mueller^Juergen", "U-2", time_of_day="073000"),
        make_item({"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}, "J-1", time_of_day="074000"),
        make_item({"Alphabetic": "Yamada^Taro", "Ideographic": "山田^太郎"}, "J-2", time_of_day="075000"),
        make_item("Schmidt^Eva", "E-1", time_of_day="080000", step="S1"),
        make_item("Schmidt^Eva", "E-1", time_of_day="081000", step="S2"),  # the same patient twice
        make_item("Ward^Nine 1", "N-1", time_of_day="082000"),
        make_item("Ward^Nine 2", "N-2", time_of_day="083000"),
        make_item("Kowalska^Anna", "K-1", time_of_day="084000"),
        make_item("Nowak^Anna", "K-2", time_of_day="085000"),
    ]
    write_worklist(quiet_bench.paths, items)
    panel.count("worklist-row", 12)
    marked = panel.page.locator("[data-testid=worklist-row]:has([data-testid=similar-mark])")
    assert [row.get_attribute("data-patient-id") for row in marked.all()] == ["M-1", "M-2", "U-1", "U-2", "J-1", "J-2"]
    panel.shot("worklist-similar")
    panel.tap("worklist-row")
    panel.has("confirm-similar", "Another patient has a similar name: Maier Hannah, 01 Jan 1951")
    panel.has("confirm-allergies", "Allergies: Penicillin, Latex")
    panel.has("confirm-alerts", "Alerts: Pacemaker")
    panel.check_touch_targets()
    panel.shot("confirm-allergies")
    panel.tap("confirm-back")
    panel.page.locator("[data-testid=worklist-row][data-patient-id=K-1]").tap()
    panel.is_on("confirm")
    for absent in ("confirm-similar", "confirm-allergies", "confirm-alerts"):
        panel.count(absent, 0)
    panel.tap("confirm-back")
    # A finger may meet a row of the list as it was before a newer one came.
    older = panel.page.locator("[data-testid=worklist-row][data-patient-id=M-1]").element_handle()
    write_worklist(quiet_bench.paths, [*items, make_item("Ward^Nine 3", "N-3", time_of_day="090000")])
    panel.count("worklist-row", 13)
    older.evaluate("row => row.click()")
    panel.has("confirm-similar", "Another patient has a similar name: Maier Hannah, 01 Jan 1951")


def test_ok__the_language_is_switched_on_the_panel(quiet_bench: Bench, panel: Panel) -> None:
    panel.tap("show-queue")
    panel.tap("show-languages")
    panel.is_on("languages")
    panel.count("language", 6)
    panel.check_touch_targets()
    panel.shot("languages")
    panel.page.locator("[data-testid=language][data-language=ar]").tap()
    panel.is_on("worklist")
    html = panel.page.locator("html")
    expect(html).to_have_attribute("lang", "ar")
    expect(html).to_have_attribute("dir", "rtl")
    panel.has("refresh", "تحديث")
    bar, search = panel.page.locator("#show-queue").bounding_box(), panel.page.locator("#search").bounding_box()
    assert bar is not None and search is not None
    assert bar["x"] < search["x"], "the panel runs from right to left"
    panel.check_touch_targets()
    panel.shot("worklist-arabic")
    panel.page.reload()
    expect(html).to_have_attribute("lang", "ar")


def test_ok__pulling_the_list_refreshes_it(quiet_bench: Bench, panel: Panel) -> None:
    panel.count("worklist-row", 30)
    before = quiet_bench.forward.refreshed
    session = panel.context.new_cdp_session(panel.page)
    for kind, y in (("touchStart", 150), ("touchMove", 200), ("touchMove", 280)):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": 400, "y": y}]})
    expect(panel.page.get_by_test_id("pull")).to_be_visible()
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(panel.page.get_by_test_id("pull")).to_be_hidden()
    expect(panel.page.get_by_test_id("refresh")).to_be_enabled()
    wait_until(lambda: quiet_bench.forward.refreshed == before + 1, "the hospital was asked")
