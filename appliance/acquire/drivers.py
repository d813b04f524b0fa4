"""What a device of the configuration makes of its line, its source or its digitizer: the drivers, each as it is set."""

from __future__ import annotations

import os
import re
from pathlib import Path

from appliance.base.clock import Clock
from appliance.config.devices import FilmDevice, GrabberDevice, LineDevice, PrinterDevice, SerialDevice, TalkingDevice
from appliance.devices.film.options import FilmOptions
from appliance.devices.printer.paper import PaperSize
from appliance.devices.serial.line import Flow, Parity, SerialLine, Transcript
from appliance.devices.video.layout import Area
from appliance.devices.video.source import VideoSource
from appliance.devices.video.stream import StreamGrabber
from appliance.devices.video.v4l2_mode import CaptureWish
from appliance.devices.video.v4l2_stream import V4l2Grabber

_USB_NODE = re.compile(r"/dev/bus/usb/([0-9]{3})/([0-9]{3})")


def transcript_for(device: LineDevice) -> Transcript | None:
    """Where what goes over the device's line is kept, if that is configured."""
    return Transcript(device.transcript_bytes) if device.transcript_bytes else None


def line_from(device: SerialDevice | TalkingDevice, run: Path, clock: Clock) -> SerialLine:
    """The line on which `device` speaks; a relative path is below `run`."""
    path, transcript = str(run / device.line), transcript_for(device)
    if isinstance(device, SerialDevice):
        return SerialLine(path, clock, baud=device.baud, name=device.name, transcript=transcript)
    return SerialLine(
        path,
        clock,
        baud=device.baud,
        data_bits=device.data_bits,
        parity=Parity[device.parity.upper()],
        flow=Flow(device.flow),
        name=device.name,
        transcript=transcript,
    )


def paper_size_from(device: PrinterDevice) -> PaperSize:
    """The paper that is in the printer."""
    return PaperSize(
        width_mm=device.paper_width_mm,
        height_mm=device.paper_height_mm,
        dpi=device.page_dpi,
        max_pixels=device.max_pixels,
        max_pages=device.max_pages,
    )


def make_source(device: GrabberDevice, run: Path, clock: Clock) -> VideoSource:
    """The kernel's video node, or the socket of another process; relative paths are below `run`."""
    crop = Area(*device.crop) if device.crop else None
    masks = tuple(Area(*one) for one in device.masks)
    if not device.is_video_node:
        path = str(run / device.source)
        return StreamGrabber(path, device.max_frame_bytes, clock, device.name, crop=crop, masks=masks)
    wish = CaptureWish(
        formats=device.formats,
        rate=device.frames_per_second,
        max_frame_bytes=device.max_frame_bytes,
        is_diagnostic=device.quality == "diagnostic",
        input=device.input,
        standard=device.standard,
        size=device.size,
        crop=crop,
        masks=masks,
        deinterlace=device.deinterlace,
        controls=tuple(device.controls.items()),
    )
    return V4l2Grabber(str(device.source), wish, clock, device.name)


def film_options_from(device: FilmDevice, run: Path) -> FilmOptions:
    """What the digitizer is asked for, from its configuration; relative paths are below `run`."""
    directory = device.sane_config_directory
    return FilmOptions(
        device=sane_name_from(device.sane_device),
        resolution_dpi=device.resolution_dpi,
        width_mm=device.width_mm,
        height_mm=device.height_mm,
        depth=device.depth,
        source=device.source,
        left_mm=device.left_mm,
        top_mm=device.top_mm,
        extra=device.options,
        config_directory=run / directory if directory else None,
        name=device.name,
        max_bytes=device.max_bytes,
        warm_up=device.stall_seconds,
        stall=device.stall_seconds,
        total=device.scan_seconds,
    )


def sane_name_from(configured: str) -> str:
    """`epson2:/dev/appliance/film` as SANE has it now, `epson2:libusb:001:009`: its number changes with every plug.

    Anything else, and a digitizer that is not plugged in, comes back as it is.
    """
    backend, _, node = configured.partition(":/dev/")
    if not node:
        return configured
    match = _USB_NODE.fullmatch(os.path.realpath(f"/dev/{node}"))
    return f"{backend}:libusb:{match[1]}:{match[2]}" if match else configured
