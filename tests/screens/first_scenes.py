"""The screens of a new box, each brought about as a person or a stick would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from tests.console.first_box import FirstBox
from tests.console.test_panel import Panel
from tests.peers import running, start_storescp, start_wlmscpfs

_MILLISECONDS = 100_000.0
BROUGHT = '[box]\nname = "bridge"\n[listener]\nport = {port}\n'
_STICK = b"""[box]
name = "room-9"
ae_title = "ROOM9"
[network]
address = "10.20.30.40/24"
gateway = "10.20.30.1"
dns = ["10.20.30.2"]
[[worklist]]
name = "ris"
ae_title = "RIS"
host = "10.20.30.50"
port = 104
[[destinations]]
name = "pacs"
ae_title = "PACS"
host = "10.20.30.60"
port = 11112
"""


def show_first(box: FirstBox, panel: Panel, shoot: Callable[[str], None], aside: Path) -> None:
    """What a new box shows, until it is set up; `aside` is a directory for the hospital."""
    page = panel.page

    def await_stick(state: str) -> None:
        expect(page.locator(f"[data-testid=stick-state][data-state={state}]")).to_be_visible(timeout=_MILLISECONDS)

    def await_change(state: str) -> None:
        expect(page.locator(f"[data-testid=change-state][data-state={state}]")).to_be_visible(timeout=_MILLISECONDS)

    panel.is_on("choice")
    shoot("first-choice")
    panel.tap("show-languages")
    shoot("first-languages")
    panel.tap("leave-languages")
    box.plug(1, _STICK + b"colour = 7\n")
    await_stick("unusable")
    shoot("first-stick-unusable")
    box.plug(1, _STICK)
    await_stick("offered")
    panel.tap("look-at-stick")
    panel.is_on("stick")
    shoot("first-stick")
    panel.tap("refuse-stick")
    await_stick("refused")
    shoot("first-stick-refused")
    panel.tap("set-up-here")
    shoot("first-form")
    panel.tap("first-ae_title")
    shoot("first-form-keyboard")
    page.locator("[data-testid=key][data-key=done]").tap()
    page.locator("[data-testid=chosen][data-name=is_fixed][data-value=true]").tap()
    panel.tap("form-next")
    expect(page.get_by_test_id("wrong-address")).to_be_visible(timeout=_MILLISECONDS)
    page.get_by_test_id("wrong-destination_port").scroll_into_view_if_needed()
    shoot("first-form-wrong")
    page.locator("[data-testid=chosen][data-name=is_fixed][data-value=false]").tap()
    page.locator("[data-testid=chosen][data-name=has_commitment][data-value=false]").tap()
    ris, pacs = start_wlmscpfs(aside / "ris", "RIS"), start_storescp(aside / "pacs")
    typed = {"ae_title": "ROOM9", "name": "room-9", "worklist_ae_title": "RIS", "destination_ae_title": "PACS"}
    typed |= {"worklist_host": "127.0.0.1", "worklist_port": str(ris.port)}
    typed |= {"destination_host": "127.0.0.1", "destination_port": str(pacs.port)}
    for field, text in typed.items():
        page.get_by_test_id(f"first-{field}").fill(text)
    with running(ris):
        panel.tap("form-next")
        panel.is_on("look")
        shoot("first-look")
        panel.tap("put-in-force")
        await_change("rolled_back")
        shoot("first-went-back")
        panel.tap("change-back")
        with running(pacs):
            panel.tap("form-next")
            panel.tap("put-in-force")
            await_change("waiting")
        shoot("first-waiting")
        panel.tap("keep")
        panel.is_on("ready")
        shoot("first-ready")
