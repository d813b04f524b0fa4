"""Updates: another release goes into the other slot while the box works, is tried once, and kept when it comes up.

Three files are made beside the image: the same sources under another name, the same with a root that cannot be
verified, and one for another board. BOOTS and SEED in the environment: how many of the cuts are started from, and which
they are.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import data_disk
from tests.vm.box import STATE
from tests.vm.case_power import booted, telling
from tests.vm.data_disk import check_file_system
from tests.vm.frozen import REPOSITORY, Frozen, thawed
from tests.vm.machine import Machine
from tests.vm.write_log import (
    SECTOR,
    Entry,
    Flag,
    count_entries,
    read_entries,
    replay_cut,
    survivors_of_cut,
)

_SECONDS = 1800.0
_SERVICES = "appliance-console.service appliance-forward.service"
_SLOTS = "/usr/lib/appliance/slots"
_HERE = "/run/update"
_CUTS = 10
_BOOTS = int(os.environ.get("BOOTS", "1"))
_SEED = int(os.environ.get("SEED", "1"))


def bundle(*options: str) -> Path:
    """A signed update, made when it is missing. CalledProcessError when it cannot be made."""
    command = [sys.executable, REPOSITORY / "image" / "bundle.py", "amd64", *options]
    return Path(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


@pytest.fixture(scope="module")
def broken() -> Path:
    """The next release with a root that no kernel can verify."""
    return bundle("--edition", "next", "--broken")


@contextlib.contextmanager
def brought(guest: Machine, *files: Path) -> Iterator[None]:
    """Files on a disk that is plugged in, as on a stick: /run/update/NAME."""
    with contextlib.ExitStack() as stack:
        directory = guest.hardware.directory / "brought"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        for file in files:
            shutil.copyfile(file, directory / file.name)
        disk = guest.hardware.directory / "stick"
        size = sum(file.stat().st_size for file in files) * 11 // 10 + (16 << 20)
        subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", "-d", directory, disk, f"{size >> 10}k"], check=True)
        data_disk.plug(guest, disk, "stick", 2)
        stack.callback(data_disk.unplug, guest, "stick")
        guest.shell.wait_until("test -b /dev/disk/by-id/virtio-stick")
        guest.shell.run(f"mkdir -p {_HERE} && mount -o ro /dev/disk/by-id/virtio-stick {_HERE}")
        stack.callback(guest.shell.run, f"umount {_HERE}")
        yield


def install(guest: Machine, file: Path) -> str:
    """What RAUC said. ShellError when it refused."""
    return guest.shell.run(f"rauc install {_HERE}/{file.name}", _SECONDS)


def ask_slots(guest: Machine, *words: str) -> str:
    return guest.shell.run(f"{_SLOTS} {' '.join(words)}").strip()


def release(guest: Machine) -> str:
    return guest.shell.run(". /usr/lib/os-release; echo $IMAGE_VERSION").strip()


def test_ok__another_release_is_tried_kept_and_left_again(frozen: Frozen) -> None:
    """Upwards and back, with all that lasts."""
    following, current = bundle("--edition", "next"), bundle()
    with thawed(frozen) as guest:
        begun = release(guest)
        assert (ask_slots(guest, "get-current"), ask_slots(guest, "get-state", "b")) == ("a", "bad")
        guest.shell.run(f"echo here > {STATE}/left && sync")
        processes = guest.shell.run(f"systemctl show --property MainPID {_SERVICES}")
        with brought(guest, following):
            install(guest, following)
        assert guest.shell.run(f"systemctl show --property MainPID {_SERVICES}") == processes
        assert ask_slots(guest, "get-primary") == "b"
        assert guest.restart() == "running"
        assert (ask_slots(guest, "get-current"), ask_slots(guest, "get-primary")) == ("b", "b")
        assert release(guest) == following.parent.name.partition("-")[2] != begun
        assert guest.shell.run(f"cat {STATE}/left") == "here\n"
        with brought(guest, current):
            install(guest, current)
        assert guest.restart() == "running"
        assert (ask_slots(guest, "get-current"), ask_slots(guest, "get-primary")) == ("a", "a")
        assert release(guest) == begun
        assert guest.shell.run(f"cat {STATE}/left") == "here\n"


def test_fail__a_release_that_does_not_come_up_is_left(frozen: Frozen, broken: Path) -> None:
    with thawed(frozen) as guest:
        with brought(guest, broken):
            install(guest, broken)
        assert ask_slots(guest, "get-primary") == "b"
        # Once into b, and from there by itself into a.
        assert guest.restart() == "running"
        assert (ask_slots(guest, "get-current"), ask_slots(guest, "get-primary")) == ("a", "a")
        assert ask_slots(guest, "get-state", "b") == "bad"
        assert "root-b" not in guest.shell.run("findmnt --noheadings --output SOURCE /")


def test_fail__what_is_not_meant_for_this_box_is_refused(frozen: Frozen, broken: Path, tmp_path: Path) -> None:
    other = bundle("--edition", "next", "--broken", "--compatible", "appliance-arm64")
    cut, changed, unsigned = tmp_path / "cut.raucb", tmp_path / "changed.raucb", tmp_path / "unsigned.raucb"
    whole = bytearray(broken.read_bytes())
    cut.write_bytes(whole[: len(whole) // 2])
    signature = int.from_bytes(whole[-8:], "big")
    unsigned.write_bytes(whole[: -8 - signature])
    whole[1 << 20] ^= 1
    changed.write_bytes(whole)
    with thawed(frozen) as guest, brought(guest, other, cut, changed, unsigned):
        before = guest.shell.run("efibootmgr; head -c 1M /dev/disk/by-partlabel/boot-b | sha256sum")
        for file in (cut, unsigned, other):
            said = guest.shell.try_run(f"rauc install {_HERE}/{file.name}", _SECONDS)
            assert said.status != 0, file.name
            assert guest.shell.run("efibootmgr; head -c 1M /dev/disk/by-partlabel/boot-b | sha256sum") == before
        # Its signature is right until that block is read.
        assert guest.shell.try_run(f"rauc install {_HERE}/{changed.name}", _SECONDS).status != 0
        assert ask_slots(guest, "get-primary") == "a"


def test_fail__the_release_that_runs_is_not_written_again(frozen: Frozen) -> None:
    current = bundle()
    with thawed(frozen) as guest, brought(guest, current):
        refused = guest.shell.try_run(f"rauc install {_HERE}/{current.name}", _SECONDS)
        assert refused.status != 0
        assert ask_slots(guest, "get-primary") == "a"


def test_fail__a_cut_at_any_moment_of_an_update_leaves_the_slot_that_runs(
    frozen: Frozen, broken: Path, tmp_path: Path
) -> None:
    """Nothing else is written than the other slot and the data: so whatever a cut leaves, this slot is as it was."""
    log, whole = tmp_path / "log", tmp_path / "whole"
    log.touch()
    with thawed(frozen, log=log) as guest:
        begun = release(guest)
        with brought(guest, broken):
            install(guest, broken)
        told = count_entries(log)
        assert ask_slots(guest, "get-primary") == "b"
        areas = guest.shell.run(
            "cd /dev/disk/by-partlabel && for one in boot-b root-b verity-b data; do"
            " part=/sys/class/block/$(basename $(readlink -f $one)); cat $part/start $part/size; done"
        ).split()
    allowed = [range(int(start), int(start) + int(size)) for start, size in zip(areas[::2], areas[1::2], strict=True)]
    entries = read_entries(log)[:told]
    written = [one for one in entries if one.sectors and Flag.MARK not in one.flags]
    assert [one for one in written if not any(_is_within(one, area) for area in allowed)] == []
    # It was written at all: what each of the slot's partitions got.
    for area, least in zip(allowed[:3], (16 << 20, 1 << 20, 1 << 20), strict=True):
        assert sum(one.sectors for one in written if one.sector in area) * SECTOR >= least
    # What the firmware is to start next is on the medium, not on its way there.
    flushed = max(place for place, one in enumerate(entries) if Flag.FLUSH in one.flags)
    assert [one for one in entries[flushed:] if any(one.sector in area for area in allowed[:3])] == []
    chance = random.Random(_SEED)
    for number in range(_CUTS):
        cut = chance.randint(1, told)
        subprocess.run(["qemu-img", "convert", "-O", "raw", frozen.disk, whole], check=True)
        replay_cut(whole, log, survivors_of_cut(entries, cut, chance), whole)
        check_file_system(_cut_out(whole, allowed[3], tmp_path / "data"))
        if number < _BOOTS:
            with telling(f"cut {cut} of {told}, seed {_SEED}"), booted(whole, {}, frozen) as guest:
                assert (ask_slots(guest, "get-current"), ask_slots(guest, "get-state", "b")) == ("a", "bad")
                assert release(guest) == begun


def _cut_out(whole: Path, area: range, part: Path) -> Path:
    """The partition as a file: e2fsck loses its way in a disk once it has gone through the journal."""
    place = ("iflag=skip_bytes,count_bytes", f"skip={area.start * SECTOR}", f"count={len(area) * SECTOR}")
    subprocess.run(["dd", f"if={whole}", f"of={part}", "bs=1M", "conv=sparse", "status=none", *place], check=True)
    return part


def _is_within(entry: Entry, area: range) -> bool:
    return entry.sector in area and entry.sector + entry.sectors <= area.stop
