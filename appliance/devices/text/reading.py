"""The fields in a machine's text, found where its profile says they are."""

from __future__ import annotations

import re
from dataclasses import dataclass

from appliance.config.text_profiles import Place, TextProfile, TextTable

# What may be drawn and kept beside a page; a text may have many more lines than it has meaning.
MAX_LINES = 2000
MAX_ROWS = 500
_MAX_VALUE = 200
_ESCAPED = {"F": 0, "R": 1, "S": 2, "E": 3}  # ASTM E1394 6.4.5: &F& is the field delimiter as a character


@dataclass(frozen=True, slots=True)
class Table:
    """A title, the titles of its columns, and its rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a machine said. `lines` are its text as it came, `fields` labels and values, in the profile's order.

    `patient_ids` are the machine's own ideas of who the patient is. `is_cut`: there was more than is kept.
    """

    title: str
    lines: tuple[str, ...]
    fields: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()
    patient_ids: tuple[str, ...] = ()
    is_cut: bool = False


def reading_from_text(payload: bytes, profile: TextProfile) -> Reading:
    """The reading in `payload`, a message's bytes. What is not where the profile looks for it is left out."""
    text = payload.replace(b"\r\n", b"\n")
    ends = bytes((profile.framing.record_end,))
    decoded = [piece.decode(profile.encoding, "replace") for piece in text.split(ends)]
    every = [line for piece in decoded for line in re.split(r"[\r\n]+", piece) if line.strip()]
    lines = [_printable(line) for line in every[:MAX_LINES]]
    records = _Records(every[:MAX_LINES], profile.delimiters_in)
    joined = "\n".join(every[:MAX_LINES])
    fields = [(one, value) for one in profile.fields if (value := _value_at(one, records, joined))]
    tables = [_table_of(one, records, joined) for one in profile.tables]
    return Reading(
        title=profile.title,
        lines=tuple(lines),
        fields=tuple((one.label, value) for one, value in fields),
        tables=tuple(one for one in tables if one.rows),
        patient_ids=tuple(value for one, value in fields if one.is_patient_id),
        is_cut=len(every) > MAX_LINES or any(len(one.rows) == MAX_ROWS for one in tables),
    )


class _Records:
    """Records of fields of components, by the delimiters of ASTM E1394 or by those that the first record names."""

    def __init__(self, lines: list[str], delimiters_in: str) -> None:
        self._lines = lines
        self._delimiters = "|\\^&"
        if delimiters_in:
            first = next((one for one in lines if one.startswith(delimiters_in)), "")
            said = first[len(delimiters_in) : len(delimiters_in) + 4]
            if len(set(said)) == 4 and not any(one.isalnum() or one.isspace() for one in said):
                self._delimiters = said

    def named(self, name: str) -> list[list[str]]:
        """The fields of each record that begins so."""
        split = [line.split(self._delimiters[0]) for line in self._lines]
        return [fields for fields in split if fields[0] == name]

    def value(self, fields: list[str], field: int, component: int) -> str:
        """Field and component counted from 1; without a component, all of them that say something."""
        if field > len(fields):
            return ""
        parts = fields[field - 1].split(self._delimiters[2])
        if component:
            parts = parts[component - 1 : component]
        return _printable(" ".join(self._unescaped(part) for part in parts if part.strip())).strip()[:_MAX_VALUE]

    def _unescaped(self, text: str) -> str:
        mark = self._delimiters[3]
        if mark not in text:
            return text
        order = (self._delimiters[0], self._delimiters[1], self._delimiters[2], mark)
        return re.sub(
            re.escape(mark) + "([FRSE])" + re.escape(mark), lambda found: order[_ESCAPED[found.group(1)]], text
        )


def _value_at(place: Place, records: _Records, text: str) -> str:
    if place.pattern is not None:
        found = re.search(place.pattern, text)
        return _printable(found.group(1) or "").strip()[:_MAX_VALUE] if found else ""
    values = (records.value(one, place.field, place.component) for one in records.named(place.record))
    return next((value for value in values if value), "")


def _table_of(table: TextTable, records: _Records, text: str) -> Table:
    rows: list[tuple[str, ...]] = []
    if table.pattern is not None:
        for found in re.finditer(table.pattern, text):
            rows.append(tuple(_printable(found.group(one.field) or "").strip()[:_MAX_VALUE] for one in table.columns))
            if len(rows) == MAX_ROWS:
                break
    else:
        for record in records.named(table.record)[:MAX_ROWS]:
            rows.append(tuple(records.value(record, one.field, one.component) for one in table.columns))
    return Table(table.title, tuple(one.title for one in table.columns), tuple(rows))


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else "·" for one in text)
