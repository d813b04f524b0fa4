"""An Encapsulated PDF arrives at DCMTK's archive as it was saved, also where only implicit VR is taken."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread

from appliance.config.devices import TextDevice
from appliance.config.schema import Configuration, Destination
from appliance.dimse.association import Caller, open_association
from appliance.dimse.store import storable_as, store_object
from appliance.forward.proposals import proposals_for
from appliance.spool.names import ObjectName, digest_of
from tests.compose.test_documents import EXAMS
from tests.compose.world import make_document
from tests.peers import running, start_storescp

PDF = "1.2.840.10008.5.1.4.1.1.104.1"
SYNTAXES = ("explicit-little-endian", "implicit-little-endian")


@pytest.mark.parametrize("accepts", ["+xe", "+xi"])
def test_ok__a_document_arrives(tmp_path: Path, accepts: str) -> None:
    pdf = b"%PDF-1.4\n" + bytes(range(256)) * 2000 + b"%%EOF\n"
    made = make_document(tmp_path / "made.dcm", EXAMS["everything scheduled"], pdf)
    name = ObjectName(made.composed.sop_instance_uid, 0, digest_of(made.path, 0), 1)
    path = made.path.rename(tmp_path / str(name))
    with running(start_storescp(tmp_path / "scp", accepts=accepts)) as scp:
        peer = Destination(name="archive", ae_title="ARCHIVE", host="127.0.0.1", port=scp.port)
        contexts = storable_as(PDF, "1.2.840.10008.1.2.1", SYNTAXES)
        with open_association(peer, Caller("BRIDGE"), contexts) as association:
            assert store_object(association, path).code == 0
    (received,) = (tmp_path / "scp").iterdir()
    kept, came = dcmread(path), dcmread(received)
    assert came.EncapsulatedDocument == kept.EncapsulatedDocument
    assert came.to_json_dict() == kept.to_json_dict()


@pytest.mark.parametrize(("pdf", "is_proposed"), [(True, True), (False, False)])
def test_ok__a_document_is_proposed_where_one_is_made(pdf: bool, is_proposed: bool) -> None:
    device = TextDevice(name="lenses", driver="text", modality="LEN", line=Path("tty"), profile="nidek-lm", pdf=pdf)
    archive = Destination(name="archive", ae_title="ARCHIVE", host="pacs", port=104)
    proposals = proposals_for([archive], Configuration(devices=(device,), destinations=(archive,)))
    assert (PDF in {one.context.abstract_syntax for one in proposals}) is is_proposed
