"""Real peers in processes of their own, on free ports, and files for them: what tests of several rooms start from."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from appliance.base.uids import new_uid
from tests.certificates import Credentials
from tests.ports import pick_free_port

DEADLINE = 40.0
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def wait_until(is_true: Callable[[], object], what: str = "the condition", seconds: float = DEADLINE) -> None:
    """Poll until `is_true` gives something true; the test fails with `what` when it does not within `seconds`."""
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Peer:
    """A running program and the port that it answers on."""

    name: str
    command: list[str]
    port: int
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    directory: Path | None = None
    process: subprocess.Popen[bytes] | None = None

    def start(self, is_ready: Callable[[], bool] | None = None) -> Peer:
        """Start it, or start it again, and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, **self.environment}
            )
        ready = is_ready or (lambda: is_listening(self.port))
        wait_until(lambda: self.process.poll() is not None or ready(), f"{self.name} answers on port {self.port}")
        assert self.process.poll() is None, f"{self.name} ended:\n{self.log.read_text(errors='replace')}"
        return self

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it and give its exit status; killed when it does not end by itself."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait(DEADLINE)

    def kill(self) -> None:
        self.stop(signal.SIGKILL)


@contextlib.contextmanager
def running(peer: Peer, *more_ports: int) -> Iterator[Peer]:
    """`peer` while the block lasts, which answers on `more_ports` too."""
    peer.start(lambda: all(map(is_listening, (peer.port, *more_ports))))
    try:
        yield peer
    finally:
        peer.stop()


