"""An object's kind, by its device and its SOP class; and the same word for it on every screen."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.console.kinds import Kinds
from appliance.exam.exam import Exam, open_exam
from appliance.spool.tree import Spool
from tests.compose.world import jpeg, make_clip
from tests.console.fakes import HandClock, make_configuration, make_item, write_object

_STILL, _CLIP = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.4"
_FILM = "1.2.840.10008.5.1.4.1.1.7.2"


@pytest.mark.parametrize(
    ("device", "sop_class_uid", "kind"),
    [
        ("endoscope", _STILL, "still"),
        ("endoscope", _CLIP, "clip"),
        ("endoscope", "1.2.840.10008.5.1.4.1.1.7.3", "clip"),
        ("endoscope", "", "still"),
        ("ultrasound", _STILL, "transfer"),
        ("film", _FILM, "film"),
        ("film", _STILL, "film"),
        ("film", "1.2.840.10008.5.1.4.1.1.104.1", "document"),
        ("note", "1.2.840.10008.5.1.4.1.1.88.59", "note"),
        ("removed", _STILL, "transfer"),
        ("removed", _CLIP, "transfer"),
    ],
)
def test_ok__a_kind_for_each(device: str, sop_class_uid: str, kind: str) -> None:
    assert Kinds(make_configuration()).kind_of(device, sop_class_uid) == kind


@pytest.fixture
def exam() -> Exam:
    return open_exam(make_item(), make_configuration().devices, HandClock().now(), "E000001-20261122-093000")


def test_ok__it_is_read_from_the_file_once(tmp_path: Path, exam: Exam) -> None:
    spool = Spool(tmp_path / "state")
    spool.make()
    kinds = Kinds(make_configuration())
    clip = make_clip(tmp_path / "clip.dcm", exam, [jpeg(64, 48, is_odd=False, quality=50)] * 3).path
    still = write_object(spool, exam, "endoscope")
    assert [kinds.kind_in("endoscope", path) for path in (still, clip)] == ["still", "clip"]
    clip.unlink()
    assert kinds.kind_in("endoscope", clip) == "clip"
    with pytest.raises(FileNotFoundError):
        kinds.kind_in("endoscope", tmp_path / "other.dcm")


@pytest.mark.parametrize("head", [b"", b"\0" * 600, b"\0" * 300 + b"\x02\0\x02\0UI\xff\xff" + b"1" * 200])
def test_fail__what_names_no_class_is_of_its_devices_plain_kind(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "x.dcm"
    path.write_bytes(head)
    assert Kinds(make_configuration()).kind_in("endoscope", path) == "still"
