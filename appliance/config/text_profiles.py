"""What a machine's text looks like on its line, and what its fields are called: profiles, as data in TOML files.

Those that come with the software lie in `profiles/`; a site's own is a file that its configuration names. Marks are
single bytes in hexadecimal, as manuals give them.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from appliance.base.errors import ApplianceError
from appliance.base.flash import reason_of
from appliance.config.texts import CodeString, LongString, Section

DIRECTORY = Path(__file__).parent / "profiles"
MAX_FILE_BYTES = 256 * 1024


def _byte_from(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch("[0-9A-Fa-f]{2}", value):
        return int(value, 16)
    raise ValueError("must be one byte as two hexadecimal digits, in quotes")


def _expression_from(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return value


Mark = Annotated[int, BeforeValidator(_byte_from), Field(ge=0, le=255)]
Expression = Annotated[str, Field(min_length=1, max_length=500), BeforeValidator(_expression_from)]
Checksum = Literal["none", "sum8-hex", "sum16-hex", "xor8-hex"]


class Framing(Section):
    """How a message stands on the line. A mark that is left out does not exist in this protocol.

    `opens` and `closes` stand around a session; `start` and `end` around a frame, `more` ends one whose message goes on
    in the next. Without `end` a frame ends after `quiet_seconds` of silence. With `numbered` a digit behind `start`
    counts frames, 1 to 7, then 0. The checksum is written behind the end mark in hexadecimal digits, over everything
    from behind `start`, or from `start` on (`checksum_with_start`), through the end mark, without the bytes in
    `uncounted`; where it is not `checksum_required` a frame that has none counts as good. `ack` and `nak` answer to a
    frame. A record that begins with `last_record` ends the message; without one, each `end` does.
    """

    opens: Mark | None = None
    closes: Mark | None = None
    start: Mark | None = None
    end: Mark | None = None
    more: Mark | None = None
    numbered: bool = False
    checksum: Checksum = "none"
    checksum_with_start: bool = False
    checksum_required: bool = True
    uncounted: tuple[Mark, ...] = ()
    ack: Mark | None = None
    nak: Mark | None = None
    record_end: Mark = Field(default="0d", validate_default=True)
    last_record: str = Field(default="", max_length=16)
    quiet_seconds: float = Field(default=0.5, ge=0.1, le=10)
    gap_seconds: float = Field(default=30.0, ge=1, le=120)
    max_retries: int = Field(default=6, ge=1, le=100)

    @model_validator(mode="after")
    def _check_marks(self) -> Self:
        marks = [one for one in (self.opens, self.closes, self.start, self.end, self.more) if one is not None]
        if len(set(marks)) != len(marks):
            raise ValueError("opens, closes, start, end and more must be different bytes")
        if self.end is None and (self.more is not None or self.checksum != "none" or self.numbered):
            raise ValueError("a frame without an end mark has no checksum, no number and nothing behind it")
        if (self.ack is None) != (self.nak is None):
            raise ValueError("ack and nak belong together")
        return self


class Place(Section):
    """Where a value stands: in the records that begin with `record`, or in the one group of `pattern`.

    Fields and components are counted from 1, as ASTM E1394 does: the record's own name is field 1.
    """

    record: str = Field(default="", max_length=16)
    field: int = Field(default=0, ge=0, le=200)
    component: int = Field(default=0, ge=0, le=50)
    pattern: Expression | None = None

    @model_validator(mode="after")
    def _check_place(self) -> Self:
        if (self.pattern is None) != bool(self.record and self.field):
            raise ValueError("needs either a pattern, or a record and a field")
        if self.pattern is not None and re.compile(self.pattern).groups != 1:
            raise ValueError("its pattern needs exactly one group")
        return self


class TextField(Place):
    """One value with a label. `is_patient_id` marks the machine's own idea of who the patient is."""

    label: LongString
    is_patient_id: bool = False


class Column(Section):
    """A column of a table: a field of each of its records, or a group of its pattern, counted from 1."""

    title: LongString
    field: int = Field(ge=1, le=200)
    component: int = Field(default=0, ge=0, le=50)


class TextTable(Section):
    """Values that come several times: one row for each record, or for each match of `pattern`."""

    title: LongString = ""
    record: str = Field(default="", max_length=16)
    pattern: Expression | None = None
    columns: tuple[Column, ...] = Field(min_length=1, max_length=12)

    @model_validator(mode="after")
    def _check_rows(self) -> Self:
        if (self.pattern is None) != bool(self.record):
            raise ValueError("needs either a pattern or a record")
        if self.pattern is not None and re.compile(self.pattern).groups < max(one.field for one in self.columns):
            raise ValueError("its pattern has fewer groups than its columns ask for")
        return self


class TextProfile(Section):
    """A machine's text. `format` becomes Digital Image Format Acquired (0018,1023)."""

    title: LongString
    format: LongString
    encoding: Literal["ascii", "latin-1", "cp437", "cp850", "cp1252", "utf-8", "shift-jis"] = "latin-1"
    # Where the first record begins so, it says itself which characters separate fields and components (E1394, 6.4).
    delimiters_in: str = Field(default="", max_length=16)
    framing: Framing
    fields: tuple[TextField, ...] = Field(default=(), max_length=100)
    tables: tuple[TextTable, ...] = Field(default=(), max_length=20)
    modality: CodeString | None = None


def list_profiles() -> list[str]:
    """The names of the profiles that come with the software."""
    return sorted(path.stem for path in DIRECTORY.glob("*.toml"))


def load_profile(name: str) -> TextProfile:
    """The profile of this name, or in this file, if `name` is a path. ApplianceError with what is wrong with it."""
    path = Path(name) if "/" in name else DIRECTORY / f"{name}.toml"
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ApplianceError(f"The text profile {path.name} is too large.", "Check which file is named.")
        return TextProfile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        known = ", ".join(list_profiles())
        raise ApplianceError(
            f"The text profile {name} cannot be read: {reason_of(error)}.", f"There are: {known}; or name a file."
        ) from error
    except ValidationError as error:
        where = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}" for one in error.errors()
        )
        raise ApplianceError(f"The text profile {path.name} is wrong: {where}.", "Mend the file.") from error
    except ValueError as error:  # no TOML, or no text
        raise ApplianceError(f"The text profile {path.name} is no TOML file: {error}.", "Mend the file.") from error
