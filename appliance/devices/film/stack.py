"""A stack of films through a digitizer's feeder: scanimage's batch, each film fed only when it is wanted.

In a batch scanimage writes each film to a file, `film1.part`, that it renames to `film1` when it is whole. Here the
files are pipes, so that a film is nowhere but on its way, and scanimage waits before each (`--batch-prompt`), so that
nothing is fed before the film in front of it is safe. One run of the program for the whole stack: many feeders begin
anew, or give a film back, when their device is closed.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from appliance.base.clock import Clock, Deadline
from appliance.devices.errors import NoFilm
from appliance.devices.film.child import ScanChild
from appliance.devices.film.options import FilmOptions
from appliance.devices.film.scan import FilmRun, FilmScan

_SLICE_SECONDS = 0.02


class FilmStack:
    """The films that lie in the feeder. `next_film` gives one after the other; the one before must have been read."""

    def __init__(
        self,
        child: ScanChild,
        directory: Path,
        options: FilmOptions,
        clock: Clock,
        most_films: int,
        cancel: threading.Event | None,
    ) -> None:
        self._child, self._directory, self._options = child, directory, options
        self._clock, self._most_films, self._cancel = clock, most_films, cancel
        self._number = 0
        self._pipe: int | None = None

    def next_film(self, on_progress: Callable[[float], None] | None = None) -> FilmScan | None:
        """Feed a film; None when there is no more. Raises as `scan_film`: NoFilm when there is none at all."""
        self.close()
        if self._number >= self._most_films:
            return None
        self._number += 1
        whole = self._directory / f"film{self._number}"
        pipe = whole.with_name(f"{whole.name}.part")
        os.mkfifo(pipe, 0o600)
        self._pipe = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._child.read_from(self._pipe)
        self._child.prompt()
        try:
            return _StackRun(self._child, self._options, self._clock, self._cancel, whole).scan(on_progress)
        except NoFilm:
            if self._number == 1:
                raise
            return None

    def close(self) -> None:
        """Forget the film that was read."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            self._child.read_from(None)
            os.close(pipe)


@contextlib.contextmanager
def open_stack(
    options: FilmOptions, clock: Clock, most_films: int, *, cancel: threading.Event | None = None
) -> Iterator[FilmStack]:
    """A stack of at most `most_films`; the digitizer is let go when the block is left, in whatever way. DeviceGone."""
    with tempfile.TemporaryDirectory(prefix="films-") as directory:
        batch = (f"--batch={directory}/film%d", f"--batch-count={most_films}", "--batch-prompt")
        child = ScanChild((*options.argv(), *batch), options.environment(), clock, options.name, is_prompted=True)
        stack = FilmStack(child, Path(directory), options, clock, most_films, cancel)
        try:
            yield stack
        finally:
            stack.close()
            child.close(gently=True)


class _StackRun(FilmRun):
    """A film of a stack: the program goes on after it, so that its exit says nothing of this film."""

    def __init__(
        self, child: ScanChild, options: FilmOptions, clock: Clock, cancel: threading.Event | None, whole: Path
    ) -> None:
        super().__init__(child, options, clock, cancel)
        self._whole = whole

    def has_ended_well(self, deadline: Deadline) -> bool:
        """Whether the pipe has got its final name, as what is whole does."""
        while not self._whole.exists():
            has_ended = self._child.wait(deadline.sooner(_SLICE_SECONDS)) is not None
            if (has_ended or deadline.is_over()) and not self._whole.exists():
                return False
        return True
