"""TLS by the BCP 195 profile: who is let in and who is not, each with its reason; files that cannot be used."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.config.schema import (
    Configuration,
    Destination,
    Listener,
    Peer,
    PerformedStepManager,
    Tls,
    WorklistSource,
)
from appliance.dimse.certificate import (
    PeerCertificate,
    UnreadableCertificate,
    certificates_in,
    owner_of,
    plain_pin,
    validity_of,
)
from appliance.dimse.tls import Identity, identity_from, name_of, pins_of
from appliance.dimse.tls_files import UnusableFiles
from appliance.dimse.tls_reason import TlsError, WrongPin, reason_of
from tests.certificates import EXPIRED, NOT_YET_VALID, Authority, Credentials, make_authority, sign_itself
from tests.peers import wait_until
from tests.ports import pick_free_port

SUITES = {
    f"ECDHE-{signature}-{cipher}"
    for signature in ("RSA", "ECDSA")
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384")
}


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("pki") / "hospital")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("pki") / "elsewhere", "Another CA")


@pytest.fixture(scope="module")
def box(hospital: Authority) -> Credentials:
    return hospital.issue("box")


@pytest.fixture(scope="module")
def archive(hospital: Authority) -> Credentials:
    return hospital.issue("archive", names=("archive.hospital.example",), addresses=("127.0.0.1", "::1"))


def peer(host: str = "127.0.0.1", *, name: str | None = None, pin: str | None = None) -> Peer:
    return Peer(ae_title="ARCHIVE", host=host, port=104, tls=True, tls_name=name, tls_pin=pin)


@dataclass
class Shaken:
    """Both ends after a handshake, and why each failed, if it did."""

    client: ssl.SSLSocket | None = None
    server: ssl.SSLSocket | None = None
    client_error: OSError | None = None
    server_error: OSError | None = None

    def close(self) -> None:
        for end in (self.client, self.server):
            if end is not None:
                end.close()


def shake(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> Shaken:
    """A handshake over a pair of sockets. A client hears of its certificate's refusal with its first reading only."""
    ours, theirs = socket.socketpair()
    shaken = Shaken()

    def serve() -> None:
        try:
            shaken.server = server.wrap_socket(theirs, server_side=True)
            shaken.server.sendall(b"!")
        except OSError as error:
            shaken.server_error = error
            theirs.close()

    ours.settimeout(20)
    theirs.settimeout(20)
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        shaken.client = client.wrap_socket(ours, server_hostname=name)
        assert shaken.client.recv(1) == b"!"
    except OSError as error:
        shaken.client_error = error
        ours.close()
    thread.join(20)
    return shaken


def identity(own: Credentials, *pins: str) -> Identity:
    return Identity(own.tls, frozenset(pins))


def connect(box: Identity, other: Identity, to: Peer) -> Shaken:
    """The box as client, another as server by the same rules."""
    return shake(box.client_context(to), other.server_context(), name_of(to))


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("archive.hospital.example", None),
        ("ARCHIVE.Hospital.Example", None),
        ("127.0.0.1", None),
        ("::1", None),
        ("10.0.0.7", "archive.hospital.example"),
    ],
)
def test_ok__chain_and_name(box: Credentials, archive: Credentials, host: str, name: str | None) -> None:
    server = identity(archive)
    shaken = connect(identity(box), server, peer(host, name=name))
    assert shaken.client and shaken.server, (shaken.client_error, shaken.server_error)
    assert shaken.client.version() == "TLSv1.3"
    assert shaken.client.compression() is None
    who = server.accepted_certificate(shaken.server)
    assert who == PeerCertificate(box.pin, frozenset({"localhost", "127.0.0.1"}), is_vouched=True)
    assert who.is_for("localhost") and who.is_for("127.0.0.1") and not who.is_for("archive.hospital.example")
    shaken.close()


def test_ok__tls_1_2_in_a_suite_of_the_profile(box: Credentials, archive: Credentials) -> None:
    server = identity(archive).server_context()
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    shaken = shake(identity(box).client_context(peer()), server, "127.0.0.1")
    assert shaken.client
    assert shaken.client.version() == "TLSv1.2"
    cipher = shaken.client.cipher()
    assert cipher and cipher[0] in SUITES
    shaken.close()


