"""`appliance device` on handwritten devices, which umockdev shows to udev's own library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.base.paths import Paths
from appliance.cli import device_adopt
from appliance.cli.device_configured import Configured, configured_from
from appliance.cli.device_list import lines_of
from appliance.cli.device_table import missing_from, missing_triggers_from, seen_from, snippet_lines
from appliance.cli.main import main
from appliance.config.devices import Device, FilmDevice, GrabberDevice
from appliance.config.effective import tree_from
from appliance.config.schema import Configuration
from appliance.config.triggers import BytesTrigger, GpioTrigger, KeyTrigger
from appliance.devices.plugging.attached import Attached, Kind
from appliance.devices.plugging.rules import NamedBy, rule_from
from tests.cli.plugged import HERE, run_appliance

_CONFIGURATION = """
[[devices]]
name = "ultrasound"
title = "Ultrasound"
driver = "xmodem"
modality = "US"
line = "/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_FT4X1ABC-if00-port0"
[[devices]]
name = "endoscope"
title = "Endoscope"
driver = "grabber"
modality = "ES"
source = "/dev/appliance/endoscope"
[[devices]]
name = "film"
driver = "sane"
modality = "RG"
sane_device = "epson2:libusb:001:009"
[[devices]]
name = "simulated"
driver = "grabber"
modality = "ES"
source = "machines/endoscope.sock"
"""
_LIST = """\
kind     node                  device      what it is                                                                       known by
input    /dev/input/event7     -           PCsensor FootSwitch (0c45:7403)                                                  -
scanner  /dev/bus/usb/001/009  film        Epson Perfection V700 or V750 Photo (04b8:012c), hardware epson-perfection-v700  its node alone
serial   /dev/ttyS0            -           a serial port of the board                                                       -
serial   /dev/ttyUSB0          ultrasound  FTDI FT232R serial adapter (0403:6001), hardware ftdi-ft232r                     its node alone
serial   /dev/ttyUSB1          -           WCH CH340 or CH341 serial adapter (1a86:7523), hardware wch-ch340                -
video    /dev/video0           -           HDMI grabber with MacroSilicon MS2109 (534d:2109), hardware macrosilicon-ms2109  -
video    /dev/video2           -           Nobody's Grabber (f00d:0001)                                                     -
! Endoscope (endoscope) is not plugged in.
  /dev/bus/usb/001/009: For films the transparency unit in the lid is the source.
  /dev/ttyUSB1: It carries no serial number: two of them can only be told apart by their ports.
  /dev/video0: USB 2 only: MJPEG alone reaches a high rate, its uncompressed format is slow.
To name /dev/input/event7 by its port pci-0000:00:14.0-usb-0:7:1.0: appliance device adopt /dev/input/event7 NAME
"""  # noqa: E501
_WATCH = """\
plugged in: serial /dev/ttyUSB2, FTDI FT232R serial adapter (0403:6001)
          known by its serial number FT9Z9XYZ; the rule that would name it:
          SUBSYSTEM=="tty", ENV{ID_VENDOR_ID}=="0403", ENV{ID_MODEL_ID}=="6001", ENV{ID_SERIAL_SHORT}=="FT9Z9XYZ", \
ENV{ID_USB_INTERFACE_NUM}=="00", ATTRS{port_number}=="0", ENV{APPLIANCE_NAME}="name"
          To write it: appliance device adopt /dev/ttyUSB2 NAME
unplugged: serial /dev/ttyUSB2, FTDI FT232R serial adapter (0403:6001)
"""


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A box with a configuration."""
    paths = Paths.below(tmp_path)
    paths.configuration.parent.mkdir(parents=True)
    paths.configuration.write_text(_CONFIGURATION)
    return tmp_path


def test_ok__the_list_of_what_is_plugged_in(box: Path) -> None:
    done = run_appliance(box, "list")
    assert (done.stdout, done.stderr, done.returncode) == (_LIST, "", 1)


