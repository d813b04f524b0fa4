"""The rules of udev, read by udev, and tried on a device of the kernel that every machine has."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from appliance.devices.plugging.attached import Attached, Kind
from appliance.devices.plugging.rules import NamedBy, rule_from
from tests.systemd.box import NAMESPACE
from tests.systemd.identity import SYSTEMD, SYSUSERS, read_accounts, read_values

RULES = SYSTEMD.parent / "udev" / "70-appliance.rules"
_SITE = "69-appliance-site.rules"
_TTY = "/sys/devices/virtual/tty/tty"
_NULL = "/sys/devices/virtual/mem/null"
# In a mount namespace of its own: these rules alone, the box's users, and a /dev in which nothing can be spoilt.
_TRY = """
set -e
for file in passwd group; do mount --bind "$1/etc/$file" "/etc/$file"; done
mount -t tmpfs tmpfs /run
mount --bind "$1/rules" /usr/lib/udev/rules.d
if [ -d /etc/udev/rules.d ]; then mount -t tmpfs tmpfs /etc/udev/rules.d; fi
mount -t tmpfs tmpfs /dev
mknod -m 0666 /dev/null c 1 3
shift
exec "$@" 2>&1
"""


def _run_udevadm(directory: Path, rules: str, site_rule: str, *words: str) -> subprocess.CompletedProcess[str]:
    """What `udevadm WORDS` says where there are only `rules` and, before them, the site's rule."""
    (directory / "etc").mkdir()
    (directory / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (directory / "etc" / "group").write_text("root:x:0:\n")
    subprocess.run(["systemd-sysusers", f"--root={directory}", SYSUSERS], check=True, timeout=60, capture_output=True)
    (directory / "rules").mkdir()
    (directory / "rules" / RULES.name).write_text(rules)
    (directory / "rules" / _SITE).write_text(site_rule + "\n")
    command = [*NAMESPACE, "sh", "-c", _TRY, "sh", str(directory), "udevadm", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def _try_event(directory: Path, site_rule: str, action: str = "add", device: str = _NULL) -> str:
    """What udev says of an event of `device`; its node and its links are not touched outside of the namespace."""
    done = _run_udevadm(directory, RULES.read_text(), site_rule, "test", f"--action={action}", device)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Reading rules file: /usr/lib/udev/rules.d/{RULES.name}" in done.stdout
    return done.stdout


def _complaints(directory: Path, rules: str, site_rule: str = "") -> list[str]:
    """What udev has to say about the rules: by `verify` where it has it (254), else when it reads them for an event."""
    said = subprocess.run(["udevadm", "--version"], capture_output=True, text=True, check=True, timeout=60)
    words = ["verify"] if int(said.stdout) >= 254 else ["test", _NULL]
    done = _run_udevadm(directory, rules, site_rule, *words)
    assert re.search(rf"rules files have been checked|Reading rules file: .*{RULES.name}", done.stdout), done.stdout
    return re.findall(r"^/usr/lib/udev/rules.d/[^/ ]+\.rules(?:: |:[0-9]+ ).*", done.stdout, re.MULTILINE)


@pytest.mark.usefixtures("mounts")
def test_ok__udev_has_nothing_to_say_about_the_rules(tmp_path: Path) -> None:
    assert _complaints(tmp_path, RULES.read_text()) == []


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize(("right", "wrong"), [('OWNER="appliance-', 'OWNER="aplliance-'), ("TEST==", "TETS==")])
def test_fail__udev_tells_what_it_cannot_take(tmp_path: Path, right: str, wrong: str) -> None:
    assert right in RULES.read_text()
    assert _complaints(tmp_path, RULES.read_text().replace(right, wrong))


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("ultrasound", "SYSTEMD_WANTS=appliance-attach@ultrasound.service"),
        # Since release 257 `udevadm test` names the program and does not run it.
        ("c-arm", "/usr/bin/systemd-escape --template=appliance-attach@.service c-arm"),
    ],
)
def test_ok__what_the_site_named_has_its_node_its_owner_and_its_unit(tmp_path: Path, name: str, wanted: str) -> None:
    said = _try_event(tmp_path, f'KERNEL=="null", ENV{{APPLIANCE_NAME}}="{name}"')
    assert f"DEVLINKS=/dev/appliance/{name}\n" in said
    acquire = read_accounts().users["appliance-acquire"]
    for effect in (f"OWNER {acquire}", f"GROUP {acquire}", "MODE 0600"):
        assert re.search(rf"{RULES.name}:[0-9]+ {effect}\n", said), effect
    assert wanted in said
    assert "CURRENT_TAGS=:systemd:\n" in said


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize(
    ("site_rule", "action"),
    [("", "add"), ('KERNEL=="zero", ENV{APPLIANCE_NAME}="x"', "add"), ('ENV{APPLIANCE_NAME}="x"', "remove")],
)
def test_ok__what_nobody_named_and_what_goes_is_left_alone(tmp_path: Path, site_rule: str, action: str) -> None:
    said = _try_event(tmp_path, site_rule, action)
    assert "SYSTEMD_WANTS" not in said
    assert "/dev/appliance" not in said


@pytest.mark.usefixtures("mounts")
def test_ok__the_boxs_own_pins_are_acquires_and_want_no_unit(tmp_path: Path) -> None:
    """The rule for /dev/gpiochip0, told of a node that every machine has; also where somebody named it."""
    rules = RULES.read_text()
    assert 'SUBSYSTEM=="gpio", KERNEL=="gpiochip*"' in rules
    told = rules.replace('SUBSYSTEM=="gpio", KERNEL=="gpiochip*"', 'SUBSYSTEM=="mem", KERNEL=="null"')
    done = _run_udevadm(tmp_path, told, 'KERNEL=="null", ENV{APPLIANCE_NAME}="pins"', "test", "--action=add", _NULL)
    acquire = read_accounts().users["appliance-acquire"]
    for effect in (f"OWNER {acquire}", f"GROUP {acquire}", "MODE 0600"):
        assert re.search(rf"{RULES.name}:[0-9]+ {effect}\n", done.stdout), done.stdout
    assert "SYSTEMD_WANTS" not in done.stdout
    assert "/dev/appliance" not in done.stdout


