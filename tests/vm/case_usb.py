"""A USB serial adapter comes and goes: udev names it by its own number, or by the socket that it is plugged into."""

from __future__ import annotations

from tests.vm.box import Box
from tests.vm.machine import Machine
from tests.vm.serial_adapter import plugged


def test_ok__plugged_in_it_has_a_name_and_unplugged_it_has_none(guest: Machine) -> None:
    with plugged(guest, "FT4X1ABC") as adapter:
        assert guest.shell.wait_until(f"readlink --canonicalize-existing {adapter.by_id}") == "/dev/ttyUSB0\n"
        guest.shell.run(
            "stty -F /dev/ttyUSB0 raw -echo 115200 && exec 3</dev/ttyUSB0 && sleep infinity & echo $! >/tmp/pid"
        )
        adapter.unplug()
        guest.shell.wait_until(f"test ! -e {adapter.by_id} && test ! -e /dev/ttyUSB0")
    with plugged(guest, "FT4X1ABC") as adapter:
        guest.shell.wait_until(f"test -c {adapter.by_id}")


def test_ok__bytes_pass_in_both_directions(guest: Machine) -> None:
    with plugged(guest, "A1") as adapter:
        guest.shell.wait_until(f"test -c {adapter.by_id}")
        guest.shell.run(f"stty -F {adapter.by_id} raw -echo clocal 115200")
        # Opened before anything is sent: what comes before that is lost, as on a real adapter.
        guest.shell.run(f"exec 3<{adapter.by_id}; head -c 256 <&3 >/tmp/heard & echo started")
        guest.shell.run(f"printf hello > {adapter.by_id}")
        adapter.line.settimeout(60)
        assert adapter.line.recv(5) == b"hello"
        adapter.line.sendall(bytes(range(256)))
        guest.shell.wait_until("test $(stat --format %s /tmp/heard) = 256")
        assert guest.shell.read_file("/tmp/heard") == bytes(range(256))


def test_ok__two_that_are_alike_are_named_by_their_sockets(guest: Machine) -> None:
    """Cheap adapters carry all the same number."""
    rule = 'SUBSYSTEM=="tty", ENV{{ID_PATH}}=="*-usb-0:{}:1.0", ENV{{APPLIANCE_NAME}}="{}"\n'
    Box(guest).name_devices(rule.format(1, "left") + rule.format(2, "right"))
    # The lines are this case's own.
    guest.shell.run("systemctl mask --runtime appliance-acquire@left.service appliance-acquire@right.service")
    # Not in their order, so that the kernel's numbers say nothing.
    with plugged(guest, "A1", 2) as right, plugged(guest, "A1", 1) as left:
        for name, adapter in (("left", left), ("right", right)):
            guest.shell.wait_until(f"test -c /dev/appliance/{name}")
            guest.shell.run(f"stty -F /dev/appliance/{name} raw -echo clocal 115200")
            guest.shell.run(f"printf {name} > /dev/appliance/{name}")
            adapter.line.settimeout(60)
            assert adapter.line.recv(16).decode() == name
        assert guest.shell.run("readlink /dev/appliance/right") == "../ttyUSB0\n"
