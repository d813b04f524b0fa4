"""What people do about images, by taps in Chromium: the tray, the review, the wrong patient, the lights."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from pydicom import dcmread

from appliance.exam.exam import Exam, Outcome
from appliance.spool.writer import ObjectWriter
from tests.compose.world import jpeg, make_clip
from tests.console.conftest import Bench, wait_until
from tests.console.fakes import CONFIGURATION, write_object
from tests.console.test_panel import _SHOTS, Panel, browser

__all__ = ["browser"]

_SIZES = ["800x480", "1024x600"] if _SHOTS else ["800x480"]


@pytest.fixture(scope="module")
def kept_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(tmp_path_factory.mktemp("images"))
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def bench(kept_bench: Bench) -> Bench:
    """One box for all tests, since each start is dear: no exam is open, and nothing lies anywhere."""
    exam_id = kept_bench.facts.open_exam_id()
    if exam_id is not None:
        body = {"exam_id": exam_id, "outcome": "COMPLETED"}
        kept_bench.asker().ask("POST", "/api/exam/close", body, seconds=60)
    if kept_bench.forward.server is None:
        kept_bench.forward.start()
    for path in kept_bench.spool.state.rglob("*.dcm"):
        path.unlink(missing_ok=True)
    kept_bench.forward.states.clear()
    kept_bench.endoscope.captured.clear()
    return kept_bench


@pytest.fixture(params=_SIZES)
def panel(request: pytest.FixtureRequest, browser: Browser, bench: Bench) -> Iterator[Panel]:
    made = Panel(browser, bench, request.param)
    yield made
    made.close()


def open_exam(panel: Panel, bench: Bench, row: int = 0) -> Exam:
    panel.page.get_by_test_id("worklist-row").nth(row).tap()
    panel.tap("open-exam")
    panel.is_on("exam")
    exam_id = bench.facts.open_exam_id()
    assert exam_id is not None
    exam = bench.facts.exam(exam_id)
    assert exam is not None
    return exam


def restart_with(bench: Bench, behind: str, line: str) -> None:
    """The console starts anew with one more line in its configuration."""
    bench.kill()
    bench.paths.configuration.write_text(CONFIGURATION.replace(behind, f"{behind}\n{line}", 1))
    bench.start()


def gray(shade: int) -> bytes:
    return bytes([shade]) * 64 * 64


def objects_of(bench: Bench, exam_id: str) -> list[Path]:
    return sorted((bench.spool.state / "captured").glob(f"*/{exam_id}/*.dcm"))


def is_on(panel: Panel, light: str, *, on: bool) -> None:
    expect(panel.page.get_by_test_id(light)).to_have_attribute("data-on", str(on).lower(), timeout=15_000)


def test_ok__a_frame_of_nobody_is_assigned_in_two_taps(bench: Bench, panel: Panel) -> None:
    write_object(bench.spool, None, "film", pixels=gray(90))
    panel.tap("show-tray")
    panel.tap("tray-assign")
    panel.is_on("worklist")
    panel.has("purpose", "1 image waits")
    panel.check_touch_targets()
    panel.page.get_by_test_id("worklist-row").nth(1).tap()
    panel.has("open-exam", "with these images")
    panel.tap("open-exam")
    panel.is_on("exam")
    panel.count("strip-item", 1)
    exam = bench.facts.exam(bench.facts.open_exam_id() or "")
    assert exam is not None
    assert dcmread(objects_of(bench, exam.exam_id)[0]).PatientID == "JP-000123"

    # With the exam open the others are given to it.
    for shade in (60, 200):
        write_object(bench.spool, None, "endoscope", pixels=gray(shade))
    panel.has("show-tray", "2 unassigned")
    is_on(panel, "light-erase", on=False)
    panel.tap("show-tray")
    panel.is_on("tray")
    panel.count("choice", 2)
    expect(panel.page.locator("[data-testid=choice] img")).to_have_count(2)
    expect(panel.page.get_by_test_id("tray-assign")).to_be_disabled()
    panel.check_touch_targets()
    panel.shot("tray")
    panel.page.get_by_test_id("choice").nth(1).tap()
    panel.has("tray-assign", "Give to Yamada Tarou, JP-000123")
    panel.tap("tray-assign")
    panel.count("choice", 1)
    wait_until(lambda: len(objects_of(bench, exam.exam_id)) == 2, "the image is made anew")
    datasets = [dcmread(path) for path in objects_of(bench, exam.exam_id)]
    assert {dataset.PatientID for dataset in datasets} == {"JP-000123"}
    assert sorted(max(dataset.PixelData) for dataset in datasets) == [90, 200]
    panel.tap("tray-back")
    panel.count("strip-item", 2)
    # One that waits alone is meant.
    panel.tap("show-tray")
    panel.has("tray-assign", "Give to")
    panel.tap("tray-discard")
    panel.shot("tray-discard")
    panel.page.locator("[data-testid=discard-reason][data-code=test]").tap()
    panel.is_on("exam")
    expect(panel.page.get_by_test_id("show-tray")).to_be_hidden()
    decision = bench.facts.decisions("unassigned")[-1]
    assert decision.reason == "It is a test image."


def test_ok__an_image_is_reviewed_discarded_taken_back_and_its_series_called(bench: Bench, panel: Panel) -> None:
    exam = open_exam(panel, bench)
    panel.tap("capture")
    panel.tap("capture")
    panel.count("strip-item", 2)
    first, second = (item.get_attribute("data-uid") for item in panel.page.get_by_test_id("strip-item").all())
    panel.page.get_by_test_id("strip-item").first.tap()
    panel.is_on("review")
    expect(panel.page.get_by_test_id("review-picture")).to_have_attribute("data-shown", f"{first}/0", timeout=15_000)
    panel.has("review-title", "1 of 2")
    panel.has("patient-banner", "Müller")
    panel.check_touch_targets()
    panel.shot("review-still")
    panel.tap("review-after")
    expect(panel.page.get_by_test_id("review-picture")).to_have_attribute("data-shown", f"{second}/0", timeout=15_000)
    panel.tap("review-discard")
    panel.check_touch_targets()
    panel.shot("review-discard")
    panel.page.locator("[data-testid=discard-reason][data-code=quality]").tap()
    expect(panel.page.get_by_test_id("review-discarded")).to_be_visible(timeout=15_000)
    panel.shot("review-discarded")
    wait_until(lambda: len(objects_of(bench, exam.exam_id)) == 1, "it is put away")
    expect(panel.page.get_by_test_id("review-take-back")).to_be_visible()
    panel.tap("review-back")
    panel.count("discarded", 1)
    panel.shot("exam-discarded")
    panel.tap("end-exam")
    panel.has("ending-count", "1 image will be sent")
    panel.has("ending-discarded", "1 discarded image is not sent")
    panel.check_touch_targets()
    panel.tap("ending-back")
    panel.tap("discarded")
    panel.tap("review-take-back")
    expect(panel.page.get_by_test_id("review-discarded")).to_be_hidden(timeout=15_000)
    assert len(objects_of(bench, exam.exam_id)) == 2
    assert not bench.facts.decisions(exam.exam_id)

    # Its series is called by a choice, or typed.
    panel.tap("review-series")
    panel.check_touch_targets()
    panel.shot("series")
    panel.tap("series-choice")
    panel.has("review-series", "Series: Gastroscopy")
    panel.tap("review-series")
    panel.page.get_by_test_id("series-name").fill("Antrum")
    panel.tap("series-keep")
    panel.has("review-series", "Series: Antrum")
    panel.tap("review-back")
    panel.tap("end-exam")
    panel.has("ending-series", "Endoscope: 2, series Antrum")
    panel.tap("confirm-end")
    panel.is_on("worklist")
    assert {dcmread(path).SeriesDescription for path in bench.spool.outbox.iterdir()} == {"Antrum"}
    closed = bench.facts.closed(exam.exam_id)
    assert closed is not None
    assert len(closed.instances) == 2


def test_ok__a_clip_is_played_and_a_film_is_windowed(bench: Bench, panel: Panel, tmp_path: Path) -> None:
    exam = open_exam(panel, bench)
    clip = make_clip(tmp_path / "clip.dcm", exam, [jpeg(320, 240, is_odd=False, quality=q) for q in (20, 40, 60, 80)])
    directory = bench.spool.captured("endoscope", exam.exam_id)
    directory.mkdir(parents=True, exist_ok=True)
    uid = str(dcmread(clip.path).SOPInstanceUID)
    ObjectWriter(directory, uid, clip.path.read_bytes()).publish()
    samples = struct.pack(
        f"<{200 * 200}H", *((row * 200 + column) % 4096 for row in range(200) for column in range(200))
    )
    write_object(bench.spool, exam, "film", size=200, bits=16, pixels=samples)
    panel.count("strip-item", 2)
    panel.page.locator(f"[data-testid=strip-item][data-uid='{uid}']").tap()
    picture = panel.page.get_by_test_id("review-picture")
    expect(picture).to_have_attribute("data-shown", f"{uid}/0", timeout=15_000)
    expect(panel.page.get_by_test_id("review-time")).to_contain_text("of 0:00", timeout=15_000)
    panel.check_touch_targets()
    panel.shot("review-clip")
    panel.tap("review-play")
    expect(picture).to_have_attribute("data-shown", f"{uid}/3", timeout=15_000)
    panel.has("review-play", "Play")
    panel.page.get_by_test_id("review-place").fill("1")
    expect(picture).to_have_attribute("data-shown", f"{uid}/1", timeout=15_000)

    after = panel.page.get_by_test_id("review-after")
    (after if after.is_enabled() else panel.page.get_by_test_id("review-before")).tap()
    expect(panel.page.get_by_test_id("window-reset")).to_be_visible(timeout=15_000)
    expect(picture).to_have_attribute("data-window", re.compile(r"^20\d\d/40\d\d$"), timeout=15_000)
    window = picture.get_attribute("data-window") or ""
    panel.shot("review-film")
    before = picture.evaluate("canvas => canvas.getContext('2d').getImageData(100, 100, 1, 1).data[0]")
    box = picture.bounding_box()
    assert box is not None
    panel.page.mouse.move(box["x"] + 200, box["y"] + 50)
    panel.page.mouse.down()
    panel.page.mouse.move(box["x"] + 120, box["y"] + 90, steps=4)
    expect(picture).not_to_have_attribute("data-window", window, timeout=15_000)
    panel.page.mouse.up()
    after_drag = picture.evaluate("canvas => canvas.getContext('2d').getImageData(100, 100, 1, 1).data[0]")
    assert before != after_drag
    panel.tap("window-reset")
    expect(picture).to_have_attribute("data-window", window)


def test_ok__images_move_to_the_right_patient(bench: Bench, panel: Panel) -> None:
    old = open_exam(panel, bench)
    panel.tap("capture")
    panel.tap("capture")
    panel.count("strip-item", 2)
    panel.tap("end-exam")
    panel.tap("wrong-patient")
    panel.is_on("wrong")
    panel.has("wrong-who", "Müller Jürgen")
    panel.count("choice", 2)
    panel.check_touch_targets()
    panel.shot("wrong")
    panel.tap("choice")
    panel.has("wrong-next", "1 image")
    panel.tap("wrong-next")
    panel.is_on("worklist")
    panel.has("purpose", "1 image of Müller Jürgen")
    panel.check_touch_targets()
    panel.shot("wrong-choosing")
    # Who thinks better of it is where he was.
    panel.tap("purpose-cancel")
    panel.is_on("exam")
    panel.tap("end-exam")
    panel.tap("wrong-patient")
    panel.tap("wrong-next")
    panel.page.get_by_test_id("worklist-row").nth(1).tap()
    panel.is_on("confirm")
    panel.has("open-exam", "Move the images to this patient")
    panel.shot("wrong-confirm")
    panel.tap("open-exam")
    panel.is_on("exam")
    panel.has("patient-banner", "Yamada Tarou")
    panel.count("strip-item", 2, 30.0)
    wait_until(lambda: bench.facts.closed(old.exam_id), "the wrong exam has ended")
    closed = bench.facts.closed(old.exam_id)
    assert closed is not None
    assert (closed.outcome, closed.reason, closed.instances) == (Outcome.DISCONTINUED, "110514", ())
    new = bench.facts.open_exam_id()
    assert new is not None
    assert {dcmread(path).PatientID for path in objects_of(bench, new)} == {"JP-000123"}


@pytest.mark.parametrize("images", [0, 2])
def test_ok__an_emergency_becomes_somebody(bench: Bench, panel: Panel, images: int) -> None:
    panel.is_on("worklist")
    panel.tap("emergency")
    panel.is_on("exam")
    first = bench.facts.open_exam_id()
    assert first is not None
    for _ in range(images):
        panel.tap("capture")
    panel.count("strip-item", images)
    panel.has("name-patient", "Who is it?")
    panel.check_touch_targets()
    panel.tap("name-patient")
    panel.is_on("worklist")
    panel.has("purpose", "Who is UNKNOWN EMERGENCY, BRIDGE-E")
    panel.tap("purpose-cancel")
    panel.is_on("exam")
    panel.tap("name-patient")
    panel.page.locator("[data-testid=worklist-row][data-patient-id='4711']").tap()
    panel.is_on("confirm")
    panel.has("open-exam", "It is this patient")
    panel.tap("open-exam")
    panel.has("patient-banner", "Müller Jürgen")
    panel.is_on("exam")
    expect(panel.page.get_by_test_id("name-patient")).to_be_hidden()
    panel.count("strip-item", images, 30.0)
    wait_until(lambda: bench.facts.closed(first), "the emergency's exam has ended")
    new = bench.facts.open_exam_id()
    assert new is not None
    assert [dcmread(path).PatientID for path in objects_of(bench, new)] == ["4711"] * images


def test_ok__after_it_was_sent_the_box_says_what_is_needed(bench: Bench, panel: Panel) -> None:
    open_exam(panel, bench)
    panel.tap("capture")
    panel.count("strip-item", 1)
    panel.tap("end-exam")
    panel.tap("confirm-end")
    panel.is_on("worklist")
    is_on(panel, "light-erase", on=False)
    bench.forward.set_all("committed")
    panel.tap("show-queue")
    expect(panel.page.get_by_test_id("correct").first).to_be_visible(timeout=15_000)
    panel.has("said-erase", "1 image is not committed everywhere")
    panel.shot("queue-correct")
    panel.tap("correct")
    panel.is_on("wrong")
    panel.has("correction", "113038")
    expect(panel.page.get_by_test_id("wrong-next")).to_be_hidden()
    panel.shot("wrong-not-enabled")
    panel.tap("wrong-back")
    panel.is_on("worklist")

    # The site lets the box do it.
    restart_with(bench, "[box]", "corrections = true")
    bench.forward.set_all("committed")
    panel.tap("show-queue")
    panel.tap("correct")
    panel.has("correction", "sends a rejection note")
    panel.tap("wrong-next")
    panel.has("purpose", "sent as of Müller")
    panel.page.get_by_test_id("worklist-row").nth(1).tap()
    panel.tap("open-exam")
    panel.is_on("queue")
    wait_until(lambda: len(list(bench.spool.outbox.iterdir())) == 3, "the note and the new image are handed over")

    kinds = {dcmread(path).Modality for path in bench.spool.outbox.iterdir()}
    assert kinds == {"ES", "KO"}


def test_ok__the_two_lights_are_told_apart(bench: Bench, panel: Panel) -> None:
    is_on(panel, "light-switch_off", on=True)
    is_on(panel, "light-erase", on=True)
    open_exam(panel, bench)
    panel.tap("record")
    is_on(panel, "light-switch_off", on=False)
    is_on(panel, "light-erase", on=False)
    panel.shot("lights-recording")
    panel.tap("stop")
    panel.count("strip-item", 1)
    # Saved on the box, and nowhere else: the one light says so, the other does not.
    is_on(panel, "light-switch_off", on=True)
    is_on(panel, "light-erase", on=False)
    panel.shot("lights-saved")
    panel.tap("show-queue")
    panel.has("said-switch_off", "Safe to switch off")
    panel.has("said-erase", "1 image is in the open exam")
    panel.tap("leave-queue")
    panel.tap("end-exam")
    panel.tap("confirm-end")
    panel.is_on("worklist")
    is_on(panel, "light-erase", on=False)
    for path in bench.spool.outbox.iterdir():
        path.rename(bench.spool.kept / path.name)
    is_on(panel, "light-erase", on=True)
    bench.forward.stop()
    is_on(panel, "light-erase", on=False)
    is_on(panel, "light-switch_off", on=True)


def test_ok__an_interrupted_exam_is_asked_about_and_the_last_seconds_are_one_tap(bench: Bench, panel: Panel) -> None:
    exam = open_exam(panel, bench)
    panel.tap("capture")
    panel.count("strip-item", 1)
    restart_with(bench, 'source = "nowhere"', "lookback_seconds = 8")
    panel.page.reload()
    panel.is_on("interrupted")
    panel.has("screen-interrupted", "Müller Jürgen")
    panel.check_touch_targets()
    panel.shot("interrupted")
    panel.tap("go-on")
    panel.is_on("exam")
    panel.count("strip-item", 1)
    panel.page.reload()
    panel.is_on("exam")
    assert bench.facts.open_exam_id() == exam.exam_id
    panel.has("last-seconds", "Last 8 s")
    panel.check_touch_targets()
    panel.tap("last-seconds")
    panel.count("strip-item", 2)
    assert bench.endoscope.asked[-2:] == ["/clip/start", "/clip/stop"]
