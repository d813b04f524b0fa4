"""The panel in Chromium, by taps, against the real console and fake neighbours."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.console.conftest import Bench, wait_until
from tests.console.fakes import make_item, make_items, write_worklist

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
        self.page.goto(bench.address())

    def speak(self, language: str) -> None:
        """Read the page again in another language."""
        self.context.add_cookies([{"name": "language", "value": language, "url": self.page.url}])
        self.page.reload()
        expect(self.page.locator("html")).to_have_attribute("lang", language)

    def tap(self, testid: str) -> None:
        self.page.get_by_test_id(testid).first.tap()

    def close_notice(self) -> None:
        """Good news goes by itself after some seconds, which a busy machine may have taken already."""
        self.page.evaluate("document.querySelector('[data-testid=notice-close]')?.click()")
        expect(self.page.get_by_test_id("notice")).to_be_hidden(timeout=15_000)

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
        # All in one look: the page may draw itself anew between two.
        targets = self.page.locator("button:visible, input:visible").evaluate_all(
            """all => all.map(one => { const {x, y, width, height} = one.getBoundingClientRect();
                return [one.dataset.testid || "", one.innerText, {x, y, width, height}]; })"""
        )
        assert targets
        for testid, text, box in targets:
            name = testid or text
            assert box["height"] >= 47.5, (name, box)
            assert box["width"] >= 47.5, (name, box)
            if testid not in {"worklist-row", "device-tab", "reason"}:
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


@pytest.fixture
def quiet_panel(browser: Browser, quiet_bench: Bench) -> Iterator[Panel]:
    write_worklist(quiet_bench.paths, make_items())
    made = Panel(browser, quiet_bench, "1024x600")
    yield made
    made.close()


@pytest.mark.parametrize("panel", ["800x480", "1024x600"] if _SHOTS else ["1024x600"], indirect=True)
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
    panel.has("confirm-birth-date", "01 Aug 1975 (51 y)")
    panel.has("confirm-patient-id", "JP-000123")
    panel.check_touch_targets()
    panel.shot("confirm-japanese")

    panel.tap("open-exam")
    panel.is_on("exam")
    exam_id = bench.facts.open_exam_id()
    assert exam_id is not None
    panel.has("patient-banner", "Yamada Tarou")
    panel.has("patient-banner", "JP-000123")
    panel.page.locator("[data-testid=device-tab][data-device=endoscope]").tap()
    expect(panel.page.get_by_test_id("preview-state")).to_be_hidden(timeout=15_000)
    panel.check_touch_targets()
    panel.shot("exam-live")

    panel.tap("capture")
    panel.count("strip-item", 1)
    panel.has("saved", "saved")
    panel.tap("capture")
    panel.count("strip-item", 2)
    panel.tap("record")
    # A busy machine may not show each second.
    expect(panel.page.get_by_test_id("stop")).to_contain_text(re.compile(r"Stop \d:(0[1-9]|[1-5]\d)"), timeout=15_000)
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
    panel.has("progress-text", "50 %")
    panel.check_touch_targets()
    panel.shot("exam-film-scanning")
    bench.film.may_end_film.set()
    panel.count("strip-item", 5)
    expect(panel.page.locator("[data-testid=strip-item] img")).to_have_count(5)
    panel.shot("exam-film-done")

    kinds = kinds_in(panel, "strip-item")
    assert sorted(kinds) == ["Clip", "Film", "Image", "Still", "Still"]
    panel.tap("show-queue")
    panel.is_on("queue")
    panel.count("queue-object", 5)
    assert kinds_in(panel, "queue-object") == kinds
    panel.has("patient-banner", "Yamada Tarou")
    panel.shot("queue-open")
    panel.tap("leave-queue")
    panel.is_on("exam")

    panel.tap("end-exam")
    panel.is_on("ending")
    panel.has("ending-count", "5 images will be sent to archive")
    panel.check_touch_targets()
    panel.shot("ending")
    panel.tap("confirm-end")
    panel.is_on("worklist")
    panel.has("notice", "5 images handed over")
    panel.shot("ended")
    panel.close_notice()
    panel.page.get_by_test_id("search").fill("")
    panel.count("examined-mark", 1)
    panel.shot("worklist-examined")

    panel.tap("show-queue")
    panel.count("queue-object", 5)
    assert sorted(kinds_in(panel, "queue-object")) == sorted(kinds)  # one word for one thing, also when it was sent
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


def kinds_in(panel: Panel, testid: str) -> list[str]:
    """What each of the images that are there is called, in the first word; the engine may not have drawn them yet."""
    whole = panel.page.locator(f"[data-testid={testid}] :is(.tile-kind, .what)").all_text_contents()
    return [one.partition(",")[0] for one in whole]


def open_exam_of(panel: Panel, patient_id: str) -> None:
    panel.is_on("worklist")
    panel.page.locator(f"[data-testid=worklist-row][data-patient-id='{patient_id}']").tap()
    panel.is_on("confirm")
    panel.tap("open-exam")
    panel.is_on("exam")


@pytest.mark.parametrize("panel", ["800x480", "1280x800"] if _SHOTS else ["800x480"], indirect=True)
def test_ok__names_and_troubles_in_every_script_fit(bench: Bench, panel: Panel) -> None:
    long_name = {
        "Alphabetic": "Wolfeschlegelsteinhausenbergerdorff-Uitdehaag^Maria Magdalena Theresia^^Prof. Dr. med.^",
        "Ideographic": "沃爾夫施勒格爾施泰因豪森^瑪麗亞",
        "Phonetic": "ウォルフェシュレーゲルシュタインハウゼン^マリア",
    }
    items = make_items()
    items[0] = make_item(
        long_name, "X" * 64, procedure="Ösophago-Gastro-Duodenoskopie " * 3, time_of_day="0700", accession="A" * 16
    )
    write_worklist(bench.paths, items, trouble="The RIS does not answer (no connection in 10 s).", age_seconds=7400)
    panel.has("list-trouble", "The RIS does not answer")
    panel.has("list-age", "2 h 3 min old")
    panel.shot("worklist-trouble")
    panel.check_touch_targets()

    panel.tap("worklist-row")
    panel.shot("confirm-long")
    panel.check_touch_targets()
    panel.tap("confirm-back")
    panel.page.locator("[data-testid=worklist-row][data-patient-id='FR-1']").tap()
    panel.has("confirm-birth-date", "not given")
    panel.shot("confirm-incomplete")
    panel.tap("confirm-back")
    panel.page.locator("[data-testid=worklist-row][data-patient-id='AR-77']").tap()
    panel.has("confirm-name", "أحمد ليلى")
    panel.shot("confirm-arabic")
    panel.tap("confirm-back")

    bench.endoscope.has_picture = False
    bench.endoscope.state, bench.endoscope.sentence = "no signal", "There is no video signal. Check the cable."
    bench.forward.trouble = "The archive does not answer (connection refused)."
    bench.film.stop()
    panel.page.locator(f"[data-testid=worklist-row][data-patient-id='{'X' * 64}']").tap()
    panel.tap("open-exam")
    panel.is_on("exam")
    panel.has("preview-state", "There is no video signal")
    panel.has("finding-line", "The archive does not answer")
    panel.shot("exam-no-signal")
    panel.check_touch_targets()
    panel.page.locator("[data-testid=device-tab][data-device=film]").tap()
    panel.has("device-state", "Not connected")
    expect(panel.page.get_by_test_id("scan")).to_be_disabled()
    panel.shot("exam-not-connected")
    panel.tap("end-exam")
    panel.has("ending-empty", "Nothing was captured")
    panel.shot("ending-empty")
    panel.tap("abandon")
    panel.is_on("abandoning")
    expect(panel.page.get_by_test_id("confirm-abandon")).to_be_disabled()
    panel.shot("abandoning")
    panel.check_touch_targets()


def test_ok__a_cyrillic_name_and_an_abandoned_exam(bench: Bench, panel: Panel) -> None:
    panel.page.get_by_test_id("search").fill("анна")
    panel.count("worklist-row", 1)
    open_exam_of(panel, "RU-9001-XII")
    panel.page.locator("[data-testid=device-tab][data-device=endoscope]").tap()
    panel.shot("exam-cyrillic")
    panel.tap("capture")
    panel.count("strip-item", 1)
    panel.tap("end-exam")
    panel.tap("ending-back")
    panel.is_on("exam")
    panel.tap("end-exam")
    panel.tap("abandon")
    panel.page.locator("[data-testid=reason][data-code='110501']").tap()
    panel.tap("confirm-abandon")
    panel.is_on("worklist")
    (exam_id,) = bench.facts.exam_ids()
    closed = bench.facts.closed(exam_id)
    assert closed is not None
    assert (str(closed.outcome), closed.reason) == ("DISCONTINUED", "110501")
    panel.tap("show-queue")
    panel.has("exam-outcome", "discontinued")
    bench.forward.set_all("refused", "The archive refused: its disk is full of objects of this class (A900).")
    panel.has("refused", "Refused: The archive refused")
    panel.shot("queue-refused")


@pytest.mark.parametrize("panel", ["800x480", "1024x600"] if _SHOTS else ["800x480"], indirect=True)
def test_ok__several_steps_in_one_exam_and_one_more_on_the_same_study(bench: Bench, panel: Panel) -> None:
    items = make_items()
    items[1:1] = [
        make_item("Müller^Jürgen^^Dr.", "4711", birth_date="19480517", sex="M", modality="US", step="S2",
                  procedure="Abdomen ultrasound", time_of_day="081500", accession="20261"),
        make_item("Müller^Jürgen^^Dr.", "4711", birth_date="19480517", sex="M", modality="RG", step="S3",
                  procedure="Thorax p.a.", time_of_day="083000", accession="20277"),
    ]  # fmt: skip
    write_worklist(bench.paths, items)
    panel.page.get_by_test_id("search").fill("4711")
    panel.count("worklist-row", 3)
    panel.tap("worklist-row")
    panel.count("add-step", 2)
    panel.shot("confirm-steps")
    panel.check_touch_targets()
    panel.page.get_by_test_id("add-step").first.tap()
    expect(panel.page.get_by_test_id("add-step").first).to_have_attribute("aria-checked", "true")
    panel.shot("confirm-steps-added")
    panel.tap("open-exam")
    panel.is_on("exam")
    panel.has("patient-banner", "Gastroscopy + Abdomen ultrasound")
    first = bench.facts.exam(bench.facts.open_exam_id() or "")
    assert first is not None
    assert [item.procedure for item in first.items] == ["Gastroscopy", "Abdomen ultrasound"]
    panel.tap("capture")
    panel.count("strip-item", 1)
    panel.tap("end-exam")
    panel.tap("confirm-end")
    panel.is_on("worklist")
    panel.close_notice()
    panel.count("examined-mark", 2)

    panel.page.locator("[data-testid=worklist-row][data-examined=true]").nth(1).tap()
    panel.has("confirm-append", "this will be added to the same study")
    panel.shot("confirm-append")
    panel.tap("open-exam")
    panel.is_on("exam")
    second = bench.facts.exam(bench.facts.open_exam_id() or "")
    assert second is not None
    assert (second.study_instance_uid, second.study_began_at) == (first.study_instance_uid, first.opened_at)


@pytest.mark.parametrize("panel", ["800x480", "1024x600"] if _SHOTS else ["800x480"], indirect=True)
def test_ok__a_patient_whom_nobody_scheduled(bench: Bench, panel: Panel) -> None:
    panel.is_on("worklist")
    panel.tap("unscheduled")
    panel.is_on("unscheduled")
    panel.check_touch_targets()
    panel.page.get_by_test_id("family-name").fill("Núñez")
    panel.page.get_by_test_id("given-name").fill("Íñigo")
    panel.page.get_by_test_id("patient-id").fill("EMERGENCY\\1")
    panel.page.get_by_test_id("birth-date").fill("1975-08-01")
    panel.page.locator("[data-testid=sex][data-value=M]").tap()
    panel.shot("unscheduled")
    panel.tap("unscheduled-next")
    panel.is_on("confirm")
    panel.has("confirm-name", "Núñez Íñigo")
    panel.has("confirm-birth-date", "01 Aug 1975")
    panel.tap("open-exam")
    panel.has("notice", "The Patient ID holds a character that DICOM does not allow there.")
    panel.close_notice()
    panel.tap("confirm-back")
    panel.page.get_by_test_id("patient-id").fill("EMERGENCY-1")
    panel.tap("unscheduled-next")
    panel.has("confirm-patient-id", "EMERGENCY-1")
    panel.shot("confirm-unscheduled")
    panel.tap("open-exam")
    panel.is_on("exam")
    panel.has("patient-banner", "Núñez Íñigo")
    exam = bench.facts.exam(bench.facts.open_exam_id() or "")
    assert exam is not None
    assert not exam.is_scheduled
    assert (exam.item.patient_name.alphabetic, exam.item.birth_date) == ("Núñez^Íñigo", "19750801")


def test_fail__what_goes_wrong_is_said_and_the_exam_goes_on(bench: Bench, panel: Panel) -> None:
    open_exam_of(panel, "4711")
    bench.endoscope.still_error = "A picture from the grabber was damaged (no end marker)."
    panel.tap("capture")
    panel.has("notice", "no end marker")
    panel.has("notice", "Check the cable and try again.")
    panel.shot("exam-error")
    panel.close_notice()
    panel.count("strip-item", 0)
    bench.endoscope.still_error = ""
    panel.tap("capture")
    panel.count("strip-item", 1)

    panel.page.locator("[data-testid=device-tab][data-device=film]").tap()
    panel.tap("scan")
    panel.tap("cancel")
    panel.has("notice", "The scan was cancelled.")
    panel.close_notice()
    bench.ultrasound.findings = [
        {"code": "bad-transfer", "sentence": "The transfer broke off.", "suggestion": "Send it again.", "subject": ""}
    ]
    panel.page.locator("[data-testid=device-tab][data-device=ultrasound]").tap()
    panel.has("device-trouble", "The transfer broke off. Send it again.")
    expect(panel.page.get_by_test_id("finding-line")).to_be_hidden()  # once is enough
    panel.shot("exam-finding")
    panel.page.locator("[data-testid=device-tab][data-device=endoscope]").tap()
    panel.has("finding-line", "The transfer broke off.")
    panel.tap("finding-line")
    panel.has("finding", "The transfer broke off.")
    panel.tap("leave-queue")
    panel.is_on("exam")
    expect(panel.page.get_by_test_id("finding-line")).to_be_hidden()  # it was read

    bench.endoscope.is_drained = False
    panel.page.locator("[data-testid=device-tab][data-device=endoscope]").tap()
    panel.tap("end-exam")
    panel.tap("confirm-end")
    panel.is_on("closing")
    panel.page.get_by_text("Waiting for Endoscope").wait_for(timeout=15_000)
    panel.has("patient-banner", "Müller Jürgen Dr.")
    panel.shot("closing")
    bench.endoscope.is_drained = True
    panel.is_on("worklist")
    bench.forward.stop()
    panel.tap("show-queue")
    panel.has("finding", "The sender does not answer")
    panel.shot("queue-forward-down")


def test_ok__a_stale_picture_is_said(bench: Bench, panel: Panel) -> None:
    open_exam_of(panel, "4711")
    veil = panel.page.get_by_test_id("preview-state")
    expect(veil).to_be_hidden(timeout=15_000)
    canvas = panel.page.get_by_test_id("preview")
    first = int(canvas.get_attribute("data-frames") or 0)
    wait_until(lambda: int(canvas.get_attribute("data-frames") or 0) > first + 5, "the picture moves")
    bench.endoscope.has_picture = False
    expect(veil).to_contain_text("Picture is 1 s old. There is no video signal.", timeout=5_000)
    panel.shot("exam-stale")
    bench.endoscope.has_picture = True
    expect(veil).to_be_hidden(timeout=5_000)
    # A device that goes away and comes back is picked up by itself.
    bench.endoscope.stop()
    panel.has("preview-state", "not connected")
    bench.endoscope.start()
    expect(veil).to_be_hidden(timeout=15_000)


def test_ok__a_lost_connection_is_shown_in_two_seconds_and_heals(bench: Bench, panel: Panel) -> None:
    open_exam_of(panel, "4711")
    panel.tap("capture")
    panel.count("strip-item", 1)
    lost = panel.page.get_by_test_id("connection-lost")
    expect(lost).to_be_hidden()
    # Noted by the page itself: whoever asks a browser from outside looks seldom, and waits for his turn.
    panel.page.evaluate(
        """() => new MutationObserver(() => requestAnimationFrame(() => { window.lostAt ??= Date.now(); }))
          .observe(document.getElementById("connection"), { attributeFilter: ["hidden"] })"""
    )
    killed_at = time.time()
    bench.kill()
    expect(lost).to_be_visible(timeout=10_000)
    assert panel.page.evaluate("window.lostAt") / 1000 - killed_at < 2.0
    panel.shot("connection-lost")
    bench.start()
    expect(lost).to_be_hidden(timeout=15_000)
    panel.is_on("exam")
    panel.tap("capture")
    panel.count("strip-item", 2)
    # The whole page, opened anew, finds the exam as well, and asks whether it goes on: the box was started again.
    panel.page.reload()
    panel.is_on("interrupted")
    panel.tap("go-on")
    panel.is_on("exam")
    panel.count("strip-item", 2)


def test_ok__two_panels_show_the_same_exam(bench: Bench, panel: Panel, browser: Browser) -> None:
    other = Panel(browser, bench, "800x480")
    try:
        other.is_on("worklist")
        other.tap("worklist-row")
        other.is_on("confirm")
        open_exam_of(panel, "AR-77")
        other.is_on("exam")  # whatever was about to be opened there
        other.has("patient-banner", "أحمد ليلى")
        other.tap("capture")
        panel.count("strip-item", 1)
        panel.tap("end-exam")
        panel.tap("confirm-end")
        other.is_on("worklist")
    finally:
        other.close()
    assert len(bench.facts.exam_ids()) == 1


def test_ok__words_of_the_page(quiet_panel: Panel) -> None:
    """The page's pure functions, in the page's own engine."""

    def call(function: str, *arguments: object) -> object:
        return quiet_panel.page.evaluate(
            "async ([name, values]) => (await import('/static/words.js'))[name](...values)", [function, list(arguments)]
        )

    now = "2026-11-22T09:30:00+01:00"
    for birth_date, age in {
        "19481122": "78 y",
        "19481123": "77 y",
        "20241122": "2 y",
        "20241123": "23 m",
        "20261001": "52 d",
        "20261122": "0 d",
        "20270101": "",
        "1948": "",
        "": "",
    }.items():
        assert call("ageText", birth_date, now) == age, birth_date
    assert call("dateText", "19610304") == "04 Mar 1961"
    assert call("timeText", "073000.000") == "07:30"
    assert call("timeText", "") == ""
    assert call("clockText", "2026-11-22T09:30:12.5+01:00") == "09:30:12"
    assert call("agoText", "2026-11-22T09:29:41+01:00", now) == "19 s"
    assert call("agoText", "2026-11-20T09:30:00+01:00", now) == "2 days"
    for typed, day in {"01081975": "19750801", "1.8.1975": "19750801", "1975-08-01": "19750801", "20010203": "20010203",
                       "": "", "1975": "1975", "19750801": "19750801"}.items():  # fmt: skip
        assert call("dateTyped", typed) == day, typed
    assert call("durationText", 65.9) == "1:05"
    assert call("bytesText", 999) == "999 B"
    assert call("bytesText", 1_234_567) == "1.2 MB"
    assert call("foldText", "Jérôme MÜLLER") == "jerome muller"


@pytest.mark.parametrize(
    ("language", "day", "moment", "age", "first"),
    [
        ("de", "04.03.1961", "22.11.2026 09:30:12", "65 J.", "Yamada Tarou"),
        ("fr", "04/03/1961", "22/11/2026 09:30:12", "65 ans", "Yamada Tarou"),
        ("es", "04/03/1961", "22/11/2026 09:30:12", "65 años", "Yamada Tarou"),
        ("ja", "1961/03/04", "2026/11/22 09:30:12", "65歳", "山田 太郎"),
        ("ar", "04/03/1961", "22/11/2026 09:30:12", "65 سنة", "أحمد ليلى"),
    ],
)
def test_ok__dates_and_names_as_each_language_has_them(
    quiet_panel: Panel, language: str, day: str, moment: str, age: str, first: str
) -> None:
    quiet_panel.speak(language)
    said = quiet_panel.page.evaluate(
        """async () => {
            const words = await import("/static/words.js");
            const now = "2026-11-22T09:30:12+01:00";
            return [
                words.dateText("19610304"), words.momentText(now), words.ageText("19610304", now),
                words.orderedNames(["Yamada Tarou", "أحمد ليلى", "山田 太郎"])[0],
            ];
        }"""
    )
    assert said == [day, moment, age, first]


def test_fail__a_damaged_worklist_is_said_and_heals(quiet_bench: Bench, quiet_panel: Panel) -> None:
    quiet_panel.count("worklist-row", 30)
    file = quiet_bench.paths.worklist / "ris.json"
    file.write_bytes(b"{")
    quiet_panel.has("list-trouble", "The file ris.json of worklist is damaged")
    write_worklist(quiet_bench.paths, make_items())
    quiet_panel.count("worklist-row", 30)


def test_ok__the_list_is_refreshed_by_tap(quiet_bench: Bench, quiet_panel: Panel) -> None:
    quiet_panel.count("worklist-row", 30)
    write_worklist(quiet_bench.paths, [], age_seconds=120)
    quiet_panel.has("list-empty", "Nobody is scheduled.")
    quiet_panel.shot("worklist-empty")
    quiet_panel.tap("refresh")
    quiet_panel.count("worklist-row", 30)
    assert quiet_bench.forward.refreshed == 1
    quiet_panel.page.get_by_test_id("search").fill("nobody of this name")
    quiet_panel.has("list-empty", "Nobody on the list matches.")
    quiet_bench.forward.stop()
    quiet_panel.tap("refresh")
    quiet_panel.has("notice", "The sender does not answer")
    quiet_bench.forward.start()


def test_ok__an_emergency_is_captured_in_two_taps(bench: Bench, panel: Panel) -> None:
    panel.is_on("worklist")
    panel.tap("emergency")
    panel.is_on("exam")
    panel.tap("capture")
    panel.count("strip-item", 1)
    panel.has("saved", "saved")
    panel.has("patient-banner", "UNKNOWN EMERGENCY")
    panel.has("patient-banner", "ID BRIDGE-E000001-")


def test_ok__a_patient_is_typed_on_the_screen(bench: Bench, browser: Browser) -> None:
    panel = Panel(browser, bench, "800x480")
    panel.speak("ja")
    panel.is_on("worklist")
    panel.tap("unscheduled")
    panel.tap("family-name")

    def press(*keys: str) -> None:
        for key in keys:
            panel.page.locator(f"[data-testid=key][data-key='{key}']").tap()

    panel.check_touch_targets()
    press("M", "e", "shift", "I", "erase", "i")
    panel.shot("keyboard-latin")
    panel.tap("given-name")
    press("own", "カ", "\u309b", "ス", "digits", "7", "erase")
    panel.check_touch_targets()
    panel.shot("keyboard-own")
    expect(panel.page.get_by_test_id("family-name")).to_have_value("Mei")
    expect(panel.page.get_by_test_id("given-name")).to_have_value("ガス")
    panel.tap("birth-date")
    press("1", "9", "7", "5", "0", "8", "0", "1", "done")
    expect(panel.page.get_by_test_id("keyboard")).to_be_hidden()
    panel.tap("unscheduled-next")
    panel.has("confirm-birth-date", "1975/08/01")
    panel.tap("open-exam")
    panel.is_on("exam")
    exam = bench.facts.exam(bench.facts.open_exam_id() or "")
    assert exam is not None
    assert (exam.item.patient_name.alphabetic, exam.item.birth_date) == ("Mei^ガス", "19750801")
    panel.close()