@pytest.mark.parametrize("side", ["client", "server"])
def test_ok__what_is_offered_is_the_profile(box: Credentials, side: str) -> None:
    context = identity(box).client_context(peer()) if side == "client" else identity(box).server_context()
    assert {one["name"] for one in context.get_ciphers() if one["protocol"] == "TLSv1.2"} == SUITES
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION and context.options & ssl.OP_NO_COMPRESSION


def of_peer(hospital: Authority, stranger: Authority, kind: str) -> Credentials:
    if kind == "expired":
        return hospital.issue("old", valid=EXPIRED)
    if kind == "not yet valid":
        return hospital.issue("early", valid=NOT_YET_VALID)
    if kind == "unknown":
        return stranger.issue("archive").trusting(hospital.file)
    if kind == "another use":
        return hospital.issue("mail", usage="emailProtection")
    return hospital.issue("other", names=("elsewhere.example",), addresses=())


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("expired", "its certificate has expired"),
        ("not yet valid", "its certificate is not valid yet"),
        ("unknown", "its certificate comes from an authority that is not known here"),
        ("another use", "its certificate is not made for this use"),
        ("another name", "its certificate carries another name"),
        ("another address", "its certificate does not carry this address"),
    ],
)
def test_fail__what_we_say_of_a_servers_certificate(
    box: Credentials, hospital: Authority, stranger: Authority, kind: str, words: str
) -> None:
    other = of_peer(hospital, stranger, kind)
    # Its own rules would not let it start with such a certificate: a plain server.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(other.certificate, other.key)
    host = "archive.hospital.example" if kind == "another name" else "127.0.0.1"
    shaken = shake(identity(box).client_context(peer(host)), context, host)
    assert shaken.client is None and shaken.client_error
    assert reason_of(shaken.client_error)[0] == words
    shaken.close()


