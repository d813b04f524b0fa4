"""How the box itself is reached, kept in time and looked after: what is rendered for the system's own programs."""

from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_network
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from appliance.config.support import is_public_key
from appliance.config.texts import Host, Name, Section, shape

# IFNAMSIZ is 16 with its NUL (if.h); systemd takes a pattern there, we take a name.
InterfaceName = Annotated[str, shape(r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}$", "must be a network interface's name: eth0")]


def _interface_from(text: object) -> IPv4Interface | IPv6Interface:
    if not isinstance(text, str):
        raise ValueError("must be a text: 10.0.0.5/24")
    return IPv6Interface(text) if ":" in text else IPv4Interface(text)


def _address_from(text: object) -> IPv4Address | IPv6Address:
    if not isinstance(text, str):
        raise ValueError("must be a text: 10.0.0.1")
    return IPv6Address(text) if ":" in text else IPv4Address(text)


# One kind for both families: of a union each member's complaint would be told.
_Interface = Annotated[
    IPv4Interface | IPv6Interface,
    PlainValidator(_interface_from),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "format": "ipinterface"}),
]
_Address = Annotated[
    IPv4Address | IPv6Address,
    PlainValidator(_address_from),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "format": "ip"}),
]


def _check_network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise ValueError(f"must be a network such as 10.20.0.0/16: {error}") from error


class Network(Section):
    """The wired network. Without `address` the hospital's DHCP says all of it; with one nothing is asked of DHCP."""

    interface: InterfaceName | None = Field(default=None, description="left out: every wired one")
    address: _Interface | None = Field(
        default=None, description="with the length of its network: 10.0.0.5/24, 2001:db8::5/64"
    )
    gateway: _Address | None = None
    dns: tuple[_Address, ...] = Field(default=(), max_length=4)
    search: tuple[Host, ...] = Field(default=(), max_length=6)

    @model_validator(mode="after")
    def _check_address(self) -> Self:
        if self.address is None:
            if self.gateway is not None:
                raise ValueError("gateway needs address: without one DHCP names the gateway")
            return self
        own = self.address
        longest = own.max_prefixlen
        if own.network.prefixlen == longest or own.network.prefixlen < 8:
            example = "24" if own.version == 4 else "64"
            raise ValueError(f"address needs the length of its network, from /8 to /{longest - 1}: {own.ip}/{example}")
        if own.ip.is_loopback or own.ip.is_multicast or own.ip.is_unspecified or own.ip.is_reserved:
            raise ValueError(f"address {own.ip} is none that a box can have")
        # Of IPv6 the first address of a network is its routers' (RFC 4291 2.6.1), and there is no broadcast.
        ends = (own.network.network_address, own.network.broadcast_address)[: 2 if own.version == 4 else 1]
        if own.network.prefixlen < longest - 1 and own.ip in ends:
            raise ValueError(f"address {own.ip} is that of the network {own.network} itself, or its broadcast address")
        is_near = self.gateway is not None and (
            self.gateway in own.network or (self.gateway.version == 6 and self.gateway.is_link_local)
        )
        if self.gateway is not None and (not is_near or self.gateway == own.ip):
            raise ValueError(f"gateway {self.gateway} must be another one of {own.network}")
        return self


class Time(Section):
    """The hospital's time servers (NTP). Without this section those are asked that DHCP names, and Debian's pool."""

    servers: tuple[Host, ...] = Field(min_length=1, max_length=8)


class Firewall(Section):
    """Who may reach the box. What reports commitments may always reach the listener's ports."""

    ssh_from: tuple[Annotated[str, AfterValidator(_check_network)], ...] = Field(
        default=(), max_length=32, description="networks from which support may log in; empty: from everywhere"
    )


class SupportKey(Section):
    """Who may log in as support, with which key and role."""

    name: Name
    role: Literal["viewer", "operator", "admin"]
    key: str = Field(max_length=4096)

    @field_validator("key")
    @classmethod
    def _check_key(cls, key: str) -> str:
        if not is_public_key(key):
            raise ValueError("must be one line of a .pub file: ssh-ed25519 AAAA…")
        return key
