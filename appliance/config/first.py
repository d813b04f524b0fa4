"""A new box's first configuration: which box is new, and which change is the one that makes it a configured one."""

from __future__ import annotations

from typing import Any

from appliance.config.history import Change, History
from appliance.config.schema import Configuration, Peer

FIRST = "first configuration"
"""What such a change is called in its record; how it came stands behind it."""
CONFIRM_SECONDS = 900.0


def is_new(configuration: Configuration, history: History) -> bool:
    """Whether nobody configured the box yet: nothing was ever confirmed, and it knows neither hospital nor machine."""
    return is_empty(configuration) and not any(map(history.is_kept, history.numbers()))


def is_empty(configuration: Configuration) -> bool:
    """Whether a box could do nothing under it."""
    return not (configuration.worklist or configuration.destinations or configuration.devices)


def first_change(history: History) -> Change | None:
    """The newest change, where it is a first configuration; None where there is none, or it is of another kind."""
    number = max(history.numbers(), default=0)
    change = history.change(number) if number else None
    return change if change is not None and change.what.startswith(FIRST) else None


def is_first_under_way(history: History) -> bool:
    """Whether such a change has begun and not ended."""
    change = first_change(history)
    return change is not None and not history.has_ended(change.number)


def summary_from(configuration: Configuration) -> dict[str, Any]:
    """What a person looks at before it is put in force, as JSON: who the box is, where it is, and whom it talks to."""
    network, listener = configuration.network, configuration.listener
    return {
        "name": configuration.box.name,
        "ae_title": configuration.box.ae_title,
        "address": str(network.address) if network is not None and network.address is not None else "",
        "gateway": str(network.gateway) if network is not None and network.gateway is not None else "",
        "dns": [str(one) for one in network.dns] if network is not None else [],
        "worklist": [_peer_from(one) for one in configuration.worklist],
        "destinations": [{**_peer_from(one), "commitment": one.commitment} for one in configuration.destinations],
        "performed_step": _peer_from(configuration.performed_step) if configuration.performed_step else None,
        "devices": [one.title for one in configuration.devices],
        "support": [one.name for one in configuration.support_keys],
        "report_port": listener.port if any(one.commitment for one in configuration.destinations) else None,
    }


def _peer_from(peer: Peer) -> dict[str, Any]:
    return {"ae_title": peer.ae_title, "host": peer.host, "port": peer.port, "tls": peer.tls}
