"""The acquire processes, asked over their sockets. Nothing here touches a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from appliance.base.asking import Asker, Refused, Unreachable
from appliance.base.errors import ApplianceError
from appliance.base.paths import Paths
from appliance.config.devices import Device, FilmDevice, GrabberDevice
from appliance.config.schema import Configuration
from appliance.console.closing import Drain

# A panel that polls must never wait long for a device that hangs.
_STATUS_SECONDS = 1.0
_DRAIN_SECONDS = 2.0
# Flash stalls for seconds when it erases; what was captured is answered only when it is durable.
_SAVE_SECONDS = 30.0


# What a device will be able to do when its acquire answers: the screen keeps its shape while one is away.
_KINDS = {"grabber": ["still", "clip"], "xmodem": ["transfer"], "sane": ["film"], "printer": ["page"], "text": ["page"]}


class NoSuchDeviceError(ApplianceError):
    """Nobody configured a device of this name."""


def seconds_for(device: Device, action: str) -> float:
    """How long `action` may take on `device` before its acquire counts as not answering."""
    if action == "film" and isinstance(device, FilmDevice):
        return device.scan_seconds + _SAVE_SECONDS
    if action == "clip/stop":
        return 2 * _SAVE_SECONDS  # a clip of 2 GB is synced and hashed to its end
    if isinstance(device, GrabberDevice):
        return device.frame_seconds + _SAVE_SECONDS
    return _SAVE_SECONDS


class Acquires:
    """One asker for each configured device."""

    def __init__(self, paths: Paths, configuration: Configuration) -> None:
        self._devices = {device.name: device for device in configuration.devices}
        self._askers = {
            device.name: Asker(paths.acquire_socket(device.name), _title_of(device)) for device in configuration.devices
        }
        # Two panels' status questions and one drain at a time for each device; more would only wait for each other.
        self._pool = ThreadPoolExecutor(max_workers=max(1, 3 * len(self._askers)), thread_name_prefix="ask-acquire")

    def statuses(self) -> list[dict[str, Any]]:
        """`/status` of every configured device, all asked at once; who does not answer is shown as not running."""
        return list(self._pool.map(self._status_of, self._devices.values()))

    def _status_of(self, device: Device) -> dict[str, Any]:
        known: dict[str, Any] = {
            "device": device.name,
            "title": _title_of(device),
            "modality": device.modality,
            "station": device.station_name,
        }
        if isinstance(device, GrabberDevice):
            known |= {"max_clip_seconds": device.max_clip_seconds, "lookback_seconds": device.lookback_seconds}
        try:
            return {**known, **self._askers[device.name].ask("GET", "/status", seconds=_STATUS_SECONDS)}
        except ApplianceError:
            said = f"{_title_of(device)} is not connected, or its program is just starting."
            sentence = f"{said} Plug it in and switch it on; call support if it stays so."
            absent: dict[str, Any] = {
                "state": "not running",
                "sentence": sentence,
                "progress": None,
                "findings": [],
                "captured": [],
            }
            return {**known, "kinds": _KINDS[device.driver], **absent}

    def drain(self, devices: Sequence[str], exam_id: str) -> Mapping[str, Drain]:
        """Ask `devices`, all at once, whether everything of the exam is on flash; a few seconds at most."""
        answers = self._pool.map(lambda device: self._drain_one(device, exam_id), devices)
        return dict(zip(devices, answers, strict=True))

    def _drain_one(self, device: str, exam_id: str) -> Drain:
        try:
            answer = self._askers[device].ask(
                "POST", "/drain", {"exam_id": exam_id, "seconds": _DRAIN_SECONDS}, seconds=2 * _DRAIN_SECONDS
            )
        except Unreachable:
            return Drain.SILENT
        except Refused:
            return Drain.BUSY
        return Drain.DRAINED if answer.get("drained") is True else Drain.BUSY

    def command(self, device: str, action: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST `body` to the device's `action`; its answer. Refused, Unreachable or NoSuchDeviceError."""
        asker = self._asker(device)
        return asker.ask("POST", f"/{action}", body, seconds=seconds_for(self._devices[device], action))

    def picture(self, device: str, path: str) -> bytes:
        """The JPEG that the device answers to a GET of `path`."""
        return self._asker(device).ask_bytes(path, seconds=2.0)

    def _asker(self, device: str) -> Asker:
        try:
            return self._askers[device]
        except KeyError:
            raise NoSuchDeviceError("There is no such device.", "Check the configuration.") from None

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for asker in self._askers.values():
            asker.close()


def _title_of(device: Device) -> str:
    return device.title or device.name
