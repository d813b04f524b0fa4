"""What `appliance exam` prints: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from appliance.base.errors import ApplianceError
from appliance.base.http import Asker
from appliance.base.paths import Paths
from appliance.cli.exam_record import read_exam, read_exams, read_settled, record_of, summary_of
from appliance.cli.queue_table import STATES, STEP_STATES, words_of
from appliance.cli.table import printable_text, table_lines
from appliance.exam.facts import ExamFacts
from appliance.spool.known_states import End
from appliance.spool.tree import Spool

_LIST_HEAD = ("exam", "opened", "patient", "ID", "procedure", "accession", "objects", "how it stands")
_OBJECT_HEAD = ("object", "device", "mod", "kB", "saved", "destination", "state", "stored", "committed", "said")

_ENDS: Final[Mapping[str, str]] = {
    End.COMMITTED: "committed",
    End.COMMITTED_AT_SOME: "committed at some archives, stored at the others",
    End.COMMITTED_PARTLY_RELEASED: "committed at some archives, released from the others",
    End.VERIFIED: "stored and found there, not committed",
    End.STORED_ONLY: "stored, not committed",
    End.PARTLY_RELEASED: "stored at some archives, released from the others",
    End.NOWHERE: "released, in no archive",
}


def list_exams(day: date | None, days: int, *, as_json: bool) -> int:
    """Print the exams of `day`, or of the last `days`; 0."""
    spool = Spool(Paths.from_environment().state)
    last = day or datetime.now().astimezone().date()
    first = day or last - timedelta(days=days - 1)
    summaries = [summary_of(spool, files) for files in read_exams(spool, f"{first:%Y%m%d}", f"{last:%Y%m%d}")]
    if as_json:
        print(json.dumps({"exams": summaries}, indent=1, ensure_ascii=False))
    elif summaries:
        print("\n".join(table_lines([_LIST_HEAD, *map(_row_of, summaries)])))
    else:
        print("No exam was opened in this time.")
    return 0


def show_exam(exam_id: str, *, as_json: bool) -> int:
    """Print one exam; 0. ApplianceError when there is none, or its record is damaged."""
    paths = Paths.from_environment()
    spool = Spool(paths.state)
    if exam_id not in ExamFacts(spool.exams).exam_ids():
        raise ApplianceError(f"There is no exam {printable_text(exam_id)}.", "See `appliance exam list --days 30`.")
    files = read_exam(spool, exam_id)
    if files.exam is None:
        raise ApplianceError(files.trouble, "Support must look at the files.")
    told, silence = _ask_forward(paths, exam_id)
    record = record_of(spool, files, told or read_settled(spool, exam_id), silence)
    print(json.dumps(record, indent=1, ensure_ascii=False) if as_json else "\n".join(lines_of(record)))
    return 0


def _ask_forward(paths: Paths, exam_id: str) -> tuple[dict[str, Any], str]:
    """What forward's queue says of the exam; or nothing, and why."""
    asker = Asker(paths.forward_socket, "The forward process")
    try:
        return asker.ask("GET", f"/queue?exam_id={quote(exam_id)}", seconds=10.0), ""
    except ApplianceError as error:
        return {}, error.sentence
    finally:
        asker.close()


def lines_of(record: Mapping[str, Any]) -> list[str]:
    """One exam for people: whose, on which entries, how it ended, its steps, its objects."""
    first = record["entries"][0]
    who = [", ".join(first["names"]) or "no name", f"ID {first['patient_id'] or 'none'}", *_known(first)]
    patient = "; ".join(map(printable_text, who))  # each by itself: a name from right to left reorders no number
    lines = [
        f"exam {record['exam_id']}: {_standing_of(record)}",
        f"patient {patient}",
        f"study {record['study_instance_uid']}, begun {_moment(record['study_began_at'])}",
        f"opened {_moment(record['opened_at'])}, ended {_moment(record['closed_at'])}",
    ]
    if not record["is_clock_trusted"]:
        lines.append("the box's clock was in doubt at the opening: dates and times may be wrong")
    for entry in record["entries"]:
        lines.append(f"entry {printable_text(_entry_text(entry))}")
    for step in record["steps"]:
        state = STEP_STATES.get(step["state"], "nothing known of it")
        said = f" ({printable_text(words)})" if (words := words_of(step)) else ""
        lines.append(
            f"performed step {step['modality']}, ID {step['performed_procedure_step_id']}: {state}{said}, "
            f"first object {_moment(step['started_at'])}"
        )
    lines += [printable_text(finding) for finding in record["findings"]]
    lines += [printable_text(line) for line in _decision_lines(record["decisions"])]
    rows = [row for one in record["objects"] for row in _object_rows(one)]
    lines += ["", *table_lines([_OBJECT_HEAD, *rows])] if rows else ["No object is saved."]
    if record["forward"]:
        lines.append(f"{record['forward']} What is stored and committed is known as far as the exam is settled.")
    return lines


