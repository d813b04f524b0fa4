"""Verification, as SCU; as SCP it is tried in test_listener.py, test_commitment.py and, over TLS, test_tls_peers.py."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import pytest

from appliance.config.schema import Peer
from appliance.dimse.association import AssociationAborted, Caller, Context, NoAcceptedContext, open_association
from appliance.dimse.echo import EchoRefused, echo
from tests.dimse.hand_made_client import IMPLICIT, VERIFICATION
from tests.dimse.hand_made_peer import RELEASE, RELEASE_RP, Conversation, hand_made_peer, response
from tests.peers import running, start_storescp, start_wlmscpfs

_C_ECHO_RSP = 0x8030
CALLER = Caller("BRIDGE")


def _peer(port: int, ae_title: str = "ARCHIVE") -> Peer:
    return Peer(ae_title=ae_title, host="127.0.0.1", port=port, connect_seconds=20, answer_seconds=20)


def test_ok__dcmtk(tmp_path: Path) -> None:
    with running(start_storescp(tmp_path / "scp")) as scp:
        echo(_peer(scp.port), CALLER)
    with running(start_wlmscpfs(tmp_path / "wl", "RIS")) as scp:
        echo(_peer(scp.port, "RIS"), CALLER)


@pytest.mark.parametrize("status", [0x0122, 0x0210, 0x0211, 0x0212])  # all that PS3.7 9.1.5.1.4 has
def test_fail__another_status_than_success(status: int) -> None:
    def behave(talk: Conversation) -> None:
        asked = talk.read_message()
        talk.say(response(_C_ECHO_RSP, int.from_bytes(asked.elements[0x0110], "little"), status))
        talk.read_pdu()

    with hand_made_peer(behave) as port:
        with pytest.raises(EchoRefused, match=rf"status {status:04X}H"):
            echo(_peer(port), CALLER)


def test_fail__the_answer_to_something_else() -> None:
    def behave(talk: Conversation) -> None:
        talk.read_message()
        talk.say(response(0x8001, 1, 0))  # C-STORE-RSP
        talk.read_pdu()

    with hand_made_peer(behave) as port:
        with pytest.raises(AssociationAborted, match="no response to what was asked"):
            echo(_peer(port), CALLER)


def test_fail__an_answer_that_comes_byte_by_byte_and_does_not_end() -> None:
    """Each byte is progress, and yet it is given up."""

    def behave(talk: Conversation) -> None:
        talk.read_message()
        talk.write(struct.pack(">BxI", 4, 1000))
        with pytest.raises(ConnectionError):
            for _ in range(600):
                talk.write(b"\0")
                time.sleep(0.05)

    with hand_made_peer(behave) as port:
        peer = _peer(port).model_copy(update={"answer_seconds": 0.3})
        with pytest.raises(AssociationAborted):
            echo(peer, CALLER)


def test_fail__a_transfer_syntax_that_we_did_not_propose() -> None:
    """The library would take it as it is told, deflated for instance."""

    def behave(talk: Conversation) -> None:
        assert talk.read_pdu()[0] == RELEASE
        talk.write(RELEASE_RP)

    with hand_made_peer(behave) as port:  # it answers explicit VR to whatever was proposed
        with open_association(_peer(port), CALLER, [Context(VERIFICATION, (IMPLICIT,))]) as association:
            with pytest.raises(NoAcceptedContext):
                association.context_for(VERIFICATION)
