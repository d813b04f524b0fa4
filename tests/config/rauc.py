"""A RAUC on the bus that says what it does, and nothing else. For Debian's python3-gi: `python3 rauc.py OPERATION`."""

import sys

from gi.repository import Gio, GLib  # type: ignore[import-not-found]

_INTERFACE = """<node><interface name="de.pengutronix.rauc.Installer">
<property name="Operation" type="s" access="read"/></interface></node>"""


def main(operation: str) -> None:
    bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
    (interface,) = Gio.DBusNodeInfo.new_for_xml(_INTERFACE).interfaces
    bus.register_object("/", interface, None, lambda *_asked: GLib.Variant("s", operation), None)
    Gio.bus_own_name_on_connection(
        bus, "de.pengutronix.rauc", Gio.BusNameOwnerFlags.NONE, lambda *_: print("here", flush=True), None
    )
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(sys.argv[1])
