"""The ultrasound at the far end of a serial line: whoever presses its print key gets a file by XMODEM.

The line is a pty pair. The machine keeps both ends open, so that the box may come and go, and a symlink in the run
directory names the near end as udev would name an adapter.
"""

from __future__ import annotations

import io
import os
import struct
import threading
import tty
import zlib
from enum import StrEnum
from pathlib import Path

from appliance.base.clock import Clock
from appliance.base.durable import TEMPORARY_PREFIX, make_directory, replace_file
from appliance.base.errors import ApplianceError
from appliance.simulator.machines.ultrasound_picture import render_ultrasound
from appliance.simulator.machines.xmodem_sender import LineFault, Outcome, Protocol, XmodemSender


class FileFormat(StrEnum):
    """What the machine writes its image as."""

    PNG = "png"
    BMP = "bmp"
    JPEG = "jpeg"


class FileFault(StrEnum):
    """What is wrong with the file itself."""

    NOT_AN_IMAGE = "not-an-image"
    TOO_LARGE = "too-large"


PrintFault = LineFault | FileFault


class Ultrasound:
    """One machine; `link` is the near end's name, `memory` the file with the number of its last print."""

    def __init__(self, link: Path, memory: Path, clock: Clock) -> None:
        self._clock = clock
        self._memory = memory
        self._stop = threading.Event()
        self._printing = threading.Lock()
        self._last: Outcome | None = None
        self._far, self._near = os.openpty()
        tty.setraw(self._near)
        os.set_blocking(self._far, False)
        _replace_link(link, os.ttyname(self._near))
        make_directory(memory.parent)
        self._number = int(memory.read_bytes()) if memory.exists() else 0

    def print_image(self, file_format: FileFormat, protocol: Protocol, fault: PrintFault | None) -> Outcome:
        """Press the print key: answers when the transfer has ended. ApplianceError while another print is going on."""
        if not self._printing.acquire(blocking=False):
            raise ApplianceError("The ultrasound is printing already.", "Wait until it has ended.")
        try:
            self._number += 1
            replace_file(self._memory, str(self._number).encode())
            data = self._file(file_format, fault)
            line_fault = fault if isinstance(fault, LineFault) else None
            self._last = XmodemSender(self._far, self._clock, self._stop).send_file(data, protocol, line_fault)
            return self._last
        finally:
            self._printing.release()

    def status(self) -> dict[str, object]:
        return {
            "prints": self._number,
            "printing": self._printing.locked(),
            "sentence": self._last.sentence if self._last is not None else "Nothing has been printed yet.",
        }

    def close(self) -> None:
        """Switch the machine off; a print that is going on ends."""
        self._stop.set()
        with self._printing:
            os.close(self._far)
            os.close(self._near)

    def _file(self, file_format: FileFormat, fault: PrintFault | None) -> bytes:
        if fault is FileFault.NOT_AN_IMAGE:
            return b"SERVICE REPORT 1987\r\nPROBE 3.5 MHZ OK\r\nGAIN TABLE OK\r\n" * 40
        if fault is FileFault.TOO_LARGE:
            return _huge_png(30_000)
        coded = io.BytesIO()
        picture = render_ultrasound(self._number, self._clock.now())
        if file_format is FileFormat.JPEG:
            picture.save(coded, "JPEG", quality=90)
        else:
            picture.save(coded, file_format.value.upper())
        return coded.getvalue()


def _replace_link(link: Path, target: str) -> None:
    """Let `link` point to `target` from one moment to the next: whoever opens it finds the old or the new line."""
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{link.name}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.rename(link)


def _huge_png(side: int) -> bytes:
    """A small file that says it is `side` × `side` pixels large (PNG, 3rd edition, 11.2)."""

    def chunk(kind: bytes, payload: bytes) -> bytes:
        return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    rows = zlib.compress(bytes(64 * (side + 1)), 9)
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
