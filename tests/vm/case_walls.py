"""What is open, and what each of our processes can reach: tried from outside, and from inside its own unit's walls."""

from __future__ import annotations

import json
import secrets
import shlex
import socket
from pathlib import Path

import pytest

from tests.vm.box import HOST, LISTENER, PYTHON, STATE, Box
from tests.vm.machine import Machine
from tests.vm.serial_adapter import plugged

_INSIDE = Path(__file__).with_name("inside")
_SECONDS = 1800.0
_RULE = 'SUBSYSTEM=="tty", ENV{{ID_SERIAL_SHORT}}=="{0}", ENV{{APPLIANCE_NAME}}="{0}"\n'
_RUN = "/run/appliance"
# A file of the kernel's that stands for a screen's light: there is none in this machine.
_LIGHT = "/sys/devices/virtual/mem/null/power/control"
# Unit → what is tried in it → what comes of it. `*` is a port of this machine that listens.
_WALLS = {
    "appliance-acquire@ours.service": {
        "open:/dev/appliance/ours": "done",
        "open:/dev/appliance/theirs": "EPERM",
        "inet:*": "EAFNOSUPPORT",
        "udp:*": "EAFNOSUPPORT",
        f"read:{STATE}/exams": "done",
        f"write:{STATE}/exams": "EACCES",
        f"write:{STATE}/captured": "done",
        f"read:{STATE}/outbox": "EACCES",
        f"read:{STATE}/journal": "EACCES",
        f"unix:{_RUN}/console/console.sock": "EACCES",
        "write:/usr": "EROFS",
    },
    "appliance-console.service": {
        "inet:*": "EAFNOSUPPORT",
        "udp:*": "EAFNOSUPPORT",
        "open:/dev/appliance/ours": "ENOENT",
        f"write:{STATE}/exams": "done",
        f"read:{STATE}/journal": "EACCES",
        f"write:{STATE}/kept": "EACCES",
        f"unix:{_RUN}/forward/forward.sock": "done",
    },
    "appliance-forward.service": {
        "inet:*": "done",
        "open:/dev/appliance/ours": "ENOENT",
        f"read:{STATE}/captured": "EACCES",
        f"read:{STATE}/exams": "done",
        f"write:{STATE}/exams": "EACCES",
        f"write:{STATE}/journal": "done",
        f"unix:{_RUN}/console/console.sock": "EACCES",
    },
    "appliance-kiosk.service": {
        "inet:127.0.0.1:8080": "done",
        "udp:*": "EPERM",
        f"read:{STATE}": "EACCES",
        f"read:{_RUN}": "EACCES",
        "open:/dev/appliance/ours": "EPERM",
        # What opens the panel comes by systemd alone.
        "see:/run/credentials/appliance-kiosk.service/token": "done",
        f"change:{_LIGHT}": "done",
        "change:/sys/devices/virtual/mem/null/uevent": "EACCES",
        "change:/proc/sys/kernel/panic": "EROFS",
    },
}


@pytest.mark.parametrize("unit", _WALLS)
def test_ok__the_walls_of_a_unit(guest: Machine, unit: str) -> None:
    box = Box(guest)
    box.name_devices(_RULE.format("ours") + _RULE.format("theirs"))
    guest.shell.write_file("/run/walls.py", (_INSIDE / "walls.py").read_bytes())
    with socket.create_server(("127.0.0.1", 0)) as listener, plugged(guest, "ours"), plugged(guest, "theirs"):
        guest.shell.wait_until("test -c /dev/appliance/ours && test -c /dev/appliance/theirs")
        guest.shell.run("systemctl stop 'appliance-acquire@*.service'", _SECONDS)
        if "kiosk" in unit:
            # Whom the file's mode would let in the unit keeps out.
            guest.shell.run("chmod 0666 /dev/appliance/ours")
            # As udev's rule does it to a light.
            guest.shell.run(f"chgrp appliance-kiosk {_LIGHT} && chmod g+w {_LIGHT}")
        address = f"{HOST}:{listener.getsockname()[1]}"
        wanted = {what.replace("*", address): outcome for what, outcome in _WALLS[unit].items()}
        told = _try_inside(guest, unit, list(wanted))
        assert told.pop("user") != "0"
        assert told == wanted


