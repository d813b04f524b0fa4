"""The records in `settled/`, by which a lost journal, and the console, know what is done.

    EXAM.early.json             objects that expired before their exam was settled, and what became of them
    EXAM.refused-MODALITY.json  somebody else ended this performed step, so the manager does not take its end from us
    EXAM.json                   every object and step of the exam is done, and what became of them
    EXAM.expired.json           nothing of the exam is on this box any more, and its record need not be kept: the
                                console takes away `exams/EXAM/` and then all of these, this one last

Forward writes them, the console takes them away.
"""

from __future__ import annotations

from pathlib import Path

from appliance.spool.tree import Spool

_EXPIRED = ".expired.json"


def settled_path(spool: Spool, exam_id: str) -> Path:
    return spool.settled / f"{exam_id}.json"


def early_path(spool: Spool, exam_id: str) -> Path:
    return spool.settled / f"{exam_id}.early.json"


def refused_path(spool: Spool, exam_id: str, modality: str) -> Path:
    return spool.settled / f"{exam_id}.refused-{modality}.json"


def expired_path(spool: Spool, exam_id: str) -> Path:
    return spool.settled / f"{exam_id}{_EXPIRED}"


def list_early(spool: Spool, exam_id: str) -> list[Path]:
    """The records of the exam that count until it is settled; a power cut may have left them beside `EXAM.json`."""
    return [early_path(spool, exam_id), *sorted(spool.settled.glob(f"{exam_id}.refused-*.json"))]


def list_expired(spool: Spool) -> list[str]:
    """The exams of which nothing is here any more and whose records may go."""
    if not spool.settled.is_dir():
        return []
    names = (path.name for path in spool.settled.iterdir() if not path.name.startswith("."))
    return sorted(name.removesuffix(_EXPIRED) for name in names if name.endswith(_EXPIRED))
