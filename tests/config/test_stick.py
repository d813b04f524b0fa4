"""A stick at a new box: what is offered of it, whatever lies there and whatever becomes of it meanwhile."""

from __future__ import annotations

import os
import subprocess
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.base.errors import ApplianceError
from appliance.config import first_stick, short_code
from appliance.config.first_stick import OFFER_SECONDS, StickWatch
from appliance.config.host import SupportKey
from appliance.config.short_code import short_code_of
from appliance.config.signed import NAMESPACE
from appliance.config.stick import FILE, OnStick, StickState, count_sticks, read_stick

_TEXT = (
    b'[box]\nname = "room-9"\nae_title = "ROOM9"\n'
    b'[[destinations]]\nname = "archive"\nae_title = "PACS"\nhost = "10.0.0.9"\nport = 104\n'
)
_OTHER = _TEXT.replace(b"ROOM9", b"EVIL9")


class _Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return self.seconds

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.seconds += seconds
        return event.is_set()


class _Place:
    """Where sticks are mounted, and what a box thinks of it."""

    def __init__(self, directory: Path) -> None:
        self.stick = directory / "stick"
        self.stick.mkdir()
        self.sticks, self.clock, self.keys = 1, _Clock(), list[SupportKey]()
        self.watch = StickWatch(self.stick, lambda: self.keys, lambda: self.sticks, self.clock)

    def put(self, text: bytes, name: str = FILE) -> None:
        """As another stick would have it: another file, at another time."""
        new = self.stick / f"{name}.new"
        new.write_bytes(text)
        new.replace(self.stick / name)

    def pull(self) -> None:
        for path in self.stick.iterdir():
            path.unlink()

    def look(self) -> str:
        self.watch.look()
        return str(self.watch.view()["state"])


