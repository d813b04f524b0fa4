"""What each kind of device makes the box propose to an archive."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.config.devices import GrabberDevice
from appliance.config.schema import Configuration, Destination
from appliance.forward.proposals import proposals_for

STILL, BYTE, WORD, COLOUR = (f"1.2.840.10008.5.1.4.1.1.7{rest}" for rest in ("", ".2", ".3", ".4"))
JPEG, NATIVE = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.1"
ARCHIVE = Destination(name="archive", ae_title="ARCHIVE", host="pacs", port=104, commitment=False)


@pytest.mark.parametrize(
    ("source", "formats", "expected"),
    [
        ("grabber.sock", None, {(STILL, JPEG), (COLOUR, JPEG)}),
        ("/dev/video0", None, {(STILL, JPEG), (COLOUR, JPEG), (STILL, NATIVE), (COLOUR, NATIVE)}),
        ("/dev/video0", ["MJPEG"], {(STILL, JPEG), (COLOUR, JPEG)}),
        ("/dev/video0", ["YUYV", "GREY"], {(STILL, NATIVE), (COLOUR, NATIVE)}),
        ("/dev/video0", ["GREY"], {(STILL, NATIVE), (BYTE, NATIVE)}),
        ("/dev/video0", ["Y16", "Y12"], {(STILL, NATIVE), (WORD, NATIVE)}),
    ],
)
def test_ok__a_grabber(source: str, formats: list[str] | None, expected: set[tuple[str, str]]) -> None:
    more = {"formats": formats} if formats else {}
    device = GrabberDevice.model_validate(
        {"name": "endoscope", "driver": "grabber", "source": Path(source), "modality": "ES", **more}
    )
    proposals = proposals_for([ARCHIVE], Configuration(devices=(device,), destinations=(ARCHIVE,)))
    wanted = {one.context.abstract_syntax for one in proposals if one.context.abstract_syntax.startswith(STILL)}
    assert wanted == {sop_class for sop_class, _ in expected}
    needs = {need for one in proposals for need in one.needs if need.startswith("Every")}
    assert len(needs) == len(expected)
    assert all(any(word in need for need in needs) for _, syntax in expected for word in [_WORDS[syntax]])


_WORDS = {JPEG: "JPEG Baseline", NATIVE: "Explicit VR Little Endian"}
