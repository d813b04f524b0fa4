"""Looking for objects by C-FIND: what is asked, and what Orthanc and DCMTK's dcmqrscp answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]

from appliance.base.uids import new_uid
from appliance.config.schema import Destination
from appliance.dimse.association import (
    Association,
    AssociationAborted,
    Caller,
    Context,
    NoAcceptedContext,
    open_association,
)
from appliance.dimse.echo import VERIFICATION_CONTEXT
from appliance.dimse.find import FIND_CONTEXT, FindRefused, find_instances, query_from
from appliance.dimse.store import store_object
from tests.peers import SECONDARY_CAPTURE, Peer, running, save_object, small_object, start_orthanc, start_storescp
from tests.ports import pick_free_port

Answers = Callable[[], Iterator[tuple[int, Dataset | None]]]
STORE_CONTEXT = Context(SECONDARY_CAPTURE, ("1.2.840.10008.1.2.1",))


def start_dcmqrscp(directory: Path) -> Peer:
    """DCMTK's small archive, not started."""
    (directory / "db").mkdir(parents=True)
    port = pick_free_port()
    file = directory / "dcmqrscp.cfg"
    file.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 4\n"
        "HostTable BEGIN\nbridge = (BRIDGE, localhost, 11112)\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nARCHIVE {directory / 'db'} RW (200, 1024mb) ANY\nAETable END\n"
    )
    command = ["/usr/bin/dcmqrscp", "-c", str(file)]
    return Peer("dcmqrscp", command, port, directory / "log", {"TCP_NODELAY": "1"}, directory)


def _destination(port: int, ae_title: str, answer_seconds: float = 20) -> Destination:
    return Destination.model_validate(
        {"name": "a", "ae_title": ae_title, "host": "127.0.0.1", "port": port, "answer_seconds": answer_seconds}
    )


@pytest.fixture(params=["Orthanc", "dcmqrscp"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Destination]:
    peer: Peer
    if request.param == "Orthanc":
        peer = start_orthanc(tmp_path / "peer", box_port=pick_free_port())
    else:
        peer = start_dcmqrscp(tmp_path / "peer")
    with running(peer):
        yield _destination(peer.port, "ORTHANC" if request.param == "Orthanc" else "ARCHIVE")


def _objects(count: int) -> list[Dataset]:
    made = [small_object() for _ in range(count)]
    for one in made:
        one.StudyInstanceUID, one.SeriesInstanceUID = made[0].StudyInstanceUID, made[0].SeriesInstanceUID
    return made


def test_ok__an_archive_says_which_it_has(archive: Destination, tmp_path: Path) -> None:
    objects = _objects(3)
    study, series = str(objects[0].StudyInstanceUID), str(objects[0].SeriesInstanceUID)
    uids = [str(one.SOPInstanceUID) for one in objects]
    with open_association(archive, Caller("BRIDGE"), [STORE_CONTEXT, FIND_CONTEXT]) as association:
        assert find_instances(association, study, series, uids) == set()
        for one in objects[:2]:
            assert store_object(association, save_object(tmp_path, one)).code == 0
        assert find_instances(association, study, series, uids) == set(uids[:2])
        assert find_instances(association, study, series, []) == set()
        many = [*uids, *(new_uid() for _ in range(250))]
        assert find_instances(association, study, series, many) == set(uids[:2])
        assert find_instances(association, new_uid(), series, uids) == set(), "another study's are not ours"
        if archive.ae_title == "ORTHANC":
            assert find_instances(association, study, None, uids) == set(uids[:2]), "it needs no series"


def test_fail__an_archive_that_only_stores(tmp_path: Path) -> None:
    with running(start_storescp(tmp_path / "plain")) as plain:
        contexts = [VERIFICATION_CONTEXT, FIND_CONTEXT]
        with open_association(_destination(plain.port, "PLAIN"), Caller("BRIDGE"), contexts) as association:
            with pytest.raises(NoAcceptedContext):
                find_instances(association, "1.2", "1.3", ["1.4"])
            assert association.is_established


@pytest.fixture
def answering() -> Iterator[Callable[[Answers], Association]]:
    """An association with an archive that answers each query as the test says."""
    with ExitStack() as stack:

        def associate(answers: Answers) -> Association:
            entity = AE(ae_title="ODD")
            entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
            handlers: list[Any] = [(evt.EVT_C_FIND, lambda event: answers())]
            server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
            stack.callback(server.shutdown)
            peer = _destination(server.server_address[1], "ODD", answer_seconds=1)
            return stack.enter_context(_open(peer))

        yield associate


@contextmanager
def _open(peer: Destination) -> Iterator[Association]:
    with suppress(AssociationAborted), open_association(peer, Caller("BRIDGE"), [FIND_CONTEXT]) as association:
        yield association


def _answer(uid: str, availability: str = "") -> Dataset:
    answer = Dataset()
    answer.SOPInstanceUID = uid
    answer.InstanceAvailability = availability
    return answer


def _drip() -> Iterator[tuple[int, Dataset | None]]:
    while True:
        time.sleep(0.3)
        yield 0xFF00, _answer("1.4")


def test_ok__only_what_was_asked_for_and_can_be_had_is_found(
    answering: Callable[[Answers], Association],
) -> None:
    answers = [_answer("1.4", "ONLINE"), _answer("1.4.1", "UNAVAILABLE"), _answer("6.6"), _answer(""), _answer("1.4.2")]
    association = answering(lambda: iter([*((0xFF01, one) for one in answers), (0x0000, None)]))
    assert find_instances(association, "1.2", "1.3", ["1.4", "1.4.1", "1.4.2", "1.4.3"]) == {"1.4", "1.4.2"}


@pytest.mark.parametrize("status", [0xA700, 0xA900, 0xC001, 0xFE00, 0x0122])
def test_fail__a_refusal_tells_nothing(answering: Callable[[Answers], Association], status: int) -> None:
    association = answering(lambda: iter([(0xFF00, _answer("1.4")), (status, None)]))
    with pytest.raises(FindRefused, match=f"{status:04X}H"):
        find_instances(association, "1.2", "1.3", ["1.4"])
    assert association.is_established


def test_fail__answers_that_never_end(
    answering: Callable[[Answers], Association], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises((FindRefused, AssociationAborted)):
        find_instances(answering(_drip), "1.2", "1.3", ["1.4"])
    monkeypatch.setattr("appliance.dimse.find._MOST_ANSWERS", 5)
    association = answering(lambda: ((0xFF00, _answer("1.4")) for _ in range(50)))
    with pytest.raises(FindRefused, match="no end"):
        find_instances(association, "1.2", "1.3", ["1.4"])
    assert not association.is_established


def test_fail__an_answer_that_is_too_large(answering: Callable[[Answers], Association]) -> None:
    large = _answer("1.4")
    large.PatientComments = "x" * 70_000
    with pytest.raises(FindRefused, match="bytes for one object"):
        find_instances(answering(lambda: iter([(0xFF00, large), (0x0000, None)])), "1.2", "1.3", ["1.4"])


def test_ok__the_query_names_every_level() -> None:
    query = query_from("1.2", "1.3", ["1.4", "1.5"])
    assert {element.keyword: element.value for element in query} == {
        "QueryRetrieveLevel": "IMAGE",
        "StudyInstanceUID": "1.2",
        "SeriesInstanceUID": "1.3",
        "SOPInstanceUID": ["1.4", "1.5"],
        "InstanceAvailability": "",
    }
    assert "SeriesInstanceUID" not in query_from("1.2", None, ["1.4"])
