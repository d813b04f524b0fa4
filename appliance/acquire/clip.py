"""Recording a clip: frames go through a bounded queue to a thread that writes them to flash as they come.

Flash can stall for seconds inside fsync; the queue holds what arrives meanwhile, and when it is full the clip ends with
a finding. What is known only at the end is patched into the header's slots before the object is published.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from datetime import datetime

from appliance.acquire.gate import ExamGate, Ticket
from appliance.acquire.keeping import Kind, ObjectKeeper, Saved
from appliance.base.errors import ApplianceError
from appliance.base.uids import new_uid
from appliance.compose.encode import format_frame_time
from appliance.compose.instance import Composed, compose_clip, compose_still
from appliance.compose.pixels import PixelForm, format_ratio, fragment_header, padding, pixel_form_from
from appliance.config.schema import GrabberDevice
from appliance.devices.frame import Encoding, Frame
from appliance.spool.tree import NoRoomError
from appliance.spool.writer import ObjectWriter

_log = logging.getLogger(__name__)

SYNC_SECONDS = 1.0
_FINISH_SECONDS = 60.0


class ClipRecorder:
    """One clip from its first frame to its publication. `offer` is called by the capture loop and never blocks."""

    def __init__(
        self,
        keeper: ObjectKeeper,
        device: GrabberDevice,
        gate: ExamGate,
        ticket: Ticket,
        on_end: Callable[[ClipRecorder], None],
    ) -> None:
        """Start the writing thread. The recorder owns `ticket` from here on and ends it."""
        self.sop_instance_uid = new_uid()
        self.exam_id = ticket.exam_id
        self.started_at: datetime = ticket.captured_at
        self.notice = ""  # why the clip ended by itself, in a sentence; empty if somebody ended it
        self._keeper, self._device, self._gate, self._ticket = keeper, device, gate, ticket
        self._on_end = on_end
        self._frames: queue.Queue[Frame] = queue.Queue(maxsize=device.clip_queue_frames)
        self._ending = threading.Event()
        self._ended = threading.Event()
        self._saved: Saved | None = None
        self._trouble: ApplianceError | None = None
        self._form: PixelForm | None = None
        self._first: Frame | None = None
        self._last_timestamp = 0.0
        self._count = 0
        self._pixel_bytes = 0
        self._thread = threading.Thread(target=self._record, name="clip", daemon=True)
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        return self._ended.is_set()

    @property
    def first_frame(self) -> Frame | None:
        """The frame that the clip began with, for its thumbnail."""
        return self._first

    @property
    def seconds(self) -> float:
        """Running time of what has been recorded."""
        return self._last_timestamp - self._first.timestamp if self._first else 0.0

    def offer(self, frame: Frame) -> None:
        """Record `frame`; when the flash has stalled for as long as the queue lasts, the clip ends with what it has."""
        if self._ending.is_set():
            return
        try:
            self._frames.put_nowait(frame)
        except queue.Full:
            self.end("The flash was too slow; the clip ended early. Everything up to there is kept.")

    def end(self, notice: str = "") -> None:
        """Take no further frame; what is queued is still written."""
        if not self._ending.is_set():
            self.notice = notice
            self._ending.set()

    def result(self) -> Saved:
        """The published clip. ApplianceError when there is none, or when flash does not finish in time."""
        if not self._ended.wait(_FINISH_SECONDS):
            raise ApplianceError(
                "The clip is still being written to flash.", "It appears in the exam as soon as it is saved."
            )
        if self._trouble is not None:
            raise self._trouble
        assert self._saved is not None
        return self._saved

    def _record(self) -> None:
        try:
            self._saved = self._write()
        except ApplianceError as error:
            self._trouble = error
        except OSError as error:
            self._trouble = ApplianceError(
                f"The clip could not be written: {error.strerror}.", "Check the box's flash; nothing else was lost."
            )
        except Exception as error:  # noqa: BLE001 -- whoever waits for the clip must be told, whatever it was
            _log.exception("recording a clip failed")
            self._trouble = ApplianceError(f"The clip failed by a fault in the box ({type(error).__name__}).")
        finally:
            self._ending.set()
            self._gate.end(self._ticket)
            self._ended.set()
            self._on_end(self)

    def _write(self) -> Saved:
        first = self._next_frame(self._device.frame_seconds * 2)
        if first is None:
            raise ApplianceError("The clip has no frame; nothing was saved.", "Check that the machine gives a picture.")
        self._first = first
        self._form = form = pixel_form_from(first)
        self._keeper.ensure_room(self._device.max_frame_bytes)
        video_format = video_format_of(self._device, form, first)
        origins = self._keeper.origins(self._ticket, self.sop_instance_uid, video_format=video_format)
        composed = compose_clip(origins, form, 1000.0 / self._device.frames_per_second)
        writer = ObjectWriter(
            self._keeper.directory(self._ticket), self.sop_instance_uid, composed.header, is_patched=True
        )
        try:
            self._write_frames(writer, first)
            if self._count == 1:
                # Frame Increment Pointer is forbidden with one frame (PS3.3 C.7.6.6): it becomes a still.
                writer.abandon()
                still = compose_still(origins, form, len(first.data))
                return self._keeper.keep_whole(self._ticket, still, first.data, Kind.CLIP)
            self._patch(writer, composed)
            writer.append(composed.trailer)
            path = writer.publish()
        except BaseException:
            writer.abandon()
            raise
        return self._keeper.remember(self._ticket, path, Kind.CLIP, self._count)

    def _write_frames(self, writer: ObjectWriter, first: Frame) -> None:
        clock = self._keeper.clock
        synced = clock.monotonic()
        frame: Frame | None = first
        while True:
            if frame is not None:
                if not self._append(writer, frame) or not self._may_go_on(writer):
                    return
            elif self._ending.is_set() and self._frames.empty():
                return
            if clock.monotonic() - synced >= SYNC_SECONDS:
                writer.sync()
                synced = clock.monotonic()
            frame = self._next_frame(0.1)

    def _append(self, writer: ObjectWriter, frame: Frame) -> bool:
        """Write one fragment; false when the clip must end here."""
        assert self._first is not None
        if (frame.width, frame.height, frame.encoding) != (self._first.width, self._first.height, Encoding.JPEG):
            self.end("The machine changed its picture format; the clip ended there.")
            return False
        pad = padding(len(frame.data))
        try:
            writer.append(b"".join((fragment_header(len(frame.data) + len(pad)), frame.data, pad)))
        except OSError as error:
            writer.drop_torn_tail()
            if self._count == 0:
                raise
            self.end(f"The flash refused to take more ({error.strerror}); the clip ended early.")
            return False
        self._count += 1
        self._pixel_bytes += len(frame.data)
        self._last_timestamp = frame.timestamp
        return True

    def _may_go_on(self, writer: ObjectWriter) -> bool:
        """False when the clip has reached a limit; the notice says which."""
        if self.seconds >= self._device.max_clip_seconds:
            self.end(f"The clip reached its longest time, {self._device.max_clip_seconds:g} s, and ended.")
        elif writer.bytes_written + self._device.max_frame_bytes > self._device.max_clip_bytes:
            self.end(f"The clip reached its largest size, {self._device.max_clip_bytes // 1_000_000} MB, and ended.")
        else:
            try:
                self._keeper.ensure_room(self._device.max_frame_bytes)
            except NoRoomError as error:
                self.end(f"{error.sentence} The clip ended early.")
                return False
            return True
        return False

    def _patch(self, writer: ObjectWriter, composed: Composed) -> None:
        assert self._form is not None
        mean = self.seconds * 1000.0 / (self._count - 1)
        values = {
            "NumberOfFrames": str(self._count),
            "FrameTime": format_frame_time(mean if mean > 0 else 1000.0 / self._device.frames_per_second),
            "LossyImageCompressionRatio": format_ratio(self._form.frame_bytes * self._count, self._pixel_bytes),
        }
        for keyword, value in values.items():
            slot = composed.slots[keyword]
            writer.patch(slot.position, slot.fill(value))

    def _next_frame(self, seconds: float) -> Frame | None:
        try:
            return self._frames.get(timeout=seconds)
        except queue.Empty:
            return None


def video_format_of(device: GrabberDevice, form: PixelForm, frame: Frame) -> str:
    """Video Image Format Acquired (0018,1022), SH: `1080p30 MJPEG`."""
    encoding = "MJPEG" if frame.encoding is Encoding.JPEG else frame.encoding.upper()
    return f"{form.rows}p{device.frames_per_second:.4g} {encoding}"[:16]
