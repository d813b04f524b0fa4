"""The least that makes a new box work, as it is typed on the panel: address, station, one worklist, one archive.

Each field is held to what the schema demands of its key, and to what only a person who types it gets wrong; what is
wrong is told by a word, of which the page has the sentence in its language. The text that comes of it is the box's own
with these keys in it, so that what the image brought (support's keys, the firewall) stays.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_interface
from typing import Any

from pydantic import TypeAdapter, ValidationError

from appliance.base.errors import ApplianceError
from appliance.config.editing import text_with
from appliance.config.host import Network
from appliance.config.texts import AETitle, BoxName

_NAME: TypeAdapter[str] = TypeAdapter(BoxName)
_TITLE: TypeAdapter[str] = TypeAdapter(AETitle)
# RFC 1123 2.1; what consists of digits and dots is an address, or mistyped.
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9-]{1,63})*")
_LONGEST = 253
_MOST_DNS = 4
_PEERS = ("worklist", "destination")
FIELDS = (
    *("name", "ae_title", "address", "gateway", "dns"),
    *(f"{peer}_{what}" for peer in _PEERS for what in ("host", "port", "ae_title")),
)
"""What is typed; beside it stand `is_fixed` (the address is, instead of by DHCP) and `has_commitment`."""


@dataclass(frozen=True, slots=True)
class Typed:
    """The form: each of FIELDS as text without blanks around it, and the two choices."""

    texts: Mapping[str, str]
    is_fixed: bool
    has_commitment: bool

    def __getitem__(self, field: str) -> str:
        return self.texts[field]

    @property
    def dns(self) -> list[str]:
        return [one for one in re.split(r"[\s,;]+", self["dns"]) if one]


def typed_from(body: Mapping[str, Any]) -> Typed:
    """The form out of a request. ApplianceError where it is none."""
    texts = {field: body.get(field, "") for field in FIELDS}
    choices = [body.get(name, False) for name in ("is_fixed", "has_commitment")]
    is_form = all(isinstance(one, str) and len(one) <= _LONGEST for one in texts.values())
    if not is_form or not all(isinstance(one, bool) for one in choices):
        raise ApplianceError("The request is not the form of the set-up.")
    return Typed({field: one.strip() for field, one in texts.items()}, *choices)


def problems_of(typed: Typed) -> dict[str, str]:
    """Field → what is wrong with it, one of the words of the catalogue's `wrong_…`; nothing where all is well."""
    found = {
        "name": "" if _fits(_NAME, typed["name"]) else "name",
        "ae_title": "" if _fits(_TITLE, typed["ae_title"]) else "ae_title",
        **(_network_problems(typed) if typed.is_fixed else {}),
    }
    for peer in _PEERS:
        found[f"{peer}_host"] = _host_problem(typed[f"{peer}_host"], typed)
        found[f"{peer}_port"] = "" if _port_from(typed[f"{peer}_port"]) else "port"
        found[f"{peer}_ae_title"] = "" if _fits(_TITLE, typed[f"{peer}_ae_title"]) else "ae_title"
    is_needed = {field for field in found if field not in ("gateway", "dns")}
    missing = {field: "missing" for field in is_needed if not typed[field]}
    return {field: word for field, word in {**found, **missing}.items() if word}


def text_from(typed: Typed, before: str) -> str:
    """The box's configuration `before` with what was typed, which has no problems. ApplianceError: it is no TOML."""
    wanted: dict[str, Any] = {"box.name": typed["name"], "box.ae_title": typed["ae_title"]}
    network = {
        "address": typed["address"] if typed.is_fixed else None,
        "gateway": (typed["gateway"] if typed.is_fixed else "") or None,
        "dns": (typed.dns if typed.is_fixed else []) or None,
    }
    wanted |= {f"network.{key}": value for key, value in network.items()}
    if typed.has_commitment:
        # Its reports come on connections of the archive's own.
        is_ipv6 = typed.is_fixed and ":" in typed["address"]
        wanted["listener.host"] = "::" if is_ipv6 else "0.0.0.0"
    for peer, section, name in (("worklist", "worklist[0]", "ris"), ("destination", "destinations[0]", "archive")):
        wanted |= {
            f"{section}.name": name,
            f"{section}.ae_title": typed[f"{peer}_ae_title"],
            f"{section}.host": typed[f"{peer}_host"],
            f"{section}.port": _port_from(typed[f"{peer}_port"]),
        }
    wanted["destinations[0].commitment"] = typed.has_commitment
    text = before
    for key, value in wanted.items():
        if value is not None or _is_set(text, key):
            text = text_with(text, key, value)
    return text


def _is_set(text: str, key: str) -> bool:
    section, _, name = key.partition(".")
    try:
        inside = tomllib.loads(text).get(section)
    except (tomllib.TOMLDecodeError, RecursionError):
        return False
    return isinstance(inside, dict) and name in inside


def _fits(adapter: TypeAdapter[str], text: str) -> bool:
    try:
        adapter.validate_python(text)
    except ValidationError:
        return False
    return True


def _port_from(text: str) -> int:
    """0 for what is none."""
    return int(text) if re.fullmatch(r"[0-9]{1,5}", text) and 1 <= int(text) <= 65535 else 0


def _host_problem(host: str, typed: Typed) -> str:
    try:
        address = ip_address(host)
    except ValueError:
        if re.fullmatch(r"[0-9.]+", host) or not _HOST_NAME.fullmatch(host):
            return "host"
        return "host_without_dns" if typed.is_fixed and not typed.dns else ""
    if address.is_unspecified or address.is_multicast:
        return "host"
    return "host_is_box" if typed.is_fixed and _own_from(typed["address"]) == str(address) else ""


def _own_from(text: str) -> str:
    try:
        return str(ip_interface(text).ip)
    except ValueError:
        return ""


def _network_problems(typed: Typed) -> dict[str, str]:
    """Of the address with its network, of the gateway in it, of the name servers."""
    is_address = _is_network({"address": typed["address"]})
    gateway = {"address": typed["address"], "gateway": typed["gateway"]}
    is_gateway = not typed["gateway"] or (_is_network(gateway) if is_address else _is_address(typed["gateway"]))
    is_dns = len(typed.dns) <= _MOST_DNS and all(map(_is_address, typed.dns))
    return {
        "address": "" if is_address else "address",
        "gateway": "" if is_gateway else "gateway",
        "dns": "" if is_dns else "dns",
    }


def _is_network(keys: Mapping[str, str]) -> bool:
    try:
        return Network.model_validate(keys).address is not None
    except ValidationError:
        return False


def _is_address(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    # A zone names an interface (RFC 4007), which is no part of an address that is kept.
    return isinstance(address, IPv4Address) or address.scope_id is None
