"""What is plugged in, as udev tells it, and the rules that name it: whatever a device says of itself."""

from __future__ import annotations

import re
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.base.errors import ApplianceError
from appliance.devices.plugging.adopted import AdoptedDevices
from appliance.devices.plugging.attached import Attached, Kind, attached_from
from appliance.devices.plugging.rules import NamedBy, choose_way, has_name_by, keys_of, rule_from

_TTY = {
    "SUBSYSTEM": "tty",
    "DEVNAME": "/dev/ttyUSB0",
    "DEVLINKS": "/dev/serial/by-path/b /dev/serial/by-id/a",
    "ID_BUS": "usb",
    "ID_VENDOR_ID": "0403",
    "ID_MODEL_ID": "6001",
    "ID_VENDOR_ENC": "Future\\x20Technology",
    "ID_MODEL_ENC": "FT232R\\x20USB\\x20UART",
    "ID_SERIAL_SHORT": "FT4X1ABC",
    "ID_USB_INTERFACE_NUM": "00",
    "ID_PATH": "pci-0000:00:14.0-usb-0:2:1.0",
}
_ADAPTER = Attached(
    kind=Kind.SERIAL,
    node="/dev/ttyUSB0",
    links=("/dev/serial/by-id/a", "/dev/serial/by-path/b"),
    usb_id="0403:6001",
    vendor="Future Technology",
    model="FT232R USB UART",
    serial="FT4X1ABC",
    port="pci-0000:00:14.0-usb-0:2:1.0",
    interface="00",
    part="0",
    driver="ftdi_sio",
)


def test_ok__a_serial_adapter() -> None:
    assert attached_from(_TTY, {"port_number": "0", "driver": "ftdi_sio"}) == _ADAPTER
    assert _ADAPTER.words == "Future Technology FT232R USB UART"


@pytest.mark.parametrize(
    ("properties", "attributes", "kind"),
    [
        ({"SUBSYSTEM": "video4linux", "DEVNAME": "/dev/video0", "ID_V4L_CAPABILITIES": ":capture:"}, {}, Kind.VIDEO),
        ({"SUBSYSTEM": "video4linux", "DEVNAME": "/dev/video1", "ID_V4L_CAPABILITIES": ":"}, {}, None),
        ({"SUBSYSTEM": "video4linux", "DEVNAME": "/dev/vbi0", "ID_V4L_CAPABILITIES": ":capture:"}, {}, None),
        ({"SUBSYSTEM": "tty", "DEVNAME": "/dev/ttyS0"}, {"type": "4"}, Kind.SERIAL),
        ({"SUBSYSTEM": "tty", "DEVNAME": "/dev/ttyS9"}, {"type": "0"}, None),
        ({"SUBSYSTEM": "tty", "DEVNAME": "/dev/tty1"}, {}, None),
        ({"SUBSYSTEM": "usb", "DEVNAME": "/dev/bus/usb/001/002", "DEVTYPE": "usb_device"}, {}, None),
        (
            {"SUBSYSTEM": "usb", "DEVNAME": "/dev/bus/usb/001/002", "DEVTYPE": "usb_device", "libsane_matched": "yes"},
            {},
            Kind.SCANNER,
        ),
        ({"SUBSYSTEM": "usb", "DEVTYPE": "usb_interface", "libsane_matched": "yes"}, {}, None),
        (
            {"SUBSYSTEM": "input", "DEVNAME": "/dev/input/event3", "ID_BUS": "usb", "ID_INPUT_KEYBOARD": "1"},
            {},
            Kind.INPUT,
        ),
        ({"SUBSYSTEM": "input", "DEVNAME": "/dev/input/event0", "ID_INPUT_KEY": "1"}, {}, None),  # the power button
        (
            {
                "SUBSYSTEM": "input",
                "DEVNAME": "/dev/input/event4",
                "ID_BUS": "usb",
                "ID_INPUT_KEY": "1",
                "ID_INPUT_TOUCHSCREEN": "1",
            },
            {},
            None,
        ),
        ({"SUBSYSTEM": "input", "DEVNAME": "/dev/input/mouse0", "ID_BUS": "usb", "ID_INPUT_MOUSE": "1"}, {}, None),
        ({"SUBSYSTEM": "block", "DEVNAME": "/dev/sda"}, {}, None),
        ({"SUBSYSTEM": "tty", "DEVNAME": "ttyUSB0", "ID_BUS": "usb"}, {}, None),
        ({}, {}, None),
    ],
)
def test_ok__what_a_machine_can_be_attached_by(
    properties: dict[str, str], attributes: dict[str, str], kind: Kind | None
) -> None:
    found = attached_from(properties, attributes)
    assert (found.kind if found else None) == kind