def _try_inside(guest: Machine, unit: str, tries: list[str]) -> dict[str, str]:
    """The unit as it stands, with another program in it."""
    nonce = secrets.token_hex(8)
    command = shlex.join([PYTHON, "-I", "/run/walls.py", nonce, *tries])
    of = unit.replace("@ours", "@")
    place = f"/run/systemd/system/{of}.d"
    guest.shell.run(f"mkdir -p {place}")
    drop_in = f"[Service]\nType=oneshot\nRestart=no\nExecStart=\nExecStart={command}\n"
    guest.shell.write_file(f"{place}/walls.conf", drop_in.encode())
    guest.shell.run("systemctl daemon-reload", _SECONDS)
    guest.shell.run(f"systemctl restart {unit}", _SECONDS)
    line = guest.shell.wait_until(f"journalctl --no-pager --output cat --unit {unit} | grep {nonce}").strip()
    told = json.loads(line.removeprefix(nonce))
    return {str(what): str(outcome) for what, outcome in told.items()}


def test_ok__nothing_of_ours_runs_as_root(guest: Machine) -> None:
    box = Box(guest)
    box.name_devices(_RULE.format("ours"))
    box.configure(_DEVICE)
    with plugged(guest, "ours"):
        box.wait_active("appliance-acquire@ours.service")
        processes = guest.shell.run(
            "cat $(find /sys/fs/cgroup/system.slice -path '*appliance-*' -name cgroup.procs) | "
            "while read pid; do echo $(stat --format %U /proc/$pid) $(grep CapEff /proc/$pid/status); done"
        ).splitlines()
    users = {line.split()[0] for line in processes}
    assert users == {"appliance-acquire", "appliance-console", "appliance-forward"}
    assert {line.split()[2] for line in processes} == {"0" * 16}


_DEVICE = """
[box]
name = "bridge"
[[devices]]
name = "ours"
driver = "xmodem"
modality = "US"
line = "/dev/appliance/ours"
"""
_LISTENING = f"""
[box]
name = "bridge"
[listener]
host = "0.0.0.0"
port = {LISTENER}
"""


def test_ok__from_outside_only_what_is_configured_answers(guest: Machine) -> None:
    """Every TCP port, asked from another network stack across a wire of its own."""
    box = Box(guest)
    guest.shell.write_file("/run/scan.py", (_INSIDE / "scan.py").read_bytes())
    guest.shell.run("mkdir -p /run/systemd/network")
    guest.shell.write_file("/run/systemd/network/10-scan.network", b"[Match]\nName=scan\n[Link]\nUnmanaged=yes\n")
    guest.shell.run(
        "networkctl reload && ip netns add outside"
        " && ip link add scan type veth peer name scanner netns outside"
        " && ip addr add 192.0.2.1/24 dev scan && ip link set scan up"
        " && ip -n outside addr add 192.0.2.2/24 dev scanner && ip -n outside link set scanner up"
    )
    # Nothing listens there yet, and nothing says so.
    assert _scan(guest, LISTENER, LISTENER) == {"open": [], "closed": []}
    box.configure(_LISTENING)
    # By what is rendered of the configuration, as at a boot.
    guest.shell.run("systemctl restart appliance-restore.service && systemctl reload nftables.service", _SECONDS)
    assert _scan(guest, 1, 65535) == {"open": [22, LISTENER], "closed": []}


def _scan(guest: Machine, first: int, last: int) -> dict[str, list[int]]:
    command = f"ulimit -n 20000; ip netns exec outside {PYTHON} -I -S /run/scan.py 192.0.2.1 {first} {last}"
    found: dict[str, list[int]] = json.loads(guest.shell.run(command, _SECONDS))
    return found
