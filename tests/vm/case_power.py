"""Power cuts on the data disk: what was acknowledged as saved is there after any of them, whole, and gets committed.

The main job writes to a disk whose requests are recorded. From the record come the states that a cut could have left:
all up to the last flush, and of the rest what the disk pleased. Each is repaired as at a boot, plugged into a running
box, and its services must come up with everything that had been acknowledged by then.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

from tests.peers import Orthanc, running
from tests.vm import data_disk
from tests.vm.box import LISTENER, STATE, Box
from tests.vm.case_job import ACQUIRE, CONFIGURATION, RULES, SECONDS, SERIAL, archive, report_port, send_image
from tests.vm.data_disk import NODE, check_file_system, make_file_system, plug_recorded
from tests.vm.frozen import Frozen, thawed
from tests.vm.machine import Machine
from tests.vm.serial_adapter import plugged
from tests.vm.write_log import count_entries, read_entries, replay_cut, survivors_of_cut

__all__ = ["archive"]  # the fixture

_CUTS = int(os.environ.get("CUTS", "8"))
_SEED = int(os.environ.get("SEED", "1"))
_IMAGES = 3


def test_ok__what_was_acknowledged_survives_any_cut(frozen: Frozen, archive: Orthanc, tmp_path: Path) -> None:
    base, disk, log = tmp_path / "base", tmp_path / "disk", tmp_path / "log"
    make_file_system(base)
    shutil.copyfile(base, disk)
    with running(archive):
        promises = _record_job(frozen, archive, disk, log, tmp_path)
        entries = read_entries(log)
        assert len(promises) == _IMAGES
        chance = random.Random(_SEED)
        with thawed(frozen, {report_port(archive): LISTENER}) as guest:
            box = Box(guest)
            for _ in range(_CUTS):
                # From the moment that the box was ready: before it there is nothing to lose.
                cut = chance.randint(max(0, min(promises.values()) - 20), len(entries))
                replay_cut(base, log, survivors_of_cut(entries, cut, chance), disk)
                check_file_system(disk)
                promised = {name for name, entry in promises.items() if entry <= cut}
                _check_state(box, archive, disk, promised, f"cut {cut} of {len(entries)}, seed {_SEED}")


def _record_job(frozen: Frozen, archive: Orthanc, disk: Path, log: Path, tmp_path: Path) -> dict[str, int]:
    """Do the main job on `disk`: each object acknowledged → how many requests were recorded by then."""
    promises: dict[str, int] = {}
    with thawed(frozen, {report_port(archive): LISTENER}) as guest:
        box = Box(guest)
        plug_recorded(guest, disk, log)
        _mount_state(guest)
        box.configure(CONFIGURATION.format(port=archive.port), RULES)
        with plugged(guest, SERIAL) as adapter:
            box.wait_active(ACQUIRE)
            exam = box.open_exam()
            for number in range(_IMAGES):
                send_image(adapter, tmp_path / "image.jpg", number)
                # The machine has its acknowledgement: from now on the object may not be lost.
                recorded = count_entries(log)
                promises |= {name: recorded for name in box.objects(exam, "ultrasound") if name not in promises}
            box.close_exam(exam)
            guest.shell.wait_until(f"test -e {STATE}/settled/{exam}.json", SECONDS)
    return promises


def _check_state(box: Box, archive: Orthanc, disk: Path, promised: set[str], about: str) -> None:
    guest = box.guest
    data_disk.plug(guest, disk)
    _mount_state(guest)
    box.configure(CONFIGURATION.format(port=archive.port), RULES)
    found = set(guest.shell.run(f"find {STATE} -name '*.dcm' -not -name '.*' -printf '%f\\n'").split())
    assert promised <= found, f"{about}: lost {promised - found}"
    for name in promised:
        # The name carries the digest of the whole file (a still's), so any reader can tell.
        digest = name.split("~")[2]
        path = guest.shell.run(f"find {STATE} -name '{name}'").strip()
        assert guest.shell.run(f"sha256sum < {path}").split()[0] == digest, about
    guest.shell.run("systemctl stop 'appliance-*.service'", SECONDS)
    guest.shell.run(f"umount {STATE}")
    data_disk.unplug(guest)


def _mount_state(guest: Machine) -> None:
    """The disk as the box's state: what is there belongs to whom the units say."""
    guest.shell.run("systemctl stop 'appliance-*.service'", SECONDS)
    guest.shell.wait_until(f"test -b {NODE}")
    guest.shell.run(f"mount -o nosuid,nodev,noexec,noatime,errors=remount-ro {NODE} {STATE}")
    guest.shell.run("systemd-tmpfiles --create --prefix=/var/lib/appliance", SECONDS)
    guest.shell.run("systemctl start appliance-recover.service", SECONDS)
