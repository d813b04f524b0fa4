"""What an ultrasound of 1987 shows: a sector of speckle with a liver in it, a depth scale, and text burned in.

Nothing in it names a patient. Everything follows from the number of the print, so that no two prints are alike and each
can be made again.
"""

from __future__ import annotations

import math
import random
from datetime import datetime

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, ImageOps

SIZE = (640, 480)
_APEX = (320.0, -28.0)
_NEAR, _FAR = 72.0, 456.0
_HALF_ANGLE = math.radians(39)
_BEAMS, _SAMPLES = 192, 384
_CELL = 8
_PIXELS_PER_CM = 24
_BONE_WHITE, _DIM = 230, 150


def render_ultrasound(number: int, at: datetime) -> Image.Image:
    """The picture of print `number` taken at `at`: mode L, 640 × 480."""
    chance = random.Random(number)
    echoes = _echoes(chance)
    tissue = _tissue(chance)
    picture = ImageChops.multiply(echoes, tissue)
    picture = ImageChops.multiply(picture, _sector_mask())
    picture = ImageOps.autocontrast(picture, cutoff=(0, 0.2))
    _burn_in(picture, number, at)
    return picture


def _echoes(chance: random.Random) -> Image.Image:
    """Speckle as the transducer makes it: fine along the beam, broader across it the deeper it lies."""
    grains = Image.frombytes("L", (_BEAMS, _SAMPLES), chance.randbytes(_BEAMS * _SAMPLES))
    coarse = grains.resize((_BEAMS // 2, _SAMPLES)).resize((_BEAMS, _SAMPLES), Image.Resampling.BICUBIC)
    beams = Image.blend(grains, coarse, 0.6).filter(ImageFilter.GaussianBlur(0.9))
    beams = ImageOps.autocontrast(beams, cutoff=1).point([int(64 + 191 * (value / 255) ** 1.2) for value in range(256)])
    return beams.transform(SIZE, Image.Transform.MESH, _sector_mesh(), Image.Resampling.BILINEAR)


def _sector_mesh() -> list[tuple[tuple[int, int, int, int], tuple[float, ...]]]:
    """For each cell of the screen, where in the rectangle of beams and samples its corners lie."""
    mesh = []
    for left in range(0, SIZE[0], _CELL):
        for top in range(0, SIZE[1], _CELL):
            right, bottom = left + _CELL, top + _CELL
            corners = [_beam_point(x, y) for x, y in ((left, top), (left, bottom), (right, bottom), (right, top))]
            if any(0 <= x < _BEAMS and 0 <= y < _SAMPLES for x, y in corners):
                mesh.append(((left, top, right, bottom), tuple(value for corner in corners for value in corner)))
    return mesh


def _beam_point(x: float, y: float) -> tuple[float, float]:
    dx, dy = x - _APEX[0], y - _APEX[1]
    beam = (math.atan2(dx, dy) / _HALF_ANGLE + 1) / 2 * (_BEAMS - 1)
    sample = (math.hypot(dx, dy) - _NEAR) / (_FAR - _NEAR) * (_SAMPLES - 1)
    return beam, sample


def _tissue(chance: random.Random) -> Image.Image:
    """How strongly each place echoes: liver, capsule, vessels, gall bladder with its brighter shadow, diaphragm."""
    tissue = Image.new("L", SIZE, 128)
    draw = ImageDraw.Draw(tissue)
    dx, dy = chance.randint(-14, 14), chance.randint(-10, 10)

    def blob(x: int, y: int, wide: int, high: int, shade: int) -> None:
        draw.ellipse((x + dx - wide, y + dy - high, x + dx + wide, y + dy + high), fill=shade)

    draw.rectangle((0, 0, SIZE[0], 74), fill=205)  # skin and fat
    draw.arc((60, 60, 580, 150), 190, 350, fill=235, width=5)  # the liver's capsule
    blob(420, 300, 92, 62, 92)  # kidney: cortex
    blob(428, 302, 50, 26, 200)  # and its sinus
    blob(246, 232, 50, 27, 10)  # gall bladder
    draw.polygon([(205 + dx, 262 + dy), (290 + dx, 258 + dy), (312 + dx, 420), (190 + dx, 420)], fill=172)
    for _ in range(7):  # vessels, cut across and along
        x, y = chance.randint(180, 470), chance.randint(120, 380)
        blob(x, y, chance.randint(5, 20), chance.randint(3, 7), 30)
    draw.arc((120 + dx, 190, 560 + dx, 432), 28, 128, fill=255, width=7)  # diaphragm
    return tissue.filter(ImageFilter.GaussianBlur(2.2))


def _sector_mask() -> Image.Image:
    """The sector's outline, darker at its flanks and in the depth, as the gain leaves it."""
    mask = Image.new("L", SIZE, 0)
    draw = ImageDraw.Draw(mask)
    middle, half = 90.0, math.degrees(_HALF_ANGLE)
    for step in range(24):
        far = _FAR - step * (_FAR - _NEAR) / 24
        box = (_APEX[0] - far, _APEX[1] - far, _APEX[0] + far, _APEX[1] + far)
        draw.pieslice(box, middle - half, middle + half, fill=150 + int(step * 4.4))
    box = (_APEX[0] - _NEAR, _APEX[1] - _NEAR, _APEX[0] + _NEAR, _APEX[1] + _NEAR)
    draw.ellipse(box, fill=0)
    return mask.filter(ImageFilter.GaussianBlur(1.2))


def _burn_in(picture: Image.Image, number: int, at: datetime) -> None:
    """Text, depth scale, gray wedge and gain curve, as the machine's own screen has them."""
    draw = ImageDraw.Draw(picture)
    large, small = ImageFont.load_default(15), ImageFont.load_default(11)
    draw.text((12, 8), f"LIVER  3.5 MHz  {at:%H:%M:%S}", fill=_BONE_WHITE, font=large)
    draw.text((12, 28), f"PRINT {number:05d}", fill=_DIM, font=small)
    draw.text((12, 448), "GAIN 62 dB   DR 55 dB   POWER 80 %", fill=_DIM, font=small)
    draw.text((12, 462), "FRAME 21 /s   FOCUS 6 cm", fill=_DIM, font=small)
    for centimetre in range(17):
        y = 44 + centimetre * _PIXELS_PER_CM
        is_long = centimetre % 5 == 0
        draw.line((600 - (10 if is_long else 5), y, 600, y), fill=_BONE_WHITE)
        if is_long:
            draw.text((606, y - 7), f"{centimetre}", fill=_BONE_WHITE, font=small)
    for shade in range(128):
        draw.line((18, 190 + shade, 30, 190 + shade), fill=255 - 2 * shade)
    gain = [(46 + 14 * math.sin(step / 9), 190 + step * 8) for step in range(17)]
    draw.line([(x, y) for x, y in gain], fill=_DIM)
