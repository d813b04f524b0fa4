"""A frame grabber under its real unit, from udev's name to objects: each of the kernel's test grabber's faults is told
of in words, nothing black or old is stored silently, and the picture comes back without anybody's restart.

One machine for all of it, since that it goes on after each fault is what is proven.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.vm.box import Box, RefusedError
from tests.vm.frozen import Frozen, thawed
from tests.vm.grabber import SECONDS, UNIT, Grabber, wait_for
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
WEBCAM = CONFIGURATION.format(input="Webcam 000-0", size="size = [320, 180]")
S_VIDEO = CONFIGURATION.format(input="S-Video 000-0", size="")
# The numbers of vivid's menus.
_OSD_ALL, _OSD_NONE = 0, 2
_BARS, _BLACK = 0, 7
_SIGNAL, _NO_SIGNAL = 0, 1


class Scope(Grabber):
    """On vivid."""

    def __init__(self, box: Box) -> None:
        super().__init__(box)
        box.configure(WEBCAM, RULE)
        self.vivid = Vivid(box.guest)
        self.wait_up()

    def plug_into(self, configuration: str) -> None:
        """Another of vivid's inputs, as a site would configure it."""
        self.box.configure(configuration, RULE)
        self.box.shell.run(f"systemctl restart {UNIT}", SECONDS)
        self.wait_up()


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
    scope.start_clip()
    assert scope.stop_clip() in scope.objects()
    assert len(scope.objects()) == 2


def test_fail__a_black_picture_is_told_of_and_not_stored(scope: Scope) -> None:
    scope.vivid.set({"Test Pattern": _BLACK, "OSD Text Mode": _OSD_NONE})
    assert scope.wait_finding("black_picture") == "The scope's picture is black."
    assert "black" in scope.refused_still()
    with pytest.raises(RefusedError, match="black"):
        scope.start_clip()
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
    ("fault", "sentence"),
    [
        ("Inject Fatal Streaming Error", "The scope's grabber stopped."),
        ("Inject VIDIOC_STREAMON Error", "The scope's grabber does not start (EINVAL)."),
        ("Inject VIDIOC_REQBUFS Error", "The scope's grabber gives no buffers (EINVAL)."),
    ],
)
def test_fail__an_error_of_the_driver_passes(scope: Scope, fault: str, sentence: str) -> None:
    told = scope.count_told(sentence)
    # What goes wrong at a start does so at the next one, which the fatal error brings about.
    scope.vivid.set({fault: 1, "Inject Fatal Streaming Error": 1})
    wait_for(lambda: scope.count_told(sentence) > told, sentence)
    scope.wait_no_finding("no_signal")
    scope.wait_still()


def test_fail__unplugged_in_a_clip(scope: Scope) -> None:
    scope.wait_state("idle")
    before = scope.objects()
    scope.start_clip()
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