@pytest.mark.usefixtures("mounts")
def test_ok__the_screens_light_is_the_kiosks_to_switch(tmp_path: Path) -> None:
    """The rule for /sys/class/backlight/*, told of a device that every machine has."""
    rules = RULES.read_text()
    assert 'SUBSYSTEM=="backlight"' in rules
    told = rules.replace('SUBSYSTEM=="backlight"', 'SUBSYSTEM=="mem"')
    done = _run_udevadm(tmp_path, told, "", "test", "--action=add", _NULL)
    for command in ("chgrp appliance-kiosk", "chmod g+w"):
        assert f"/usr/bin/{command} {_NULL}/bl_power" in done.stdout, done.stdout


_ADAPTER = Attached(
    Kind.SERIAL, "/dev/ttyUSB0", usb_id="0403:6001", serial="FT4X1ABC", port="pci-0-usb-0:2:1.0", interface="00"
)
# What udev's own rules find out of that adapter, told of a tty that every machine has.
_SAID = """KERNEL=="tty", ENV{{ID_BUS}}="usb", ENV{{ID_VENDOR_ID}}="0403", ENV{{ID_MODEL_ID}}="6001"
KERNEL=="tty", ENV{{ID_SERIAL_SHORT}}="{serial}", ENV{{ID_USB_INTERFACE_NUM}}="00", ENV{{ID_PATH}}="{port}"
"""


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("by", NamedBy)
def test_ok__udev_has_nothing_to_say_about_a_rule_that_adopt_writes(tmp_path: Path, kind: Kind, by: NamedBy) -> None:
    attached = Attached(
        kind, "/dev/x", usb_id="0403:6001", serial="A_b-1.:=+@", port="platform-xhci-hcd.0-usb-0:1.2:1.0",
        interface="00", part="0",
    )  # fmt: skip
    assert _complaints(tmp_path, RULES.read_text(), rule_from(attached, by, "c-arm")) == []


@pytest.mark.usefixtures("mounts")
def test_fail__udev_tells_of_a_rule_that_is_none(tmp_path: Path) -> None:
    wrong = rule_from(_ADAPTER, NamedBy.SERIAL, "ultrasound").replace("==", "=!", 1)
    assert _complaints(tmp_path, RULES.read_text(), wrong)


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize(
    ("by", "serial", "port", "is_named"),
    [
        (NamedBy.SERIAL, "FT4X1ABC", "pci-0-usb-0:9:1.0", True),
        (NamedBy.SERIAL, "FT4X1ABD", "pci-0-usb-0:2:1.0", False),
        (NamedBy.PORT, "FT4X1ABD", "pci-0-usb-0:2:1.0", True),
        (NamedBy.PORT, "FT4X1ABC", "pci-0-usb-0:9:1.0", False),
    ],
)
def test_ok__an_adopted_adapter_is_known_again_and_another_is_not(
    tmp_path: Path, by: NamedBy, serial: str, port: str, is_named: bool
) -> None:
    site = _SAID.format(serial=serial, port=port) + rule_from(_ADAPTER, by, "ultrasound")
    said = _try_event(tmp_path, site, device=_TTY)
    assert ("DEVLINKS=/dev/appliance/ultrasound\n" in said) == is_named
    assert ("SYSTEMD_WANTS=appliance-attach@ultrasound.service" in said) == is_named
    assert re.search(rf"{RULES.name}:[0-9]+ OWNER 0\n", said), "before it has a name it is root's alone"
    assert "ID_MM_PORT_IGNORE=1" in said


@pytest.mark.usefixtures("mounts")
def test_ok__a_line_that_only_triggers_is_acquires_and_wants_no_unit(tmp_path: Path) -> None:
    site = _SAID.format(serial="FT4X1ABC", port="p") + rule_from(_ADAPTER, NamedBy.SERIAL, "endoscope-trigger")
    said = _try_event(tmp_path, site, device=_TTY)
    assert "DEVLINKS=/dev/appliance/endoscope-trigger\n" in said and "SYSTEMD_WANTS" not in said
    assert re.search(rf"{RULES.name}:[0-9]+ OWNER {read_accounts().users['appliance-acquire']}\n", said)


@pytest.mark.usefixtures("mounts")
def test_ok__a_tty_that_is_no_adapter_stays_whose_it_was(tmp_path: Path) -> None:
    said = _try_event(tmp_path, "", device=_TTY)
    assert not re.search(rf"{RULES.name}:[0-9]+ (OWNER|GROUP|MODE) ", said)
    assert "ID_MM_PORT_IGNORE" not in said


def test_ok__the_unit_whose_name_udev_escaped_is_bound_to_the_node_that_udev_named() -> None:
    """A name may have hyphens (config.texts.Name)."""
    (bound,) = read_values("appliance-acquire@.service", "BindsTo")
    for name in ("ultrasound", "c-arm", "x--1"):
        unit = _answer("systemd-escape", "--template=appliance-acquire@.service", name)
        escaped = unit.removeprefix("appliance-acquire@").removesuffix(".service")
        device = _answer("systemd-escape", "--path", "--suffix=device", f"/dev/appliance/{name}")
        assert bound.replace("%i", escaped) == device
        assert _answer("systemd-escape", "--unescape", escaped) == name
        assert "-" in name or escaped == name


def _answer(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
