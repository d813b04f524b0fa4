"""Whether the box can encrypt: its own certificate, looked at now and then, and who was refused at the TLS port."""

from __future__ import annotations

from appliance.base.clock import Clock
from appliance.base.errors import Finding, finding_from
from appliance.base.findings import FindingBoard
from appliance.dimse.tls import Identity
from appliance.dimse.tls_reason import TlsError
from appliance.forward.worker import Worker

_LOOK_SECONDS = 60.0
_REFUSAL_SHOWN_SECONDS = 3600.0
_WARN_DAYS = 30


class EncryptionWatch:
    """Tells the panel about the box's certificate before the archives do."""

    def __init__(self, identity: Identity, findings: FindingBoard, clock: Clock) -> None:
        self._identity = identity
        self._findings = findings
        self._clock = clock
        self._refused_at: float | None = None
        self.worker = Worker("encryption", self.look, clock)

    def look(self) -> float:
        """Try the files as a connection would. What is wrong with them is no reason to end: other peers go on."""
        try:
            days = (self._identity.check() - self._clock.now()).days
        except TlsError as error:
            self._findings.report(finding_from(error, "tls-unusable"))
            return _LOOK_SECONDS
        self._findings.clear("tls-unusable")
        if days < _WARN_DAYS:
            self._findings.report(
                Finding("tls-expires", f"The box's certificate expires in {days} days.", "Have it renewed before.")
            )
        else:
            self._findings.clear("tls-expires")
        if self._refused_at is not None and self._clock.monotonic() - self._refused_at > _REFUSAL_SHOWN_SECONDS:
            self._refused_at = None
            self._findings.clear("listener-refused")
        return _LOOK_SECONDS

    def note_refused(self, error: TlsError) -> None:
        """Somebody could not connect to the listener: an archive whose reports will not arrive, or a stranger."""
        self._refused_at = self._clock.monotonic()
        self._findings.report(finding_from(error, "listener-refused"))
