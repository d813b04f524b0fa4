"""The exam opens on the machine that it was scheduled for, and stays at the one that was chosen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import expect

from appliance.exam.item import WorklistItem
from tests.console.conftest import Bench
from tests.console.fakes import CONFIGURATION, make_item, make_items, write_worklist
from tests.console.test_panel import Browser, Panel, browser, open_exam_of

__all__ = ["browser"]  # a fixture

_DEVICES = {
    "scope": {"modality": "ES", "station": "TOWER_1", "kinds": ["still", "clip"], "state": "idle"},
    "scope2": {"modality": "ES", "station": "TOWER_2", "kinds": ["still", "clip"], "state": "no signal"},
    "line": {"modality": "US", "station": "US_1", "kinds": ["transfer"], "state": "idle"},
    "video": {"modality": "US", "station": "", "kinds": ["still", "clip"], "state": "idle"},
    "film": {"modality": "RG", "station": "", "kinds": ["film"], "state": "not running"},
}


@pytest.mark.parametrize(
    ("modalities", "stations", "away", "device"),
    [
        (["ES"], [], [], "scope"),  # the first of those that fit
        (["ES"], ["TOWER_2"], [], "scope2"),  # the scheduled station's
        (["ES"], ["TOWER_2"], ["scope2"], "scope2"),  # though it is not there: the screen says so
        (["ES"], ["ELSEWHERE"], [], "scope"),
        (["ES"], [], ["scope"], "scope2"),  # one that is there; without a signal it is there
        (["US"], [], [], "video"),  # a live picture
        (["US"], [], ["video"], "line"),
        (["US"], ["US_1"], [], "line"),
        (["RG"], [], [], "film"),  # the only one: that it is not connected is to be seen
        (["US", "RG"], [], ["video", "line"], "video"),
        (["RG", "US"], [], [], "video"),  # of two scheduled steps the one whose machine is there
        (["MR"], [], [], "scope"),
        ([], [], [], "scope"),  # nobody scheduled it
        ([], [], ["scope", "scope2"], "video"),
        ([], [""], [], "scope"),  # an empty name is no station's
    ],
)
def test_ok__the_device_that_was_scheduled(
    panel: Panel, modalities: list[str], stations: list[str], away: list[str], device: str
) -> None:
    devices = [
        {"device": name, **given, **({"state": "not running"} if name in away else {})}
        for name, given in _DEVICES.items()
    ]
    chosen = panel.page.evaluate(
        "async ([exam, devices]) => (await import('/static/fitting.js')).deviceFor(exam, devices)",
        [{"modalities": modalities, "stations": stations}, devices],
    )
    assert chosen == device


@pytest.fixture(scope="module")
def panel(browser: Browser, quiet_bench: Bench) -> Iterator[Panel]:
    made = Panel(browser, quiet_bench, "1024x600")
    made.is_on("worklist")
    yield made
    made.close()


def _at_station(item: WorklistItem, name: str) -> WorklistItem:
    elements: dict[str, Any] = dict(item.elements)
    (step,) = elements["00400100"]["Value"]
    elements["00400100"] = {"vr": "SQ", "Value": [{**step, "00400010": {"vr": "SH", "Value": [name]}}]}
    return replace(item, elements=elements)


def test_ok__the_exam_opens_on_it_and_stays_at_the_one_that_was_tapped(tmp_path: Any, browser: Browser) -> None:
    configuration = CONFIGURATION.replace('modality = "RG"', 'modality = "RG"\nstation_name = "FILM_ROOM"')
    bench = Bench(tmp_path, configuration)
    panel = Panel(browser, bench, "800x480")

    def is_at(device: str) -> None:
        tab = panel.page.locator("[data-testid=device-tab][aria-selected=true]")
        expect(tab).to_have_attribute("data-device", device, timeout=15_000)

    def end() -> None:
        panel.tap("end-exam")
        panel.tap("confirm-end")
        panel.is_on("worklist")
        panel.close_notice()

    try:
        items = [_at_station(make_item("Roe^Max", "AT-FILM"), "FILM_ROOM"), make_item("Roe^Ida", "ELSE", modality="MR")]
        write_worklist(bench.paths, [*make_items(), *items])
        open_exam_of(panel, "JP-000123")  # US
        is_at("ultrasound")
        panel.has("device-state", "Waiting for an image")
        panel.page.locator("[data-testid=device-tab][data-device=endoscope]").tap()
        is_at("endoscope")
        panel.page.reload()
        panel.is_on("exam")
        is_at("endoscope")  # the choice of this exam
        end()
        panel.tap("emergency")
        panel.is_on("exam")
        is_at("endoscope")  # a live picture
        panel.page.locator("[data-testid=device-tab][data-device=film]").tap()
        end()
        open_exam_of(panel, "4711")  # ES: not what was looked at before
        is_at("endoscope")
        end()
        panel.page.get_by_test_id("search").fill("AT-FILM")
        panel.count("worklist-row", 1)
        open_exam_of(panel, "AT-FILM")  # ES, at the digitizer's station
        is_at("film")
        end()
        panel.page.get_by_test_id("search").fill("ELSE")
        panel.count("worklist-row", 1)
        panel.tap("worklist-row")
        panel.has("confirm-no-machine", "No machine here is for MR. Is it the right entry?")
        panel.tap("confirm-back")
        panel.page.get_by_test_id("search").fill("")
        bench.ultrasound.stop()
        open_exam_of(panel, "JP-000123")
        is_at("ultrasound")  # it was scheduled there: what is wrong with it is said
        panel.has("device-state", "Not connected")
        panel.page.get_by_test_id("name-patient").wait_for(state="hidden")
    finally:
        panel.close()
        bench.stop()
