"""Dates and times: one offset from UTC in one object, across changes of daylight saving; and a clock in doubt."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread

from appliance.compose.encode import zone_from
from appliance.compose.instance import compose_clip, compose_film, compose_still
from appliance.compose.pixels import film_form_from, pixel_form_from
from appliance.compose.steps import creation_from, final_from
from appliance.exam.exam import Closed, Exam, Outcome, StudySoFar, open_exam
from tests.compose.world import (
    BOX,
    DEVICES,
    EXAM_ID,
    FILM,
    GRABBER,
    SERIAL,
    full_entry,
    gray_frame,
    item_from_entry,
    jpeg,
    jpeg_frame,
    origins_of,
    run,
)

ITEM = item_from_entry(full_entry())
IN_DOUBT = "The clock of the capturing device was not synchronized: dates and times may be wrong."
OBJECT_TIMES = (
    ("StudyDate", "StudyTime"),
    ("PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime"),
    ("ContentDate", "ContentTime"),
    ("AcquisitionDate", "AcquisitionTime"),
    ("DateOfSecondaryCapture", "TimeOfSecondaryCapture"),
)
# The nights in which the clocks change: in Berlin at 1:00 UTC; in St. John's at 2:00 local time, 3:30 or 2:30 from UTC.
CHANGES = {
    "Europe/Berlin": [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)],
    "America/St_Johns": [datetime(2026, 3, 8, 5, 30, tzinfo=UTC), datetime(2026, 11, 1, 4, 30, tzinfo=UTC)],
}
ZONES = sorted(CHANGES)


def _exam_at(opened_at: datetime, study_began_at: datetime | None = None) -> Exam:
    so_far = StudySoFar("1.2.276.0.7230010.3.2.4711", study_began_at, 3) if study_began_at else None
    return open_exam(ITEM, DEVICES, opened_at, EXAM_ID, so_far=so_far)


def _still_at(exam: Exam | None, captured_at: datetime) -> Dataset:
    frame = gray_frame()
    origins = replace(origins_of(exam, SERIAL), captured_at=captured_at)
    composed = compose_still(origins, pixel_form_from(frame), len(frame.data))
    return dcmread(io.BytesIO(composed.header + frame.data + composed.trailer), stop_before_pixels=True)


def _moment_in(dataset: Dataset, date: str, time: str, offset: str) -> datetime:
    """A date and a time as a reader has to take them: in the one offset of the object."""
    form = "%Y%m%d%H%M%S.%f%z" if "." in dataset[time].value else "%Y%m%d%H%M%S%z"
    return datetime.strptime(f"{dataset[date].value}{dataset[time].value}{offset}", form)


def _local(moment: datetime, zone: str) -> datetime:
    """As the box's clock gives it: with the offset of that moment, as a file keeps it."""
    local = moment.astimezone(ZoneInfo(zone))
    offset = local.utcoffset()
    assert offset is not None
    return local.replace(tzinfo=timezone(offset))


def test_ok__captured_after_the_end_of_summer_time() -> None:
    """Opened at 2:50 summer time, captured 20 minutes later, when the clocks show 2:10: 3:10 in the object's offset."""
    summer, winter = timezone(timedelta(hours=2)), timezone(timedelta(hours=1))
    exam = _exam_at(datetime(2026, 10, 25, 2, 50, tzinfo=summer))
    still = _still_at(exam, datetime(2026, 10, 25, 2, 10, tzinfo=winter))
    assert still.TimezoneOffsetFromUTC == "+0200"
    assert [still[time].value for _, time in OBJECT_TIMES] == ["025000", "025000", "031000", "031000", "031000"]
    creation = creation_from(exam, exam.step_of("US"), BOX)
    assert (creation.PerformedProcedureStepStartTime, creation.TimezoneOffsetFromUTC) == ("025000", "+0200")
    closed = Closed(datetime(2026, 10, 25, 2, 30, tzinfo=winter), Outcome.COMPLETED, (), ())
    assert final_from(exam, exam.step_of("US"), closed).PerformedProcedureStepEndTime == "033000"


