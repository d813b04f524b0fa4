"""One film from a digitizer: the header first, then 16-bit rows in bounded pieces, judged by the bytes that came.

scanimage answers 0 for a scan that stopped in the middle and for a resolution that it changed on its own (tried with
1.1.1), so its exit status proves nothing: what counts is a header that is what was asked for, exactly as many bytes as
it promises, and then status 0 as well.
"""

from __future__ import annotations

import array
import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from appliance.base.clock import Clock, Deadline
from appliance.devices.errors import (
    BadTransfer,
    DeviceBusy,
    DeviceError,
    DeviceGone,
    DeviceNotReady,
    DeviceTimeout,
    NoFilm,
    ScanCancelled,
)
from appliance.devices.film.child import ScanChild
from appliance.devices.film.options import FilmOptions
from appliance.devices.film.pnm import PnmHeader, pnm_header_from

CHUNK_BYTES = 1024 * 1024
_SLICE = 0.2
_EXIT_SECONDS = 10.0
# Geometry is rounded to the digitizer's steps, which are a few pixels at most.
_SIZE_TOLERANCE = 0.02
_ROUNDED_RESOLUTION = re.compile(r"rounded value of resolution from (\S+) to (\S+)")


@dataclass(frozen=True, slots=True)
class FilmHeader:
    """A film of `width` × `height` pixels of `bits`: 8, or 9 to 16 in two bytes, little-endian."""

    width: int
    height: int
    bits: int
    resolution_dpi: int

    @property
    def data_bytes(self) -> int:
        return self.width * self.height * self.sample_bytes

    @property
    def sample_bytes(self) -> int:
        return 1 if self.bits == 8 else 2


@dataclass(frozen=True, slots=True)
class FilmScan:
    """A scan under way. `chunks` gives the pixels, whole samples, at most 1 MiB at a time, rows from the top.

    Only when `chunks` has come to its end without raising is the film whole.
    """

    header: FilmHeader
    chunks: Iterator[bytes]


