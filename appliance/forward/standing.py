"""What lasts at a destination until somebody acts, told as findings: refused objects, and commitment that never comes.

It is read from the journal each time, so that a restart forgets nothing and what is over disappears.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from appliance.base.errors import Finding
from appliance.base.findings import FindingBoard
from appliance.config.schema import Destination
from appliance.forward.journal import Journal

_OUT_OF_RESOURCES = 0x0213
_MOST_WORDINGS = 3


@dataclass(frozen=True, slots=True)
class Refused:
    """`objects` were refused with these words; `reason` is a commitment's Failure Reason, 0 for a store's status."""

    objects: int
    reason: int
    said: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How many objects of a destination are refused, how many are stored and more is to come, how many of those were
    asked for in vain, and what is known of them.
    """

    refused: tuple[Refused, ...] = ()
    waiting: int = 0
    unanswered: int = 0
    found: int = 0
    out_of_resources: int = 0


def read_standing(journal: Journal, destination: Destination) -> Standing:
    """The destination's standing now."""
    with journal.reading() as db:
        refused = db.execute(
            "SELECT count(*), reason, said FROM deliveries WHERE destination = ? AND state = 'refused'"
            " GROUP BY reason, said ORDER BY count(*) DESC, said",
            (destination.name,),
        ).fetchall()
        row = db.execute(
            "SELECT count(*), count(*) FILTER (WHERE rounds >= ?2),"
            " count(*) FILTER (WHERE rounds >= ?2 AND found_at <> ''),"
            " count(*) FILTER (WHERE reason = ?3)"
            " FROM deliveries WHERE destination = ?1 AND state IN ('stored', 'commit_requested')",
            (destination.name, destination.commitment_rounds, _OUT_OF_RESOURCES),
        ).fetchone()
    standing = Standing(tuple(Refused(*one) for one in refused), *row)
    return standing if destination.commitment else replace(standing, unanswered=0, found=0, out_of_resources=0)


def tell_standing(findings: FindingBoard, destination: Destination, standing: Standing) -> None:
    """Report what lasts, clear what is over."""
    told = {finding.code: finding for finding in findings_from(destination, standing)}
    for code in ("object-refused", "commitment-refused", "commitment-out-of-resources", "commitment-missing"):
        if code in told:
            findings.report(told[code])
        else:
            findings.clear(code, destination.name)
    if not standing.waiting:
        for code in ("find-refused", "commitment-not-taken"):
            findings.clear(code, destination.name)


def findings_from(destination: Destination, standing: Standing) -> list[Finding]:
    """The findings, in sentences."""
    name = destination.name
    findings = []
    stores = [one for one in standing.refused if not one.reason]
    if stores:
        findings.append(
            Finding(
                "object-refused",
                f"{name} refused {_count(stores)}: {_words(stores)}.",
                "They stay saved. Ask the archive's administrator, then press Try again.",
                name,
            )
        )
    commitments = [one for one in standing.refused if one.reason]
    if commitments:
        findings.append(
            Finding(
                "commitment-refused",
                f"{name} will never commit {_count(commitments)}: {_words(commitments)}.",
                "They stay saved. The archive's administrator must find out why, then press Try again.",
                name,
            )
        )
    if standing.out_of_resources:
        findings.append(
            Finding(
                "commitment-out-of-resources",
                f"{name} is out of resources and does not commit {_objects(standing.out_of_resources)}.",
                "Tell its administrator. They stay saved, and are asked for again by themselves.",
                name,
            )
        )
    if standing.unanswered:
        # Only what was found: the look comes a while after the last request, and what it misses is stored again.
        looked = f" C-FIND finds {standing.found} of them there." if standing.found else ""
        findings.append(
            Finding(
                "commitment-missing",
                f"{name} has not committed {_objects(standing.unanswered)}"
                f" after {_number(destination.commitment_rounds, 'request')}.{looked}",
                "They stay saved, and are asked for again. Ask its administrator whether its reports reach this box.",
                name,
            )
        )
    return findings


def _count(refused: list[Refused]) -> str:
    return _objects(sum(one.objects for one in refused))


def _objects(count: int) -> str:
    return _number(count, "object")


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _words(refused: list[Refused]) -> str:
    said = [one.said.removesuffix(".") for one in refused[:_MOST_WORDINGS]]
    return "; ".join(said) + ("; and more" if len(refused) > _MOST_WORDINGS else "")
