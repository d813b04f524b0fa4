"""Worklist queries: what is asked, what becomes of the answers, on DCMTK's wlmscpfs and on Orthanc."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import ModalityWorklistInformationFind

from appliance.config.schema import WorklistSource
from appliance.dimse.association import AssociationRefused, Caller
from appliance.dimse.worklist import WorklistFound, WorklistRefused, item_from, query_patient, query_worklist
from appliance.dimse.worklist_query import PatientQuery, query_from
from appliance.exam.answers import entry_from, item_from_packed
from appliance.exam.item import WorklistItem
from tests.peers import running, start_orthanc, start_wlmscpfs, worklist_file
from tests.ports import pick_free_port

DAY = date(2026, 11, 22)
# PS3.5 Annex H.3.1, example 1: Yamada^Tarou=山田^太郎=やまだ^たろう under \ISO 2022 IR 87
YAMADA_2022 = "Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B".encode("ascii")


def _source(port: int, **given: object) -> WorklistSource:
    values: dict[str, object] = {"name": "ris", "ae_title": "RIS", "host": "127.0.0.1", "port": port}
    return WorklistSource.model_validate(values | {"connect_seconds": 3, "answer_seconds": 20} | given)


def _items_of(found: WorklistFound) -> list[WorklistItem]:
    return [item_from_packed(entry.packed) for entry in found.entries]


def test_ok__query_asks_for_the_character_set_and_a_date_window() -> None:
    query = query_from(_source(1, days_back=1, days_ahead=2, scheduled_station_ae_title="BRIDGE"), DAY, "US")
    step = query.ScheduledProcedureStepSequence[0]
    assert "SpecificCharacterSet" in query
    assert step.ScheduledProcedureStepStartDate == "20261121-20261124"
    assert (step.ScheduledStationAETitle, step.Modality) == ("BRIDGE", "US")
    assert query_from(_source(1), DAY).ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate == "20261122"


def test_ok__names_in_every_script_from_wlmscpfs(tmp_path: Path) -> None:
    items = (
        worklist_file(tmp_path, character_set="ISO_IR 100", name="Müller^Jürgen".encode("latin-1"), number=1, day=DAY),
        worklist_file(tmp_path, character_set="\\ISO 2022 IR 87", name=YAMADA_2022, number=2, day=DAY),
        worklist_file(tmp_path, character_set="ISO_IR 192", name="Иванов^Иван".encode(), number=3, day=DAY),
        worklist_file(tmp_path, character_set="", name="Łukasz^Żak".encode("iso8859-2"), number=4, day=DAY),
        worklist_file(tmp_path, character_set="ISO_IR 100", name=b"Tomorrow^T", number=5, day=date(2026, 11, 23)),
    )
    with running(start_wlmscpfs(tmp_path / "wl", "RIS", *items)) as scp:
        found = query_worklist(_source(scp.port, character_set="ISO_IR 101"), Caller("BRIDGE"), DAY)
    names = {item.accession_number: item.patient_name.groups() for item in _items_of(found)}
    assert names == {
        "ACC00001": ("Müller Jürgen",),
        "ACC00002": ("Yamada Tarou", "山田 太郎", "やまだ たろう"),
        "ACC00003": ("Иванов Иван",),
        "ACC00004": ("Łukasz Żak",),
    }
    assert not found.is_cut_off
    item = next(one for one in _items_of(found) if one.accession_number == "ACC00002")
    assert YAMADA_2022 in base64.b64decode(item.received)
    assert item.transfer_syntax_uid in {str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian)}
    assert (item.modality, item.scheduled_date, list(item.missing())) == ("US", "20261122", [])


def test_ok__orthanc_answers_one_query_for_each_modality(tmp_path: Path) -> None:
    items = tuple(
        worklist_file(tmp_path, character_set="ISO_IR 192", name=b"A^B", number=number, modality=modality, day=DAY)
        for number, modality in enumerate(("US", "ES", "RG"), start=1)
    )
    with running(start_orthanc(tmp_path / "orthanc", box_port=pick_free_port(), worklist=items)) as orthanc:
        found = query_worklist(_source(orthanc.port, modalities=("US", "ES")), Caller("BRIDGE"), DAY)
    assert sorted(item.modality for item in _items_of(found)) == ["ES", "US"]


def test_ok__a_bound_cuts_the_answer_off(tmp_path: Path) -> None:
    items = tuple(worklist_file(tmp_path, character_set="", name=b"A^B", number=n, day=DAY) for n in range(1, 31))
    with running(start_wlmscpfs(tmp_path / "wl", "RIS", *items)) as scp:
        found = query_worklist(_source(scp.port, max_items=7), Caller("BRIDGE"), DAY)
        assert (len(found.entries), found.is_cut_off) == (7, True)
        found = query_worklist(_source(scp.port, max_items=30), Caller("BRIDGE"), DAY)
        assert (len(found.entries), found.is_cut_off) == (30, False)


def test_fail__another_called_ae_title(tmp_path: Path) -> None:
    with running(start_wlmscpfs(tmp_path / "wl", "OTHER")) as scp:
        with pytest.raises(AssociationRefused):
            query_worklist(_source(scp.port), Caller("BRIDGE"), DAY)


@given(st.binary(max_size=300), st.sampled_from([ImplicitVRLittleEndian, ExplicitVRLittleEndian]))
def test_ok__any_bytes_are_an_item(received: bytes, syntax: UID) -> None:
    item = item_from(received, syntax, _source(1))
    assert all(len(tag) == 8 for tag in item.elements)
    assert json.loads(entry_from(item).view)["key"] == item.key
    assert item_from_packed(entry_from(item).packed) == item
    assert base64.b64decode(item.received) == received


def test_ok__what_comes_twice_is_kept_once(tmp_path: Path) -> None:
    items = tuple(worklist_file(tmp_path, character_set="", name=b"A^B", number=n, day=DAY) for n in (1, 2))
    # the same entry in two files: one answer more, with the same bytes
    with running(start_wlmscpfs(tmp_path / "wl", "RIS", *items, items[0])) as scp:
        found = query_worklist(_source(scp.port, modalities=("US", "US")), Caller("BRIDGE"), DAY)
        assert sorted(item.accession_number for item in _items_of(found)) == ["ACC00001", "ACC00002"]
        again = query_worklist(_source(scp.port), Caller("BRIDGE"), DAY, frozenset(found.digests))
        assert (again.entries, again.digests) == ([], found.digests)


def test_ok__an_answer_is_bounded_in_bytes(tmp_path: Path) -> None:
    items = tuple(worklist_file(tmp_path, character_set="", name=b"A^B", number=n, day=DAY) for n in range(1, 9))
    with running(start_wlmscpfs(tmp_path / "wl", "RIS", *items)) as scp:
        whole = query_worklist(_source(scp.port), Caller("BRIDGE"), DAY)
        longest = max(len(base64.b64decode(item.received)) for item in _items_of(whole))
        part = query_worklist(_source(scp.port), Caller("BRIDGE"), DAY, bytes_left=3 * longest)
    assert not whole.is_cut_off
    assert part.is_cut_off
    assert 3 <= len(part.entries) < 8


@contextlib.contextmanager
def _answering(answers: Iterator[tuple[int, Dataset | None]]) -> Iterator[int]:
    """A worklist provider that gives these answers, on a port."""
    entity = AE(ae_title="RIS")
    entity.add_supported_context(ModalityWorklistInformationFind)
    handlers = [(evt.EVT_C_FIND, lambda _event: answers)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()


def _entry(number: int) -> Dataset:
    entry = Dataset()
    entry.PatientID = f"P{number}"
    return entry


def test_fail__a_source_that_does_not_come_to_an_end() -> None:
    endless = ((0xFF00, _entry(number % 3)) for number in itertools.count())
    with _answering(endless) as port:
        with pytest.raises(WorklistRefused, match="RIS does not come to an end with its answer"):
            query_patient(_source(port, answer_seconds=1), Caller("BRIDGE"), [PatientQuery(patient_id="P*")])


@pytest.mark.parametrize("status", [0xA700, 0xA900, 0xC001, 0x0122])
def test_fail__a_status_that_ends_the_query(status: int) -> None:
    with _answering(iter([(0xFF00, _entry(1)), (status, None)])) as port:
        with pytest.raises(WorklistRefused, match=f"RIS refused the query: .*\\(status {status:04X}H\\)"):
            query_worklist(_source(port), Caller("BRIDGE"), DAY)


def test_ok__a_source_that_cancels_by_itself_has_more() -> None:
    with _answering(iter([(0xFF00, _entry(1)), (0xFE00, None)])) as port:
        found = query_worklist(_source(port), Caller("BRIDGE"), DAY)
    assert (len(found.entries), found.is_cut_off) == (1, True)


def test_ok__an_entry_without_anything_is_shown() -> None:
    nothing = Dataset()
    nothing.PatientName = ""
    with _answering(iter([(0xFF01, nothing), (0xFF00, _entry(7))])) as port:
        found = query_worklist(_source(port), Caller("BRIDGE"), DAY)
    assert [(item.patient_id, len(list(item.missing()))) for item in _items_of(found)] == [("", 5), ("P7", 4)]
    assert len({entry.key for entry in found.entries}) == 2


def test_ok__thousands_of_entries_from_wlmscpfs(tmp_path: Path) -> None:
    """All of them, in memory that is bounded, and nothing is read again at the next poll."""
    template = worklist_file(tmp_path, character_set="ISO_IR 100", name=b"A^B", number=1, day=DAY)
    items = [
        template.replace(b"ACC00001", b"A%07d" % number).replace(b"SPS00001", b"S%07d" % number)
        for number in range(2000)
    ]
    with running(start_wlmscpfs(tmp_path / "wl", "RIS", *items)) as scp:
        found = query_worklist(_source(scp.port, answer_seconds=60), Caller("BRIDGE"), DAY)
        assert (len(found.entries), found.is_cut_off) == (2000, False)
        assert sum(len(entry.view) + len(entry.packed) for entry in found.entries) < 2000 * 2500
        again = query_worklist(_source(scp.port, answer_seconds=60), Caller("BRIDGE"), DAY, frozenset(found.digests))
    assert (len(again.entries), len(again.digests)) == (0, 2000)
