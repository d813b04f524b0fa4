"""What an endoscope's processor shows: a round view into a moving, wet, pink tunnel, with text beside it.

Drawn with Pillow alone. What does not move is drawn once; a frame costs one warp, one light, one paste and its coding.
"""

from __future__ import annotations

import io
import math
import random

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

SIZE = (1920, 1080)
_VIEW = 1000  # diameter of the round view on the screen
_VIEW_AT = (660, 40)
_SMALL = 500  # the view is warped at this size and enlarged
_TEXTURE = 1100
_QUALITY = 80
_TEXT, _DIM = (225, 225, 215), (140, 150, 150)


class EndoscopePainter:
    """Paints frames of one loop of `length` frames, coded as a grabber sends them: 4:2:2, without Huffman tables."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._mucosa = _mucosa(random.Random(815))
        self._light = _light()
        self._aperture = _aperture()
        self._grain = _grain(random.Random(4))
        self._screen = _screen()
        self._font = ImageFont.load_default(30)

    def paint_frame(self, index: int) -> bytes:
        """Frame `index` of the loop as a JPEG image."""
        return encode_as_grabber(self._picture(index))

    def _picture(self, index: int) -> Image.Image:
        turn = 2 * math.pi * index / self._length
        view = self._warped(turn)
        view = ImageChops.multiply(view, self._light_from(turn))
        view = view.resize((_VIEW, _VIEW), Image.Resampling.BILINEAR)
        shift = (index * 37 % 60, index * 23 % 60)
        view = ImageChops.add(view, self._grain.crop((*shift, shift[0] + _VIEW, shift[1] + _VIEW)), 1, -12)
        screen = self._screen.copy()
        screen.paste(view, _VIEW_AT, self._aperture)
        draw = ImageDraw.Draw(screen)
        draw.text((70, 905), f"FRAME {index:04d}", fill=_TEXT, font=self._font)
        draw.text((70, 945), f"00:00:{index // 30:02d}:{index % 30:02d}", fill=_DIM, font=self._font)
        return screen

    def _warped(self, turn: float) -> Image.Image:
        """The wall seen through a scope that breathes, sways and rolls a little."""
        zoom = 1.55 + 0.16 * math.sin(turn)
        roll = 0.12 * math.sin(turn + 1.0)
        cosine, sine = zoom * math.cos(roll), zoom * math.sin(roll)
        x = _TEXTURE / 2 + 90 * math.sin(turn * 2 + 0.5)
        y = _TEXTURE / 2 + 70 * math.cos(turn)
        half = _SMALL / 2
        matrix = (
            cosine,
            -sine,
            x - cosine * half + sine * half,
            sine,
            cosine,
            y - sine * half - cosine * half,
        )
        return self._mucosa.transform((_SMALL, _SMALL), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)

    def _light_from(self, turn: float) -> Image.Image:
        """Light that falls off from the tip, around the dark of the lumen, which wanders."""
        x, y = round(60 + 34 * math.sin(turn)), round(60 + 30 * math.cos(turn * 2))
        return self._light.crop((x, y, x + _SMALL, y + _SMALL))


def encode_as_grabber(picture: Image.Image) -> bytes:
    """A baseline JPEG, 4:2:2, whose Huffman tables are left out: a USB grabber's frame."""
    coded = io.BytesIO()
    # Without `optimize` Pillow codes with the typical tables of T.81 K.3, those that a reader then assumes.
    picture.save(coded, "JPEG", quality=_QUALITY, subsampling="4:2:2", optimize=False, progressive=False)
    return without_huffman_tables(coded.getvalue())


def without_huffman_tables(data: bytes) -> bytes:
    """The JPEG image `data` less its DHT segments; the scan stays as it is."""
    kept = [data[:2]]
    position = 2
    while data[position + 1] != 0xDA:
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if data[position + 1] != 0xC4:
            kept.append(data[position:end])
        position = end
    kept.append(data[position:])
    return b"".join(kept)


def black_frame() -> bytes:
    """What a grabber sends for a machine that gives a signal without a picture."""
    return encode_as_grabber(Image.new("RGB", SIZE))


def _noise(chance: random.Random, grains: int, size: int) -> Image.Image:
    small = Image.frombytes("L", (grains, grains), chance.randbytes(grains * grains))
    return small.resize((size, size), Image.Resampling.BICUBIC)


