"""The job on a flash that fails: two patients, every kind of capture, a pulled plug, and people who read what they see.

The box is tests/crash's: each service's composition root in one process. A person does one thing after the other by the
panel's own requests, repeats once what was refused, and notes what she was told. A service that ends is started again.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import importlib
import itertools
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from appliance.acquire import clip as clip_module
from appliance.acquire import films as films_module
from appliance.acquire.clip import ClipRecorder
from appliance.acquire.frame_queue import FrameQueue
from appliance.acquire.transfers import PADDING, TransferRunner
from appliance.acquire.video import VideoRunner
from appliance.base.errors import ApplianceError
from appliance.base.paths import Paths
from appliance.devices.film.scan import FilmHeader, FilmScan
from appliance.devices.frame import Frame
from appliance.dimse.elements import NotAnObject, read_file_meta
from appliance.dimse.store import UnreadableObject, check_read, source_from
from appliance.dimse.transmit import SourceTooShort
from appliance.dimse.worklist import WorklistFound
from appliance.exam.answers import entry_from
from appliance.exam.item import WorklistItem
from appliance.forward.journal import Journal
from appliance.spool.names import is_intact
from tests.acquire.world import make_frame, picture
from tests.crash.archive import Archive, dataset_in
from tests.crash.box import Box, InProcessAsker, ServiceFailed, SteppedClock, start_box
from tests.crash.pixels import pixels_from
from tests.crash.world import CONFIGURATION, transferred_image
from tests.flash.layer import Flash

_STARTS = 3
_ROUNDS_ILL, _ROUNDS_WELL = 12, 120
_CLIP_FRAMES = 6
_SENT_BYTES = 64 * 1024
_CLIP_STEP = 0.45
_FILM = FilmHeader(40, 50, 16, 50)


class PlugPulled(BaseException):
    """Nothing in the box may survive this."""


@dataclass(frozen=True, slots=True)
class Promise:
    """*Saved* was answered: what lay there at this moment, and whether its file was what its name says."""

    sop_instance_uid: str
    exam_id: str
    content: bytes
    is_intact: bool


@dataclass
class Told:
    """What came of one job, for people and for the check."""

    promises: dict[str, Promise] = field(default_factory=dict)
    opened: set[str] = field(default_factory=set)
    sentences: list[str] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    starts: int = 0

    def everything(self) -> str:
        return "\n".join([*self.sentences, *self.logged])


class Hospital(Archive):
    """The archive of tests/crash, and a worklist. What leaves is read as the sender reads it, on this flash."""

    items: Sequence[WorklistItem] = ()
    flash: Flash

    def store_object(self, association: Any, path: Path, *given: Any, **named: Any) -> Any:
        sent = _read_as_sent(path)
        with self.flash.quiet():
            if sent != dataset_in(path.read_bytes()):
                self.wrong.append(f"{path.name} left otherwise than it lies")
            return super().store_object(association, path, *given, **named)

    def query_worklist(self, *given: Any, **_: Any) -> WorklistFound:
        known = given[3] if len(given) > 3 else frozenset()
        entries = [entry_from(item) for item in self.items]
        digests = {entry.digest for entry in entries}
        return WorklistFound([entry for entry in entries if entry.digest not in known], digests)


def _read_as_sent(path: Path) -> bytes:
    """The data set by the real sender's source, in blocks; refused as `store_object` refuses it."""
    descriptor = os.open(path, os.O_RDONLY)
    meta = None
    try:
        meta = read_file_meta(descriptor)
        source = source_from(descriptor, path, meta, meta.transfer_syntax_uid)
        data = memoryview(bytearray(source.length))
        at = 0
        while at < len(data):
            read = source.read_into([data[at : at + _SENT_BYTES]])
            if not read:
                raise SourceTooShort("it was cut off")
            at += read
        return bytes(data)
    except NotAnObject as error:
        check_read(path, meta)
        raise UnreadableObject(f"The file {path.name} cannot be sent: {error}.") from error
    finally:
        os.close(descriptor)


