"""What is left of the flash, in what a person thinks in: exams, minutes of clip, films."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.base.errors import counted
from appliance.config.devices import Device, FilmDevice, GrabberDevice
from appliance.config.schema import Configuration
from appliance.exam.facts import DamagedFactError, ExamFacts
from appliance.spool.room import floor_bytes_from
from appliance.spool.tree import Spool

RECENT_EXAMS = 20
_FILM_BYTES_PER_PIXEL = 2
_MM_PER_INCH = 25.4


@dataclass(frozen=True, slots=True)
class Recent:
    """What the last exams took: bytes of the mean one, None before the first; bytes a second of each device's clips."""

    exam_bytes: float | None = None
    clip_rates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Capacity:
    """How much may still be captured; `is_full`: nothing, not even one still.

    `usable_bytes` are what captures may take before that, none where the flash takes nothing (not `is_writable`).
    `exams` is None while nobody knows how large one is; `clip_minutes` and `films` are by the devices' titles.
    """

    free_bytes: int
    usable_bytes: int
    is_full: bool
    exams: int | None
    clip_minutes: dict[str, int]
    films: dict[str, int]
    is_writable: bool = True

    @property
    def sentence(self) -> str:
        """For people: `Room for about 340 exams, or 95 minutes of clip (Endoscope); 38.2 GB are free.`"""
        free = f"{self.free_bytes / 1e9:.1f} GB are free."
        if not self.is_writable:
            return f"The flash takes nothing any more: nothing can be captured. {free}"
        if self.is_full:
            return f"The flash is full: nothing can be captured. {free}"
        kinds = [] if self.exams is None else [counted(self.exams, "exam")]
        kinds += [f"{counted(count, 'minute')} of clip ({title})" for title, count in self.clip_minutes.items()]
        kinds += [f"{counted(count, 'film')} ({title})" for title, count in self.films.items()]
        return f"Room for about {', or '.join(kinds)}; {free}" if kinds else free


def read_recent(facts: ExamFacts) -> Recent:
    """From the lists of the last RECENT_EXAMS exams that made something. A damaged one is passed over. OSError."""
    sizes: list[int] = []
    clips: dict[str, tuple[int, float]] = {}
    for exam_id in reversed(facts.exam_ids()):
        try:
            closed = facts.closed(exam_id)
        except DamagedFactError:
            continue  # forward and the console tell of it
        if closed is None or not closed.instances:
            continue
        sizes.append(sum(instance.bytes for instance in closed.instances))
        for one in closed.instances:
            if one.seconds > 0:
                size, seconds = clips.get(one.device, (0, 0.0))
                clips[one.device] = (size + one.bytes, seconds + one.seconds)
        if len(sizes) == RECENT_EXAMS:
            break
    rates = {device: size / seconds for device, (size, seconds) in clips.items()}
    return Recent(sum(sizes) / len(sizes) if sizes else None, rates)


def capacity_from(
    configuration: Configuration, free: int, reclaimable: int, recent: Recent, *, is_writable: bool = True
) -> Capacity:
    """`free` bytes of the file system, and `reclaimable` ones of copies that go by themselves where room is needed.

    A clip of a device that has made none yet counts as its configured largest one.
    """
    floor = floor_bytes_from(configuration)
    usable = max(0, free + reclaimable - floor) if is_writable else 0
    return Capacity(
        free_bytes=free,
        usable_bytes=usable,
        is_full=free < floor,
        exams=int(usable / recent.exam_bytes) if recent.exam_bytes else None,
        clip_minutes={
            _title_of(one): int(usable / _clip_rate_of(one, recent) / 60)
            for one in configuration.devices
            if isinstance(one, GrabberDevice)
        },
        films={
            _title_of(one): int(usable / film_bytes_from(one))
            for one in configuration.devices
            if isinstance(one, FilmDevice)
        },
        is_writable=is_writable,
    )


def read_reclaimable(spool: Spool, configuration: Configuration) -> int:
    """Bytes of the copies that are kept though every archive has them, and that go where room is needed.

    None of them where an archive neither commits nor answers C-FIND: those copies stay until a person releases them.
    """
    if not all(one.commitment or one.verify_by_find for one in configuration.destinations):
        return 0
    total = 0
    if not spool.kept.is_dir():
        return total
    # One at a time: the names of ten thousand copies together are more than all else that is remembered of them.
    with os.scandir(spool.kept) as entries:
        for entry in entries:
            try:
                total += entry.stat().st_size
            except FileNotFoundError:  # it has just expired
                continue
    return total


def film_bytes_from(device: FilmDevice) -> int:
    """A film of the configured size at the configured resolution."""
    columns, rows = (round(mm / _MM_PER_INCH * device.resolution_dpi) for mm in (device.width_mm, device.height_mm))
    return columns * rows * _FILM_BYTES_PER_PIXEL


def _clip_rate_of(device: GrabberDevice, recent: Recent) -> float:
    return recent.clip_rates.get(device.name) or device.max_clip_bytes / device.max_clip_seconds


def _title_of(device: Device) -> str:
    return device.title or device.name
