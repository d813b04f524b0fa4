"""The performed steps that this hospital knows, one DICOM JSON file each (PS3.18 Annex F): a restart keeps them."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from pydicom.dataset import Dataset

from appliance.base.durable import make_directory, replace_file
from appliance.simulator.hospital.step_rules import (
    DUPLICATE_INSTANCE,
    INVALID_INSTANCE,
    NO_SUCH_INSTANCE,
    Refusal,
    refusal_of_creation,
    refusal_of_update,
    step_from_update,
)
from appliance.simulator.hospital.uid_names import is_uid


class StepLedger:
    """Creates and updates steps under the rules; a step is on disk before its request is answered."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        make_directory(directory)

    def create(self, uid: str, attributes: Dataset) -> Refusal | None:
        """Keep a new step under its SOP Instance UID; None when it is kept. OSError when the disk fails."""
        if not is_uid(uid):
            return Refusal(INVALID_INSTANCE, "The SOP Instance UID is no UID")
        with self._lock:
            if self._path(uid).exists():
                return Refusal(DUPLICATE_INSTANCE, "This performed procedure step exists already")
            refusal = refusal_of_creation(attributes)
            if refusal is None:
                self._write(uid, attributes)
            return refusal

    def update(self, uid: str, changes: Dataset) -> Refusal | None:
        """Apply an N-SET to a step that exists; None when it is applied. OSError when the disk fails."""
        with self._lock:
            step = self.read(uid)
            if step is None:
                return Refusal(NO_SUCH_INSTANCE, "There is no such performed procedure step")
            refusal = refusal_of_update(step, changes)
            if refusal is None:
                self._write(uid, step_from_update(step, changes))
            return refusal

    def read(self, uid: str) -> Dataset | None:
        """The step as it stands, None when there is none."""
        if not is_uid(uid) or not self._path(uid).exists():
            return None
        return Dataset.from_json(self._path(uid).read_text(encoding="utf-8"))

    def _path(self, uid: str) -> Path:
        return self._directory / f"{uid}.json"

    def _write(self, uid: str, step: Dataset) -> None:
        text = json.dumps(step.to_json_dict(), ensure_ascii=False, indent=1, sort_keys=True)
        replace_file(self._path(uid), text.encode())
