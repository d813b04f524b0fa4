"""What the system's own programs are told, line by line; and what is loaded when, and in which order."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from appliance.base.errors import ApplianceError
from appliance.config.load import ConfigurationError, configuration_from
from appliance.config.loading import System, run_command
from appliance.config.render import FIREWALL, FORWARD, KEYS, LOGS, NETWORK, PARTS, TIME, render
from appliance.config.restarts import restarts_between
from appliance.config.schema import Configuration

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUvdjTnTpPLBRrxqkEgCjMdLhnRfTMd2ZK6CIwnrb0l maria@desk"
STATIC = '[network]\naddress = "10.0.0.5/24"\ngateway = "10.0.0.1"\ndns = ["10.0.0.2"]\nsearch = ["h.example"]\n'
_ROOT = Path(__file__).parents[2]


def _read(text: str) -> Configuration:
    return configuration_from(text.encode(), Path("site.toml"))


def _lines(text: str, file: str) -> list[str]:
    head, *lines = render(_read(text))[file].splitlines()
    assert head.startswith("# Made of the box's configuration")
    return lines


def test_ok__an_address_that_the_site_gives() -> None:
    assert _lines(STATIC + 'interface = "eth0"\n', NETWORK) == [
        "[Match]",
        "Name=eth0",
        "",
        "[Network]",
        "LLMNR=no",
        "MulticastDNS=no",
        "DNS=10.0.0.2",
        "Domains=h.example",
        "DHCP=no",
        "Address=10.0.0.5/24",
        "Gateway=10.0.0.1",
    ]


def test_ok__an_address_of_ipv6_and_routers_that_add_nothing_to_it() -> None:
    text = '[network]\naddress = "2001:db8::5/64"\ngateway = "fe80::1"\ndns = ["2001:db8::2", "10.0.0.2"]\n'
    assert _lines(text, NETWORK)[-6:] == [
        *("DNS=2001:db8::2", "DNS=10.0.0.2", "DHCP=no", "Address=2001:db8::5/64", "IPv6AcceptRA=no", "Gateway=fe80::1"),
    ]


def test_ok__an_address_from_the_hospital_and_a_name_server_besides() -> None:
    lines = _lines('[network]\ndns = ["10.0.0.2"]\n', NETWORK)
    assert lines[:2] == ["[Match]", "Type=ether"] and lines[-2:] == ["DNS=10.0.0.2", "DHCP=yes"]


def test_ok__what_nobody_configured_is_left_to_the_image() -> None:
    assert set(render(Configuration())) == {KEYS, FIREWALL}
    assert _lines("", KEYS) == [] and _lines("", FIREWALL) == []


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ('[listener]\nhost = "0.0.0.0"\n', ["add rule inet filter site tcp dport { 11119 } accept"]),
        ('[listener]\nhost = "localhost"\n', []),
        ('[listener]\nhost = "::1"\n', []),
        ("[metrics]\n", []),
        (
            '[listener]\nhost = "10.0.0.5"\ntls_port = 2762\n[metrics]\nhost = "0.0.0.0"\n'
            '[tls]\ncertificate = "a"\nkey = "b"\nauthorities = "c"\n',
            ["add rule inet filter site tcp dport { 2762, 9464, 11119 } accept"],
        ),
        (
            '[firewall]\nssh_from = ["10.1.0.0/16", "10.2.3.4/32", "fd00::/8"]\n',
            [
                "add rule inet filter ssh ip saddr { 10.1.0.0/16, 10.2.3.4/32 } accept",
                "add rule inet filter ssh ip6 saddr { fd00::/8 } accept",
                "add rule inet filter ssh drop",
            ],
        ),
    ],
)
def test_ok__the_firewall_opens_what_the_configuration_needs(text: str, rules: list[str]) -> None:
    assert _lines(text, FIREWALL) == rules


def test_ok__nftables_takes_the_rules(tmp_path: Path) -> None:
    """The system's file with ours, by nft itself (which looks without loading: it needs no right for that)."""
    rules = tmp_path / "site.nft"
    rules.write_text(
        render(_read('[listener]\nhost = "0.0.0.0"\n[firewall]\nssh_from = ["10.1.0.0/16", "fd00::/8"]\n'))[FIREWALL]
    )
    system = (_ROOT / "image/mkosi.extra/etc/nftables.conf").read_text()
    assert 'include "/run/appliance/apply/*.nft"' in system and FIREWALL.startswith("run/appliance/apply/")
    file = tmp_path / "nftables.conf"
    file.write_text(system.replace("/run/appliance/apply/", f"{tmp_path}/"))
    command = ["unshare", "--user", "--map-root-user", "--net", "/usr/sbin/nft", "--check", "--file", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "unshare" in done.stderr:
        pytest.skip(f"NOT PROVEN on this machine, which lets nobody have a network of his own: {done.stderr.strip()}")
    assert (done.returncode, done.stderr) == (0, "")


def test_ok__keys_stand_with_their_role() -> None:
    keys = f'[[support_keys]]\nname = "maria"\nrole = "admin"\nkey = "{KEY}"\n'
    (line,) = _lines(keys, KEYS)
    assert line.startswith("restrict,") and line.endswith(KEY) and "--role admin --who maria" in line


def test_ok__time_servers_and_ports_below_1024() -> None:
    assert _lines('[time]\nservers = ["a.example", "10.0.0.9"]\n', TIME) == [
        "server a.example iburst",
        "server 10.0.0.9 iburst",
    ]
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in _lines('[listener]\nhost = "0.0.0.0"\nport = 104\n', FORWARD)
    assert FORWARD not in render(_read('[listener]\nhost = "127.0.0.1"\nport = 1104\n'))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[network]\naddress = "10.0.0.5"\n', "needs the length of its network"),
        ('[network]\naddress = "10.0.0.0/24"\n', "is that of the network 10.0.0.0/24 itself"),
        ('[network]\naddress = "10.0.0.255/24"\n', "its broadcast address"),
        ('[network]\naddress = "2001:db8::5"\n', "from /8 to /127: 2001:db8::5/64"),
        ('[network]\naddress = "2001:db8::/64"\n', "is that of the network 2001:db8::/64 itself"),
        ('[network]\naddress = "2001:db8::g/64"\n', "Only hex digits permitted in 'g'"),
        ('[network]\naddress = "2001:db8::5/64"\ngateway = "10.0.0.1"\n', "gateway 10.0.0.1 must be another one of"),
        ("[network]\naddress = 7\n", "network.address: must be a text"),
        ('[network]\naddress = "127.0.0.1/8"\n', "is none that a box can have"),
        ('[network]\naddress = "224.0.0.5/24"\n', "is none that a box can have"),
        ('[network]\naddress = "10.0.0.500/24"\n', "Octet 500 (> 255) not permitted"),
        ('[network]\naddress = "10.0.0.5/24"\ngateway = "10.0.1.1"\n', "gateway 10.0.1.1 must be another one of"),
        ('[network]\naddress = "10.0.0.5/24"\ngateway = "10.0.0.5"\n', "must be another one of"),
        ('[network]\ngateway = "10.0.0.1"\n', "gateway needs address"),
        ('[network]\ninterface = "eth 0"\n', "must be a network interface's name"),
        ('[network]\ninterface = "eth0\\n[Network]"\n', "must be a network interface's name"),
        ("[time]\nservers = []\n", "at least 1 item"),
        ('[time]\nservers = ["a\\nallow all"]\n', "must be a host's name or address"),
        (
            '[firewall]\nssh_from = ["10.0.0.5/8"]\n',
            "firewall.ssh_from[0]: must be a network such as 10.20.0.0/16: 10.0.0.5/8 has host bits",
        ),
        ('[[support_keys]]\nname = "a"\nrole = "admin"\nkey = "ssh-ed25519 short"\n', "must be one line of a .pub"),
        (f'[[support_keys]]\nname = "a"\nrole = "admin"\nkey = "{KEY}\\n{KEY}"\n', "must be one line of a .pub"),
        (f'[[support_keys]]\nname = "a"\nrole = "root"\nkey = "{KEY}"\n', "should be 'viewer', 'operator' or 'admin'"),
        (f'[[support_keys]]\nname = "a"\nrole = "viewer"\nkey = "{KEY}"\n', "nobody is admin"),
    ],
)
def test_fail__what_would_cut_the_box_off_for_certain(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        _read(text)
    assert said in str(refused.value)


# -- loading


class Told:
    """Runs nothing; `failing` words make a command fail."""

    def __init__(self, *failing: str) -> None:
        self.commands: list[str] = []
        self.failing = failing

    def __call__(self, command: Sequence[str], seconds: float) -> None:
        assert seconds > 0
        self.commands.append(" ".join(command))
        if any(word in self.commands[-1] for word in self.failing):
            raise ApplianceError(f"{command[-1]} fails.")


def _load(root: Path, before: str, after: str, told: Told) -> None:
    old, new = _read(before), _read(after)
    System(root, told).load(old, new, restarts_between(old, new))


DEVICE = '[[devices]]\nname = "us"\ndriver = "xmodem"\nmodality = "US"\nline = "/dev/appliance/us"\n'


def test_ok__only_what_changed_is_loaded_and_the_network_comes_last(tmp_path: Path) -> None:
    told = Told()
    _load(tmp_path, "", STATIC + '[listener]\nhost = "0.0.0.0"\nport = 104\n[time]\nservers = ["t"]\n', told)
    assert told.commands == [
        "systemctl daemon-reload",
        "systemctl reload-or-restart nftables.service",
        "systemctl try-restart chrony.service",
        "networkctl reload",
        "systemctl restart appliance-forward.service",
    ]
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == {
        *(KEYS, FIREWALL, NETWORK, TIME, FORWARD)
    }
    assert (tmp_path / NETWORK).stat().st_mode & 0o777 == 0o644


def test_ok__going_back_takes_away_what_came(tmp_path: Path) -> None:
    _load(tmp_path, "", STATIC, Told())
    told = Told()
    _load(tmp_path, STATIC, "", told)
    assert told.commands == ["networkctl reload"]
    assert not (tmp_path / NETWORK).exists()
    told = Told()
    _load(tmp_path, "", "", told)
    assert told.commands == []


def test_ok__a_device_that_comes_stays_and_goes(tmp_path: Path) -> None:
    for before, after, command in (
        ("", DEVICE, "systemctl start --no-block appliance-acquire@us.service"),
        (DEVICE, DEVICE.replace("US", "ES"), "systemctl try-restart appliance-acquire@us.service"),
        (DEVICE, "", "systemctl stop appliance-acquire@us.service"),
    ):
        told = Told()
        _load(tmp_path, before, after, told)
        services = "systemctl restart appliance-forward.service appliance-console.service"
        assert [one for one in told.commands if "nftables" not in one] == [command, services]


def test_fail__whatever_fails_the_rest_is_loaded_and_all_is_told(tmp_path: Path) -> None:
    told = Told("nftables", "appliance-forward")
    with pytest.raises(ApplianceError) as refused:
        _load(tmp_path, "", STATIC + '[listener]\nhost = "0.0.0.0"\n', told)
    assert refused.value.sentence == "nftables.service fails. appliance-forward.service fails."
    assert "networkctl reload" in told.commands


def test_fail__the_flash_takes_nothing(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(ApplianceError, match="cannot be written"):
        _load(tmp_path, "", STATIC, Told())


TLS = '[tls]\ncertificate = "/etc/appliance/tls/box.crt"\nkey = "tls/box.key"\nauthorities = "/etc/ca.crt"\n'


def test_ok__a_collector_of_what_is_logged_comes_and_goes(tmp_path: Path) -> None:
    logs = TLS + '[logs]\nhost = "logs.h.example"\n'
    assert _lines(logs, LOGS) == [
        "[Service]",
        "Environment=COLLECTOR=https://logs.h.example:19532",
        "LoadCredential=certificate:/etc/appliance/tls/box.crt",
        "LoadCredential=key:/run/appliance/tls/box.key",
        "LoadCredential=authorities:/etc/ca.crt",
    ]
    reload = ["systemctl daemon-reload", "systemctl --no-block restart appliance-logs.service"]
    told = Told()
    _load(tmp_path, TLS, logs, told)
    assert [one for one in told.commands if "nftables" not in one] == reload
    told = Told()
    _load(tmp_path, logs, TLS, told)
    assert told.commands == reload and not (tmp_path / LOGS).exists()


def test_fail__a_collector_without_the_boxs_certificate() -> None:
    with pytest.raises(ConfigurationError, match=r"logs: needs the box's own certificate: \[tls\] is missing"):
        _read('[logs]\nhost = "logs.h.example"\n')


@pytest.mark.parametrize("path", ["/etc/x\\nUser=root", "/etc/x\\u2028"])
def test_fail__a_path_that_would_be_more_than_one_line_of_a_unit(path: str) -> None:
    with pytest.raises(ConfigurationError, match=r"tls.certificate: must be a path on one line"):
        _read(TLS.replace("/etc/appliance/tls/box.crt", path))


def test_ok__at_boot_everything_is_rendered_and_units_alone_are_read_anew(tmp_path: Path) -> None:
    told = Told()
    System(tmp_path, told).boot(_read(STATIC + '[listener]\nhost = "0.0.0.0"\nport = 104\n'))
    assert told.commands == ["systemctl daemon-reload"]
    assert (tmp_path / NETWORK).is_file() and (tmp_path / FIREWALL).is_file()


def test_ok__every_file_belongs_to_one_part() -> None:
    files = [name for part in PARTS for name in part.files]
    assert sorted(files) == sorted({KEYS, FIREWALL, NETWORK, TIME, FORWARD, LOGS})


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["/bin/sh", "-c", "echo all is lost >&2; exit 3"], "failed: all is lost."),
        (["/bin/false"], "failed: status 1."),
        (["/nowhere/at/all"], "/nowhere/at/all cannot be run: No such file or directory."),
        (["/bin/sleep", "60"], "did not end in 0 s."),
    ],
)
def test_fail__a_command_that_fails_is_told(command: list[str], said: str) -> None:
    with pytest.raises(ApplianceError) as refused:
        run_command(command, 0.2 if "sleep" in command[0] else 30.0)
    assert refused.value.sentence.endswith(said)