def test_ok__a_study_that_goes_on_after_the_change_keeps_its_date_and_time() -> None:
    """Begun half an hour after midnight of a summer's day: in winter's offset that would be the day before."""
    summer, winter = timezone(timedelta(hours=2)), timezone(timedelta(hours=1))
    first = _exam_at(datetime(2026, 10, 24, 0, 30, tzinfo=summer))
    second = _exam_at(datetime(2026, 10, 26, 9, 0, tzinfo=winter), first.opened_at)
    stills = [_still_at(first, datetime(2026, 10, 24, 0, 40, tzinfo=summer))]
    stills += [_still_at(second, datetime(2026, 10, 26, 9, 5, tzinfo=winter))]
    assert {(one.StudyDate, one.StudyTime, one.TimezoneOffsetFromUTC) for one in stills} == {
        ("20261024", "003000", "+0200")
    }
    assert [one.ContentTime for one in stills] == ["004000", "100500"]
    creation = creation_from(second, second.step_of("US"), BOX)
    assert (creation.PerformedProcedureStepStartTime, creation.TimezoneOffsetFromUTC) == ("090000", "+0100")


_AFTER = st.timedeltas(timedelta(0), timedelta(hours=6))


@settings(max_examples=12)
@given(
    st.sampled_from([(zone, change) for zone in ZONES for change in CHANGES[zone]]),
    st.timedeltas(timedelta(hours=-4), timedelta(hours=4)),
    st.tuples(_AFTER, _AFTER),
    st.none() | st.timedeltas(timedelta(minutes=1), timedelta(days=300)),
)
def test_ok__every_time_is_the_moment_that_it_was_and_one_study_has_one_text(
    night: tuple[str, datetime],
    opened: timedelta,
    after: tuple[timedelta, timedelta],
    begun_before: timedelta | None,
) -> None:
    zone, change = night
    opened_at = _local((change + opened).replace(microsecond=0), zone)
    began_at = _local((opened_at - begun_before).replace(microsecond=0), zone) if begun_before else None
    exam = _exam_at(opened_at, began_at)
    taken = sorted(_local(opened_at + one, zone) for one in after)
    stills = [_still_at(exam, moment) for moment in taken]
    for still, moment in zip(stills, taken, strict=True):
        offset = still.TimezoneOffsetFromUTC
        assert len(offset) == 5 and offset != "-0000"
        told = [_moment_in(still, date, time, offset) for date, time in OBJECT_TIMES]
        assert told == [began_at or opened_at, opened_at, moment, moment, moment]
    assert len({(one.StudyDate, one.StudyTime, one.TimezoneOffsetFromUTC) for one in stills}) == 1
    texts = [one.ContentDate + one.ContentTime.ljust(13, "0") for one in stills]
    assert texts == sorted(texts), "who does not know the offset sees the right order and durations, too"

    step, closed = exam.step_of("US"), Closed(taken[-1], Outcome.COMPLETED, (), ())
    creation, final = creation_from(exam, step, BOX), final_from(exam, step, closed)
    offset = creation.TimezoneOffsetFromUTC
    started = _moment_in(creation, "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime", offset)
    ended = _moment_in(final, "PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime", offset)
    assert (started, ended) == (opened_at, taken[-1].replace(microsecond=0))
    assert "TimezoneOffsetFromUTC" not in final


@pytest.mark.parametrize(
    ("offset", "text"),
    [
        (timedelta(0), "+0000"),
        (timedelta(hours=-3, minutes=-30), "-0330"),
        (timedelta(hours=5, minutes=45), "+0545"),
        (timedelta(minutes=-44, seconds=-30), "-0044"),  # Monrovia until 1972, where a clock without battery begins
    ],
)
def test_ok__the_offset_is_of_whole_minutes(offset: timedelta, text: str) -> None:
    moment = datetime(1970, 1, 1, 12, tzinfo=timezone(offset))
    assert f"{moment.astimezone(zone_from(moment)):%z}" == text
    assert _still_at(None, moment).TimezoneOffsetFromUTC == text


