"""The three old machines as a process: an ultrasound's serial line, an endoscope's video, a digitizer's settings."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import cache

from appliance.base.clock import SystemClock
from appliance.base.errors import ApplianceError
from appliance.base.http import serve
from appliance.base.lock import ProcessLock
from appliance.base.log import configure_logging
from appliance.base.notify import notify_ready, notify_stopping
from appliance.base.sockets import bind_loopback, bind_unix
from appliance.simulator.machines.api import build_app
from appliance.simulator.machines.endoscope import RING_LENGTH, FrameRing, VideoServer
from appliance.simulator.machines.film import write_sane_configuration
from appliance.simulator.machines.options import MachinesOptions, options_from_arguments
from appliance.simulator.machines.ultrasound import Ultrasound

_log = logging.getLogger(__name__)


def main() -> int:
    """Run until SIGTERM or SIGINT; 1 with a sentence when the machines cannot start or the video died."""
    options = options_from_arguments(sys.argv[1:])
    configure_logging("machines")
    try:
        return run_machines(options)
    except ApplianceError as error:
        _log.critical("%s", error)
        return 1


def run_machines(options: MachinesOptions) -> int:
    """The parts list."""
    clock = SystemClock()
    options.machines.mkdir(parents=True, exist_ok=True)
    lock = ProcessLock(options.run_directory / "machines.lock", "The machines of this directory")
    write_sane_configuration(options.sane_configuration)
    ultrasound = Ultrasound(options.ultrasound_line, options.memory, clock)
    ring = FrameRing(RING_LENGTH, make_painter)
    video = VideoServer(bind_unix(options.endoscope_socket), ring, make_black_frame, clock)
    listeners = [bind_unix(options.control_socket)]
    if options.control_port is not None:
        listeners.append(bind_loopback(options.control_port))

    stop, died = threading.Event(), threading.Event()
    # uvicorn raises the signal that stopped it once more when it is done; these handlers take it then.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    thread = threading.Thread(target=_serve_video, args=(video, stop, died), name="endoscope", daemon=True)
    thread.start()

    def report_ready() -> None:
        notify_ready("The ultrasound, the endoscope and the film digitizer are on.")
        _log.info("ready")
        if stop.is_set():  # asked to stop before uvicorn listened to signals
            os.kill(os.getpid(), signal.SIGTERM)

    serve(build_app(ultrasound, video), listeners, report_ready)
    notify_stopping()
    stop.set()
    video.wake()
    ultrasound.close()
    thread.join()
    lock.release()
    return 1 if died.is_set() else 0


def make_painter() -> Callable[[int], bytes]:
    """The endoscope's painter; importing and preparing it takes a moment that only a reader of the video pays for."""
    from appliance.simulator.machines.endoscope_picture import EndoscopePainter

    return EndoscopePainter(RING_LENGTH).paint_frame


@cache
def make_black_frame() -> bytes:
    from appliance.simulator.machines.endoscope_picture import black_frame

    return black_frame()


def _serve_video(video: VideoServer, stop: threading.Event, died: threading.Event) -> None:
    try:
        video.run(stop)
    finally:
        if not stop.is_set():
            died.set()
            os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
