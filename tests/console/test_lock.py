"""The lock, by a clock turned by hand: PINs, waits that grow, idleness, emergencies; what each act leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.base.errors import ApplianceError
from appliance.base.findings import FindingBoard
from appliance.base.pins import kept_pin_from
from appliance.config.schema import Operator
from appliance.console.lock import PanelLock
from appliance.exam.audit import AuditTrail
from appliance.exam.audit_gate import AuditGate
from tests.console.fakes import HandClock

_KEPT = {name: kept_pin_from(pin) for name, pin in (("Muster^Anna", "1234"), ("Doe^John", "987654"))}


class Panel:
    def __init__(self, directory: Path, *, idle: float = 300.0, operators: dict[str, str] | None = None) -> None:
        self.clock = HandClock()
        self.directory = directory
        gate = AuditGate(AuditTrail(directory, "console", self.clock), FindingBoard())
        chosen = [Operator(name=name, pin=pin) for name, pin in (_KEPT if operators is None else operators).items()]
        self.lock = PanelLock(chosen, idle, self.clock, gate)

    def trail(self) -> str:
        return "".join(path.read_text() for path in sorted((self.directory / "console").glob("*.log")))


def test_ok__without_operators_there_is_no_lock(tmp_path: Path) -> None:
    panel = Panel(tmp_path, operators={})
    panel.clock.seconds = 1e6
    panel.lock.lock()
    assert panel.lock.view() == {"is_locked": False, "operators": [], "operator": ""}


def test_ok__a_pin_unlocks_and_idleness_locks(tmp_path: Path) -> None:
    panel = Panel(tmp_path)
    assert panel.lock.view() == {"is_locked": True, "operators": ["Muster^Anna", "Doe^John"], "operator": ""}
    panel.lock.unlock("Muster^Anna", "1234")
    assert (panel.lock.is_locked(), panel.lock.operator) == (False, "Muster^Anna")
    for _ in range(3):
        panel.clock.seconds += 299
        panel.lock.note_touch()
    assert not panel.lock.is_locked()
    panel.clock.seconds += 300
    panel.lock.note_touch()  # too late: it was locked before
    assert (panel.lock.is_locked(), panel.lock.operator) == (True, "")
    panel.lock.unlock("Doe^John", "987654")
    panel.lock.lock()
    assert panel.lock.is_locked()
    assert panel.trail().count('"login"') == 2


def test_ok__it_is_locked_by_hand_alone(tmp_path: Path) -> None:
    panel = Panel(tmp_path, idle=0.0)
    panel.lock.unlock("Muster^Anna", "1234")
    panel.clock.seconds = 1e6
    assert not panel.lock.is_locked()


def test_fail__wrong_pins_make_wait_longer_each_time(tmp_path: Path) -> None:
    panel = Panel(tmp_path)

    def fails(pin: str, sentence: str) -> None:
        with pytest.raises(ApplianceError, match=sentence):
            panel.lock.unlock("Muster^Anna", pin)

    for wrong in ("1", "4321", "0000"):
        fails(wrong, "not the PIN")
    fails("1234", "Wait 15 s")  # the right one does not count either
    panel.lock.unlock("Doe^John", "987654")  # the others may work
    panel.lock.lock()
    panel.clock.seconds += 15.0
    fails("4321", "not the PIN")
    fails("1234", "Wait 30 s")
    for _ in range(20):
        panel.clock.seconds += 900.0
        fails("4321", "not the PIN")
    fails("1234", "Wait 900 s")
    panel.clock.seconds += 900.0
    panel.lock.unlock("Muster^Anna", "1234")
    panel.lock.lock()
    fails("4321", "not the PIN")
    panel.lock.unlock("Muster^Anna", "1234")  # the count began anew
    with pytest.raises(ApplianceError, match="no such operator"):
        panel.lock.unlock("Nobody", "1234")
    assert panel.trail().count("in a row") == 25


def test_ok__an_emergency_needs_no_pin_and_ends_with_its_exam(tmp_path: Path) -> None:
    panel = Panel(tmp_path)
    panel.lock.begin_emergency()
    assert (panel.lock.is_locked(), panel.lock.operator) == (False, "")
    panel.lock.end_emergency()
    assert panel.lock.is_locked()
    panel.lock.begin_emergency()
    panel.clock.seconds += 300
    assert panel.lock.is_locked(), "left alone it is locked as ever"
    panel.lock.unlock("Muster^Anna", "1234")
    panel.lock.begin_emergency()
    panel.lock.end_emergency()
    assert panel.lock.operator == "Muster^Anna", "who had unlocked it goes on"
    assert panel.trail().count("for an emergency") == 2
