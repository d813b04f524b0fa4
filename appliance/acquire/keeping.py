"""A frame becomes a durable object: compose the header, write it and the pixels once, publish, and only then answer."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from appliance.acquire.gate import Ticket
from appliance.base.clock import Clock
from appliance.base.durable import make_directory, sync_directory
from appliance.base.errors import ApplianceError
from appliance.base.uids import new_uid
from appliance.compose.document import compose_document
from appliance.compose.instance import Composed, Origins, compose_still
from appliance.compose.pixels import pixel_form_from
from appliance.config.devices import Device
from appliance.config.schema import Box
from appliance.devices.frame import Frame
from appliance.spool.names import object_name_from
from appliance.spool.room import largest_capture_bytes
from appliance.spool.summary import highest_instance_number
from appliance.spool.tree import Spool, ensure_room, list_objects
from appliance.spool.writer import ObjectWriter

_log = logging.getLogger(__name__)

_REMEMBERED = 64


class Kind(StrEnum):
    """What was captured."""

    STILL = "still"
    CLIP = "clip"
    TRANSFER = "transfer"
    FILM = "film"
    PAGE = "page"


@dataclass(frozen=True, slots=True)
class Saved:
    """An object that is durable on this box. `captured_at` and `saved_at` are the box's wall clock, aware."""

    sop_instance_uid: str
    kind: Kind
    exam_id: str | None
    file_name: str
    captured_at: datetime
    saved_at: datetime
    frames: int
    bytes: int