@pytest.mark.parametrize(
    ("kind", "ours", "theirs"),
    [
        ("expired", "its certificate has expired", "it says that the box's certificate has expired"),
        (
            "unknown",
            "its certificate comes from an authority that is not known here",
            "it does not know the authority of the box's certificate",
        ),
        ("another use", "its certificate is not made for this use", "box's certificate is not made for this use"),
        ("none", "it shows no certificate", "it wants a certificate and received none"),
    ],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_fail__what_is_said_of_a_clients_certificate(
    archive: Credentials,
    hospital: Authority,
    stranger: Authority,
    kind: str,
    ours: str,
    theirs: str,
    version: ssl.TLSVersion,
) -> None:
    """The listener's words on a client, and, played the other way round, a peer's alert on the box."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(hospital.file)
    context.maximum_version = version
    if kind != "none":
        other = of_peer(hospital, stranger, kind)
        context.load_cert_chain(other.certificate, other.key)
    shaken = shake(context, identity(archive).server_context(), "127.0.0.1")
    assert shaken.server_error and shaken.client_error
    assert reason_of(shaken.server_error)[0] == ours
    said = reason_of(shaken.client_error)[0]
    # Before 1.3 there is no alert for a missing certificate.
    if kind == "none" and version is ssl.TLSVersion.TLSv1_2:
        theirs = "it has no cipher suite in common with the box, or wants another certificate"
    assert theirs in said
    shaken.close()


def test_ok__a_pin_replaces_chain_and_name(box: Credentials, tmp_path: Path) -> None:
    alone = sign_itself(tmp_path / "alone", "alone")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(alone.certificate, alone.key)
    pin = ":".join(alone.pin[at : at + 2].upper() for at in range(0, 64, 2))
    shaken = shake(identity(box).client_context(peer("10.1.2.3", pin=pin)), context, "10.1.2.3")
    assert shaken.client, shaken.client_error
    shaken.close()


@pytest.mark.parametrize(
    ("kind", "words"),
    [("another", "is not the one that is pinned"), ("expired", "its certificate has expired on 20")],
)
def test_fail__pinned(box: Credentials, archive: Credentials, tmp_path: Path, kind: str, words: str) -> None:
    alone = sign_itself(tmp_path / "alone", "alone", EXPIRED if kind == "expired" else (-1, 9))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(alone.certificate, alone.key)
    pin = alone.pin if kind == "expired" else archive.pin
    shaken = shake(identity(box).client_context(peer(pin=pin)), context, "127.0.0.1")
    assert isinstance(shaken.client_error, WrongPin)
    assert words in reason_of(shaken.client_error)[0]
    shaken.close()


def test_ok__a_pinned_client_whose_certificate_lies_among_the_authorities(
    box: Credentials, hospital: Authority, tmp_path: Path
) -> None:
    """Signed by itself, or by nobody whom we know: it is trusted as exactly that certificate."""
    alone = sign_itself(tmp_path / "alone", "alone").trusting(hospital.file)
    server = identity(box.trusting(hospital.file, alone.certificate), alone.pin)
    shaken = connect(identity(alone), server, peer())
    assert shaken.server, shaken.server_error
    who = server.accepted_certificate(shaken.server)
    assert who == PeerCertificate(alone.pin, frozenset(), is_vouched=False)
    assert not who.is_for("alone")
    shaken.close()


def test_fail__a_pinned_client_whose_certificate_nobody_has(
    box: Credentials, hospital: Authority, tmp_path: Path
) -> None:
    alone = sign_itself(tmp_path / "alone", "alone").trusting(hospital.file)
    shaken = connect(identity(alone), identity(box, alone.pin), peer())
    assert shaken.server_error
    assert reason_of(shaken.server_error)[0] == "its certificate is signed by itself and not known here"
    shaken.close()


def test_fail__a_pinned_certificate_vouches_for_nobody(
    box: Credentials, hospital: Authority, stranger: Authority
) -> None:
    """Even if it says that it is an authority, as those do that devices make for themselves."""
    pin = Credentials(stranger.file, stranger.directory / "ca.key", stranger.file).pin
    server = identity(box.trusting(hospital.file, stranger.file), pin)
    intruder = stranger.issue("archive").trusting(hospital.file)
    shaken = connect(identity(intruder), server, peer())
    assert shaken.server
    with pytest.raises(TlsError, match="comes from a pinned certificate, which is no authority"):
        server.accepted_certificate(shaken.server)
    shaken.close()
    # As client, the box does not even take it as an authority.
    shaken = connect(server, identity(intruder), peer())
    assert isinstance(shaken.client_error, ssl.SSLCertVerificationError)
    shaken.close()


def test_fail__files_that_cannot_be_used(box: Credentials, archive: Credentials, tmp_path: Path) -> None:
    def tls(**changed: Path) -> Tls:
        return box.tls.model_copy(update=changed)

    garbage, empty, loose, encrypted = (tmp_path / name for name in ("garbage", "empty", "loose", "encrypted"))
    garbage.write_text("-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n")
    garbage.chmod(0o600)
    empty.write_text("")
    command = ["/usr/bin/openssl", "pkcs8", "-topk8", "-in", box.key, "-out", encrypted, "-passout", "pass:secret"]
    subprocess.run(command, check=True, timeout=30)
    encrypted.chmod(0o400)
    for changed, words in [
        ({"key": tmp_path / "absent"}, "the box's key, cannot be read: No such file or directory"),
        ({"certificate": tmp_path / "absent"}, "the box's certificate, cannot be read: No such file"),
        ({"authorities": tmp_path / "absent"}, "the authorities' certificates, cannot be read"),
        ({"certificate": tmp_path}, "cannot be read: Is a directory"),
        ({"key": archive.key}, "belongs to another certificate"),
        ({"key": garbage}, "cannot be used"),
        ({"key": encrypted}, "is encrypted"),
        ({"certificate": garbage}, "is damaged"),
        ({"certificate": empty}, "the file holds none"),
        ({"authorities": empty}, "holds no certificate"),
        ({"authorities": garbage}, "is damaged"),
    ]:
        with pytest.raises(TlsError, match=words):
            identity_from(tls(**changed))
    loose.write_bytes(box.key.read_bytes())
    for mode in (0o640, 0o440, 0o604, 0o620, 0o601):
        loose.chmod(mode)
        with pytest.raises(TlsError, match=rf"may be read by others than its owner \(mode {mode:04o}\)"):
            identity_from(tls(key=loose))
    for mode in (0o600, 0o400):
        loose.chmod(mode)
        identity_from(tls(key=loose))


def test_fail__everything_that_is_wrong_is_said_at_once(
    hospital: Authority, archive: Credentials, tmp_path: Path
) -> None:
    """Each with the key of [tls] that names the file, and nothing twice."""
    loose = tmp_path / "loose.key"
    loose.write_bytes(archive.key.read_bytes())
    loose.chmod(0o644)
    old = hospital.issue("old", valid=EXPIRED)
    with pytest.raises(UnusableFiles) as failed:
        identity_from(Tls(certificate=old.certificate, key=loose, authorities=tmp_path / "none"))
    assert [
        (one.key, part in one.sentence)
        for one, part in zip(
            failed.value.faults,
            ("has expired on", "by others than its owner", "belongs to another certificate", "cannot be read"),
            strict=True,
        )
    ] == [("certificate", True), ("key", True), ("key", True), ("authorities", True)]
    absent = Tls(certificate=tmp_path / "a", key=tmp_path / "b", authorities=hospital.file)
    with pytest.raises(UnusableFiles) as failed:
        identity_from(absent)
    assert [one.key for one in failed.value.faults] == ["certificate", "key"]


@pytest.mark.parametrize(("valid", "words"), [(EXPIRED, "has expired on"), (NOT_YET_VALID, "is not valid before")])
def test_fail__our_own_certificate_beyond_its_time(hospital: Authority, valid: tuple[int, int], words: str) -> None:
    with pytest.raises(TlsError, match=words):
        identity_from(hospital.issue("untimely", valid=valid).tls)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-tls1", "-cipher", "DEFAULT:@SECLEVEL=0"], "it does not speak TLS 1.2 or 1.3"),
        (["-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"], "it does not speak TLS 1.2 or 1.3"),
        (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"], "it has no cipher suite in common with the box"),
    ],
)
def test_fail__an_old_peer(box: Credentials, archive: Credentials, options: list[str], words: str) -> None:
    """openssl as server, and as client of the listener's context."""
    own = ["-cert", archive.certificate, "-key", archive.key, "-CAfile", archive.authorities]
    port = pick_free_port()
    server = subprocess.Popen(
        ["/usr/bin/openssl", "s_server", "-quiet", "-accept", f"127.0.0.1:{port}", *own, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, "openssl answers")
        with socket.create_connection(("127.0.0.1", port), 20) as connection, pytest.raises(OSError) as failed:
            identity(box).client_context(peer()).wrap_socket(connection, server_hostname="127.0.0.1")
        assert words in reason_of(failed.value)[0]
    finally:
        server.kill()
        server.wait(20)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        client = subprocess.Popen(
            ["/usr/bin/openssl", "s_client", "-connect", address, *own, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        listener.settimeout(20)
        connection = listener.accept()[0]
        with connection, pytest.raises(OSError) as failed:
            identity(box).server_context().wrap_socket(connection, server_side=True)
        assert words in reason_of(failed.value)[0]
        client.wait(20)


def test_fail__a_client_that_renegotiates(box: Credentials, archive: Credentials) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        own = ["-cert", archive.certificate, "-key", archive.key, "-CAfile", archive.authorities]
        client = subprocess.Popen(
            ["/usr/bin/openssl", "s_client", "-connect", f"127.0.0.1:{listener.getsockname()[1]}", "-tls1_2", *own],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        listener.settimeout(20)
        connection = identity(box).server_context().wrap_socket(listener.accept()[0], server_side=True)
        with connection:
            connection.settimeout(20)
            assert client.stdin and client.stderr
            client.stdin.write(b"R\n")
            client.stdin.flush()
            with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
                connection.recv(10)  # it was refused, and gives up
        assert b"no renegotiation" in client.stderr.read()
        client.stdin.close()
        client.wait(20)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x02", "it speaks no TLS on this port"),  # A-ABORT: no such PDU type
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it speaks no TLS on this port"),
        (b"", "it ended the connection during the TLS handshake"),
        (None, "it did not complete the TLS handshake in time"),
    ],
)
def test_fail__a_peer_that_speaks_no_tls(box: Credentials, said: bytes | None, words: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0.3 if said is None else 20)
        if said:
            theirs.sendall(said)
        elif said == b"":
            theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(OSError) as failed:
            identity(box).client_context(peer()).wrap_socket(ours, server_hostname="127.0.0.1")
    assert reason_of(failed.value)[0] == words


@pytest.mark.parametrize(
    ("names", "host", "fits"),
    [
        ({"archive.example"}, "archive.example", True),
        ({"archive.example"}, "ARCHIVE.example.", True),
        ({"*.example"}, "archive.example", True),
        ({"*.example"}, "a.archive.example", False),
        ({"*.example"}, "example", False),
        ({"a*.example"}, "archive.example", False),
        ({"archive.example"}, "rchive.example", False),
        ({"10.0.0.7"}, "10.0.0.7", True),
        ({"0:0:0:0:0:0:0:1"}, "::1", True),
        ({"*.0.0.7"}, "10.0.0.7", False),
        ({"10.0.0.7"}, "10.0.0.70", False),
        (set(), "archive.example", False),
    ],
)
def test_ok__names_of_a_certificate(names: set[str], host: str, fits: bool) -> None:
    assert PeerCertificate("", frozenset(names), is_vouched=True).is_for(host) is fits
    assert not PeerCertificate("", frozenset(names), is_vouched=False).is_for(host)


def test_ok__validity_as_openssl_reads_it(box: Credentials) -> None:
    begin, end = validity_of(box.der)
    now = datetime.now(UTC)
    assert abs(now - timedelta(days=2) - begin) < timedelta(minutes=30)
    assert end - begin == timedelta(days=32)
    said = subprocess.run(
        ["/usr/bin/openssl", "x509", "-in", box.certificate, "-noout", "-enddate"], capture_output=True, check=True
    ).stdout.decode()
    assert datetime.strptime(said.strip(), "notAfter=%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC) == end


def test_ok__whose_a_certificate_is(box: Credentials, tmp_path: Path) -> None:
    """By its Common Name in whatever kind of text, else by what stands last; nothing of it steers a terminal."""
    assert owner_of(box.der) == "box"
    for subject, name in (
        ("/C=DE/CN=Klinik Müller CA/O=Klinik", "Klinik Müller CA"),
        ("/C=DE/O=Klinik/OU=PKI", "PKI"),
        ("/CN=a\x1b[31mb", "a[31mb"),
        ("/", "?"),
    ):
        command = ["/usr/bin/openssl", "req", "-x509", "-key", box.key, "-utf8", "-subj", subject, "-outform", "DER"]
        assert owner_of(subprocess.run(command, check=True, capture_output=True, timeout=30).stdout) == name


def test_fail__no_certificate_at_all(box: Credentials) -> None:
    for at in range(150):
        with pytest.raises(UnreadableCertificate):
            validity_of(box.der[:at])
        with pytest.raises(UnreadableCertificate):
            owner_of(box.der[:at])
    with pytest.raises(UnreadableCertificate):
        validity_of(b"\x30\x84\xff\xff\xff\xff")
    assert certificates_in("nothing") == []


def test_ok__every_configured_pin(tmp_path: Path) -> None:
    pins = [f"{number:02x}" * 32 for number in range(4)]
    shown = ":".join(["AB"] * 32)
    assert plain_pin(shown) == "ab" * 32
    configuration = Configuration(
        tls=Tls(certificate=tmp_path, key=tmp_path, authorities=tmp_path),
        listener=Listener(tls_port=2762),
        worklist=(WorklistSource(name="ris", ae_title="RIS", host="h", port=1, tls=True, tls_pin=pins[0]),),
        destinations=(
            Destination(name="a", ae_title="A", host="h", port=1, tls=True, tls_pin=shown, report_tls_pins=(pins[1],)),
            Destination(name="b", ae_title="B", host="h", port=1),
        ),
    )
    assert pins_of(configuration) == {pins[0]: "ris", pins[1]: "a", "ab" * 32: "a"}
    both = configuration.model_copy(
        update={
            "performed_step": PerformedStepManager(ae_title="M", host="h", port=1, tls=True, tls_pin=pins[0].upper())
        }
    )
    assert pins_of(both)[pins[0]] == "ris, the performed-step manager"
