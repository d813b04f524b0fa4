"""What is wrong now, for the panel and for support: a bounded board, one finding for each code and subject."""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict
from typing import Any

from appliance.base.errors import Finding

_log = logging.getLogger(__name__)

MAX_FINDINGS = 64


class FindingBoard:
    """Findings by (code, subject); the oldest falls off when there are MAX_FINDINGS.

    A new one is logged. One that goes on with other words, as a count that grows thirty times a second, is logged at
    its first, second, fourth, eighth … change and once more when it is over: the log stays readable and bounded.
    """

    def __init__(self) -> None:
        self._findings: dict[tuple[str, str], Finding] = {}
        self._changes: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def report(self, finding: Finding) -> None:
        """Show `finding` until it is cleared; a changed sentence replaces the old one."""
        key = (finding.code, finding.subject)
        with self._lock:
            known = self._findings.get(key)
            self._findings[key] = finding
            if known is None:
                self._changes[key] = 0
            elif known.sentence != finding.sentence:
                self._changes[key] += 1
            changes = self._changes[key]
            while len(self._findings) > MAX_FINDINGS:
                oldest = next(iter(self._findings))
                del self._findings[oldest], self._changes[oldest]
        is_changed = known is not None and known.sentence != finding.sentence
        if known is None or (is_changed and changes & (changes - 1) == 0):
            _log.warning(
                "%s%s: %s %s",
                finding.subject + ": " if finding.subject else "",
                finding.code,
                finding.sentence,
                finding.suggestion,
            )

    def clear(self, code: str, subject: str = "") -> None:
        """The trouble is over."""
        with self._lock:
            gone = self._findings.pop((code, subject), None)
            changes = self._changes.pop((code, subject), 0)
        if gone is not None:
            last = f"; at last: {gone.sentence}" if changes & (changes - 1) else ""
            _log.info("%s%s: over%s", subject + ": " if subject else "", code, last)

    def listing(self) -> list[Finding]:
        with self._lock:
            return list(self._findings.values())

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(finding) for finding in self.listing()]
