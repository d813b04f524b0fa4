"""Films from SANE's own test backend, stopped, slowed and faulty; and from children that no backend would imitate."""

from __future__ import annotations

import io
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from appliance.base.clock import SystemClock
from appliance.devices.errors import (
    BadTransfer,
    DeviceBusy,
    DeviceError,
    DeviceGone,
    DeviceNotReady,
    DeviceTimeout,
    ScanCancelled,
)
from appliance.devices.film.options import FilmOptions
from appliance.devices.film.pnm import PnmHeader, pnm_header_from
from appliance.devices.film.scan import CHUNK_BYTES, FilmHeader, scan_film

CLOCK = SystemClock()
DEADLINE = 60.0


@pytest.fixture
def sane(tmp_path: Path) -> FilmOptions:
    """The test backend with room for a film of 14 × 17 inches."""
    (tmp_path / "dll.conf").write_text("test\n")
    (tmp_path / "test.conf").write_text("geometry_max 450\n")
    return FilmOptions("test:0", 100, 200, 250, config_directory=tmp_path)


def with_extra(options: FilmOptions, **extra: str) -> FilmOptions:
    return replace(options, extra={name.replace("_", "-"): value for name, value in extra.items()})


def scan(options: FilmOptions, **wishes: object) -> tuple[FilmHeader, bytes]:
    with scan_film(options, CLOCK, **wishes) as film:  # type: ignore[arg-type]
        chunks = list(film.chunks)
    assert all(len(chunk) <= CHUNK_BYTES and len(chunk) % 2 == 0 for chunk in chunks)
    return film.header, b"".join(chunks)


def children() -> list[int]:
    """Processes below this one that have not ended."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
        if entry.name.isdecimal() and fields[1] == str(os.getpid()) and fields[0] != "Z":
            found.append(int(entry.name))
    return found


@pytest.fixture(autouse=True)
def no_child_stays() -> Iterator[None]:
    """Whatever happens to a scan, its process is gone afterwards."""
    before = set(children())
    yield
    assert set(children()) <= before


# -- the real scanimage ------------------------------------------------------------------------------------------------


def test_ok__grid_film_with_its_pixels_where_they_belong(sane: FilmOptions) -> None:
    progress: list[float] = []
    header, pixels = scan(with_extra(sane, test_picture="Grid"), on_progress=progress.append)
    assert header == FilmHeader(787, 984, 16, 100)
    assert len(pixels) == header.data_bytes == 787 * 984 * 2
    # Squares of 10 mm, black and white in turn: 39 pixels at 100 dpi.
    first_row = struct.unpack("<787H", pixels[: 787 * 2])
    assert set(first_row) == {0, 0xFFFF}
    edges = [i for i in range(1, 787) if first_row[i] != first_row[i - 1]]
    assert all(38 <= after - before <= 41 for before, after in pairwise(edges))
    assert progress[-1] == 1.0
    assert progress == sorted(progress)


def test_ok__samples_are_those_of_scanimages_own_tiff(sane: FilmOptions) -> None:
    """TIFF says its byte order, so another program's reading of it tells whether ours is right."""
    patterned = with_extra(sane, test_picture="Color pattern")
    header, pixels = scan(patterned)
    argv = ["--format=tiff" if word == "--format=pnm" else word for word in patterned.argv()]
    environment = {**os.environ, "SANE_CONFIG_DIR": str(sane.config_directory)}
    tiff = subprocess.run(argv, env=environment, check=True, capture_output=True, timeout=DEADLINE).stdout
    with Image.open(io.BytesIO(tiff)) as picture:
        assert picture.size == (header.width, header.height)
        assert picture.tobytes("raw", "I;16") == pixels


def test_ok__8_bit(sane: FilmOptions) -> None:
    with scan_film(replace(with_extra(sane, test_picture="Solid white"), depth=8), CLOCK) as film:
        pixels = b"".join(film.chunks)
    assert film.header.bits == 8
    assert pixels == b"\xff" * film.header.data_bytes


def test_ok__large_film_comes_in_bounded_pieces(sane: FilmOptions) -> None:
    header, pixels = scan(replace(sane, resolution_dpi=300, width_mm=356, height_mm=432))
    assert (header.width, header.height) == (4204, 5102)
    assert len(pixels) == 42_897_616


def test_ok__slow_digitizer_is_no_standing_one(sane: FilmOptions) -> None:
    slow = with_extra(replace(sane, stall=5.0), read_delay="yes", read_delay_duration="20000")
    header, pixels = scan(replace(slow, resolution_dpi=50))
    assert len(pixels) == header.data_bytes


