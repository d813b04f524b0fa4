"""Destinations that were removed from the configuration while something was still to be done there.

Nothing of it is tried, and nothing of it is lost: it waits for a person, who must hear of it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from appliance.base.errors import Finding, counted
from appliance.base.findings import FindingBoard
from appliance.forward.journal import Journal
from appliance.forward.states import FINAL_DELIVERIES, DeliveryState

NOT_CONFIGURED: Final = (
    "This destination is not configured any more: configure it again, or let go of what waits for it alone"
    " (appliance release EXAM --destination NAME)."
)
CODE: Final = "no-destination"
UNFINISHED: Final = ", ".join(f"'{state}'" for state in DeliveryState if state not in FINAL_DELIVERIES)
# One look at the index for each name, however long the history of each is.
_NAMES = (
    "WITH RECURSIVE names (name) AS (SELECT min(destination) FROM deliveries UNION ALL"
    " SELECT (SELECT min(destination) FROM deliveries WHERE destination > name) FROM names WHERE name IS NOT NULL)"
    " SELECT name FROM names WHERE name IS NOT NULL"
)


@dataclass(frozen=True, slots=True)
class Removed:
    """A destination that is not configured any more; of so many objects and exams something is unfinished there."""

    name: str
    objects: int
    exams: int


def read_removed(journal: Journal, configured: Collection[str]) -> list[Removed]:
    """The removed destinations at which something is unfinished, by name."""
    found = []
    with journal.reading() as db:
        for (name,) in db.execute(_NAMES).fetchall():
            if name in configured:
                continue
            objects, exams = db.execute(
                "SELECT count(*), count(DISTINCT exam_id) FROM deliveries JOIN objects USING (sop_instance_uid)"
                f" WHERE destination = ? AND state IN ({UNFINISHED})",
                (name,),
            ).fetchone()
            if objects:
                found.append(Removed(name, objects, exams))
    return found


def tell_removed(findings: FindingBoard, removed: Collection[Removed]) -> None:
    """One finding for each removed destination; what is over is cleared."""
    names = {one.name for one in removed}
    for finding in findings.listing():
        if finding.code == CODE and finding.subject and finding.subject not in names:
            findings.clear(CODE, finding.subject)
    for one in removed:
        objects, exams = counted(one.objects, "object"), counted(one.exams, "exam")
        sentence = f"{objects} of {exams} must go to {one.name}, which is not configured any more."
        suggestion = (
            f"They stay saved. Configure it again, or let go of them there (appliance release EXAM --destination "
            f"{one.name}): the other archives still get them. `appliance queue` names the exams."
        )
        findings.report(Finding(CODE, sentence, suggestion, one.name))
