"""What the system's own programs are told of the configuration: files below /run, made anew at every boot.

Nothing of it lasts, so nothing of it can be left behind: the configuration alone says what lies there. Pure; `loading`
writes and loads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import PurePosixPath

from appliance.config.host import Firewall, Network
from appliance.config.schema import Configuration, LogCollector, Tls
from appliance.config.support import SupportRole, authorized_line

Files = Mapping[str, str]
"""Path below the root (`run/systemd/…`) → text."""

DAEMON_RELOAD = ("systemctl", "daemon-reload")
_RUN = PurePosixPath("/run/appliance")
_HEAD = "# Made of the box's configuration: change it there (appliance config set).\n"
NETWORK = "run/systemd/network/10-appliance.network"
FIREWALL = "run/appliance/apply/firewall.nft"
KEYS = "run/appliance/ssh/authorized_keys"
TIME = "run/chrony-dhcp/appliance.sources"
LOGS = "run/systemd/system/appliance-logs.service.d/50-collector.conf"
FORWARD = "run/systemd/system/appliance-forward.service.d/50-listener.conf"


@dataclass(frozen=True, slots=True)
class Part:
    """What one program reads: its files, and the commands that have it read them anew."""

    name: str
    files: tuple[str, ...]
    reload: tuple[tuple[str, ...], ...]


PARTS = (
    Part("SSH keys", (KEYS,), ()),
    Part("units", (FORWARD,), (DAEMON_RELOAD,)),
    Part("log collector", (LOGS,), (DAEMON_RELOAD, ("systemctl", "--no-block", "restart", "appliance-logs.service"))),
    Part("firewall", (FIREWALL,), (("systemctl", "reload-or-restart", "nftables.service"),)),
    Part("time servers", (TIME,), (("systemctl", "try-restart", "chrony.service"),)),
    Part("network", (NETWORK,), (("networkctl", "reload"),)),
)
"""In this order they are loaded; the network last, so that all else stands when the line changes."""


def render(configuration: Configuration) -> Files:
    """Every file, also those that say nothing but that it is so; a network or time that nobody configured has none."""
    files = {KEYS: _keys(configuration), FIREWALL: _firewall(configuration)}
    if configuration.network is not None:
        files[NETWORK] = _network(configuration.network)
    if configuration.time is not None:
        files[TIME] = _HEAD + "".join(f"server {name} iburst\n" for name in configuration.time.servers)
    if configuration.logs is not None and configuration.tls is not None:
        files[LOGS] = _logs(configuration.logs, configuration.tls)
    if any(port < 1024 for port in _ports(configuration)):
        files[FORWARD] = (
            f"{_HEAD}# A port below 1024 takes a capability, and with it no user namespace (capabilities(7)).\n"
            "[Service]\nPrivateUsers=no\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n"
            "CapabilityBoundingSet=CAP_NET_BIND_SERVICE\n"
        )
    return files


def _keys(configuration: Configuration) -> str:
    lines = [authorized_line(one.name, SupportRole(one.role), one.key) for one in configuration.support_keys]
    return _HEAD + "".join(f"{line}\n" for line in lines)


def _network(network: Network) -> str:
    """systemd.network(5)."""
    match = f"Name={network.interface}" if network.interface else "Type=ether"
    lines = ["[Match]", match, "", "[Network]", "LLMNR=no", "MulticastDNS=no"]
    lines += [f"DNS={server}" for server in network.dns]
    lines += [f"Domains={' '.join(network.search)}"] if network.search else []
    if network.address is None:
        lines.append("DHCP=yes")
    else:
        lines += ["DHCP=no", f"Address={network.address}"]
        # Routers would give it further addresses, and have it ask DHCP.
        lines += ["IPv6AcceptRA=no"] if network.address.version == 6 else []
        lines += [f"Gateway={network.gateway}"] if network.gateway else []
    return _HEAD + "\n".join(lines) + "\n"


def _logs(collector: LogCollector, tls: Tls) -> str:
    """The drop-in without which the unit does not run. Its user cannot read the files: systemd hands it copies."""
    host = f"[{collector.host}]" if ":" in collector.host else collector.host
    lines = ["[Service]", f"Environment=COLLECTOR=https://{host}:{collector.port}"]
    files = (("certificate", tls.certificate), ("key", tls.key), ("authorities", tls.authorities))
    # A percent sign would stand for something else (systemd.unit(5), Specifiers).
    lines += [f"LoadCredential={name}:{str(_RUN / path).replace('%', '%%')}" for name, path in files]
    return _HEAD + "".join(f"{line}\n" for line in lines)


def _firewall(configuration: Configuration) -> str:
    """Fills the two chains that the system's own rules (/etc/nftables.conf) jump to; what they lack stays closed."""
    ports = ", ".join(map(str, _ports(configuration)))
    site = [f"add rule inet filter site tcp dport {{ {ports} }} accept"] if ports else []
    return _HEAD + "".join(f"{rule}\n" for rule in (*_ssh_rules(configuration.firewall), *site))


def _ssh_rules(firewall: Firewall) -> list[str]:
    if not firewall.ssh_from:
        return []
    rules = []
    for family, mark in (("ip", "."), ("ip6", ":")):
        networks = ", ".join(one for one in firewall.ssh_from if mark in one)
        if networks:
            rules.append(f"add rule inet filter ssh {family} saddr {{ {networks} }} accept")
    return [*rules, "add rule inet filter ssh drop"]


def _ports(configuration: Configuration) -> list[int]:
    """Where the hospital's reports arrive, and where its Prometheus asks; none of what is for this box alone."""
    listener, metrics = configuration.listener, configuration.metrics
    wanted = [] if is_loopback(listener.host) else [listener.port, listener.tls_port]
    wanted += [metrics.port] if metrics is not None and not is_loopback(metrics.host) else []
    return sorted({port for port in wanted if port is not None})


def is_loopback(host: str) -> bool:
    """Whether nobody but this box itself can be at, or reach, `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
