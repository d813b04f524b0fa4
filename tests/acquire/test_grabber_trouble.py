"""What goes wrong with a grabber while a clip is recorded or a still taken, on a node at the level of ioctls.

Each time: words on the panel, nothing black, stale or torn stored without them, and all is well again by itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.pixels import pixel_array

from appliance.acquire.keeping import Saved
from appliance.acquire.runner import State
from appliance.devices.errors import NoSignal
from appliance.devices.video import v4l2_abi as abi
from appliance.devices.video import v4l2_stream
from appliance.devices.video.layout import PixelFormat
from tests.acquire.conftest import Room
from tests.acquire.nodes import SIZE, Node
from tests.acquire.world import errors_of, fragments_of, unpadded
from tests.peers import DEADLINE, wait_until

LENGTH = SIZE[0] * SIZE[1]


def lit(number: int) -> bytes:
    """A picture that no other number up to 100 gives, and that is not black."""
    return bytes((number % 100 + 100,)) * LENGTH


def record(node: Node, seconds: float = 0.1) -> None:
    node.wait_for(State.IDLE)
    node.runner.start_clip(None)
    wait_until(lambda: (node.runner.progress() or {"done": 0})["done"] >= seconds, "some frames")


def ended_clip(node: Node) -> Saved:
    """The clip that ended by itself."""
    wait_until(lambda: bool(node.room.finding("clip_ended")), "the clip ends")
    return node.runner.stop_clip(None)


def frames_of(room: Room, saved: Saved) -> np.ndarray:
    path = room.spool.captured("endoscope", None) / saved.file_name
    assert not errors_of(path)
    found = pixel_array(dcmread(path))
    assert len(found) == saved.frames
    return found


def works_again(node: Node) -> None:
    """A clip and a still, and nobody has done anything at the box."""
    node.wait_for(State.IDLE)
    assert node.room.finding("no_signal") == ""
    record(node)
    assert node.runner.stop_clip(None).frames > 1
    node.runner.take_still(None)


@pytest.fixture
def node(make_node: Callable[..., Node]) -> Node:
    def prepare(node: Node) -> None:
        node.frame = lit

    return make_node(PixelFormat.GREY, prepare, frame_seconds=0.5)


def test_ok__unplugged_in_the_middle_of_a_clip(room: Room, node: Node) -> None:
    record(node)
    node.kernel.unplug()
    saved = ended_clip(node)
    assert room.finding("clip_ended") == "The picture was lost; the clip ended there."
    node.wait_for(State.UNPLUGGED)
    assert room.finding("no_signal") == "The endoscope's video is not there."
    assert (frames_of(room, saved) >= 100).all()
    with pytest.raises(NoSignal):
        node.runner.take_still(None)
    node.kernel.plug_in()
    works_again(node)


def test_ok__a_driver_that_stops_delivering_in_the_middle_of_a_clip(
    room: Room, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(v4l2_stream, "_STALL_SECONDS", 1.0)
    record(node)
    node.is_giving.clear()
    saved = ended_clip(node)
    assert room.finding("clip_ended") == "The picture was lost; the clip ended there."
    assert (frames_of(room, saved) >= 100).all()
    wait_until(lambda: "it is started again" in room.finding("no_signal"), "it is said")
    with pytest.raises(NoSignal, match="nothing was captured"):
        node.runner.take_still(None)
    assert len(room.objects("endoscope", None)) == 1
    wait_until(lambda: node.kernel.opened >= 2, "it is opened anew")
    node.is_giving.set()
    works_again(node)


def test_ok__a_stream_that_breaks_off_in_the_middle_of_a_clip(room: Room, node: Node) -> None:
    record(node)
    node.kernel.is_broken = True
    saved = ended_clip(node)
    assert (frames_of(room, saved) >= 100).all()
    works_again(node)  # it is cleared by the opening alone
    assert node.kernel.opened >= 2


def test_ok__the_signal_goes_in_the_middle_of_a_clip_and_the_driver_goes_on(room: Room, node: Node) -> None:
    """What it gives then (black here, noise or a blue screen elsewhere) is in no object."""
    record(node)
    node.kernel.inputs[0].status = abi.IN_ST_NO_SIGNAL
    node.frame = lambda number: bytes((number % 3,)) * LENGTH
    ended_clip(node)
    assert room.finding("clip_ended").startswith("The picture was lost; the clip ended there.")
    assert room.finding("no_signal") == "The endoscope's grabber receives no signal."
    with pytest.raises(NoSignal, match="nothing was captured"):
        node.runner.take_still(None)
    assert len(room.objects("endoscope", None)) == 1
    node.kernel.inputs[0].status, node.frame = 0, lit
    works_again(node)


@pytest.mark.parametrize("pixels", [PixelFormat.GREY, PixelFormat.MJPEG])
def test_ok__torn_frames_are_in_no_clip(room: Room, make_node: Callable[..., Node], pixels: PixelFormat) -> None:
    def prepare(node: Node) -> None:
        if not pixels.is_jpeg:
            node.frame = lit

    node = make_node(pixels, prepare)
    record(node)
    whole = node.frame
    torn = [whole(at)[: len(whole(at)) // 2] for at in range(40)]
    node.frame = lambda number: torn[number % 40] if number % 3 == 0 else whole(number)
    wait_until(lambda: " damaged frames were left out" in room.finding("bad_frame"), "it is said")
    node.frame = whole
    saved = node.runner.stop_clip(None)
    path = room.spool.captured("endoscope", None) / saved.file_name
    if pixels.is_jpeg:
        kept = {unpadded(one) for one in fragments_of(path)}
        assert kept <= node.given.keys() and not kept & set(torn)
    else:
        frames = frames_of(room, saved).reshape(-1, LENGTH)
        assert (frames == frames[:, :1]).all()  # each of one level alone: nothing of another in it
    wait_until(lambda: not room.finding("bad_frame"), "it is over")
    works_again(node)


@pytest.mark.parametrize(
    ("words", "changes"),
    [("was black", {}), ("stood still", {"frozen_seconds": 0.2})],
)
def test_ok__black_or_frozen_in_the_middle_of_a_clip_is_told_of_at_its_end(
    room: Room, make_node: Callable[..., Node], words: str, changes: dict[str, float]
) -> None:
    """The finding goes away with its reason; the clip's frames stay."""

    def prepare(node: Node) -> None:
        node.frame = lit

    node = make_node(PixelFormat.GREY, prepare, **changes)
    record(node)
    code = "frozen_picture" if changes else "black_picture"
    node.frame = (lambda _: lit(1)) if changes else (lambda number: bytes((number % 3,)) * LENGTH)
    wait_until(lambda: bool(room.finding(code)), "it is said")
    assert node.runner.state is State.RECORDING
    node.frame = lit
    wait_until(lambda: not room.finding(code), "it is over")
    node.runner.stop_clip(None)
    wait_until(lambda: bool(room.finding("clip_ended")), "it is told of")
    assert room.finding("clip_ended") == f"In a part of the clip the picture {words}."
    record(node)
    node.runner.stop_clip(None)
    assert room.finding("clip_ended") == ""


def test_ok__a_stale_frame_is_no_still(room: Room, node: Node) -> None:
    """A driver that hands out what it took before the button was pressed, as with buffers that waited long."""
    node.wait_for(State.IDLE)
    node.kernel.age = 30.0
    node.runner.next_frame(0.0, DEADLINE)
    with pytest.raises(NoSignal, match="nothing was captured"):
        node.runner.take_still(None)
    assert room.objects("endoscope", None) == []
    node.kernel.age = 0.0
    works_again(node)
