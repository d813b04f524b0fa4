"""TLS with real peers: Orthanc, DCMTK and openssl, each way, and what is said when it does not come about."""

from __future__ import annotations

import contextlib
import queue
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.base.errors import ApplianceError
from appliance.base.uids import new_uid
from appliance.config.schema import Destination, Listener, Peer
from appliance.dimse.association import AssociationAborted, Caller, Context, NoAcceptedContext, open_association
from appliance.dimse.commitment import (
    COMMITMENT_CONTEXT,
    CommitmentReport,
    Reference,
    report_handlers,
    request_commitment,
)
from appliance.dimse.echo import echo
from appliance.dimse.find import FIND_CONTEXT, find_instances
from appliance.dimse.listener import CommitmentListener
from appliance.dimse.status import ActionVerdict
from appliance.dimse.store import store_object
from appliance.dimse.tls import Identity
from appliance.dimse.tls_reason import TlsError
from appliance.forward.reports import strangeness_of
from tests.certificates import EXPIRED, Authority, Credentials, make_authority, sign_itself
from tests.dimse.hand_made_client import Client, nothing_left, verify
from tests.peers import (
    SECONDARY_CAPTURE,
    running,
    save_object,
    small_object,
    start_orthanc,
    start_storescp,
    wait_until,
)
from tests.ports import pick_free_port


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("pki") / "hospital")


@pytest.fixture(scope="module")
def box(hospital: Authority) -> Credentials:
    return hospital.issue("box")


@pytest.fixture(scope="module")
def archive(hospital: Authority) -> Credentials:
    return hospital.issue("archive")


@pytest.fixture(scope="module")
def unknown(tmp_path_factory: pytest.TempPathFactory, hospital: Authority) -> Credentials:
    """Of an authority that the hospital does not know; it knows the hospital's."""
    return make_authority(tmp_path_factory.mktemp("pki") / "else", "Else").issue("unknown").trusting(hospital.file)


def caller(own: Credentials, *pins: str) -> Caller:
    return Caller("BRIDGE", Identity(own.tls, frozenset(pins)))


def peer(port: int, *, tls: bool = True, host: str = "localhost", **more: str) -> Peer:
    return Peer(ae_title="ARCHIVE", host=host, port=port, connect_seconds=20, answer_seconds=20, tls=tls, **more)


class Ear:
    """Our listener, TLS and plain, what it hears and whom it refuses."""

    def __init__(self, own: Credentials, *pins: str) -> None:
        self.port, self.tls_port = pick_free_port(), pick_free_port()
        self.reports: queue.Queue[CommitmentReport] = queue.Queue()
        self.refused: queue.Queue[ApplianceError] = queue.Queue()
        ports = Listener(port=self.port, tls_port=self.tls_port)
        self.listener = CommitmentListener(ports, caller(own, *pins), self.hear, on_refused=self.refuse)

    def refuse(self, address: str, error: ApplianceError) -> None:
        assert address == "127.0.0.1"
        self.refused.put(error)

    def hear(self, report: CommitmentReport) -> bool:
        self.reports.put(report)
        return True

    def said(self) -> str:
        return self.refused.get(timeout=20).sentence


@contextlib.contextmanager
def listening(own: Credentials, *pins: str) -> Iterator[Ear]:
    with nothing_left():
        ear = Ear(own, *pins)
        try:
            yield ear
        finally:
            ear.listener.stop()


