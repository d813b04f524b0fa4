"""Reading a configuration file: every error at once, each with file and key."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from appliance.base.errors import ApplianceError
from appliance.config.schema import Configuration

MAX_FILE_BYTES = 1024 * 1024

# The commented example: the demo's own configuration, and the reference of every key.
EXAMPLE = Path(__file__).parent / "example.toml"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: the key's path as one would write it (`destinations[0].port`) and a sentence."""

    file: Path
    key: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key + ': ' if self.key else ''}{self.sentence}"


class ConfigurationError(ApplianceError):
    """The file cannot be used; `problems` holds all that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)), "Nothing was changed; mend the file and try again.")
        self.problems = problems


def load_configuration(path: Path) -> Configuration:
    """The configuration in `path`. ConfigurationError names every problem, OSErrors included."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError((Problem(path, "", f"cannot be read: {error.strerror}"),)) from error
    return configuration_from(data, path)


def configuration_from(data: bytes, path: Path) -> Configuration:
    """The configuration in `data`, which was read from `path` (for the messages)."""
    if len(data) > MAX_FILE_BYTES:
        raise ConfigurationError((Problem(path, "", f"is larger than {MAX_FILE_BYTES} bytes"),))
    try:
        tree = tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigurationError((Problem(path, "", f"is not UTF-8 at byte {error.start}"),)) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError((Problem(path, "", f"is not TOML: {error}"),)) from error
    try:
        return Configuration.model_validate(tree)
    except ValidationError as error:
        raise ConfigurationError(tuple(_problems_from(error, path))) from error


def _problems_from(error: ValidationError, path: Path) -> Iterator[Problem]:
    for found in error.errors(include_url=False):
        location = [part for part in found["loc"] if part not in _DRIVERS]
        key = _key_from(location)
        if found["type"] == "extra_forbidden":
            yield Problem(path, key, f"is not a key that is known here{_nearest(str(location[-1]))}")
        elif found["type"] == "missing":
            yield Problem(path, key, "is missing")
        else:
            given = found["input"]
            shown = f" (it is {given!r})" if isinstance(given, str | int | float | bool) else ""
            yield Problem(path, key, found["msg"].removeprefix("Value error, ") + shown)


def _key_from(location: list[str | int]) -> str:
    key = ""
    for part in location:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else part
    return key


def _nearest(key: str) -> str:
    close = difflib.get_close_matches(key, sorted(_all_keys(Configuration)), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _all_keys(model: type[BaseModel]) -> set[str]:
    return set(_keys_of(model.model_json_schema()))


def _keys_of(schema: dict[str, Any]) -> Iterator[str]:
    yield from schema.get("properties", {})
    for definition in schema.get("$defs", {}).values():
        yield from definition.get("properties", {})


# pydantic names the chosen member of the devices' union in the location; people did not write that.
_DRIVERS = frozenset({"xmodem", "grabber", "sane"})
