"""What can be made to go wrong, as a menu, and which of it is in force now.

A fault is in force as long as its line `NAME[:PARAMETER][=TIMES]` stands in the file `faults` of the hospital's
directory, which is looked at again at each request. As long as there is no such file, those of the command line are.
With TIMES it ends by itself after so many strikes, counted anew when the file changes.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from appliance.base.errors import ApplianceError

logger = logging.getLogger(__name__)


class Fault(StrEnum):
    """The closed set; `MENU` says what each does."""

    REFUSE_ASSOCIATION = "refuse-association"
    WRONG_AE = "wrong-ae"
    NO_CONTEXT = "no-context"
    STALL = "stall"
    ONE_BYTE_A_SECOND = "one-byte-a-second"
    SLOW_LINE = "slow-line"
    ABORT_IN_PDU = "abort-in-pdu"
    CUT_IN_ANSWER = "cut-in-answer"
    ABORT_IN_STORE = "abort-in-store"
    OUT_OF_RESOURCES = "out-of-resources"
    REFUSE_STORE = "refuse-store"
    STORE_WARNING = "store-warning"
    LOSE_OBJECTS = "lose-objects"
    NO_COMMITMENT = "no-commitment"
    COMMITMENT_LATE = "commitment-late"
    COMMITMENT_TWICE = "commitment-twice"
    COMMITMENT_PARTIAL = "commitment-partial"
    COMMITMENT_FAILS = "commitment-fails"
    COMMITMENT_SAME_ASSOCIATION = "commitment-same-association"
    COMMITMENT_FIRST = "commitment-first"
    COMMITMENT_STRANGER = "commitment-stranger"
    COMMITMENT_UNKNOWN = "commitment-unknown"
    WORKLIST_EMPTY = "worklist-empty"
    WORKLIST_HUGE = "worklist-huge"
    WORKLIST_MALFORMED = "worklist-malformed"
    WORKLIST_WITHOUT_CHARSET = "worklist-without-charset"
    STEPS_DOWN = "steps-down"
    STEPS_SLOW = "steps-slow"
    STEPS_REFUSING = "steps-refusing"


class Unit(StrEnum):
    """What a fault's parameter counts."""

    NOTHING = "no parameter"
    SECONDS = "SECONDS"
    BYTES = "BYTES"
    COUNT = "COUNT"
    STATUS = "STATUS"  # four hexadecimal digits


@dataclass(frozen=True, slots=True)
class MenuLine:
    """One fault for people; `default` is its parameter where none is given."""

    fault: Fault
    sentence: str
    unit: Unit = Unit.NOTHING
    default: float = 0


MENU: tuple[MenuLine, ...] = (
    MenuLine(Fault.REFUSE_ASSOCIATION, "reject the association (transient, temporary congestion)"),
    MenuLine(Fault.WRONG_AE, "reject the association (permanent, called AE title not recognized)"),
    MenuLine(Fault.NO_CONTEXT, "accept the association and no presentation context of it"),
    MenuLine(Fault.STALL, "stand still for ever once BYTES have been received on a connection", Unit.BYTES, default=0),
    MenuLine(Fault.ONE_BYTE_A_SECOND, "send every answer one byte in SECONDS", Unit.SECONDS, default=1),
    MenuLine(Fault.SLOW_LINE, "receive BYTES a second", Unit.BYTES, default=65_536),
    MenuLine(Fault.ABORT_IN_PDU, "send A-ABORT while a data PDU is half received"),
    MenuLine(Fault.CUT_IN_ANSWER, "reset the connection while an answer's data PDU is half sent"),
    MenuLine(Fault.ABORT_IN_STORE, "abort in the middle of every COUNTth C-STORE", Unit.COUNT, default=1),
    MenuLine(Fault.OUT_OF_RESOURCES, "answer A700H to C-STORE"),
    MenuLine(Fault.REFUSE_STORE, "answer C000H to C-STORE"),
    MenuLine(Fault.STORE_WARNING, "keep the object and answer B000H to C-STORE"),
    MenuLine(Fault.LOSE_OBJECTS, "answer 0000H to C-STORE and keep nothing"),
    MenuLine(Fault.NO_COMMITMENT, "take commitment requests and never report"),
    MenuLine(Fault.COMMITMENT_LATE, "report SECONDS later than usual", Unit.SECONDS, default=30),
    MenuLine(Fault.COMMITMENT_TWICE, "give each report twice"),
    MenuLine(Fault.COMMITMENT_PARTIAL, "report on the first half of the objects, not at all on the others"),
    MenuLine(Fault.COMMITMENT_FAILS, "report every object as failed for STATUS", Unit.STATUS, default=0x0112),
    MenuLine(Fault.COMMITMENT_SAME_ASSOCIATION, "report on the association that asked, as long as it is open"),
    MenuLine(Fault.COMMITMENT_FIRST, "report, on a new association, before the request is answered"),
    MenuLine(Fault.COMMITMENT_STRANGER, "report under the AE title STRANGER"),
    MenuLine(Fault.COMMITMENT_UNKNOWN, "report on a transaction that nobody asked for, too"),
    MenuLine(Fault.WORKLIST_EMPTY, "find nothing in the worklist"),
    MenuLine(Fault.WORKLIST_HUGE, "find COUNT entries in the worklist", Unit.COUNT, default=10_000),
    MenuLine(Fault.WORKLIST_MALFORMED, "find entries that break every rule beside the good ones"),
    MenuLine(Fault.WORKLIST_WITHOUT_CHARSET, "leave the character set out of the worklist's answers"),
    MenuLine(Fault.STEPS_DOWN, "accept no performed-step context, 0110H where one is open already"),
    MenuLine(Fault.STEPS_SLOW, "answer N-CREATE and N-SET after SECONDS", Unit.SECONDS, default=5),
    MenuLine(Fault.STEPS_REFUSING, "answer STATUS to N-CREATE and N-SET", Unit.STATUS, default=0x0110),
)
_LINES = {line.fault: line for line in MENU}

