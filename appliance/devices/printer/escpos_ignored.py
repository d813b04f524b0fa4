"""ESC/POS commands that change nothing on the paper here, and how many bytes follow each of them."""

from __future__ import annotations

IGNORED_ESC = {
    **dict.fromkeys(b"LSv<", 0),
    **dict.fromkeys(b"%=?EGKTUVeru{", 1),
    ord("c"): 2,
    ord("p"): 3,
    ord("W"): 8,
}
IGNORED_GS = {ord(":"): 0, **dict.fromkeys(b"BHhwfabrIETj", 1), **dict.fromkeys(b"P$\\", 2), ord("^"): 3}
IGNORED_FS = {**dict.fromkeys(b"&.", 0), **dict.fromkeys(b"!-WC", 1), **dict.fromkeys(b"S?", 2), ord("2"): 74}
# Requests in real time, DLE n: how many bytes follow.
IGNORED_DLE = {0x04: 1, 0x05: 1}
IGNORED_DC4 = {1: 2, 2: 2, 7: 1, 8: 7}
