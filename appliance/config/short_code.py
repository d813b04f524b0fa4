"""The short code of a configuration's file: what two people compare who do not share a machine.

Whoever wrote a stick reads the code there, whoever stands at the box reads the code of the file that lies on the stick
now; where they are equal, so are the files. What has to be hard is to make *another* file with the code of a given one:
twelve of 24 letters are 55 bits, and each try costs 32 MiB and some 0.1 s of a processor (scrypt, RFC 7914). A thousand
graphics processors with a few thousand tries a second each would need more than a century; of a bare SHA-256 and 40
bits, ten hexadecimal digits, one of them needs two minutes.
"""

from __future__ import annotations

import hashlib

# No two of them are taken for each other: without 0, O and Q, 1 and I, 2 and Z, 5 and S, 8 and B, U.
LETTERS = "34679ACDEFGHJKLMNPRTVWXY"
_LENGTH, _GROUP = 12, 4
# The purpose alone: the code must be the same on both sides, so nothing of it can be random.
_SALT = b"modality-bridge: the short code of a configuration"
_COST, _BLOCK, _PARALLEL = 2**15, 8, 1
_MOST_MEMORY = 64 * 1024 * 1024


def short_code_of(text: bytes) -> str:
    """The code of a file's bytes: three groups of four letters, `ACDE-F347-HJKL`."""
    digest = hashlib.scrypt(
        hashlib.sha256(text).digest(), salt=_SALT, n=_COST, r=_BLOCK, p=_PARALLEL, maxmem=_MOST_MEMORY, dklen=32
    )
    number, letters = int.from_bytes(digest, "big"), ""
    for _ in range(_LENGTH):
        number, place = divmod(number, len(LETTERS))
        letters += LETTERS[place]
    return "-".join(letters[first : first + _GROUP] for first in range(0, _LENGTH, _GROUP))


def is_short_code(text: str) -> bool:
    """Whether `text` could be one."""
    groups = text.split("-")
    return len(groups) == _LENGTH // _GROUP and all(len(one) == _GROUP and set(one) <= set(LETTERS) for one in groups)
