"""What stands when the boot has ended: nothing failed, root is verified, only what is meant to be open is."""

from __future__ import annotations

import json
import re
import tomllib

from tests.vm.frozen import Frozen
from tests.vm.machine import Machine

_OURS = ("appliance-console.service", "appliance-forward.service", "appliance-recover.service")


def test_ok__no_unit_failed(frozen: Frozen, guest: Machine) -> None:
    failed = guest.shell.run("systemctl list-units --failed --plain --no-legend")
    assert failed == "", failed + guest.shell.run("journalctl -b -p warning --no-pager | tail -60")
    assert frozen.state == "running"


def test_ok__our_units_are_ready(guest: Machine) -> None:
    for unit in _OURS:
        assert guest.shell.try_run(f"systemctl is-active {unit}").output == "active\n", unit
    # One sentence for people, from the process itself.
    assert guest.shell.run("systemctl show --property StatusText --value appliance-forward.service").strip()


def test_ok__root_is_read_only_and_verified(guest: Machine) -> None:
    mount = json.loads(guest.shell.run("findmnt --json --output FSTYPE,OPTIONS,SOURCE --mountpoint /"))["filesystems"][
        0
    ]
    assert mount["fstype"] == "erofs"
    assert mount["options"].split(",")[0] == "ro"
    assert "verity" in guest.shell.run("cat /sys/dev/block/$(stat -c %Hd:%Ld /)/dm/uuid").lower()
    assert guest.shell.try_run("touch /usr/changed /etc/changed").status != 0


def test_ok__the_data_partition_was_made_on_the_rest_of_the_disk(guest: Machine) -> None:
    mount = json.loads(guest.shell.run("findmnt --json --bytes --output FSTYPE,OPTIONS,SIZE --mountpoint /var"))
    (var,) = mount["filesystems"]
    assert var["fstype"] == "ext4"
    assert {"rw", "nosuid", "nodev", "noexec"} <= set(var["options"].split(","))
    assert int(var["size"]) > 2 << 30


def test_ok__only_what_is_configured_listens(guest: Machine) -> None:
    """Every TCP and UDP listener with its process; the panel's is loopback's alone."""
    lines = guest.shell.run("ss --tcp --udp --listening --numeric --no-header").split("\n")
    # `127.0.0.1%lo` is a listener that is bound to its interface too.
    found = {(line.split()[0], re.sub("%[^:]*", "", line.split()[4])) for line in lines if line}
    loopback = {one for one in found if one[1].startswith(("127.", "[::1]"))}
    # The client side of DHCP.
    ours = {one for one in found - loopback if not (one[0] == "udp" and one[1].endswith((":68", ":546")))}
    assert {address.rsplit(":", 1)[1] for _, address in ours} == {"22"}, found
    assert ("tcp", "127.0.0.1:8080") in loopback


def test_ok__the_firewall_is_closed_but_for_ssh(guest: Machine) -> None:
    listed = json.loads(guest.shell.run("nft --json list ruleset"))["nftables"]
    chains = {one["chain"]["name"]: one["chain"] for one in listed if "chain" in one}
    assert {name: chain.get("policy") for name, chain in chains.items()} == {
        "input": "drop",
        "forward": "drop",
        "ssh": None,
        "site": None,
    }
    rules = [one["rule"] for one in listed if "rule" in one]
    # What the configuration opens or narrows comes from below /run, and this one does neither.
    assert {rule["chain"] for rule in rules} == {"input"}
    ports = [str(part["match"]["right"]) for rule in rules for part in rule["expr"] if "dport" in str(part)]
    assert ports == ["68", "22", "22"]
    restored = guest.shell.run("systemctl show --property ActiveState --property Result appliance-restore.service")
    assert sorted(restored.split()) == ["ActiveState=active", "Result=success"]


def test_ok__the_papers_of_the_box_are_there(guest: Machine) -> None:
    """What `appliance conformance documents` wrote into the image: each as a page and as data."""
    place = "/usr/share/doc/modality-bridge"
    closed = f"find {place} /usr/share /usr/lib /etc -maxdepth 0 ! -perm -005; find {place} ! -perm -004"
    assert guest.shell.run(closed) == ""
    names = set(guest.shell.run(f"ls {place}").split())
    pages = {name for name in names if name.endswith(".html")}
    assert {"conformance-statement.html", "integration-statement.html", "mds2.html"} <= pages
    assert names == pages | {f"{name.removesuffix('.html')}.json" for name in pages} | {"profile-example.toml"}
    for name in sorted(pages):
        page = guest.shell.read_file(f"{place}/{name}").decode()
        assert page.startswith("<!DOCTYPE html>") and page.rstrip().endswith("</html>"), name
        assert json.loads(guest.shell.read_file(f"{place}/{name.removesuffix('.html')}.json"))
    assert tomllib.loads(guest.shell.read_file(f"{place}/profile-example.toml").decode())


def test_ok__nobody_may_log_in_by_password(guest: Machine) -> None:
    shadow = guest.shell.run("cut -d: -f1,2 /etc/shadow").split()
    assert [line for line in shadow if not line.split(":")[1].startswith(("*", "!"))] == []
    assert "\npasswordauthentication no\n" in guest.shell.run("/usr/sbin/sshd -T")


def test_ok__the_image_brings_no_key(guest: Machine) -> None:
    """Every box would have the same; this one made its own."""
    keys = guest.shell.run("find / -xdev -name 'ssh_host_*'; find /var/lib/ssh -name 'ssh_host_*'").split()
    assert sorted(keys) == ["/var/lib/ssh/ssh_host_ed25519_key", "/var/lib/ssh/ssh_host_ed25519_key.pub"]


def test_ok__the_software_is_there_for_people(guest: Machine) -> None:
    assert "usage: appliance" in guest.shell.run("appliance --help")


def test_ok__the_state_belongs_to_whom_the_units_say(guest: Machine) -> None:
    owners = guest.shell.run("stat --format '%U %G %a %n' /var/lib/appliance /var/lib/appliance/outbox").splitlines()
    assert owners == [
        "root appliance 750 /var/lib/appliance",
        "appliance-console appliance-forward 2770 /var/lib/appliance/outbox",
    ]