class Job:
    """One job on `flash`, whose watched directory holds `paths.state`."""

    def __init__(self, paths: Paths, items: Sequence[WorklistItem], flash: Flash, *, is_short: bool = False) -> None:
        """A short one has one patient, whose clip is cut off by the plug."""
        self._paths, self._flash, self._is_short = paths, flash, is_short
        self.clock = SteppedClock()
        self.hospital = Hospital(self.clock)
        self.hospital.items, self.hospital.flash = items, flash
        self.told = Told()
        self._tried: dict[str, int] = {}
        self._done: set[str] = set()
        self._number = 0
        self._are_pixels = False
        self._most_rounds = _ROUNDS_ILL
        self.closing: Box | None = None

    def lay_out(self) -> None:
        """The configuration, as an installation leaves it."""
        self._paths.configuration.parent.mkdir(parents=True)
        self._paths.run.mkdir(parents=True)
        self._paths.configuration.write_text(CONFIGURATION.format(listener=1, hospital=1))

    def work(self) -> None:
        """Two patients; the plug is pulled in clips of the second one, of JPEG frames and of native ones."""
        if not self._is_short:
            self._boot(self._first_patient)
        self._boot(self._until_the_plug)
        if not self._is_short:
            self._boot(self._until_the_next_plug)
        self._boot(self._second_patient)

    def finish(self) -> None:
        """The flash is well again: what was begun comes to its end, and another patient is examined."""
        self._most_rounds = _ROUNDS_WELL
        self._boot(self._end_everything)

    def start_again(self) -> None:
        """What was written wrongly last shows when it is read again."""
        self._boot(self._settle)

    # -- starting and restarting

    def _boot(self, work: Callable[[Box], None]) -> None:
        for _ in range(_STARTS):
            self.told.starts += 1
            box = None
            try:
                box = start_box(self._paths, self.hospital, self.clock, self._noting(work))
            except PlugPulled:
                return
            except ServiceFailed as error:
                self.told.sentences.append(str(error))
            except ApplianceError as error:
                self.told.sentences.append(str(error))
            except Exception as error:  # noqa: BLE001 -- whatever ends a service without words is what we look for
                self.told.wrong.append(f"a service ended: {type(error).__name__}: {error} {_place_of(error)}")
            else:
                return
            finally:
                self._bury(box)

    def _noting(self, work: Callable[[Box], None]) -> Callable[[Box], None]:
        def do(box: Box) -> None:
            try:
                work(box)
            except (ApplianceError, AssertionError):
                raise
            except Exception as error:
                # Here, not around the composition roots, whose gates are those of their starts.
                words = f"a service ended: {type(error).__name__}: {error} {_place_of(error)}"
                self.told.wrong.append(words)
                raise ServiceFailed("it ended without words") from error
            finally:
                self.told.sentences += [*box.findings.values()]

        return do

    def _bury(self, box: Box | None) -> None:
        """What a process's end does: its files are closed, and nothing more is written."""
        with self._flash.quiet():
            for journal in _JOURNALS:
                with contextlib.suppress(Exception):
                    journal._connection.close()
            _JOURNALS.clear()
            for name in os.listdir("/proc/self/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/self/fd/{name}").startswith(f"{self._paths.run}/"):
                        os.close(int(name))

    # -- the days

    def _first_patient(self, box: Box) -> None:
        self._round(box)
        exam_id = self._open(box, 0)
        if exam_id:
            self._still(box, exam_id, "first still")
            self._clip(box, exam_id, "clip")
            self._transfer(box)
            self._film(box, exam_id, "film")
            self._close(box, exam_id)
        self._settle(box)

    def _until_the_plug(self, box: Box) -> None:
        self._round(box)
        exam_id = self._open(box, 1)
        if exam_id:
            self._still(box, exam_id, "second still")
            self._cut_off_clip(box, exam_id)
        raise PlugPulled

    def _until_the_next_plug(self, box: Box) -> None:
        self._round(box)
        exam_id = self._open_exam_id(box)
        if exam_id:
            with self._showing_pixels():
                self._cut_off_clip(box, exam_id)
        raise PlugPulled

    def _cut_off_clip(self, box: Box, exam_id: str) -> None:
        try:
            self._start_clip(box, exam_id)
            _recorder_of(box)._thread.run_now(plug_after=3)  # type: ignore[attr-defined]
        except ApplianceError as error:
            self.told.sentences.append(str(error))

    def _second_patient(self, box: Box) -> None:
        self._round(box)
        exam_id = self._open_exam_id(box)
        if exam_id:
            self._transfer(box)
            with self._showing_pixels():
                self._clip(box, exam_id, "native clip")
            self._film(box, exam_id, "plates")
            self._still(box, exam_id, "third still")
            self._close(box, exam_id)
        self._settle(box)

    def _end_everything(self, box: Box) -> None:
        self._round(box)
        exam_id = self._open_exam_id(box)
        if exam_id:
            self._close(box, exam_id)
        self._settle(box)
        if self._is_short:
            return
        exam_id = self._open(box, 2)
        if exam_id is None:
            self.told.wrong.append("no exam can be opened when all is well again")
            return
        if self._still(box, exam_id, "last still") is None:
            self.told.wrong.append("nothing can be captured when all is well again")
        self._close(box, exam_id)
        self._settle(box)

    # -- what a person does

    def _ask(self, box: Box, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """The panel's answer; None when it was a sentence."""
        try:
            return InProcessAsker(self._paths.console_socket, "The console").ask(method, path, body)
        except ApplianceError as error:
            self.told.sentences.append(str(error))
        except Exception as error:  # noqa: BLE001 -- a person would read "Internal Server Error"
            words = f"{method} {path} was answered by no sentence: {type(error).__name__}: {error} {_place_of(error)}"
            self.told.wrong.append(words)
        return None

    def _do(self, what: str, box: Box, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Ask for something, once more if it was refused; what is done is not done again."""
        while what not in self._done and self._tried.get(what, 0) < 2:
            self._show(box)
            self._tried[what] = self._tried.get(what, 0) + 1
            answer = self._ask(box, "POST", path, body)
            if answer is not None:
                self._done.add(what)
                return answer
        return None

    def _open_exam_id(self, box: Box) -> str | None:
        answer = self._ask(box, "GET", "/api/exam")
        return answer["exam"]["exam_id"] if answer and answer["exam"] and answer["exam"]["state"] == "open" else None

    def _open(self, box: Box, number: int) -> str | None:
        known = self._open_exam_id(box)
        if known:
            return known
        answer = self._ask(box, "GET", "/api/worklist")
        self.told.sentences += [source["trouble"] for source in answer["sources"]] if answer else []
        keys = [item["key"] for item in answer["items"] if not item["missing"]] if answer else []
        if len(keys) <= number:
            return None
        answer = self._do(f"exam {number}", box, "/api/exams", {"key": keys[number]})
        if answer is None:
            return self._open_exam_id(box)
        self.told.opened.add(str(answer["exam_id"]))
        return str(answer["exam_id"])

    def _still(self, box: Box, exam_id: str, what: str) -> dict[str, Any] | None:
        self._show(box)
        answer = self._do(what, box, "/api/devices/endoscope/still", {"exam_id": exam_id})
        return self._promised(answer)

    def _show(self, box: Box) -> Frame:
        """The endoscope gives its next picture."""
        self._number += 1
        frame = make_frame(picture(self._number, (40, 24)), self._number, self.clock.monotonic())
        if self._are_pixels:
            frame = pixels_from(frame)
        runner = box.runners["endoscope"]
        assert isinstance(runner, VideoRunner)
        runner._take(frame)
        return frame

    @contextlib.contextmanager
    def _showing_pixels(self) -> Iterator[None]:
        """The endoscope's grabber gives pixels inside the block, not JPEG."""
        self._are_pixels = True
        yield
        self._are_pixels = False

    def _start_clip(self, box: Box, exam_id: str) -> None:
        self._show(box)
        InProcessAsker(self._paths.console_socket, "The console").ask(
            "POST", "/api/devices/endoscope/clip/start", {"exam_id": exam_id}
        )
        for _ in range(_CLIP_FRAMES):
            self.clock.turn(0.04)
            self._show(box)

    def _clip(self, box: Box, exam_id: str, what: str) -> None:
        if self._tried.get(what, 0) > 1:
            return
        self._tried[what] = 2
        try:
            self._start_clip(box, exam_id)
        except ApplianceError as error:
            self.told.sentences.append(str(error))
            return
        self._promised(self._ask(box, "POST", "/api/devices/endoscope/clip/stop", {}))

    def _transfer(self, box: Box) -> None:
        """The ultrasound sends its image, and once more when it is refused."""
        runner = box.runners["ultrasound"]
        assert isinstance(runner, TransferRunner)
        while self._tried.get("transfer", 0) < 3 and "transfer" not in self._done:
            self._tried["transfer"] = self._tried.get("transfer", 0) + 1
            machine = _Machine(self.clock.monotonic())
            try:
                runner._take_one(machine, threading.Event(), lambda: None)  # type: ignore[arg-type]
            except ApplianceError as error:
                runner._note_failure(error)
            finally:
                runner._end_capture()
            if machine.is_acknowledged:
                self._done.add("transfer")
                saved = self._find(hashlib.sha256(transferred_image()).digest())
                self.told.wrong += [] if saved else ["the machine's image was acknowledged and is nowhere"]

    def _film(self, box: Box, exam_id: str, device: str) -> None:
        """The digitizer `film` is kept as it comes, `plates` is compressed."""
        self._promised(self._do(device, box, f"/api/devices/{device}/film", {"exam_id": exam_id}), device)

    def _close(self, box: Box, exam_id: str) -> None:
        self.closing = box
        try:
            for _ in range(2):
                if self._ask(box, "POST", "/api/exam/close", {"exam_id": exam_id, "outcome": "COMPLETED"}) is not None:
                    return
        finally:
            self.closing = None

    # -- what is noted of it

    def _promised(self, answer: dict[str, Any] | None, device: str = "endoscope") -> dict[str, Any] | None:
        """The answer's *saved* is a promise: it must be on the medium by now, and stay what it is."""
        if answer is None:
            return None
        uid, exam_id = str(answer["sop_instance_uid"]), str(answer["exam_id"])
        with self._flash.quiet():
            path = self._paths.state / "captured" / device / exam_id / str(answer["file_name"])
            if not path.exists():
                self.told.wrong.append(f"object {uid} was saved and is not there")
                return answer
            self.told.promises[uid] = Promise(uid, exam_id, path.read_bytes(), is_intact(path))
        self.told.wrong += undurable(self._flash, str(path.relative_to(self._paths.state)), uid)
        return answer

    def _find(self, _digest: bytes) -> bool:
        """The image that the machine was told to forget."""
        image = transferred_image()
        with self._flash.quiet():
            for path in (self._paths.state / "captured" / "ultrasound").glob("*/*.dcm"):
                content = path.read_bytes()
                if is_intact(path) is False or image in content or len(content) > len(image):
                    uid = path.name.partition("~")[0]
                    self.told.promises[uid] = Promise(uid, path.parent.name, content, is_intact(path))
                    self.told.wrong += undurable(self._flash, str(path.relative_to(self._paths.state)), uid)
                    return True
        return False

    # -- rounds

    def _round(self, box: Box) -> None:
        box.round()

    def _settle(self, box: Box) -> None:
        for _ in range(self._most_rounds):
            box.round()
            with self._flash.quiet():
                exams = [path.parent.name for path in (self._paths.state / "exams").glob("*/exam.json")]
                if all((self._paths.state / "settled" / f"{exam_id}.json").exists() for exam_id in exams):
                    return


def undurable(flash: Flash, path: str, uid: str) -> Iterator[str]:
    """Why what was answered as saved is not yet: bytes, name and directory must be synced, and no sync have failed."""
    written = synced = renamed = named = failed = -1
    directory = path.rpartition("/")[0]
    for number, one in enumerate(flash.operations()):
        if f".part-{uid}~" in one.path:
            is_replaced = one.call == "rename" and f".part-{uid}~" in one.other
            if (is_replaced or one.call == "unlink") and one.result == 0:
                failed = (
                    -1
                )  # what could not be synced is gone: a copy that was, or what came once more, is in its place
            elif one.call in ("write", "truncate") and one.result >= 0:
                written = number
            elif one.call in ("fsync", "fdatasync"):
                synced, failed = (number, failed) if one.result == 0 else (synced, number)
            elif one.call == "rename" and one.other == path and one.result == 0:
                renamed = number
        elif one.path == directory and one.call == "fsync" and one.result == 0:
            named = number
    if not written < synced < renamed < named:
        yield f"object {uid} was answered as saved before it was: {written=} {synced=} {renamed=} {named=}"
    if failed >= 0:
        yield f"object {uid} was answered as saved after a sync of its bytes had failed"


def _recorder_of(box: Box) -> ClipRecorder:
    runner = box.runners["endoscope"]
    assert isinstance(runner, VideoRunner)
    assert runner._clip is not None
    return runner._clip


def _place_of(error: BaseException) -> str:
    places = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{Path(code.co_filename).name}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return " < ".join(reversed(places[-5:]))


class _Machine:
    """The ultrasound at the other end, as its receiver knows it."""

    is_next_of_batch = False

    def __init__(self, at: float) -> None:
        self._at = at
        self.is_acknowledged = False

    def wait_for_sender(self, _stop: threading.Event, _seconds: float, begin: Callable[[float], None]) -> bool:
        begin(self._at)
        return True

    def receive_transfer(self, *_: Any) -> Any:
        payload = transferred_image() + PADDING * 7
        return SimpleNamespace(
            payload=payload,
            started_at=self._at,
            is_batch=False,
            acknowledge=self._take_acknowledgement,
            refuse=lambda: None,
        )

    def _take_acknowledgement(self) -> None:
        self.is_acknowledged = True


def _end_service(status: int) -> None:
    raise ServiceFailed(f"forward ended with {status}")


# -- the edges that tests/crash does not need: a clip's thread, a film's program, the log

_JOURNALS: list[Journal] = []


class _SteppedQueue(FrameQueue):
    """Time passes while the writing thread waits for a frame; at the plug's moment it does not come back."""

    clock: SteppedClock
    frames_left: int | None = None

    def take(self, _seconds: float) -> Frame | None:
        type(self).clock.turn(_CLIP_STEP)
        if self.frames_left is not None:
            self.frames_left -= 1
            if self.frames_left < 0:
                raise PlugPulled
        return super().take(0.0)


class _LateThread:
    """The clip's thread does its work when somebody waits for the clip: one thread at a time touches the flash."""

    def __init__(self, *, target: Callable[[], object], **_: Any) -> None:
        self._target: Callable[[], object] | None = target

    def start(self) -> None:
        pass

    def run_now(self, plug_after: int | None = None) -> None:
        target, self._target = self._target, None
        if target is not None:
            recorder: Any = target.__self__  # type: ignore[attr-defined]
            recorder._frames.frames_left = plug_after
            target()


_SCANS = itertools.count()


@contextlib.contextmanager
def _scanned(*_: Any, **__: Any) -> Iterator[FilmScan]:
    # No scan is like another, not even of one film.
    shift = next(_SCANS) % 250
    rows = bytes((*range(shift, 250), *range(shift))) * (_FILM.data_bytes // 250)
    yield FilmScan(_FILM, iter([rows[: _FILM.data_bytes // 2], rows[_FILM.data_bytes // 2 : _FILM.data_bytes]]))


class _Log(logging.Handler):
    def __init__(self, told: Told) -> None:
        super().__init__(logging.WARNING)
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info:
            text += " Traceback"
        self._told.logged.append(text)


@contextlib.contextmanager
def edges(job: Job) -> Iterator[None]:
    """Inside `sealed`: what else stands for the world while `job` runs."""
    result = ClipRecorder.result

    def result_after_work(recorder: ClipRecorder) -> Any:
        recorder._thread.run_now()  # type: ignore[attr-defined]
        return result(recorder)

    opened = Journal.__init__
    recover = importlib.import_module("appliance.services.recover")
    recover_at_boot = recover.main

    def recover_and_go_on() -> int:
        """Its unit may fail; the others start all the same."""
        recover_at_boot()
        return 0

    def open_and_note(journal: Journal, path: Path) -> None:
        opened(journal, path, end_process=_end_service)
        _JOURNALS.append(journal)

    def wait_for_rounds(clock: SteppedClock, event: threading.Event, seconds: float) -> bool:
        """Whoever waits for an exam's end waits for the keeper's rounds."""
        if job.closing is not None and not event.is_set():
            job.closing.exams.round()
        return waited(clock, event, seconds)

    waited = SteppedClock.wait
    handler = _Log(job.told)
    replaced: list[tuple[Any, str, Any]] = [
        (clip_module, "FrameQueue", type("Queue", (_SteppedQueue,), {"clock": job.clock})),
        (clip_module, "threading", SimpleNamespace(Thread=_LateThread, Event=threading.Event, Lock=threading.Lock)),
        (ClipRecorder, "result", result_after_work),
        (films_module, "scan_film", _scanned),
        (films_module, "read_offered", lambda *_: {}),
        (Journal, "__init__", open_and_note),
        (SteppedClock, "wait", wait_for_rounds),
        (recover, "main", recover_and_go_on),
    ]
    with contextlib.ExitStack() as stack:
        for owner, name, value in replaced:
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, value)
        level, handlers = logging.root.level, logging.root.handlers[:]
        stack.callback(logging.disable, logging.root.manager.disable)
        stack.callback(setattr, logging.root, "handlers", handlers)
        stack.callback(logging.root.setLevel, level)
        logging.root.handlers[:] = [handler]
        logging.root.setLevel(logging.WARNING)
        logging.disable(logging.NOTSET)
        yield
    gc.collect(0)
