"""The simulated ultrasound's pictures: believable, each different, none of them naming anybody."""

from __future__ import annotations

from datetime import UTC, datetime

from PIL import ImageStat

from appliance.simulator.machines.ultrasound_picture import SIZE, render_ultrasound

AT = datetime(2026, 11, 22, 12, 4, 31, tzinfo=UTC)


def test_ok__gray_vga_with_a_dark_surround_and_a_bright_sector() -> None:
    picture = render_ultrasound(1, AT)
    assert (picture.mode, picture.size) == ("L", SIZE)
    assert ImageStat.Stat(picture.crop((20, 120, 110, 180))).mean[0] < 2
    sector = ImageStat.Stat(picture.crop((250, 60, 400, 400)))
    assert 40 < sector.mean[0] < 200
    assert sector.stddev[0] > 15  # speckle


def test_ok__a_print_can_be_made_again_and_no_two_are_alike() -> None:
    assert render_ultrasound(5, AT).tobytes() == render_ultrasound(5, AT).tobytes()
    assert len({render_ultrasound(number, AT).tobytes() for number in range(4)}) == 4
