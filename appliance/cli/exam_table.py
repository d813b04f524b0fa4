"""What `appliance exam` prints: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from appliance.base.asking import Asker
from appliance.base.errors import ApplianceError
from appliance.base.paths import Paths
from appliance.cli.exam_record import read_exam, read_exams, read_told, record_of, summary_from
from appliance.cli.exam_standing import text_of
from appliance.cli.queue_table import STATES, STEP_STATES, words_of
from appliance.cli.table import printable_text, table_lines
from appliance.exam.facts import ExamFacts
from appliance.spool.tree import Spool

_LIST_HEAD = ("exam", "opened", "patient", "ID", "procedure", "accession", "objects", "how it stands")
_OBJECT_HEAD = ("object", "device", "mod", "kB", "saved", "destination", "state", "stored", "committed", "said")

# What an object's file says of it, where nobody says more.
_PLACES: Final[Mapping[str, str]] = {
    "captured": "saved",
    "outbox": "saved, and not done",
    "kept": "saved, and done where it was to go",
    "quarantine": "damaged, and not sent",
}


def list_exams(day: date | None, days: int, *, as_json: bool) -> int:
    """Print the exams of `day`, or of the last `days`; 0."""
    paths = Paths.from_environment()
    spool = Spool(paths.state)
    last = day or datetime.now().astimezone().date()
    first = day or last - timedelta(days=days - 1)
    found = list(read_exams(spool, f"{first:%Y%m%d}", f"{last:%Y%m%d}"))
    waiting = [files.exam_id for files in found if files.closed is not None and not files.is_settled]
    told, silence = _ask_forward(paths, f"/exams?first={waiting[0]}&last={waiting[-1]}") if waiting else ({}, "")
    nothing: dict[str, Any] = {"objects": [], "steps": []}
    summaries = [
        summary_from(spool, files, None if silence else told.get("exams", {}).get(files.exam_id, nothing))
        for files in found
    ]
    if as_json:
        print(json.dumps({"exams": summaries, "forward": silence}, indent=1, ensure_ascii=False))
    elif summaries:
        print("\n".join(table_lines([_LIST_HEAD, *map(_row_of, summaries)])))
    else:
        print("No exam was opened in this time.")
    if silence and not as_json:
        print(f"{silence} How far the exams are that are not settled cannot be known meanwhile.")
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
    told, silence = _ask_forward(paths, f"/queue?exam_id={quote(exam_id)}")
    record = record_of(spool, files, read_told(spool, files) if silence else told, silence)
    print(json.dumps(record, indent=1, ensure_ascii=False) if as_json else "\n".join(lines_of(record)))
    return 0


def _ask_forward(paths: Paths, path: str) -> tuple[dict[str, Any], str]:
    """What the forward process says; or nothing, and why."""
    asker = Asker(paths.forward_socket, "The forward process")
    try:
        return asker.ask("GET", path, seconds=10.0), ""
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
        lines += [record["forward"], *_limits_of(record)]
    return lines


def _limits_of(record: Mapping[str, Any]) -> list[str]:
    """What cannot be known while the forward process says nothing."""
    lines = []
    if not record["is_settled"] and record["closed_at"]:
        lines.append("Where the files lie is known meanwhile; how far they are at the archives is not.")
    if any(not one["is_here"] and not one["has_expired"] for one in record["objects"]):
        lines.append("Whether the box has deleted what is not here, since its time was over, is not known meanwhile.")
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
    became = ""
    if summary["closed_at"]:
        standings = summary["waits"] | summary["ends"]
        became = ", " + text_of(standings, summary["step_states"], is_settled=summary["is_settled"])
    return f"{summary['state']}{reason}{became}"


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
    gone = "" if one["is_here"] else "expired" if one["has_expired"] else "not here"
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
    return rows or [(*head, "-", gone or _PLACES[one["place"]], "-", "-", "")]


def _moment(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S}" if text else "-"


def _clock(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone():%H:%M:%S}" if text else "-"
