"""The last answer of each source: read as it was written, written when it changed, readable from the first release."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.exam import answers
from appliance.exam.answers import (
    DamagedAnswerError,
    WorklistAnswer,
    entry_from,
    item_from_packed,
    read_answer,
    read_entries,
    read_entry,
    read_list,
    write_answer,
)
from appliance.exam.item import WorklistItem

NAME = "Okafor^Adaeze"


def _item(number: int, time: str = "0900", name: str = NAME) -> WorklistItem:
    step = {
        "00400002": {"vr": "DA", "Value": ["20261122"]},
        "00400003": {"vr": "TM", "Value": [time]},
        "00400009": {"vr": "SH", "Value": [f"S{number}"]},
    }
    elements = {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]},
        "0020000D": {"vr": "UI", "Value": [f"1.2.{number}"]},
        "00400100": {"vr": "SQ", "Value": [step]},
    }
    return WorklistItem("ris", elements, "AAAA" * number, "1.2.840.10008.1.2.1", ("Sex cannot be read",))


def _items(directory: Path, source: str = "ris") -> list[WorklistItem]:
    return [item_from_packed(entry.packed) for entry in read_list(directory, source)[1]]


def test_ok__an_answer_is_read_as_it_was_written_in_the_order_of_its_appointments(tmp_path: Path) -> None:
    directory = tmp_path / "worklist"
    assert read_list(directory, "ris") == (WorklistAnswer("ris"), [])
    late, early = _item(1, "1500"), _item(2, "0800")
    written = write_answer(
        directory, WorklistAnswer("ris", "2026-11-22T09:00:00+01:00", is_cut_off=True), [late, early]
    )
    assert read_answer(directory, "ris") == written
    assert (written.count, written.is_cut_off) == (2, True)
    assert _items(directory) == [early, late]
    assert [json.loads(entry.view) for entry in read_entries(directory, written)] == [early.view(), late.view()]
    assert read_list(directory, "other") == (WorklistAnswer("other"), [])
    assert [read_entry(directory, "ris", item.key) for item in (early, late)] == read_entries(directory, written)
    assert read_entry(directory, "ris", early.key[1:]) is read_entry(directory, "other", early.key) is None


def test_ok__another_age_leaves_the_entries_on_flash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = write_answer(tmp_path, WorklistAnswer("ris", "first"), [_item(1), _item(2)])
    before = (tmp_path / written.entries).stat()
    sizes = []
    monkeypatch.setattr(answers, "replace_file", _counting(sizes, answers.replace_file))
    again = write_answer(tmp_path, replace(written, answered_at="second", trouble="It is down."))
    same = write_answer(tmp_path, replace(again, answered_at="third"), [_item(2), _item(1)])
    assert (tmp_path / same.entries).stat() == before
    assert max(sizes) < 500
    assert read_answer(tmp_path, "ris").answered_at == "third"
    assert len(_items(tmp_path)) == 2


def _counting(sizes: list[int], act: object) -> object:
    def write(path: Path, data: bytes) -> None:
        sizes.append(len(data))
        act(path, data)  # type: ignore[operator]

    return write


def test_ok__changed_entries_take_the_place_of_those_before(tmp_path: Path) -> None:
    first = write_answer(tmp_path, WorklistAnswer("ris"), [_item(1)])
    other = write_answer(tmp_path, WorklistAnswer("b-ris"), [_item(3)])
    (tmp_path / ".part-7-ris.json").write_bytes(b"{")
    (tmp_path / ".part-7-b-ris.json").write_bytes(b"{")
    second = write_answer(tmp_path, first, [_item(2)])
    assert {path.name for path in tmp_path.iterdir()} == {
        *("ris.json", "b-ris.json", second.entries, other.entries, ".part-7-b-ris.json"),
    }
    empty = write_answer(tmp_path, second, [])
    assert (empty.count, empty.entries, _items(tmp_path)) == (0, "", [])
    assert _items(tmp_path, "b-ris") == [_item(3)]


@pytest.mark.parametrize("kept", [1, 2])
def test_ok__a_power_cut_between_the_files_leaves_the_answer_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    first = write_answer(tmp_path, WorklistAnswer("ris", "first"), [_item(1)])
    done = []

    def cut_off(path: Path, data: bytes) -> None:
        if len(done) == kept:
            raise OSError(5, "the power is gone")
        done.append(path.name)
        path.write_bytes(data)

    with monkeypatch.context() as patch:
        patch.setattr(answers, "replace_file", cut_off)
        patch.setattr(answers, "remove_file", lambda _: (_ for _ in ()).throw(OSError(5, "the power is gone")))
        with pytest.raises(OSError, match="the power"):
            write_answer(tmp_path, replace(first, answered_at="second"), [_item(2)])
    assert _items(tmp_path) == ([_item(1)] if kept == 1 else [_item(2)])
    write_answer(tmp_path, first, [_item(2)])
    assert len(list(tmp_path.glob("*.entries"))) == 1


def test_ok__entries_that_are_replaced_while_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = write_answer(tmp_path, WorklistAnswer("ris", "old"), [_item(1)])
    new = write_answer(tmp_path, WorklistAnswer("ris", "new"), [_item(2)])
    said = iter([old, new])
    monkeypatch.setattr(answers, "read_answer", lambda *_: next(said))
    assert [item_from_packed(entry.packed) for entry in read_list(tmp_path, "ris")[1]] == [_item(2)]


def test_ok__a_file_of_the_first_release_is_read_for_ever(tmp_path: Path) -> None:
    items = [
        {
            "source": "ris",
            "elements": _item(1).elements,
            "received": "AAAA",
            "transfer_syntax_uid": "1.2.840.10008.1.2",
        }
    ]
    (tmp_path / "ris.json").write_text(
        json.dumps(
            {
                "source": "ris",
                "items": items,
                "answered_at": "2026-11-22T09:00:00+01:00",
                "asked_at": "2026-11-22T09:00:00+01:00",
                "trouble": "",
                "is_cut_off": False,
            }
        )
    )
    answer, entries = read_list(tmp_path, "ris")
    assert (answer.answered_at, answer.count, answer.entries) == ("2026-11-22T09:00:00+01:00", 1, "")
    found = item_from_packed(entries[0].packed)
    assert (found.key, found.received, found.findings) == (_item(1).key, "AAAA", ())
    assert read_entry(tmp_path, "ris", found.key) == entries[0]
    write_answer(tmp_path, answer, entries)
    assert _items(tmp_path) == [found]


def test_fail__a_damaged_file_is_said_without_a_name(tmp_path: Path) -> None:
    written = write_answer(tmp_path, WorklistAnswer("ris"), [_item(1)])
    entries = tmp_path / written.entries
    whole = entries.read_bytes()
    for damaged in (whole[:-3], whole.replace(b"Okafor", b"Ofakor"), b""):
        entries.write_bytes(damaged)
        with pytest.raises(DamagedAnswerError, match="is damaged") as told:
            read_list(tmp_path, "ris")
        assert "Okafor" not in str(told.value)
    entries.unlink()
    with pytest.raises(FileNotFoundError):
        read_list(tmp_path, "ris")
    (tmp_path / "ris.json").write_text('{"source": "Okafor", "count": "many"}')
    with pytest.raises(DamagedAnswerError, match=r"ris\.json") as told:
        read_list(tmp_path, "ris")
    assert "Okafor" not in str(told.value)


@given(st.binary(max_size=60))
def test_fail__any_bytes_are_an_item_or_damaged(packed: bytes) -> None:
    with pytest.raises(DamagedAnswerError):
        item_from_packed(packed)


def test_ok__an_item_that_unpacks_for_ever_does_not() -> None:
    import base64
    import zlib

    bomb = base64.b64encode(zlib.compress(b'{"source": "' + b"a" * 50_000_000))
    with pytest.raises(DamagedAnswerError):
        item_from_packed(bomb)


@given(st.text(max_size=30))
def test_ok__any_name_is_kept(name: str) -> None:
    item = _item(1, name=name.encode("utf-8", "replace").decode())
    assert item_from_packed(entry_from(item).packed) == item
    assert b"\t" not in entry_from(item).view and b"\n" not in entry_from(item).view


def test_ok__nobody_else_may_read_it(tmp_path: Path) -> None:
    written = write_answer(tmp_path, WorklistAnswer("ris"), [_item(1)])
    assert os.stat(tmp_path / written.entries).st_mode & 0o007 == 0