@given(
    st.dictionaries(st.sampled_from([*_TTY, "libsane_matched", "ID_V4L_CAPABILITIES", "BUSNUM"]), st.text()),
    st.dictionaries(st.sampled_from(["index", "type", "port_number", "driver"]), st.text()),
)
def test_ok__whatever_udev_says_something_or_nothing_is_made_of_it(
    properties: dict[str, str], attributes: dict[str, str]
) -> None:
    found = attached_from({**_TTY, **properties}, attributes)
    assert found is None or (len(found.vendor) <= 80 and len(found.model) <= 80 and bool(found.words))


_RULE_KEY = re.compile(r'(SUBSYSTEM|KERNEL|ENV\{[A-Z_]+\}|ATTRS?\{[a-z_]+\})==("([A-Za-z0-9_.:=+@*-]+)")')


def _parse(rule: str, name: str) -> dict[str, str]:
    """The rule as udev's language has it: keys that must be equal, one name at the end, and nothing else."""
    assert rule.endswith("\n") and rule.count("\n") == 1 and rule.isascii()
    *keys, end = rule.rstrip("\n").split(", ")
    assert end == f'ENV{{APPLIANCE_NAME}}="{name}"'
    found = {}
    for key in keys:
        match = _RULE_KEY.fullmatch(key)
        assert match and match[1] not in found, key
        found[match[1]] = match[3]
    return found


def _is_meant(rule: dict[str, str], properties: dict[str, str], port_number: str) -> bool:
    """Whether udev would give the name to what has these properties."""
    values = {f"ENV{{{key}}}": value for key, value in properties.items()}
    values |= {"SUBSYSTEM": properties["SUBSYSTEM"], "KERNEL": properties["DEVNAME"].rpartition("/")[2]}
    values["ATTRS{port_number}"] = port_number
    return all(fnmatchcase(values.get(key, ""), wanted) for key, wanted in rule.items())


def test_ok__a_rule_by_serial_number_and_one_by_port() -> None:
    assert rule_from(_ADAPTER, NamedBy.SERIAL, "c-arm") == (
        'SUBSYSTEM=="tty", ENV{ID_VENDOR_ID}=="0403", ENV{ID_MODEL_ID}=="6001", ENV{ID_SERIAL_SHORT}=="FT4X1ABC", '
        'ENV{ID_USB_INTERFACE_NUM}=="00", ATTRS{port_number}=="0", ENV{APPLIANCE_NAME}="c-arm"\n'
    )
    assert rule_from(_ADAPTER, NamedBy.PORT, "c-arm") == (
        'SUBSYSTEM=="tty", ENV{ID_VENDOR_ID}=="0403", ENV{ID_MODEL_ID}=="6001", '
        'ENV{ID_PATH}=="pci-0000:00:14.0-usb-0:2:1.0", ATTRS{port_number}=="0", ENV{APPLIANCE_NAME}="c-arm"\n'
    )
    board = Attached(Kind.SERIAL, "/dev/ttyAMA0")
    assert rule_from(board, NamedBy.PORT, "x") == 'SUBSYSTEM=="tty", KERNEL=="ttyAMA0", ENV{APPLIANCE_NAME}="x"\n'


_TEXTS = st.text("aZ09_.:=+@-", max_size=20) | st.text("a\"'*?[]|\\\n\r\0$%{}, é", max_size=20) | st.text(max_size=20)


@given(st.sampled_from(NamedBy), _TEXTS, _TEXTS, _TEXTS, _TEXTS)
@example(NamedBy.SERIAL, 'A", RUN+="/bin/sh -c reboot', "p", "00", "0")
@example(NamedBy.SERIAL, "*", "p", "00", "0")
@example(NamedBy.SERIAL, "A|B", "p", "00", "0")
@example(NamedBy.SERIAL, "A\\", "p", "00", "0")
@example(NamedBy.SERIAL, "A\nRUN+=x", "p", "00", "0")
@example(NamedBy.PORT, "A", "p?", "00", "[0-9]")
@example(NamedBy.SERIAL, "A$env{X}%k", "p", "00", "0")
@example(NamedBy.SERIAL, "é", "p", "00", "0")
@example(NamedBy.SERIAL, "A\n", "p", "00", "0")
def test_ok__nothing_that_a_device_says_breaks_out_of_a_rule(
    by: NamedBy, serial: str, port: str, interface: str, part: str
) -> None:
    """Either the rule is one line of keys that mean exactly this device, or there is none."""
    said = {**_TTY, "ID_SERIAL_SHORT": serial, "ID_PATH": port, "ID_USB_INTERFACE_NUM": interface}
    attached = attached_from(said, {"port_number": part})
    assert attached is not None
    try:
        rule = rule_from(attached, by, "c-arm")
    except ApplianceError:
        return
    keys = _parse(rule, "c-arm")
    assert _is_meant(keys, said, part)
    other = {**said, "ID_SERIAL_SHORT": serial + "x", "ID_PATH": port + "x"}
    assert not _is_meant(keys, other, part)


