"""axe-core finds nothing at WCAG 2.2 AA on the main screens, in one language of each direction."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.console.conftest import Bench
from tests.console.fakes import make_items, write_object, write_worklist
from tests.console.test_panel import Panel, browser
from tests.screens.accessible import complaints_of

__all__ = ["browser"]  # a fixture


@pytest.fixture
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(tmp_path_factory.mktemp("accessible"))
    try:
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize(("language", "size"), [("de", "800x480"), ("ar", "1024x600")])
def test_ok__the_main_screens(bench: Bench, browser: Browser, language: str, size: str) -> None:
    panel = Panel(browser, bench, size)
    panel.speak(language)
    panel.count("worklist-row", 30)
    looked_at = []

    def look(name: str) -> None:
        assert complaints_of(panel.page) == [], name
        looked_at.append(name)

    look("worklist")
    write_object(bench.spool, None, "endoscope")
    expect(panel.page.get_by_test_id("show-tray")).to_be_visible(timeout=15_000)
    look("worklist, and what waits for a patient")
    panel.page.locator("[data-testid=worklist-row]").first.tap()
    panel.is_on("confirm")
    look("confirm")
    panel.tap("open-exam")
    panel.is_on("exam")
    expect(panel.page.get_by_test_id("preview-state")).to_be_hidden(timeout=15_000)
    panel.tap("capture")
    panel.count("strip-item", 1)
    look("exam")
    panel.tap("end-exam")
    panel.is_on("ending")
    look("ending")
    panel.tap("ending-back")
    panel.tap("show-queue")
    panel.count("queue-object", 1)
    look("queue")
    panel.close()


def test_fail__what_is_pale_small_or_clipped_is_found(bench: Bench, browser: Browser) -> None:
    write_worklist(bench.paths, make_items()[:3])
    panel = Panel(browser, bench, "800x480")
    panel.count("worklist-row", 3)
    panel.page.evaluate(
        """() => {
            const { style } = document.querySelector("#show-queue");
            Object.assign(style, { color: "#555", fontSize: "40px", height: "30px", minHeight: "0" });
        }"""
    )
    found = "\n".join(complaints_of(panel.page))
    assert "color-contrast" in found
    assert "show-queue: " in found
    assert "30 px" in found
    panel.page.evaluate(
        """() => {
            document.querySelector("#refresh").style.marginInlineEnd = "-60px";
            const title = document.querySelector(".queue-title").style;
            Object.assign(title, { display: "block", overflow: "hidden", height: "20px", flex: "none" });
        }"""
    )
    found = "\n".join(complaints_of(panel.page))
    assert "refresh lies on unscheduled" in found
    assert "queue-title: the lower edge of its words is cut" in found
    panel.context.close()