def echoscu(port: int, *options: str, called: str = "BRIDGE") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/usr/bin/echoscu", "-v", "-to", "20", *options, "-aet", "ARCHIVE", "-aec", called, "localhost", str(port)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_ok__orthanc_store_find_commit_and_report(tmp_path: Path, box: Credentials, archive: Credentials) -> None:
    """Everything over mutual TLS, the report on a new association of Orthanc's to our TLS port."""
    path = save_object(tmp_path / "out", instance := small_object())
    with (
        listening(box) as ear,
        running(start_orthanc(tmp_path / "orthanc", box_port=ear.tls_port, tls=archive)) as orthanc,
    ):
        destination = Destination(
            name="archive", ae_title="ORTHANC", host="localhost", port=orthanc.port, answer_seconds=20, tls=True
        )
        contexts = [Context(SECONDARY_CAPTURE, ("1.2.840.10008.1.2.1",)), COMMITMENT_CONTEXT, FIND_CONTEXT]
        transaction, absent = new_uid(), new_uid()
        uid = str(instance.SOPInstanceUID)
        with open_association(destination, caller(box), contexts, handlers=report_handlers(ear.hear)) as association:
            assert store_object(association, path).code == 0
            found = find_instances(association, str(instance.StudyInstanceUID), None, [uid, absent])
            assert found == {uid}
            references = [Reference(SECONDARY_CAPTURE, one) for one in (uid, absent)]
            assert request_commitment(association, transaction, references).verdict is ActionVerdict.ACCEPTED
        report = ear.reports.get(timeout=30)
        assert (report.transaction_uid, report.committed, report.failed) == (transaction, {uid}, {absent: 0x0112})
        assert report.certificate and report.certificate.fingerprint == archive.pin
        assert strangeness_of(report, destination) == ""
        assert strangeness_of(report, destination.model_copy(update={"tls_name": "other.example"}))
        echo(destination, caller(box))
        with pytest.raises(AssociationAborted):
            echo(destination.model_copy(update={"tls": False}), caller(box))


@pytest.mark.parametrize("by", ["name", "address", "pin"])
def test_ok__storescp(tmp_path: Path, box: Credentials, archive: Credentials, by: str) -> None:
    """A whole film's worth of bytes, both by chain and by pin."""
    path = save_object(tmp_path / "out", small_object(size=1500))
    more = {"tls_pin": archive.pin} if by == "pin" else {}
    with running(start_storescp(tmp_path / "scp", *archive.dcmtk_options())) as scp:
        to = peer(scp.port, host="localhost" if by == "name" else "127.0.0.1", **more)
        contexts = [Context(SECONDARY_CAPTURE, ("1.2.840.10008.1.2.1",))]
        with open_association(to, caller(box), contexts) as association:
            for _ in range(5):
                assert store_object(association, path).code == 0
    (received,) = (tmp_path / "scp").iterdir()
    assert received.stat().st_size > 1500 * 1500


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("expired", "its certificate has expired"),
        ("unknown", "its certificate comes from an authority that is not known here"),
        ("another name", "its certificate carries another name"),
        ("another pin", "its certificate is not the one that is pinned"),
    ],
)
def test_fail__storescp_is_not_whom_we_want(
    tmp_path: Path,
    hospital: Authority,
    box: Credentials,
    archive: Credentials,
    unknown: Credentials,
    kind: str,
    words: str,
) -> None:
    own = {"expired": hospital.issue("old", valid=EXPIRED), "unknown": unknown}.get(kind, archive)
    more = {"another name": {"tls_name": "pacs.example"}, "another pin": {"tls_pin": box.pin}}.get(kind, {})
    with running(start_storescp(tmp_path / "scp", *own.dcmtk_options())) as scp, nothing_left():
        with pytest.raises(TlsError, match=rf"ARCHIVE at localhost:{scp.port} .*: {words}\."):
            echo(peer(scp.port, **more), caller(box))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("expired", None),
        ("unknown", "it does not know the authority of the box's certificate"),
    ],
)
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_fail__a_peer_that_does_not_want_us(
    hospital: Authority,
    box: Credentials,
    archive: Credentials,
    unknown: Credentials,
    kind: str,
    words: str | None,
    version: str,
) -> None:
    """openssl's server, which verifies; an expired certificate of ours is not even shown."""
    own = hospital.issue("old", valid=EXPIRED) if kind == "expired" else unknown
    with openssl_server(archive, version, "-Verify", "1", "-verify_return_error") as port, nothing_left():
        with pytest.raises(TlsError, match=words or r"The box's certificate .*old\.crt has expired on 20"):
            echo(peer(port), caller(own))


