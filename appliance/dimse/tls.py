"""TLS for associations by the BCP 195 profile (PS3.15 B.12): the box's own identity, and whom it trusts.

Both sides show a certificate. A peer's is verified by its chain to a configured authority and by its name; or it is
pinned, and then its fingerprint alone says who it is. A client of the listener is let in by its chain or by a pin.

OpenSSL verifies chains and cannot ask a program about one that it does not know. So the certificate of a client that
nobody vouches for, pinned by a destination, must itself lie in the file of the authorities: it is trusted there as
exactly that certificate (X509_V_FLAG_PARTIAL_CHAIN), and never as an authority over others, even if it says it is one.

The files are read for each connection: a renewed certificate needs no restart, and a bad one has its sentence then.
What the files themselves are like is `tls_files`'s to say.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from appliance.config.schema import Configuration, Peer, Tls
from appliance.dimse.certificate import PeerCertificate, UnreadableCertificate, fingerprint_of, names_of, plain_pin
from appliance.dimse.tls_files import (
    UnusableFile,
    UnusableFiles,
    authorities_of,
    check_key_mode,
    check_time,
    fault_of_time,
    load_pair,
    trust,
)
from appliance.dimse.tls_reason import PINNED_TOO, TlsError, WrongPin

# RFC 9325 4.2, for TLS 1.2. Those of TLS 1.3 are all good.
CIPHER_SUITES = tuple(
    f"ECDHE-{signature}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384")
    for signature in ("ECDSA", "RSA")
)
LEAST_VERSION = ssl.TLSVersion.TLSv1_2


class _PinnedContext(ssl.SSLContext):
    """A client's context that knows one certificate; `_PinnedSocket` compares it."""

    pin = ""


class _PinnedSocket(ssl.SSLSocket):
    """A connection whose handshake fails unless the peer shows the pinned certificate, within its time."""

    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        assert isinstance(self.context, _PinnedContext)
        der = self.getpeercert(binary_form=True) or b""
        if fingerprint_of(der) != self.context.pin:
            raise WrongPin("its certificate is not the one that is pinned")
        try:
            fault = fault_of_time(der)
        except UnreadableCertificate:
            fault = "cannot be read"
        if fault:
            raise WrongPin(f"its certificate {fault}")