# What scanimage 1.2.1 and 1.3.1 did for `--read-return-value=SANE_STATUS_X` of the test backend: the header, the words,
# the exit status. Played back, since one real run in a hundred hangs: the backend's reader waits for nobody.
@pytest.mark.parametrize(
    ("status", "words", "kind", "sentence"),
    [
        (6, "Document feeder jammed", DeviceNotReady, "The film is jammed in the film digitizer."),
        (7, "Document feeder out of documents", DeviceNotReady, "There is no film in the film digitizer."),
        (8, "Scanner cover is open", DeviceNotReady, "The film digitizer's cover is open."),
        (3, "Device busy", DeviceBusy, "The film digitizer is used by another program."),
        (9, "Error during device I/O", BadTransfer, "The film digitizer reported an error of its own."),
        (
            2,
            "Operation was cancelled",
            BadTransfer,
            "The film digitizer broke off its scan after 0 of 1,548,816 bytes.",
        ),
        # SANE_STATUS_EOF: exit status 0, and nothing behind the header.
        (0, "", BadTransfer, "The film digitizer broke off its scan after 0 of 1,548,816 bytes."),
    ],
)
def test_fail__status_of_the_backend(
    sane: FilmOptions, tmp_path: Path, status: int, words: str, kind: type[DeviceError], sentence: str
) -> None:
    script = tmp_path / "scanimage"
    script.write_text(
        "#!/bin/sh\n"
        "printf 'P5\\n# SANE data follows\\n787 984\\n65535\\n'\n"
        f"test -z '{words}' || echo 'scanimage: sane_read: {words}' >&2\n"
        f"exit {status}\n"
    )
    with pytest.raises(kind) as caught:
        scan(replace(sane, command=("/bin/sh", str(script))))
    assert caught.value.sentence == sentence


def test_fail__resolution_that_the_backend_changes_is_refused(sane: FilmOptions) -> None:
    with pytest.raises(BadTransfer, match="cannot scan at 99999 dpi; it would take 1 dpi"):
        scan(replace(sane, resolution_dpi=99999))


def test_fail__film_that_is_cut_to_the_backends_size(sane: FilmOptions) -> None:
    with pytest.raises(BadTransfer, match=r"scans 1771 × 984 pixels where 1969 × 984 were asked for"):
        scan(replace(sane, width_mm=500))


def test_fail__colour(sane: FilmOptions) -> None:
    with pytest.raises(BadTransfer, match="sends no gray image"):
        scan(replace(sane, mode="Color"))


def test_fail__no_such_digitizer(sane: FilmOptions) -> None:
    with pytest.raises(DeviceGone, match="is not there"):
        scan(replace(sane, device="epson2:libusb:001:099"))


def test_fail__setting_that_the_backend_does_not_know(sane: FilmOptions) -> None:
    with pytest.raises(DeviceError, match="refuses the scan's settings"):
        scan(with_extra(sane, nonsense="3"))


def test_fail__scanimage_is_not_installed(sane: FilmOptions) -> None:
    with pytest.raises(DeviceGone, match="cannot be started"):
        scan(replace(sane, command=("/nowhere/scanimage",)))


def test_fail__larger_than_accepted(sane: FilmOptions) -> None:
    with pytest.raises(BadTransfer, match=r"would have 1,548,816 bytes; at most 1,000 are accepted"):
        scan(replace(sane, max_bytes=1000))


def stopped(options: FilmOptions, act: Callable[[int], None], **wishes: object) -> DeviceError:
    """Scan slowly, `act` on scanimage's process once data flow, and give the error with which it ends."""
    slow = with_extra(options, read_delay="yes", read_delay_duration="200000")
    before = set(children())
    with pytest.raises(DeviceError) as caught:
        with scan_film(slow, CLOCK, **wishes) as film:  # type: ignore[arg-type]
            (child,) = set(children()) - before
            act(child)
            for _ in film.chunks:
                pass
    assert set(children()) == before, "scanimage lives on"
    return caught.value


def test_fail__digitizer_that_hangs_is_killed(sane: FilmOptions) -> None:
    began = time.monotonic()
    error = stopped(replace(sane, stall=1.0), lambda child: os.killpg(child, signal.SIGSTOP))
    assert isinstance(error, DeviceTimeout)
    assert error.sentence == "The film digitizer stood still for 1 s; the scan was stopped."
    assert time.monotonic() - began < DEADLINE


def test_fail__digitizer_that_is_killed(sane: FilmOptions) -> None:
    error = stopped(sane, lambda child: os.killpg(child, signal.SIGKILL))
    assert isinstance(error, BadTransfer)
    assert "broke off its scan after" in error.sentence


