"""The panel in Chromium, by taps, against the real console and fake neighbours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.console.conftest import Bench

SIZES = {"800x480": (800, 480), "1024x600": (1024, 600), "1280x800": (1280, 800)}
# `make screenshots`-like runs name a directory; otherwise no picture is kept.
_SHOTS = os.environ.get("APPLIANCE_SHOTS")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        yield made
        made.close()


class Panel:
    """One page and everything that it complained about."""

    def __init__(self, browser: Browser, bench: Bench, size: str) -> None:
        width, height = SIZES[size]
        self.size = size
        self.context = browser.new_context(viewport={"width": width, "height": height}, has_touch=True)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console",
            lambda message: self.complaints.append(message.text) if "Content Security" in message.text else None,
        )
        self.page.on(
            "request",
            lambda request: None if request.url.startswith((bench.url, "blob:")) else self.foreign.append(request.url),
        )
        self.page.goto(bench.url)

    def tap(self, testid: str) -> None:
        self.page.get_by_test_id(testid).first.tap()

    def shot(self, name: str) -> None:
        if _SHOTS:
            self.page.wait_for_timeout(300)
            self.page.screenshot(path=Path(_SHOTS) / f"{name}-{self.size}.png")

    def is_on(self, screen: str) -> None:
        expect(self.page.get_by_test_id("panel")).to_have_attribute("data-screen", screen, timeout=15_000)

    def texts(self, testid: str) -> list[str]:
        return self.page.get_by_test_id(testid).all_inner_texts()

    def has(self, testid: str, text: str, seconds: float = 15.0) -> None:
        expect(self.page.get_by_test_id(testid).first).to_contain_text(text, timeout=seconds * 1000)

    def count(self, testid: str, number: int, seconds: float = 15.0) -> None:
        expect(self.page.get_by_test_id(testid)).to_have_count(number, timeout=seconds * 1000)

    def check_touch_targets(self) -> None:
        """Everything that is tapped is at least 48 pixels high and wide, and inside the screen."""
        width, height = SIZES[self.size]
        for target in self.page.locator("button:visible, input:visible").all():
            box = target.bounding_box()
            assert box is not None
            name = target.get_attribute("data-testid") or target.inner_text()
            assert box["height"] >= 47.5, (name, box)
            assert box["width"] >= 47.5, (name, box)
            if target.get_attribute("data-testid") not in {"worklist-row", "device-tab", "reason"}:
                assert box["x"] >= 0, (name, box)
                assert box["y"] >= 0, (name, box)
                assert box["x"] + box["width"] <= width + 0.5, (name, box)
                assert box["y"] + box["height"] <= height + 0.5, (name, box)
        assert self.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert self.page.evaluate("document.documentElement.scrollHeight <= innerHeight")

    def close(self) -> None:
        self.context.close()
        assert self.complaints == []
        assert self.foreign == []


@pytest.fixture(params=["1024x600"])
def panel(request: pytest.FixtureRequest, browser: Browser, bench: Bench) -> Iterator[Panel]:
    made = Panel(browser, bench, request.param)
    yield made
    made.close()


@pytest.mark.parametrize("panel", ["800x480", "1024x600"], indirect=True)
def test_ok__the_main_job_by_taps(bench: Bench, panel: Panel) -> None:
    panel.is_on("worklist")
    panel.count("worklist-row", 30)
    rows = panel.texts("worklist-row")
    assert "山田 太郎" in rows[1]
    assert "أحمد ليلى" in rows[2]
    assert "birth date not given" in rows[5]
    panel.check_touch_targets()
    panel.shot("worklist")

    panel.page.get_by_test_id("search").fill("yamada jp")
    panel.count("worklist-row", 1)
    panel.shot("worklist-search")
    panel.tap("worklist-row")
    panel.is_on("confirm")
    panel.has("confirm-name", "山田 太郎")
    panel.has("confirm-birth-date", "1975-08-01 (51 y)")
    panel.has("confirm-patient-id", "JP-000123")
    panel.check_touch_targets()
    panel.shot("confirm-japanese")

    panel.tap("open-exam")
    panel.is_on("exam")
    exam_id = bench.facts.open_exam_id()
    assert exam_id is not None
    panel.has("patient-banner", "Yamada Tarou")
    panel.has("patient-banner", "JP-000123")
    expect(panel.page.get_by_test_id("preview-state")).to_be_hidden(timeout=15_000)
    panel.check_touch_targets()
    panel.shot("exam-live")

    panel.tap("capture")
    panel.count("strip-item", 1)
    panel.has("saved", "saved")
    panel.tap("capture")
    panel.count("strip-item", 2)
    panel.tap("record")
    panel.has("stop", "Stop 0:01")
    panel.shot("exam-recording")
    panel.tap("stop")
    panel.count("strip-item", 3)

    panel.page.locator("[data-testid=device-tab][data-device=ultrasound]").tap()
    panel.has("device-state", "Waiting for an image")
    panel.shot("exam-serial-waiting")
    bench.ultrasound.state, bench.ultrasound.sentence = "receiving", "An image is arriving."
    bench.ultrasound.progress = {"done": 48_000, "total": None, "unit": "bytes"}
    panel.has("progress-text", "48 kB received")
    panel.shot("exam-serial-receiving")
    bench.ultrasound.state, bench.ultrasound.sentence, bench.ultrasound.progress = "idle", "Waiting for an image.", None
    bench.ultrasound.save(exam_id, "transfer")
    panel.count("strip-item", 4)

    panel.page.locator("[data-testid=device-tab][data-device=film]").tap()
    panel.tap("scan")
    panel.has("progress-text", "%")
    panel.check_touch_targets()
    panel.shot("exam-film-scanning")
    panel.count("strip-item", 5)
    expect(panel.page.locator("[data-testid=strip-item] img")).to_have_count(5)
    panel.shot("exam-film-done")

    panel.tap("show-queue")
    panel.is_on("queue")
    panel.count("queue-object", 5)
    panel.has("patient-banner", "Yamada Tarou")
    panel.shot("queue-open")
    panel.tap("leave-queue")
    panel.is_on("exam")

    panel.tap("end-exam")
    panel.is_on("ending")
    panel.has("ending-count", "5 objects are sent to archive")
    panel.check_touch_targets()
    panel.shot("ending")
    panel.tap("confirm-end")
    panel.is_on("worklist")
    panel.has("notice", "5 objects handed over")
    panel.shot("ended")
    panel.tap("notice-close")
    panel.page.get_by_test_id("search").fill("")
    panel.count("examined-mark", 1)
    panel.shot("worklist-examined")

    panel.tap("show-queue")
    panel.count("queue-object", 5)
    page = panel.page
    expect(page.locator("[data-testid=saved][data-yes=true]")).to_have_count(5)
    expect(page.locator("[data-testid=stored][data-yes=false]")).to_have_count(5)
    panel.shot("queue-saved")
    bench.forward.set_all("stored")
    expect(page.locator("[data-testid=stored][data-yes=true]")).to_have_count(5)
    expect(page.locator("[data-testid=committed][data-yes=true]")).to_have_count(0)
    panel.shot("queue-stored")
    bench.forward.set_all("committed")
    expect(page.locator("[data-testid=committed][data-yes=true]")).to_have_count(5)
    expect(page.locator("[data-testid=step][data-state=completed]")).to_have_count(3)
    panel.check_touch_targets()
    panel.shot("queue-committed")
    closed = bench.facts.closed(exam_id)
    assert closed is not None
    assert len(closed.instances) == 5
