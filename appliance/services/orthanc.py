"""Debian's Orthanc as the demo's worklist, archive and commitment provider, with the simulated hospital's schedule.

Runs Orthanc as a child with a configuration written here; ends when it is told to, or when Orthanc ends.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import signal
import subprocess
import sys
import threading
from datetime import date
from pathlib import Path
from typing import Any

from pydicom import dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from appliance.base.clock import SystemClock
from appliance.base.errors import ApplianceError
from appliance.base.log import configure_logging
from appliance.base.notify import notify_ready, notify_stopping
from appliance.base.sockets import is_listening, pick_free_port
from appliance.base.uids import uid_from_parts
from appliance.simulator.hospital.worklist_items import items_of_day

_log = logging.getLogger(__name__)

_START_SECONDS = 40.0
_STOP_SECONDS = 10.0
_PLUGIN = Path("/usr/share/orthanc/plugins/libModalityWorklists.so")
_WORKLIST_CLASS = "1.2.840.10008.5.1.4.31"


def main(arguments: list[str]) -> int:
    """Run until told to stop; 1 with a sentence when Orthanc cannot start or ends by itself."""
    parser = argparse.ArgumentParser(prog="appliance.services.orthanc", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="where Orthanc keeps everything")
    parser.add_argument("--port", type=int, required=True, help="its DICOM port")
    parser.add_argument("--ae-title", default="ORTHANC")
    parser.add_argument("--box-ae", default="BRIDGE")
    parser.add_argument("--box-host", default="127.0.0.1")
    parser.add_argument("--box-port", type=int, default=11119)
    given = parser.parse_args(arguments)
    configure_logging("orthanc")
    try:
        return run_orthanc(given)
    except ApplianceError as error:
        _log.critical("%s", error)
        return 1


def run_orthanc(given: argparse.Namespace) -> int:
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/bin")
    if program is None or not _PLUGIN.exists():
        raise ApplianceError("Orthanc or its worklist plugin is not installed.", "Install Debian's package orthanc.")
    worklists = given.directory / "worklists"
    write_worklist(worklists, SystemClock().now().date(), given.box_ae)
    http_port = pick_free_port()
    configuration = given.directory / "orthanc.json"
    configuration.write_text(json.dumps(_configuration_of(given, worklists, http_port), indent=1), encoding="utf-8")
    (given.directory / "http-port").write_text(f"{http_port}\n", encoding="ascii")

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    clock = SystemClock()
    deadline = clock.monotonic() + _START_SECONDS
    process = subprocess.Popen([program, str(configuration)], stdin=subprocess.DEVNULL)
    try:
        is_ready = False
        while process.poll() is None and not stop.wait(0.1):
            if not is_ready and is_listening(given.port) and is_listening(http_port):
                is_ready = True
                notify_ready(f"Orthanc listens on port {given.port}.")
            if not is_ready and clock.monotonic() > deadline:
                raise ApplianceError(f"Orthanc does not listen on port {given.port}.", "See its log above.")
    finally:
        notify_stopping()
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return 0 if stop.is_set() else 1


def write_worklist(directory: Path, day: date, box_ae: str) -> None:
    """The schedule of `day` as the files that Orthanc's worklist plugin serves; those of other days go."""
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob("*.wl"):
        old.unlink()
    for number, item in enumerate(items_of_day(day, box_ae), start=1):
        item.file_meta = FileMetaDataset()
        item.file_meta.MediaStorageSOPClassUID = UID(_WORKLIST_CLASS)
        item.file_meta.MediaStorageSOPInstanceUID = UID(uid_from_parts("worklist-file", day.isoformat(), str(number)))
        item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dcmwrite(directory / f"{number:02}.wl", item, enforce_file_format=True)


def _configuration_of(given: argparse.Namespace, worklists: Path, http_port: int) -> dict[str, Any]:
    box = {
        "AET": given.box_ae,
        "Host": given.box_host,
        "Port": given.box_port,
        "AllowEcho": True,
        "AllowStore": True,
        "AllowFind": True,
        "AllowFindWorklist": True,
        "AllowStorageCommitment": True,
        "AllowNAction": True,
        "AllowNEventReport": True,
    }
    database = str(given.directory / "database")
    return {
        "Name": "ARCHIVE",
        "StorageDirectory": database,
        "IndexDirectory": database,
        "HttpServerEnabled": True,
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomServerEnabled": True,
        "DicomAet": given.ae_title,
        "DicomPort": given.port,
        "MaximumPduLength": 131072,
        "OverwriteInstances": True,
        "DicomAlwaysAllowFind": False,
        "UnknownSopClassAccepted": False,
        "DicomScpTimeout": 30,
        "DicomScuTimeout": 10,
        "DicomModalities": {"bridge": box},
        "StorageCommitmentReportsSize": 100,
        "Plugins": [str(_PLUGIN)],
        "Worklists": {"Enable": True, "Database": str(worklists), "FilterIssuerAet": False, "LimitAnswers": 0},
        # Otherwise the worklist plugin recodes names to Latin-1 and loses Japanese.
        "DefaultEncoding": "Utf8",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
