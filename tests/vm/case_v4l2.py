"""Our video layer under the kernel's own test grabber: its formats, colours, inputs and faults; then the whole process.

What the guest saw comes as JSON (inside/v4l2.py, inside/v4l2_process.py); here stands what must be so.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.vm.machine import Machine

_PYTHON = "PYTHONPATH=/run/v4l2 /usr/lib/appliance/venv/bin/python"
_INSIDE = Path(__file__).with_name("inside")
_SECONDS = 1500.0


@pytest.fixture
def node(guest: Machine) -> str:
    """Vivid's first node, with its four kinds of inputs; the scripts beside it."""
    guest.shell.run("modprobe vivid n_devs=1; mkdir -p /run/v4l2/inside", 300)
    for script in ("v4l2.py", "v4l2_process.py"):
        guest.shell.write_file(f"/run/v4l2/inside/{script}", (_INSIDE / script).read_bytes())
    return guest.shell.wait_until("ls /dev/v4l/by-path/platform-vivid*-video-index0").split()[0]


def see(guest: Machine, node: str, section: str) -> Any:
    return json.loads(guest.shell.run(f"{_PYTHON} /run/v4l2/inside/v4l2.py {node} {section}", _SECONDS))[section]


def test_ok__each_uncompressed_format(guest: Machine, node: str) -> None:
    found = see(guest, node, "formats")
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


def test_ok__colours_are_what_vivid_says_of_them(guest: Machine, node: str) -> None:
    for name, (said, encoding, difference) in see(guest, node, "colours").items():
        assert said == f"BT.{name}"
        assert encoding == ("ybr" if name == "601 full" else "rgb")
        assert difference <= 4, name


def test_ok__each_input(guest: Machine, node: str) -> None:
    found = see(guest, node, "inputs")
    assert {name: (*one["size"], one["interlaced"], one["rate"]) for name, one in found.items()} == {
        "webcam": (320, 180, False, 30.0),
        "television": (720, 576, True, 25.0),
        "s-video": (720, 576, True, 25.0),
        "s-video NTSC": (720, 480, True, 29.97),
        "s-video PAL": (720, 576, True, 25.0),
        "hdmi": (1280, 720, False, 60.0),
    }


def test_fail__each_fault_is_told_and_passes(guest: Machine, node: str) -> None:
    found = see(guest, node, "faults")
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
        "black no more": False,
        "unplugged": "DeviceGone",
        "plugged in again": 320,
    }


def test_ok__the_process_from_the_node_to_objects(guest: Machine, node: str) -> None:
    command = f"{_PYTHON} /run/v4l2/inside/v4l2_process.py {node} YUYV"
    found = json.loads(guest.shell.run(command, _SECONDS).splitlines()[-1])
    assert found["status"] == 0 and not found["log"]
    assert found["back"] == "Live picture."
    stills = [one for one in found["objects"] if one["frames"] == 1]
    clips = [one for one in found["objects"] if one["frames"] > 1]
    assert len(stills) == 2 and len(clips) == 2
    for one in found["objects"]:
        assert one["is_intact"]
        assert (one["photometric"], one["size"], one["format"]) == ("RGB", [640, 360], "360p15 YUYV")
        assert one["bytes"] == 640 * 360 * 3 * one["frames"]
