"""Who called the listener and was refused, or whose report was not believed: an archive to be configured, or a
stranger.
"""

from __future__ import annotations

import threading

from appliance.base.clock import Clock
from appliance.base.errors import ApplianceError, Finding
from appliance.base.findings import FindingBoard
from appliance.forward.worker import Worker

_CODE = "listener-refused"
STRANGER_REPORT = "stranger-report"
_LOOK_SECONDS = 60.0
_SHOWN_SECONDS = 3600.0
MOST_SHOWN = 8
MOST_REASONS = 3
_OTHERS = ""


class RefusedCallers:
    """Each is a finding until an hour after its last call, with the first MOST_REASONS that it was refused for; many at
    once are summed up in one more.

    So whoever calls a thousand times, from a thousand addresses, or each time in another way, fills neither the panel
    nor the log, and pushes nothing out that was said before.
    """

    def __init__(self, findings: FindingBoard, clock: Clock) -> None:
        self._findings = findings
        self._clock = clock
        self._last_at: dict[tuple[str, str], float] = {}
        self._reasons: dict[tuple[str, str], list[ApplianceError]] = {}
        self._lock = threading.Lock()
        self.worker = Worker("refused callers", self.forget, clock)

    def note(self, subject: str, error: ApplianceError, code: str = _CODE) -> None:
        """Somebody was refused because of `error`; `subject` is his address, with STRANGER_REPORT whom it concerns."""
        with self._lock:
            shown = {one for of, one in self._last_at if of == code and one != _OTHERS}
            is_shown = subject in shown or len(shown) < MOST_SHOWN
            self._last_at[code, subject if is_shown else _OTHERS] = self._clock.monotonic()
            if is_shown:
                self._findings.report(self._finding_with(error, code, subject))
            else:
                self._findings.report(
                    Finding(
                        code,
                        f"More than {MOST_SHOWN} callers were refused at the listener within an hour; "
                        f"{MOST_SHOWN} are shown.",
                        "Find out who looks through the network. An archive may be among those that are not shown.",
                        _OTHERS,
                    )
                )

    def _finding_with(self, error: ApplianceError, code: str, subject: str) -> Finding:
        """What this one was refused for, each reason once; beyond MOST_REASONS only that there are more."""
        reasons = self._reasons.setdefault((code, subject), [])
        is_new = all(one.sentence != error.sentence for one in reasons)
        if is_new and len(reasons) <= MOST_REASONS:
            reasons.append(error)  # one more than is shown, which says that there are others
        told = reasons[:MOST_REASONS]
        sentences = [one.sentence for one in told] + ["There were other reasons too."] * (len(reasons) > MOST_REASONS)
        return Finding(
            code, " ".join(sentences), " ".join(dict.fromkeys(one.suggestion for one in told)).strip(), subject
        )

    def forget(self) -> float:
        """Show nobody longer who has not called for an hour; when to look again."""
        with self._lock:
            now = self._clock.monotonic()
            for code, subject in [one for one, at in self._last_at.items() if now - at > _SHOWN_SECONDS]:
                del self._last_at[code, subject]
                self._reasons.pop((code, subject), None)
                self._findings.clear(code, subject)
        return _LOOK_SECONDS
