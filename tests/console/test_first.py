"""A new box at its panel, by taps: what is typed, what a stick bears, what fails, and what is over once it is kept.

Console, forward and the two programs behind them are real, and so are the hospital's: Orthanc, DCMTK.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from appliance.base.errors import ApplianceError
from appliance.base.findings import FindingBoard
from appliance.base.paths import Paths
from appliance.base.pins import kept_pin_from
from appliance.base.tokens import Role
from appliance.config.change_states import ChangeState
from appliance.config.load import configuration_from
from appliance.config.schema import Configuration
from appliance.config.short_code import short_code_of
from appliance.config.stick import TAKEN_FROM_NONE
from appliance.console.first import FirstContact
from appliance.exam.audit import AuditTrail
from appliance.exam.audit_gate import AuditGate
from tests.console.conftest import wait_until
from tests.console.fakes import HandClock
from tests.console.first_box import FirstBox
from tests.console.test_abuse import BODIES
from tests.console.test_panel import Panel, browser
from tests.peers import running, start_orthanc, start_storescp, start_wlmscpfs
from tests.ports import pick_free_port
from tests.screens.accessible import complaints_of

__all__ = ["browser"]  # a fixture

_SECONDS = 100.0
_ADDRESSES = tuple(
    f"/api/first/{name}" for name in ("check", "set-up", "take-stick", "refuse-stick", "confirm", "take-back")
)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FirstBox]:
    """One for all: what is tried is taken back, and the last test of this file keeps something."""
    made = FirstBox(tmp_path_factory.mktemp("new"), f'[box]\nname = "bridge"\n[listener]\nport = {pick_free_port()}\n')
    try:
        yield made
    finally:
        made.stop()


def _stick_text(worklist: int, archive: int) -> bytes:
    """With an operator: the panel is locked from then on, and its new box's page is not, until something is kept."""
    text = f"""# Of the stick.
[[operators]]
name = "Muster^Anna"
pin = "{kept_pin_from("4711")}"
[box]
name = "room-9"
ae_title = "ROOM9"
[listener]
port = {pick_free_port()}
[[worklist]]
name = "ris"
ae_title = "RIS"
host = "127.0.0.1"
port = {worklist}
[[destinations]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = {archive}
commitment = false
"""
    return text.encode()


def _form(worklist: int, archive: int, **other: str) -> dict[str, str]:
    return {
        "ae_title": "ROOM9",
        "name": "room-9",
        "worklist_ae_title": "ORTHANC",
        "worklist_host": "127.0.0.1",
        "worklist_port": str(worklist),
        "destination_ae_title": "ORTHANC",
        "destination_host": "127.0.0.1",
        "destination_port": str(archive),
        **other,
    }


def _state_is(panel: Panel, state: str) -> None:
    line = panel.page.locator(f"[data-testid=change-state][data-state={state}]")
    expect(line).to_be_visible(timeout=_SECONDS * 1000)


def _stick_is(panel: Panel, state: str) -> None:
    expect(panel.page.locator(f"[data-testid=stick-state][data-state={state}]")).to_be_visible(timeout=_SECONDS * 1000)


def test_ok__what_was_told_of_a_stick_is_over_after_a_while(tmp_path: Path) -> None:
    clock, findings = HandClock(), FindingBoard()
    audit = AuditGate(AuditTrail(tmp_path / "audit", "console", clock), findings)
    first = FirstContact(Paths.below(tmp_path), Configuration(), audit, findings, clock)
    with pytest.raises(ApplianceError):
        first.tell_stick({"what": "anything"})
    first.tell_stick({"what": TAKEN_FROM_NONE})
    clock.seconds += 299
    first.look()
    assert [one["code"] for one in findings.as_json()] == ["stick-not-taken"]
    clock.seconds += 1
    first.look()
    assert findings.as_json() == []


def test_fail__a_program_that_is_killed_in_the_middle_takes_it_back(box: FirstBox) -> None:
    before = box.paths.configuration.read_bytes()
    with box.browser() as panel:
        change = panel.post("/api/first/set-up", json={**_form(1, 1), "has_commitment": False}).json()
        assert change["who"] == "panel" and change["what"] == "first configuration, typed on the panel"
        wait_until(lambda: box.paths.configuration.read_bytes() != before, "it is in force", _SECONDS)
        box.kill("appliance-apply")

        def is_back() -> bool:
            try:
                answer = panel.get("/api/first").json()
            except httpx.TransportError:
                return False  # the console starts anew meanwhile
            return bool(answer.get("change")) and answer["change"]["state"] == "rolled back"

        wait_until(is_back, "it went back", _SECONDS)
        told = panel.get("/api/first").json()
        assert told["is_new"] and "interrupted before it was tested" in told["change"]["why"]
    assert box.paths.configuration.read_bytes() == before


