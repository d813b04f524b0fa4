"""What a broken or hostile peer makes of good bytes. The same seed makes the same of them."""

from __future__ import annotations

import random
import struct

_LENGTHS = (0, 1, 2, 5, 0x7F, 0xFF, 0xFFFF, 0x1_0000, 0x7FFF_FFFF, 0xFFFF_FFFE, 0xFFFF_FFFF)


def mutate(data: bytes, chance: random.Random) -> bytes:
    """`data` with one to four things wrong."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed) + 1)
        match chance.randrange(9):
            case 0:  # bits
                for _ in range(chance.randint(1, 8)):
                    if changed:
                        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
            case 1:  # cut off
                del changed[at:]
            case 2:  # something is missing
                del changed[at : at + chance.randint(1, 40)]
            case 3:  # something is in between
                changed[at:at] = chance.randbytes(chance.randint(1, 40))
            case 4:  # twice
                changed[at:at] = changed[at : at + chance.randint(1, 200)]
            case 5:  # a length, of the PDU or of anything in it, is another
                if len(changed) > 6:
                    begin = chance.choice((2, chance.randrange(len(changed) - 4)))
                    order = chance.choice("<>")
                    changed[begin : begin + 4] = struct.pack(f"{order}I", chance.choice(_LENGTHS))
            case 6:  # a length of two bytes
                if len(changed) > 6:
                    begin = chance.randrange(len(changed) - 2)
                    changed[begin : begin + 2] = struct.pack(">H", chance.choice(_LENGTHS) & 0xFFFF)
            case 7:  # another type of PDU
                if changed:
                    changed[0] = chance.choice((*range(9), 0x16, 0xFF))
            case _:  # noise at the end
                changed += chance.randbytes(chance.choice((1, 30, 3000)))
    return bytes(changed)
