"""The flash fails: what that means, in words for people, and the two ways in which they hear of it.

Everything that touches the medium raises OSError, the journal's own errors included. Whoever was asked for something
answers with a sentence (`in_words`); whatever runs by itself leaves a finding, goes on with the rest, and tries again
(`telling_of_flash`). Nothing else turns a failing flash into words.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from appliance.base.errors import ApplianceError, Finding
from appliance.base.findings import FindingBoard

UNWRITABLE_CODE = "flash-unwritable"
FAILING = "The flash is failing: call support and have it replaced. What was saved before stays."
_FULL = "Images wait until the archive has committed them; check that the archive can be reached."
_WORDS = {
    errno.EIO: ("the flash gives back errors", FAILING),
    errno.EBADMSG: ("a checksum of the flash is wrong", FAILING),
    errno.EUCLEAN: ("the flash's directories are damaged", FAILING),
    errno.EROFS: ("the flash has become read-only", f"Start the box again, once. {FAILING}"),
    errno.ENOSPC: ("the flash is full", _FULL),
    errno.EDQUOT: ("the flash is full", _FULL),
}


class FlashError(ApplianceError):
    """What was asked could not be done, since the flash failed."""


def reason_of(error: OSError) -> str:
    """Why, without the path; the system's words for what is not the flash's."""
    number = error.errno if error.errno is not None else errno.EIO
    return _WORDS[number][0] if number in _WORDS else os.strerror(number)


def advice_of(error: OSError) -> str:
    """What a person can do about it."""
    return _WORDS.get(error.errno or errno.EIO, ("", "Call support if it stays."))[1]


def flash_error_from(error: OSError, sentence: str, suggestion: str = "") -> FlashError:
    """`sentence`, which has no full stop, and why; `suggestion` comes before what is advised for this failure."""
    return FlashError(f"{sentence}: {reason_of(error)}.", f"{suggestion} {advice_of(error)}".lstrip())


def flash_finding_from(error: OSError, code: str, sentence: str, suggestion: str = "", subject: str = "") -> Finding:
    """As `flash_error_from`, for what runs by itself."""
    told = flash_error_from(error, sentence, suggestion)
    return Finding(code, told.sentence, told.suggestion, subject)


@contextmanager
def in_words(sentence: str, suggestion: str = "") -> Iterator[None]:
    """An OSError inside becomes a FlashError."""
    try:
        yield
    except OSError as error:
        raise flash_error_from(error, sentence, suggestion) from error


@contextmanager
def telling_of_flash(
    findings: FindingBoard, code: str, sentence: str, suggestion: str = "", subject: str = ""
) -> Iterator[None]:
    """An OSError inside becomes the finding (`code`, `subject`) and ends the block; a block that is whole clears it."""
    try:
        yield
    except OSError as error:
        findings.report(flash_finding_from(error, code, sentence, suggestion, subject))
    else:
        findings.clear(code, subject)
