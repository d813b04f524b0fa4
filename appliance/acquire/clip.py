"""Recording a clip: frames go through a bounded queue to a thread that writes them to flash as they come.

Flash can stall for seconds inside fsync; the queue holds what arrives meanwhile, and when it is full the clip ends with
a finding. What is known only at the end is patched into the header's slots before the object is published.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from appliance.acquire.frame_queue import FrameQueue
from appliance.acquire.gate import ExamGate, Ticket
from appliance.acquire.keeping import Kind, ObjectKeeper, Saved
from appliance.acquire.torn_clip import mend_clip, renew_file
from appliance.base.clock import Deadline
from appliance.base.errors import ApplianceError
from appliance.base.flash import flash_error_from, reason_of
from appliance.base.uids import new_uid
from appliance.compose.encode import format_frame_time
from appliance.compose.instance import MAX_NATIVE_BYTES, Composed, compose_clip, compose_still
from appliance.compose.pixels import (
    ITEM_HEADER_BYTES,
    PixelForm,
    format_ratio,
    fragment_header,
    native_length,
    padding,
    pixel_form_from,
)
from appliance.config.devices import GrabberDevice
from appliance.devices.errors import BadFrame
from appliance.devices.frame import Encoding, Frame
from appliance.devices.video.pixels import stored_from
from appliance.spool.tree import NoRoomError
from appliance.spool.writer import ObjectWriter

_log = logging.getLogger(__name__)

# Looked at after each frame, and each _LOOK_SECONDS while none comes: a sync begins within a second of the one before.
SYNC_SECONDS = 0.8
_LOOK_SECONDS = 0.1
_FINISH_SECONDS = 60.0
# So many digits lie in one sector of the file, wherever the slot is; frames behind them are looked at by a salvage.
_MOST_COUNTED = 999_999


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
        """`on_end` is called in the writing thread, before `result` answers. Nothing happens until `start`."""
        self.sop_instance_uid = new_uid()
        self.exam_id = ticket.exam_id
        self.notice = ""  # why the clip ended by itself, in a sentence; empty if somebody ended it
        self.faults: set[str] = set()  # what was wrong with the picture meanwhile: it "was black"
        self.left_out = 0  # frames that were damaged, so that they could not be cropped or masked
        self._keeper, self._device, self._gate, self._ticket = keeper, device, gate, ticket
        self._on_end = on_end
        self._frames = FrameQueue(device.clip_queue_frames, device.clip_queue_bytes)
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

    def start(self) -> None:
        """Begin to write. The recorder owns the ticket from here on and ends it."""
        self._thread.start()

    @property
    def first_frame(self) -> Frame | None:
        """The frame that the clip began with, for its thumbnail."""
        return self._first

    @property
    def trouble(self) -> ApplianceError | None:
        """Why there is no clip; None while it is recorded, and when it was saved."""
        return self._trouble

    @property
    def saved(self) -> Saved | None:
        """The published clip, if there is one."""
        return self._saved

    @property
    def is_over(self) -> bool:
        """Whether it takes no further frame; what is queued may still be on its way to flash."""
        return self._ending.is_set()

    @property
    def seconds(self) -> float:
        """Running time of what has been recorded."""
        first = self._first
        return max(0.0, self._last_timestamp - first.timestamp) if first is not None else 0.0

    def offer(self, frame: Frame) -> None:
        """Record `frame`; when the flash has stalled for as long as the queue lasts, the clip ends with what it has."""
        if self._ending.is_set():
            return
        if not self._frames.offer(frame):
            # What is cropped or masked takes the processor's time too.
            slow = "The flash was too slow; the clip ended early."
            if frame.edit is not None:
                slow = "The flash, or the box at cropping and masking, was too slow; the clip ended early."
            self.end(f"{slow} Everything up to there is kept.")

    def end(self, notice: str = "") -> None:
        """Take no further frame; what is queued is still written."""
        if not self._ending.is_set():
            self.notice = notice
            self._ending.set()

    def _end_here(self, notice: str) -> None:
        """Nothing more is written, for a reason that counts whoever has ended the clip meanwhile."""
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
            said = "What of it is on flash is looked through when the box starts again; record it once more."
            self._trouble = flash_error_from(error, "The clip was not saved", said)
        except Exception as error:  # noqa: BLE001 -- whoever waits for the clip must be told, whatever it was
            _log.exception("recording a clip failed")
            self._trouble = ApplianceError(f"The clip failed by a fault in the box ({type(error).__name__}).")
        finally:
            self._ending.set()
            try:
                # Before the answer: who hears that a clip is saved may at once start the next one.
                self._on_end(self)
            finally:
                self._gate.end(self._ticket)
                self._ended.set()

    def _write(self) -> Saved:
        self._first, first = self._await_first_frame()
        self._last_timestamp = first.timestamp
        self._form = form = pixel_form_from(first)
        self._keeper.ensure_room()
        video_format = video_format_of(self._device, self._first)
        origins = self._keeper.origins(self._ticket, self.sop_instance_uid, video_format=video_format)
        composed = compose_clip(origins, form, 1000.0 / self._device.frames_per_second)
        writer = self._keeper.begin(self._ticket, self.sop_instance_uid, composed.header, is_patched=True)
        try:
            self._write_frames(writer, composed, first)
            if self._count == 1:
                # Frame Increment Pointer is forbidden with one frame (PS3.3 C.7.6.6): it becomes a still. Until that
                # is durable the clip's file stays: a salvage would make the same of it.
                still = compose_still(origins, form, len(first.data))
                saved = self._keeper.keep_whole(self._ticket, still, first.data, Kind.CLIP)
                writer.abandon()
                return saved
            if form.is_native:
                writer.sync()  # before a header that counts these frames: see `torn_native`
            self._patch(writer, composed)
            writer.append(self._trailer(composed))
            path = writer.publish()
        except OSError as error:
            return self._mend(writer, error)
        except BaseException:
            if self._count:
                writer.leave()  # a defect of ours: frames are on flash, and a salvage may do better
            else:
                writer.abandon()
            raise
        return self._keeper.remember(self._ticket, path, Kind.CLIP, self._count, writer.bytes_written)

    def _mend(self, writer: ObjectWriter, error: OSError) -> Saved:
        """Flash failed in the middle: publish the whole frames that it gives back. The first `error` when it has none.

        Where a sync failed that is done with a new copy. What cannot be mended now, or has no room for a copy, stays
        for the salvage at the next start.
        """
        _log.warning("clip %s: %s", self.sop_instance_uid, reason_of(error))
        left = writer.leave()
        try:
            if writer.is_in_doubt:
                self._keeper.ensure_room()
                renew_file(left)
            # No crash was here: what the file holds, it holds.
            mended = mend_clip(left, left.parent, self._keeper.quarantine, is_certain=True)
        except NoRoomError:
            raise error from None
        if mended is None:
            writer.abandon()
            raise error
        self.notice = f"The clip ended early: {reason_of(error)}. Everything up to there is kept."
        if mended.left_out:
            self.notice = (
                f"The clip ended early: {reason_of(error)}. {mended.frames} frames are kept, {mended.left_out} lost."
            )
        return self._keeper.remember(self._ticket, mended.path, Kind.CLIP, mended.frames, mended.path.stat().st_size)

    def _await_first_frame(self) -> tuple[Frame, Frame]:
        """As the source gave it, and as it is stored."""
        clock = self._keeper.clock
        deadline = Deadline.after(clock, self._device.frame_seconds * 2)
        while True:
            # Looked at before the queue: what was offered before the end is in the queue then.
            is_over = self._ending.is_set() or deadline.is_over()
            frame = self._frames.take(_LOOK_SECONDS)
            if frame is not None:
                stored = self._stored(frame)
                if stored is not None:
                    return frame, stored
            elif is_over:
                raise ApplianceError(
                    "The clip has no frame; nothing was saved.", "Check that the machine gives a picture."
                )

    def _stored(self, frame: Frame) -> Frame | None:
        """`frame` as it is stored; None for a damaged one of which not all may be kept, so that none of it can be."""
        try:
            return stored_from(frame, is_clip=True)
        except BadFrame as error:
            _log.warning("a frame of clip %s is left out: %s", self.sop_instance_uid, error.sentence)
            self.left_out += 1
            return None

    def _write_frames(self, writer: ObjectWriter, composed: Composed, first: Frame) -> None:
        clock = self._keeper.clock
        synced, is_rate_known = clock.monotonic(), False
        frame: Frame | None = first
        is_ending = False
        while True:
            if frame is not None:
                stored = self._stored(frame)
                if stored is not None and not (self._may_append(writer, stored) and self._append(writer, stored)):
                    return
            elif is_ending:
                return
            if clock.monotonic() - synced >= SYNC_SECONDS:
                if not is_rate_known and self._count > 1:
                    # Once, so that a salvage finds the rate that the frames have, not the one that was configured.
                    self._patch_one(writer, composed, "FrameTime", self._mean_frame_time())
                    is_rate_known = True
                self._sync(writer, composed)
                synced = clock.monotonic()
            is_ending = self._ending.is_set()  # before the queue: what was offered before the end is in it then
            frame = self._frames.take(_LOOK_SECONDS)

    def _sync(self, writer: ObjectWriter, composed: Composed) -> None:
        """Make durable what was written; of native frames also how many they are, and that only after they are."""
        assert self._form is not None
        writer.sync()
        if self._form.is_native:
            self._patch_one(writer, composed, "NumberOfFrames", str(min(self._count, _MOST_COUNTED)))
            writer.sync()

    def _may_append(self, writer: ObjectWriter, frame: Frame) -> bool:
        """False when the clip must end before `frame`; the notice says why."""
        if self._count == 0:
            return True
        assert self._first is not None
        device = self._device
        if not self._is_alike(frame):
            self._end_here("The machine changed its picture format; the clip ended there.")
        elif frame.timestamp - self._first.timestamp > device.max_clip_seconds:
            self._end_here(f"The clip reached its longest time, {device.max_clip_seconds:g} s, and ended.")
        elif writer.bytes_written + len(frame.data) + 1 + 2 * ITEM_HEADER_BYTES > self._most_bytes:
            self._end_here(f"The clip reached its largest size, {self._most_bytes // 1_000_000} MB, and ended.")
        else:
            try:
                self._keeper.ensure_room()
            except NoRoomError as error:
                self._end_here(f"{error.sentence} The clip ended early.")
                return False
            return True
        return False

    @property
    def _most_bytes(self) -> int:
        """Native pixels end below the largest length that most readers take; fragments have no such end."""
        assert self._form is not None
        most = self._device.max_clip_bytes
        return min(most, MAX_NATIVE_BYTES) if self._form.is_native else most

    def _is_alike(self, frame: Frame) -> bool:
        """Whether `frame` is what the header says of every frame: size, components, subsampling."""
        try:
            return pixel_form_from(frame) == self._form
        except BadFrame:
            return False

    def _append(self, writer: ObjectWriter, frame: Frame) -> bool:
        """Write one frame; false when flash takes no more. OSError when it did not even take the first."""
        assert self._form is not None
        pad = padding(len(frame.data))
        fragment = (fragment_header(len(frame.data) + len(pad)), frame.data, pad)
        try:
            writer.append(frame.data if self._form.is_native else b"".join(fragment))
        except OSError as error:
            writer.drop_torn_tail()
            if self._count == 0:
                raise
            self._end_here(f"The clip ended early: {reason_of(error)}.")
            return False
        self._count += 1
        self._pixel_bytes += len(frame.data)
        self._last_timestamp = frame.timestamp
        return True

    def _mean_frame_time(self) -> str:
        """Frame Time: the mean over what was recorded; the configured one where the source's moments say nothing."""
        mean = self.seconds * 1000.0 / (self._count - 1)
        return format_frame_time(mean if mean > 0 else 1000.0 / self._device.frames_per_second)

    def _patch(self, writer: ObjectWriter, composed: Composed) -> None:
        assert self._form is not None
        self._patch_one(writer, composed, "NumberOfFrames", str(self._count))
        self._patch_one(writer, composed, "FrameTime", self._mean_frame_time())
        if self._form.is_native:
            length = native_length(self._pixel_bytes + self._pixel_bytes % 2)
            writer.patch(len(composed.header) - len(length), length)
        else:
            ratio = format_ratio(self._form.frame_bytes * self._count, self._pixel_bytes)
            self._patch_one(writer, composed, "LossyImageCompressionRatio", ratio)

    def _trailer(self, composed: Composed) -> bytes:
        assert self._form is not None
        return padding(self._pixel_bytes) if self._form.is_native else composed.trailer

    def _patch_one(self, writer: ObjectWriter, composed: Composed, keyword: str, value: str) -> None:
        slot = composed.slots[keyword]
        writer.patch(slot.position, slot.fill(value))


def video_format_of(device: GrabberDevice, frame: Frame) -> str:
    """Video Image Format Acquired (0018,1022), SH: `1080p30 MJPEG`, `576i25 YUYV`. `frame` as its source gave it."""
    whole = frame.layout or frame.edit
    lines = whole.lines if whole is not None else frame.height
    encoding = frame.format or ("MJPEG" if frame.encoding is Encoding.JPEG else frame.encoding.upper())
    return f"{lines}{'i' if frame.is_interlaced else 'p'}{frame.rate or device.frames_per_second:.4g} {encoding}"[:16]
