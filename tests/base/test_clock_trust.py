"""When the clock is believed: the decision by tables and by histories, its readers on files and on this kernel."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.base.clock_trust import (
    STEP_SECONDS,
    Anchor,
    ClockReading,
    ClockRecord,
    ClockTrust,
    Doubt,
    Source,
    anchor_from,
    doubt_from,
    is_right,
    is_set_by_hardware,
    is_synchronized,
    offset_now,
)

BOOT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
OFFSET = BOOT.timestamp()
NETWORK, HARDWARE, PERSON = (Anchor(source, OFFSET) for source in Source)
LATER, EARLIER = BOOT + timedelta(days=1), BOOT - timedelta(days=1)
HOUR = 3600.0


def _reading(step: float = 0.0, *, ntp: bool = False, rtc: bool = False) -> ClockReading:
    """One minute after the boot, on a clock that was put by `step` seconds."""
    return ClockReading(BOOT + timedelta(seconds=60 + step), OFFSET + step, ntp, rtc)


def _seen(anchor: Anchor | None, offset: float = OFFSET) -> ClockRecord:
    return ClockRecord("this boot", offset, anchor)


@pytest.mark.parametrize(
    ("reading", "before", "newest", "anchor", "doubt"),
    [
        # the first look of a boot
        (_reading(), None, None, None, Doubt.NEVER_SET),
        (_reading(), None, EARLIER, None, Doubt.NEVER_SET),
        (_reading(), None, LATER, None, Doubt.BEHIND),
        (_reading(rtc=True), None, None, HARDWARE, None),
        (_reading(rtc=True), None, EARLIER, HARDWARE, None),
        (_reading(rtc=True), None, LATER, None, Doubt.BEHIND),  # its battery is empty
        (_reading(rtc=True), None, BOOT + timedelta(seconds=110), HARDWARE, None),  # it lost some seconds
        (_reading(ntp=True), None, LATER, NETWORK, None),  # an exam was opened once on a clock that ran ahead
        (_reading(ntp=True, rtc=True), None, None, NETWORK, None),
        # later in the boot
        (_reading(), _seen(None), None, None, Doubt.NEVER_SET),
        (_reading(rtc=True), _seen(None), None, None, Doubt.NEVER_SET),  # it says nothing of who set it meanwhile
        (_reading(), _seen(HARDWARE), LATER, HARDWARE, None),
        (_reading(), _seen(PERSON), LATER, PERSON, None),
        (_reading(), _seen(NETWORK), None, NETWORK, None),  # the time server went away: it was right, and is
        (_reading(ntp=True), _seen(HARDWARE), None, NETWORK, None),
        (_reading(ntp=True), _seen(None), None, NETWORK, None),
        # somebody set it
        (_reading(HOUR), _seen(HARDWARE), None, HARDWARE, Doubt.CHANGED),
        (_reading(-HOUR), _seen(NETWORK), None, NETWORK, Doubt.CHANGED),
        (_reading(-HOUR), _seen(PERSON), LATER, PERSON, Doubt.CHANGED),
        (_reading(HOUR), _seen(None), None, None, Doubt.NEVER_SET),
        (_reading(HOUR, ntp=True), _seen(HARDWARE), None, Anchor(Source.NETWORK, OFFSET + HOUR), None),
        (_reading(HOUR, ntp=True), _seen(NETWORK), None, Anchor(Source.NETWORK, OFFSET + HOUR), None),
        # what a leap second and a time server's smaller corrections do is no step
        (_reading(1.0), _seen(HARDWARE), None, HARDWARE, None),
        (_reading(1.0, ntp=True), _seen(NETWORK), None, NETWORK, None),
        (_reading(STEP_SECONDS, ntp=True), _seen(NETWORK), None, Anchor(Source.NETWORK, OFFSET + STEP_SECONDS), None),
    ],
)
def test_ok__the_table_of_decisions(
    reading: ClockReading,
    before: ClockRecord | None,
    newest: datetime | None,
    anchor: Anchor | None,
    doubt: Doubt | None,
) -> None:
    assert anchor_from(reading, before, newest) == anchor
    assert doubt_from(reading, anchor, newest) is doubt


_STEPS = st.lists(st.tuples(st.sampled_from([0.0, 0.5, -0.5, HOUR, -HOUR, 86_400.0]), st.booleans()), max_size=30)


@given(st.booleans(), _STEPS)
def test_ok__in_every_history_the_clock_is_believed_only_while_it_is_as_it_was_when_somebody_vouched(
    rtc: bool, steps: list[tuple[float, bool]]
) -> None:
    """Said once more in other words: the true error of the clock is known here, and small whenever it is believed."""
    error = 0.0 if rtc else 1e6  # seconds by which the clock is wrong
    offset, record = OFFSET, None
    for step, ntp in [(0.0, False), *steps]:
        offset, error = offset + step, error + step
        if ntp:  # whoever keeps the clock has put it right
            offset, error = offset - error, 0.0
        reading = ClockReading(BOOT, offset, ntp, rtc)
        anchor = anchor_from(reading, record, None)
        record = ClockRecord("this boot", offset, anchor)
        is_believed = doubt_from(reading, anchor, None) is None
        assert not is_believed or abs(error) <= 2.0 + 2 * STEP_SECONDS
        assert is_believed or not ntp


def test_ok__every_process_reads_what_the_console_wrote(tmp_path: Path) -> None:
    offsets = [OFFSET]
    trust = ClockTrust(tmp_path, lambda: offsets[-1], "this boot")
    assert not trust.is_trusted()  # nobody has judged it yet
    trust.write(OFFSET, None)
    assert not trust.is_trusted()
    trust.write(OFFSET, HARDWARE)
    assert trust.read() == _seen(HARDWARE)
    assert trust.is_trusted()
    offsets.append(OFFSET - HOUR)
    assert not trust.is_trusted()
    trust.take_word()
    assert trust.read() == _seen(Anchor(Source.PERSON, OFFSET - HOUR), OFFSET - HOUR)
    assert trust.is_trusted()
    assert not ClockTrust(tmp_path, lambda: OFFSET - HOUR, "the next boot").is_trusted()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"boot_id": "this boot"}', b'{"boot_id": 1, "offset": "x"}'])
def test_fail__a_damaged_record_is_no_reason_to_believe(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "clock.json").write_bytes(content)
    trust = ClockTrust(tmp_path, lambda: OFFSET, "this boot")
    assert trust.read() is None
    assert not trust.is_trusted()


def test_fail__a_record_that_the_medium_does_not_give_is_none(tmp_path: Path) -> None:
    (tmp_path / "clock.json").mkdir()
    assert not ClockTrust(tmp_path, lambda: OFFSET, "this boot").is_trusted()


def test_ok__this_kernels_clocks(tmp_path: Path) -> None:
    """The real readers: the difference of the clocks stands still, and the boot has a name."""
    assert abs(offset_now() - offset_now()) < STEP_SECONDS
    trust = ClockTrust(tmp_path)
    trust.take_word()
    assert ClockTrust(tmp_path).is_trusted()
    assert is_right(Anchor(Source.PERSON, offset_now()), offset_now())


def test_ok__the_kernel_is_asked_as_systemd_asks_it() -> None:
    """adjtimex(8) and chronyc are not on every machine; Python's own reader of the structure is none. Perl's is."""
    # struct timex of 64-bit Linux: modes, pad, offset, freq, maxerror; the numbers are those of the system call.
    number = {"x86_64": 159, "aarch64": 171}[platform.machine()]
    script = f'my $t = "\\0" x 512; syscall({number}, $t); print((unpack("I x4 q3", $t))[3] < 16000000 ? 1 : 0);'
    said = subprocess.run(["perl", "-e", script], capture_output=True, text=True, timeout=20, check=True).stdout
    assert is_synchronized() is (said == "1")


def test_ok__the_hardware_clock_that_set_the_time_says_so(tmp_path: Path) -> None:
    assert not is_set_by_hardware(tmp_path / "none")
    for name, text in (("rtc0", "0\n"), ("rtc1", "1\n")):
        assert not is_set_by_hardware(tmp_path)
        (tmp_path / name).mkdir()
        (tmp_path / name / "hctosys").write_text(text)
    assert is_set_by_hardware(tmp_path)
