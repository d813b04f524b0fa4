"""Reading a configuration file: every error at once, each with file and key."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from appliance.base.errors import ApplianceError
from appliance.base.flash import reason_of
from appliance.config.known import settings_by_hardware
from appliance.config.positions import Keys, line_of, lines_of_keys
from appliance.config.renamed import rename_keys
from appliance.config.schema import TOGETHER, Configuration, Tls
from appliance.config.texts import SHAPES

MAX_FILE_BYTES = 1024 * 1024
_LONGEST_SHOWN = 60
_AT_LINE = re.compile(r"\(at line (?P<line>[0-9]+), column")


_MISSING = "is missing"


class ProblemKind(StrEnum):
    """What a problem is, for whoever tells it in a language of their own."""

    FILE = "file"  # nothing of it can be read
    UNKNOWN = "unknown"  # no such key
    MISSING = "missing"
    VALUE = "value"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: the key's path as one writes it (`destinations[0].port`), a sentence, and the line."""

    file: Path
    key: str
    sentence: str
    line: int | None = None
    unknown: Keys = ()
    """Of a key that is not known: its path."""

    @property
    def kind(self) -> ProblemKind:
        if not self.key:
            return ProblemKind.FILE
        if self.unknown:
            return ProblemKind.UNKNOWN
        return ProblemKind.MISSING if self.sentence == _MISSING else ProblemKind.VALUE

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else f"{self.file}"
        return f"{place}: {self.key + ': ' if self.key else ''}{self.sentence}"


class ConfigurationError(ApplianceError):
    """The file cannot be used; `problems` holds all that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)), "Nothing was changed; mend that and try again.")
        self.problems = problems


def load_configuration(path: Path) -> Configuration:
    """The configuration in `path`. ConfigurationError names every problem, OSErrors included."""
    return configuration_from(read_file(path), path)


def tls_from(data: bytes, path: Path) -> Tls | None:
    """[tls] alone of `data`, whatever is wrong beside it; None when it is missing or wrong itself."""
    try:
        tree, _ = _tree_from(data, path)
        return Tls.model_validate_json(json.dumps(tree.get("tls"), default=_moment_as_json), strict=True)
    except (ConfigurationError, ValueError, RecursionError):
        return None


def line_in(data: bytes, keys: Keys) -> int | None:
    """The line of a key of `data`, which is TOML; of its section, where it is left out itself."""
    return line_of(lines_of_keys(data.decode("utf-8-sig", "replace")), keys)


def read_file(path: Path) -> bytes:
    """What lies in `path`, at most one byte more than a configuration may have. ConfigurationError."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigurationError((Problem(path, "", f"cannot be read: {reason_of(error)}"),)) from error


def configuration_from(data: bytes, path: Path) -> Configuration:
    """The configuration in `data`, which was read from `path` (for the messages)."""
    tree, lines = _tree_from(data, path)
    problems = [*_rename(tree, lines, path), *_fill_in_hardware(tree, lines, path)]
    return _validated(tree, lines, path, problems)


def known_part_from(data: bytes, path: Path) -> tuple[Configuration, tuple[Problem, ...]]:
    """As `configuration_from`, but keys that are not known are left aside, and told."""
    tree, lines = _tree_from(data, path)
    problems = [*_rename(tree, lines, path), *_fill_in_hardware(tree, lines, path)]
    unknown: list[Problem] = []
    while True:
        try:
            return _validated(tree, lines, path, problems), tuple(unknown)
        except ConfigurationError as error:
            found = [problem for problem in error.problems if problem.unknown]
            if not found:
                raise
        for problem in found:  # each is taken away, so this comes to an end
            section: Any = tree
            for key in problem.unknown[:-1]:
                section = section[key]
            del section[problem.unknown[-1]]
        unknown += found


def _validated(
    tree: dict[str, Any], lines: Mapping[Keys, int], path: Path, problems: Sequence[Problem]
) -> Configuration:
    """ConfigurationError with what is wrong, `problems` of before among it."""
    try:
        # Strict, so that no text becomes a number and no `true` a port; in JSON's way, since TOML has no tuples.
        configuration = Configuration.model_validate_json(json.dumps(tree, default=_moment_as_json), strict=True)
    except ValidationError as error:
        raise ConfigurationError((*_problems_from(error, path, lines), *problems)) from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError((Problem(path, "", "holds something that is too long or too deep"),)) from error
    if problems:
        raise ConfigurationError(tuple(problems))
    return configuration


def _rename(tree: dict[str, Any], lines: dict[Keys, int], path: Path) -> Iterator[Problem]:
    """Have the keys of earlier releases their names of now; what stands there under both."""
    for old, new, has_both in rename_keys(tree):
        if has_both:
            sentence = f"is the old name of {key_from(new)}, which is there too: leave this one out"
            yield Problem(path, key_from(old), sentence, line_of(lines, old))
        else:
            lines.update({new: lines[old]} if old in lines else {})


