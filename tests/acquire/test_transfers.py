"""The transfer runner on a real pty, with the simulated machine's sender and lrzsz's `sx` at the far end."""

from __future__ import annotations

import io
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from PIL import Image
from pydicom import dcmread

from appliance.acquire import answering, transfers
from appliance.acquire.runner import State
from appliance.acquire.transfers import TransferRunner
from appliance.config.schema import Box
from appliance.devices.serial.receiver import Transfer, XmodemReceiver
from appliance.devices.serial.xmodem import TransferLimits
from appliance.exam.facts import ExamFacts
from appliance.simulator.machines.xmodem_sender import LineFault, Outcome, Protocol, XmodemSender
from appliance.spool.writer import ObjectWriter
from tests.acquire.conftest import Room
from tests.acquire.lines import CLOCK, FarEnd
from tests.acquire.world import close_exam, errors_of, fragments_of, make_serial, open_exam_of, picture, unpadded
from tests.peers import DEADLINE, wait_until


def make_png(shade: int = 0, size: tuple[int, int] = (40, 30)) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", size, shade).save(buffer, "PNG")
    return buffer.getvalue()


def make_noise() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((60, 60), 90).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses between two invitations, and before an answer is given again, are this test's alone to wait for."""
    monkeypatch.setattr(transfers, "TransferLimits", partial(TransferLimits, poll=0.15, quiet=0.1, answer=1.0))


class Ultrasound(FarEnd):
    """A machine that sends image files."""

    def __init__(self, room: Room, directory: Path, **changes: object) -> None:
        super().__init__(room, directory, make_serial(gap_seconds=1.2, **changes))

    def start(self, box: Box | None = None) -> TransferRunner:
        made = self.begin(box)
        assert isinstance(made, TransferRunner)
        self.runner = made
        return made

    def send(self, data: bytes, fault: LineFault | None = None, protocol: Protocol = Protocol.ONE_K) -> Outcome:
        return XmodemSender(self.far, CLOCK, threading.Event()).send_file(data, protocol, fault)

    def wait_until_idle(self) -> None:
        """Nothing is under way: what failed has been told, and the box waits for the next image."""
        wait_until(lambda: self.room.is_idle() and self.runner.state is State.IDLE, "the runner waits again")


@pytest.fixture
def machine(room: Room, tmp_path: Path) -> Iterator[Ultrasound]:
    made = Ultrasound(room, tmp_path)
    made.start()
    yield made
    made.close()


def test_ok__an_image_arrives_and_is_the_open_exams(machine: Ultrasound) -> None:
    exam = open_exam_of(machine.room.facts)
    data = picture(3)
    assert machine.send(data).acknowledged
    path = machine.room.only_object("ultrasound", exam.exam_id)
    assert errors_of(path) == []
    assert [unpadded(one) for one in fragments_of(path)] == [data]
    assert dcmread(path).DigitalImageFormatAcquired == "XMODEM"
    machine.wait_until_idle()
    (saved,) = machine.runner.keeper.recently_saved()
    assert machine.runner.thumbnails.get(saved.sop_instance_uid)
    assert (machine.runner.status()["state"], machine.runner.progress()) == ("idle", None)


def test_ok__nobody_chose_a_patient(machine: Ultrasound) -> None:
    assert machine.send(make_png()).acknowledged
    assert errors_of(machine.room.only_object("ultrasound", None)) == []


