"""How much flash must be free before a frame is taken: one number for the whole box, so that no two devices count on
the same bytes.

A capture begins only while the reserve and the largest capture of *every* device are free. Whatever the other devices
take at the same time, its own bytes stay free: each of them has begun under the same rule, and takes no more than its
part before it asks again.
"""

from __future__ import annotations

from collections.abc import Iterable

from appliance.config.devices import Device, FilmDevice, GrabberDevice, PrinterDevice, SerialDevice, TextDevice
from appliance.config.schema import Configuration

# Header, trailer and what a file system keeps of its own for a file.
_AROUND_BYTES = 1_000_000
_COLOURS = 3


def largest_capture_bytes(device: Device) -> int:
    """The most that `device` writes between two looks at the free flash. A clip looks before each of its frames."""
    match device:
        case GrabberDevice():
            return 2 * (device.max_frame_bytes + _AROUND_BYTES)  # a still, while a clip is being recorded
        case SerialDevice():
            return max(device.max_bytes, _COLOURS * device.max_pixels) + _AROUND_BYTES
        case PrinterDevice():
            return device.max_pixels + _AROUND_BYTES
        case TextDevice():
            return device.page_bytes + _AROUND_BYTES
        case FilmDevice():
            return device.max_bytes + _AROUND_BYTES


def captures_bytes_from(devices: Iterable[Device]) -> int:
    """The largest captures of all `devices` at once."""
    return sum(largest_capture_bytes(device) for device in devices)


def floor_bytes_from(configuration: Configuration) -> int:
    """Below so many free bytes the box captures nothing."""
    return configuration.box.reserve_bytes + captures_bytes_from(configuration.devices)