def test_ok__adopted_it_is_known_again_and_forgotten_it_is_not(box: Path) -> None:
    rules = Paths.below(box).rules
    said = run_appliance(box, "adopt", "/dev/video0", "endoscope")
    assert said.returncode == 0
    assert said.stderr == "udev does not read that directory on this machine: nothing is named by it here.\n"
    rule = (
        'SUBSYSTEM=="video4linux", ENV{ID_VENDOR_ID}=="534d", ENV{ID_MODEL_ID}=="2109", '
        'ENV{ID_PATH}=="pci-0000:00:14.0-usb-0:4:1.0", ATTR{index}=="0", ENV{APPLIANCE_NAME}="endoscope"'
    )
    file = rules / "69-appliance-endoscope.rules"
    assert said.stdout == (
        "/dev/video0, HDMI grabber with MacroSilicon MS2109, is endoscope from now on, "
        "by its port pci-0000:00:14.0-usb-0:4:1.0.\n"
        f"Always plug it into the same port: it is known by that.\n{file}:\n    {rule}\n"
    )
    assert file.read_text() == f"# Written by `appliance device adopt`: macrosilicon-ms2109.\n{rule}\n"

    listed = run_appliance(box, "list", "--json")
    assert listed.returncode == 0
    document = json.loads(listed.stdout)
    assert document["missing"] == []
    (video,) = [one for one in document["attached"] if one["node"] == "/dev/video0"]
    assert {key: video[key] for key in ("device", "adopted", "known_by", "hardware", "usb_id", "part")} == {
        "device": "endoscope",
        "adopted": "endoscope",
        "known_by": "port",
        "hardware": "macrosilicon-ms2109",
        "usb_id": "534d:2109",
        "part": "0",
    }

    assert run_appliance(box, "forget", "endoscope").returncode == 0
    assert list(rules.iterdir()) == []


