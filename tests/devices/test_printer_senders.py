"""Pages of programs that are not ours: Ghostscript's printers and netpbm's, beside what Ghostscript rasterises itself.

Not a pixel may differ, nor its place on the page. Margins of a printer would shift Ghostscript's halftones: there are
none.
"""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from appliance.devices.printer.languages import Language
from appliance.devices.printer.page import Doubt
from tests.devices.printer_world import Dots, assert_same_picture, magnified, only_page, size_of

_PAGE = """
0.5 dup scale
/Helvetica findfont 20 scalefont setfont
12 360 moveto (Bone density) show
0.5 setgray 20 250 90 80 rectfill
0 setgray 2 setlinewidth 10 240 140 100 rectstroke
0 1 20 { dup 20 div setgray 12 mul 10 add 150 12 60 rectfill } for
0 setgray 0.3 setlinewidth 150 80 60 0 360 arc stroke
1 1 60 { dup 4 mul 10 add exch moveto 0 3 rlineto stroke } for
showpage
"""
# Small: A4 has sixteen times as many dots.
_PAPER = (52.5, 74.25)
_POINTS = "/PageSize [148.8 210.6]"
_NO_MARGINS = "/.HWMargins [0 0 0 0] /Margins [0 0]"


def _run_ghostscript(device: str, across: int, down: int, page_device: str, drawing: str = _PAGE) -> bytes:
    command = ["gs", "-q", "-dSAFER", "-dNOPAUSE", "-dBATCH", f"-sDEVICE={device}", f"-r{across}x{down}"]
    program = f"<</{page_device[1:]}>> setpagedevice {drawing}"
    return subprocess.run(
        [*command, "-sOutputFile=-", "-sstdout=%stderr", "-c", program], capture_output=True, timeout=60, check=True
    ).stdout


@cache
def _rasterised(across: int, down: int, drawing: str = _PAGE) -> bytes:
    """The page as a portable bitmap."""
    return _run_ghostscript("pbmraw", across, down, _POINTS, drawing)


def _dots_of(bitmap: bytes, directory: Path) -> Dots:
    (directory / "page.pbm").write_bytes(bitmap)
    return np.array(Image.open(directory / "page.pbm")) == 0


@pytest.mark.parametrize(
    ("device", "language", "across", "down", "dpi"),
    [
        ("epson", "escp9", 240, 72, 240),  # ESC * 3, ESC J
        ("epson", "escp9", 60, 72, 240),  # ESC K
        ("eps9high", "escp9", 240, 216, 240),  # three passes between one another's rows
        ("ibmpro", "escp9", 240, 72, 240),
        ("okiibm", "escp9", 120, 72, 240),
        ("lq850", "escp24", 180, 180, 360),  # ESC * 39, ESC D and TAB
        ("stcolor", "escp24", 360, 360, 360),  # ESC . 1
        ("st800", "escp24", 360, 360, 360),
        ("ap3250", "escp24", 360, 180, 360),
        ("laserjet", "pcl", 300, 300, 300),  # method 0
        ("ljet2p", "pcl", 300, 300, 300),  # method 2
        ("deskjet", "pcl", 300, 300, 300),
        ("ljet4", "pcl", 300, 300, 300),  # methods 2 and 3
        ("ljet4", "pcl", 600, 600, 600),
        ("ljet3", "pcl", 300, 300, 600),
        ("ljet4pjl", "pcl", 300, 300, 300),
        ("lp2563", "pcl", 300, 300, 300),
        ("djet500", "pcl", 300, 300, 300),
        ("cdjmono", "pcl", 300, 300, 300),  # method 9
    ],
)  # fmt: skip
def test_ok__ghostscripts_printers(
    tmp_path: Path, device: str, language: Language, across: int, down: int, dpi: int
) -> None:
    sent = _run_ghostscript(device, across, down, f"{_POINTS} {_NO_MARGINS}")
    page = only_page(language, size_of(dpi, _PAPER), sent)
    assert_same_picture(page, magnified(_dots_of(_rasterised(across, down), tmp_path), across, down, dpi))


def test_ok__a_colour_printers_light(tmp_path: Path) -> None:
    """Method 1, in planes of red, green and blue. Black alone: of gray its halftones are others."""
    drawing = "20 100 60 60 rectfill 100 20 30 10 rectfill 0.3 setlinewidth 10 10 moveto 140 200 lineto stroke showpage"
    sent = _run_ghostscript("pjetxl", 180, 180, f"{_POINTS} {_NO_MARGINS}", drawing)
    assert b"\x1b*r3U" in sent and b"\x1b*b1M" in sent
    page = only_page("pcl", size_of(180, _PAPER), sent)
    dots = _dots_of(_rasterised(180, 180, drawing), tmp_path)
    assert_same_picture(page, magnified(dots, 180, 180, 180), frozenset({Doubt.COLOUR}))


@pytest.mark.parametrize(
    ("command", "language", "across", "down", "dpi"),
    [
        (["pbmtoescp2", "-resolution=360", "-compress=1"], "escp24", 360, 360, 360),  # runs that cross rows
        (["pbmtoescp2", "-resolution=180", "-compress=0"], "escp24", 180, 180, 360),
        (["pbmtoepson", "-protocol=escp9", "-dpi=120"], "escp9", 120, 72, 120),
        (["pbmtolj", "-resolution", "300", "-packbits"], "pcl", 300, 300, 300),
        # Its -delta and -compress send an empty transfer for an empty row, which in method 3 is the row before again.
    ],
)
def test_ok__netpbms_printers(
    tmp_path: Path, command: list[str], language: Language, across: int, down: int, dpi: int
) -> None:
    bitmap = _rasterised(across, down)
    sent = subprocess.run(command, input=bitmap, capture_output=True, timeout=60, check=True).stdout
    page = only_page(language, size_of(dpi, _PAPER), sent)
    assert_same_picture(page, magnified(_dots_of(bitmap, tmp_path), across, down, dpi))
