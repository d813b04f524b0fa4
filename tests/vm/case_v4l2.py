"""Our video layer under the kernel's own test grabber: its formats, colours, inputs and faults.

What the guest saw comes as JSON (inside/v4l2.py); here stands what must be so.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.vm.machine import Machine
from tests.vm.vivid import Vivid

_SECONDS = 1500.0


@pytest.fixture
def vivid(guest: Machine) -> Vivid:
    return Vivid(guest)


def see(vivid: Vivid, section: str) -> Any:
    return json.loads(vivid.run(section, seconds=_SECONDS))[section]


def test_ok__each_uncompressed_format(vivid: Vivid) -> None:
    found = see(vivid, "formats")
    assert set(found) == {"YUYV", "UYVY", "NV12", "RGB24", "BGR24", "GREY", "Y10", "Y12", "Y16"}
    for name, one in found.items():
        samples, encoding = (
            (1, "gray8" if name == "GREY" else "gray16") if one["bits"] > 8 or name == "GREY" else (3, "rgb")
        )
        assert one["encoding"] == encoding
        assert one["bytes"] == 320 * 180 * samples * (2 if encoding == "gray16" else 1)
        assert one["bits"] == {"Y10": 10, "Y12": 12, "Y16": 16}.get(name, 8)
        assert one["rising"]
        # Against the picture that vivid made in RGB: levels for colours, percent of turned pairs for grays.
        assert one["difference"] <= 4, name


def test_ok__colours_are_what_vivid_says_of_them(vivid: Vivid) -> None:
    for name, (said, encoding, difference) in see(vivid, "colours").items():
        assert said == f"BT.{name}"
        assert encoding == ("ybr" if name == "601 full" else "rgb")
        assert difference <= 4, name


def test_ok__each_input(vivid: Vivid) -> None:
    found = see(vivid, "inputs")
    assert {name: (*one["size"], one["interlaced"], one["rate"]) for name, one in found.items()} == {
        "webcam": (320, 180, False, 30.0),
        "television": (720, 576, True, 25.0),
        "s-video": (720, 576, True, 25.0),
        "s-video NTSC": (720, 480, True, 29.97),
        "s-video PAL": (720, 576, True, 25.0),
        "hdmi": (1280, 720, False, 60.0),
    }


def test_fail__each_fault_is_told_and_passes(vivid: Vivid) -> None:
    found = see(vivid, "faults")
    dropped = found.pop("dropped")
    assert 0 < dropped["gaps"] <= dropped["lost"]
    assert found == {
        "no signal": "NoSignal",
        "signal again": "DeviceTimeout",
        "after no signal": [720, 576],
        "hdmi signal lost": "NoSignal",
        "hdmi no signal": "The vivid's grabber receives no signal.",
        "hdmi again": [1280, 720],
        "fatal": "DeviceTimeout",
        "after fatal": 320,
        "no start": "The vivid's grabber does not start (EINVAL).",
        "black": True,
        "coloured again": True,
        "unplugged": "DeviceGone",
        "plugged in again": 320,
    }
