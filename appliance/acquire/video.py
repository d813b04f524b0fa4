"""A video source: one loop reads every frame; stills, clips and the preview take from it what they need."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from appliance.acquire.clip import ClipRecorder, video_format_of
from appliance.acquire.freeze import FreezeCapture
from appliance.acquire.gate import ExamGate, Ticket
from appliance.acquire.keeping import Kind, ObjectKeeper, Saved
from appliance.acquire.lookback import Lookback
from appliance.acquire.preview import preview_jpeg_from
from appliance.acquire.runner import DeviceRunner, State
from appliance.base.clock import Clock, Deadline
from appliance.base.errors import ApplianceError, Finding, counted, finding_from
from appliance.base.findings import FindingBoard
from appliance.base.flash import reason_of
from appliance.config.devices import GrabberDevice
from appliance.devices.errors import BadFrame, BlackPicture, DeviceError, DeviceGone, NoSignal, PictureChanged
from appliance.devices.frame import Frame
from appliance.devices.video.pixels import stored_from
from appliance.devices.video.source import VideoSource
from appliance.devices.video.watch import PictureWatch, is_black_frame

_log = logging.getLogger(__name__)

_OPEN_SECONDS = 5.0
_RETRY_SECONDS = 1.0
_STALE_SECONDS = 2.0
_FINISH_SECONDS = 10.0
# The longest the loop stays in one read: how late it may notice that somebody wants it to stop.
_SLICE_SECONDS = 0.5
# A finding about damaged frames goes away after so many good ones in a row.
_GOOD_AGAIN = 90


class VideoRunner(DeviceRunner):
    """Reads the source for ever; opens it again when it is gone.

    The state is what the signal is, or that a clip is being recorded; it is that until the clip is saved, and
    `sentence` says when it is over. `_clip`, `_last_clip` and `_signal` change under `_lock`, since the loop, the
    clip's own thread and the panel's requests all come to them.
    """

    kinds = ("still", "clip")

    def __init__(
        self,
        device: GrabberDevice,
        source: VideoSource,
        keeper: ObjectKeeper,
        gate: ExamGate,
        clock: Clock,
        findings: FindingBoard,
    ) -> None:
        super().__init__(device, keeper, gate, clock, findings)
        self._video = device
        self._source = source
        self._fresh = threading.Condition()
        self._latest: Frame | None = None
        self._lock = threading.Lock()
        self._clip: ClipRecorder | None = None
        self._last_clip: ClipRecorder | None = None
        self._signal = self.state = State.NO_SIGNAL
        self._watch = PictureWatch()
        self._freeze = FreezeCapture(self._keep_frozen, findings, device.name)
        self._last_sequence: int | None = None
        self._lost = 0
        self._torn = self._torn_in_a_row = 0
        self._good = 0
        # Half of what a clip's queue holds: the clip goes on while these are written.
        frames, size = device.clip_queue_frames // 2, device.clip_queue_bytes // 2
        self._lookback = Lookback(device.lookback_seconds, frames, size, gate.open_exam_id)
        self._preview: tuple[Frame, bytes] | None = None
        self._preview_lock = threading.Lock()

    def run(self, stop: threading.Event, alive: Callable[[], None]) -> None:
        """Open, read until the source is gone, and again."""
        while not stop.is_set():
            alive()
            try:
                self._source.open(Deadline.after(self.clock, _OPEN_SECONDS))
                self._watch.begin()
                self._freeze.begin()
                self._last_sequence = None
                self._tell_of_quality()
                self._read_until_gone(stop, alive)
            except DeviceError as error:
                self._lose(error)
                self.clock.wait(stop, _RETRY_SECONDS)
            finally:
                self._source.close()
        self._freeze.finish(_FINISH_SECONDS)
        clip = self._clip
        if clip is not None:
            clip.end("The box was stopped; the clip ended there.")
            try:
                clip.result()
            except ApplianceError as error:
                _log.warning("the clip that was being recorded: %s", error.sentence)

    def _read_until_gone(self, stop: threading.Event, alive: Callable[[], None]) -> None:
        silence = Deadline.after(self.clock, self._video.frame_seconds)
        while not stop.is_set():
            alive()
            try:
                # What arrived of a frame before the slice was over counts for the next one.
                frame = self._source.read_frame(silence.sooner(_SLICE_SECONDS))
            except BadFrame as error:
                self._note_torn(error)
            except NoSignal as error:
                if silence.is_over():
                    self._lose(error)
                    silence = Deadline.after(self.clock, self._video.frame_seconds)
                continue
            else:
                self._take(frame)
            silence = Deadline.after(self.clock, self._video.frame_seconds)

    def _take(self, frame: Frame) -> None:
        self._count(frame)
        self._watch.see(frame)
        self._tell_of_picture()
        with self._lock:
            clip = self._clip
            if clip is None:
                self._look_back(frame)
            if self._signal is not State.IDLE:
                self._signal = State.IDLE
                self._show_state()
        self.findings.clear("no_signal", self.device.name)
        with self._fresh:
            self._latest = frame
            self._fresh.notify_all()
        if clip is not None:
            clip.offer(frame)
        if self._video.freeze_trigger:
            self._freeze.see(frame)

    def _look_back(self, frame: Frame) -> None:
        try:
            self._lookback.keep(frame, self.clock.monotonic())
        except OSError as error:
            self._lookback.forget()
            _log.warning("which exam is open cannot be read (%s); nothing is held before a clip", reason_of(error))

    def _count(self, frame: Frame) -> None:
        """Frames whose numbers never came are lost; those that came damaged are told of by themselves."""
        last, self._last_sequence = self._last_sequence, frame.sequence
        missing = frame.sequence - last - 1 - self._torn_in_a_row if last is not None else 0
        self._torn_in_a_row = 0
        self._good += 1
        if missing > 0:
            self._lost += missing
            self._good = 0
            sentence = f"{counted(self._lost, 'frame')} of the {self.device.name} got lost on the way."
            suggestion = "If this goes on, plug other USB devices elsewhere, or configure a lower rate or size."
            self.findings.report(Finding("lost_frames", sentence, suggestion, self.device.name))
        elif self._good == _GOOD_AGAIN:
            self._torn = self._lost = 0
            self.findings.clear("bad_frame", self.device.name)
            self.findings.clear("lost_frames", self.device.name)

    def _tell_of_picture(self) -> None:
        """A black picture, or one that stands still: shown for as long as it is so."""
        name, watch, longest = self.device.name, self._watch, self._video.frozen_seconds
        if watch.is_black:
            suggestion = "Check the machine's video output and its cable."
            self.findings.report(Finding("black_picture", f"The {name}'s picture is black.", suggestion, name))
            self._note_in_clip("was black")
        else:
            self.findings.clear("black_picture", name)
        if longest and watch.frozen_seconds >= longest:
            sentence = f"The {name}'s picture has not changed at all for more than {longest:g} s."
            suggestion = (
                "Look whether the machine's own screen moves; if it does, unplug the grabber and plug it in again."
            )
            self.findings.report(Finding("frozen_picture", sentence, suggestion, name))
            self._note_in_clip("stood still")
        else:
            self.findings.clear("frozen_picture", name)

    def _note_in_clip(self, what: str) -> None:
        """The finding goes away with its reason; what is in a clip stays there, and is told of when it ends."""
        clip = self._clip
        if clip is not None and not clip.is_over:
            clip.faults.add(what)

    def _tell_of_quality(self) -> None:
        """Diagnostic quality was asked for, and the picture comes compressed: shown for as long as it is so."""
        name, why = self.device.name, self._source.compromise
        if not why:
            self.findings.clear("compressed_picture", name)
            return
        sentence = f"The {name}'s picture comes compressed, against the wish for diagnostic quality: {why}."
        suggestion = "Use a faster USB plug and cable, or configure a smaller size or a lower rate."
        self.findings.report(Finding("compressed_picture", sentence, suggestion, name))

    def _refuse_black(self, what: str) -> None:
        raise BlackPicture(
            f"The {self.device.name}'s picture is black; {what}.",
            "Check the machine's video output and its cable. Where black is meant, configure refuse_black = false.",
        )

    def _note_torn(self, error: BadFrame) -> None:
        """A damaged frame is dropped and counted; the picture goes on with the next one."""
        self._torn += 1
        self._torn_in_a_row += 1
        self._good = 0
        sentence = f"{error.sentence} {self._torn} damaged frame{'s were' if self._torn > 1 else ' was'} left out."
        suggestion = "Check the grabber's cable and its USB port if this goes on."
        self.findings.report(Finding("bad_frame", sentence, suggestion, self.device.name))

    def _lose(self, error: DeviceError) -> None:
        """No picture: say so, and end a clip with what it has."""
        with self._lock:
            self._signal = State.UNPLUGGED if isinstance(error, DeviceGone) else State.NO_SIGNAL
            self._lookback.forget()
            self._show_state()
            clip = self._clip
        self.findings.report(finding_from(error, "no_signal", self.device.name))
        for code in ("black_picture", "frozen_picture"):
            self.findings.clear(code, self.device.name)  # of a picture that is not there any more
        if clip is not None:
            is_other = isinstance(error, PictureChanged)
            what = "The machine changed its picture format" if is_other else "The picture was lost"
            clip.end(f"{what}; the clip ended there.")

    def _show_state(self) -> None:
        self.state = State.RECORDING if self._clip is not None else self._signal

    def next_frame(self, after: float, seconds: float) -> Frame:
        """The first frame that was captured at or after the monotonic moment `after`. NoSignal when none comes."""
        deadline = Deadline.after(self.clock, seconds)
        with self._fresh:
            while self._latest is None or self._latest.timestamp < after:
                if deadline.is_over():
                    raise NoSignal(
                        f"No picture comes from the {self.device.name}; nothing was captured.",
                        "Check that the machine is on and its video cable is plugged in.",
                    )
                self._fresh.wait(min(0.5, deadline.remaining()))
            return self._latest

    def take_still(self, exam_id: str | None) -> Saved:
        """The first whole frame after this call, durable. Never an older one, and no black one unless it is meant."""
        with self.gate.admitting(exam_id) as ticket:
            self.keeper.check(ticket)
            self.keeper.ensure_room()
            frame = self.next_frame(self.clock.monotonic(), self._video.frame_seconds * 2)
            if self._video.refuse_black and is_black_frame(frame):
                self._refuse_black("nothing was captured")
            return self._keep_still(ticket, frame)

    def capture_at(self, moment: float) -> Saved:
        """The first whole frame at or after `moment`."""

        def frame() -> Frame:
            found = self.next_frame(moment, self._video.frame_seconds * 2)
            if self._video.refuse_black and is_black_frame(found):
                self._refuse_black("nothing was captured")
            return found

        return self._keep_unasked(moment, frame)

    def _keep_unasked(self, moment: float, frame: Callable[[], Frame]) -> Saved:
        """What the panel did not ask for, of the exam that was open at its moment or of none, and never dropped."""
        ticket = self.gate.admit(began=moment)
        try:
            kept = frame()
            try:
                self.keeper.check(ticket)
            except ApplianceError as error:
                self.findings.report(finding_from(error, "still_unassigned", self.device.name))
                self.gate.end(ticket)
                ticket = ticket.unassigned
            self.keeper.ensure_room()
            return self._keep_still(ticket, kept)
        finally:
            self.gate.end(ticket)

    def _keep_still(self, ticket: Ticket, frame: Frame) -> Saved:
        video_format = video_format_of(self._video, frame)
        saved = self.keeper.keep_still(ticket, stored_from(frame), Kind.STILL, video_format=video_format)
        self.note_saved(saved, frame)
        return saved

    def _keep_frozen(self, frame: Frame) -> Saved:
        saved = self._keep_unasked(frame.timestamp, lambda: frame)
        if saved.exam_id is None:
            sentence = f"The {self.device.name} was frozen while no patient was chosen; the picture is kept unassigned."
            self.findings.report(Finding("freeze_unassigned", sentence, "Check whose it is.", self.device.name))
        else:
            self.findings.clear("freeze_unassigned", self.device.name)
        return saved

    def start_clip(self, exam_id: str | None) -> str:
        """Begin to record, with what came in the configured seconds before; the clip's SOP Instance UID."""
        with self._lock:
            if self._clip is not None:
                raise ApplianceError("A clip is being recorded already.", "Stop it first.")
            if self._signal is not State.IDLE:
                raise NoSignal(
                    f"No picture comes from the {self.device.name}; no clip was started.",
                    "Check that the machine is on and its video cable is plugged in.",
                )
            if self._video.refuse_black and self._watch.is_black:
                self._refuse_black("no clip was started")
            ticket = self.gate.admit(exam_id)
            try:
                self.keeper.check(ticket)
                self.keeper.ensure_room()
                before = self._lookback.take(ticket.exam_id)
                if before:
                    ticket.captured_at -= timedelta(seconds=self.clock.monotonic() - before[0].timestamp)
                clip = ClipRecorder(self.keeper, self._video, self.gate, ticket, self._note_end)
                clip.start()
                for frame in before:
                    clip.offer(frame)
            except BaseException:
                self.gate.end(ticket)
                raise
            self._clip, self._last_clip = clip, None
            self._show_state()
        self.findings.clear("clip_ended", self.device.name)
        return clip.sop_instance_uid

    def stop_clip(self, exam_id: str | None = None) -> Saved:
        """End the clip and answer when it is durable; also for one of this exam that ended, or was stopped, before."""
        with self._lock:
            clip = self._clip or self._last_clip
        if clip is None or (exam_id is not None and clip.exam_id not in (exam_id, None)):
            raise ApplianceError("No clip is being recorded.", "Start one first.")
        clip.end()
        return clip.result()

    def finish(self, exam_id: str) -> None:
        with self._lock:
            clip = self._clip
        if clip is not None and clip.exam_id == exam_id:
            clip.end()

    def _note_end(self, clip: ClipRecorder) -> None:
        """In the clip's own thread; `start_clip` waits in its lock for nothing of this."""
        with self._lock:
            self._clip, self._last_clip = None, clip
            self._show_state()
        if clip.trouble is not None:
            self.findings.report(finding_from(clip.trouble, "clip_ended", self.device.name))
        else:
            left_out = f"{counted(clip.left_out, 'damaged frame')} of the clip left out." if clip.left_out else ""
            faults = f"In a part of the clip the picture {' and '.join(sorted(clip.faults))}." if clip.faults else ""
            notice = " ".join(filter(None, (clip.notice, left_out, faults)))
            if notice:
                self.findings.report(Finding("clip_ended", notice, "", self.device.name))
        if clip.saved is not None:
            self.note_saved(clip.saved, clip.first_frame)

    def preview(self) -> bytes:
        """The latest frame at the panel's size, decoded only because somebody asked. NoSignal when it is stale.

        However many ask, no more than the configured number a second is decoded.
        """
        frame = self._latest
        if frame is None or self.clock.monotonic() - frame.timestamp > _STALE_SECONDS:
            raise NoSignal(f"No picture comes from the {self.device.name}.", "")
        with self._preview_lock:
            shown = self._preview
            if shown is None or frame.timestamp - shown[0].timestamp >= 1.0 / self._video.preview_frames_per_second:
                shown = self._preview = (frame, preview_jpeg_from(frame, self._video.preview_width))
            return shown[1]

    def progress(self) -> dict[str, Any] | None:
        clip = self._clip
        if clip is None or clip.is_over:
            return None
        return {"done": round(clip.seconds, 1), "total": self._video.max_clip_seconds, "unit": "seconds"}

    def sentence(self) -> str:
        match self.state:
            case State.RECORDING:
                clip = self._clip
                if clip is None or clip.is_over:
                    return "The clip has ended; it is being saved."
                return f"Recording, {clip.seconds:.0f} s."
            case State.NO_SIGNAL:
                return "No picture comes from the machine."
            case State.UNPLUGGED:
                return "The grabber is not connected; it is tried again by itself."
            case _:
                return "Live picture."