def _fill_in_hardware(tree: dict[str, Any], lines: Mapping[Keys, int], path: Path) -> list[Problem]:
    """Have each device what its hardware sets and it does not; what is wrong with that."""
    problems = []
    devices = tree.get("devices")
    for number, device in enumerate(devices if isinstance(devices, list) else ()):
        if isinstance(device, dict):
            settings, sentence = settings_by_hardware(device)
            device |= {key: value for key, value in settings.items() if key not in device}
            if sentence:
                key = ("devices", number, "hardware")
                problems.append(Problem(path, key_from(key), sentence, line_of(lines, key)))
    return problems


def _tree_from(data: bytes, path: Path) -> tuple[dict[str, Any], dict[Keys, int]]:
    """What stands in `data`, and on which line each key."""
    if len(data) > MAX_FILE_BYTES:
        raise ConfigurationError((Problem(path, "", f"is larger than {MAX_FILE_BYTES} bytes"),))
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ConfigurationError((Problem(path, "", "is written in UTF-16; save it as UTF-8"),))
    try:
        text = data.decode("utf-8-sig")
        return tomllib.loads(text), dict(lines_of_keys(text))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError((Problem(path, "", f"is not UTF-8 at byte {error.start}", line),)) from error
    except tomllib.TOMLDecodeError as error:
        said = _AT_LINE.search(str(error))
        line = int(said["line"]) if said else text.count("\n") + 1
        raise ConfigurationError((Problem(path, "", f"is not TOML: {error}", line),)) from error
    except (ValueError, RecursionError) as error:  # a number of 5000 digits, a thousand brackets
        raise ConfigurationError((Problem(path, "", "holds something that is too long or too deep"),)) from error


def _moment_as_json(value: object) -> dict[str, str]:
    # TOML's dates and times: no key takes one, and an object is of no type that a key takes either.
    return {"date or time": str(value)}


def _problems_from(error: ValidationError, path: Path, lines: Mapping[Keys, int]) -> Iterator[Problem]:
    for found in error.errors(include_url=False):
        location = _written_location(found["loc"])
        kind, context = found["type"], found.get("ctx", {})
        if kind == TOGETHER:
            for keys, sentence in context["faults"]:
                yield Problem(path, key_from(keys), sentence, line_of(lines, keys))
            continue
        if kind == "extra_forbidden":
            sentence = f"is not a key that is known here{_nearest(found['loc'])}"
        elif kind in ("missing", "union_tag_not_found"):
            sentence = _MISSING
        elif kind == "union_tag_invalid":
            sentence = f"must be one of {context['expected_tags']} (it is {context['tag']!r})"
        elif kind == "string_pattern_mismatch":
            sentence = SHAPES[context["pattern"]] + _shown(found["input"])
        else:
            sentence = found["msg"].removeprefix("Value error, ").removeprefix("Input ") + _shown(found["input"])
        if kind.startswith("union_tag_"):
            location = (*location, context["discriminator"].strip("'"))
        unknown = location if kind == "extra_forbidden" else ()
        yield Problem(path, key_from(location), sentence, line_of(lines, location), unknown)


def _written_location(location: tuple[str | int, ...]) -> Keys:
    # pydantic names the chosen member of a union behind its number in the list; people did not write that.
    has_unions = location[:1] == ("devices",)
    return tuple(
        part
        for place, part in enumerate(location)
        if not (has_unions and place and isinstance(part, str) and isinstance(location[place - 1], int))
    )


def _shown(given: object) -> str:
    if not isinstance(given, str | int | float):
        return ""
    shown = repr(given)
    return f" (it is {shown if len(shown) <= _LONGEST_SHOWN else shown[:_LONGEST_SHOWN] + '…'})"


def key_from(location: Keys) -> str:
    """The path as one writes it: `destinations[0].port`."""
    key = ""
    for part in location:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else part
    return key


def _nearest(location: tuple[str | int, ...]) -> str:
    import difflib

    close = difflib.get_close_matches(str(location[-1]), sorted(_keys_beside(location)), n=1, cutoff=0.7)
    return f"; did you mean {close[0]!r}?" if close else ""


def _keys_beside(location: tuple[str | int, ...]) -> set[str]:
    """The keys of the section in which the last part of `location` stands."""
    models: list[type[BaseModel]] = [Configuration]
    for part in location[:-1]:
        fields = [model.model_fields[part] for model in models if part in model.model_fields]
        if fields:
            models = [model for field in fields for model in _models_in(field.annotation)]
        elif isinstance(part, str):  # the union's member
            models = [model for model in models if part in get_args(model.model_fields["driver"].annotation)]
    return {name for model in models for name in model.model_fields}


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections that a field holds, inside of tuples, unions and annotations."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
