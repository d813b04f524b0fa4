"""A frame grabber under its real unit, from udev's name to objects: each of the kernel's test grabber's faults is told
of in words, nothing black or old is stored silently, and the picture comes back without anybody's restart.

One machine for all of it, since that it goes on after each fault is what is proven.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.vm.box import STATE, Box, RefusedError
from tests.vm.frozen import Frozen, thawed
from tests.vm.vivid import RULE, Vivid

# Slow and small: an emulated machine keeps up with it.
CONFIGURATION = """
[box]
name = "bridge"
reserve_bytes = 1000000
[[devices]]
name = "scope"
driver = "grabber"
title = "Scope"
modality = "ES"
source = "/dev/appliance/scope"
input = "{input}"
formats = ["YUYV"]
frames_per_second = 5.0
frame_seconds = 10.0
frozen_seconds = 5.0
{size}
"""
UNIT = "appliance-acquire@scope.service"
WEBCAM = CONFIGURATION.format(input="Webcam 000-0", size="size = [320, 180]")
S_VIDEO = CONFIGURATION.format(input="S-Video 000-0", size="")
SECONDS = 600.0
# The numbers of vivid's menus.
_OSD_ALL, _OSD_NONE = 0, 2
_BARS, _BLACK = 0, 7
_SIGNAL, _NO_SIGNAL = 0, 1


class Scope:
    """The grabber's acquire process in the box."""

    def __init__(self, box: Box) -> None:
        self.box = box
        box.configure(WEBCAM, RULE)
        self.vivid = Vivid(box.guest)
        box.wait_active(UNIT)
        self.pid = self._pid()

    def _pid(self) -> str:
        return self.box.shell.run(f"systemctl show --property MainPID --value {UNIT}").strip()

    def plug_into(self, configuration: str) -> None:
        """Another of vivid's inputs, as a site would configure it."""
        self.box.configure(configuration, RULE)
        self.box.shell.run(f"systemctl restart {UNIT}", SECONDS)
        self.box.wait_active(UNIT)
        self.pid = self._pid()

    def status(self) -> dict[str, Any]:
        return self.box.ask("acquire-scope", "GET", "/status")

    def findings(self) -> dict[str, str]:
        """Code → sentence."""
        return {finding["code"]: finding["sentence"] for finding in self.status()["findings"]}

    def wait_finding(self, code: str) -> str:
        """Its sentence, once it is there."""
        return str(_wait(lambda: self.findings().get(code), f"a finding {code}"))

    def wait_state(self, *states: str) -> str:
        """What the device says of itself, once it is in one of `states`."""

        def sentence() -> str | None:
            status = self.status()
            return str(status["sentence"]) if status["state"] in states else None

        return str(_wait(sentence, f"{states}"))

    def wait_no_finding(self, *codes: str) -> None:
        _wait(lambda: not set(codes) & set(self.findings()), f"none of {codes}")

    def still(self) -> dict[str, Any]:
        return self.box.ask("acquire-scope", "POST", "/still", {})

    def wait_still(self) -> None:
        """The picture is there again by itself, in the same process: a still of it is stored."""
        self.wait_state("idle")
        before = len(self.objects())
        self.still()
        assert len(self.objects()) == before + 1
        assert self._pid() == self.pid

    def refused_still(self) -> str:
        """The sentence with which a still is refused; nothing is stored of it."""
        before = self.objects()
        with pytest.raises(RefusedError) as refused:
            self.still()
        assert self.objects() == before
        return str(refused.value)

    def objects(self) -> set[str]:
        """What was captured; nobody has chosen a patient."""
        found = self.box.shell.try_run(f"ls {STATE}/captured/scope/unassigned")
        return {name for name in found.output.split() if name.endswith(".dcm")} if found.status == 0 else set()


def _wait(ask: Any, what: str) -> Any:
    end = time.monotonic() + SECONDS
    while True:
        found = ask()
        if found:
            return found
        assert time.monotonic() < end, f"not within {SECONDS:g} s: {what}"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def scope(frozen: Frozen) -> Iterator[Scope]:
    with thawed(frozen) as guest:
        yield Scope(Box(guest))


