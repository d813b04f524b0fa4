"""Runs in the guest: three frames of a camera by read(2), and what VIDIOC_QUERYCAP and VIDIOC_G_FMT tell, as JSON."""

from __future__ import annotations

import fcntl
import json
import os
import struct
import sys

# linux/videodev2.h: _IOR('V', 0, struct v4l2_capability of 104 bytes), _IOWR('V', 4, struct v4l2_format of 208 bytes).
_QUERYCAP = 0x80685600
_G_FMT = 0xC0D05604
_VIDEO_CAPTURE = 1


def main(node: str) -> None:
    camera = os.open(node, os.O_RDWR)
    capability = bytearray(104)
    fcntl.ioctl(camera, _QUERYCAP, capability)
    shape = bytearray(208)
    struct.pack_into("<I", shape, 0, _VIDEO_CAPTURE)
    fcntl.ioctl(camera, _G_FMT, shape)
    # The union begins on the alignment of a pointer: width, height, pixelformat, field, bytesperline, sizeimage.
    width, height, pixel_format, _field, _line, size = struct.unpack_from("<II4sIII", shape, 8)
    frames = [os.read(camera, size) for _ in range(3)]
    print(
        json.dumps(
            {
                "driver": capability[:16].rstrip(b"\0").decode(),
                "width": width,
                "height": height,
                "pixel_format": pixel_format.decode(),
                "bytes_for_a_frame": size,
                "frames": [len(frame) for frame in frames],
                "values": len(set(frames[0])),
            }
        )
    )


main(sys.argv[1])