@contextlib.contextmanager
def scan_film(
    options: FilmOptions,
    clock: Clock,
    *,
    cancel: threading.Event | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Iterator[FilmScan]:
    """Scan one film; the digitizer is let go when the block is left, in whatever way.

        with scan_film(options, clock, cancel=stop) as film:
            begin_object(film.header)
            for chunk in film.chunks:
                write(chunk)

    `on_progress` hears the part that has arrived, 0.0 to 1.0. Entering raises, and so does every step of `chunks`:
    DeviceGone (no such digitizer), DeviceBusy, DeviceNotReady (cover, jam, no film), DeviceTimeout (stood still or took
    too long; it has been killed), BadTransfer (broke off, or scanned something else than was asked for), ScanCancelled.
    """
    child = ScanChild(options.argv(), options.environment(), clock, options.name)
    try:
        yield FilmRun(child, options, clock, cancel).scan(on_progress)
    finally:
        child.close(gently=True)


class FilmRun:
    """The scan of one film by a child: its deadlines, and what its end means."""

    def __init__(self, child: ScanChild, options: FilmOptions, clock: Clock, cancel: threading.Event | None) -> None:
        self._child = child
        self._options = options
        self._clock = clock
        self._cancel = cancel
        self._total = Deadline.after(clock, options.total)

    def scan(self, on_progress: Callable[[float], None] | None) -> FilmScan:
        """The film, as soon as its header is there."""
        header, rest = self._read_header()
        film = FilmHeader(header.width, header.height, self._options.depth, self._options.resolution_dpi)
        return FilmScan(film, self._read_chunks(film, rest, on_progress))

    def _read_header(self) -> tuple[PnmHeader, bytes]:
        """The header that was asked for, and what came behind it."""
        data = bytearray()
        header = None
        while header is None:
            piece = self._read_within(self._options.stall if data else self._options.warm_up)
            if piece is None:
                raise self._end_without_film(0, None)
            data += piece
            header = pnm_header_from(data)
        self._check_header(header)
        return header, bytes(data[header.size :])

    def _read_chunks(
        self, film: FilmHeader, first: bytes, on_progress: Callable[[float], None] | None
    ) -> Iterator[bytes]:
        """The pixels, little-endian; at the end, that there were as many as promised and no more."""
        promised, received = film.data_bytes, 0
        pending = bytearray(first)
        sample = film.sample_bytes
        while True:
            received_now = received + len(pending)
            if received_now > promised:
                raise BadTransfer(f"The {self._options.name} sent more than its image.")
            whole = len(pending) - len(pending) % sample
            if whole and (whole >= CHUNK_BYTES // 2 or received_now == promised):
                for start in range(0, whole, CHUNK_BYTES):
                    yield self._samples_from(bytes(pending[start : min(whole, start + CHUNK_BYTES)]))
                del pending[:whole]
                received += whole
                if on_progress is not None:
                    on_progress(received / promised)
            piece = self._read_within(self._options.stall)
            if piece is None:
                break
            pending += piece
        received += len(pending)
        if received < promised:
            raise self._end_without_film(received, promised)
        if not self.has_ended_well(self._total.sooner(_EXIT_SECONDS)):
            raise self._end_without_film(received, promised)

    def has_ended_well(self, deadline: Deadline) -> bool:
        """Whether the child says that what came is all."""
        return self._child.wait(deadline) == 0

    def _samples_from(self, data: bytes) -> bytes:
        """Big-endian samples of two bytes turned round, single bytes as they are; none has more bits than was asked."""
        depth = self._options.depth
        if depth == 8:
            return data
        samples = array.array("H", data)
        # array works in the machine's own order, and bytes are swapped whatever that is.
        samples.byteswap()
        if depth < 16 and max(samples) >> depth:
            raise BadTransfer(
                f"The {self._options.name} gives samples of more than the {depth} bits that it was asked for.",
                "Set the depth that it has in the configuration; 16 where it spreads its samples over two bytes.",
            )
        return samples.tobytes()

    def _read_within(self, seconds: float) -> bytes | None:
        """The next bytes; None at their end. Raises what ends a scan early.

        The time that the reader itself was away, writing, is not counted against the digitizer.
        """
        stall = Deadline.after(self._clock, seconds)
        while True:
            if self._cancel is not None and self._cancel.is_set():
                raise ScanCancelled(f"The scan on the {self._options.name} was stopped.")
            if self._total.is_over():
                raise self._timeout(f"was not ready after {self._options.total:g} s")
            is_last_look = stall.is_over()
            piece = self._child.read(min(_SLICE, stall.remaining()))
            if piece is None or piece:
                return piece
            if is_last_look:
                raise self._timeout(f"stood still for {seconds:g} s")

    def _timeout(self, what: str) -> DeviceTimeout:
        return DeviceTimeout(
            f"The {self._options.name} {what}; the scan was stopped.",
            "Check the film's path, switch the digitizer off and on, and scan again.",
        )

    def _check_header(self, header: PnmHeader) -> None:
        """Refuse what was not asked for: nothing else in the stream tells the resolution."""
        options = self._options
        rounded = _ROUNDED_RESOLUTION.search(self._child.remarks)
        if rounded is not None:
            raise BadTransfer(
                f"The {options.name} cannot scan at {options.resolution_dpi} dpi; it would take {rounded[2]} dpi.",
                "Set a resolution that it has in the configuration.",
            )
        wanted_width, wanted_height = options.expected_size()
        for wanted, given in ((wanted_width, header.width), (wanted_height, header.height)):
            if abs(given - wanted) > max(8.0, wanted * _SIZE_TOLERANCE):
                raise BadTransfer(
                    f"The {options.name} scans {header.width} × {header.height} pixels where "
                    f"{wanted_width:.0f} × {wanted_height:.0f} were asked for.",
                    "Check the film's size and the resolution in the configuration.",
                )
        if header.bits != 8 * options.sample_bytes:
            raise BadTransfer(
                f"The {options.name} scans {header.bits} bits a pixel where {options.depth} were asked for.",
                "Check the depth in the configuration.",
            )
        if header.data_bytes > options.max_bytes:
            raise BadTransfer(
                f"The film would have {header.data_bytes:,} bytes; at most {options.max_bytes:,} are accepted.",
                "Set a lower resolution, or raise the limit in the configuration.",
            )

    def _end_without_film(self, received: int, promised: int | None) -> DeviceError:
        """What the child's early end means: its status is a SANE_Status (SANE standard 4.2.7) where it got that far."""
        name = self._options.name
        match self._child.wait(self._total.sooner(_EXIT_SECONDS)):
            case 3:
                return DeviceBusy(f"The {name} is used by another program.", "Stop that program, then scan again.")
            case 6:
                return DeviceNotReady(f"The film is jammed in the {name}.", "Take the film out and scan again.")
            case 7:
                return NoFilm(f"There is no film in the {name}.", "Put the film in and scan again.")
            case 8:
                return DeviceNotReady(f"The {name}'s cover is open.", "Close it and scan again.")
            case 9:
                return BadTransfer(f"The {name} reported an error of its own.", "Scan the film again.")
            case 1 if "open of device" in self._child.remarks or "no SANE devices" in self._child.remarks:
                return DeviceGone(f"The {name} is not there.", "Check that it is switched on and its cable plugged in.")
            case 1 if promised is None:
                return DeviceError(
                    f"The {name} refuses the scan's settings.", "Check mode, size and resolution in the configuration."
                )
        if promised is None:
            return BadTransfer(f"The {name} ended the scan before it began.", "Scan the film again.")
        if received == promised:
            return BadTransfer(f"The {name} did not end its scan properly.", "Scan the film again.")
        return BadTransfer(
            f"The {name} broke off its scan after {received:,} of {promised:,} bytes.", "Scan the film again."
        )
