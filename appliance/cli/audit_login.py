"""A login as a record of the audit trail; pam_exec runs this once somebody was let in."""

from __future__ import annotations

import os

from appliance.base.clock import SystemClock
from appliance.base.errors import ApplianceError
from appliance.base.flash import in_words
from appliance.base.paths import Paths
from appliance.exam.audit import Act, AuditTrail, Party

_PROCESS = "login"


def record_login(user: str | None, host: str | None) -> int:
    """Record it; 0. ApplianceError when nobody is named or flash does not take it."""
    if user is None and os.environ.get("PAM_TYPE", "open_session") != "open_session":
        return 0
    who = user or os.environ.get("PAM_USER", "")
    if not who:
        raise ApplianceError("Nobody is named who logged in.", "Let pam_exec run this, or name --user.")
    party = Party(os.environ.get("PAM_SERVICE", "login"), host or os.environ.get("PAM_RHOST", ""))
    trail = AuditTrail(Paths.from_environment().audit, _PROCESS, SystemClock())
    with in_words("The login could not be recorded"):
        trail.record(Act.LOGIN, actor=who, party=party)
    return 0
