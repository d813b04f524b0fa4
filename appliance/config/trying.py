"""The self-test behind a change of the configuration: what runs answers, the spool opens, the peers that it touches are
there. What forward alone may do, it is asked to do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from appliance.base.asking import Asker, Unreachable
from appliance.base.clock import Clock, Deadline
from appliance.base.errors import ApplianceError, ended_sentence
from appliance.base.flash import UNWRITABLE_CODE
from appliance.base.paths import Paths
from appliance.config.schema import MANAGER, Configuration, Peer

# A service that was started anew answers after its sweep; one that does not in this time has failed.
_READY_SECONDS = 90.0
_AGAIN_SECONDS = 0.3
_ANSWER_SECONDS = 10.0
# Of these findings each says that images cannot be kept.
_SPOOL_CODES = frozenset({"spool-unmade", UNWRITABLE_CODE})


Tell = Callable[[str, dict[str, Any]], None]
"""Hears a peer's name when it is being tried, with nothing, and again with the report."""


def _tell_nobody(_name: str, _report: dict[str, Any]) -> None:
    """Who only wants to know how it ended."""


def try_box(
    paths: Paths,
    before: Configuration,
    after: Configuration,
    clock: Clock,
    seconds: float,
    tell: Tell = _tell_nobody,
) -> list[str]:
    """A sentence for each check that was good. ApplianceError with all that was not; `seconds` is the time for all."""
    deadline = Deadline.after(clock, seconds)
    board = _answer(paths.console_socket, "/api/exam", "The console", clock, deadline)
    status = _answer(paths.forward_socket, "/status", "The forward process", clock, deadline)
    findings = [*board.get("findings", ()), *status.get("findings", ())]
    closed = [ended_sentence(str(one["sentence"])) for one in findings if one["code"] in _SPOOL_CODES]
    if closed:
        raise ApplianceError(" ".join(dict.fromkeys(closed)))
    good = ["The console and the forward process answer, and images can be kept."]
    bad = []
    for name in touched_peers(before, after):
        tell(name, {})
        report = _try_peer(paths, name, after.test_patient is not None, deadline)
        tell(name, report)
        checks = report["checks"]
        said = [f"{name}: {one['name']}: {ended_sentence(one['words'])}" for one in checks]
        failed = [words for words, one in zip(said, checks, strict=True) if one["verdict"] == "failed"]
        if report["is_good"]:
            good += said
        else:
            bad += failed or said
    if bad:
        raise ApplianceError(" ".join(bad))
    return good


def touched_peers(before: Configuration, after: Configuration) -> list[str]:
    """Whom the change may have cut off, by name: one for each application entity, as one test tries all its roles.

    All of them, where the box itself is called, known or reached otherwise.
    """
    is_box_changed = (before.box.ae_title, before.tls, before.network) != (after.box.ae_title, after.tls, after.network)
    known = dict(_named(before))
    names: dict[tuple[str, str, int], str] = {}
    for name, peer in _named(after):
        if is_box_changed or known.get(name) != peer:
            names.setdefault((peer.ae_title, peer.host, peer.port), name)
    return list(names.values())


def _named(configuration: Configuration) -> Iterator[tuple[str, Peer]]:
    for source in configuration.worklist:
        yield source.name, source
    for destination in configuration.destinations:
        yield destination.name, destination
    if configuration.performed_step is not None:
        yield MANAGER, configuration.performed_step


def _try_peer(paths: Paths, name: str, may_write: bool, deadline: Deadline) -> dict[str, Any]:
    """Forward's report."""
    asker = Asker(paths.forward_socket, "The forward process")
    try:
        body = {"name": name, "write": may_write}
        return asker.ask("POST", "/test", body, seconds=max(1.0, deadline.remaining()))
    finally:
        asker.close()


def _answer(socket: Path, path: str, name: str, clock: Clock, deadline: Deadline) -> dict[str, Any]:
    """What is answered, as soon as anything is. Unreachable when nothing was in time."""
    ready = deadline.sooner(_READY_SECONDS)
    asker = Asker(socket, name)
    try:
        while True:
            try:
                return asker.ask("GET", path, seconds=_ANSWER_SECONDS)
            except Unreachable:
                if ready.is_over():
                    raise
                clock.wait(threading.Event(), _AGAIN_SECONDS)
    finally:
        asker.close()
