"""What is known of devices: every entry can be used as it stands, and a device that names one has its settings."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from appliance.config.devices import GrabberDevice, SerialDevice
from appliance.config.known import DRIVERS, KNOWN_DEVICES, KnownDevice, known_by_usb, known_devices
from appliance.config.load import ConfigurationError, configuration_from
from tests.config.known_rules import Entries, Entry

FILE = Path("site.toml")
_NEEDED = {
    "grabber": 'source = "/dev/appliance/x"',
    "xmodem": 'line = "/dev/appliance/x"',
    "printer": 'line = "/dev/appliance/x"\nlanguage = "pcl"',
    "text": 'line = "/dev/appliance/x"\nprofile = "astm"',
    "sane": 'sane_device = "test:0"',
}


def _device(driver: str, hardware: str, more: str = "") -> str:
    return (
        f'[[devices]]\nname = "x"\nmodality = "US"\ndriver = "{driver}"\n'
        f'hardware = "{hardware}"\n{_NEEDED[driver]}\n{more}\n'
    )


def _sentence(text: str) -> tuple[str, str]:
    with pytest.raises(ConfigurationError) as refused:
        configuration_from(text.encode(), FILE)
    (problem,) = refused.value.problems
    return problem.key, problem.sentence


@pytest.mark.parametrize("known", known_devices(), ids=lambda known: known.hardware)
def test_ok__each_entry_sets_what_its_drivers_know(known: KnownDevice) -> None:
    for driver in DRIVERS[known.kind]:
        (device,) = configuration_from(_device(driver, known.hardware).encode(), FILE).devices
        made = device.model_dump(mode="json")
        assert {key: made[key] for key in known.settings} == known.settings
        assert device.hardware == known.hardware
    assert known_by_usb(known.usb[0], known.kind) is known


def test_ok__the_file_is_as_it_may_be() -> None:
    entries = Entries.model_validate(tomllib.loads(KNOWN_DEVICES.read_text(encoding="utf-8"))).devices
    assert [one.hardware for one in entries] == [one.hardware for one in known_devices()]


def test_ok__at_least_eight_common_grabbers_adapters_and_digitizers_are_known() -> None:
    kinds = [known.kind for known in known_devices()]
    assert len(kinds) >= 8 and all(kinds.count(kind) >= 3 for kind in DRIVERS)


def test_ok__what_the_site_sets_stands_before_what_the_hardware_sets() -> None:
    own = _device("grabber", "macrosilicon-ms2109", 'formats = ["YUYV"]')
    (device,) = configuration_from(own.encode(), FILE).devices
    assert isinstance(device, GrabberDevice)
    assert (device.formats, device.conversion_type) == (("YUYV",), "DI")


def test_ok__without_a_name_nothing_is_filled_in() -> None:
    for empty in (_device("grabber", ""), _device("grabber", "").replace('hardware = ""\n', "")):
        (device,) = configuration_from(empty.encode(), FILE).devices
        assert isinstance(device, GrabberDevice)
        assert (device.hardware, device.conversion_type) == ("", "DV")


def test_ok__a_speed_that_the_adapter_does() -> None:
    (device,) = configuration_from(_device("xmodem", "wch-ch340", "baud = 3000000").encode(), FILE).devices
    assert isinstance(device, SerialDevice) and device.baud == 3_000_000


def test_fail__a_speed_that_the_adapter_does_not_do() -> None:
    key, sentence = _sentence(_device("xmodem", "wch-ch340", "baud = 3500000"))
    assert (key, sentence) == ("devices[0].hardware", "does at most 3000000 baud")


def test_fail__a_name_that_nobody_knows_is_told_with_those_that_there_are() -> None:
    key, sentence = _sentence(_device("grabber", "macrosilicon-ms2110"))
    assert key == "devices[0].hardware"
    assert sentence.startswith("is not known; known are macrosilicon-ms2109, ")


def test_fail__a_name_of_something_else() -> None:
    key, sentence = _sentence(_device("sane", "wch-ch340"))
    assert (key, sentence) == ("devices[0].hardware", "is of a serial device, which this driver does not drive")


def test_fail__every_problem_is_told_beside_the_hardware() -> None:
    text = _device("grabber", "nobody", "frame_seconds = 0")
    with pytest.raises(ConfigurationError) as refused:
        configuration_from(text.encode(), FILE)
    assert [problem.key for problem in refused.value.problems] == ["devices[0].frame_seconds", "devices[0].hardware"]


_ENTRY = {
    "hardware": "some-grabber",
    "name": "Some grabber",
    "kind": "video",
    "usb": ["0123:abcd"],
    "kernel": "uvcvideo",
    "sources": ["https://example.org/"],
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"usb": ["0123:ABCD"]},
        {"usb": []},
        {"sources": []},
        {"sources": ["somebody said so"]},
        {"kind": "mouse"},
        {"notes": ["no sentence"]},
        {"settings": {"modality": "US"}},
        {"settings": {"name": "x"}},
        {"max_baud": 115_200},
        {"quirk": "?"},
    ],
    ids=str,
)
def test_fail__an_entry_that_cannot_be(wrong: dict[str, object]) -> None:
    Entry.model_validate(_ENTRY)
    with pytest.raises(ValidationError):
        Entry.model_validate({**_ENTRY, **wrong})


def test_fail__two_entries_for_one_device() -> None:
    other = {**_ENTRY, "hardware": "some-other"}
    Entries.model_validate({"devices": [_ENTRY, {**other, "usb": ["0123:abce"]}]})
    for twice in (other, {**_ENTRY, "usb": ["0123:abce"]}):
        with pytest.raises(ValidationError):
            Entries.model_validate({"devices": [_ENTRY, twice]})
