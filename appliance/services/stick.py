"""A new box's first configuration from a stick: `modality-bridge.toml`, signed by somebody whose key the box knows.

systemd starts it when a stick with such a file was mounted. It has no right but to ask the program that changes the
configuration, as support has it. What nobody signed, or nobody whom a box could know, the panel offers to whoever
stands there (services/first). A box that is configured takes nothing from a stick.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from appliance.base.asking import Asker
from appliance.base.errors import ApplianceError
from appliance.base.log import configure_logging
from appliance.base.paths import Paths
from appliance.cli.config_apply import ask, follow
from appliance.config.first import CONFIRM_SECONDS, FIRST, is_new
from appliance.config.history import History
from appliance.config.in_force import read_in_force
from appliance.config.signed import signer_of
from appliance.config.stick import FILE, TAKEN_FROM_NONE, read_stick

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str]) -> int:
    """0 when the box runs under it, or nothing of it is to be taken by itself; 1 with a sentence in the log."""
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
        _log.warning("this box is configured: nothing is taken from the stick; change it over SSH")
        _tell_panel(paths)
        return
    on_stick = read_stick(stick)
    if on_stick is None:
        raise ApplianceError(f"{FILE} is not on the stick any more.")
    if on_stick.signature is None or all(one.role != "admin" for one in configuration.support_keys):
        _log.info("the stick's configuration is not signed by anybody whom this box could know: the panel offers it")
        return
    who = f"{signer_of(on_stick.text, on_stick.signature, configuration.support_keys)} (signed, on a stick)"
    body = {
        "text": on_stick.text.decode("utf-8", "surrogateescape"),
        "name": FILE,
        "who": who,
        "what": f"{FIRST}, signed, on a stick",
        "confirm_seconds": CONFIRM_SECONDS,
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


def _tell_panel(paths: Paths) -> None:
    """Whoever plugged it in reads on the panel why nothing happens. ApplianceError where the console is silent."""
    Asker(paths.console_socket, "The console").ask("POST", "/api/first/stick-told", {"what": TAKEN_FROM_NONE})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
