"""A frame becomes a durable object: right for an independent reader, numbered on after a restart, refused in time."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread

from appliance.acquire.gate import Ticket
from appliance.acquire.keeping import Kind, ObjectKeeper
from appliance.base.errors import ApplianceError
from appliance.config.schema import Box
from appliance.devices.frame import Encoding, Frame
from appliance.spool.tree import NoRoomError
from appliance.spool.writer import ObjectWriter, UnconfirmedError
from tests.acquire.conftest import Room
from tests.acquire.world import (
    PATIENT,
    errors_of,
    fragments_of,
    make_frame,
    make_grabber,
    make_serial,
    open_exam_of,
    picture,
    scan_data_of,
    unpadded,
)
from tests.base.power import powered

GRAY16 = Frame(bytes(range(256)) * 3, Encoding.GRAY16, 24, 16, 16, 0, 0.0)
FRAMES = {
    "jpeg, 4:2:0": make_frame(picture()),
    "jpeg, 4:4:4": make_frame(picture(subsampling=0)),
    "jpeg, gray": make_frame(picture(mode="L")),
    "rgb": Frame(bytes(range(189)), Encoding.RGB, 9, 7, 8, 0, 0.0),  # odd: one byte of padding
    "rgb, lossy before": Frame(bytes(range(192)), Encoding.RGB, 8, 8, 8, 0, 0.0, lossy_bytes=40),
    "gray": Frame(bytes(63), Encoding.GRAY8, 9, 7, 8, 0, 0.0),
    "gray, 16 bit": GRAY16,
}


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("is_scheduled", [True, False])
def test_ok__a_still_is_valid_and_its_pixels_are_the_machines(room: Room, name: str, is_scheduled: bool) -> None:
    exam = open_exam_of(room.facts) if is_scheduled else None
    frame = FRAMES[name]
    with room.gate.admitting() as ticket:
        saved = room.keeper(make_grabber()).keep_still(ticket, frame, Kind.STILL)
    path = room.only_object("endoscope", exam.exam_id if exam else None)
    assert errors_of(path) == []
    assert (path.name, path.stat().st_size) == (saved.file_name, saved.bytes)
    read = dcmread(path)
    assert read.SOPInstanceUID == saved.sop_instance_uid
    assert (read.Rows, read.Columns) == (frame.height, frame.width)
    if frame.encoding is Encoding.JPEG:
        (fragment,) = fragments_of(path)
        assert scan_data_of(unpadded(fragment)) == scan_data_of(frame.data)
    else:
        assert read.PixelData[: len(frame.data)] == frame.data
    assert read.LossyImageCompression == ("01" if frame.encoding is Encoding.JPEG or frame.lossy_bytes else "00")
    assert read.get("PatientName", "") == (PATIENT if is_scheduled else "")
    assert room.temporaries() == []


def test_ok__instance_numbers_go_on_after_a_restart(room: Room) -> None:
    exam = open_exam_of(room.facts)
    frame = FRAMES["gray"]

    def capture(keeper: ObjectKeeper) -> int:
        with room.gate.admitting() as ticket:
            saved = keeper.keep_still(ticket, frame, Kind.STILL)
        directory = room.spool.captured("endoscope", ticket.exam_id)
        return int(dcmread(directory / saved.file_name).InstanceNumber)

    keeper = room.keeper(make_grabber())
    assert [capture(keeper) for _ in range(3)] == [1, 2, 3]
    first = next(path for path, _ in room.objects("endoscope", exam.exam_id) if dcmread(path).InstanceNumber == 1)
    first.unlink()  # discarded: counting the files would give 3 twice
    restarted = room.keeper(make_grabber())
    assert [capture(restarted) for _ in range(2)] == [4, 5]


def test_ok__the_exams_take_turns(room: Room) -> None:
    keeper, numbers = room.keeper(make_grabber()), []
    tickets = []
    for number in (1, 2):
        open_exam_of(room.facts, number)
        tickets.append(room.gate.admit())
    for ticket in (*tickets, *tickets):  # a long capture of the exam before ends after the next has begun
        saved = keeper.keep_still(ticket, FRAMES["gray"], Kind.STILL)
        numbers.append(int(dcmread(keeper.directory(ticket) / saved.file_name).InstanceNumber))
    assert numbers == [1, 1, 2, 2]


@pytest.mark.parametrize("change", [{"name": "second"}, {"modality": "XC"}])
def test_fail__a_device_that_the_exam_does_not_know(room: Room, change: dict[str, str]) -> None:
    open_exam_of(room.facts)
    with room.gate.admitting() as ticket, pytest.raises(ApplianceError, match="was set up after this exam was opened"):
        room.keeper(make_serial(**change)).keep_still(ticket, FRAMES["gray"], Kind.TRANSFER)
    assert not (room.spool.state / "captured").exists() or room.temporaries() == []


def test_fail__no_room(room: Room) -> None:
    keeper = ObjectKeeper(room.spool, Box(reserve_bytes=1 << 60), make_grabber(), room.clock)
    with room.gate.admitting() as ticket, pytest.raises(NoRoomError, match="flash is full"):
        keeper.keep_still(ticket, FRAMES["gray"], Kind.STILL)
    assert room.objects("endoscope", None) == []


@pytest.mark.parametrize("step", ["append", "publish"])
def test_fail__flash_fails_and_nothing_is_left(room: Room, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def fail(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ObjectWriter, step, fail)
    with room.gate.admitting() as ticket, pytest.raises(OSError, match="No space left"):
        room.keeper(make_grabber()).keep_still(ticket, FRAMES["gray"], Kind.STILL)
    assert room.objects("endoscope", None) == [] == room.temporaries()
    assert room.keeper(make_grabber()).recently_saved() == []


def test_fail__a_name_that_flash_does_not_confirm_is_neither_saved_nor_lost(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_directory: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("appliance.spool.writer.sync_directory", fail)
    with room.gate.admitting() as ticket, pytest.raises(UnconfirmedError, match="It is on the box") as told:
        room.keeper(make_grabber()).keep_still(ticket, FRAMES["gray"], Kind.STILL)
    assert room.only_object("endoscope", None) == told.value.path


def test_ok__a_directory_is_made_durable_once(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """A still costs two syncs, its file's and its directory's; the first one of a process also those above."""
    keeper = room.keeper(make_grabber())

    def capture() -> list[str]:
        with powered(monkeypatch) as power, room.gate.admitting() as ticket:
            keeper.keep_still(ticket, FRAMES["gray"], Kind.STILL)
        return [line for line in power.order() if line.startswith("fsync")]

    directory = room.spool.captured("endoscope", None)
    assert f"fsync {directory.parent.name}" in capture()
    assert capture()[1:] == ["fsync unassigned"]
    keeper.directory(Ticket(room.clock.now())).rename(room.spool.state / "taken away")
    assert f"fsync {directory.parent.name}" in capture()
    again = room.keeper(make_grabber())  # the process before may have been killed between making and syncing it
    keeper = again
    assert f"fsync {directory.parent.name}" in capture()


def test_ok__a_damaged_neighbour_does_not_keep_a_frame_from_being_kept(room: Room) -> None:
    exam = open_exam_of(room.facts)
    directory = room.spool.captured("endoscope", exam.exam_id)
    directory.mkdir(parents=True)
    (directory / f"1.2.3~0~{'0' * 64}.dcm").write_bytes(b"not what it should be")
    with room.gate.admitting() as ticket:
        room.keeper(make_grabber()).keep_still(ticket, FRAMES["gray"], Kind.STILL)


def test_ok__only_the_last_are_remembered(room: Room) -> None:
    keeper = room.keeper(make_grabber())
    with room.gate.admitting() as ticket:
        saved = [keeper.keep_still(ticket, FRAMES["gray"], Kind.STILL) for _ in range(70)]
    assert keeper.recently_saved() == saved[-64:]
