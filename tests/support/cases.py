"""Fifty configurations that must not stay: what each changes of the box's own, and how it is known to be bad.

REFUSED: the check says why, and nothing is changed. FAILS: it is in force until the self-test has found that it does
not work. CUTS: everything works, and support cannot reach the box any more.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    REFUSED = "refused"
    FAILS = "fails"
    CUTS = "cuts"


@dataclass(frozen=True, slots=True)
class Case:
    """`change` makes the bad text of the good one; `said` is in what people are told, in their command or the log."""

    name: str
    kind: Kind
    change: Callable[[str], bytes]
    said: str = ""


def _with(pattern: str, replacement: str) -> Callable[[str], bytes]:
    """The text with the first `pattern` (a regular expression, of whole lines) written otherwise."""

    def change(text: str) -> bytes:
        changed, count = re.subn(pattern, replacement, text, count=1, flags=re.MULTILINE | re.DOTALL)
        assert count == 1, pattern
        return changed.encode()

    return change


def _and(more: str) -> Callable[[str], bytes]:
    return lambda text: (text + more).encode()


_ADDRESS, _GATEWAY, _FROM = r'^address = "10[^\n]*', r"^gateway = [^\n]*", r"^ssh_from = [^\n]*"
_NETWORK = r"^\[network\].*?(?=^\[firewall\])"
_MARIA = r'^\[\[support_keys\]\]\nname = "maria".*?(?=^\[\[support_keys\]\])'
_BOTH = r"^\[\[support_keys\]\].*?(?=^\[\[worklist\]\])"
_OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUvdjTnTpPLBRrxqkEgCjMdLhnRfTMd2ZK6CIwnrb0l nobody"
_ONE_OTHER = f'[[support_keys]]\nname = "nobody"\nrole = "admin"\nkey = "{_OTHER_KEY}"\n\n'
_DEVICE = '\n[[devices]]\nname = "us"\ndriver = "xmodem"\nmodality = "US"\n'
_TLS = '\n[tls]\ncertificate = "/nowhere/box.crt"\nkey = "/nowhere/box.key"\nauthorities = "/nowhere/ca.crt"\n'

CUTS = (
    Case("another address", Kind.CUTS, _with(_ADDRESS, 'address = "10.99.0.77/24"')),
    Case("an address of another network", Kind.CUTS, _with(f"{_ADDRESS}\n{_GATEWAY}", 'address = "192.168.7.5/24"')),
    Case("a network that is too small", Kind.CUTS, _with(f"{_ADDRESS}\n{_GATEWAY}", 'address = "10.99.0.1/30"')),
    Case("another gateway", Kind.CUTS, _with(_GATEWAY, 'gateway = "10.99.0.253"')),
    Case("no gateway", Kind.CUTS, _with(f"{_GATEWAY}\n", "")),
    Case("the gateway's own address", Kind.CUTS, _with(f"{_ADDRESS}\n{_GATEWAY}", 'address = "10.99.0.254/24"')),
    Case("no network at all", Kind.CUTS, _with(_NETWORK, "")),
    Case("DHCP where there is none", Kind.CUTS, _with(f"{_ADDRESS}\n{_GATEWAY}\n", "")),
    Case("an interface that is not there", Kind.CUTS, _with(r'^interface = "eth0"', 'interface = "eth7"')),
    Case("SSH from elsewhere alone", Kind.CUTS, _with(_FROM, 'ssh_from = ["10.97.0.0/16"]')),
    Case("SSH from one other desk", Kind.CUTS, _with(_FROM, 'ssh_from = ["10.98.0.3/32", "10.99.0.0/24"]')),
    Case("SSH by IPv6 alone", Kind.CUTS, _with(_FROM, 'ssh_from = ["fd00::/8"]')),
    Case("maria's key is gone", Kind.CUTS, _with(_MARIA, "")),
    Case("maria's key is somebody else's", Kind.CUTS, _with(r'^key = "[^"]* maria"', f'key = "{_OTHER_KEY}"')),
    Case("nobody's key but a stranger's", Kind.CUTS, _with(_BOTH, _ONE_OTHER)),
    Case("no keys at all", Kind.CUTS, _with(_BOTH, "")),
    Case(
        "address, firewall and key at once",
        Kind.CUTS,
        lambda text: _with(_ADDRESS, 'address = "10.99.0.78/24"')(
            _with(_FROM, 'ssh_from = ["10.97.0.0/16"]')(_with(_MARIA, "")(text).decode()).decode()
        ),
    ),
)


def _archive(key: str, line: str) -> Callable[[str], bytes]:
    """The archive's section with its `key` written as `line`."""

    def change(text: str) -> bytes:
        head, mark, tail = text.partition("[[destinations]]")
        return (head + mark + re.sub(rf"(?m)^{key} = .*$", line, tail, count=1)).encode()

    return change


