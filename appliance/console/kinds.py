"""What an object is, in the one word by which every screen calls it: its device's and its SOP class's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from appliance.config.schema import Configuration

# Console lets pydicom, which knows these by name, be imported only where pictures are shown (PS3.4 B.5).
_DOCUMENT: Final = "1.2.840.10008.5.1.4.1.1.104.1"
_NOTE: Final = "1.2.840.10008.5.1.4.1.1.88.59"
_MULTI_FRAME: Final = "1.2.840.10008.5.1.4.1.1.7."
_ONLY: Final = {"xmodem": "transfer", "sane": "film", "printer": "page", "text": "page"}
_HEAD_BYTES: Final = 512
_CLASS: Final = b"\x02\x00\x02\x00UI"  # Media Storage SOP Class UID (0002,0002), which is always in explicit VR
_MOST_REMEMBERED = 4_000  # more than any exam has images


class Kinds:
    """The kinds of the configured devices' objects; what a file says of its class is read once."""

    def __init__(self, configuration: Configuration) -> None:
        self._drivers = {device.name: device.driver for device in configuration.devices}
        self._classes: dict[str, str] = {}

    def kind_of(self, device: str, sop_class_uid: str) -> str:
        """The second half of a key `kind.…` of the texts; of a device that was removed every image is an image."""
        if sop_class_uid in (_DOCUMENT, _NOTE):
            return "document" if sop_class_uid == _DOCUMENT else "note"
        driver = self._drivers.get(device, "")
        if driver != "grabber":
            return _ONLY.get(driver, "transfer")
        return "clip" if sop_class_uid.startswith(_MULTI_FRAME) else "still"

    def kind_in(self, device: str, path: Path) -> str:
        """Of the object at `path`, which lies here. FileNotFoundError when it was handed over in this moment."""
        known = self._classes.get(path.name)
        if known is None:
            known = sys.intern(_class_in(path))
            if len(self._classes) >= _MOST_REMEMBERED:
                self._classes.clear()
            self._classes[path.name] = known
        return self.kind_of(device, known)


def _class_in(path: Path) -> str:
    """The SOP class that the file's head names (PS3.10 7.1); empty when it names none there."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    at = head.find(_CLASS, 132)
    length = int.from_bytes(head[at + 6 : at + 8], "little") if at >= 0 else 0
    return head[at + 8 : at + 8 + length].rstrip(b"\0").decode("ascii", "replace") if 0 < length <= 64 else ""
