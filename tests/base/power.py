"""A plug that can be pulled between any two system calls, and a record of the calls in their order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_CALLS = ("open", "write", "pwrite", "ftruncate", "fsync", "fdatasync", "rename", "link", "unlink", "mkdir", "chmod")


class PowerCut(BaseException):
    """Nothing of the process runs after it: every further call raises it too, so no `finally` can tidy up."""


class Power:
    """Counts and names the system calls that change a file or make one durable; cuts before the n-th."""

    def __init__(self, cut_before: int | None = None) -> None:
        self.calls: list[tuple[str, str]] = []
        self._cut_before = cut_before
        self._names: dict[int, str] = {}
        self._open: list[int] = []

    @property
    def is_cut(self) -> bool:
        return self._cut_before is not None and len(self.calls) > self._cut_before

    def wrap(self, call: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(first: Any, *rest: Any, **options: Any) -> Any:
            name = self._names.get(first, "?") if isinstance(first, int) else Path(first).name
            if call in ("rename", "link"):
                name = f"{name} -> {Path(rest[0]).name}"
            if self.is_cut:
                raise PowerCut
            self.calls.append((call, name))
            if self.is_cut:
                raise PowerCut
            result = function(first, *rest, **options)
            if call == "open":
                self._names[result] = name
                self._open.append(result)
            return result

        return wrapped

    def close(self, function: Callable[[int], None], descriptor: int) -> None:
        if descriptor in self._open:
            self._open.remove(descriptor)
            function(descriptor)

    def order(self) -> list[str]:
        """The calls as `fsync exam.json`; opening is no change."""
        return [f"{call} {name}" for call, name in self.calls if call != "open"]


@contextmanager
def powered(monkeypatch: pytest.MonkeyPatch, cut_before: int | None = None) -> Iterator[Power]:
    """Record what the block does; with `cut_before` it ends in a PowerCut, which is taken as the end of the block."""
    power = Power(cut_before)
    close = os.close
    with monkeypatch.context() as patch:
        for call in _CALLS:
            patch.setattr(os, call, power.wrap(call, getattr(os, call)))
        patch.setattr(os, "close", lambda descriptor: power.close(close, descriptor))
        try:
            yield power
        except PowerCut:
            assert cut_before is not None
    for descriptor in list(power._open):
        close(descriptor)


def cuts(monkeypatch: pytest.MonkeyPatch, prepare: Callable[[], Callable[[], object]]) -> Iterator[int]:
    """Run what `prepare` gives once for each of its calls, cut before that call; yields the number of each cut.

    The last run is not cut: the caller sees every state, the finished one too.
    """
    for number in range(1000):
        act = prepare()
        with powered(monkeypatch, cut_before=number) as power:
            act()
        yield number
        if not power.is_cut:
            return
    raise AssertionError("it never ended")
