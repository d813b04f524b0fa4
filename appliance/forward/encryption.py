"""Whether the box can encrypt: its certificate, its key and those whom it trusts, looked at now and then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from appliance.base.clock import Clock
from appliance.base.errors import Finding, finding_from
from appliance.base.findings import FindingBoard
from appliance.dimse.certificate import UnreadableCertificate, fingerprint_of, owner_of, validity_of
from appliance.dimse.tls import Identity
from appliance.dimse.tls_files import certificate_of
from appliance.dimse.tls_reason import TlsError
from appliance.forward.worker import Worker

_LOOK_SECONDS = 60.0
_WARN_BEFORE = timedelta(days=30)
_MOST_NAMED = 5
# The subjects of the finding: the key of [tls] whose file it is about.
_OWN, _OTHERS = "tls.certificate", "tls.authorities"


class EncryptionWatch:
    """Tells the panel about the certificates that lie on the box before the archives do."""

    def __init__(
        self, identity: Identity, findings: FindingBoard, clock: Clock, pinned_for: Mapping[str, str] | None = None
    ) -> None:
        """`pinned_for` tells whom a pinned certificate stands for: `tls.pins_of`."""
        self._identity = identity
        self._findings = findings
        self._clock = clock
        self._pinned_for = pinned_for or {}
        self.worker = Worker("encryption", self.look, clock)

    def look(self) -> float:
        """Try the files as a connection would. What is wrong with them is no reason to end: other peers go on."""
        try:
            self._identity.check()
            own = certificate_of(self._identity.tls)
            others = [one for kind in self._identity.authorities() for one in kind]
        except TlsError as error:
            self._findings.report(finding_from(error, "tls-unusable"))
            for subject in (_OWN, _OTHERS):
                self._findings.clear("tls-expires", subject)
            return _LOOK_SECONDS
        self._findings.clear("tls-unusable")
        self._say(_OWN, self._own_finding(own))
        self._say(_OTHERS, self._finding_of_others(others))
        return _LOOK_SECONDS

    def _say(self, subject: str, finding: Finding | None) -> None:
        if finding is None:
            self._findings.clear("tls-expires", subject)
        else:
            self._findings.report(finding)

    def _own_finding(self, der: bytes) -> Finding | None:
        end = validity_of(der)[1]
        if not self._is_soon(end):
            return None
        tls = self._identity.tls
        return Finding(
            "tls-expires",
            f"The box's certificate {tls.certificate} expires on {_moment(end)}.",
            f"Have a new one issued before that, and put it there and its key into {tls.key}; it is taken at once.",
            _OWN,
        )

    def _finding_of_others(self, found: Iterable[bytes]) -> Finding | None:
        ends = []
        for der in found:
            try:
                end = validity_of(der)[1]
                if self._is_soon(end):
                    ends.append((end, self._whose(der)))
            except UnreadableCertificate:
                continue  # OpenSSL took it; it has to say so when it does no longer
        if not ends:
            return None
        ends.sort()
        said = [
            f"{whose} {'has expired' if end < self._clock.now() else 'expires'} on {_moment(end)}"
            for end, whose in ends[:_MOST_NAMED]
        ]
        if len(ends) > _MOST_NAMED:
            said.append(f"and {len(ends) - _MOST_NAMED} more")
        return Finding(
            "tls-expires",
            f"In {self._identity.tls.authorities}: {'; '.join(said)}.",
            "Ask whoever it belongs to for the new one and add it to the file, and for a pinned one configure the new "
            "fingerprint too. Take out what has expired.",
            _OTHERS,
        )

    def _whose(self, der: bytes) -> str:
        pinned_for = self._pinned_for.get(fingerprint_of(der))
        return f"the certificate pinned for {pinned_for}" if pinned_for else f"the authority {owner_of(der)}"

    def _is_soon(self, end: datetime) -> bool:
        return end - self._clock.now() < _WARN_BEFORE


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
