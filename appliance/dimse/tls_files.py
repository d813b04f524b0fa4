"""The box's TLS files, read and checked: its certificate, its key, and the authorities; PEM.

What is wrong with one is said with its key of [tls], so that a person finds the line of the configuration.
"""

from __future__ import annotations

import os
import pwd
import ssl
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from appliance.base.clock import SystemClock
from appliance.config.schema import Tls
from appliance.dimse.certificate import UnreadableCertificate, certificates_in, validity_of
from appliance.dimse.tls_reason import TlsError

_MAX_FILE_BYTES = 4 * 1024 * 1024
_WORDS = {
    "certificate": "the box's certificate",
    "key": "the box's key",
    "authorities": "the authorities' certificates",
}


class UnusableFile(TlsError):
    """One thing that is wrong with the file that [tls] names by `key`: certificate, key or authorities."""

    def __init__(self, key: str, sentence: str, suggestion: str) -> None:
        super().__init__(sentence, suggestion)
        self.key = key


class UnseenFile(UnusableFile):
    """A file that this process may not read: whoever may can find it good."""


class UnusableFiles(TlsError):
    """All that is wrong with the files; `faults` holds each."""

    def __init__(self, faults: tuple[UnusableFile, ...]) -> None:
        suggestions = dict.fromkeys(one.suggestion for one in faults)
        super().__init__(" ".join(one.sentence for one in faults), " ".join(suggestions))
        self.faults = faults


def tls_below(tls: Tls, directory: Path) -> Tls:
    """`tls` with its relative paths below `directory`, which is the run directory."""
    return Tls(
        certificate=directory / tls.certificate, key=directory / tls.key, authorities=directory / tls.authorities
    )


def certificate_of(tls: Tls) -> bytes:
    """The box's own certificate, DER. UnusableFile when there is none."""
    try:
        own = certificates_in(_read(tls, "certificate"))
        if own:
            validity_of(own[0])
            return own[0]
    except UnreadableCertificate as error:
        raise UnusableFile(
            "certificate", f"{tls.certificate} is damaged: {error}.", "Put the box's PEM certificate there."
        ) from error
    raise UnusableFile(
        "certificate",
        f"The box's certificate {tls.certificate} is missing: the file holds none.",
        "Put the box's PEM certificate there.",
    )


def check_time(tls: Tls) -> None:
    """UnusableFile when the box's certificate has expired, is not valid yet, or cannot be read."""
    fault = fault_of_time(certificate_of(tls))
    if fault:
        raise UnusableFile(
            "certificate", f"The box's certificate {tls.certificate} {fault}.", "Renew it; check the date of the box."
        )


def check_key_mode(tls: Tls) -> None:
    """UnusableFile when others than its owner may read the key, or nobody can."""
    try:
        mode = tls.key.stat().st_mode
    except OSError as error:
        raise _unreadable(tls, "key", error) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UnusableFile(
            "key",
            f"The box's key {tls.key} may be read by others than its owner (mode {stat.S_IMODE(mode):04o}).",
            "Make it mode 0400, owned by the user of the service; if others may have read it, replace it.",
        )


def load_pair(context: ssl.SSLContext, tls: Tls) -> None:
    """Let `context` show the certificate, which the key must fit. UnusableFile."""
    certificate_of(tls)
    _read(tls, "key")
    try:
        context.load_cert_chain(tls.certificate, tls.key, password=_refuse_encrypted(tls.key))
    except ssl.SSLError as error:
        is_mismatch = "MISMATCH" in str(error.reason or "")
        what = "belongs to another certificate" if is_mismatch else f"cannot be used ({error.reason or 'unreadable'})"
        raise UnusableFile(
            "key", f"The box's key {tls.key} {what}.", f"Put the key of {tls.certificate} there, PEM."
        ) from error


def authorities_of(tls: Tls) -> list[bytes]:
    """Every certificate of the authorities' file, at least one; DER. UnusableFile."""
    suggestion = "Put the authorities' PEM certificates there."
    try:
        found = certificates_in(_read(tls, "authorities"))
    except UnreadableCertificate as error:
        raise UnusableFile("authorities", f"{tls.authorities} is damaged: {error}.", suggestion) from error
    if not found:
        raise UnusableFile("authorities", f"{tls.authorities} holds no certificate.", suggestion)
    return found


def trust(context: ssl.SSLContext, tls: Tls, certificates: Iterable[bytes]) -> None:
    """Let `context` trust `certificates`, which the authorities' file holds. UnusableFile when one of them is none."""
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        for der in certificates:
            context.load_verify_locations(cadata=der)
    except ssl.SSLError as error:
        raise UnusableFile(
            "authorities", f"{tls.authorities} holds something that is no certificate.", "Put PEM certificates there."
        ) from error


def fault_of_time(der: bytes) -> str:
    """What is wrong with a certificate's time now; empty when nothing is. UnreadableCertificate."""
    begin, end = validity_of(der)
    now = SystemClock().now()
    if now < begin:
        return f"is not valid before {begin:%Y-%m-%d %H:%M} UTC"
    return f"has expired on {end:%Y-%m-%d %H:%M} UTC" if now > end else ""


def user_of(path: Path) -> str:
    """The user to whom a file belongs. OSError."""
    return _user(path.stat().st_uid)


def _refuse_encrypted(key: Path) -> Callable[[], str]:
    def ask() -> str:
        raise UnusableFile(
            "key", f"The box's key {key} is encrypted.", "Store it without a password, readable by its owner alone."
        )

    return ask


def _read(tls: Tls, key: str) -> str:
    """The text of the file that `key` names. UnusableFile when it cannot be read."""
    try:
        with _path(tls, key).open("rb") as file:
            return file.read(_MAX_FILE_BYTES).decode("ascii", "replace")
    except OSError as error:
        raise _unreadable(tls, key, error) from error


def _unreadable(tls: Tls, key: str, error: OSError) -> UnusableFile:
    path = _path(tls, key)
    named = f"{path}, {_WORDS[key]},"
    if not isinstance(error, PermissionError):
        said = os.strerror(error.errno or 0)
        return UnusableFile(key, f"{named} cannot be read: {said}.", "Check the configured path and its owner.")
    try:
        whose = f"it belongs to {user_of(path)} (mode {stat.S_IMODE(path.stat().st_mode):04o})"
    except OSError:
        whose = "a directory above it is closed"
    return UnseenFile(
        key,
        f"{named} may not be read by {_user(os.geteuid())}: {whose}.",
        "It must belong to the user of the service; whoever checks it does so as that user.",
    )


def _path(tls: Tls, key: str) -> Path:
    path: Path = getattr(tls, key)
    return path


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
