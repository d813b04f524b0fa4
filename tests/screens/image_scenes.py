"""The screens of saved images: the tray, the review, discarding, the series, the wrong patient, an interrupted exam."""

from __future__ import annotations

import struct
from pathlib import Path

from playwright.sync_api import expect
from pydicom import dcmread

from appliance.spool.writer import ObjectWriter
from tests.compose.world import jpeg, make_clip
from tests.console.conftest import Bench
from tests.console.fakes import write_object
from tests.console.test_panel import Panel
from tests.screens.scenes import Shoot


def show_images(bench: Bench, panel: Panel, shoot: Shoot, directory: Path) -> None:
    for shade in (60, 200):
        write_object(bench.spool, None, "endoscope", pixels=bytes([shade]) * 4096)
    expect(panel.page.get_by_test_id("show-tray")).to_be_visible(timeout=15_000)
    shoot("worklist-unassigned")
    panel.tap("show-tray")
    panel.count("choice", 2)
    panel.tap("choice")
    shoot("tray")
    panel.tap("tray-assign")
    panel.is_on("worklist")
    shoot("tray-choosing")
    panel.page.locator("[data-testid=worklist-row][data-patient-id=JP-000123]").tap()
    panel.is_on("confirm")
    shoot("tray-confirm")
    panel.tap("open-exam")
    panel.count("strip-item", 1)
    panel.close_notice()
    exam = bench.facts.exam(bench.facts.open_exam_id() or "")
    assert exam is not None
    clip = make_clip(directory / "clip.dcm", exam, [jpeg(320, 240, is_odd=False, quality=q) for q in (20, 40, 60, 80)])
    uid = str(dcmread(clip.path).SOPInstanceUID)
    ObjectWriter(bench.spool.captured("endoscope", exam.exam_id), uid, clip.path.read_bytes()).publish()
    samples = struct.pack("<40000H", *((row * 200 + column) % 4096 for row in range(200) for column in range(200)))
    film = write_object(bench.spool, exam, "film", size=200, bits=16, pixels=samples)
    panel.count("strip-item", 3)
    shoot("exam-unassigned")
    picture = panel.page.get_by_test_id("review-picture")
    panel.page.locator(f"[data-testid=strip-item][data-uid='{uid}']").tap()
    expect(picture).to_have_attribute("data-shown", f"{uid}/0", timeout=15_000)
    expect(panel.page.get_by_test_id("review-play")).to_be_visible(timeout=15_000)
    shoot("review-clip")
    panel.tap("review-discard")
    shoot("review-reason")
    panel.page.locator("[data-testid=discard-reason][data-code=quality]").tap()
    expect(panel.page.get_by_test_id("review-take-back")).to_be_visible(timeout=15_000)
    shoot("review-discarded")
    panel.tap("review-back")
    panel.page.locator(f"[data-testid=strip-item][data-uid='{film.name.partition('~')[0]}']").tap()
    expect(panel.page.get_by_test_id("window-reset")).to_be_visible(timeout=15_000)
    shoot("review-film")
    panel.tap("review-series")
    shoot("review-series")
    panel.tap("series-cancel")
    panel.tap("review-wrong")
    expect(panel.page.locator("#wrong-list [data-testid=choice]")).to_have_count(2, timeout=15_000)
    shoot("wrong")
    panel.tap("wrong-next")
    panel.is_on("worklist")
    shoot("wrong-choosing")
    panel.page.locator("[data-testid=worklist-row][data-patient-id=AR-77]").tap()
    shoot("wrong-confirm")
    panel.tap("purpose-cancel")
    panel.is_on("exam")
    panel.tap("end-exam")
    panel.is_on("ending")
    shoot("ending-discarded")
    panel.tap("ending-back")
    bench.kill()
    bench.start()
    panel.page.goto(bench.address())
    panel.is_on("interrupted")
    shoot("interrupted")
    panel.tap("go-on")
    panel.tap("end-exam")
    panel.tap("confirm-end")
    panel.is_on("worklist")
    bench.forward.set_all("committed")
    panel.tap("show-queue")
    expect(panel.page.get_by_test_id("correct").first).to_be_visible(timeout=15_000)
    panel.close_notice()
    shoot("queue-correct")
    panel.tap("correct")
    panel.is_on("wrong")
    shoot("wrong-sent")
