"""The main job in the kiosk's engine."""

from __future__ import annotations

from pathlib import Path

from tests.console.conftest import Bench
from tests.screens.webkit import webkit


def test_ok__the_main_job_in_webkit(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    try:
        with webkit() as page:
            page.ask("/url", {"url": bench.address()})
            page.is_on("worklist")
            page.wait("return document.querySelectorAll('[data-testid=worklist-row]').length > 5", "the list is here")
            page.click("worklist-row")
            page.is_on("confirm")
            page.click("open-exam")
            page.is_on("exam")
            page.wait("return Number(document.querySelector('[data-testid=preview]').dataset.frames) > 3", "it is live")
            page.click("capture")
            page.wait("return document.querySelector('[data-testid=saved]')?.textContent.includes('saved')", "saved")
            page.click("end-exam")
            page.is_on("ending")
            page.click("confirm-end")
            page.is_on("worklist")
            page.wait("return document.querySelectorAll('[data-testid=examined-mark]').length === 1", "it is marked")
            bench.kill()
            page.wait("return !document.querySelector('[data-testid=connection-lost]').hidden", "the loss is shown")
            bench.start()
            page.wait("return document.querySelector('[data-testid=connection-lost]').hidden", "it has healed")
        (exam_id,) = bench.facts.exam_ids()
        closed = bench.facts.closed(exam_id)
        assert closed is not None
        assert len(closed.instances) == 1
    finally:
        bench.stop()
