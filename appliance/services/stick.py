"""A new box's first configuration from a stick: `modality-bridge.toml`, signed by somebody whose key the box knows.

systemd starts it when a stick with such a file was mounted. It has no right but to ask the program that changes the
configuration, as support has it. A box that is configured takes nothing from a stick.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from appliance.base.errors import ApplianceError
from appliance.base.flash import reason_of
from appliance.base.log import configure_logging
from appliance.base.paths import Paths
from appliance.cli.config_apply import ask, follow
from appliance.config.history import History
from appliance.config.in_force import read_in_force
from appliance.config.load import MAX_FILE_BYTES
from appliance.config.schema import Configuration
from appliance.config.signed import NAMESPACE, signer_of

_log = logging.getLogger(__name__)

FILE = f"{NAMESPACE}.toml"
_MOST_SIGNATURE_BYTES = 64 * 1024
_CONFIRM_SECONDS = 900.0


def main(arguments: Sequence[str]) -> int:
    """0 when the box runs under the stick's configuration, or has one already; 1 with a sentence in the log."""
    configure_logging("stick")
    (directory,) = arguments
    try:
        take_first(Paths.from_environment(), Path(directory))
    except ApplianceError as error:
        _log.error("%s", error)
        return 1
    return 0


def take_first(paths: Paths, stick: Path) -> None:
    """Apply the stick's configuration, and let it stay when the self-test was good. ApplianceError otherwise."""
    configuration = read_in_force(paths.configuration).configuration
    if not is_new(configuration, History(paths.configuration.parent)):
        _log.info("this box is configured: nothing is taken from the stick")
        return
    text = _read(stick / FILE, MAX_FILE_BYTES + 1)
    signature = _read(stick / f"{FILE}.sig", _MOST_SIGNATURE_BYTES)
    who = f"{signer_of(text, signature, configuration.support_keys)} (signed, on a stick)"
    body = {
        "text": text.decode("utf-8", "surrogateescape"),
        "name": FILE,
        "who": who,
        "what": "first configuration",
        "confirm_seconds": _CONFIRM_SECONDS,
    }
    view = ask("POST", "/changes", body)
    if view["number"] is None:
        return
    view = follow(view, is_quiet=True)
    if view["state"] != "waiting":
        raise ApplianceError(f"The stick's configuration went back: {view['why']}")
    # The signature says that it is meant, and the self-test that it works.
    ask("POST", "/confirm", {"who": who})
    _log.info("the box is configured, by change %d", view["number"])


def is_new(configuration: Configuration, history: History) -> bool:
    """Whether nobody configured the box yet: nothing was ever confirmed, and it knows neither hospital nor machine."""
    is_empty = not (configuration.worklist or configuration.destinations or configuration.devices)
    return is_empty and not any(map(history.is_kept, history.numbers()))


def _read(file: Path, most: int) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(most)
    except OSError as error:
        raise ApplianceError(f"{file.name} on the stick cannot be read: {reason_of(error)}.") from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