@dataclass(frozen=True, slots=True)
class Identity:
    """The box's own certificate and key, the authorities that it trusts, and the certificates that peers are known by.

    `pins` are fingerprints as `certificate.plain_pin` gives them.
    """

    tls: Tls
    pins: frozenset[str] = frozenset()

    def client_context(self, peer: Peer) -> ssl.SSLContext:
        """For connections to `peer`; `server_hostname` is then `name_of(peer)`. TlsError when a file is unusable."""
        if not peer.tls_pin:
            context = self._filled(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
            # What the name is compared with are the alternative names (RFC 9325 3.6, RFC 6125): a Common Name never.
            context.hostname_checks_common_name = False
            trust(context, self.tls, self.authorities()[0])
            return context
        pinned = _PinnedContext(ssl.PROTOCOL_TLS_CLIENT)
        pinned.check_hostname = False
        pinned.verify_mode = ssl.CERT_NONE
        pinned.pin = plain_pin(peer.tls_pin)
        pinned.sslsocket_class = _PinnedSocket
        return self._filled(pinned)

    def server_context(self) -> ssl.SSLContext:
        """For the listener; who it was is `accepted_certificate`'s to say. TlsError when a file is unusable."""
        context = self._filled(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        context.verify_mode = ssl.CERT_REQUIRED
        context.num_tickets = 0
        authorities, pinned = self.authorities()
        trust(context, self.tls, [*authorities, *pinned])
        return context

    def accepted_certificate(self, connection: ssl.SSLSocket) -> PeerCertificate:
        """The client's certificate once the handshake is over. TlsError when neither chain nor pin lets it in."""
        der = connection.getpeercert(binary_form=True)
        # Public from Python 3.13 on.
        chain = connection._sslobj.get_verified_chain() or []  # type: ignore[attr-defined]
        if not der or not chain:
            raise TlsError("it shows no certificate", "Configure a certificate there.")
        anchor = fingerprint_of(ssl.PEM_cert_to_DER_cert(chain[-1].public_bytes()))
        is_vouched = any(fingerprint_of(one) == anchor for one in self.authorities()[0])
        fingerprint = fingerprint_of(der)
        if not is_vouched and fingerprint not in self.pins:
            raise TlsError(
                "its certificate comes from a pinned certificate, which is no authority",
                f"Let it be issued by an authority, or pin it by report_tls_pins. {PINNED_TOO}",
            )
        return PeerCertificate(fingerprint, names_of(connection.getpeercert() or {}), is_vouched)

    def check(self) -> None:
        """Look at all files. UnusableFiles, with everything that is wrong with them.

        A file is missing, unreadable or damaged, the key may be read by others than its owner, is encrypted or belongs
        to another certificate, or the certificate is beyond its time.
        """
        faults: dict[str, UnusableFile] = {}
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        looks: tuple[Callable[[], None], ...] = (
            lambda: check_time(self.tls),
            lambda: check_key_mode(self.tls),
            lambda: load_pair(context, self.tls),
            lambda: trust(context, self.tls, authorities_of(self.tls)),
        )
        for look in looks:
            try:
                look()
            except UnusableFile as error:
                faults.setdefault(error.sentence, error)
        if faults:
            raise UnusableFiles(tuple(faults.values()))

    def _filled(self, context: ssl.SSLContext) -> ssl.SSLContext:
        context.minimum_version = LEAST_VERSION
        context.set_ciphers(":".join(CIPHER_SUITES))
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET
        check_time(self.tls)
        check_key_mode(self.tls)
        load_pair(context, self.tls)
        return context

    def authorities(self) -> tuple[list[bytes], list[bytes]]:
        """The authorities of the file, and the pinned certificates that lie there too; DER."""
        found = authorities_of(self.tls)
        pinned = [one for one in found if fingerprint_of(one) in self.pins]
        return [one for one in found if one not in pinned], pinned


def identity_from(tls: Tls, pins: Iterable[str] = ()) -> Identity:
    """The box's identity, its files looked at. UnusableFiles, as by `Identity.check`."""
    identity = Identity(tls, frozenset(plain_pin(pin) for pin in pins))
    identity.check()
    return identity


def pins_of(configuration: Configuration) -> dict[str, str]:
    """Every certificate that a peer is known by, as `plain_pin` gives it, and by what the peer is called."""
    peers: list[tuple[str, Peer]] = [(one.name, one) for one in configuration.worklist]
    peers += [(one.name, one) for one in configuration.destinations]
    if configuration.performed_step is not None:
        peers.append(("the performed-step manager", configuration.performed_step))
    named = [(name, peer.tls_pin) for name, peer in peers if peer.tls_pin]
    named += [(one.name, pin) for one in configuration.destinations for pin in one.report_tls_pins]
    pins: dict[str, list[str]] = {}
    for name, pin in named:
        pins.setdefault(plain_pin(pin), []).append(name)
    return {pin: ", ".join(dict.fromkeys(names)) for pin, names in pins.items()}


def context_for(peer: Peer, identity: Identity | None) -> ssl.SSLContext | None:
    """What connections to `peer` are encrypted with; None when they are not. TlsError when that is not to be had."""
    if not peer.tls:
        return None
    if identity is None:
        raise TlsError(f"{peer.ae_title} is to be reached by TLS, and the box has no certificate.", "Configure [tls].")
    return identity.client_context(peer)


def name_of(peer: Peer) -> str:
    """The name or address that a peer's certificate must carry."""
    return peer.tls_name or peer.host
