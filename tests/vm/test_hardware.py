"""QEMU's command line from a machine's parts."""

from __future__ import annotations

import base64
import itertools
from pathlib import Path

from tests.vm.hardware import Hardware

_HARDWARE = Hardware(Path("/tmp/vm"), Path("/tmp/vm/disk.qcow2"), {40104: 11112})


def _values(option: str, command: list[str]) -> list[str]:
    return [value for before, value in itertools.pairwise(command) if before == option]


def test_ok__a_port_of_the_host_leads_into_the_guest() -> None:
    (network,) = _values("-netdev", _HARDWARE.command())
    assert network == "user,id=lan,hostfwd=tcp:127.0.0.1:40104-:11112"


def test_ok__it_boots_or_goes_on_from_a_saved_memory() -> None:
    assert _values("-incoming", _HARDWARE.command()) == []
    assert _values("-incoming", _HARDWARE.command(Path("/tmp/memory"))) == ["exec:cat /tmp/memory"]


def test_ok__the_shell_comes_as_a_credential_and_is_in_no_image() -> None:
    strings = [value.replace(",,", ",") for value in _values("-smbios", _HARDWARE.command())]
    (unit,) = [value for value in strings if "systemd.extra-unit.vm-shell.service=" in value]
    assert b"/dev/virtio-ports/shell" in base64.b64decode(unit.partition("vm-shell.service=")[2])
    image = Path(__file__).parents[2] / "image"
    assert not [path for path in image.rglob("*") if path.is_file() and b"virtio-ports" in path.read_bytes()]
