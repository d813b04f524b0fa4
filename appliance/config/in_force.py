"""The configuration that is in force, for whoever works by it: a part of the box never stops for a file.

Strictness is for whoever proposes a change. Behind that, a key that this release does not know is left aside, since a
newer release may have written it; and where the file cannot be used, the newest text that somebody confirmed is in
its place, until there is a file again that can. Both are told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.base.errors import Finding
from appliance.base.flash import reason_of
from appliance.base.paths import Paths
from appliance.config.effective import keep_effective
from appliance.config.history import History
from appliance.config.load import ConfigurationError, Problem, known_part_from, read_file
from appliance.config.schema import Configuration

_log = logging.getLogger(__name__)

UNKNOWN_CODE, UNUSABLE_CODE = "configuration-unknown", "configuration-unusable"
_MOST_TRIED = 20
_MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class InForce:
    """What is worked by, and what is to be told of it."""

    configuration: Configuration
    findings: tuple[Finding, ...] = ()


def read_in_force(path: Path) -> InForce:
    """What is in force by the file at `path`, or by what was before. ConfigurationError: by none of them."""
    return _in_force(lambda: read_file(path), path)


def in_force_from(text: bytes, path: Path) -> InForce:
    """The same of `text`, were it the one that lies at `path`."""
    return _in_force(lambda: text, path)


def keep_in_force(paths: Paths) -> Configuration:
    """What is in force now, kept for whoever looks. Without it they read the file themselves."""
    active = paths.configuration
    text = active.read_bytes() if active.exists() else b""
    try:
        in_force = read_in_force(active)
    except ConfigurationError as error:
        # Nothing was ever confirmed: as a box that nobody has set up yet.
        _log.error("%s", error)
        return Configuration()
    try:
        if not in_force.findings:
            keep_effective(paths.effective, text, in_force.configuration)
    except OSError as error:
        _log.error("what is in force is not kept for others: %s", reason_of(error))
    return in_force.configuration


def _in_force(read: Callable[[], bytes], path: Path) -> InForce:
    try:
        configuration, unknown = known_part_from(read(), path)
    except ConfigurationError as error:
        found = next(_earlier(path), None)
        if found is None:
            raise
        number, configuration = found
        for problem in error.problems:
            _log.error("%s", problem)
        said = Finding(
            UNUSABLE_CODE,
            f"The configuration cannot be used: the box works by that of change {number}.",
            "Support must look: `appliance config check`, and then `appliance config apply`.",
        )
        return InForce(configuration, (said,))
    return InForce(configuration, (_unknown_finding(unknown),) if unknown else ())


def _unknown_finding(unknown: tuple[Problem, ...]) -> Finding:
    keys = ", ".join(one.key for one in unknown[:_MOST_SHOWN]) + (", …" if len(unknown) > _MOST_SHOWN else "")
    return Finding(
        UNKNOWN_CODE,
        f"The configuration has keys that this release does not know, and that do nothing: {keys}.",
        "A newer release may have written them. Otherwise support must look: `appliance config check`.",
    )


def _earlier(path: Path) -> Iterator[tuple[int, Configuration]]:
    """The texts that somebody confirmed and that can be used, newest first, each with its change's number."""
    history = History(path.parent)
    try:
        numbers = history.numbers()
    except OSError as error:
        _log.error("the changes of the configuration cannot be listed: %s", error.strerror)
        return
    for number in numbers[::-1][:_MOST_TRIED]:
        is_kept = history.is_kept(number)
        try:
            text = history.text(number, is_after=is_kept)
            yield number, known_part_from(text, path)[0]
        except (OSError, ConfigurationError) as error:
            _log.error("the text of change %d cannot be used: %s", number, error)
