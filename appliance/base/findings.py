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
    """Findings by (code, subject). A new one is logged once; the oldest falls off when there are MAX_FINDINGS."""

    def __init__(self) -> None:
        self._findings: dict[tuple[str, str], Finding] = {}
        self._lock = threading.Lock()

    def report(self, finding: Finding) -> None:
        """Show `finding` until it is cleared; a changed sentence replaces the old one."""
        key = (finding.code, finding.subject)
        with self._lock:
            known = self._findings.get(key)
            self._findings[key] = finding
            while len(self._findings) > MAX_FINDINGS:
                del self._findings[next(iter(self._findings))]
        if known is None or known.sentence != finding.sentence:
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
        if gone is not None:
            _log.info("%s%s: over", subject + ": " if subject else "", code)

    def listing(self) -> list[Finding]:
        with self._lock:
            return list(self._findings.values())

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(finding) for finding in self.listing()]
