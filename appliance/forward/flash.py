"""The flash fails for one file: that is told, and everything else goes on."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from appliance.base.errors import Finding
from appliance.base.findings import FindingBoard


@contextmanager
def telling_of_flash(findings: FindingBoard, code: str, sentence: str, suggestion: str, subject: str) -> Iterator[None]:
    """An OSError inside becomes the finding (`code`, `subject`) and ends the block; a block that is whole clears it.

    `sentence` has no full stop: the system's reason is put behind it.
    """
    try:
        yield
    except OSError as error:
        findings.report(Finding(code, f"{sentence} ({reason_of(error)}).", suggestion, subject))
    else:
        findings.clear(code, subject)


def reason_of(error: OSError) -> str:
    """Why, in the system's words and without the path."""
    return os.strerror(error.errno if error.errno is not None else errno.EIO)
