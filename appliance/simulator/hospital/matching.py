"""Which worklist items answer a query, and with what (PS3.4 C.2.2.2 and K.4.1.3): pure, over datasets.

A key is single value, list of UID, wildcard, range, sequence or universal matching, as its VR and value say. An item
is expected to hold every attribute that its owner supports, empty if unknown: a key that the item lacks altogether is
unsupported, matches everything and is not returned.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

CHARACTER_SET = Tag("SpecificCharacterSet")
# These say how the query is written, they ask for nothing.
_NOT_KEYS = frozenset({CHARACTER_SET, Tag("TimezoneOffsetFromUTC"), Tag("QueryRetrieveLevel")})
_STEP_DATE = Tag("ScheduledProcedureStepStartDate")
_STEP_TIME = Tag("ScheduledProcedureStepStartTime")

_MICROSECONDS = {2: 3_600_000_000, 4: 60_000_000, 6: 1_000_000}  # what the last digits of HH, HHMM, HHMMSS count
_DAY = 24 * _MICROSECONDS[2]


class MalformedKey(ValueError):
    """A key holds what its VR cannot: the answer is A900H, identifier does not match SOP class."""

    def __init__(self, tag: BaseTag) -> None:
        super().__init__(f"the key {tag} has no valid value")
        self.tag = tag


def is_match(query: Dataset, item: Dataset) -> bool:
    """Does `item` answer `query`? Raises MalformedKey for a date or time that is none."""
    combined = _is_match_of_step_period(query, item)
    if combined is False:
        return False
    for key in query:
        if key.tag in _NOT_KEYS or key.tag not in item:
            continue
        if combined is not None and key.tag in (_STEP_DATE, _STEP_TIME):
            continue
        if not _is_match_of_key(key, item[key.tag]):
            return False
    return True


def answer_from_item(query: Dataset, item: Dataset) -> Dataset:
    """What is returned of `item`: the supported keys of `query` and the item's character set, nothing else."""
    answer = _requested_part(query, item)
    if CHARACTER_SET in item:
        answer[CHARACTER_SET] = item[CHARACTER_SET]
    return answer


def has_unsupported_key(query: Dataset, item: Dataset) -> bool:
    """Was something asked that `item`'s owner does not support? Then each answer is FF01H instead of FF00H."""
    for key in query:
        if key.tag in _NOT_KEYS:
            continue
        if key.tag not in item:
            return True
        if (
            key.VR == "SQ"
            and key.value
            and item[key.tag].value
            and has_unsupported_key(key.value[0], item[key.tag].value[0])
        ):
            return True
    return False


def _requested_part(query: Dataset, item: Dataset) -> Dataset:
    answer = Dataset()
    for key in query:
        if key.tag in _NOT_KEYS or key.tag not in item:
            continue
        element = item[key.tag]
        # A sequence key without keys of its own asks for whole items (PS3.4 C.2.2.2.6).
        if element.VR == "SQ" and key.value and len(key.value[0]):
            parts = [_requested_part(key.value[0], part) for part in element.value]
            element = DataElement(element.tag, "SQ", Sequence(parts))
        answer[key.tag] = element
    return answer


def _is_match_of_key(key: DataElement, element: DataElement) -> bool:
    if element.VR == "SQ":
        if not key.value or not any(_has_constraint(part) for part in key.value):
            return True
        return any(is_match(key.value[0], part) for part in element.value)
    wanted = [text for text in texts_of(key) if text]
    if not wanted:
        return True
    matches = _MATCHERS.get(str(element.VR), is_wildcard_match)
    try:
        return any(matches(text, value) for text in wanted for value in texts_of(element) or [""])
    except ValueError as error:
        raise MalformedKey(key.tag) from error


def _has_constraint(query: Dataset) -> bool:
    """Universal keys inside a sequence constrain nothing: such a key matches an item with an empty sequence too."""
    for key in query:
        if key.VR == "SQ":
            if any(_has_constraint(part) for part in key.value or []):
                return True
        elif any(text.strip("*") for text in texts_of(key)):
            return True
    return False


def texts_of(element: DataElement) -> list[str]:
    """The element's values as text without padding; no value at all is the empty list."""
    value = element.value
    if value is None or value == "":
        return []
    values = value if isinstance(value, (MultiValue, list)) else [value]
    return [str(each).strip(" \0") for each in values]


def is_wildcard_match(pattern: str, text: str) -> bool:
    """PS3.4 C.2.2.2.4: `*` is any run of characters, none included, `?` is exactly one; case counts.

    Linear in practice: on a mismatch only the last star is retried, so that no pattern from the wire can stall us.
    """
    at, after_star, retry = 0, -1, 0
    position = 0
    while position < len(text):
        if at < len(pattern) and pattern[at] == "*":
            at += 1
            after_star, retry = at, position
        elif at < len(pattern) and pattern[at] in ("?", text[position]):
            at += 1
            position += 1
        elif after_star >= 0:
            retry += 1
            at, position = after_star, retry
        else:
            return False
    return all(rest == "*" for rest in pattern[at:])


