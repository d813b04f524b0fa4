"""`appliance worklist`: who is scheduled, how old that is, and what the hospital answers for one patient."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

_KEYS = {
    "name": "patient_name",
    "id": "patient_id",
    "accession": "accession_number",
    "procedure": "requested_procedure_id",
    "barcode": "barcode",
}
_STILL_ASKED = "It is still being asked; this is its last answer. Look again in a minute, without --refresh."
_HEAD = ("day", "time", "mod", "patient", "ID", "born", "sex", "accession", "procedure", "")


def add_parser(commands: Any) -> None:
    """The command, among the others of `commands`."""
    parser = commands.add_parser(
        "worklist",
        help="show who is scheduled, or ask the hospital for one patient",
        description="Show the last answers of the worklist sources and their age, or ask them for one patient.",
    )
    parser.add_argument("--refresh", action="store_true", help="ask the sources now, and show what they answer")
    parser.add_argument("--name", metavar="NAME", help='ask for a name: "mül anna", MULLER^ANNA, "mul*"')
    parser.add_argument("--id", metavar="ID", help="ask for a patient ID")
    parser.add_argument("--accession", metavar="NUMBER", help="ask for an accession number")
    parser.add_argument("--procedure", metavar="ID", help="ask for a requested procedure")
    parser.add_argument("--barcode", metavar="TEXT", help="ask for what a scanner read, whichever of these it is")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=partial(_run, parser))


def _run(parser: argparse.ArgumentParser, given: argparse.Namespace) -> int:
    asked = {key: value for option, key in _KEYS.items() if (value := getattr(given, option)) is not None}
    if asked and given.refresh:
        options = " and ".join(f"--{option}" for option, key in _KEYS.items() if key in asked)
        parser.error(f"--refresh asks for the whole list: not allowed with {options}, which asks now anyway")
    return ask_hospital(asked, as_json=given.json) if asked else show_list(is_fresh=given.refresh, as_json=given.json)


def show_list(*, is_fresh: bool, as_json: bool) -> int:
    """Print the last answers, with `is_fresh` after asking for new ones; 1 when a source has trouble."""
    from appliance.base.asking import Asker
    from appliance.base.paths import Paths
    from appliance.config.glance import names_in

    paths = Paths.from_environment()
    names = None if is_fresh else names_in(paths.configuration, "worklist")
    if names is None:
        from appliance.config.in_force import read_in_force

        sources = read_in_force(paths.configuration).configuration.worklist
        names = [source.name for source in sources]
    asked_at = datetime.now().astimezone().replace(microsecond=0) if is_fresh else None
    if is_fresh:
        seconds = sum(source.connect_seconds + source.answer_seconds for source in sources) + 10.0
        asker = Asker(paths.forward_socket, "The forward process")
        try:
            asker.ask("POST", "/worklist/refresh", {}, seconds=seconds)
        finally:
            asker.close()
    document = read_document(paths.worklist, names, datetime.now().astimezone(), asked_at)
    _print(document, as_json=as_json)
    return 1 if any(one["trouble"] for one in document["sources"]) else 0


def read_document(
    directory: Any, sources: Iterable[str], now: datetime, asked_at: datetime | None = None
) -> dict[str, Any]:
    """What `--json` prints of the list: `sources` with their age in seconds (null if never), and `items`.

    What was answered before `asked_at` is said to be the last answer, not the one that was asked for.
    """
    import json

    from appliance.exam.answers import DamagedAnswerError, WorklistAnswer, read_list
    from appliance.exam.item import order_of

    said, items = [], []
    for source in sources:
        try:
            answer, entries = read_list(directory, source)
        except DamagedAnswerError as error:
            answer, entries = WorklistAnswer(source, trouble=error.sentence), []
        answered_at = datetime.fromisoformat(answer.answered_at) if answer.answered_at else None
        age = (now - answered_at).total_seconds() if answered_at else None
        late = _STILL_ASKED if asked_at and answered_at and answered_at < asked_at else ""
        said.append(
            {
                "source": source,
                "answered_at": answer.answered_at,
                "age_seconds": None if age is None else max(0, round(age)),
                "trouble": answer.trouble or (late if answered_at else "It has not answered yet."),
                "is_cut_off": answer.is_cut_off,
                "count": len(entries),
            }
        )
        items += [json.loads(entry.view) for entry in entries]
    return {"sources": said, "items": sorted(items, key=order_of)}


def ask_hospital(asked: Mapping[str, str], *, as_json: bool) -> int:
    """Print what the sources answer for one patient; 1 when one of them did not answer."""
    from appliance.base.asking import Asker
    from appliance.base.paths import Paths
    from appliance.config.in_force import read_in_force

    paths = Paths.from_environment()
    waits = [
        one.connect_seconds + one.answer_seconds for one in read_in_force(paths.configuration).configuration.worklist
    ]
    asker = Asker(paths.forward_socket, "The forward process")
    try:
        answer = asker.ask("POST", "/worklist/query", asked, seconds=max(waits, default=0.0) + 10.0)
    finally:
        asker.close()
    items = [
        {name: value for name, value in item.items() if name != "packed"}
        for one in answer["answers"]
        for item in one["items"]
    ]
    said = [
        {
            "source": one["source"],
            "age_seconds": 0,
            "trouble": one["trouble"],
            "is_cut_off": one["is_cut_off"],
            "count": len(one["items"]),
        }
        for one in answer["answers"]
    ]
    has_answer = any(not one["trouble"] for one in said)
    suggestion = suggestion_from(asked) if has_answer and not items else ""
    _print({"sources": said, "items": items, "suggestion": suggestion}, as_json=as_json)
    return 1 if any(one["trouble"] for one in said) else 0


def suggestion_from(asked: Mapping[str, str]) -> str:
    """What a person can try who asked this and found nobody."""
    tries = []
    if len(asked) > 1:
        tries.append("fewer of these at once, since all of them must fit")
    if name := asked.get("patient_name"):
        if not name.islower():
            tries.append("the name in small letters, which is asked for in capitals too")
        if not name.isascii():
            tries.append("the name without accents")
        if not name.startswith("*"):
            tries.append('less of the name, with * for what is not certain ("*mul*")')
        tries.append("the patient ID (--id) or the accession number (--accession)")
    elif "barcode" in asked:
        tries.append("what is printed beside the barcode (--id, --accession, --procedure), or the name (--name)")
    else:
        tries += ["exactly what the request says, capitals and leading zeros too", "the name (--name)"]
    return (
        f"Nobody was found. Try {'; '.join(tries)}. Every day was asked for; who is scheduled now is shown by "
        "appliance worklist --refresh."
    )


def _print(document: Mapping[str, Any], *, as_json: bool) -> None:
    import json

    if as_json:
        print(json.dumps(document, indent=1, ensure_ascii=False))
    else:
        print("\n".join(lines_of(document)))


def lines_of(document: Mapping[str, Any]) -> list[str]:
    """The list for people: how old each source's answer is and what is wrong with it, then the entries."""
    from appliance.cli.table import table_lines

    lines = [_sentence_of(one) for one in document["sources"]] or ["No worklist source is configured."]
    if document.get("suggestion"):
        lines.append(document["suggestion"])
    rows = [_row_of(item) for item in document["items"]]
    return [*lines, "", *table_lines([_HEAD, *rows])] if rows else lines


