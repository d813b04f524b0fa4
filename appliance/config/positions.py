"""Where keys stand: on which line of a TOML text, and at which path, of what a person wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from appliance.base.errors import ApplianceError

Keys = tuple[str | int, ...]
"""A key as code writes it: `("destinations", 0, "port")`."""

_PART = re.compile(r"(?P<name>[a-z_]+)(?:\[(?P<which>[^\]]+)\])?")
_BLANK = " \t"
_SPACE = " \t\r\n"
_BARE_END = " \t\r\n.=]"
_SCALAR_END = ",]}\r\n#"


def lines_of_keys(text: str) -> Mapping[Keys, int]:
    """Every key, table and element of an array → its line, counted from 1.

    `text` is TOML that a parser took (v1.0.0): nothing is checked here, and of what is none, whatever comes out is
    without meaning.
    """
    reader = _Reader(text)
    reader.read()
    return reader.lines


def line_of(lines: Mapping[Keys, int], path: Keys) -> int | None:
    """The line of `path`, or of the nearest section around it that is written; None for what stands nowhere."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


class EditError(ApplianceError):
    """There is no such key, or the text cannot be changed so."""


def keys_from(written: str, tree: Mapping[str, Any]) -> Keys:
    """`destinations[0].port` or, by its name, `destinations[archive].port` as a path into `tree`. EditError."""
    keys: Keys = ()
    inside: Any = tree
    for part in written.split("."):
        match = _PART.fullmatch(part)
        if match is None:
            raise EditError(f'"{written}" is no key.', "Write it as `appliance config show` does: destinations[0].port")
        inside = inside.get(match["name"]) if isinstance(inside, Mapping) else None
        keys = (*keys, match["name"])
        if match["which"] is not None:
            entries = inside if isinstance(inside, list) else []
            number = _number_of(match["which"], entries, written)
            keys = (*keys, number)
            inside = entries[number] if number < len(entries) else None
    return keys


def _number_of(which: str, entries: Sequence[Any], written: str) -> int:
    if which.isascii() and which.isdigit():
        # One more than there are is a new one.
        if int(which) > len(entries):
            raise EditError(f'"{written}" is beyond the last one, which is {len(entries) - 1}.' if entries else
                            f'"{written}": there is none yet; the first one is 0.')  # fmt: skip
        return int(which)
    for number, entry in enumerate(entries):
        if isinstance(entry, Mapping) and entry.get("name") == which:
            return number
    names = ", ".join(str(entry.get("name")) for entry in entries if isinstance(entry, Mapping)) or "none"
    raise EditError(f'"{written}": nothing there is called "{which}".', f"There are: {names}.")


@dataclass(slots=True)
class _Reader:
    text: str
    at: int = 0
    line: int = 1
    lines: dict[Keys, int] = field(default_factory=dict)
    tables: dict[Keys, int] = field(default_factory=dict)  # of each array of tables, how many there are

    def read(self) -> None:
        section: Keys = ()
        while self._skip(_SPACE):
            if self._peek() == "[":
                section = self._read_header()
            else:
                self._read_pair(section)

    def _read_header(self) -> Keys:
        line = self.line
        is_array = self.text.startswith("[[", self.at)
        self.at += 2 if is_array else 1
        section: Keys = ()
        keys = self._read_key()
        for key in keys[:-1]:
            self.lines.setdefault((*section, key), line)
            section = self._inside((*section, key))
        section = (*section, keys[-1])
        if is_array:
            self.tables[section] = self.tables.get(section, 0) + 1
            self.lines.setdefault(section, line)
            section = self._inside(section)
        self.at += 2 if is_array else 1
        self.lines.setdefault(section, line)
        return section

    def _inside(self, path: Keys) -> Keys:
        return (*path, self.tables[path] - 1) if path in self.tables else path

    def _read_pair(self, section: Keys) -> None:
        line = self.line
        path = section
        for key in self._read_key():
            path = (*path, key)
            self.lines.setdefault(path, line)
        self.at += 1  # =
        self._skip(_BLANK)
        self._read_value(path)

    def _read_key(self) -> list[str]:
        """`a . "b.c"`, up to what follows it."""
        keys = []
        while True:
            self._skip(_BLANK)
            if self._peek() in "\"'":
                keys.append(self._read_text())
            else:
                start = self.at
                while self._peek() not in _BARE_END:
                    self.at += 1
                keys.append(self.text[start : self.at])
            self._skip(_BLANK)
            if self._peek() != ".":
                return keys
            self.at += 1

    def _read_value(self, path: Keys) -> None:
        self.lines.setdefault(path, self.line)
        match self._peek():
            case "[":
                self._read_elements(path)
            case "{":
                self._read_inline(path)
            case '"' | "'":
                self._read_text()
            case _:
                while self._peek() not in _SCALAR_END:
                    self.at += 1

    def _read_elements(self, path: Keys) -> None:
        self.at += 1
        number = 0
        while self._skip(_SPACE + ",") and self._peek() != "]":
            self._read_value((*path, number))
            number += 1
        self.at += 1

    def _read_inline(self, path: Keys) -> None:
        self.at += 1
        while self._skip(_SPACE + ",") and self._peek() != "}":
            self._read_pair(path)
        self.at += 1

    def _read_text(self) -> str:
        """A text in any of the four ways of quoting, as it is written: of keys nobody writes escapes."""
        quote = self._peek()
        mark = quote * 3 if self.text.startswith(quote * 3, self.at) else quote
        start = self.at = self.at + len(mark)
        while self.at < len(self.text) and not self.text.startswith(mark, self.at):
            self.at += 2 if quote == '"' and self._peek() == "\\" else 1
        end = self.at
        self.at += len(mark)
        while len(mark) == 3 and self._peek() == quote:  # quotes may stand before the closing three
            self.at += 1
        self.line += self.text.count("\n", start, end)
        return self.text[start:end]

    def _skip(self, what: str) -> bool:
        """Pass over `what`, and comments where ends of lines are among it; false at the text's end."""
        while self.at < len(self.text):
            letter = self.text[self.at]
            if letter == "#" and "\n" in what:
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif letter in what:
                self.line += letter == "\n"
                self.at += 1
            else:
                return True
        return False

    def _peek(self) -> str:
        # At the end: a letter that ends everything.
        return self.text[self.at] if self.at < len(self.text) else "\n"
