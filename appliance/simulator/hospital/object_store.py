"""The objects that this hospital holds, each exactly as it was received, and the conflicts that it noticed."""

from __future__ import annotations

import hashlib
import threading
from enum import StrEnum
from pathlib import Path

from pydicom.filereader import read_file_meta_info

from appliance.base.durable import TEMPORARY_PREFIX, make_directory, write_once
from appliance.simulator.hospital.uid_names import is_uid


class Kept(StrEnum):
    """What became of a received object."""

    NEW = "new"
    AGAIN = "again"  # the same bytes once more
    CONFLICT = "conflict"  # other bytes under a UID that is taken


class ObjectStore:
    """`objects/UID.dcm` for the first of each UID, `conflicts/UID~DIGEST.dcm` for whatever differs from it later."""

    def __init__(self, directory: Path) -> None:
        self._objects = directory / "objects"
        self._conflicts = directory / "conflicts"
        # One object at a time: temporary names carry the process only, and two associations may bring one UID.
        self._lock = threading.Lock()
        for each in (self._objects, self._conflicts):
            make_directory(each)
            for leftover in each.glob(f"{TEMPORARY_PREFIX}*"):
                leftover.unlink()

    def keep(self, sop_instance_uid: str, data: bytes) -> Kept:
        """Make a whole DICOM file durable. ValueError for what is no UID, OSError when the disk fails."""
        if not is_uid(sop_instance_uid):
            raise ValueError("the SOP Instance UID is no UID")
        path = self._path(sop_instance_uid)
        with self._lock:
            if write_once(path, data):
                return Kept.NEW
            if path.read_bytes() == data:
                return Kept.AGAIN
            digest = hashlib.sha256(data).hexdigest()[:16]
            write_once(self._conflicts / f"{sop_instance_uid}~{digest}.dcm", data)
            return Kept.CONFLICT

    def class_of(self, sop_instance_uid: str) -> str | None:
        """The SOP Class UID under which an object is held, None when it is not."""
        if not is_uid(sop_instance_uid) or not self._path(sop_instance_uid).exists():
            return None
        return str(read_file_meta_info(self._path(sop_instance_uid)).MediaStorageSOPClassUID)

    def _path(self, sop_instance_uid: str) -> Path:
        return self._objects / f"{sop_instance_uid}.dcm"
