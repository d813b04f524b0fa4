"""Objects in the outbox that no closed exam lists: never sent to anyone, so a person must know."""

from __future__ import annotations

from appliance.base.clock import Clock
from appliance.base.errors import Finding
from appliance.base.findings import FindingBoard
from appliance.forward.ledger import Ledger, Place
from appliance.spool.tree import Spool, list_objects


class Strangers:
    """Since when each of them is strange: one that is just being handed over may be here before its exam's end."""

    def __init__(
        self, spool: Spool, ledger: Ledger, findings: FindingBoard, clock: Clock, patience_seconds: float
    ) -> None:
        self._spool = spool
        self._ledger = ledger
        self._findings = findings
        self._clock = clock
        self._patience_seconds = patience_seconds
        self._since: dict[str, float] = {}

    def look(self) -> None:
        """One look; one finding for all that have stayed strange. OSError when flash does not list the outbox."""
        names = {path.name for path, _name in list_objects(self._spool.outbox)}
        known = {one.file_name for place in (Place.OUTBOX, Place.AWAITED) for one in self._ledger.objects_in(place)}
        now = self._clock.monotonic()
        self._since = {name: self._since.get(name, now) for name in names - known}
        lasting = sum(1 for since in self._since.values() if now - since > self._patience_seconds)
        if not lasting:
            self._findings.clear("outbox-unknown")
            return
        sentence = f"{lasting} objects in the outbox belong to no exam that was closed; they are kept, not sent."
        suggestion = "Call support: they lie in the box's outbox directory."
        self._findings.report(Finding("outbox-unknown", sentence, suggestion))