def test_fail__nobody_but_the_panel_sets_a_box_up(box: FirstBox) -> None:
    with httpx.Client(base_url=box.url, headers={"X-Appliance-Panel": "1"}, timeout=20) as stranger:
        assert {stranger.post(path, json={}).status_code for path in _ADDRESSES} == {401}
        assert {stranger.get(path).status_code for path in ("/first", "/api/first")} == {401}
    with box.browser(Role.SUPPORT) as support:
        assert {support.post(path, json=_form(1, 1)).status_code for path in _ADDRESSES} == {403}
        assert support.get("/", follow_redirects=False).status_code == 200
        assert support.get("/api/first").json()["is_new"]


def test_fail__bodies_that_nobody_means(box: FirstBox) -> None:
    numbers = box.history.numbers()
    with box.browser() as panel:
        for path in _ADDRESSES:
            for body in (*BODIES, b'{"code": 7}', b'{"code": "AAAA"}', b'{"name": ["x"]}', b'{"is_fixed": 1}'):
                answer = panel.post(path, content=body, headers={"Content-Type": "application/json"})
                is_empty_form = path == "/api/first/check" and answer.status_code == 200
                assert is_empty_form or 400 <= answer.status_code < 500, (path, body[:60], answer.text)
                assert is_empty_form or answer.json()["error"]["sentence"], (path, body[:60])
    assert box.history.numbers() == numbers
    assert "Traceback" not in box.log()


def test_ok__a_stick_whose_code_was_compared(box: FirstBox, browser: Browser, tmp_path: Path) -> None:
    worklist, archive = start_wlmscpfs(tmp_path / "ris", "RIS"), start_storescp(tmp_path / "archive")
    text = _stick_text(worklist.port, archive.port)
    before = box.paths.configuration.read_bytes()
    panel = Panel(browser, box, "800x480")
    panel.is_on("change" if box.history.numbers() else "choice")
    if box.history.numbers():  # what became of the last attempt
        panel.tap("change-back")
    panel.is_on("choice")
    box.plug(2, text)
    _stick_is(panel, "two")
    box.plug(1, text + b"colour = 7\n")
    _stick_is(panel, "unusable")
    expect(panel.page.locator("#stick-problems li")).to_contain_text("destinations[0].colour")
    # Somebody put another file on it.
    box.plug(1, text.replace(b"PACS", b"EVIL"))
    _stick_is(panel, "offered")
    panel.tap("look-at-stick")
    panel.is_on("stick")
    assert panel.texts("stick-code") == [short_code_of(text.replace(b"PACS", b"EVIL"))]
    panel.check_touch_targets()
    panel.tap("refuse-stick")
    panel.is_on("choice")
    _stick_is(panel, "refused")
    box.plug(1)
    _stick_is(panel, "none")
    box.plug(1, text)
    _stick_is(panel, "offered")
    panel.tap("look-at-stick")
    expect(panel.page.get_by_test_id("stick-code")).to_have_text(short_code_of(text))
    rows = panel.texts("row")
    assert "ROOM9, named room-9" in rows[0] and f"PACS at 127.0.0.1, port {archive.port}" in rows[3]
    # Pulled out while somebody compares.
    box.plug(1)
    panel.is_on("choice")
    box.plug(1, text)
    _stick_is(panel, "offered")
    panel.tap("look-at-stick")
    with running(worklist), running(archive):
        panel.tap("take-stick")
        panel.is_on("change")
        box.plug(1)  # it is not needed any more
        _state_is(panel, "waiting")
    assert box.paths.configuration.read_bytes() == text
    expect(panel.page.locator("[data-testid=peer][data-verdict=good]")).to_have_count(2)
    with box.browser() as asking:
        assert asking.get("/api/worklist").status_code == 423
    # Who waits at the page while its server is killed goes on where he was.
    box.kill("appliance-console")
    _state_is(panel, "waiting")
    panel.tap("take-back")
    _state_is(panel, "rolled_back")
    panel.has("change-why", "it was taken back")
    panel.close()
    change = box.history.change(box.history.numbers()[-1])
    assert change is not None and change.who == f"panel (code {short_code_of(text)})"
    assert box.paths.configuration.read_bytes() == before
    trail = [json.loads(line.partition(" ")[2]) for line in _lines(box, "console") + _lines(box, "apply")]
    details = " ".join(str(record.get("detail", "")) for record in trail)
    assert "its code" in details and "is rolled back: it was taken back" in details


def _lines(box: FirstBox, process: str) -> list[str]:
    return [
        line for path in sorted((box.paths.audit / process).glob("*.log")) for line in path.read_text().splitlines()
    ]