@contextlib.contextmanager
def openssl_server(own: Credentials, *options: str) -> Iterator[int]:
    port = pick_free_port()
    files = ["-cert", str(own.certificate), "-key", str(own.key), "-CAfile", str(own.authorities)]
    server = subprocess.Popen(
        ["/usr/bin/openssl", "s_server", "-quiet", "-accept", f"127.0.0.1:{port}", *files, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: is_answering(port), "openssl answers")
        yield port
    finally:
        server.kill()
        server.wait(20)


def is_answering(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("options", [("-tls1",), ("-tls1_1",), ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA")])
def test_fail__a_peer_of_yesterday(box: Credentials, archive: Credentials, options: tuple[str, ...]) -> None:
    level = () if "-cipher" in options else ("-cipher", "DEFAULT:@SECLEVEL=0")
    with openssl_server(archive, *options, *level) as port, nothing_left():
        with pytest.raises(TlsError, match=r"does not speak TLS 1\.2 or 1\.3|has no cipher suite in common"):
            echo(peer(port), caller(box))


def test_fail__a_peer_that_speaks_no_tls(tmp_path: Path, box: Credentials) -> None:
    with running(start_storescp(tmp_path / "scp")) as scp, nothing_left():
        with pytest.raises(
            TlsError, match=r"(speaks no TLS on this port|ended the connection during the TLS handshake)"
        ):
            echo(peer(scp.port), caller(box))


def test_fail__a_peer_that_says_nothing(box: Credentials) -> None:
    with nothing_left(), socket.create_server(("127.0.0.1", 0)) as silent:
        to = peer(silent.getsockname()[1]).model_copy(update={"connect_seconds": 0.5})
        with pytest.raises(TlsError, match="did not complete the TLS handshake in time"):
            echo(to, caller(box))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (bytes.fromhex("15 0303 0002 02 28"), "speaks TLS on this port"),  # a fatal alert, handshake_failure
        (b"", "did not complete the association"),  # OpenSSL just ends the connection
    ],
)
def test_fail__tls_is_not_configured_for_it(box: Credentials, answer: bytes, words: str) -> None:
    with nothing_left(), socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as connection:
                connection.recv(65_536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(ApplianceError, match=words) as failed:
            echo(peer(listener.getsockname()[1], tls=False), caller(box))
        assert "TLS" in str(failed.value)
        thread.join(20)


def test_fail__tls_without_a_certificate_of_our_own() -> None:
    with pytest.raises(TlsError, match="the box has no certificate"):
        echo(peer(1), Caller("BRIDGE"))


def test_ok__dcmtk_verifies_the_listener(box: Credentials, archive: Credentials) -> None:
    with listening(box) as ear:
        done = echoscu(ear.tls_port, *archive.dcmtk_options())
        assert done.returncode == 0, done.stderr
        assert echoscu(ear.port).returncode == 0, "the plain port is another"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("expired", "its certificate has expired"),
        ("unknown", "its certificate comes from an authority that is not known here"),
        ("plain", "it speaks no TLS on this port"),
    ],
)
def test_fail__whom_the_listener_does_not_want(
    hospital: Authority, box: Credentials, unknown: Credentials, kind: str, words: str
) -> None:
    options = {"expired": hospital.issue("old", valid=EXPIRED), "unknown": unknown}
    with listening(box) as ear:
        done = echoscu(ear.tls_port, *(options[kind].dcmtk_options() if kind in options else []))
        assert done.returncode != 0
        assert re.fullmatch(rf"127\.0\.0\.1 was refused at the listener's TLS port: {words}\.", ear.said())
        verify(ear.port)


@pytest.mark.parametrize("is_encrypted", [False, True])
def test_fail__who_calls_another_title(box: Credentials, archive: Credentials, is_encrypted: bool) -> None:
    """With a certificate that is let in, too: it means somebody else."""
    options = archive.dcmtk_options() if is_encrypted else []
    with listening(box) as ear:
        done = echoscu(ear.tls_port if is_encrypted else ear.port, *options, called="PACS")
        assert done.returncode != 0
        assert "Called AE Title Not Recognized" in done.stderr
        said = "ARCHIVE at 127.0.0.1 was refused: it calls the box PACS, and the box's AE title is BRIDGE."
        assert ear.said() == said


def test_fail__a_pinned_reporter_whose_certificate_nobody_has(
    tmp_path: Path, box: Credentials, hospital: Authority
) -> None:
    """The suggestion names the file in which OpenSSL looks for it, pinned or not."""
    alone = sign_itself(tmp_path / "alone", "alone").trusting(hospital.file)
    with listening(box, alone.pin) as ear:
        assert echoscu(ear.tls_port, *alone.dcmtk_options()).returncode != 0
        said = ear.refused.get(timeout=20)
    assert said.sentence.endswith("its certificate is signed by itself and not known here.")
    assert "pin the certificate by report_tls_pins" in said.suggestion
    assert said.suggestion.endswith(
        "A pinned certificate that no authority vouches for must lie in tls.authorities too."
    )


def test_fail__a_key_that_others_may_read_is_told_in_one_sentence(hospital: Authority, archive: Credentials) -> None:
    box = hospital.issue("readable")
    with listening(box) as ear:
        box.key.chmod(0o644)
        assert echoscu(ear.tls_port, *archive.dcmtk_options()).returncode != 0
        assert ear.said().endswith("may be read by others than its owner (mode 0644).")


def test_fail__a_client_without_a_certificate_and_one_that_ends(box: Credentials, hospital: Authority) -> None:
    context = ssl.create_default_context(cafile=str(hospital.file))
    with listening(box) as ear:
        with socket.create_connection(("127.0.0.1", ear.tls_port), 20) as connection:
            with pytest.raises(ssl.SSLError), context.wrap_socket(connection, server_hostname="localhost") as encrypted:
                encrypted.recv(1)
        assert "it shows no certificate" in ear.said()
        Client(ear.tls_port).connection.close()
        assert "it ended the connection during the TLS handshake" in ear.said()


def test_ok__a_pinned_client(tmp_path: Path, box: Credentials, hospital: Authority) -> None:
    """Its own certificate, among our authorities; it takes ours by the same way."""
    alone = sign_itself(tmp_path / "alone", "alone").trusting(hospital.file)
    with listening(box.trusting(hospital.file, alone.certificate), alone.pin) as ear:
        to = peer(ear.tls_port, host="127.0.0.1", tls_pin=box.pin).model_copy(update={"ae_title": "BRIDGE"})
        echo(to, caller(alone))
        done = echoscu(ear.tls_port, *alone.dcmtk_options())
        assert done.returncode == 0, done.stderr


def test_fail__the_key_became_readable_meanwhile(box: Credentials, archive: Credentials, tmp_path: Path) -> None:
    """The files are looked at for each connection: a new certificate needs no restart, a bad one is told at once."""
    key = tmp_path / "box.key"
    key.write_bytes(box.key.read_bytes())
    key.chmod(0o600)
    own = Credentials(box.certificate, key, box.authorities)
    with listening(own) as ear:
        assert echoscu(ear.tls_port, *archive.dcmtk_options()).returncode == 0
        key.chmod(0o644)
        assert echoscu(ear.tls_port, *archive.dcmtk_options()).returncode != 0
        assert "may be read by others than its owner" in ear.said()
        with pytest.raises(TlsError, match="may be read by others"):
            echo(peer(ear.tls_port), caller(own))
        key.chmod(0o600)
        assert echoscu(ear.tls_port, *archive.dcmtk_options()).returncode == 0


def test_fail__nothing_in_common_over_tls(tmp_path: Path, box: Credentials, archive: Credentials) -> None:
    with running(start_storescp(tmp_path / "scp", *archive.dcmtk_options())) as scp:
        with pytest.raises(NoAcceptedContext):
            with open_association(peer(scp.port), caller(box), [COMMITMENT_CONTEXT]):
                pass