def _is_exact_match(wanted: str, text: str) -> bool:
    return wanted == text


def is_name_match(pattern: str, name: str) -> bool:
    """Person names: whatever the case, and a pattern of one component group finds it in any of the three groups."""
    patterns = [_plain_group(group) for group in pattern.split("=")]
    groups = [_plain_group(group) for group in name.split("=")]
    if len(patterns) == 1:
        return any(is_wildcard_match(patterns[0], group) for group in groups)
    groups += [""] * (len(patterns) - len(groups))
    return all(not wanted or is_wildcard_match(wanted, group) for wanted, group in zip(patterns, groups, strict=False))


def _plain_group(group: str) -> str:
    return group.strip().rstrip("^").casefold()


# A period of dates, or of microseconds of the day; both ends belong to it.
_Dates = tuple[date, date]
_Times = tuple[int, int]


def _is_date_match(wanted: str, text: str) -> bool:
    first, last = _dates_from_range(wanted)
    return bool(text) and first <= _dates_from_text(text)[0] <= last


def _is_time_match(wanted: str, text: str) -> bool:
    first, last = _times_from_range(wanted)
    return bool(text) and first <= _times_from_text(text)[0] <= last


_MATCHERS: dict[str, Callable[[str, str], bool]] = {
    "PN": is_name_match,
    "DA": _is_date_match,
    "TM": _is_time_match,
    "UI": _is_exact_match,
    "US": _is_exact_match,
    "DS": _is_exact_match,
    "IS": _is_exact_match,
}


def _dates_from_text(text: str) -> _Dates:
    if len(text) != 8 or not text.isascii() or not text.isdigit():
        raise ValueError("no date")
    day = date(int(text[:4]), int(text[4:6]), int(text[6:]))
    return day, day


def _times_from_text(text: str) -> _Times:
    """First and last instant that a time of its precision may mean: `10` is 10:00:00 to 10:59:59.999999."""
    whole, dot, fraction = text.partition(".")
    digits = whole + fraction
    if len(whole) not in _MICROSECONDS or not digits.isascii() or not digits.isdigit():
        raise ValueError("no time")
    if dot and (len(whole) != 6 or not 1 <= len(fraction) <= 6):
        raise ValueError("no time")
    hours, minutes, seconds = int(whole[:2]), int(whole[2:4] or 0), int(whole[4:6] or 0)
    if hours > 23 or minutes > 59 or seconds > 60:  # 60 is a leap second (PS3.5 6.2)
        raise ValueError("no time")
    first = hours * _MICROSECONDS[2] + minutes * _MICROSECONDS[4] + seconds * _MICROSECONDS[6]
    first += int(fraction.ljust(6, "0") or 0)
    length = 10 ** (6 - len(fraction)) if dot else _MICROSECONDS[len(whole)]
    return first, first + length - 1


def _ends_of_range(text: str) -> tuple[str, str]:
    """PS3.4 C.2.2.2.5: `a-b`, `-b`, `a-`, or one value, which begins and ends with itself."""
    if text == "*":  # not allowed here, but asked by many
        return "", ""
    first, dash, last = text.partition("-")
    if dash and not first and not last:
        raise ValueError("a range without ends")
    return (first, last) if dash else (first, first)


def _dates_from_range(text: str) -> _Dates:
    first, last = _ends_of_range(text)
    return (_dates_from_text(first)[0] if first else date.min), (_dates_from_text(last)[1] if last else date.max)


def _times_from_range(text: str) -> _Times:
    first, last = _ends_of_range(text)
    return (_times_from_text(first)[0] if first else 0), (_times_from_text(last)[1] if last else 2 * _DAY)


def _is_match_of_step_period(query: Dataset, item: Dataset) -> bool | None:
    """Ranges of both the step's start date and time are one period (PS3.4 Table K.6-1): from the first date at the
    first time until the last date at the last time. None when the query is no such pair."""
    if not all(tag in query and tag in item for tag in (_STEP_DATE, _STEP_TIME)):
        return None
    dates, times = texts_of(query[_STEP_DATE]), texts_of(query[_STEP_TIME])
    if len(dates) != 1 or len(times) != 1 or "-" not in dates[0] or "-" not in times[0]:
        return None
    start_dates, start_times = texts_of(item[_STEP_DATE]), texts_of(item[_STEP_TIME])
    try:
        first_date, last_date = _dates_from_range(dates[0])
    except ValueError as error:
        raise MalformedKey(_STEP_DATE) from error
    try:
        first_time, last_time = _times_from_range(times[0])
    except ValueError as error:
        raise MalformedKey(_STEP_TIME) from error
    if not start_dates or not start_times:
        return False
    start = (_dates_from_text(start_dates[0])[0], _times_from_text(start_times[0])[0])
    return (first_date, first_time) <= start <= (last_date, last_time)