@pytest.fixture(autouse=True)
def _cheap_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes a code dear is tried in test_short_code."""
    monkeypatch.setattr(short_code, "_COST", 16)


@pytest.fixture
def place(tmp_path: Path) -> _Place:
    return _Place(tmp_path)


def test_ok__it_is_offered_with_its_code_and_what_it_says(place: _Place) -> None:
    assert place.look() == "none"
    place.put(_TEXT)
    assert place.look() == "offered"
    view = place.watch.view()
    assert view["code"] == short_code_of(_TEXT)
    assert (view["summary"]["ae_title"], view["problems"]) == ("ROOM9", [])
    assert place.watch.take(view["code"]) == _TEXT


def test_fail__another_stick_is_another_code(place: _Place) -> None:
    """Changed between the look and the tap: what was compared is what is taken, or nothing."""
    place.put(_TEXT)
    place.look()
    place.put(_OTHER)
    with pytest.raises(ApplianceError, match="Another file lies on the stick"):
        place.watch.take(short_code_of(_TEXT))
    assert place.look() == "offered"
    assert place.watch.view()["code"] == short_code_of(_OTHER)


def test_fail__a_stick_that_was_pulled_out(place: _Place) -> None:
    place.put(_TEXT)
    place.look()
    place.pull()
    with pytest.raises(ApplianceError, match="was pulled out"):
        place.watch.take(short_code_of(_TEXT))
    assert place.look() == "none"
    assert place.watch.view()["summary"] is None
    with pytest.raises(ApplianceError, match="not offered any more"):
        place.watch.take(short_code_of(_TEXT))


def test_fail__two_sticks_and_one_without_a_configuration(place: _Place) -> None:
    place.put(_TEXT)
    place.sticks = 2
    assert place.look() == "two"
    with pytest.raises(ApplianceError, match="not offered"):
        place.watch.take(short_code_of(_TEXT))
    place.sticks = 1
    assert place.look() == "offered"
    place.pull()
    place.put(b"", "holiday.jpg")
    assert place.look() == "without"


def test_fail__what_was_refused_is_not_offered_before_it_was_pulled_out(place: _Place) -> None:
    place.put(_TEXT)
    place.look()
    place.watch.refuse(short_code_of(_TEXT))
    assert place.look() == "refused"
    with pytest.raises(ApplianceError, match="not offered"):
        place.watch.take(short_code_of(_TEXT))
    place.pull()
    place.look()
    place.put(_TEXT)
    assert place.look() == "offered"


def test_fail__an_offer_does_not_last(place: _Place) -> None:
    place.put(_TEXT)
    place.look()
    place.clock.seconds += OFFER_SECONDS
    assert place.look() == "late"
    with pytest.raises(ApplianceError, match="not offered"):
        place.watch.take(short_code_of(_TEXT))
    place.pull()
    place.look()
    place.put(_TEXT)
    assert place.look() == "offered"


def test_fail__a_stick_that_hangs_is_silent(place: _Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put(_TEXT)
    reading, may_end = threading.Event(), threading.Event()

    def hang(_directory: Path) -> OnStick:
        reading.set()
        assert may_end.wait(60)
        return OnStick(_TEXT, None)

    monkeypatch.setattr(first_stick, "read_stick", hang)
    thread = threading.Thread(target=place.watch.look)
    thread.start()
    assert reading.wait(60)
    assert place.watch.view()["state"] == "none"
    place.clock.seconds += 60
    assert place.watch.view()["state"] == "silent"
    may_end.set()
    thread.join(60)
    assert place.watch.view()["state"] == "offered"


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (b"", "empty", "names no worklist, destination or device"),
        (b'[box]\nname = "room-9"\n', "empty", "names no worklist, destination or device"),
        (b"[box\n", "file", f"{FILE}:1: is not TOML"),
        (b"\xff\xfe[\x00", "file", "is written in UTF-16"),
        (bytes(range(256)), "file", "is not UTF-8"),
        (b"x" * (1024 * 1024 + 1), "file", "is larger than"),
        (b"a = [" + b"[" * 5000, "file", ""),
        (b'[box]\nae_title = "K\xc3\x96LN"\n', "value", "box.ae_title: must be an AE title"),
        (b'[[destinations]]\nname = "a"\n', "missing", "destinations[0].ae_title: is missing"),
        (b"[box]\ncolour = 7\n", "unknown", "box.colour: is not a key"),
    ],
)
def test_fail__a_file_that_no_box_could_take(place: _Place, text: bytes, kind: str, said: str) -> None:
    place.put(text)
    assert place.look() == "unusable"
    view = place.watch.view()
    assert any(said in problem["words"] for problem in view["problems"]) and len(view["problems"]) <= 5
    assert {problem["kind"] for problem in view["problems"]} <= {kind}
    assert view["summary"] is None
    with pytest.raises(ApplianceError, match="not offered"):
        place.watch.take(short_code_of(text))


def test_fail__what_is_no_file(place: _Place) -> None:
    (place.stick / FILE).symlink_to("/etc/passwd")
    assert place.look() == "unreadable"
    (place.stick / FILE).unlink()
    os.mkfifo(place.stick / FILE)
    assert place.look() == "unreadable", "nobody waits for who writes into it"
    (place.stick / FILE).unlink()
    (place.stick / FILE).mkdir()
    assert place.look() == "unreadable"
    assert place.watch.view()["problems"] == [{"kind": "said", "words": f"{FILE} on the stick is no file."}]
    with pytest.raises(ApplianceError, match="is no file"):
        read_stick(place.stick)


def test_ok__a_signature_is_looked_at_where_the_box_knows_an_admin(place: _Place, tmp_path: Path) -> None:
    for who in ("maria", "stranger"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", who, "-f", str(tmp_path / who)]
        subprocess.run(command, check=True, timeout=60)

    def sign(who: str) -> bytes:
        file = tmp_path / FILE
        file.write_bytes(_TEXT)
        (tmp_path / f"{FILE}.sig").unlink(missing_ok=True)
        command = ["ssh-keygen", "-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(tmp_path / who), str(file)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        return (tmp_path / f"{FILE}.sig").read_bytes()

    place.put(sign("stranger"), f"{FILE}.sig")
    place.put(_TEXT)
    assert place.look() == "offered", "this box knows nobody: people compare"
    key = (tmp_path / "maria.pub").read_text().strip()
    place.keys = [SupportKey.model_validate({"name": "maria", "role": "admin", "key": key})]
    place.put(_TEXT)
    assert place.look() == "badly_signed"
    with pytest.raises(ApplianceError, match="not offered"):
        place.watch.take(short_code_of(_TEXT))
    place.put(sign("maria"), f"{FILE}.sig")
    place.put(_TEXT)
    assert place.look() == "signed"


def _disk(sys: Path, name: str, *, bus: str = "usb1/1-1", removable: int = 1, size: int = 1000, dev: str) -> Path:
    disk = sys / "devices" / bus / "block" / name
    part = disk / f"{name}1"
    (part / "holders").mkdir(parents=True)
    for file, text in (
        (disk / "removable", removable), (disk / "size", size), (disk / "dev", f"{dev}0"),
        (part / "dev", f"{dev}1"), (part / "partition", 1),
    ):  # fmt: skip
        file.write_text(f"{text}\n")
    (sys / "block").mkdir(exist_ok=True)
    (sys / "block" / name).symlink_to(disk)
    return part


@pytest.mark.parametrize(
    ("others", "count"),
    [
        ((), 1),
        (({"name": "sdb", "dev": "8:2"},), 2),
        (({"name": "sdb", "dev": "8:2", "size": 0},), 1),
        (({"name": "sdb", "dev": "8:2", "removable": 0},), 1),
        (({"name": "sr0", "dev": "11:", "bus": "ata1"},), 1),
    ],
)
def test_ok__how_many_sticks_are_plugged_in(tmp_path: Path, others: tuple[dict[str, object], ...], count: int) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text("30 1 8:11 / /media/stick rw - vfat /dev/sda1 rw\n31 1 0:22 / /proc rw - proc proc rw\n")
    _disk(tmp_path, "sda", dev="8:1")
    for other in others:
        _disk(tmp_path, **other)  # type: ignore[arg-type]
    assert count_sticks(tmp_path, mounts, "/media/stick") == count


@pytest.mark.parametrize("how", ["mounted", "verity"])
def test_ok__what_the_box_runs_from_is_no_stick(tmp_path: Path, how: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text("30 1 8:11 / /var/lib/appliance rw - ext4 /dev/sda1 rw\n" if how == "mounted" else "")
    part = _disk(tmp_path, "sda", dev="8:1")
    if how == "verity":
        (part / "holders/dm-0").touch()
    assert count_sticks(tmp_path, mounts, "/media/stick") == 0
    assert count_sticks(tmp_path / "none", mounts, "/media/stick") == 0


def test_ok__every_state_has_words() -> None:
    from appliance.config.schema import Language
    from appliance.console.catalogue import load_catalogue

    texts = load_catalogue(Language.ENGLISH).texts
    assert {key.removeprefix("first.stick_") for key in texts if key.startswith("first.stick_")} == set(StickState)