def test_fail__scan_that_takes_too_long_as_a_whole(sane: FilmOptions) -> None:
    error = stopped(replace(sane, total=1.5), lambda _child: None)
    assert isinstance(error, DeviceTimeout)
    assert error.sentence == "The film digitizer was not ready after 1.5 s; the scan was stopped."


def test_fail__cancelled_by_a_person(sane: FilmOptions) -> None:
    cancel = threading.Event()
    error = stopped(sane, lambda _child: cancel.set(), cancel=cancel)
    assert isinstance(error, ScanCancelled)


def test_ok__leaving_early_ends_the_child(sane: FilmOptions) -> None:
    slow = with_extra(sane, read_delay="yes", read_delay_duration="200000")
    before = set(children())
    with scan_film(slow, CLOCK) as film:
        assert film.header.width == 787
        assert len(set(children()) - before) == 1
    assert set(children()) == before


# -- children that no backend would imitate ----------------------------------------------------------------------------


def fake(options: FilmOptions, tmp_path: Path, program: str) -> FilmOptions:
    """A child that runs `program` in place of scanimage; 4 × 3 pixels are asked for."""
    script = tmp_path / "fake.py"
    script.write_text("import os, sys, time, signal\nout = sys.stdout.buffer\n" + program)
    return replace(
        options,
        command=(sys.executable, "-I", str(script)),
        resolution_dpi=254,
        width_mm=0.4,
        height_mm=0.3,
        warm_up=20.0,
        stall=20.0,
    )


def test_ok__header_in_single_bytes_and_odd_pieces(sane: FilmOptions, tmp_path: Path) -> None:
    program = (
        "data = b'P5\\n# SANE data follows\\n# more\\n4 3\\n65535\\n' + bytes(range(24))\n"
        "for byte in data:\n    out.write(bytes((byte,)))\n    out.flush()\n"
    )
    header, pixels = scan(fake(sane, tmp_path, program))
    assert header == FilmHeader(4, 3, 16, 254)
    assert struct.unpack("<12H", pixels) == struct.unpack(">12H", bytes(range(24)))


@pytest.mark.parametrize(
    ("program", "kind", "sentence"),
    [
        pytest.param("", BadTransfer, "ended the scan before it began", id="nothing"),
        pytest.param("out.write(b'P5\\n4 3')", BadTransfer, "ended the scan before it began", id="half a header"),
        pytest.param("out.write(b'P6\\n4 3\\n255\\n' + bytes(36))", BadTransfer, "no gray image", id="colour"),
        pytest.param("out.write(b'garbage' * 999)", BadTransfer, "no gray image", id="garbage"),
        pytest.param("out.write(b'P5\\n4 x3\\n')", BadTransfer, "damaged header", id="no number"),
        pytest.param("out.write(b'P5\\n4 9999999 1\\n')", BadTransfer, "damaged header", id="long number"),
        pytest.param("out.write(b'P5\\n#' + b'x' * 5000)", BadTransfer, "does not end", id="endless comment"),
        pytest.param("out.write(b'P5\\n0 3\\n65535\\n')", BadTransfer, "not accepted", id="no width"),
        pytest.param("out.write(b'P5\\n4 3\\n4095\\n')", BadTransfer, "not accepted", id="12 bit"),
        pytest.param("out.write(b'P5\\n4 3\\n255\\n' + bytes(12))", BadTransfer, "8 bits a pixel", id="8 bit"),
        pytest.param("out.write(b'P5\\n400 300\\n65535\\n')", BadTransfer, "asked for", id="other size"),
        pytest.param(
            "out.write(b'P5\\n4 3\\n65535\\n' + bytes(23))", BadTransfer, "after 23 of 24 bytes", id="a byte short"
        ),
        pytest.param(
            "out.write(b'P5\\n4 3\\n65535\\n' + bytes(25))", BadTransfer, "more than its image", id="too much"
        ),
        pytest.param(
            "out.write(b'P5\\n4 3\\n65535\\n' + bytes(24)); out.flush(); sys.exit(9)",
            BadTransfer,
            "error of its own",
            id="whole, and an error",
        ),
        pytest.param(
            "out.write(b'P5\\n4 3\\n65535\\n' + bytes(24)); out.flush(); os.kill(os.getpid(), signal.SIGSEGV)",
            BadTransfer,
            "did not end its scan properly",
            id="whole, and a crash",
        ),
    ],
)
def test_fail__what_comes_is_no_film(
    *, sane: FilmOptions, tmp_path: Path, program: str, kind: type[DeviceError], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence) as caught:
        scan(fake(sane, tmp_path, program))
    assert caught.value.sentence.count(". ") == 0


