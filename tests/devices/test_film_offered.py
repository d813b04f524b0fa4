"""What a digitizer offers, from scanimage's own list and from lines that other backends print."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.base.clock import SystemClock
from appliance.devices.errors import DeviceError, DeviceGone
from appliance.devices.film.offered import Offered, check_offered, offered_from, read_offered
from appliance.devices.film.options import FilmOptions

CLOCK = SystemClock()


@pytest.fixture
def sane(tmp_path: Path) -> FilmOptions:
    (tmp_path / "dll.conf").write_text("test\n")
    (tmp_path / "test.conf").write_text("geometry_max 450\n")
    return FilmOptions("test:0", 100, 200, 250, config_directory=tmp_path)


# Lines as backends print them: of avision, epson2, fujitsu, genesys, plustek.
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("    --mode Gray|Color [Gray]", Offered("mode", ("Gray", "Color"))),
        ("    --depth 8|16bit [8]", Offered("depth", ("8", "16bit"))),
        ("    --resolution 75|150|300dpi [75]", Offered("resolution", ("75", "150", "300dpi"))),
        ("    --resolution 1..1200dpi (in steps of 1) [0.0007]", Offered("resolution", (), 1.0, 1200.0, 1.0)),
        ("    -l 0..215.9mm [0]", Offered("l", (), 0.0, 215.9)),
        ("    --brightness -100..100% (in steps of 1) [0]", Offered("brightness", (), -100.0, 100.0, 1.0)),
        (
            "    --source ADF Front|ADF Duplex [inactive]",
            Offered("source", ("ADF Front", "ADF Duplex"), is_active=False),
        ),
        ("    --preview[=(yes|no)] [no]", Offered("preview", ("yes", "no"))),
        ("    --lamp-off-time <int> [300] [advanced]", Offered("lamp-off-time")),
        ("    --depth 16 [16]", Offered("depth", ("16",))),
        # Found by `make fuzz`: a limit that is no number, and one too large for a number.
        ("    --x 1.2.3..5mm [1]", Offered("x")),
        (f"    --x 0..{'9' * 400}mm [1]", Offered("x")),
    ],
)
def test_ok__a_line(line: str, offered: Offered) -> None:
    assert offered_from(f"  Group:\n{line}\n        What it does. See --else [1].\n") == {offered.name: offered}


@given(st.text(alphabet="-| .0123456789[]=()abmdpi%\n ", max_size=200))
def test_ok__whatever_is_printed(text: str) -> None:
    for option in offered_from(f"    --x {text} [1]").values():
        option.may_be("3")
        assert option.words


@pytest.mark.parametrize(
    ("option", "value", "may_be"),
    [
        (Offered("depth", ("8", "16bit")), "16", True),
        (Offered("depth", ("8", "16bit")), "12", False),
        (Offered("mode", ("Gray", "Color")), "gray", False),
        (Offered("resolution", (), 1.0, 1200.0, 1.0), "300", True),
        (Offered("resolution", (), 1.0, 1200.0, 1.0), "300.5", False),
        (Offered("resolution", (), 1.0, 1200.0, 1.0), "99999", False),
        (Offered("resolution", (), 50.0, 600.0, 50.0), "75", False),
        (Offered("x", (), 0.0, 215.9), "215.9", True),
        (Offered("x", (), 0.0, 215.9), "216", False),
        (Offered("x", (), 0.0, 215.9), "wide", False),
        (Offered("free"), "anything", True),
    ],
)
def test_ok__what_may_be(option: Offered, value: str, may_be: bool) -> None:
    assert option.may_be(value) is may_be


def test_ok__sane_s_own_backend(sane: FilmOptions) -> None:
    offered = read_offered(sane, CLOCK)
    assert offered["mode"] == Offered("mode", ("Gray", "Color"))
    assert offered["depth"] == Offered("depth", ("1", "8", "16"))
    assert offered["resolution"] == Offered("resolution", (), 1.0, 1200.0, 1.0)
    assert offered["source"].choices == ("Flatbed", "Automatic Document Feeder")
    assert (offered["x"].least, offered["x"].most) == (0.0, 450.0)
    assert not offered["three-pass-order"].is_active
    check_offered(replace(sane, source="Flatbed", extra={"test-picture": "Grid", "read-delay": "yes"}), offered)


@pytest.mark.parametrize(
    ("changes", "sentence", "suggestion"),
    [
        ({"resolution_dpi": 99999}, "resolution 99999", "It has 1 to 1200 in steps of 1. Correct the configuration."),
        ({"source": "ADF"}, "source ADF", "It has Flatbed, Automatic Document Feeder. Correct the configuration."),
        ({"depth": 12}, "depth 12", "It has 1, 8, 16. Correct the configuration."),
        ({"mode": "Lineart"}, "mode Lineart", "It has Gray, Color. Correct the configuration."),
        ({"width_mm": 500}, "width 500", "It has 0 to 450. Correct the configuration."),
        ({"left_mm": 451}, "left 451", "It has 0 to 450. Correct the configuration."),
        ({"extra": {"test-picture": "Cat"}}, "test-picture Cat", None),
    ],
)
def test_fail__what_it_does_not_have(
    sane: FilmOptions, changes: dict[str, object], sentence: str, suggestion: str | None
) -> None:
    with pytest.raises(DeviceError) as refused:
        check_offered(replace(sane, **changes), read_offered(sane, CLOCK))
    assert refused.value.sentence == f"The film digitizer cannot be set to {sentence}."
    assert suggestion is None or refused.value.suggestion == suggestion


def test_fail__an_option_that_it_does_not_know(sane: FilmOptions) -> None:
    with pytest.raises(DeviceError, match="has no option 'nonsense'"):
        check_offered(replace(sane, extra={"nonsense": "3"}), read_offered(sane, CLOCK))


def test_ok__one_that_does_not_answer_is_asked_by_the_scan_itself(sane: FilmOptions) -> None:
    assert read_offered(replace(sane, device="epson2:libusb:001:099"), CLOCK) == {}
    check_offered(replace(sane, depth=12), {})
    with pytest.raises(DeviceGone, match="cannot be started"):
        read_offered(replace(sane, command=("/nowhere/scanimage",)), CLOCK)
