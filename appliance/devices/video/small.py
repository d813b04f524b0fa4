"""A frame made small, to be looked at and never stored: what is cut off or masked is not to be seen in it either."""

from __future__ import annotations

import io

from PIL import Image

from appliance.devices.frame import Frame
from appliance.devices.video.layout import Area


def small_jpeg_picture(frame: Frame, mode: str, size: tuple[int, int]) -> Image.Image:
    """What is kept of a JPEG frame, decoded at 1/1, 1/2, 1/4 or 1/8, at least as large as `size` where it was.

    `mode` is RGB for what the frame has, or L, for which libjpeg decodes the luminance alone. Raises whatever Pillow
    does on a damaged one.
    """
    picture: Image.Image = Image.open(io.BytesIO(frame.data))
    edit = frame.edit
    if edit is None:
        picture.draft(mode, size)
        return picture.convert(mode) if mode == "L" else picture
    kept = edit.kept
    picture.draft(mode, (size[0] * edit.columns // kept.width, size[1] * edit.lines // kept.height))
    step = max(1, round(edit.columns / picture.width))
    picture = picture.convert(mode if mode == "L" else picture.mode)
    for mask in edit.masks:
        # One pixel more on each side: a decoder draws colour out of a block into its neighbours.
        small = mask.shrunk(step)
        around = Area(small.left - 1, small.top - 1, small.width + 2, small.height + 2)
        picture.paste(0, (around.left, around.top, around.left + around.width, around.top + around.height))
    small = kept.shrunk(step)
    return picture.crop((small.left, small.top, small.left + small.width, small.top + small.height))
