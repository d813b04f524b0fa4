"""How far a trail was written, beside it: by this an end that was cut off is noticed, and no number is given twice.

The mark is written over in place behind each record and never synced, so that a record costs one sync and no more. A
power cut leaves an older mark, which says nothing wrong, or none that holds its own digest, which is none. What it
cannot show: an end that was cut off together with it, or within the moments before it reached flash.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

from appliance.base.durable import write_all
from appliance.base.flash import reason_of

_log = logging.getLogger(__name__)

_NAME = "last"
_DIGITS = 20


def mark_path(trail: Path) -> Path:
    """The mark of a trail: there as soon as its first record is."""
    return trail / _NAME


def write_mark(trail: Path, number: int) -> None:
    """Say that the record `number` of the trail is durable. Where flash does not take it, the mark before stands.

    The record is what counts, and that is durable: the next one makes the mark whole again.
    """
    try:
        descriptor = os.open(mark_path(trail), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            write_all(descriptor, _bytes_from(number))
        finally:
            os.close(descriptor)
    except OSError as error:
        _log.error("how far the audit trail of %s was written is not noted: %s", trail.name, reason_of(error))


def read_mark(trail: Path) -> int:
    """The number of the last record that is known to have been written; 0 where nothing is known."""
    try:
        data = mark_path(trail).read_bytes()
    except FileNotFoundError:
        return 0
    except OSError as error:
        _log.error("how far the audit trail of %s was written cannot be read: %s", trail.name, reason_of(error))
        return 0
    text = data[:_DIGITS]
    return int(text) if text.isdigit() and data == _bytes_from(int(text)) else 0


def _bytes_from(number: int) -> bytes:
    """Always of one length: the number, and the beginning of its SHA-256."""
    text = f"{number:0{_DIGITS}d}"
    return f"{text} {hashlib.sha256(text.encode()).hexdigest()[:16]}\n".encode()
