"""TLS for associations by the BCP 195 profile (PS3.15 B.12): the box's own identity, and whom it trusts.

Both sides show a certificate. A peer's is verified by its chain to a configured authority and by its name; or it is
pinned, and then its fingerprint alone says who it is. A client of the listener is let in by its chain or by a pin.

OpenSSL verifies chains and cannot ask a program about one that it does not know. So the certificate of a client that
nobody vouches for, pinned by a destination, must itself lie in the file of the authorities: it is trusted there as
exactly that certificate (X509_V_FLAG_PARTIAL_CHAIN), and never as an authority over others, even if it says it is one.

The files are read for each connection: a renewed certificate needs no restart, and a bad one has its sentence then.
"""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from appliance.base.clock import SystemClock
from appliance.config.schema import Configuration, Peer, Tls
from appliance.dimse.certificate import (
    PeerCertificate,
    UnreadableCertificate,
    certificates_in,
    fingerprint_of,
    names_of,
    plain_pin,
    validity_of,
)
from appliance.dimse.tls_reason import TlsError, WrongPin

# RFC 9325 4.2, for TLS 1.2. Those of TLS 1.3 are all good.
_CIPHER_SUITES = ":".join(
    f"ECDHE-{signature}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384")
    for signature in ("ECDSA", "RSA")
)
_MAX_FILE_BYTES = 4 * 1024 * 1024


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
            fault = _fault_of_time(der)
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
            _trust(context, self._authorities()[0])
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
        authorities, pinned = self._authorities()
        _trust(context, [*authorities, *pinned])
        return context

    def accepted_certificate(self, connection: ssl.SSLSocket) -> PeerCertificate:
        """The client's certificate once the handshake is over. TlsError when neither chain nor pin lets it in."""
        der = connection.getpeercert(binary_form=True)
        # Public from Python 3.13 on.
        chain = connection._sslobj.get_verified_chain() or []  # type: ignore[attr-defined]
        if not der or not chain:
            raise TlsError("it shows no certificate", "Configure a certificate there.")
        anchor = fingerprint_of(ssl.PEM_cert_to_DER_cert(chain[-1].public_bytes()))
        is_vouched = any(fingerprint_of(one) == anchor for one in self._authorities()[0])
        fingerprint = fingerprint_of(der)
        if not is_vouched and fingerprint not in self.pins:
            raise TlsError(
                "its certificate comes from a pinned certificate, which is no authority",
                "Let it be issued by an authority, or pin it by report_tls_pins.",
            )
        return PeerCertificate(fingerprint, names_of(connection.getpeercert() or {}), is_vouched)

    def check(self) -> datetime:
        """Until when the box's certificate is valid.

        TlsError: a file is missing, unreadable or damaged, the key may be read by others than its owner, is encrypted
        or belongs to another certificate, or the certificate is beyond its time.
        """
        self.server_context()
        own = certificates_in(_read(self.tls.certificate, "the box's certificate"))
        return validity_of(own[0])[1]

    def _filled(self, context: ssl.SSLContext) -> ssl.SSLContext:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_CIPHER_SUITES)
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET
        _load_own(context, self.tls)
        return context

    def _authorities(self) -> tuple[list[bytes], list[bytes]]:
        """The authorities of the file, and the pinned certificates that lie there too; DER."""
        path = self.tls.authorities
        try:
            found = certificates_in(_read(path, "the authorities' certificates"))
        except UnreadableCertificate as error:
            raise TlsError(f"{path} is damaged: {error}.", "Put the authorities' PEM certificates there.") from error
        if not found:
            raise TlsError(f"{path} holds no certificate.", "Put the authorities' PEM certificates there.")
        pinned = [one for one in found if fingerprint_of(one) in self.pins]
        return [one for one in found if one not in pinned], pinned


def identity_from(tls: Tls, pins: Iterable[str] = ()) -> Identity:
    """The box's identity, its files tried once: the errors of `Identity.check`."""
    identity = Identity(tls, frozenset(plain_pin(pin) for pin in pins))
    identity.check()
    return identity


def pins_of(configuration: Configuration) -> frozenset[str]:
    """Every certificate that a peer is known by."""
    peers: list[Peer] = [*configuration.worklist, *configuration.destinations]
    if configuration.performed_step is not None:
        peers.append(configuration.performed_step)
    pins = {peer.tls_pin for peer in peers if peer.tls_pin}
    for destination in configuration.destinations:
        pins.update(destination.report_tls_pins)
    return frozenset(plain_pin(pin) for pin in pins)


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


def _trust(context: ssl.SSLContext, certificates: Iterable[bytes]) -> None:
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        for der in certificates:
            context.load_verify_locations(cadata=der)
    except ssl.SSLError as error:
        raise TlsError(
            "tls.authorities holds something that is no certificate.", "Put PEM certificates there."
        ) from error


def _load_own(context: ssl.SSLContext, tls: Tls) -> None:
    """The box's own certificate and key, checked."""
    try:
        own = certificates_in(_read(tls.certificate, "the box's certificate"))
        fault = _fault_of_time(own[0]) if own else "is missing: the file holds none"
    except UnreadableCertificate as error:
        raise TlsError(f"{tls.certificate} is damaged: {error}.", "Put the box's PEM certificate there.") from error
    if fault:
        raise TlsError(f"The box's certificate {tls.certificate} {fault}.", "Renew it; check the date of the box.")
    _read(tls.key, "the box's key")
    mode = tls.key.stat().st_mode
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise TlsError(
            f"The box's key {tls.key} may be read by others than its owner (mode {stat.S_IMODE(mode):04o}).",
            "Make it mode 0400, owned by the user of the service; if others may have read it, replace it.",
        )
    try:
        context.load_cert_chain(tls.certificate, tls.key, password=_refuse_encrypted(tls.key))
    except ssl.SSLError as error:
        is_mismatch = "MISMATCH" in str(error.reason or "")
        what = "belongs to another certificate" if is_mismatch else f"cannot be used ({error.reason or 'unreadable'})"
        raise TlsError(f"The box's key {tls.key} {what}.", f"Put the key of {tls.certificate} there, PEM.") from error


def _refuse_encrypted(key: Path) -> Callable[[], str]:
    def ask() -> str:
        raise TlsError(
            f"The box's key {key} is encrypted.", "Store it without a password, readable by its owner alone."
        )

    return ask


def _fault_of_time(der: bytes) -> str:
    """What is wrong with the certificate's time now; empty when nothing is."""
    begin, end = validity_of(der)
    now = SystemClock().now()
    if now < begin:
        return f"is not valid before {begin:%Y-%m-%d %H:%M} UTC"
    return f"has expired on {end:%Y-%m-%d %H:%M} UTC" if now > end else ""


def _read(path: Path, what: str) -> str:
    """The text of a PEM file. TlsError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(_MAX_FILE_BYTES).decode("ascii", "replace")
    except OSError as error:
        said = os.strerror(error.errno or 0)
        raise TlsError(
            f"{path}, {what}, cannot be read: {said}.", "Check the configured path and its owner."
        ) from error