def test_ok__whatever_is_plugged_in_meanwhile_is_told(box: Path) -> None:
    """By udev's own events, until Ctrl-C."""
    command = [sys.executable, "-m", "appliance", "--box", str(box), "device", "watch"]
    coming = HERE / "coming.umockdev"
    done = subprocess.run(
        ["umockdev-wrapper", "/usr/bin/python3", HERE / "plug_in.py", HERE / "plugged.umockdev", coming, "5", *command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "".join(line[10:] if line[2] == ":" else line for line in done.stdout.splitlines(keepends=True)) == _WATCH


def test_ok__it_stops_watching_when_its_time_is_over(box: Path) -> None:
    done = run_appliance(box, "watch", "--seconds", "0.1")
    assert (done.returncode, done.stdout) == (0, "")


def test_ok__where_udev_reads_the_rules_it_is_told(
    plugs: list[Attached], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rules, told, program = Paths.from_environment().rules, tmp_path / "told", tmp_path / "bin" / "udevadm"
    rules.mkdir()
    (tmp_path / "link").symlink_to(rules)
    monkeypatch.setattr(device_adopt, "_UDEV_READS", tmp_path / "link")
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    assert main(["device", "adopt", "/dev/ttyUSB0", "left"]) == 0
    asked = "control --reload\ntrigger --action=add --settle --name-match=/dev/ttyUSB0\n"
    assert told.read_text() == asked
    assert main(["device", "forget", "left"]) == 0
    assert told.read_text() == asked * 2
    assert capsys.readouterr().err == ""
    program.write_text("#!/bin/sh\nexit 1\n")
    assert main(["device", "adopt", "/dev/ttyUSB0", "left"]) == 0
    assert "unplug the device and plug it in again" in capsys.readouterr().err


_ADAPTER = Attached(Kind.SERIAL, "/dev/ttyUSB0", usb_id="1a86:7523", port="p-1", part="0")
_OTHER = Attached(Kind.SERIAL, "/dev/ttyUSB1", usb_id="1a86:7523", port="p-2", part="0")


@pytest.fixture
def plugs(box: Path, monkeypatch: pytest.MonkeyPatch) -> list[Attached]:
    """What is plugged in, in the test's hand."""
    here = [_ADAPTER, _OTHER]
    monkeypatch.setattr(device_adopt, "list_attached", lambda: here)
    for name, value in Paths.below(box).environment().items():
        monkeypatch.setenv(name, value)
    return here


def test_ok__two_that_are_the_same_are_told_apart_by_their_ports(
    plugs: list[Attached], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["device", "adopt", "/dev/ttyUSB0", "left"]) == 0
    said = capsys.readouterr().out
    assert "is left from now on, by its port p-1." in said
    assert '    line = "/dev/appliance/left"\n' in said and '    hardware = "wch-ch340"\n' in said
    assert main(["device", "adopt", "/dev/ttyUSB1", "right"]) == 0
    assert "by its port p-2." in capsys.readouterr().out
    # Each is known again where the kernel gave the other one's node.
    swapped = [Attached(Kind.SERIAL, "/dev/ttyUSB0", usb_id="1a86:7523", port="p-2", part="0"), _OTHER]
    rules = device_adopt.AdoptedDevices(Paths.from_environment().rules).read()
    assert seen_from(swapped[:1], rules, (), Path("/run"))[0].adopted == "right"


def test_ok__a_device_that_is_configured_by_another_node(
    plugs: list[Attached], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["device", "adopt", "/dev/ttyUSB0", "ultrasound"]) == 0
    assert capsys.readouterr().out.endswith(
        'In the configuration, ultrasound needs now: line = "/dev/appliance/ultrasound"\n'
    )


def test_fail__a_name_of_a_device_that_is_something_else(
    plugs: list[Attached], capsys: pytest.CaptureFixture[str]
) -> None:
    plugs.append(Attached(Kind.INPUT, "/dev/input/event7", model="FootSwitch", port="p-3"))
    assert main(["device", "adopt", "/dev/input/event7", "ultrasound"]) == 1
    told = capsys.readouterr().err
    assert "ultrasound is a serial device in the configuration, and /dev/input/event7 is none." in told
    assert device_adopt.AdoptedDevices(Paths.from_environment().rules).read() == {}


def test_fail__a_name_that_another_one_has(plugs: list[Attached], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["device", "adopt", "/dev/ttyUSB0", "left"]) == 0
    assert main(["device", "adopt", "/dev/ttyUSB0", "right"]) == 1
    assert "/dev/ttyUSB0 is called left already." in capsys.readouterr().err
    assert main(["device", "adopt", "/dev/ttyUSB1", "left"]) == 1
    assert "left is another device so far." in capsys.readouterr().err
    assert main(["device", "adopt", "/dev/ttyUSB1", "left", "--replace"]) == 0
    assert main(["device", "adopt", "/dev/ttyUSB1", "left"]) == 0  # again is no harm


def test_fail__what_is_not_there_and_what_carries_no_number(
    plugs: list[Attached], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["device", "adopt", "/dev/ttyUSB7", "left"]) == 1
    assert "Plugged in: /dev/ttyUSB0, /dev/ttyUSB1." in capsys.readouterr().err
    assert main(["device", "adopt", "/dev/ttyUSB0", "left", "--by", "serial"]) == 1
    assert "/dev/ttyUSB0 carries no serial number." in capsys.readouterr().err
    assert main(["device", "forget", "left"]) == 1
    assert "Nothing was adopted as 'left'." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("attached", "lines"),
    [
        (
            Attached(Kind.VIDEO, "/dev/video0", usb_id="0fd9:0033"),
            {
                'driver = "grabber"',
                'hardware = "elgato-video-capture"   # nobody is known to have tried its settings: probe it',
                'source = "/dev/appliance/x"',
            },
        ),
        (Attached(Kind.VIDEO, "/dev/video0"), {'driver = "grabber"', 'source = "/dev/appliance/x"'}),
        (
            Attached(Kind.SCANNER, "/dev/bus/usb/001/002", usb_id="04b8:012c"),
            {
                'driver = "sane"',
                'sane_device = "epson2:/dev/appliance/x"   # with the backend as `scanimage -L` names it',
            },
        ),
        (
            Attached(Kind.INPUT, "/dev/input/event1"),
            {'triggers = [{ kind = "key", node = "/dev/appliance/x", action = "still" }]'},
        ),
    ],
)
def test_ok__what_the_configuration_needs(attached: Attached, lines: set[str]) -> None:
    (seen,) = seen_from([attached], {}, (), Path("/run"))
    assert lines <= set(snippet_lines(seen, "x"))


def _as_configured(device: Device) -> Configured:
    return configured_from(tree_from(Configuration(devices=(device,)))["devices"][0])


def test_ok__which_device_of_the_configuration_a_digitizer_is() -> None:
    here = Attached(Kind.SCANNER, "/dev/bus/usb/001/009", ("/dev/appliance/film",), bus_address="001:009")
    devices = {
        sane: _as_configured(FilmDevice(name="film", driver="sane", modality="RG", sane_device=sane))
        for sane in ("epson2:libusb:001:009", "epson2:/dev/appliance/film", "epson2:libusb:001:010", "test:0")
    }
    found = {sane: seen_from([here], {}, [device], Path("/run")) for sane, device in devices.items()}
    assert [seen[0].device for seen in found.values()] == ["film", "film", "", ""]
    missing = [bool(missing_from(seen, [devices[sane]])) for sane, seen in found.items()]
    assert missing == [False, False, True, False], "nobody knows of the backend for tests whether it is plugged in"


def test_ok__a_line_that_only_triggers(plugs: list[Attached], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["device", "adopt", "/dev/ttyUSB0", "endoscope-trigger"]) == 0
    said = capsys.readouterr().out
    assert (
        'triggers = [{ kind = "bytes", node = "/dev/appliance/endoscope-trigger", pattern = "", baud = 9600 }]' in said
    )
    assert "[[devices]]" not in said


def test_fail__a_configuration_that_may_not_be_read_is_not_taken_for_none(
    plugs: list[Attached], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration = Paths.from_environment().configuration
    configuration.unlink()
    assert main(["device", "adopt", "/dev/ttyUSB0", "left"]) == 0  # there is none yet
    configuration.mkdir()
    assert main(["device", "adopt", "/dev/ttyUSB0", "left"]) == 1
    assert f"{configuration}: cannot be read" in capsys.readouterr().err


def test_fail__a_second_one_with_the_number_of_the_first(
    plugs: list[Attached], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody could know it while the first one was alone."""
    first, second = (
        Attached(Kind.SERIAL, f"/dev/ttyUSB{number}", usb_id="0403:6001", serial="FT4X1ABC", port=f"p-{number}")
        for number in (0, 1)
    )
    plugs[:] = [first]
    assert main(["device", "adopt", "/dev/ttyUSB0", "left"]) == 0
    assert "by its serial number FT4X1ABC" in capsys.readouterr().out
    plugs[:] = [first, second]
    for name in ("left", "right"):
        assert main(["device", "adopt", "/dev/ttyUSB1", name]) == 1
        said = capsys.readouterr().err
        assert "/dev/ttyUSB1 and /dev/ttyUSB0 carry the same serial number: both are left." in said
    seen = seen_from(plugs, device_adopt.AdoptedDevices(Paths.from_environment().rules).read(), (), Path("/run"))
    assert any("they carry the same serial number. Forget left" in line for line in lines_of(seen, ()))
    assert main(["device", "forget", "left"]) == 0
    for node, name in (("/dev/ttyUSB0", "left"), ("/dev/ttyUSB1", "right")):
        assert main(["device", "adopt", node, name]) == 0
    assert "by its port p-1" in capsys.readouterr().out


def test_ok__what_triggers_a_device_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    triggers = (
        KeyTrigger(kind="key", node=Path("/dev/appliance/pedal")),
        BytesTrigger(kind="bytes", node=Path("/dev/ttyS0"), pattern="02 41"),
        GpioTrigger(kind="gpio", pin=17),
    )
    device = _as_configured(
        GrabberDevice(name="endoscope", driver="grabber", modality="ES", source=Path("/dev/video0"), triggers=triggers)
    )
    pedal, line = Attached(Kind.INPUT, "/dev/input/event7", port="p"), Attached(Kind.SERIAL, "/dev/ttyS0")
    rules = {"pedal": rule_from(pedal, NamedBy.PORT, "pedal").strip()}
    seen = seen_from([pedal, line], rules, [device], Path("/run"))
    assert [(one.device, one.triggers, one.adopted) for one in seen] == [
        ("", "endoscope", "pedal"),
        ("", "endoscope", ""),
    ]
    assert missing_triggers_from(seen, [device]) == []
    silent = missing_triggers_from(seen[1:], [device])
    assert "! /dev/appliance/pedal, which triggers endoscope, is not plugged in." in lines_of(seen, (), silent)
    assert [" ".join(line.split()) for line in lines_of(seen, ())[1:]] == [
        "input /dev/input/event7 triggers endoscope of no name its port p",
        "serial /dev/ttyS0 triggers endoscope a serial port of the board its node alone",
    ]
