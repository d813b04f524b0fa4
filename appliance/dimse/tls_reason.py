"""Why a TLS connection was not made, in words: what is wrong with their certificate, or what their alert says of ours.

OpenSSL's reason names are the keys; RFC 8446 6 says what each alert means.
"""

from __future__ import annotations

import ssl

from appliance.base.errors import ApplianceError


class TlsError(ApplianceError):
    """The box's own TLS files cannot be used, or a peer and the box did not come to trust each other."""


class WrongPin(ssl.SSLError):
    """The peer showed another certificate than the one that is configured for it, or one beyond its time."""


_RENEW = "Its administrator must renew it. If it is valid, check the date of the box."
_CHAIN = "Let it be issued by a known authority, add that authority to tls.authorities, or pin the certificate."
PINNED_TOO = "A pinned certificate that no authority vouches for must lie in tls.authorities too."
"""What few expect of the listener: OpenSSL asks nobody about a certificate that it does not know."""
_OURS = "Ask its administrator to look at the box's certificate."

# What we say of theirs: X509_V_ERR_* (openssl-verify(1)) → words, suggestion.
_VERDICTS: dict[int, tuple[str, str]] = {
    9: ("its certificate is not valid yet", "Check the date of the box, and of the peer when it made the certificate."),
    10: ("its certificate has expired", _RENEW),
    18: ("its certificate is signed by itself and not known here", _CHAIN),
    19: ("its certificate comes from an authority that is not known here", _CHAIN),
    20: ("its certificate comes from an authority that is not known here", _CHAIN),
    21: ("its certificate comes from an authority that is not known here", _CHAIN),
    23: ("its certificate was revoked", "Its administrator must renew it."),
    24: ("its certificate was signed by something that is no authority", _CHAIN),
    26: ("its certificate is not made for this use", "Let it be issued for client and server authentication."),
    62: ("its certificate carries another name", "Configure tls_name as in the certificate, or pin it by tls_pin."),
    64: ("its certificate does not carry this address", "Configure tls_name, or pin the certificate by tls_pin."),
    66: ("its certificate's key is too weak", "Its administrator must renew it with a longer key."),
    67: ("its authority's key is too weak", "Its administrator must renew it with a longer key."),
    68: ("its certificate is signed with a digest that is too weak", "Its administrator must renew it with SHA-256."),
}

# What they say of ours, or of the way of speaking: the end of OpenSSL's reason → words, suggestion.
_ALERTS: dict[str, tuple[str, str]] = {
    "ALERT_CERTIFICATE_EXPIRED": ("it says that the box's certificate has expired", "Renew the box's certificate."),
    "ALERT_CERTIFICATE_REVOKED": ("it says that the box's certificate was revoked", "Renew the box's certificate."),
    "ALERT_UNKNOWN_CA": ("it does not know the authority of the box's certificate", _OURS),
    "ALERT_BAD_CERTIFICATE": ("it does not accept the box's certificate", _OURS),
    "ALERT_CERTIFICATE_UNKNOWN": ("it does not accept the box's certificate", _OURS),
    "ALERT_UNSUPPORTED_CERTIFICATE": ("it says that the box's certificate is not made for this use", _OURS),
    "ALERT_DECRYPT_ERROR": ("it could not verify the box's certificate", _OURS),
    "ALERT_ACCESS_DENIED": ("it denies the box access", _OURS),
    "ALERT_CERTIFICATE_REQUIRED": ("it wants a certificate and received none", "Check its configuration and ours."),
    "ALERT_HANDSHAKE_FAILURE": ("it has no cipher suite in common with the box, or wants another certificate", ""),
    "ALERT_INSUFFICIENT_SECURITY": ("it wants stronger cipher suites than the box offers", ""),
    "ALERT_UNRECOGNIZED_NAME": ("it does not go by the name that the box called it", "Check tls_name."),
    "ALERT_PROTOCOL_VERSION": ("it does not speak TLS 1.2 or 1.3", "Its TLS must be brought up to date."),
    "UNSUPPORTED_PROTOCOL": ("it does not speak TLS 1.2 or 1.3", "Its TLS must be brought up to date."),
    "VERSION_TOO_LOW": ("it does not speak TLS 1.2 or 1.3", "Its TLS must be brought up to date."),
    "NO_SHARED_CIPHER": ("it has no cipher suite in common with the box", "Its TLS must be brought up to date."),
    "NO_SHARED_SIGNATURE_ALGORITHMS": ("it has no signature algorithm in common with the box", ""),
    "WRONG_VERSION_NUMBER": ("it speaks no TLS on this port", "Check the port, or configure tls = false."),
    "HTTP_REQUEST": ("it speaks no TLS on this port", ""),
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": ("it shows no certificate", "Configure a certificate there."),
    "UNEXPECTED_EOF_WHILE_READING": (
        "it ended the connection during the TLS handshake",
        "It may speak no TLS on this port, or not accept the box's certificate: its log may tell.",
    ),
}
_ALERTS["BAD_RECORD_TYPE"] = _ALERTS["PACKET_LENGTH_TOO_LONG"] = _ALERTS["WRONG_VERSION_NUMBER"]
_ALERTS["RECORD_LAYER_FAILURE"] = _ALERTS["WRONG_VERSION_NUMBER"]


def reason_of(error: OSError) -> tuple[str, str]:
    """What happened in words that go on a sentence about the peer ("… failed: it speaks no TLS …"), and what to do."""
    if isinstance(error, WrongPin):
        return str(error.args[-1]), "If its certificate was renewed, configure the new one's fingerprint."
    if isinstance(error, ssl.SSLCertVerificationError):
        unlisted = f"its certificate was not accepted ({error.verify_message})"
        return _VERDICTS.get(error.verify_code, (unlisted, ""))
    if isinstance(error, TimeoutError):
        return "it did not complete the TLS handshake in time", "It may speak no TLS on this port."
    # The end of the connection has no reason of OpenSSL's; Debian 12's Python calls it a zero return.
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        reason = str(error.reason or "")
        for end, words in _ALERTS.items():
            if reason.endswith(end):
                return words
        return f"the TLS handshake failed ({reason.lower().replace('_', ' ') or 'no reason given'})", ""
    return _ALERTS["UNEXPECTED_EOF_WHILE_READING"]


def refusal_of_caller(error: OSError) -> TlsError:
    """Why whoever called the listener's TLS port was refused, when the handshake failed by `error`; no sentence yet."""
    words, suggestion = reason_of(error)
    if suggestion == _CHAIN:
        suggestion = (
            "If it reports for an archive, let its certificate be issued by a known authority, or add that authority "
            f"to tls.authorities, or pin the certificate by report_tls_pins. {PINNED_TOO}"
        )
    else:
        suggestion = "Check the TLS of whoever that is, and tls.authorities here."
    return TlsError(words, suggestion)


def refusal_of(name: str, error: OSError | None, has_connected: bool) -> TlsError | None:
    """What is said of `name`, which speaks TLS, when connecting failed by `error`; None when TLS is not to blame.

    In TLS 1.3 the refusal of a client's certificate comes after the handshake, when it `has_connected`.
    """
    is_by_tls = isinstance(error, ssl.SSLError)
    if not has_connected:
        is_by_tls |= isinstance(error, TimeoutError) and "handshake" in str(error)
        is_by_tls |= isinstance(error, ConnectionResetError | BrokenPipeError)
    if error is None or not is_by_tls:
        return None
    words, suggestion = reason_of(error)
    return TlsError(f"{name} and the box do not come to TLS: {words}.", suggestion)
