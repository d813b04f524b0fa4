"""A frame that came as JPEG, as every source of video gives it."""

from __future__ import annotations

from appliance.devices.errors import BadFrame
from appliance.devices.frame import Encoding, Frame
from appliance.devices.video.jpeg import parse_jpeg, with_standard_huffman_tables
from appliance.devices.video.jpeg_edit import edit_of
from appliance.devices.video.layout import Area


def frame_from_jpeg(
    data: bytes, sequence: int, timestamp: float, name: str, crop: Area | None = None, masks: tuple[Area, ...] = ()
) -> Frame:
    """`data` up to its end marker, with its Huffman tables; its scan as it came, and what is to be kept of it noted.

    BadFrame when it is damaged or in RGB, DeviceError where `crop` and `masks` cannot be had without loss.
    """
    header = parse_jpeg(data)
    if not header.is_gray_or_ycbcr:
        # Passed through it would be labelled YBR_FULL_422 and shown in wrong colours.
        raise BadFrame(
            f"The {name} sends JPEG frames in RGB, which DICOM's JPEG does not have.",
            "Set the grabber to YCbCr (YUV), its usual form.",
        )
    edit = edit_of(header, crop, masks, name)
    return Frame(
        data=with_standard_huffman_tables(data, header),
        encoding=Encoding.JPEG,
        width=edit.kept.width if edit else header.width,
        height=edit.kept.height if edit else header.height,
        bits_stored=8,
        sequence=sequence,
        timestamp=timestamp,
        edit=edit,
    )
