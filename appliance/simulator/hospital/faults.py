"""What can be made to go wrong, as a menu.

A fault is in force as long as its line `NAME` or `NAME=NUMBER` stands in the file `faults` of the hospital's directory,
which is read again at each request. As long as there is no such file, those of the command line are.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from appliance.base.errors import ApplianceError

logger = logging.getLogger(__name__)


class Fault(StrEnum):
    """The closed set; `MENU` says what each does."""

    REFUSE_ASSOCIATION = "refuse-association"
    REFUSE_STORE = "refuse-store"
    OUT_OF_RESOURCES = "out-of-resources"
    ABORT_IN_STORE = "abort-in-store"
    NO_COMMITMENT = "no-commitment"
    COMMITMENT_FAILS = "commitment-fails"
    STEPS_DOWN = "steps-down"


@dataclass(frozen=True, slots=True)
class MenuLine:
    """One fault for people, and what its number means; `default` 0 says that it takes none."""

    fault: Fault
    sentence: str
    default: int = 0


MENU: tuple[MenuLine, ...] = (
    MenuLine(Fault.REFUSE_ASSOCIATION, "reject every association (transient, temporary congestion)"),
    MenuLine(Fault.REFUSE_STORE, "answer C000H to every C-STORE"),
    MenuLine(Fault.OUT_OF_RESOURCES, "answer A700H to every C-STORE"),
    MenuLine(Fault.ABORT_IN_STORE, "abort the association in the middle of every Nth C-STORE", default=1),
    MenuLine(Fault.NO_COMMITMENT, "take commitment requests and never report"),
    MenuLine(Fault.COMMITMENT_FAILS, "report every object as failed, 0112H"),
    MenuLine(Fault.STEPS_DOWN, "accept no performed-step context, 0110H where one is open already"),
)
_LINES = {line.fault: line for line in MENU}

# Faults that are no more than a status of C-STORE.
STORE_STATUS: tuple[tuple[Fault, int], ...] = (
    (Fault.REFUSE_STORE, 0xC000),
    (Fault.OUT_OF_RESOURCES, 0xA700),
)


def fault_from_text(text: str) -> tuple[Fault, int]:
    """`NAME` or `NAME=NUMBER` as a fault and its number. ApplianceError names the menu when it is neither."""
    name, equals, number = text.strip().partition("=")
    if name not in set(Fault):
        raise ApplianceError(f'There is no fault "{name}".', f"Choose of: {', '.join(Fault)}.")
    line = _LINES[Fault(name)]
    if not equals:
        return line.fault, line.default
    if not line.default or not number.isdecimal() or int(number) < 1:
        takes = "a number from 1" if line.default else "no number"
        raise ApplianceError(f"The fault {name} takes {takes}.")
    return line.fault, int(number)


class FaultBoard:
    """The faults in force now."""

    def __init__(self, file: Path, initial: Sequence[str] = ()) -> None:
        """`file` need not exist; `initial` holds the command line's faults. ApplianceError for an unknown one."""
        self._file = file
        self._initial = dict(fault_from_text(text) for text in initial)

    def in_force(self) -> Mapping[Fault, int]:
        """Each fault in force with its number. A line that is no fault is logged and has no effect."""
        try:
            lines = self._file.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return self._initial
        faults: dict[Fault, int] = {}
        for line in lines:
            if not line.strip() or line.startswith("#"):
                continue
            try:
                fault, number = fault_from_text(line)
            except ApplianceError as error:
                logger.error("%s: %s", self._file.name, error)
                continue
            faults[fault] = number
        return faults

    def has(self, fault: Fault) -> bool:
        """Is `fault` in force?"""
        return fault in self.in_force()