def test_ok__set_up_by_taps_and_never_again(box: FirstBox, browser: Browser, tmp_path: Path) -> None:
    panel = Panel(browser, box, "1024x600")
    if box.history.numbers():
        panel.tap("change-back")
    panel.is_on("choice")
    panel.tap("set-up-here")
    panel.is_on("form")
    # The keyboard of the page: an AE title in capitals, a name in small letters, each looked at when it is left.
    panel.tap("first-ae_title")
    for letter in "ROOM":
        panel.page.locator(f"[data-testid=key][data-key={letter}]").tap()
    panel.page.locator("[data-testid=key][data-key=digits]").tap()
    panel.page.locator("[data-testid=key][data-key='9']").tap()
    panel.tap("first-name")
    assert complaints_of(panel.page) == []
    panel.page.locator("[data-testid=key][data-key='-']").tap()
    panel.page.locator("[data-testid=key][data-key=done]").tap()
    panel.has("wrong-name", "1 to 16 small letters")
    expect(panel.page.get_by_test_id("wrong-ae_title")).to_be_hidden()
    expect(panel.page.get_by_test_id("wrong-worklist_host")).to_be_hidden()
    panel.page.locator("[data-testid=chosen][data-name=is_fixed][data-value=true]").tap()
    panel.page.get_by_test_id("first-address").fill("10.0.0.5")
    panel.tap("form-next")
    panel.has("wrong-address", "10.20.30.40/24")
    panel.has("wrong-worklist_host", "This is needed.")
    panel.is_on("form")
    panel.page.locator("[data-testid=chosen][data-name=is_fixed][data-value=false]").tap()
    panel.page.locator("[data-testid=chosen][data-name=has_commitment][data-value=false]").tap()
    orthanc = start_orthanc(tmp_path / "orthanc", box_ae="ROOM9", box_port=pick_free_port())
    nowhere = pick_free_port()
    for field, text in _form(orthanc.port, nowhere).items():
        if field != "ae_title":
            panel.page.get_by_test_id(f"first-{field}").fill(text)
    with running(orthanc):
        panel.tap("form-next")
        panel.is_on("look")
        panel.check_touch_targets()
        assert "ROOM9, named room-9" in panel.texts("row")[0]
        panel.tap("put-in-force")
        _state_is(panel, "rolled_back")
        good, bad = (panel.page.locator(f"[data-testid=peer][data-verdict={one}]") for one in ("good", "failed"))
        expect(good).to_contain_text(f"127.0.0.1:{orthanc.port}")
        expect(bad).to_contain_text(f"refuses connections on port {nowhere}. The host is there: check that the service")
        panel.tap("change-back")
        panel.is_on("form")
        panel.page.get_by_test_id("first-destination_port").fill(str(orthanc.port))
        panel.tap("form-next")
        panel.tap("put-in-force")
        _state_is(panel, "waiting")
        panel.has("change-left", "it goes back in")
        panel.check_touch_targets()
        panel.tap("keep")
        panel.is_on("ready")
        panel.tap("to-panel")
        panel.is_on("worklist")
    panel.close()
    number = box.history.numbers()[-1]
    outcome = box.history.outcome(number)
    assert outcome is not None and (outcome.state, outcome.who) == (ChangeState.CONFIRMED, "panel")
    assert any("worklist query of ris" in check for check in box.history.checks(number))
    kept = configuration_from(box.paths.configuration.read_bytes(), Path("active.toml"))
    assert (kept.box.ae_title, kept.box.name, kept.destinations[0].port) == ("ROOM9", "room-9", orthanc.port)
    # Who plugs a stick into it is told why nothing happens.
    box.plug(1, _stick_text(1, 1))
    assert box.plug_in() == 0
    with box.browser() as asking:
        said = asking.get("/api/status").json()["findings"]
        assert any("This box is configured and takes nothing from it." in one["sentence"] for one in said)
    # From now on it is support's.
    with box.browser() as asking:
        assert asking.get("/first", follow_redirects=False).headers["location"] == "/"
        assert asking.get("/api/first").json() == {"is_new": False, "change": None, "stick": None}
        for path in _ADDRESSES:
            answer = asking.post(path, json={**_form(1, 1), "code": "AAAA-AAAA-AAAA"})
            assert (answer.status_code, answer.json()["error"]["suggestion"]) == (409, "Ask support."), path
    # Nor does the program behind it listen to a console that somebody else has taken over.
    transport = httpx.HTTPTransport(uds=str(box.paths.first_socket))
    with httpx.Client(transport=transport, base_url="http://appliance", timeout=20) as taken_over:
        for path, said in (("/set-up", "is configured"), ("/confirm", "No first"), ("/take-back", "No first")):
            answer = taken_over.post(path, json={**_form(1, 1)})
            assert answer.status_code == 409 and said in answer.json()["error"]["sentence"], path
    assert box.history.numbers()[-1] == number
