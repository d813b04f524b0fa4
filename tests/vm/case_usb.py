"""A USB serial adapter comes and goes: udev names it by its own number."""

from __future__ import annotations

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
