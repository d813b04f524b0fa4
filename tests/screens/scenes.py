"""The panel's screens one after the other, each brought about as a person or a trouble would."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from playwright.sync_api import expect

from tests.console.conftest import Bench
from tests.console.fakes import make_item, make_items, write_worklist
from tests.console.test_panel import Panel

Shoot = Callable[[str], None]


def _schedule() -> list[object]:
    items = make_items()
    items[0].elements["00102110"] = {"vr": "LO", "Value": ["Penicillin", "Latex"]}
    items[0].elements["00102000"] = {"vr": "LO", "Value": ["Pacemaker"]}
    tomorrow = f"{datetime.now() + timedelta(days=1):%Y%m%d}"
    return [
        *items,
        make_item("Mueller^Juergen", "4712", birth_date="19480518", sex="M", time_of_day="081000", accession="20277"),
        make_item("Morgen^Erst", "T-1", day=tomorrow),
        make_item("Roe^Max", "MR-1", modality="MR", procedure="Knee", time_of_day="080500", accession="20299"),
        make_item("Müller^Jürgen^^Dr.", "4711", birth_date="19480517", sex="M", modality="US", step="S2",
                  procedure="Abdomen ultrasound", time_of_day="081500", accession="20261"),
    ]  # fmt: skip


def show_worklist(bench: Bench, panel: Panel, shoot: Shoot) -> None:
    write_worklist(bench.paths, [])
    panel.count("worklist-row", 0)
    shoot("worklist-empty")
    write_worklist(bench.paths, _schedule())  # type: ignore[arg-type]
    expect(panel.page.get_by_test_id("worklist-row").first).to_be_visible(timeout=15_000)
    shoot("worklist")
    panel.page.get_by_test_id("search").fill("jp-00")
    panel.count("worklist-row", 1)
    shoot("worklist-search")
    panel.page.get_by_test_id("search").fill("nobody")
    panel.count("list-empty", 1)
    shoot("worklist-nobody")
    panel.page.get_by_test_id("search").fill("")
    write_worklist(bench.paths, _schedule(), trouble="The RIS does not answer.", age_seconds=7400)  # type: ignore[arg-type]
    expect(panel.page.get_by_test_id("list-trouble")).to_be_visible(timeout=15_000)
    shoot("worklist-trouble")
    write_worklist(bench.paths, _schedule())  # type: ignore[arg-type]
    expect(panel.page.get_by_test_id("list-trouble")).to_be_hidden(timeout=15_000)


def show_choosing(bench: Bench, panel: Panel, shoot: Shoot) -> None:
    named = {"4711": "alerts", "AR-77": "arabic", "FR-1": "lacking", "MR-1": "no-machine"}
    for patient_id, name in named.items():
        panel.page.locator(f"[data-testid=worklist-row][data-patient-id='{patient_id}']").first.tap()
        panel.is_on("confirm")
        shoot(f"confirm-{name}")
        panel.tap("confirm-back")
    panel.tap("unscheduled")
    shoot("unscheduled")
    panel.tap("family-name")
    shoot("keyboard-latin")
    panel.page.locator("[data-testid=key][data-key=own]").tap()
    shoot("keyboard-own")
    panel.tap("birth-date")
    shoot("keyboard-digits")
    panel.page.locator("[data-testid=key][data-key=done]").tap()
    panel.tap("unscheduled-back")
    panel.tap("show-queue")
    shoot("queue-nothing")
    panel.tap("show-languages")
    shoot("languages")
    panel.tap("leave-queue")
    panel.tap("leave-queue")


def show_exam(bench: Bench, panel: Panel, shoot: Shoot) -> str:
    """The exam's screens; its identifier, once it has ended."""
    panel.page.locator("[data-testid=worklist-row][data-patient-id=JP-000123]").tap()
    panel.tap("open-exam")
    panel.is_on("exam")
    exam_id = bench.facts.open_exam_id() or ""
    shoot("exam-waiting")
    panel.page.locator("[data-testid=device-tab][data-device=endoscope]").tap()
    expect(panel.page.get_by_test_id("preview-state")).to_be_hidden(timeout=15_000)
    shoot("exam")
    panel.tap("capture")
    panel.count("strip-item", 1)
    panel.tap("record")
    expect(panel.page.get_by_test_id("stop")).to_be_visible(timeout=15_000)
    shoot("exam-recording")
    panel.tap("stop")
    panel.count("strip-item", 2)
    bench.endoscope.state, bench.endoscope.sentence = "no signal", "No picture comes from the Endoscope."
    bench.endoscope.has_picture = False
    expect(panel.page.get_by_test_id("preview-state")).to_be_visible(timeout=15_000)
    shoot("exam-no-signal")
    bench.endoscope.state, bench.endoscope.has_picture = "idle", True
    panel.page.locator("[data-testid=device-tab][data-device=ultrasound]").tap()
    bench.ultrasound.state, bench.ultrasound.progress = "receiving", {"done": 48_000, "total": None, "unit": "bytes"}
    expect(panel.page.get_by_test_id("progress-text")).to_contain_text("48", timeout=15_000)
    shoot("exam-receiving")
    bench.ultrasound.state, bench.ultrasound.progress = "idle", None
    panel.page.locator("[data-testid=device-tab][data-device=film]").tap()
    shoot("exam-film")
    panel.tap("show-queue")
    panel.count("queue-object", 2)
    shoot("queue-open")
    panel.tap("leave-queue")
    panel.tap("end-exam")
    panel.is_on("ending")
    shoot("ending")
    panel.tap("abandon")
    panel.is_on("abandoning")
    shoot("abandoning")
    panel.tap("abandon-back")
    panel.tap("end-exam")
    panel.tap("confirm-end")
    panel.is_on("worklist")
    shoot("ended")
    panel.close_notice()
    return exam_id