def test_fail__child_that_ignores_term_and_its_own_children_are_killed(sane: FilmOptions, tmp_path: Path) -> None:
    note = tmp_path / "grandchild"
    program = (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "grandchild = os.fork()\n"
        f"if grandchild:\n    open({str(note)!r}, 'w').write(str(grandchild))\n"
        "    out.write(b'P5\\n4 3\\n65535\\n')\n    out.flush()\n"
        "time.sleep(600)\n"
    )
    with pytest.raises(DeviceTimeout, match="stood still"):
        scan(replace(fake(sane, tmp_path, program), stall=0.5))
    grandchild = int(note.read_text())
    end = time.monotonic() + DEADLINE
    while _is_running(grandchild):
        assert time.monotonic() < end, "a grandchild lives on"
        time.sleep(0.02)


def _is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_ok__12_bit_lie_in_two_bytes(sane: FilmOptions, tmp_path: Path) -> None:
    data = struct.pack(">12H", *range(4084, 4096))
    options = replace(fake(sane, tmp_path, f"out.write(b'P5\\n4 3\\n65535\\n' + {data!r})\n"), depth=12)
    header, pixels = scan(options)
    assert (header.bits, header.data_bytes, pixels) == (12, 24, struct.pack("<12H", *range(4084, 4096)))


def test_fail__samples_of_more_bits_than_were_asked_for(sane: FilmOptions, tmp_path: Path) -> None:
    data = struct.pack(">12H", *range(4085, 4097))
    options = replace(fake(sane, tmp_path, f"out.write(b'P5\\n4 3\\n65535\\n' + {data!r})\n"), depth=12)
    with pytest.raises(BadTransfer, match="gives samples of more than the 12 bits"):
        scan(options)


def test_ok__a_child_that_complains_without_end_does_not_block(sane: FilmOptions, tmp_path: Path) -> None:
    program = "sys.stderr.write('x' * 3_000_000)\nout.write(b'P5\\n4 3\\n65535\\n' + bytes(24))\n"
    assert scan(fake(sane, tmp_path, program))[1] == bytes(24)


def test_ok__time_that_the_reader_takes_is_not_the_digitizers(sane: FilmOptions) -> None:
    with scan_film(replace(sane, stall=0.5, resolution_dpi=300), CLOCK) as film:
        count = 0
        for chunk in film.chunks:
            if count == 0:
                time.sleep(1.0)
            count += len(chunk)
    assert count == film.header.data_bytes


# -- the header --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "header"),
    [
        (b"P5\n# SANE data follows\n4204 5102\n65535\n", PnmHeader(4204, 5102, 16, 39)),
        (b"P5 1 2 255\n", PnmHeader(1, 2, 8, 11)),
        (b"P5\n#c\n1\n#c\n2\t\r\n65535\n\n", PnmHeader(1, 2, 16, 21)),
        (b"P5\n1 2\n65535", None),
        (b"P5\n#", None),
        (b"P", None),
        (b"", None),
    ],
)
def test_ok__pnm_headers(data: bytes, header: PnmHeader | None) -> None:
    assert pnm_header_from(data) == header


@given(st.binary(max_size=1500), st.booleans())
def test_ok__pnm_header_from_arbitrary_bytes(data: bytes, marked: bool) -> None:
    try:
        header = pnm_header_from(b"P5\n" + data if marked else data)
    except BadTransfer:
        return
    assert header is None or (header.width > 0 and header.height > 0)


def test_ok__what_is_asked_for() -> None:
    options = FilmOptions("test:0", 300, 356, 432, depth=12, source="ADF Front", left_mm=10, top_mm=2.5)
    assert options.argv() == [
        *("scanimage", "--device-name=test:0", "--format=pnm", "--mode=Gray", "--depth=12", "--resolution=300"),
        *("--source=ADF Front", "-l", "10", "-t", "2.5", "-x", "356", "-y", "432"),
    ]


def test_ok__an_area_of_the_film(sane: FilmOptions) -> None:
    """The backend draws the same picture everywhere; that it takes the place is all that can be seen."""
    header, pixels = scan(replace(sane, left_mm=100, top_mm=100, source="Flatbed"))
    assert (header.width, header.height, len(pixels)) == (787, 984, header.data_bytes)


def test_ok__no_value_is_taken_for_an_option() -> None:
    options = FilmOptions("--batch", 100, 200, 250, extra={"test-picture": "-o/etc/passwd"})
    assert all(word.startswith("-") or word in ("scanimage", "200", "250") for word in options.argv())
    assert "--device-name=--batch" in options.argv()
