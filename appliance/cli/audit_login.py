"""Support's login as a record of the audit trail: whose key it was, and from where."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from appliance.base.clock import SystemClock
from appliance.base.flash import reason_of
from appliance.base.paths import Paths
from appliance.exam.audit import Act, AuditTrail, Party

_PROCESS = "login"


def record_login(actor: str, environment: Mapping[str, str]) -> None:
    """Record it, durably, before anything is done. Flash that does not take it keeps nobody out: it is told."""
    address = environment.get("SSH_CONNECTION", "").partition(" ")[0]
    trail = AuditTrail(Paths.from_environment().audit, _PROCESS, SystemClock())
    try:
        trail.record(Act.LOGIN, actor=actor, party=Party("ssh", address))
    except OSError as error:
        print(f"appliance: This login could not be recorded: {reason_of(error)}.", file=sys.stderr)