def show_emergency(panel: Panel, shoot: Shoot) -> None:
    """Somebody of whom nothing is known, until it is asked who it is."""
    panel.tap("emergency")
    panel.is_on("exam")
    shoot("emergency")
    panel.tap("name-patient")
    panel.is_on("worklist")
    shoot("emergency-choosing")
    panel.page.locator("[data-testid=worklist-row][data-patient-id='AR-77']").tap()
    panel.is_on("confirm")
    shoot("emergency-confirm")
    panel.tap("purpose-cancel")
    panel.tap("end-exam")
    shoot("ending-empty")
    panel.tap("confirm-end")
    panel.is_on("worklist")
    panel.close_notice()


def show_presence(panel: Panel, shoot: Shoot) -> None:
    """On a box that asks after two seconds and ends the exam soon."""
    panel.page.locator("[data-testid=worklist-row][data-patient-id=JP-000123]").tap()
    panel.tap("open-exam")
    for stage in ("ask", "warn"):
        expect(panel.page.locator(f"[data-testid=presence][data-stage={stage}]")).to_be_visible(timeout=30_000)
        shoot(f"presence-{stage}")


def show_outcome(bench: Bench, panel: Panel, shoot: Shoot) -> None:
    panel.tap("show-queue")
    panel.count("queue-object", 2)
    shoot("queue-saved")
    bench.forward.set_all("stored")
    expect(panel.page.locator("[data-testid=stored][data-yes=true]")).to_have_count(2, timeout=15_000)
    shoot("queue-stored")
    bench.forward.set_all("committed")
    expect(panel.page.locator("[data-testid=committed][data-yes=true]")).to_have_count(2, timeout=15_000)
    shoot("queue-committed")
    bench.forward.set_all("refused", "the archive is out of resources (status A700H)")
    expect(panel.page.get_by_test_id("refused").first).to_be_visible(timeout=15_000)
    shoot("queue-refused")
    bench.forward.trouble = "HOSPITAL refuses connections on port 11112."
    expect(panel.page.get_by_test_id("finding").first).to_be_visible(timeout=15_000)
    shoot("queue-trouble")
    panel.tap("leave-queue")
    expect(panel.page.get_by_test_id("worklist-row").first).to_be_visible(timeout=15_000)
    bench.kill()
    expect(panel.page.get_by_test_id("connection-lost")).to_be_visible(timeout=15_000)
    shoot("connection-lost")
    bench.start()
    expect(panel.page.get_by_test_id("connection-lost")).to_be_hidden(timeout=30_000)


def show_lock(panel: Panel, shoot: Shoot) -> None:
    panel.is_on("lock")
    shoot("lock")
    panel.page.locator("[data-testid=operator]").first.tap()
    for digit in "4712":
        panel.page.locator(f"[data-testid=pin-key][data-key='{digit}']").tap()
    shoot("lock-typed")
    panel.page.locator("[data-testid=pin-key][data-key=enter]").tap()
    expect(panel.page.get_by_test_id("notice")).to_be_visible(timeout=15_000)
    shoot("lock-wrong")
