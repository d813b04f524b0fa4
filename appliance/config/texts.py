"""What texts in the configuration may look like, and what is said of one that does not."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from appliance.base.pins import KEPT_PIN

# What people are told of a text that does not fit: pattern → sentence. Filled beside the patterns.
SHAPES: dict[str, str] = {}


def shape(pattern: str, sentence: str, *, strip: bool = False) -> StringConstraints:
    """Texts that match `pattern`; of one that does not `sentence` is said."""
    SHAPES[pattern] = sentence
    return StringConstraints(pattern=pattern, strip_whitespace=strip)


# PS3.5 6.2 for AE, CS, LO and SH.
AETitle = Annotated[
    str,
    shape(
        r"^[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?$",
        "must be an AE title: 1 to 16 ASCII characters, no backslash, no space at either end",
    ),
]
# A name becomes part of directories, unit instances and sockets.
Name = Annotated[
    str,
    shape(
        r"^[a-z][a-z0-9-]{0,23}$",
        "must be a name: 1 to 24 of small letters, digits and hyphens, a letter first",
    ),
]
# Performed Station Name (0040,0242) is SH: a longer name of the box would be refused with every performed step.
BoxName = Annotated[
    str,
    shape(
        r"^[a-z][a-z0-9-]{0,15}$",
        "must be a short name: 1 to 16 of small letters, digits and hyphens, a letter first",
    ),
]
HardwareName = Annotated[
    str, shape(r"^[a-z][a-z0-9-]{0,39}$", "must be a name of known_devices.toml: small letters, digits and hyphens")
]
CodeString = Annotated[str, shape(r"^[A-Z0-9_]{1,16}$", "must be 1 to 16 of capital letters, digits and underscores")]
LongString = Annotated[
    str, shape(r"^[^\\\x00-\x1f]{0,64}$", "must have at most 64 characters and no backslash", strip=True)
]
ShortString = Annotated[
    str, shape(r"^[^\\\x00-\x1f]{0,16}$", "must have at most 16 characters and no backslash", strip=True)
]
KeptPin = Annotated[str, shape(KEPT_PIN, "must be what `appliance pin` prints")]
Host = Annotated[str, shape(r"^[^\s/]{1,253}$", "must be a host's name or address")]
# What becomes part of an address in a unit's file.
HostName = Annotated[str, shape(r"^[A-Za-z0-9._:-]{1,253}$", "must be a host's name or address")]
# Specific Character Set (0008,0005): defined terms of PS3.3 C.12.1.1.2, several joined by a backslash.
_TERM = (
    r"(ISO_IR (6|13|100|101|109|110|126|127|138|144|148|166|192)|GB18030|GBK"
    r"|ISO 2022 IR (6|13|58|87|100|101|109|110|126|127|138|144|148|149|159|166))"
)
CharacterSet = Annotated[
    str, shape(rf"^{_TERM}?(\\{_TERM})*$", 'must be a DICOM character set, "ISO_IR 192" for instance')
]


def _check_path(path: Path) -> Path:
    if not str(path).isprintable():
        raise ValueError("must be a path on one line, without control characters")
    return path


# A path that becomes part of a unit's file.
PlainPath = Annotated[Path, AfterValidator(_check_path)]
Port = Annotated[int, Field(ge=1, le=65535)]
Fingerprint = Annotated[
    str,
    shape(
        r"^(?:[0-9a-fA-F]{2}:?){31}[0-9a-fA-F]{2}$",
        "must be a certificate's SHA-256 fingerprint: 64 hexadecimal digits, colons between pairs or none",
    ),
]


class Section(BaseModel):
    # Built when it is first validated: together, and not one by one at import. For the same haste annotations are
    # values in the modules of sections (no `from __future__`): as texts each is compiled several times at every start.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