def test_ok__it_is_durable_before_the_machine_hears_so(machine: Ultrasound, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order on the disk and on the line: fsync, rename, fsync of the directory, and only then the ACK."""
    events: list[str] = []

    def note(owner: object, name: str, event: str) -> None:
        original = getattr(owner, name)

        def act(*arguments: object, **named: object) -> object:
            answer = original(*arguments, **named)
            events.append(event)
            return answer

        monkeypatch.setattr(owner, name, act)

    note(ObjectWriter, "publish", "published")
    note(os, "fsync", "synced")
    original = Transfer.acknowledge

    def acknowledge(transfer: Transfer) -> None:
        events.append("acknowledged")
        assert len(machine.room.objects("ultrasound", None)) == 1
        original(transfer)

    monkeypatch.setattr(Transfer, "acknowledge", acknowledge)
    assert machine.send(make_png()).acknowledged
    assert events[-4:] == ["synced", "synced", "published", "acknowledged"]


def test_ok__the_exam_of_the_first_byte_owns_it(machine: Ultrasound, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exam is being ended while the image comes in: it is still that exam's, and draining waits for it."""
    exam = open_exam_of(machine.room.facts)
    middle, go_on = threading.Event(), threading.Event()
    original = TransferRunner._note_progress

    def note_progress(runner: TransferRunner, received: int) -> None:
        original(runner, received)
        middle.set()
        assert go_on.wait(60)

    monkeypatch.setattr(TransferRunner, "_note_progress", note_progress)
    sending = threading.Thread(target=machine.send, args=(picture(4),))
    sending.start()
    assert middle.wait(60)
    assert machine.runner.state is State.RECEIVING
    assert (machine.runner.progress() or {})["unit"] == "bytes"
    assert machine.runner.sentence().startswith("Receiving an image, ")
    assert not machine.room.gate.drain(exam.exam_id, 0.0)
    close_exam(machine.room.facts, exam)
    go_on.set()
    sending.join(60)
    assert machine.room.gate.drain(exam.exam_id, 60.0)
    assert len(machine.room.objects("ultrasound", exam.exam_id)) == 1


def test_ok__the_same_bytes_again_are_the_same_object(machine: Ultrasound) -> None:
    exam, data = open_exam_of(machine.room.facts), make_png()
    assert machine.send(data).acknowledged
    first = machine.room.only_object("ultrasound", exam.exam_id)
    before = first.stat().st_mtime_ns
    # Another block size pads another number of bytes, and makes no other image of it.
    for protocol in (Protocol.ONE_K, Protocol.CRC):
        assert machine.send(data, protocol=protocol).acknowledged
        assert machine.room.only_object("ultrasound", exam.exam_id) == first
    assert first.stat().st_mtime_ns == before
    assert machine.room.finding("sent_again") == "Ultrasound sent an image that is saved already; it was kept once."
    assert machine.send(make_png(99)).acknowledged
    assert machine.room.finding("sent_again") == ""
    assert len(machine.room.objects("ultrasound", exam.exam_id)) == 2


def test_ok__the_same_bytes_in_another_exam_are_another_object(machine: Ultrasound) -> None:
    first = open_exam_of(machine.room.facts)
    assert machine.send(make_png()).acknowledged
    close_exam(machine.room.facts, first)
    assert machine.send(make_png()).acknowledged
    second = open_exam_of(machine.room.facts, 2)
    assert machine.send(make_png()).acknowledged
    names = [machine.room.objects("ultrasound", one)[0][1] for one in (first.exam_id, None, second.exam_id)]
    assert len({name.sop_instance_uid for name in names}) == 3


def send_batch(machine: Ultrasound, *files: Path) -> int:
    """By lrzsz's `sb`; its exit status."""
    os.set_blocking(machine.far, True)
    sender = subprocess.run(
        ["sb", "-q", "-k", *map(str, files)],
        stdin=machine.far,
        stdout=machine.far,
        stderr=subprocess.DEVNULL,
        timeout=DEADLINE,
        check=False,
    )
    return sender.returncode


def make_files(directory: Path, *contents: bytes) -> list[Path]:
    files = [directory / f"{number}.png" for number in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    return files


def test_ok__a_batch_is_several_images_of_the_open_exam(machine: Ultrasound, tmp_path: Path) -> None:
    exam = open_exam_of(machine.room.facts)
    files = make_files(tmp_path, make_png(10), make_noise(), b"", make_png(10))
    assert send_batch(machine, *files) == 0
    machine.wait_until_idle()
    found = [path for path, _ in machine.room.objects("ultrasound", exam.exam_id)]
    assert len(found) == 2  # the last is the first again
    assert [error for path in found for error in errors_of(path)] == []
    assert {dcmread(path).DigitalImageFormatAcquired for path in found} == {"YMODEM"}
    assert "an empty file" in machine.room.finding("empty_file")
    assert "saved already" in machine.room.finding("sent_again")


def test_ok__what_comes_of_a_batch_after_its_exam_is_nobodys(
    machine: Ultrasound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exam ends, and the next patient's begins, between two files of one batch."""
    exam, original = open_exam_of(machine.room.facts), Transfer.acknowledge

    def acknowledge(transfer: Transfer) -> None:
        if not machine.room.objects("ultrasound", None):
            close_exam(machine.room.facts, exam, machine.room.only_object("ultrasound", exam.exam_id))
            open_exam_of(machine.room.facts, 2)
            monkeypatch.undo()
        original(transfer)

    monkeypatch.setattr(Transfer, "acknowledge", acknowledge)
    assert send_batch(machine, *make_files(tmp_path, make_png(1), make_png(2))) == 0
    machine.wait_until_idle()
    assert len(machine.room.objects("ultrasound", None)) == 1
    assert "after their exam had ended" in machine.room.finding("batch_unassigned")
    assert send_batch(machine, *make_files(tmp_path, make_png(3))) == 0
    machine.wait_until_idle()
    assert machine.room.finding("batch_unassigned") == ""


def test_fail__a_batch_in_which_something_is_no_image(machine: Ultrasound, tmp_path: Path) -> None:
    exam = open_exam_of(machine.room.facts)
    assert send_batch(machine, *make_files(tmp_path, make_png(1), b"INDEX OF IMAGES", make_png(2))) != 0
    machine.wait_until_idle()
    assert len(machine.room.objects("ultrasound", exam.exam_id)) == 1
    assert "no image" in machine.room.finding("transfer_failed")


def test_ok__an_earlier_exams_image_again_is_not_the_next_patients(machine: Ultrasound) -> None:
    """Its acknowledgement was lost, the exam ended, and only now the machine tries again."""
    first = open_exam_of(machine.room.facts, 1)
    assert machine.send(make_png()).acknowledged
    path = machine.room.only_object("ultrasound", first.exam_id)
    close_exam(machine.room.facts, first, path)
    path.rename(machine.room.spool.outbox / path.name)
    second = open_exam_of(machine.room.facts, 2)
    assert machine.send(make_png()).acknowledged
    assert machine.room.objects("ultrasound", second.exam_id) == []
    late = machine.room.only_object("ultrasound", None)
    assert "an image of an earlier exam once more" in machine.room.finding("sent_late")
    # An old list that cannot be read keeps no new image out.
    (machine.room.facts.directory / first.exam_id / "closed.json").write_text("{")
    late.unlink()  # a person has said whose it is
    assert machine.send(make_png(9)).acknowledged
    assert len(machine.room.objects("ultrasound", second.exam_id)) == 1
    assert machine.room.finding("sent_late") == ""


def test_ok__a_lost_acknowledgement(machine: Ultrasound, monkeypatch: pytest.MonkeyPatch) -> None:
    """The box is killed between publishing and acknowledging; the machine sends again after the restart."""
    exam, data = open_exam_of(machine.room.facts), make_png()
    with monkeypatch.context() as patch:
        killed = threading.Event()

        def die(_transfer: Transfer) -> None:
            killed.set()
            machine._stop.set()

        patch.setattr(Transfer, "acknowledge", die)
        first = threading.Thread(target=machine.send, args=(data,))
        first.start()
        assert killed.wait(60)
        machine.stop()
    machine.start()
    first.join(60)  # its repeated EOT is not taken for anything
    assert machine.send(data).acknowledged
    assert len(machine.room.objects("ultrasound", exam.exam_id)) == 1


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        pytest.param(b"%!PS-Adobe " * 200, "The file that arrived is no image.", id="no image"),
        pytest.param(make_noise()[:900], "The image that arrived is damaged.", id="damaged"),
        pytest.param(
            make_png(0, (900, 900)), "The image has 900 × 900 pixels; at most 400,000 pixels are accepted.", id="large"
        ),
    ],
)
def test_fail__what_cannot_be_kept_is_refused(machine: Ultrasound, data: bytes, sentence: str) -> None:
    exam = open_exam_of(machine.room.facts)
    outcome = machine.send(data)
    assert not outcome.acknowledged
    machine.wait_until_idle()
    assert sentence in machine.room.finding("transfer_failed")
    assert machine.room.objects("ultrasound", exam.exam_id) == []
    assert machine.send(make_png()).acknowledged  # the exam goes on
    assert machine.room.finding("transfer_failed") == ""
    assert len(machine.room.objects("ultrasound", exam.exam_id)) == 1


def test_fail__more_bytes_than_are_accepted(machine: Ultrasound) -> None:
    assert not machine.send(os.urandom(700_000)).acknowledged
    machine.wait_until_idle()
    assert "sends more than the 600,000 bytes" in machine.room.finding("transfer_failed")
    assert machine.send(make_png()).acknowledged


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [(LineFault.TRUNCATED, "broke off its transfer"), (LineFault.ABORT, "cancelled its transfer")],
)
def test_fail__a_transfer_that_does_not_come_to_its_end(machine: Ultrasound, fault: LineFault, sentence: str) -> None:
    exam = open_exam_of(machine.room.facts)
    before = machine.alive
    assert not machine.send(picture(5, size=(320, 240)), fault).acknowledged
    wait_until(lambda: sentence in machine.room.finding("transfer_failed"), "it is said")
    machine.wait_until_idle()
    assert machine.alive > before + 5  # also while nothing arrived
    assert machine.room.objects("ultrasound", exam.exam_id) == []
    assert machine.send(make_png()).acknowledged
    assert len(machine.room.objects("ultrasound", exam.exam_id)) == 1


