"""A footswitch takes the picture: a keyboard by USB, named by the site, under the grabber's own unit."""

from __future__ import annotations

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


def _press_until(pedal: Keyboard, grabber: Grabber, count: int) -> bool:
    pedal.press(_A)
    return len(grabber.objects()) >= count