def test_fail__a_moment_without_offset_is_a_defect() -> None:
    with pytest.raises(ValueError, match="without its offset"):
        zone_from(datetime(2026, 11, 22))


# -- a clock in doubt


def _still_header(exam: Exam | None, is_trusted: bool) -> bytes:
    frame = gray_frame()
    origins = replace(origins_of(exam, SERIAL), is_clock_trusted=is_trusted)
    composed = compose_still(origins, pixel_form_from(frame), len(frame.data))
    return composed.header + frame.data + composed.trailer


def _clip_header(exam: Exam | None, is_trusted: bool) -> bytes:
    origins = replace(origins_of(exam, GRABBER), is_clock_trusted=is_trusted)
    return compose_clip(origins, pixel_form_from(jpeg_frame(jpeg(is_odd=True))), 33.3).header


def _film_header(exam: Exam | None, is_trusted: bool) -> bytes:
    origins = replace(origins_of(exam, FILM), is_clock_trusted=is_trusted)
    form = film_form_from(15, 9, 16)
    return compose_film(origins, form, 150).header + bytes(form.frame_bytes)


EXAM = _exam_at(datetime(2026, 11, 22, 9, 30, 15, tzinfo=timezone(timedelta(hours=1))))


@pytest.mark.parametrize("make", [_still_header, _clip_header, _film_header])
@pytest.mark.parametrize(
    ("exam", "is_trusted", "is_marked"),
    [
        (EXAM, True, False),
        (EXAM, False, True),
        (replace(EXAM, is_clock_trusted=False), True, True),  # Study Date and Time are in doubt
        (None, True, False),
        (None, False, True),
    ],
)
def test_ok__an_object_says_that_its_times_are_in_doubt(
    tmp_path: Path, make: Callable[[Exam | None, bool], bytes], exam: Exam | None, is_trusted: bool, is_marked: bool
) -> None:
    (tmp_path / "object.dcm").write_bytes(make(exam, is_trusted))
    dataset = dcmread(tmp_path / "object.dcm", stop_before_pixels=True)
    assert dataset.get("ImageComments") == (IN_DOUBT if is_marked else None)
    said = run("dciodvfy", "-new", tmp_path / "object.dcm")
    assert "Comments" not in said.stdout + said.stderr, "an attribute of the IOD, with a value that it may have"


@pytest.mark.parametrize(("is_trusted", "said"), [(True, ""), (False, f"{IN_DOUBT}\r\n\r\n")])
def test_ok__what_a_page_says_stands_behind_the_doubt(tmp_path: Path, is_trusted: bool, said: str) -> None:
    """And no more of it than one value may have (PS3.5 6.2, Long Text)."""
    frame = gray_frame()
    for text in ("T-score\n-2.1", "Müller " * 2000):
        origins = replace(origins_of(EXAM, SERIAL), is_clock_trusted=is_trusted, printed_text=text)
        composed = compose_still(origins, pixel_form_from(frame), len(frame.data))
        (tmp_path / "page.dcm").write_bytes(composed.header + frame.data + composed.trailer)
        comments = str(dcmread(tmp_path / "page.dcm").ImageComments)
        assert comments == (said + text.replace("\n", "\r\n"))[:10240].rstrip()
    assert "Error" not in run("dciodvfy", "-new", tmp_path / "page.dcm").stderr


@pytest.mark.parametrize("is_trusted", [True, False])
def test_ok__the_performed_step_says_so_too(is_trusted: bool) -> None:
    exam = replace(EXAM, is_clock_trusted=is_trusted)
    creation = creation_from(exam, exam.step_of("US"), BOX)
    assert creation.get("CommentsOnThePerformedProcedureStep") == (None if is_trusted else IN_DOUBT)
