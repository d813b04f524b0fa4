"""A footswitch takes the picture: a keyboard by USB, named by the site, under the grabber's own unit. A scanner, which
nobody named, is a keyboard for the panel.
"""

from __future__ import annotations

import struct

from tests.vm.box import Box
from tests.vm.case_grabber import WEBCAM
from tests.vm.grabber import Grabber, wait_for
from tests.vm.machine import Machine
from tests.vm.usb.keyboard import Keyboard
from tests.vm.usb.plug import plugged_in
from tests.vm.vivid import RULE, Vivid

_RULE = 'SUBSYSTEM=="input", KERNEL=="event*", ENV{ID_SERIAL_SHORT}=="PEDAL1", ENV{APPLIANCE_NAME}="pedal"\n'
_TRIGGER = 'triggers = [{ kind = "key", node = "/dev/appliance/pedal", action = "still" }]\n'
_A = 4
# 4711 and Enter, by their usages.
_SCANNED = (33, 36, 30, 30, 40)


def test_ok__each_press_is_a_still_and_the_pedal_may_be_pulled_out(guest: Machine) -> None:
    box = Box(guest)
    box.configure(WEBCAM + _TRIGGER, RULE + _RULE)
    grabber = Grabber(box)
    pedal = Keyboard("PEDAL1")
    with plugged_in(guest, pedal) as plug:
        guest.shell.wait_until("test -c /dev/appliance/pedal")
        Vivid(guest)
        grabber.wait_up()
        pedal.press(_A)
        wait_for(lambda: len(grabber.objects()) == 1, "a still")
        pedal.press(_A)
        wait_for(lambda: len(grabber.objects()) == 2, "another one")
        plug.pull()
        guest.shell.wait_until("test ! -e /dev/appliance/pedal")
    again = Keyboard("PEDAL1")
    with plugged_in(guest, again):
        guest.shell.wait_until("test -c /dev/appliance/pedal")
        # It is looked for again and again; nobody hears a key that is pressed before.
        wait_for(lambda: _press_until(again, grabber, 3), "a still by the pedal that was plugged in again")
    assert "Traceback" not in box.journal()


def test_ok__what_a_scanner_reads_is_typed_at_the_screen_and_is_nobodys_trigger(guest: Machine) -> None:
    shell, scanner = guest.shell, Keyboard("SCAN1")
    node = "/dev/input/by-id/usb-PCsensor_FootSwitch_SCAN1-event-kbd"
    with plugged_in(guest, scanner):
        shell.wait_until(f"test -c {node} && udevadm settle", 600)
        assert "LIBINPUT_IGNORE_DEVICE" not in shell.run(f"udevadm info --query=property {node}")
        # acquire has no part in it.
        assert "appliance" not in shell.run(f"stat --dereference --format '%U %G' {node}")
        shell.run(f"cat {node} >/run/scanned & until readlink /proc/$!/fd/* | grep -q /dev/input; do sleep 0.1; done")
        for usage in _SCANNED:
            scanner.press(usage)
        wait_for(lambda: _keys_down(shell.read_file("/run/scanned")) == [5, 8, 2, 2, 28], "4711 and Enter")


def _keys_down(events: bytes) -> list[int]:
    """The keys that went down (Linux, input.h: struct input_event with a time of 16 bytes, EV_KEY)."""
    found = struct.iter_unpack("<16xHHi", events[: len(events) // 24 * 24])
    return [code for kind, code, value in found if (kind, value) == (1, 1)]


def _press_until(pedal: Keyboard, grabber: Grabber, count: int) -> bool:
    pedal.press(_A)
    return len(grabber.objects()) >= count