# Faults that are no more than a status of C-STORE.
STORE_STATUS: tuple[tuple[Fault, int], ...] = (
    (Fault.REFUSE_STORE, 0xC000),
    (Fault.OUT_OF_RESOURCES, 0xA700),
)

_SHAPE = re.compile(r"(?P<name>[^:=]*)(:(?P<parameter>[^:=]+))?(=(?P<times>[1-9][0-9]{0,8}))?")
_TAKES = {
    Unit.SECONDS: "a number of seconds, up to 86400",
    Unit.BYTES: "a number of bytes",
    Unit.COUNT: "a number from 1",
    Unit.STATUS: "a status of four hexadecimal digits",
    Unit.NOTHING: "no parameter",
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """A fault as chosen: `times` None stands for as long as it is in force."""

    fault: Fault
    parameter: float
    times: int | None = None


def chosen_from_text(text: str) -> Chosen:
    """`NAME[:PARAMETER][=TIMES]`. ApplianceError names the menu, or what is wrong, when it is not that."""
    match = _SHAPE.fullmatch(text.strip())
    name = match["name"] if match else text.strip().partition("=")[0].partition(":")[0]
    if name not in set(Fault):
        raise ApplianceError(f'There is no fault "{name}".', f"Choose of: {', '.join(Fault)}.")
    line = _LINES[Fault(name)]
    if match is None:
        raise ApplianceError(f'"{text.strip()}" is not NAME[:PARAMETER][=TIMES], with TIMES a number from 1.')
    parameter = line.default if match["parameter"] is None else _parameter_from(line, match["parameter"])
    return Chosen(line.fault, parameter, int(match["times"]) if match["times"] else None)


def _parameter_from(line: MenuLine, text: str) -> float:
    value: float | None = None
    match line.unit:
        case Unit.SECONDS if re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", text) and 0 < float(text) <= 86_400:
            value = float(text)
        case Unit.BYTES if re.fullmatch(r"[0-9]{1,12}", text) and (int(text) or line.fault is Fault.STALL):
            value = int(text)
        case Unit.COUNT if re.fullmatch(r"[1-9][0-9]{0,5}", text):
            value = int(text)
        case Unit.STATUS if re.fullmatch(r"[0-9A-Fa-f]{4}", text):
            value = int(text, 16)
    if value is None:
        raise ApplianceError(f"The fault {line.fault} takes {_TAKES[line.unit]}.")
    return value


def menu_text() -> str:
    """The menu for people, a line each, with each parameter's default."""
    lines = []
    for line in MENU:
        name = line.fault + (f"[:{line.unit}]" if line.unit is not Unit.NOTHING else "")
        shown = f"{int(line.default):04X}" if line.unit is Unit.STATUS else f"{line.default:g}"
        default = "" if line.unit is Unit.NOTHING else f" (default {shown})"
        lines.append(f"  {name:<29} {line.sentence}{default}")
    return "\n".join(lines)


class FaultBoard:
    """The faults in force now. Any thread may ask."""

    def __init__(self, file: Path, initial: Sequence[str] = ()) -> None:
        """`file` need not exist; `initial` holds the command line's faults. ApplianceError for an unknown one."""
        self._file = file
        self._initial = tuple(chosen_from_text(text) for text in initial)
        self._lock = threading.Lock()
        self._known: tuple[int, ...] | None = None
        self._left: dict[Fault, int] = {}
        self._chosen: dict[Fault, Chosen] = {}
        self._generation = 0
        self._choose(self._initial)

    def in_force(self) -> Mapping[Fault, float]:
        """Each fault in force with its parameter. A line of the file that is no fault is logged and has no effect."""
        with self._lock:
            self._look()
            return {fault: one.parameter for fault, one in self._chosen.items() if self._left.get(fault, 1) > 0}

    @property
    def generation(self) -> int:
        """Another number after each change of the choice."""
        with self._lock:
            self._look()
            return self._generation

    def has(self, fault: Fault) -> bool:
        """Is `fault` in force?"""
        return fault in self.in_force()

    def strike(self, fault: Fault) -> float | None:
        """The parameter of `fault` if it is in force, which uses one of its times; None when it is not."""
        with self._lock:
            self._look()
            one = self._chosen.get(fault)
            if one is None or self._left.get(fault, 1) <= 0:
                return None
            if one.times is not None:
                self._left[fault] -= 1
        logger.warning("fault %s strikes", fault)
        return one.parameter

    def _look(self) -> None:
        try:
            status = self._file.stat()
            now = (status.st_ino, status.st_mtime_ns, status.st_size)
            if now == self._known:
                return
            lines = self._file.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            if self._known is not None:
                self._known = None
                self._choose(self._initial)
            return
        self._known = now
        chosen = []
        for line in lines:
            if not line.strip() or line.startswith("#"):
                continue
            try:
                chosen.append(chosen_from_text(line))
            except ApplianceError as error:
                logger.error("%s: %s", self._file.name, error)
        self._choose(chosen)

    def _choose(self, chosen: Sequence[Chosen]) -> None:
        self._generation += 1
        self._chosen = {one.fault: one for one in chosen}
        self._left = {one.fault: one.times for one in chosen if one.times is not None}
