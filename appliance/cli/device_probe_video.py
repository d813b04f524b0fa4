"""`appliance device probe` of a grabber: signal, format, measured rate, what was lost, and a picture."""

from __future__ import annotations

import argparse
from typing import Any

from appliance.acquire.drivers import make_source
from appliance.acquire.preview import small_jpeg_from
from appliance.base.clock import SystemClock
from appliance.base.paths import Paths
from appliance.cli.device_probe import Probed, Target, write_picture
from appliance.config.devices import GrabberDevice
from appliance.devices.frame import Encoding, Frame
from appliance.devices.plugging.probe_video import VideoProbe, probe_video

_SECONDS = 3.0


def probe(target: Target, paths: Paths, given: argparse.Namespace) -> Probed:
    """Watch it; the last picture goes where `given.picture` says."""
    device = target.device if isinstance(target.device, GrabberDevice) else unconfigured_grabber(target)
    clock = SystemClock()
    result = probe_video(make_source(device, paths.run, clock), clock, given.seconds or _SECONDS)
    if result.picture is not None and given.picture is not None:
        write_picture(given.picture, picture_from(result.picture))
    return probed_from(result, target, str(given.picture) if given.picture else "")


def unconfigured_grabber(target: Target) -> GrabberDevice:
    """What is not configured is asked for what is known of it, and else for what the box would take by itself."""
    known = target.seen.known if target.seen else None
    settings: dict[str, Any] = dict(known.settings) if known else {}
    return GrabberDevice.model_validate(
        {"name": "device", "driver": "grabber", "modality": "OT", "source": target.node, **settings}
    )


def picture_from(frame: Frame) -> bytes:
    """As JPEG: as it came, or coded once, in full size."""
    return frame.data if frame.encoding is Encoding.JPEG else small_jpeg_from(frame, (frame.width, frame.height))


def probed_from(result: VideoProbe, target: Target, picture: str) -> Probed:
    """What is told of it."""
    frame = result.picture
    document: dict[str, Any] = {
        "trouble": result.trouble,
        "has_signal": frame is not None,
        "format": frame.format if frame else "",
        "width": frame.width if frame else 0,
        "height": frame.height if frame else 0,
        "is_interlaced": frame is not None and frame.is_interlaced,
        "asked_rate": frame.rate if frame else None,
        "rate": round(result.rate, 3),
        "frames": result.frames,
        "lost": result.lost,
        "damaged": result.damaged,
        "black_first": result.black_first,
        "is_black": result.is_black,
        "is_still": result.is_still,
        "picture": picture if frame else "",
    }
    notes = [f"! {result.trouble} {result.suggestion}".rstrip()] if result.trouble else []
    if frame is None:
        return Probed(False, [("signal", "no picture came")], notes, [], document)
    asked = f", asked for {frame.rate:.5g}/s" if frame.rate else ""
    kind = "interlaced" if frame.is_interlaced else "whole pictures"
    lost = f"{result.frames} frames in {result.seconds:.1f} s, {result.lost} lost, {result.damaged} damaged"
    rows = [
        ("signal", "yes"),
        ("format", f"{frame.format or frame.encoding} {frame.width}×{frame.height}, {kind}{asked}"),
        ("measured", f"{result.rate:.2f}/s: {lost}"),
        ("picture", f"{_look_of(result)}{f'; written to {picture}' if picture else ''}"),
    ]
    if result.black_first:
        notes.append(f"The first {result.black_first} pictures were black.")
    settings = _settings_from(result, frame, target)
    document["settings"] = settings
    return Probed(not result.trouble and not result.is_black, rows, notes, settings, document)


def _look_of(result: VideoProbe) -> str:
    if result.is_black:
        return "black all over"
    return "it stands still, bit for bit: is the machine live?" if result.is_still else "it moves"


def _settings_from(result: VideoProbe, frame: Frame, target: Target) -> list[str]:
    known = target.seen.known if target.seen else None
    settings = [f'hardware = "{known.hardware}"'] if known else []
    if frame.format:
        settings.append(f'formats = ["{frame.format}"]')
    settings.append(f"size = [{frame.width}, {frame.height}]")
    if result.rate:
        settings.append(f"frames_per_second = {result.usual_rate}")
    if frame.is_interlaced and frame.encoding is not Encoding.JPEG:
        settings.append("deinterlace = true   # keeps one of two fields: half the lines, no combs")
    return settings
