"""What a device's configuration makes of its drivers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.acquire.drivers import film_options_from, sane_name_from
from appliance.config.devices import FilmDevice


@pytest.mark.parametrize(
    ("configured", "node", "name"),
    [
        ("epson2:/dev/appliance/film", "/dev/bus/usb/001/009", "epson2:libusb:001:009"),
        ("epson2:/dev/appliance/film", "/dev/appliance/film", "epson2:/dev/appliance/film"),  # not plugged in
        ("epson2:/dev/appliance/film", "/dev/sg0", "epson2:/dev/appliance/film"),
        ("epson2:libusb:001:003", "", "epson2:libusb:001:003"),
        ("test:0", "", "test:0"),
        ("net:10.0.0.7:epson2:libusb:001:003", "", "net:10.0.0.7:epson2:libusb:001:003"),
    ],
)
def test_ok__a_digitizer_that_was_adopted_is_found_wherever_it_is_plugged_in(
    configured: str, node: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os.path, "realpath", lambda path: node)
    assert sane_name_from(configured) == name
    device = FilmDevice(name="film", driver="sane", modality="RG", sane_device=configured)
    assert film_options_from(device, Path("/run")).device == name
