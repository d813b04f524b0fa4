"""Crop and masks of a grabber's MJPEG, from the driver's buffers to objects, preview and thumbnails."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.pixels import pixel_array

from appliance.acquire.runner import State
from appliance.devices.errors import NoSignal
from appliance.devices.video.layout import PixelFormat
from tests.acquire.conftest import Room
from tests.acquire.nodes import WHOLE, Node, lit_jpeg
from tests.acquire.world import errors_of, fragments_of, unpadded
from tests.devices.jpeg_coefficients import read_coefficients
from tests.devices.v4l2_fake import FakeMode
from tests.peers import DEADLINE, wait_until


def test_ok__what_is_masked_and_cropped_of_mjpeg_is_in_no_object(room: Room, make_node: Callable[..., Node]) -> None:
    """Nor is it shown; what is kept has the coefficients that came."""

    def prepare(node: Node) -> None:
        node.kernel.modes = [FakeMode(PixelFormat.MJPEG, {WHOLE: (30,)})]
        node.frame = lambda number: lit_jpeg(number % 40)

    node = make_node(PixelFormat.MJPEG, prepare, crop=(16, 0, 32, 48), masks=((0, 0, 64, 16),))
    node.wait_for(State.IDLE)
    node.runner.start_clip(None)
    wait_until(lambda: (node.runner.progress() or {"done": 0})["done"] >= 0.1, "some frames")
    clip = node.runner.stop_clip(None)
    still = node.runner.take_still(None)
    came = [read_coefficients(data).blocks[0] for data in list(node.given)]
    for saved in (still, clip):
        path = room.spool.captured("endoscope", None) / saved.file_name
        assert not errors_of(path)
        stored = dcmread(path)
        assert (stored.Rows, stored.Columns, stored.PhotometricInterpretation) == (48, 32, "YBR_FULL_422")
        assert stored.VideoImageFormatAcquired == "48p30 MJPEG"
        frames = pixel_array(stored).reshape(-1, 48, 32, 3)
        assert len(frames) == saved.frames
        assert not frames[:, :15, :, 0].any() and frames[:, 17:, :, 0].all()
        blocks = read_coefficients(unpadded(fragments_of(path)[0])).blocks[0]
        assert any(all(blocks[row, 0] == one[row, 2] for row in (2, 3, 4, 5)) for one in came)
    for picture_shown in (node.runner.preview(), node.runner.thumbnails.get(clip.sop_instance_uid) or b""):
        shown = np.asarray(Image.open(io.BytesIO(picture_shown)).convert("L"))
        assert shown.shape == (48, 32) and shown[:14].max() < 30 and shown[20:].min() > 60


def test_fail__a_crop_that_mjpeg_cannot_have_is_refused_in_words(room: Room, make_node: Callable[..., Node]) -> None:
    def prepare(node: Node) -> None:
        node.kernel.modes = [FakeMode(PixelFormat.MJPEG, {WHOLE: (30,)})]
        node.frame = lambda number: lit_jpeg(number % 40)

    node = make_node(PixelFormat.MJPEG, prepare, crop=(10, 0, 32, 48))
    wait_until(lambda: bool(room.finding("no_signal")), "it is said")
    assert room.finding("no_signal").startswith("`crop` of endoscope is not on the coded units")
    with pytest.raises(NoSignal):
        node.runner.start_clip(None)


def test_fail__a_masked_frame_that_is_damaged_is_left_out_of_a_clip(room: Room, make_node: Callable[..., Node]) -> None:
    """Between sound markers: without a mask it would be stored as it came; with one, none of it may be."""

    def prepare(node: Node) -> None:
        node.kernel.modes = [FakeMode(PixelFormat.MJPEG, {WHOLE: (30,)})]
        node.frame = lambda number: lit_jpeg(number % 40)

    node = make_node(PixelFormat.MJPEG, prepare, masks=((0, 0, 64, 16),))
    node.wait_for(State.IDLE)
    node.runner.start_clip(None)
    wait_until(lambda: (node.runner.progress() or {"done": 0})["done"] >= 0.1, "some frames")
    sound, damaged = node.frame, bytearray(lit_jpeg(1))
    damaged[-300:-2] = bytes(298)
    node.frame = lambda _: bytes(damaged)
    before = len(node.given)
    wait_until(lambda: len(node.given) > before, "it is given")
    node.frame = sound
    after = node.runner.clock.monotonic()
    node.runner.next_frame(after, DEADLINE)
    saved = node.runner.stop_clip(None)
    assert "of the clip left out" in room.finding("clip_ended")
    frames = pixel_array(dcmread(room.only_object("endoscope", None)))
    assert len(frames) == saved.frames and not frames[:, :15, :, 0].any()