FAILS = (
    Case("an archive's port where nobody is", Kind.FAILS, _archive("port", "port = 11113"), "archive: association"),
    Case("an archive that is not there", Kind.FAILS, _archive("host", 'host = "10.99.0.200"'), "archive: association"),
    Case("an archive's name that is none", Kind.FAILS, _archive("host", 'host = "no.invalid"'), "archive: association"),
    Case("a worklist where nobody is", Kind.FAILS, _with("^port = 11112", "port = 11114"), "ris: association"),
    Case(
        "a performed-step manager where nobody is",
        Kind.FAILS,
        _and('\n[performed_step]\nae_title = "HOSPITAL"\nhost = "127.0.0.1"\nport = 11115\nconnect_seconds = 2.0\n'),
        "performed-step: association",
    ),
    Case("SSH's own port for the listener", Kind.FAILS, _and('\n[listener]\nhost = "0.0.0.0"\nport = 22\n'), "forward"),
    Case("a listener on an address that is not the box's", Kind.FAILS, _and('\n[listener]\nhost = "10.99.0.9"\n'), ""),
)

REFUSED = (
    Case("cut off in the middle", Kind.REFUSED, lambda text: text[: len(text) // 2].encode() + b'\nx = "', "not TOML"),
    Case("binary", Kind.REFUSED, lambda _: bytes(range(256)) * 8, "is not UTF-8 at byte"),
    Case("zeros, as a flash that failed gives", Kind.REFUSED, lambda _: bytes(4096), "is not TOML"),
    Case("UTF-16", Kind.REFUSED, lambda text: text.encode("utf-16"), "is written in UTF-16; save it as UTF-8"),
    Case("Latin-1", Kind.REFUSED, lambda text: text.replace("room 7", "Zimmer für US").encode("latin-1"), "not UTF-8"),
    Case("two marks of byte order", Kind.REFUSED, lambda text: ("\ufeff\ufeff" + text).encode(), "is not TOML"),
    Case("huge", Kind.REFUSED, lambda text: text.encode() + b"#" * 1_100_000, "is larger than 1048576 bytes"),
    Case("too deep", Kind.REFUSED, _and("x = " + "[" * 9000 + "]" * 9000), "too long or too deep"),
    Case("a number without an end", Kind.REFUSED, _and("x = " + "9" * 6000), "too long or too deep"),
    Case("a table twice", Kind.REFUSED, _and("\n[box]\n"), "is not TOML"),
    Case("a key that is misspelt", Kind.REFUSED, _with("^institution", "instituton"), "did you mean 'institution'?"),
    Case("a section that is misspelt", Kind.REFUSED, _with(r"^\[firewall\]", "[firewal]"), "did you mean 'firewall'?"),
    Case("a text for a number", Kind.REFUSED, _archive("port", 'port = "104"'), "should be a valid integer"),
    Case("a number for a text", Kind.REFUSED, _archive("host", "host = 10"), "should be a valid string"),
    Case("a port beyond all", Kind.REFUSED, _archive("port", "port = 70000"), "less than or equal to 65535"),
    Case("an archive without an address", Kind.REFUSED, _archive("host", ""), "destinations[0].host: is missing"),
    Case("a date for a name", Kind.REFUSED, _archive("ae_title", "ae_title = 2026-11-23"), "destinations[0].ae_title"),
    Case("two destinations of one name", Kind.REFUSED, _and(
        '\n[[destinations]]\nname = "archive"\nae_title = "B"\nhost = "b"\nport = 104\n'), "is used twice"),
    Case("a machine without a line", Kind.REFUSED, _and(_DEVICE), "devices[0].line: is missing"),
    Case("a machine of no kind", Kind.REFUSED, _and(_DEVICE.replace("xmodem", "usb")), "must be one of 'xmodem'"),
    Case("certificates that are not there", Kind.REFUSED, _and(_TLS), "tls.certificate: /nowhere/box.crt"),
    Case("TLS without a certificate", Kind.REFUSED, _and("tls = true\n"), "[tls] is missing"),
    Case("an address without its network", Kind.REFUSED, _with(_ADDRESS, 'address = "10.99.0.1"'), "from /8 to /31"),
    Case("an address that is none", Kind.REFUSED, _with(_ADDRESS, 'address = "10.99.0.999/24"'), "network.address"),
    Case("the network's own address", Kind.REFUSED, _with(_ADDRESS, 'address = "10.99.0.0/24"'), "of the network"),
    Case("a gateway in another network", Kind.REFUSED, _with(_GATEWAY, 'gateway = "10.1.0.1"'), "must be another one"),
    Case("a network from which SSH may come that is none", Kind.REFUSED, _with(
        _FROM, 'ssh_from = ["10.98.0.2/8"]'), "must be a network such as"),
    Case("a key that is none", Kind.REFUSED, _with(r'^key = "[^"]*"', 'key = "maria"'), "must be one line of a .pub"),
    Case("a private key", Kind.REFUSED, _with(
        r'^key = "[^"]*"', 'key = "-----BEGIN OPENSSH PRIVATE KEY-----"'), "must be one line of a .pub"),
    Case("nobody who may change it", Kind.REFUSED, lambda text: text.replace("admin", "viewer").encode(), "is admin"),
)  # fmt: skip

CASES = (*CUTS, *FAILS, *REFUSED)
