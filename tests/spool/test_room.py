"""Space for a frame is certain also while every other device captures: shown by letting them all do their worst."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config.devices import FilmDevice, GrabberDevice, SerialDevice
from appliance.config.schema import Configuration
from appliance.spool.room import captures_bytes_from, floor_bytes_from, largest_capture_bytes

MB = 1_000_000
GRABBER = GrabberDevice(name="g", modality="ES", driver="grabber", source="s", max_frame_bytes=8 * MB)  # type: ignore[arg-type]
SERIAL = SerialDevice(name="s", modality="US", driver="xmodem", line="l", max_bytes=4 * MB, max_pixels=2 * MB)  # type: ignore[arg-type]
FILM = FilmDevice(name="f", modality="RG", driver="sane", sane_device="test:0", max_bytes=40 * MB)
DEVICES = (GRABBER, SERIAL, FILM)


@pytest.mark.parametrize(
    ("device", "most"),
    [
        (GRABBER, 18 * MB),  # a still and a clip's frame at once
        (SERIAL, 7 * MB),  # two million pixels of three colours, from a file of four megabytes
        (SERIAL.model_copy(update={"max_bytes": 9 * MB}), 10 * MB),
        (FILM, 41 * MB),
    ],
)
def test_ok__the_largest_capture_of_each_kind(device: GrabberDevice | SerialDevice | FilmDevice, most: int) -> None:
    assert largest_capture_bytes(device) == most


def test_ok__the_floor_holds_all_of_them_above_the_reserve() -> None:
    configuration = Configuration.model_validate({"devices": [one.model_dump() for one in DEVICES]})
    assert captures_bytes_from(DEVICES) == 66 * MB
    assert floor_bytes_from(configuration) == configuration.box.reserve_bytes + 66 * MB


@given(
    free=st.integers(0, 400 * MB),
    acts=st.lists(st.tuples(st.sampled_from(DEVICES), st.sampled_from(["begin", "write"])), max_size=60),
)
def test_ok__whatever_the_devices_do_together_the_reserve_stays(
    free: int, acts: list[tuple[GrabberDevice | SerialDevice | FilmDevice, str]]
) -> None:
    """Each device looks at the free flash and writes later; meanwhile the others look and write."""
    reserve = 50 * MB
    floor = reserve + captures_bytes_from(DEVICES)
    admitted: set[str] = set()
    was_admitted = False
    for device, act in acts:
        if act == "begin" and device.name not in admitted and free >= floor:
            admitted.add(device.name)
            was_admitted = True
        elif act == "write" and device.name in admitted:
            admitted.remove(device.name)
            free -= largest_capture_bytes(device)
        assert not was_admitted or free >= reserve
