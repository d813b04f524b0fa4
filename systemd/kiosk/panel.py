"""Shows the panel on the box's own screen: one full-screen view of one address, and nothing else of a browser.

Runs under cage with the system's Python, GTK 4 and WebKitGTK 6 (Debian: cage, python3-gi, gir1.2-webkit-6.0). Whatever
ends or hangs is begun again: the page by this program, this program by its unit.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

import gi

gi.require_version("Gdk", "4.0")
gi.require_version("Gtk", "4.0")
gi.require_version("WebKit", "6.0")
from gi.repository import Gdk, GLib, Gtk, WebKit  # noqa: E402

_AGAIN_SECONDS = 2
_ALIVE_SECONDS = 10
_DARK = "(dark)"
# fb.h: FB_BLANK_UNBLANK and FB_BLANK_POWERDOWN, as /sys/class/backlight takes them (ABI/stable/sysfs-class-backlight).
_LIGHT_ON, _LIGHT_OFF = "0", "4"
_BEFORE = "<body style='background:#101418'></body>"


class Panel:
    """The view, and what is done about its troubles."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._origin = urlsplit(address)[:2]
        settings = WebKit.Settings(
            enable_developer_extras=False,
            enable_html5_local_storage=False,
            enable_write_console_messages_to_stdout=True,  # into the journal
        )
        # One page: nothing is kept for going back to, and no second process waits for another site.
        WebKit.WebContext.get_default().set_cache_model(WebKit.CacheModel.DOCUMENT_VIEWER)
        session = WebKit.NetworkSession.new_ephemeral()
        session.connect("download-started", lambda _session, download: download.cancel())
        self._view = WebKit.WebView(network_session=session, settings=settings)
        self._view.set_background_color(_dark())
        self._view.connect("context-menu", lambda *_: True)
        self._view.connect("decide-policy", self._decide)
        self._view.connect("permission-request", lambda _view, request: request.deny() or True)
        self._view.connect("create", lambda *_: None)
        self._view.connect("load-changed", self._note_load)
        self._view.connect("load-failed", self._load_again)
        self._view.connect("web-process-terminated", self._load_again)
        self._view.connect("notify::is-web-process-responsive", self._end_what_hangs)
        self._view.connect("notify::title", self._switch_light)
        window = Gtk.Window(title="Panel", child=self._view)
        window.fullscreen()
        window.present()
        self.load()

    def load(self) -> bool:
        """For GLib: false, so that it happens once."""
        self._view.load_uri(f"{self._address}?token={_read_token()}")
        return False

    def _decide(self, _view: WebKit.WebView, decision: WebKit.PolicyDecision, kind: WebKit.PolicyDecisionType) -> bool:
        if kind == WebKit.PolicyDecisionType.RESPONSE:
            return False
        asked = decision.get_navigation_action().get_request().get_uri()
        is_ours = kind == WebKit.PolicyDecisionType.NAVIGATION_ACTION and urlsplit(asked)[:2] == self._origin
        if not is_ours and asked != "about:blank":
            decision.ignore()
            return True
        return False

    def _note_load(self, view: WebKit.WebView, event: WebKit.LoadEvent) -> None:
        if event == WebKit.LoadEvent.FINISHED and (view.get_uri() or "").startswith(self._address):
            _tell("READY=1\nSTATUS=The panel is shown.")

    def _load_again(self, *_: object) -> bool:
        _tell("STATUS=The panel does not answer; it is asked again.")
        self._view.load_html(_BEFORE, "about:blank")
        GLib.timeout_add_seconds(_AGAIN_SECONDS, self.load)
        return True

    def _switch_light(self, view: WebKit.WebView, _property: object) -> None:
        """The page is black when it is called so (console/static/dark.js); a light that we may switch goes off."""
        wanted = _LIGHT_OFF if view.get_title() == _DARK else _LIGHT_ON
        for switch in Path(os.environ.get("BACKLIGHT", "/sys/class/backlight")).glob("*/bl_power"):
            try:
                switch.write_text(wanted, encoding="ascii")
            except OSError as error:
                _tell(f"STATUS=The screen's light cannot be switched ({error.strerror}); it shows black instead.")

    def _end_what_hangs(self, view: WebKit.WebView, _property: object) -> None:
        if not view.get_is_web_process_responsive():
            view.terminate_web_process()


def _dark() -> Gdk.RGBA:
    colour = Gdk.RGBA()
    colour.parse("#101418")
    return colour


def _read_token() -> str:
    """What opens the panel, as systemd passed it in; the console made it. Read anew, since only a boot changes it."""
    try:
        return (Path(os.environ["CREDENTIALS_DIRECTORY"]) / "token").read_text(encoding="ascii").split()[0]
    except (KeyError, OSError, IndexError):
        return ""


def _tell(text: str) -> bool:
    """Tell systemd (sd_notify(3)); true, so that GLib calls it again."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if place:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.sendto(text.encode(), place.replace("@", "\0", 1) if place.startswith("@") else place)
    return True


def main(address: str) -> None:
    Gtk.init()
    Gtk.Settings.get_default().set_property("gtk-application-prefer-dark-theme", True)
    # The window refers to the panel by its signals.
    Panel(address)
    GLib.timeout_add_seconds(_ALIVE_SECONDS, _tell, "WATCHDOG=1")
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(sys.argv[1])
