"""Power cuts: what was acknowledged as saved is there after any of them, whole, and gets committed.

A change of the configuration and the main job write to a disk whose requests are recorded. From the record come the
states that a cut could have left: all up to the last flush, and of the rest what the disk pleased. On the data disk
alone each state is mended as at a boot and found by services that were waiting for it, in a box of its own; a few are
cut out of the box's own disk, and start it from its firmware on. CUTS, BOOTS and SEED in the environment: how many of
each, and which.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.peers import Orthanc
from tests.vm import machine
from tests.vm.box import LISTENER, STATE, Box, change_configuration
from tests.vm.case_job import ACQUIRE, CONFIGURATION, RULES, SECONDS, SERIAL, hospital, report_port, send_image
from tests.vm.data_disk import NODE, check_file_system, make_file_system, plug_recorded
from tests.vm.frozen import Frozen, thawed
from tests.vm.hardware import Hardware, variables_of
from tests.vm.machine import Machine, make_disk
from tests.vm.serial_adapter import plugged
from tests.vm.waiting import begin, freeze_waiting, mount_state, stop_services
from tests.vm.write_log import count_entries, read_entries, replay_cut, survivors_of_cut

__all__ = ["hospital"]  # the fixture

_CUTS = int(os.environ.get("CUTS", "50"))
_BOOTS = int(os.environ.get("BOOTS", "1"))
_SEED = int(os.environ.get("SEED", "1"))
_IMAGES = 3
# What the change of the configuration is: a device's title, and another one.
_TITLES = ('title = "Ultrasound"', 'title = "Ultrasound, room 2"')
_LOOK_SECONDS = 120.0
# Every so many states go on until the hospital has committed everything.
_COMMITTED = 10


class Promises:
    """What the box had acknowledged, and how many requests the disk had been given by then."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._names: dict[str, int] = {}
        self.ready = 0
        self.changed = range(0)  # from the proposal of another configuration until it was confirmed

    def begin(self) -> None:
        """Before this moment there is nothing to lose."""
        self.ready = count_entries(self._log)

    def note(self, names: list[str]) -> None:
        recorded = count_entries(self._log)
        self._names |= {name: recorded for name in names if name not in self._names}

    def change(self, box: Box, configuration: str) -> None:
        begun = count_entries(self._log)
        change_configuration(box.guest, configuration)
        self.changed = range(begun, count_entries(self._log))

    def until(self, cut: int) -> set[str]:
        return {name for name, recorded in self._names.items() if recorded <= cut}


def test_ok__what_was_acknowledged_survives_any_cut(frozen: Frozen, hospital: Orthanc, tmp_path: Path) -> None:
    base, disk, log = tmp_path / "base", tmp_path / "disk", tmp_path / "log"
    make_file_system(base)
    waiting = freeze_waiting(frozen, tmp_path / "waiting", base)
    shutil.copyfile(base, disk)
    forwards = {report_port(hospital): LISTENER}
    with thawed(frozen, forwards) as guest:
        plug_recorded(guest, disk, log)
        stop_services(guest)
        guest.shell.wait_until(f"test -b {NODE}")
        mount_state(guest)
        promises = do_job(Box(guest), hospital, log, tmp_path)
    entries = read_entries(log)
    chance = random.Random(_SEED)
    for number in range(_CUTS):
        cut = chance.randint(promises.ready, len(entries))
        replay_cut(base, log, survivors_of_cut(entries, cut, chance), disk)
        check_file_system(disk)
        about = f"cut {cut} of {len(entries)}, number {number} of seed {_SEED}"
        with telling(about), thawed(waiting, forwards, state=disk) as guest:
            mount_state(guest)
            begin(guest)
            _check(Box(guest), hospital, promises, cut, is_whole=number % _COMMITTED == 0)


def test_ok__the_box_comes_up_after_a_cut(frozen: Frozen, hospital: Orthanc, tmp_path: Path) -> None:
    """From its firmware on, by its own disk."""
    log, whole = tmp_path / "log", tmp_path / "whole"
    log.touch()
    forwards = {report_port(hospital): LISTENER}
    with thawed(frozen, forwards, log=log) as guest:
        promises = do_job(Box(guest), hospital, log, tmp_path)
    entries = read_entries(log)
    chance = random.Random(_SEED)
    for _ in range(_BOOTS):
        cut = chance.randint(promises.ready, len(entries))
        subprocess.run(["qemu-img", "convert", "-O", "raw", frozen.disk, whole], check=True)
        replay_cut(whole, log, survivors_of_cut(entries, cut, chance), whole)
        with telling(f"cut {cut} of {len(entries)}, seed {_SEED}"), booted(whole, forwards, frozen) as guest:
            _check(Box(guest), hospital, promises, cut, is_whole=True)


