"""What the sections of a configuration must be together: every fault at once, each at the key that is to be mended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from appliance.config.positions import Keys

if TYPE_CHECKING:
    from appliance.config.schema import Configuration

Fault = tuple[Keys, str]
"""The key, and what is wrong with it."""


def faults_in(configuration: Configuration) -> list[Fault]:
    """All of them."""
    return [*_names(configuration), *_support(configuration), *_encryption(configuration)]


def _names(configuration: Configuration) -> Iterator[Fault]:
    for kind in ("worklist", "destinations", "devices", "operators", "support_keys"):
        seen = set()
        for number, entry in enumerate(getattr(configuration, kind)):
            if entry.name in seen:
                yield (kind, number, "name"), f"the name {entry.name!r} is used twice"
            seen.add(entry.name)


def _support(configuration: Configuration) -> Iterator[Fault]:
    keys = configuration.support_keys
    if keys and all(one.role != "admin" for one in keys):
        yield ("support_keys",), "nobody is admin, so nobody could change the configuration any more"


def _encryption(configuration: Configuration) -> Iterator[Fault]:
    listener = configuration.listener
    if configuration.tls is None:
        needing: list[tuple[Keys, object]] = [
            *((("worklist", number, "tls"), one.tls) for number, one in enumerate(configuration.worklist)),
            *((("destinations", number, "tls"), one.tls) for number, one in enumerate(configuration.destinations)),
            (("performed_step", "tls"), configuration.performed_step and configuration.performed_step.tls),
            (("listener", "tls_port"), listener.tls_port),
            (("audit",), configuration.audit),
            (("logs",), configuration.logs),
        ]
        for keys, needs in needing:
            if needs:
                yield keys, "needs the box's own certificate: [tls] is missing"
    if listener.port is None and listener.tls_port is None:
        yield ("listener",), "has neither port nor tls_port, so nobody could report a commitment"
    for number, one in enumerate(configuration.destinations):
        if one.commitment and (listener.tls_port if one.tls else listener.port) is None:
            wanted = "tls_port" if one.tls else "port"
            yield ("destinations", number, "commitment"), f"its reports need listener.{wanted}, which is missing"