@pytest.fixture(autouse=True)
def journal(scope: Scope) -> Iterator[None]:
    """No fault is a programmer's."""
    yield
    assert "Traceback" not in scope.box.journal()


def test_ok__udev_names_it_and_its_pictures_are_stored(scope: Scope) -> None:
    assert scope.wait_state("idle") == "Live picture."
    scope.wait_still()
    scope.box.ask("acquire-scope", "POST", "/clip/start", {})
    clip = _wait(lambda: (scope.status()["progress"] or {}).get("done", 0) >= 2, "two seconds of a clip")
    assert clip
    clip = scope.box.ask("acquire-scope", "POST", "/clip/stop", {})
    assert clip["frames"] > 1
    assert len(scope.objects()) == 2


def test_fail__a_black_picture_is_told_of_and_not_stored(scope: Scope) -> None:
    scope.vivid.set({"Test Pattern": _BLACK, "OSD Text Mode": _OSD_NONE})
    assert scope.wait_finding("black_picture") == "The scope's picture is black."
    assert "black" in scope.refused_still()
    with pytest.raises(RefusedError, match="black"):
        scope.box.ask("acquire-scope", "POST", "/clip/start", {})
    scope.vivid.set({"Test Pattern": _BARS, "OSD Text Mode": _OSD_ALL})
    scope.wait_no_finding("black_picture")
    scope.wait_still()


def test_fail__a_picture_that_stands_still_is_told_of(scope: Scope) -> None:
    scope.vivid.set({"OSD Text Mode": _OSD_NONE})
    assert "has not changed at all" in scope.wait_finding("frozen_picture")
    scope.vivid.set({"OSD Text Mode": _OSD_ALL})
    scope.wait_no_finding("frozen_picture")
    scope.wait_still()


def test_fail__without_a_frame_the_last_one_is_not_taken(scope: Scope) -> None:
    """The grabber streams and gives nothing: what it gave before is old."""
    scope.vivid.set({"Percentage of Dropped Buffers": 100})
    assert "No picture comes from the scope" in scope.refused_still()
    scope.wait_finding("no_signal")
    scope.vivid.set({"Percentage of Dropped Buffers": 0})
    scope.wait_no_finding("no_signal")
    scope.wait_still()


def test_fail__lost_frames_are_counted(scope: Scope) -> None:
    scope.vivid.set({"Percentage of Dropped Buffers": 40})
    assert "got lost on the way" in scope.wait_finding("lost_frames")
    scope.vivid.set({"Percentage of Dropped Buffers": 0})
    scope.wait_still()


@pytest.mark.parametrize(
    "fault", ["Inject Fatal Streaming Error", "Inject VIDIOC_STREAMON Error", "Inject VIDIOC_REQBUFS Error"]
)
def test_fail__an_error_of_the_driver_passes(scope: Scope, fault: str) -> None:
    # What goes wrong at a start does so at the next one, which the fatal error brings about.
    scope.vivid.set({fault: 1, "Inject Fatal Streaming Error": 1})
    scope.wait_finding("no_signal")
    scope.wait_no_finding("no_signal")
    scope.wait_still()


def test_fail__unplugged_in_a_clip(scope: Scope) -> None:
    scope.wait_state("idle")
    before = scope.objects()
    scope.box.ask("acquire-scope", "POST", "/clip/start", {})
    _wait(lambda: (scope.status()["progress"] or {}).get("done", 0) >= 2, "two seconds of a clip")
    scope.vivid.set({"Disconnect": 1})
    assert scope.wait_finding("clip_ended") == "The picture was lost; the clip ended there."
    assert len(scope.objects() - before) == 1
    scope.wait_still()


def test_fail__the_signal_goes_and_comes_on_s_video(scope: Scope) -> None:
    """Interlaced, PAL as the grabber found it."""
    scope.plug_into(S_VIDEO)
    scope.wait_still()
    scope.vivid.set({"Standard Signal Mode": _NO_SIGNAL})
    assert scope.wait_finding("no_signal")
    assert scope.refused_still()
    scope.vivid.set({"Standard Signal Mode": _SIGNAL})
    scope.wait_no_finding("no_signal")
    scope.wait_still()