def do_job(box: Box, hospital: Orthanc, log: Path, directory: Path) -> Promises:
    """Another configuration is confirmed; then one exam with images of a serial line, stored and committed."""
    promises = Promises(log)
    before = CONFIGURATION.format(port=hospital.port)
    box.configure(before, RULES)
    box.shell.run("systemctl start appliance-apply.socket && sync", SECONDS)
    promises.begin()
    promises.change(box, before.replace(*_TITLES))
    with plugged(box.guest, SERIAL) as adapter:
        box.wait_active(ACQUIRE)
        exam = box.open_exam()
        for number in range(_IMAGES):
            send_image(adapter, directory / "image.jpg", number)
            # The machine has its acknowledgement: from now on the object may not be lost.
            promises.note(box.objects(exam, "ultrasound"))
        box.close_exam(exam)
        box.shell.wait_until(f"test -e {STATE}/settled/{exam}.json", SECONDS)
    assert len(promises.until(count_entries(log))) == _IMAGES
    return promises


def _check(box: Box, hospital: Orthanc, promises: Promises, cut: int, is_whole: bool) -> None:
    """Nothing that was acknowledged is lost or altered; with `is_whole`, all of it gets committed."""
    promised = promises.until(cut)
    _check_configuration(box, hospital, promises.changed, cut)
    found = _find_objects(box, promised)
    for name in promised - set(found):
        # The disk is small: what the archive has taken over makes room for the next image, before its time.
        assert _uid(name) in _settled(box) and _uid(name) in hospital.stored(), f"lost {name}"
    for name in promised & set(found):
        assert name.removesuffix(".dcm").split("~")[2] == found[name]
    assert box.shell.run("systemctl list-units --failed --plain --no-legend") == ""
    assert "Traceback" not in box.journal()
    if not is_whole:
        return
    box.trust_clock()
    for exam in _open_exams(box):
        box.close_exam(exam)
    # Of an exam in which nothing was saved nothing is left to settle.
    for name in promised:
        is_settled = f"grep -qs {_uid(name)} {STATE}/settled/*.json"
        box.shell.wait_until(f"test -e {STATE}/kept/{name} || {is_settled}", SECONDS)
    assert set(map(_uid, promised)) <= set(hospital.stored())


def _find_objects(box: Box, wanted: set[str]) -> dict[str, str]:
    """The digest of each object. One that goes from a directory into another while both are listed may stand in
    neither list, and services that have just begun move what they find: what is not seen is looked for again.
    """
    end = time.monotonic() + _LOOK_SECONDS
    while True:
        # What a listing names may be elsewhere by the time that it is read.
        looked = box.shell.try_run(f"find {STATE} -name '[0-9]*.dcm' -exec sha256sum {{}} + 2>/dev/null", SECONDS)
        found = {line.rpartition("/")[2]: line.split()[0] for line in looked.output.splitlines()}
        if {_uid(name) for name in wanted - set(found)} <= _settled(box) or time.monotonic() > end:
            return found


def _settled(box: Box) -> set[str]:
    """What forward has written down as committed, for ever."""
    told = box.shell.try_run(f"cat {STATE}/settled/*.json").output
    return set(
        re.findall(r'"sop_instance_uid": "([0-9.]+)",\s*"destinations": {\s*"archive": {\s*"state": "committed"', told)
    )


def _uid(name: str) -> str:
    return name.partition("~")[0]


def _check_configuration(box: Box, hospital: Orthanc, changed: range, cut: int) -> None:
    """What was confirmed is in force, what was not is not, and no change is under way any more."""
    before = CONFIGURATION.format(port=hospital.port)
    after = before.replace(*_TITLES)
    possible = {before} if cut < changed.start else {after} if cut >= changed.stop else {before, after}
    assert box.shell.run(f"cat {STATE}/config/active.toml") in possible
    unended = f"for one in {STATE}/config/changes/[0-9]*; do test ! -d $one -o -e $one/outcome.json || echo $one; done"
    assert box.shell.run(unended) == ""


def _open_exams(box: Box) -> list[str]:
    listed = f"cd {STATE}/exams && for one in *; do test -e $one/exam.json -a ! -e $one/closing.json && echo $one; done"
    return box.shell.try_run(listed).output.split()


@contextlib.contextmanager
def booted(disk: Path, forwards: dict[int, int], frozen: Frozen) -> Iterator[Machine]:
    """A box from its firmware on, with that disk, and with what its firmware knew when it was frozen."""
    shutil.copyfile(variables_of(frozen.disk), variables_of(disk))
    # A socket's path is short.
    with tempfile.TemporaryDirectory(prefix="vm-") as name:
        directory = Path(name)
        overlay = directory / "disk.qcow2"
        make_disk(disk, "raw", overlay)
        with machine.running(Machine(Hardware(directory, overlay, forwards))) as guest:
            assert guest.wait_booted() == "running"
            yield guest


@contextlib.contextmanager
def telling(about: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        error.add_note(about)
        raise