def test_fail__a_full_flash_acknowledges_nothing(room: Room, tmp_path: Path) -> None:
    machine = Ultrasound(room, tmp_path)
    machine.start(Box(reserve_bytes=1 << 60))
    assert not machine.send(make_png()).acknowledged
    machine.wait_until_idle()
    assert "flash is full" in room.finding("transfer_failed")
    assert room.objects("ultrasound", None) == []
    machine.stop()
    machine.start()  # with room again
    assert machine.send(make_png()).acknowledged
    assert len(room.objects("ultrasound", None)) == 1
    machine.close()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyError("PatientName")])
def test_fail__a_fault_while_writing_refuses(
    machine: Ultrasound, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise error

        patch.setattr(ObjectWriter, "append", fail)
        assert not machine.send(make_png()).acknowledged
        machine.wait_until_idle()
    said = machine.room.finding("transfer_failed")
    assert "was not saved: the flash is full" in said or "by a fault in the box (KeyError)" in said
    assert "PatientName" not in said
    assert machine.room.objects("ultrasound", None) == []
    assert machine.send(make_png()).acknowledged


@pytest.mark.parametrize(("patience", "is_fed"), [(60.0, True), (0.0, False)])
def test_ok__flash_that_stalls_trips_no_watchdog_unless_it_goes_on(
    machine: Ultrasound, monkeypatch: pytest.MonkeyPatch, patience: float, is_fed: bool
) -> None:
    monkeypatch.setattr(answering, "_STALL_SECONDS", patience)
    monkeypatch.setattr(answering, "_POLL_SECONDS", 0.02)
    publish, fed = ObjectWriter.publish, list[int]()

    def stall(writer: ObjectWriter) -> Path:
        before = machine.alive
        time.sleep(0.4)
        fed.append(machine.alive - before)
        return publish(writer)

    monkeypatch.setattr(ObjectWriter, "publish", stall)
    assert machine.send(make_png()).acknowledged
    assert (fed[0] > 0) is is_fed


def test_fail__a_name_that_flash_does_not_confirm_is_acknowledged_only_when_it_does(
    machine: Ultrasound, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image stands: sent once more it makes no second one, and is acknowledged only when it is safe."""

    def refuse(_directory: Path) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("appliance.spool.writer.sync_directory", refuse)
        patch.setattr("appliance.acquire.keeping.sync_directory", refuse)
        assert not machine.send(make_png()).acknowledged
        machine.wait_until_idle()
        assert "did not confirm" in machine.room.finding("transfer_failed")
        first = machine.room.only_object("ultrasound", None)
        assert not machine.send(make_png()).acknowledged
        machine.wait_until_idle()
    assert machine.send(make_png()).acknowledged
    assert machine.room.only_object("ultrasound", None) == first


def test_fail__exams_that_cannot_be_read(machine: Ultrasound, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose image it is cannot be known: the machine is told so, and the process lives on."""
    with monkeypatch.context() as patch:

        def fail(_facts: ExamFacts) -> str:
            raise OSError(5, "Input/output error")

        patch.setattr(ExamFacts, "open_exam_id", fail)
        assert not machine.send(make_png()).acknowledged
        machine.wait_until_idle()
        assert "could not be read from flash" in machine.room.finding("transfer_failed")
    assert machine.send(make_png()).acknowledged
    assert len(machine.room.objects("ultrasound", None)) == 1


def test_ok__a_damaged_exam_drops_nothing(machine: Ultrasound) -> None:
    exam = open_exam_of(machine.room.facts)
    (machine.room.facts.directory / exam.exam_id / "exam.json").write_text("{")
    assert machine.send(make_png()).acknowledged
    assert len(machine.room.objects("ultrasound", None)) == 1


def test_fail__set_up_after_the_exam_was_opened(room: Room, tmp_path: Path) -> None:
    open_exam_of(room.facts)
    machine = Ultrasound(room, tmp_path, modality="OT")
    machine.start()
    assert not machine.send(make_png()).acknowledged
    wait_until(lambda: "was set up after this exam was opened" in room.finding("transfer_failed"), "it is said")
    machine.wait_until_idle()
    machine.close()


def test_ok__unplugged_and_plugged_in_again(machine: Ultrasound) -> None:
    wait_until(lambda: machine.runner.state is State.IDLE, "the line is open")
    machine.unplug()
    wait_until(lambda: machine.runner.state is State.UNPLUGGED, "it is gone")
    assert machine.room.finding("unplugged").startswith("The ultrasound's serial line ")
    machine.plug()
    assert machine.send(make_png()).acknowledged
    assert machine.room.finding("unplugged") == ""
    machine.wait_until_idle()


def test_ok__unplugged_before_the_acknowledgement(machine: Ultrasound, monkeypatch: pytest.MonkeyPatch) -> None:
    """The adapter was pulled while the image was written; the new receiver knows that its sender may still ask."""
    given: list[float | None] = []
    original = XmodemReceiver.__init__

    def init(receiver: XmodemReceiver, *arguments: object) -> None:
        given.append(arguments[3])  # type: ignore[arg-type]
        original(receiver, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(XmodemReceiver, "__init__", init)
    acknowledge = Transfer.acknowledge

    def pull(transfer: Transfer) -> None:
        machine.unplug()
        acknowledge(transfer)

    with monkeypatch.context() as patch:
        patch.setattr(Transfer, "acknowledge", pull)
        descriptor = os.dup(machine.far)
        stopped = threading.Event()
        sender = XmodemSender(descriptor, CLOCK, stopped)
        sending = threading.Thread(target=sender.send_file, args=(make_png(), Protocol.ONE_K))
        sending.start()
        wait_until(lambda: machine.far < 0, "the adapter was pulled")
        stopped.set()
        sending.join(60)
        os.close(descriptor)
        wait_until(lambda: machine.runner.state is State.UNPLUGGED, "it is gone")
    machine.plug()
    wait_until(lambda: given and given[-1] is not None, "the next receiver is told")
    assert len(machine.room.objects("ultrasound", None)) == 1
    assert machine.send(make_png()).acknowledged
    assert len(machine.room.objects("ultrasound", None)) == 1
    machine.wait_until_idle()


@pytest.mark.parametrize("options", [[], ["-k"]])
def test_ok__lrzsz_succeeds_when_it_is_kept(machine: Ultrasound, tmp_path: Path, options: list[str]) -> None:
    exam, file = open_exam_of(machine.room.facts), tmp_path / "image.jpg"
    file.write_bytes(picture(7, size=(160, 120)))
    os.set_blocking(machine.far, True)
    with subprocess.Popen(
        ["sx", "-q", *options, str(file)], stdin=machine.far, stdout=machine.far, stderr=subprocess.DEVNULL
    ) as sender:
        assert sender.wait(DEADLINE) == 0
    path = machine.room.only_object("ultrasound", exam.exam_id)
    assert [unpadded(one) for one in fragments_of(path)] == [file.read_bytes()]
