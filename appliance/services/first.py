"""The process of a new box's first contact: what its panel is asked for, and what lies on a stick.

It asks for a change of the configuration as support would, and that is all that it may: the panel's server, which any
browser that is let in speaks to, has no such right. systemd starts it when the panel asks, and it ends when nobody asks
any more.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from appliance.base.clock import Clock, SystemClock
from appliance.base.errors import ApplianceError
from appliance.base.http import serve
from appliance.base.log import configure_logging
from appliance.base.notify import notify_ready, notify_stopping, notify_watchdog
from appliance.base.paths import Paths
from appliance.base.sockets import bind_unix, inherited_listeners
from appliance.cli.config_apply import ask
from appliance.config.first_api import FirstDesk, make_first_app
from appliance.config.first_stick import StickWatch
from appliance.config.host import SupportKey
from appliance.config.in_force import read_in_force
from appliance.config.load import ConfigurationError
from appliance.config.stick import count_sticks

_log = logging.getLogger(__name__)

_IDLE_SECONDS = 60.0
_ROUND_SECONDS = 1.0


def main(arguments: Sequence[str]) -> int:
    """0 when nobody asked any more, 1 with a sentence in the log."""
    configure_logging("first")
    (stick,) = arguments
    try:
        count = partial(count_sticks, Path("/sys"), Path("/proc/self/mountinfo"), stick)
        run_first(Paths.from_environment(), Path(stick), SystemClock(), count)
    except ApplianceError as error:
        _log.critical("%s", error)
        return 1
    return 0


def run_first(paths: Paths, stick: Path, clock: Clock, count: Callable[[], int]) -> None:
    """Answer until nobody has asked for a minute, or until told to stop."""
    watch = StickWatch(stick, partial(_keys, paths.configuration), count, clock)
    desk = FirstDesk(paths.configuration, watch, ask)
    asked_at = [clock.monotonic()]

    def note_question() -> None:
        asked_at[0] = clock.monotonic()

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())

    def look_after() -> None:
        while not clock.wait(stop, _ROUND_SECONDS):
            notify_watchdog()
            if clock.monotonic() - asked_at[0] > _IDLE_SECONDS:
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def watch_stick() -> None:
        try:
            watch.run(stop)
        finally:
            if not stop.is_set():  # it died: the next question starts this program anew
                os.kill(os.getpid(), signal.SIGTERM)

    for work in (look_after, watch_stick):
        threading.Thread(target=work, daemon=True).start()
    listeners = inherited_listeners() or [bind_unix(paths.first_socket)]
    serve(make_first_app(desk, note_question), listeners, lambda: notify_ready("A new box can be set up."))
    notify_stopping()
    stop.set()


def _keys(file: Path) -> Sequence[SupportKey]:
    """By which the box knows its admins; none where its file says nothing that can be used."""
    try:
        return read_in_force(file).configuration.support_keys
    except ConfigurationError:
        return ()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
