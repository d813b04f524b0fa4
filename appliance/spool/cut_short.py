"""The durable mark of a clip that an interruption cut short: it lies in the object's own file.

PS3.10 7.1 leaves the preamble, the file's first 128 bytes, to the implementation. Being there from the beginning, it
can be filled in place; being part of the file, it is covered by the digest and comes and goes with the object. It is
no part of the data set: what is sent stays the same.
"""

from __future__ import annotations

import re

PREAMBLE_BYTES = 128
_MARK = re.compile(rb"CUT SHORT(?: WITHOUT (?P<left_out>[1-9][0-9]{0,8}))?\x00*\Z")


def cut_short_preamble(left_out: int = 0) -> bytes:
    """The preamble of a clip that was cut short; `left_out` frames before its last one were damaged."""
    mark = f"CUT SHORT WITHOUT {left_out}" if left_out else "CUT SHORT"
    return mark.encode().ljust(PREAMBLE_BYTES, b"\0")


def is_cut_short(preamble: bytes | None) -> bool:
    """Whether a file that begins with `preamble` is a clip that an interruption cut short."""
    return _MARK.match(preamble or b"") is not None


def left_out_of(preamble: bytes | None) -> int:
    """How many frames of it were damaged and left out."""
    match = _MARK.match(preamble or b"")
    return int(match["left_out"] or 0) if match else 0


def cut_short_sentence(frames: int, device: str = "", left_out: int = 0) -> str:
    """What is said of such a clip, of which `frames` are saved; with its device where that is not known anyway."""
    clip = f"A clip of the device {device}" if device else "A clip"
    saved = "one frame is saved as a still" if frames == 1 else f"{frames} frames up to there are saved"
    sentence = f"{clip} was cut short by an interruption; its {saved}."
    if left_out == 1:
        return f"{sentence} One frame was damaged on flash and is left out."
    return f"{sentence} {left_out} frames were damaged on flash and are left out." if left_out else sentence
