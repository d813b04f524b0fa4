"""Asking the worklist sources: each on schedule and on demand, its last answer kept with its age while it is down; and
all of them at once for one patient."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from appliance.base.clock import Clock
from appliance.base.errors import ApplianceError, finding_from
from appliance.base.findings import FindingBoard
from appliance.base.flash import reason_of, telling_of_flash
from appliance.config.schema import WorklistSource
from appliance.dimse.association import Caller
from appliance.dimse.worklist import MOST_SEARCHES, WorklistFound, query_patient, query_worklist
from appliance.dimse.worklist_query import PatientQuery, patient_queries_from
from appliance.exam.answers import (
    DamagedAnswerError,
    Entry,
    WorklistAnswer,
    has_entries,
    read_entries,
    read_list,
    sorted_entries,
    write_answer,
)
from appliance.forward.worker import Worker

_log = logging.getLogger(__name__)

# What the reading of an entry's bytes depends on beside them: another number when other things are read out of them.
_READING = 2


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
        self._basis = f"{_READING} {source.character_set}"
        # Digests: of the entries in the file, if they were read as now; and of all that the last answer brought.
        self._known: frozenset[str] = frozenset()
        self._came: frozenset[str] | None = None
        self.last = self._read_last()
        self.worker = Worker(f"worklist {source.name}", self.work, clock, findings=findings)

    def _read_last(self) -> WorklistAnswer:
        name = self._source.name
        try:
            answer, entries = read_list(self._directory, name)
            if answer.count and not answer.entries:  # the first release's, all in one file
                answer = write_answer(self._directory, answer, entries)
        except DamagedAnswerError as error:
            _log.warning("%s", error)  # the source has it; nothing is lost
        except OSError as error:
            _log.warning("the last answer of %s cannot be read: %s", name, reason_of(error))
        else:
            if answer.basis == self._basis:
                self._known = frozenset(entry.digest for entry in entries)
            return answer
        return WorklistAnswer(name)

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
        name = self._source.name
        found = None
        if self._known and not has_entries(self._directory, self.last):
            _log.warning("the entries of %s are damaged: they are read and written anew", name)
            self._known, self._came = frozenset(), None
        try:
            found = query_worklist(self._source, self._caller, asked.date(), self._known)
        except ApplianceError as error:
            self._findings.report(finding_from(error, "worklist-trouble", name))
            self.last = replace(self.last, asked_at=asked.isoformat(), trouble=error.sentence)
        else:
            self._findings.clear("worklist-trouble", name)
            self.last = replace(
                self.last,
                answered_at=self._clock.now().isoformat(),
                asked_at=asked.isoformat(),
                trouble="",
                is_cut_off=found.is_cut_off,
            )
        sentence = f"The worklist of {name} cannot be written"
        suggestion = "The panel shows the list that was written last. The next answer is written again."
        with telling_of_flash(self._findings, "worklist-unwritten", sentence, suggestion, name):
            if found is None or frozenset(found.digests) == self._came:
                write_answer(self._directory, self.last)
            else:
                self._write_changed(found)

    def _write_changed(self, found: WorklistFound) -> None:
        """Put the entries that came into the place of those before; what was known is still as it was read."""
        known = self._known
        # Should the flash fail now, all of it is read and written at the next poll.
        self._known, self._came = frozenset(), None
        kept: list[Entry] = []
        if not known.isdisjoint(found.digests):
            try:
                kept = [one for one in read_entries(self._directory, self.last) if one.digest in found.digests]
            except DamagedAnswerError as error:
                _log.warning("%s", error)
                return
        entries = sorted_entries([*kept, *found.entries])
        self.last = write_answer(self._directory, replace(self.last, basis=self._basis), entries)
        self._known, self._came = frozenset(one.digest for one in entries), frozenset(found.digests)


class PatientSearch:
    """Asks all sources for one patient, at once."""

    def __init__(self, sources: Sequence[WorklistSource], caller: Caller) -> None:
        self._sources = tuple(sources)
        self._caller = caller
        self._places = threading.BoundedSemaphore(MOST_SEARCHES)

    def query_patient(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """What each source answers to `asked` (see `patient_queries_from`), those that fail with their trouble.

        `items` are the views with `packed`, the whole item, in the order of their appointments. ApplianceError when
        nothing that can be asked was asked, or too many ask at once.
        """
        queries = patient_queries_from(asked)
        if not self._places.acquire(blocking=False):
            raise ApplianceError("The hospital is being asked already.", "Wait for its answer.")
        try:
            if not self._sources:
                return {"answers": []}
            with ThreadPoolExecutor(len(self._sources), "patient-query") as together:
                return {"answers": list(together.map(partial(self._ask, queries), self._sources))}
        finally:
            self._places.release()

    def _ask(self, queries: Sequence[PatientQuery], source: WorklistSource) -> dict[str, Any]:
        answer: dict[str, Any] = {"source": source.name, "trouble": "", "is_cut_off": False, "items": []}
        try:
            found = query_patient(source, self._caller, queries)
        except ApplianceError as error:
            return answer | {"trouble": error.sentence}
        items = [
            json.loads(entry.view) | {"packed": entry.packed.decode("ascii")} for entry in sorted_entries(found.entries)
        ]
        return answer | {"is_cut_off": found.is_cut_off, "items": items}
