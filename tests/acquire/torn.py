"""A clip's file as a pulled plug leaves it, written by the recorder itself."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from appliance.acquire.clip import ClipRecorder
from appliance.devices.frame import Frame
from tests.acquire.conftest import Room
from tests.acquire.world import make_grabber, open_exam_of


def leave_torn(frames: Iterable[Frame]) -> tuple[str, bytes]:
    """Name and bytes of a clip whose end was never written: where its patching fails, its file stays for a salvage."""
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        room = Room(Path(directory))
        open_exam_of(room.facts)

        def fail(*_: object) -> None:
            raise RuntimeError

        patch.setattr(ClipRecorder, "_patch", fail)
        device = make_grabber()
        clip = ClipRecorder(room.keeper(device), device, room.gate, room.gate.admit(), lambda _clip: None)
        clip.start()
        for frame in frames:
            clip.offer(frame)
        clip.end()
        assert clip._ended.wait(60)
        (path,) = room.temporaries()
        return path.name, path.read_bytes()