def _row_of(summary: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        summary["exam_id"],
        _moment(summary["opened_at"]),
        ", ".join(summary["names"]),
        summary["patient_id"],
        " + ".join(dict.fromkeys(filter(None, summary["procedures"])))
        or ("-" if summary["is_scheduled"] else "unscheduled"),
        ", ".join(dict.fromkeys(filter(None, summary["accession_numbers"]))),
        str(summary["objects"]),
        summary["trouble"] or _standing_of(summary),
    )


def _standing_of(summary: Mapping[str, Any]) -> str:
    reason = f" ({summary['reason']['meaning']})" if summary["reason"] else ""
    settled = f", {_ends_text(summary['ends'])}" if summary["is_settled"] else ""
    return f"{summary['state']}{reason}{settled}"


def _ends_text(ends: Mapping[str, int]) -> str:
    if not ends:
        return "nothing more is to be sent"
    if len(ends) == 1:
        return f"all {_ENDS[next(iter(ends))]}"
    return "; ".join(f"{count} {_ENDS[end]}" for end, count in ends.items())


def _known(entry: Mapping[str, Any]) -> list[str]:
    born = entry["birth_date"]
    shown = f"{born[:4]}-{born[4:6]}-{born[6:]}" if len(born) == 8 else born
    return [f"{word} {text}" for word, text in (("born", shown), ("sex", entry["sex"])) if text]


def _entry_text(entry: Mapping[str, Any]) -> str:
    if not entry["source"]:
        return "none: the patient was typed in"
    named = (
        ("accession", entry["accession_number"]),
        ("procedure", entry["requested_procedure_id"]),
        ("step", entry["scheduled_procedure_step_id"]),
    )
    numbers = ", ".join(f"{word} {number or '-'}" for word, number in named)
    return f"of {entry['source']}: {entry['modality']} {entry['procedure'] or 'no procedure'}, {numbers}"


def _decision_lines(decisions: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each thing that somebody decided, about however many objects."""
    together: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for one in decisions:
        key = tuple(str(one[word]) for word in ("kind", "destination", "actor", "reason", "new_exam_id"))
        together.setdefault(key, []).append(one)
    lines = []
    for (kind, destination, actor, reason, new_exam_id), ones in together.items():
        what = f"object {ones[0]['sop_instance_uid']}" if len(ones) == 1 else f"{len(ones)} objects"
        place = f" from {destination}" if destination else f" to exam {new_exam_id}" if new_exam_id else ""
        lines.append(f"{what} {kind}{place} by {actor}, {_moment(ones[0]['decided_at'])}: {reason}")
    return lines


def _object_rows(one: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """One row for each destination."""
    gone = "" if one["is_here"] else "expired" if one["expired_at"] else "not here any more"
    saved = gone or (_clock(one["saved_at"]) if one["saved_at"] else "yes")
    head = (one["sop_instance_uid"], one["device"], one.get("modality", ""), str(one["bytes"] // 1000), saved)
    rows: list[tuple[str, ...]] = [
        (
            *head,
            name,
            STATES.get(told["state"], told["state"]),
            _clock(told["stored_at"]),
            _clock(told["committed_at"]),
            words_of(told),
        )
        for name, told in one["destinations"].items()
    ]
    return rows or [(*head, "-", gone or "saved", "-", "-", "")]


def _moment(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S}" if text else "-"


def _clock(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone():%H:%M:%S}" if text else "-"
