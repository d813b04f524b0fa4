"""Which slot starts next: the box's own words to RAUC, over a firmware that is a file here."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

_SLOTS = Path(__file__).resolve().parents[2] / "image/mkosi.extra/usr/lib/appliance/slots"
# What efibootmgr 18 prints, and the options of it that are asked for.
_EFIBOOTMGR = """\
#!/bin/sh
set -eu
cd "$(dirname "$0")"
[ "${1:-}" != --quiet ] || shift
[ ! -e full ] || [ -z "${1:-}" ] || exit 28
case ${1:-} in
--bootnext) echo "$2" > next ;;
--bootorder) echo "$2" > order ;;
--delete-bootorder) rm -f order ;;
"")
    echo "BootCurrent: 0001"
    [ ! -e next ] || echo "BootNext: $(cat next)"
    echo "Timeout: 0 seconds"
    [ ! -e order ] || echo "BootOrder: $(cat order)"
    printf 'Boot0000* UiApp\\tFvVol(7cb8bdc9)\\n'
    printf 'Boot0001* UEFI Misc Device\\tPciRoot(0x0)/Pci(0x2,0x0)\\n'
    printf 'Boot000A* appliance-a\\tHD(1,GPT,0e40cb2c)/\\\\EFI\\\\BOOT\\\\BOOTX64.EFI\\n'
    printf 'Boot000B* appliance-b\\tHD(4,GPT,1e40cb2c)/\\\\EFI\\\\BOOT\\\\BOOTX64.EFI\\n'
    ;;
*) echo "$1 is not known here" >&2; exit 1 ;;
esac
"""


class Firmware:
    """Its variables, and the script over them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        program = directory / "efibootmgr"
        program.write_text(_EFIBOOTMGR)
        program.chmod(0o755)

    def set(self, **variables: str) -> None:
        for name, value in variables.items():
            (self._directory / name).write_text(f"{value}\n")

    def forbid_writing(self) -> None:
        (self._directory / "full").touch()

    def order(self) -> str:
        return (self._directory / "order").read_text().strip()

    def slots(self, *words: str) -> str:
        path = f"{self._directory}:{os.environ['PATH']}"
        done = subprocess.run(
            ["/bin/sh", _SLOTS, *words], env={"PATH": path}, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout.strip()


@pytest.fixture
def firmware(tmp_path: Path) -> Firmware:
    return Firmware(tmp_path)


@pytest.mark.parametrize(
    ("variables", "primary"),
    [
        ({}, "a"),  # a new board
        ({"order": "0000,0001"}, "a"),
        ({"order": "0000,000A,000B"}, "a"),
        ({"order": "000B,000A"}, "b"),
        ({"order": "000A", "next": "000B"}, "b"),
        ({"order": "000A", "next": "0000"}, "a"),  # somebody's stick, once
    ],
)
def test_ok__what_starts_next(firmware: Firmware, variables: dict[str, str], primary: str) -> None:
    firmware.set(**variables)
    assert firmware.slots("get-primary") == primary


def test_ok__a_try_changes_nothing_that_was_kept(firmware: Firmware) -> None:
    firmware.set(order="0000,000A,0001")
    firmware.slots("set-primary", "b")
    assert (firmware.slots("get-primary"), firmware.order()) == ("b", "0000,000A,0001")
    assert firmware.slots("get-state", "b") == "bad"


def test_ok__what_came_up_is_first_and_the_other_stays_behind_it(firmware: Firmware) -> None:
    firmware.set(order="0000,000A,0001")
    firmware.slots("set-state", "b", "good")
    assert firmware.order() == "000B,0000,000A,0001"
    assert (firmware.slots("get-state", "a"), firmware.slots("get-state", "b")) == ("good", "good")
    # Once more, as at each boot: nothing is written.
    firmware.forbid_writing()
    firmware.slots("set-state", "b", "good")


def test_ok__what_will_be_written_is_not_started(firmware: Firmware) -> None:
    firmware.set(order="000B,000A")
    firmware.slots("set-state", "a", "bad")
    assert (firmware.order(), firmware.slots("get-state", "a")) == ("000B", "bad")
    firmware.slots("set-state", "b", "bad")
    assert firmware.slots("get-primary") == "a"


def test_fail__other_words_are_refused(firmware: Firmware) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        firmware.slots("forget")
