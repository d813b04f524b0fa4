"""The durable mark of a clip that an interruption cut short: it lies in the object's own file.

PS3.10 7.1 leaves the preamble, the file's first 128 bytes, to the implementation. Being there from the beginning, it
can be filled in place; being part of the file, it is covered by the digest and comes and goes with the object. It is
no part of the data set: what is sent stays the same.
"""

from __future__ import annotations

PREAMBLE_BYTES = 128
CUT_SHORT_PREAMBLE = b"CUT SHORT".ljust(PREAMBLE_BYTES, b"\0")


def is_cut_short(preamble: bytes | None) -> bool:
    """Whether a file that begins with `preamble` is a clip that an interruption cut short."""
    return preamble == CUT_SHORT_PREAMBLE


def cut_short_sentence(frames: int, device: str = "") -> str:
    """What is said of such a clip, of which `frames` are saved; with its device where that is not known anyway."""
    clip = f"A clip of the device {device}" if device else "A clip"
    rest = "one frame is saved as a still" if frames == 1 else f"{frames} frames up to there are saved"
    return f"{clip} was cut short by an interruption; its {rest}."
