"""Keeping the last answer of a worklist source: asked on schedule and on demand, kept with its age when it is down."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from appliance.base.clock import Clock
from appliance.base.errors import ApplianceError, Finding, finding_from
from appliance.base.findings import FindingBoard
from appliance.config.schema import WorklistSource
from appliance.dimse.association import Caller
from appliance.dimse.worklist import query_worklist
from appliance.exam.facts import DamagedFactError, fact_from, write_answer
from appliance.exam.item import WorklistAnswer
from appliance.forward.flash import reason_of, telling_of_flash
from appliance.forward.worker import Worker

_log = logging.getLogger(__name__)


class WorklistPoller:
    """The work for one source; `worklist/SOURCE.json` is what it last said."""

    def __init__(
        self, source: WorklistSource, caller: Caller, directory: Path, *, findings: FindingBoard, clock: Clock
    ) -> None:
        self._source = source
        self._caller = caller
        self._directory = directory
        self._findings = findings
        self._clock = clock
        self._rounds = threading.Condition()
        self._begun = 0
        self._ended = 0
        self._next_at = 0.0
        self._is_wanted = False
        self.last = self._read_last()
        self.worker = Worker(f"worklist {source.name}", self.work, clock)

    def _read_last(self) -> WorklistAnswer:
        path = self._directory / f"{self._source.name}.json"
        try:
            return fact_from(path.read_bytes(), WorklistAnswer, path)
        except FileNotFoundError:
            return WorklistAnswer(self._source.name)
        except DamagedFactError as error:
            _log.warning("%s", error)  # the source has it; nothing is lost
        except OSError as error:
            _log.warning("the last answer of %s cannot be read from flash (%s)", self._source.name, reason_of(error))
        return WorklistAnswer(self._source.name)

    def refresh(self, seconds: float) -> WorklistAnswer:
        """Ask now and give the answer; the last one when none came within `seconds`."""
        with self._rounds:
            # A query that is under way may have been answered before what we look for was entered.
            wanted = self._begun + 1
            self._is_wanted = True
        self.worker.wake()
        with self._rounds:
            self._rounds.wait_for(lambda: self._ended >= wanted, seconds)
            return self.last

    def work(self) -> float:
        """Ask when it is time; the seconds until it will be."""
        left = self._next_at - self._clock.monotonic()
        with self._rounds:
            if left > 0 and not self._is_wanted:
                return left
            self._is_wanted = False
            self._begun += 1
        self._ask()
        self._next_at = self._clock.monotonic() + self._source.every_seconds
        with self._rounds:
            self._ended = self._begun
            self._rounds.notify_all()
            return 0.0 if self._is_wanted else self._source.every_seconds

    def _ask(self) -> None:
        asked = self._clock.now()
        try:
            found = query_worklist(self._source, self._caller, asked.date())
        except ApplianceError as error:
            self._findings.report(finding_from(error, "worklist-trouble", self._source.name))
            answer = WorklistAnswer(
                self._source.name,
                self.last.items,
                self.last.answered_at,
                asked.isoformat(),
                error.sentence,
                self.last.is_cut_off,
            )
        else:
            self._findings.clear("worklist-trouble", self._source.name)
            self._tell_of_unreadable(found.unreadable)
            answer = WorklistAnswer(
                self._source.name,
                tuple(found.items),
                self._clock.now().isoformat(),
                asked.isoformat(),
                "",
                found.is_cut_off,
            )
        self.last = answer
        sentence = f"The worklist of {self._source.name} cannot be written to flash"
        suggestion = "The panel shows the list that was written last. The next answer is written again."
        with telling_of_flash(self._findings, "worklist-unwritten", sentence, suggestion, self._source.name):
            write_answer(self._directory, answer)

    def _tell_of_unreadable(self, count: int) -> None:
        if not count:
            self._findings.clear("worklist-unreadable", self._source.name)
            return
        self._findings.report(
            Finding(
                "worklist-unreadable",
                f"{count} entries of the worklist {self._source.name} could not be read and are not shown.",
                "Tell its administrator; the box's log says which elements were wrong.",
                self._source.name,
            )
        )
