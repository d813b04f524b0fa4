"""The lock and the question whether it is still the patient, in Chromium, by taps."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Error, expect

from appliance.base.pins import kept_pin_from
from tests.console.conftest import Bench, wait_until
from tests.console.fakes import CONFIGURATION
from tests.console.test_panel import Browser, Panel, browser

__all__ = ["browser"]  # a fixture

_SITE = f"""{CONFIGURATION}
[panel]
ask_patient_seconds = 2.0
[[operators]]
name = "Muster^Anna"
pin = "{kept_pin_from("4711")}"
"""


def _is_without(panel: Panel, word: str) -> bool:
    try:
        return word not in panel.page.content()
    except Error:
        return False  # a panel that locks loads itself anew, and has no content meanwhile


def _press(panel: Panel, *keys: str) -> None:
    for key in keys:
        panel.page.locator(f"[data-testid=pin-key][data-key='{key}']").tap()


def test_ok__unlocked_asked_and_locked_again(tmp_path: Path, browser: Browser) -> None:
    bench = Bench(tmp_path, configuration=_SITE)
    try:
        panel = Panel(browser, bench, "800x480")
        panel.is_on("lock")
        panel.check_touch_targets()
        html = panel.page.content()
        assert not any(name in html for name in ("Jürgen", "4711", "山田"))
        panel.tap("operator")
        _press(panel, "1", "2", "3", "4", "enter")
        panel.has("notice", "This is not the PIN.")
        panel.close_notice()
        _press(panel, "4", "7", "7", "erase", "1", "1", "enter")
        panel.is_on("worklist")
        panel.page.locator("[data-testid=worklist-row]").first.tap()
        panel.tap("open-exam")
        panel.is_on("exam")
        question = panel.page.get_by_test_id("presence")
        expect(question).to_be_visible(timeout=20_000)
        expect(question).to_contain_text("Müller Jürgen")
        panel.check_touch_targets()
        panel.tap("presence-yes")
        expect(question).to_be_hidden(timeout=20_000)
        expect(question).to_be_visible(timeout=20_000)
        panel.tap("presence-no")
        panel.is_on("ending")
        exam = bench.facts.exam(bench.facts.open_exam_id() or "")
        assert exam is not None
        assert exam.operators_name == "Muster^Anna"
        panel.tap("confirm-end")
        panel.is_on("worklist")
        panel.tap("show-queue")
        panel.tap("lock-now")
        panel.is_on("lock")
        wait_until(lambda: _is_without(panel, "Jürgen"), "nothing of a patient is in the page")
        panel.tap("lock-emergency")
        panel.is_on("exam")
        panel.tap("capture")
        panel.count("strip-item", 1)
        panel.close()
    finally:
        bench.stop()
