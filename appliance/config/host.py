"""How the box itself is reached, kept in time and looked after: what is rendered for the system's own programs."""

from ipaddress import IPv4Address, IPv4Interface, ip_network
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from appliance.config.support import is_public_key
from appliance.config.texts import Host, Name, Section, shape

# IFNAMSIZ is 16 with its NUL (if.h); systemd takes a pattern there, we take a name.
InterfaceName = Annotated[str, shape(r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}$", "must be a network interface's name: eth0")]


def _check_network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise ValueError(f"must be a network such as 10.20.0.0/16: {error}") from error


class Network(Section):
    """The wired network. Without `address` the hospital's DHCP says all of it; with one nothing is asked of DHCP."""

    interface: InterfaceName | None = Field(default=None, description="left out: every wired one")
    address: IPv4Interface | None = Field(default=None, description="with the length of its network: 10.0.0.5/24")
    gateway: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = Field(default=(), max_length=4)
    search: tuple[Host, ...] = Field(default=(), max_length=6)

    @model_validator(mode="after")
    def _check_address(self) -> Self:
        if self.address is None:
            if self.gateway is not None:
                raise ValueError("gateway needs address: without one DHCP names the gateway")
            return self
        own = self.address
        if own.network.prefixlen == 32 or own.network.prefixlen < 8:
            raise ValueError(f"address needs the length of its network, from /8 to /31: {own.ip}/24")
        if own.ip.is_loopback or own.ip.is_multicast or own.ip.is_unspecified or own.ip.is_reserved:
            raise ValueError(f"address {own.ip} is none that a box can have")
        if own.network.prefixlen < 31 and own.ip in (own.network.network_address, own.network.broadcast_address):
            raise ValueError(f"address {own.ip} is that of the network {own.network} itself, or its broadcast address")
        if self.gateway is not None and (self.gateway not in own.network or self.gateway == own.ip):
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