class ObjectKeeper:
    """Writes the objects of one device. Thread-safe: a still may be taken while a clip is being written."""

    def __init__(self, spool: Spool, box: Box, device: Device, clock: Clock, captures_bytes: int | None = None) -> None:
        """`captures_bytes` is what the largest captures of all the box's devices take at once; None: of this one."""
        self._captures_bytes = largest_capture_bytes(device) if captures_bytes is None else captures_bytes
        self.device = device
        self.clock = clock
        self._spool = spool
        self._box = box
        self._numbers: dict[str, int] = {}
        self._counted: set[str] = set()
        self._lock = threading.Lock()
        self._made: set[Path] = set()
        self._saved: OrderedDict[str, Saved] = OrderedDict()

    def directory(self, ticket: Ticket) -> Path:
        """Where this ticket's objects are born."""
        return self._spool.captured(self.device.name, ticket.exam_id)

    @property
    def quarantine(self) -> Path:
        """Where damaged files go."""
        return self._spool.quarantine

    def begin(self, ticket: Ticket, uid: str, header: bytes, *, is_patched: bool = False) -> ObjectWriter:
        """The writer of an object in the ticket's directory, which is made if it has to be. OSError."""
        directory = self.directory(ticket)
        if directory not in self._made or not directory.is_dir():
            # Synced once by this process, also where the one before it made it: that may not have come to its sync.
            make_directory(directory)
            self._made.add(directory)
        return ObjectWriter(directory, uid, header, is_patched=is_patched)

    def check(self, ticket: Ticket) -> None:
        """ApplianceError unless the ticket's exam was opened for this device as it is now."""
        exam, device = ticket.exam, self.device
        if exam is not None and (device.name, device.modality) not in {
            (one.device, one.modality) for one in exam.series
        }:
            raise ApplianceError(
                f"{device.title or device.name} was set up after this exam was opened.",
                "End the exam and open it again to use the device.",
            )

    def origins(
        self, ticket: Ticket, uid: str, *, video_format: str = "", digital_format: str = "", printed_text: str = ""
    ) -> Origins:
        """Whose the object is and where it comes from. ApplianceError as `check`."""
        self.check(ticket)
        return Origins(
            exam=ticket.exam,
            device=self.device,
            box=self._box,
            sop_instance_uid=uid,
            captured_at=ticket.captured_at,
            is_clock_trusted=ticket.is_clock_trusted,
            instance_number=self._next_number(ticket),
            video_format=video_format,
            digital_format=digital_format,
            printed_text=printed_text,
        )

    def ensure_room(self) -> None:
        """NoRoomError unless this capture and one of every other device fit above the reserve (`spool.room`)."""
        ensure_room(self._spool.state, self._captures_bytes, self._box.reserve_bytes)

    def keep_still(
        self,
        ticket: Ticket,
        frame: Frame,
        kind: Kind,
        *,
        uid: str | None = None,
        video_format: str = "",
        digital_format: str = "",
        printed_text: str = "",
    ) -> Saved:
        """Make `frame` a durable Secondary Capture Image. NoRoomError before flash is full, OSError when it fails."""
        self.ensure_room()
        form = pixel_form_from(frame)
        origins = self.origins(
            ticket,
            uid or new_uid(),
            video_format=video_format,
            digital_format=digital_format,
            printed_text=printed_text,
        )
        composed = compose_still(origins, form, len(frame.data), frame.lossy_bytes)
        return self.keep_whole(ticket, composed, frame.data, kind)

    def keep_document(self, ticket: Ticket, title: str, pdf: bytes, kind: Kind, *, uid: str) -> Saved:
        """Make the PDF file `pdf` a durable Encapsulated PDF. Raises as `keep_still`."""
        self.ensure_room()
        composed = compose_document(self.origins(ticket, uid), title, len(pdf))
        return self.keep_whole(ticket, composed, pdf, kind)

    def has(self, ticket: Ticket, uid: str) -> bool:
        """Whether the ticket's exam has this object already; then its name is made durable. OSError."""
        directory = self.directory(ticket)
        if all(name.sop_instance_uid != uid for _, name in list_objects(directory)):
            return False
        sync_directory(directory)  # what published it may have been cut off, or failed, before its own sync
        return True

    def keep_whole(self, ticket: Ticket, composed: Composed, pixels: bytes, kind: Kind) -> Saved:
        """Write a composed object whose pixels are all here."""
        writer = self.begin(ticket, composed.sop_instance_uid, composed.header)
        try:
            writer.append(pixels)
            writer.append(composed.trailer)
            path = writer.publish()
        except BaseException:
            writer.abandon()
            raise
        return self.remember(ticket, path, kind, 1, writer.bytes_written)

    def remember(self, ticket: Ticket, path: Path, kind: Kind, frames: int, size: int) -> Saved:
        """Note what has just been published, for the answer and for the panel's strip."""
        name = object_name_from(path.name)
        assert name is not None
        saved = Saved(
            sop_instance_uid=name.sop_instance_uid,
            kind=kind,
            exam_id=ticket.exam_id,
            file_name=path.name,
            captured_at=ticket.captured_at,
            saved_at=self.clock.now(),
            frames=frames,
            bytes=size,
        )
        with self._lock:
            self._counted.add(path.name)
            self._saved[saved.sop_instance_uid] = saved
            while len(self._saved) > _REMEMBERED:
                self._saved.popitem(last=False)
        _log.info(
            "saved %s %s for exam %s, %d bytes", kind, saved.sop_instance_uid, ticket.exam_id or "none", saved.bytes
        )
        return saved

    def recently_saved(self) -> list[Saved]:
        """The last objects since this process started, oldest first."""
        with self._lock:
            return list(self._saved.values())

    def _next_number(self, ticket: Ticket) -> int:
        """Instance Number (0020,0013): counts the device's captures of the exam, across restarts too.

        What belongs to no exam is in a series of its own. The console may have put objects there that were captured for
        none, or for another patient: those are looked at too.
        """
        if ticket.exam_id is None:
            return 1
        with self._lock:
            if ticket.exam_id not in self._numbers:
                self._numbers, self._counted = {ticket.exam_id: 0}, set()
            here = [path for path, _ in list_objects(self.directory(ticket)) if path.name not in self._counted]
            self._counted.update(path.name for path in here)
            self._numbers[ticket.exam_id] = 1 + max(self._numbers[ticket.exam_id], highest_instance_number(here))
            return self._numbers[ticket.exam_id]