def _mucosa(chance: random.Random) -> Image.Image:
    """A wall of folds, patches and fine vessels, in the colours of a living gut."""
    folds = _noise(chance, 9, _TEXTURE)
    patches = _noise(chance, 40, _TEXTURE)
    fine = _noise(chance, 330, _TEXTURE)
    relief = Image.blend(Image.blend(folds, patches, 0.35), fine, 0.16)
    wall = Image.merge(
        "RGB",
        (
            relief.point([min(255, 150 + value * 95 // 255) for value in range(256)]),
            relief.point([58 + value * 120 // 255 for value in range(256)]),
            relief.point([48 + value * 95 // 255 for value in range(256)]),
        ),
    )
    vessels = Image.new("L", (_TEXTURE, _TEXTURE), 0)
    draw = ImageDraw.Draw(vessels)
    for _ in range(70):
        _draw_vessel(draw, chance)
    wall.paste((128, 26, 30), mask=vessels.filter(ImageFilter.GaussianBlur(1.1)))
    _draw_folds(wall)
    wet = fine.point([255 if value > 250 else 0 for value in range(256)]).filter(ImageFilter.GaussianBlur(1.0))
    wall.paste((255, 244, 232), mask=wet.point([value * 3 // 5 for value in range(256)]))
    return wall


def _draw_vessel(draw: ImageDraw.ImageDraw, chance: random.Random) -> None:
    x, y = chance.uniform(0, _TEXTURE), chance.uniform(0, _TEXTURE)
    heading, width = chance.uniform(0, 2 * math.pi), chance.choice((1, 1, 2, 2, 3))
    points = [(x, y)]
    for _ in range(chance.randint(12, 40)):
        heading += chance.uniform(-0.5, 0.5)
        x, y = x + 9 * math.cos(heading), y + 9 * math.sin(heading)
        points.append((x, y))
    draw.line(points, fill=chance.randint(60, 150), width=width, joint="curve")


def _draw_folds(wall: Image.Image) -> None:
    """Rings around the lumen: a bright edge and a soft shadow behind it."""
    shade = Image.new("L", wall.size, 128)
    draw = ImageDraw.Draw(shade)
    middle = _TEXTURE / 2
    for number, radius in enumerate((110, 190, 290, 410)):
        wobble = 12 * math.sin(number * 2.1)
        box = (middle - radius + wobble, middle - radius * 0.9, middle + radius + wobble, middle + radius * 0.94)
        draw.ellipse(box, outline=62, width=22)
        draw.ellipse(tuple(side + 12 for side in box), outline=190, width=9)
    relief = shade.filter(ImageFilter.GaussianBlur(9))
    wall.paste(ImageChops.overlay(wall, Image.merge("RGB", (relief, relief, relief))))


def _light() -> Image.Image:
    """A field larger than the view: full light in a ring, little in the middle (far away) and at the rim."""
    size = _SMALL + 120
    distance = Image.radial_gradient("L").resize((size, size), Image.Resampling.BICUBIC)  # 0 in the middle
    curve = []
    for value in range(256):
        radius = value / 180
        near = 1 / (1 + math.exp(-(radius - 0.16) * 26))
        rim = max(0.0, 1 - max(0.0, radius - 0.3) ** 2 * 1.25)
        curve.append(int(255 * (0.05 + 0.95 * near) * rim))
    light = distance.point(curve).filter(ImageFilter.GaussianBlur(4))
    return Image.merge(
        "RGB",
        (light, light.point([v * 97 // 100 for v in range(256)]), light.point([v * 93 // 100 for v in range(256)])),
    )


def _grain(chance: random.Random) -> Image.Image:
    """The camera's noise, a little larger than the view so that it can be shifted from frame to frame."""
    size = _VIEW + 60
    grain = Image.frombytes("L", (size, size), chance.randbytes(size * size)).filter(ImageFilter.GaussianBlur(0.7))
    grain = grain.point([value * 24 // 255 for value in range(256)])
    return Image.merge("RGB", (grain, grain, grain))


def _aperture() -> Image.Image:
    mask = Image.new("L", (_VIEW * 2, _VIEW * 2), 0)
    ImageDraw.Draw(mask).ellipse((4, 4, 2 * _VIEW - 4, 2 * _VIEW - 4), fill=255)
    return mask.resize((_VIEW, _VIEW), Image.Resampling.BOX)


def _screen() -> Image.Image:
    """The processor's own screen; nothing on it names a patient."""
    screen = Image.new("RGB", SIZE, (6, 7, 9))
    draw = ImageDraw.Draw(screen)
    large, small = ImageFont.load_default(42), ImageFont.load_default(28)
    draw.text((70, 70), "VideoScope 2", fill=_TEXT, font=large)
    for line, text in enumerate(("COLON  12.8 mm", "LIGHT  AUTO", "IRIS   AVERAGE", "GAIN   +3 dB", "COLOUR 4 4 3")):
        draw.text((70, 160 + 44 * line), text, fill=_DIM, font=small)
    draw.rectangle((70, 890, 420, 892), fill=_DIM)
    for step in range(8):
        draw.rectangle((70 + 40 * step, 420, 104 + 40 * step, 440), fill=(40 + 26 * step,) * 3)
    return screen
