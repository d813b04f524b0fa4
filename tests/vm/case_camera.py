"""A USB camera with MJPEG under the kernel's own driver: what is stored is what it sent, byte by byte, nothing else.

The camera is a model of ours on the host (`usb/camera.py`); it keeps every frame that it sent.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from functools import cache

import pytest
from PIL import Image, ImageDraw
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames

from tests.vm.box import Box
from tests.vm.frozen import Frozen, thawed
from tests.vm.grabber import UNIT, Grabber, wait_for
from tests.vm.usb.camera import Camera, Shot
from tests.vm.usb.plug import plugged_in

_SERIAL = "CAM0001"
_RULE = f'SUBSYSTEM=="video4linux", ENV{{ID_SERIAL_SHORT}}=="{_SERIAL}", ENV{{APPLIANCE_NAME}}="scope"\n'
_CONFIGURATION = """
[box]
name = "bridge"
reserve_bytes = 1000000
[[devices]]
name = "scope"
driver = "grabber"
title = "Scope"
modality = "ES"
source = "/dev/appliance/scope"
formats = ["MJPEG"]
size = [640, 480]
frames_per_second = 5.0
frame_seconds = 10.0
"""


@cache
def picture(number: int) -> bytes:
    """A JPEG that is like no other; every second one without its Huffman tables, as many cameras send them."""
    drawn = Image.new("RGB", (640, 480), (number * 37 % 256, number * 11 % 256, 128))
    draw = ImageDraw.Draw(drawn)
    for step in range(24):
        at = (number * 7 + step * 26) % 600
        draw.rectangle((at, step * 20, at + 40, step * 20 + 15), fill=(step * 10, 255 - step * 9, number % 256))
    draw.text((20, 20), str(number), fill="white", font_size=64)
    data = io.BytesIO()
    drawn.save(data, "JPEG", quality=85)
    return without_tables(data.getvalue()) if number % 2 else data.getvalue()


def without_tables(jpeg: bytes) -> bytes:
    """The same without its DHT segments (ITU-T T.81, B.2.4.2)."""
    kept, place = [jpeg[:2]], 2
    while jpeg[place + 1] != 0xDA:
        length = 2 + int.from_bytes(jpeg[place + 2 : place + 4], "big")
        if jpeg[place + 1] != 0xC4:
            kept.append(jpeg[place : place + length])
        place += length
    return b"".join(kept) + jpeg[place:]


def sent_numbers(stored: Dataset, camera: Camera) -> list[int]:
    """Which of the sent frames the stored ones are, by their hashes: as they were, or with standard tables put in."""
    known = {hashlib.sha256(shot.data).digest(): number for number, shot in enumerate(camera.sent)}
    found = []
    for frame in generate_frames(stored.PixelData, number_of_frames=int(stored.get("NumberOfFrames", 1))):
        whole = frame[: frame.rindex(b"\xff\xd9") + 2]  # a fragment has an even length
        number = known.get(hashlib.sha256(whole).digest())
        found.append(known[hashlib.sha256(without_tables(whole)).digest()] if number is None else number)
    return found


@pytest.fixture
def scope(configured: Callable[[str, str], Frozen]) -> Iterator[Grabber]:
    with thawed(configured(_CONFIGURATION, _RULE)) as guest:
        box = Box(guest)
        box.trust_clock()
        yield Grabber(box)
        assert "Traceback" not in box.journal()


def read(scope: Grabber, name: str) -> Dataset:
    return dcmread(io.BytesIO(scope.read(name)))


def record(scope: Grabber, camera: Camera) -> Dataset:
    """A clip while the camera sends ten frames and more."""
    begun = len(camera.sent)
    scope.start_clip()
    wait_for(lambda: len(camera.sent) >= begun + 10, "ten frames")
    return read(scope, scope.stop_clip())


def test_ok__every_stored_frame_is_one_that_was_sent(scope: Grabber) -> None:
    camera = Camera(_SERIAL, lambda number: Shot(picture(number)))
    with plugged_in(scope.box.guest, camera):
        scope.wait_up()
        still = read(scope, scope.still())
        assert len(sent_numbers(still, camera)) == 1
        clip = record(scope, camera)
        numbers = sent_numbers(clip, camera)
        # In their order, none twice, with tables and without.
        assert numbers == sorted(set(numbers)) and len(numbers) == clip.NumberOfFrames > 2
        assert {number % 2 for number in numbers} == {0, 1}
        assert clip.VideoImageFormatAcquired.endswith("MJPEG")
        assert clip.LossyImageCompression == "01"
        assert b"\xff\xc4" in next(generate_frames(clip.PixelData, number_of_frames=len(numbers)))


def test_fail__frames_that_are_cut_off_are_left_out_and_told_of(scope: Grabber) -> None:
    """The driver gives them out without any error."""
    camera = Camera(_SERIAL, lambda number: Shot(picture(number)[: -3000 if number % 3 == 2 else None]))
    with plugged_in(scope.box.guest, camera):
        scope.wait_up()
        clip = record(scope, camera)
        assert all(number % 3 != 2 for number in sent_numbers(clip, camera))
        assert "left out" in scope.wait_finding("bad_frame")


def test_fail__frames_that_the_camera_calls_faulty_are_not_stored(scope: Grabber) -> None:
    camera = Camera(_SERIAL, lambda number: Shot(picture(number), is_faulty=number % 4 == 3))
    with plugged_in(scope.box.guest, camera):
        scope.wait_up()
        clip = record(scope, camera)
        assert all(number % 4 != 3 for number in sent_numbers(clip, camera))
        assert "got lost on the way" in scope.wait_finding("lost_frames")


def test_fail__pulled_out_in_a_clip_and_plugged_in_again(scope: Grabber) -> None:
    """What came until then is an object; the same camera goes on by itself."""
    camera = Camera(_SERIAL, lambda number: Shot(picture(number)))
    with plugged_in(scope.box.guest, camera) as plug:
        scope.wait_up()
        scope.start_clip()
        plug.pull()
        scope.box.shell.wait_until(f"test $(systemctl is-active {UNIT}) = inactive", 600)
        (name,) = scope.objects()
        numbers = sent_numbers(read(scope, name), camera)
        assert numbers == sorted(set(numbers)) and numbers
    again = Camera(_SERIAL, lambda number: Shot(picture(1000 + number)))
    with plugged_in(scope.box.guest, again):
        scope.wait_up()
        assert len(sent_numbers(read(scope, scope.still()), again)) == 1
        assert len(scope.objects()) == 2