@dataclass
class Orthanc(Peer):
    """Debian's Orthanc: worklist, archive and commitment provider. Its REST interface tells what it has."""

    http_port: int = 0

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=10) as answer:
            return json.load(answer)

    def stored(self) -> dict[str, str]:
        """SOP Instance UID → Orthanc's own identifier, of all objects that it has."""
        return {self.ask(f"/instances/{one}")["MainDicomTags"]["SOPInstanceUID"]: one for one in self.ask("/instances")}

    def file(self, identifier: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/instances/{identifier}/file") as answer:
            return bytes(answer.read())


def start_orthanc(
    directory: Path,
    *,
    box_ae: str = "BRIDGE",
    box_port: int,
    worklist: tuple[bytes, ...] = (),
    port: int = 0,
    tls: Credentials | None = None,
    takes_jpeg: bool = True,
    without: str = "",
) -> Orthanc:
    """Orthanc with its own directories, not started: use `running`. `worklist` holds data sets as `.wl` files.

    With `tls` it speaks mutual TLS on its port and to the box's, and nothing else. `without` switches one service off
    for the box: Echo, Store, FindWorklist or StorageCommitment.
    """
    directory.mkdir(parents=True, exist_ok=True)
    items = directory / "worklists"
    items.mkdir(exist_ok=True)
    for number, content in enumerate(worklist):
        (items / f"{number}.wl").write_bytes(content)
    port, http_port = port or pick_free_port(), pick_free_port()
    configuration = {
        "Name": "ARCHIVE",
        "StorageDirectory": str(directory / "db"),
        "IndexDirectory": str(directory / "db"),
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": "ORTHANC",
        "DicomPort": port,
        "DicomCheckCalledAet": False,
        "MaximumPduLength": 131072,
        "OverwriteInstances": True,
        "StorageCompression": False,
        "DicomAlwaysAllowEcho": without != "Echo",
        "DicomAlwaysAllowStore": without != "Store",
        "DicomAlwaysAllowFindWorklist": without != "FindWorklist",
        "DicomScuTimeout": 10,
        "DicomModalities": {
            "bridge": {
                "AET": box_ae,
                "Host": "127.0.0.1",
                "Port": box_port,
                **{
                    f"Allow{service}": service != without
                    for service in ("Echo", "Store", "FindWorklist", "StorageCommitment")
                },
                "UseDicomTls": tls is not None,
            }
        },
        "Plugins": ["/usr/share/orthanc/plugins/libModalityWorklists.so"],
        "Worklists": {"Enable": True, "Database": str(items), "FilterIssuerAet": False, "LimitAnswers": 0},
        # Otherwise it recodes worklist names to Latin-1, and Japanese ones are lost.
        "DefaultEncoding": "Utf8",
        "JpegTransferSyntaxAccepted": takes_jpeg,
        **(tls.orthanc_options() if tls else {}),
    }
    file = directory / "orthanc.json"
    file.write_text(json.dumps(configuration))
    return Orthanc("Orthanc", ["/usr/sbin/Orthanc", str(file)], port, directory / "log", http_port=http_port)


def start_hospital(directory: Path, *arguments: str, box_port: int, port: int = 0, box_ae: str = "BRIDGE") -> Peer:
    """The simulated hospital, not started: use `running`. Its objects and steps lie below `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    port = port or pick_free_port()
    own = ["--directory", str(directory), "--port", str(port), "--box-port", str(box_port), "--box-ae", box_ae]
    return Peer(
        "the hospital",
        [sys.executable, "-m", "appliance.services.hospital", *own, *arguments],
        port,
        directory.with_suffix(".log"),
        {"PYTHONPATH": str(Path(__file__).parents[1])},
        directory,
    )


def start_storescp(directory: Path, *arguments: str, accepts: str = "+xa") -> Peer:
    """DCMTK's storage SCP, not started: keeps what it gets in `directory`. `accepts`: every transfer syntax (+xa),
    uncompressed ones (+x=), implicit VR little endian alone (+xi).
    """
    directory.mkdir(parents=True, exist_ok=True)
    port = pick_free_port()
    command = ["/usr/bin/storescp", accepts, "-od", str(directory), *arguments, str(port)]
    # DCMTK leaves Nagle on otherwise; its own pynetdicom namesake would come first in a virtual environment's PATH.
    return Peer("storescp", command, port, directory.with_suffix(".log"), {"TCP_NODELAY": "1"}, directory)


def start_wlmscpfs(directory: Path, called_ae: str, *items: bytes) -> Peer:
    """DCMTK's worklist SCP, not started, which keeps each item's Specific Character Set."""
    folder = directory / called_ae
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lockfile").touch()
    for number, content in enumerate(items):
        (folder / f"{number}.wl").write_bytes(content)
    port = pick_free_port()
    command = ["/usr/bin/wlmscpfs", "-csk", "-dfp", str(directory), str(port)]
    return Peer("wlmscpfs", command, port, directory.with_suffix(".log"), {"TCP_NODELAY": "1"}, directory)


def worklist_file(
    directory: Path,
    *,
    character_set: str,
    name: bytes,
    number: int = 1,
    modality: str = "US",
    day: date | None = None,
    patient_id: str = "",
) -> bytes:
    """A worklist entry made by DCMTK's dump2dcm; `name` is the PN in the bytes of `character_set` (empty: absent)."""
    day = day or date.today()
    source = directory / f"item-{number}.dump"
    target = source.with_suffix(".wl")
    lines = [
        f"(0008,0005) CS [{character_set}]".encode() if character_set else b"",
        f"(0008,0050) SH [ACC{number:05}]".encode(),
        b"(0010,0010) PN [" + name + b"]",
        f"(0010,0020) LO [{patient_id or f'PID{number:05}'}]".encode(),
        b"(0010,0030) DA [19800101]",
        b"(0010,0040) CS [F]",
        f"(0020,000d) UI [1.2.276.0.7230010.3.2.{number}]".encode(),
        b"(0032,1060) LO [ABDOMEN]",
        f"(0040,1001) SH [RP{number:05}]".encode(),
        b"(0040,0100) SQ",
        b"(fffe,e000) na",
        f"(0008,0060) CS [{modality}]".encode(),
        b"(0040,0001) AE [BRIDGE]",
        f"(0040,0002) DA [{day:%Y%m%d}]".encode(),
        b"(0040,0003) TM [101500]",
        b"(0040,0007) LO [ABDOMEN]",
        f"(0040,0009) SH [SPS{number:05}]".encode(),
        b"(fffe,e00d) na",
        b"(fffe,e0dd) na",
    ]
    source.write_bytes(b"\n".join(line for line in lines if line) + b"\n")
    subprocess.run(["/usr/bin/dump2dcm", "-q", source, target], check=True, timeout=30)
    return target.read_bytes()


def small_object(
    *, uid: str = "", patient_id: str = "HS-999999", name: str = "Nobody^At All", size: int = 8
) -> Dataset:
    """A valid gray Secondary Capture of `size` by `size` pixels."""
    instance = Dataset()
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    instance.SOPClassUID = UID(SECONDARY_CAPTURE)
    instance.SOPInstanceUID = UID(uid or new_uid())
    instance.StudyInstanceUID = UID(new_uid())
    instance.SeriesInstanceUID = UID(new_uid())
    instance.StudyDate = instance.DateOfSecondaryCapture = "20261122"
    instance.StudyTime = instance.TimeOfSecondaryCapture = "093000.250000"
    instance.AccessionNumber = "ACC00001"
    instance.StudyID = instance.ReferringPhysicianName = instance.PatientOrientation = ""
    instance.SeriesNumber = instance.InstanceNumber = 1
    instance.Modality = "US"
    instance.ConversionType = "DV"
    instance.PatientName = name
    instance.PatientID = patient_id
    instance.PatientBirthDate = "19800101"
    instance.PatientSex = "F"
    instance.ReferencedPerformedProcedureStepSequence = Sequence()
    instance.SamplesPerPixel = 1
    instance.PhotometricInterpretation = "MONOCHROME2"
    instance.Rows = instance.Columns = size
    instance.BitsAllocated = instance.BitsStored = 8
    instance.HighBit = 7
    instance.PixelRepresentation = 0
    instance.PixelData = bytes(index % 251 for index in range(256)) * (size * size // 256 + 1)
    instance.PixelData = instance.PixelData[: size * size]
    return instance


def save_object(directory: Path, instance: Dataset) -> Path:
    """`instance` as a DICOM file with an object's name, as the box names what it publishes."""
    from appliance.spool.names import ObjectName, digest_of

    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f".part-{instance.SOPInstanceUID}~0"
    instance.save_as(path, enforce_file_format=True)
    target = directory / str(ObjectName(instance.SOPInstanceUID, 0, digest_of(path, 0)))
    path.rename(target)
    return target