def _sentence_of(source: Mapping[str, Any]) -> str:
    count = f"{source['count']} {'entry' if source['count'] == 1 else 'entries'}"
    age = source["age_seconds"]
    parts = [f"{source['source']}: {count}" + (f", {_age_text(age)} old." if age else ".")]
    if source["is_cut_off"]:
        parts.append("There are more: the list is cut off.")
    if source["trouble"]:
        parts.append(source["trouble"])
    return " ".join(parts)


def _age_text(seconds: int) -> str:
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min" if seconds < 86_400 else f"{seconds // 86_400} days"


def _row_of(item: Mapping[str, Any]) -> tuple[str, ...]:
    day, time, born = item["scheduled_date"], item["scheduled_time"], item["birth_date"]
    remarks = [*(f"lacks {name}" for name in item["missing"]), *item["findings"]]
    return (
        f"{day[:4]}-{day[4:6]}-{day[6:]}" if len(day) == 8 else day,
        f"{time[:2]}:{time[2:4]}" if len(time) >= 4 else time,
        item["modality"],
        " ".join(item["names"]),
        item["patient_id"],
        f"{born[:4]}-{born[4:6]}-{born[6:]}" if len(born) == 8 else born,
        item["sex"],
        item["accession_number"],
        ": ".join(filter(None, (item["procedure"], item["step"]))),
        "; ".join(remarks),
    )