@pytest.mark.parametrize("name", ["", "A", "1a", "a" * 25, 'a"', "a\n", "a/b", "../x"])
def test_fail__a_name_that_is_none(name: str, tmp_path: Path) -> None:
    with pytest.raises(ApplianceError, match="is no name"):
        rule_from(_ADAPTER, NamedBy.SERIAL, name)
    with pytest.raises(ApplianceError, match="is no name"):
        AdoptedDevices(tmp_path).write(name, "x")


def test_fail__without_a_number_or_a_port_there_is_no_rule_by_it() -> None:
    with pytest.raises(ApplianceError, match="carries no serial number"):
        keys_of(replace(_ADAPTER, serial=""), NamedBy.SERIAL)
    with pytest.raises(ApplianceError, match="does not know the port"):
        keys_of(replace(_ADAPTER, port=""), NamedBy.PORT)


@pytest.mark.parametrize(
    ("serial", "others", "is_doubtful", "way"),
    [
        ("FT4X1ABC", (), False, NamedBy.SERIAL),
        ("FT4X1ABC", (replace(_ADAPTER, node="/dev/ttyUSB1", serial="FT4X1ABD"),), False, NamedBy.SERIAL),
        ("FT4X1ABC", (_ADAPTER,), False, NamedBy.SERIAL),  # itself
        ("FT4X1ABC", (replace(_ADAPTER, node="/dev/ttyUSB1", port="p"),), False, NamedBy.PORT),
        # Two ports of one adapter, and two interfaces of one, carry one number, and yet are told apart.
        ("FT4X1ABC", (replace(_ADAPTER, node="/dev/ttyUSB1", interface="01"),), False, NamedBy.SERIAL),
        ("FT4X1ABC", (replace(_ADAPTER, node="/dev/ttyUSB1", part="1"),), False, NamedBy.SERIAL),
        ("FT4X1ABC", (), True, NamedBy.PORT),
        ("", (), False, NamedBy.PORT),
        ("00000000", (), False, NamedBy.PORT),
        ("0001", (), False, NamedBy.PORT),
        ("2021", (), False, NamedBy.PORT),
        ("20210623", (), False, NamedBy.SERIAL),
        ('A", RUN+="x', (), False, NamedBy.PORT),
    ],
)
def test_ok__by_its_number_where_that_is_its_own(
    serial: str, others: tuple[Attached, ...], is_doubtful: bool, way: NamedBy
) -> None:
    attached = replace(_ADAPTER, serial=serial)
    assert choose_way(attached, others, is_number_doubtful=is_doubtful) is way


def test_ok__a_rule_is_known_again() -> None:
    for by in NamedBy:
        rule = rule_from(_ADAPTER, by, "c-arm")
        assert has_name_by(rule, _ADAPTER) is by
        assert has_name_by(rule, replace(_ADAPTER, serial="B1", port="q")) is None
    assert has_name_by(rule_from(_ADAPTER, NamedBy.SERIAL, "x"), replace(_ADAPTER, port="q")) is NamedBy.SERIAL
    assert has_name_by("", _ADAPTER) is None


def test_ok__rules_are_files_that_last_until_they_are_forgotten(tmp_path: Path) -> None:
    adopted = AdoptedDevices(tmp_path / "rules")
    assert adopted.read() == {}
    path = adopted.write("c-arm", "# a comment\nSUBSYSTEM==...\n")
    assert (path.name, path.stat().st_mode & 0o777) == ("69-appliance-c-arm.rules", 0o644)
    adopted.write("b", "x\n")
    (tmp_path / "rules" / "69-appliance-site-old.rules.bak").write_text("not ours")
    assert adopted.read() == {"b": "x", "c-arm": "SUBSYSTEM==..."}
    adopted.remove("b")
    assert list(adopted.read()) == ["c-arm"]
    with pytest.raises(ApplianceError, match=r"Nothing was adopted as 'b'\. Adopted: c-arm\."):
        adopted.remove("b")


def test_fail__what_may_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "rules").write_text("no directory")
    with pytest.raises(ApplianceError, match="cannot be written"):
        AdoptedDevices(tmp_path / "rules").write("x", "y")
