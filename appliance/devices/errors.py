"""What can go wrong with an old machine, one class for each answer that the box gives to it.

Sentences name the machine as the configuration does ("The ultrasound ...") and never hold anything that came over its
line: that may be patient data.
"""

from __future__ import annotations

from typing import ClassVar

from appliance.base.errors import ApplianceError


class DeviceError(ApplianceError):
    """Something about a device. `code` is stable: findings and tests go by it."""

    code: ClassVar[str] = "device"


class DeviceGone(DeviceError):
    """The device is not there (any more), or its connection is beyond use: close it, and open it again later."""

    code = "device_gone"


class DeviceBusy(DeviceError):
    """Somebody else has the device open."""

    code = "device_busy"


class NoBusRoom(DeviceError):
    """The bus has no room for what the device was to send."""

    code = "no_bus_room"


class DeviceTimeout(DeviceError):
    """The device is there and did not answer in time."""

    code = "device_timeout"


class DeviceNotReady(DeviceError):
    """A person must do something at the machine first: close a cover, load a film, clear a jam."""

    code = "device_not_ready"


class NoFilm(DeviceNotReady):
    """The digitizer has no film, or its feeder no more."""

    code = "no_film"


class NoSignal(DeviceError):
    """The grabber works, and no picture comes out of the machine."""

    code = "no_signal"


class PictureChanged(DeviceError):
    """The machine changed the size or the standard of its picture: the source must be closed and opened again."""

    code = "picture_changed"


class BlackPicture(DeviceError):
    """A picture comes, and it is black all over."""

    code = "black_picture"


class BadFrame(DeviceError):
    """One frame of a video is damaged or of a kind that is not accepted. The next one may be good."""

    code = "bad_frame"


class BadTransfer(DeviceError):
    """A transfer did not come to its proper end; nothing of it is used."""

    code = "bad_transfer"


class BadImage(DeviceError):
    """A file arrived whole, and is no image that can be kept."""

    code = "bad_image"


class ScanCancelled(DeviceError):
    """A person stopped the scan."""

    code = "scan_cancelled"
