"""The forward process's socket: how things stand, the queue, and a few commands. Nothing is handed over here."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from appliance.base.errors import ApplianceError
from appliance.base.findings import FindingBoard
from appliance.base.http import error_response, read_json
from appliance.base.openmetrics import CONTENT_TYPE
from appliance.config.schema import WorklistSource
from appliance.dimse.association import Context
from appliance.forward.delivery import Delivery
from appliance.forward.listing import Listing
from appliance.forward.metrics import Metrics
from appliance.forward.metrics_port import METRICS_PATH, PortGuard
from appliance.forward.removed import NOT_CONFIGURED
from appliance.forward.step_ledger import StepLedger
from appliance.forward.steps import StepMessages
from appliance.forward.worklist import WorklistPoller

# With what the box itself proposes they fit into one association (PS3.8 9.3.2.2).
_MOST_CONTEXTS = 64
_UID = re.compile(r"[0-9.]{1,64}")

QueryPatient = Callable[[dict[str, Any]], dict[str, Any]]
"""Asks every worklist source for the keys in the body; its answers are the response's JSON."""
Echo = Callable[[str], dict[str, Any]]
"""Verifies the peer of that name."""
Test = Callable[[str, bool, Sequence[Context]], dict[str, Any]]
"""Tries everything with the peer of that name; true to store and tell under the test patient too.

The contexts are proposed besides those that the box uses.
"""


@dataclass(frozen=True)
class Parts:
    """What the socket shows, and what its commands call."""

    listing: Listing
    findings: FindingBoard
    deliveries: Sequence[Delivery]
    steps: StepMessages | None
    step_ledger: StepLedger
    pollers: Sequence[tuple[WorklistSource, WorklistPoller]]
    hint: Callable[[], None]
    query_patient: QueryPatient | None = None
    echo: Echo | None = None
    test: Test | None = None
    metrics: Metrics | None = None


def make_app(parts: Parts) -> Starlette:
    """The application; its endpoints run in threads, since each asks the journal."""

    def status(_request: Request) -> JSONResponse:
        return JSONResponse(status_json(parts))

    def queue(request: Request) -> JSONResponse:
        exam_id, only = request.query_params.get("exam_id"), request.query_params.get("only")
        return JSONResponse(queue_json(parts, exam_id, is_waiting_only=only == "waiting"))

    def exams(request: Request) -> JSONResponse:
        first, last = (request.query_params.get(key, "") for key in ("first", "last"))
        return JSONResponse(parts.listing.exams(first, last))

    def refresh(_request: Request) -> JSONResponse:
        with ThreadPoolExecutor(max_workers=max(1, len(parts.pollers))) as together:
            answers = list(together.map(_refresh_one, parts.pollers))
        return JSONResponse(
            {"answers": [{"source": one.source, "trouble": one.trouble, "items": one.count} for one in answers]}
        )

    def hint(_request: Request) -> JSONResponse:
        parts.hint()
        return JSONResponse({})

    async def retry(request: Request) -> JSONResponse:
        body = await read_json(request)
        destination, uid = _text_of(body, "destination"), _text_of(body, "sop_instance_uid")
        if parts.steps is not None and destination is None and uid is None:
            await run_in_threadpool(parts.steps.retry)
        return JSONResponse(await run_in_threadpool(retry_json, parts.deliveries, destination, uid))

    async def query_patient(request: Request) -> JSONResponse:
        if parts.query_patient is None:
            return _not_here()
        return JSONResponse(await run_in_threadpool(parts.query_patient, await read_json(request)))

    async def echo(request: Request) -> JSONResponse:
        if parts.echo is None:
            return _not_here()
        body = await read_json(request)
        return JSONResponse(await run_in_threadpool(parts.echo, _text_of(body, "name") or ""))

    async def test(request: Request) -> JSONResponse:
        if parts.test is None:
            return _not_here()
        body = await read_json(request)
        name, may_write = _text_of(body, "name") or "", body.get("write") is True
        return JSONResponse(await run_in_threadpool(parts.test, name, may_write, _contexts_of(body)))

    def metrics(_request: Request) -> Response:
        if parts.metrics is None:
            return _not_here()
        return Response(parts.metrics.text(status_json(parts)), headers={"Content-Type": CONTENT_TYPE})

    return Starlette(
        routes=[
            Route(METRICS_PATH, metrics, methods=["GET"]),
            Route("/status", status, methods=["GET"]),
            Route("/queue", queue, methods=["GET"]),
            Route("/exams", exams, methods=["GET"]),
            Route("/worklist/refresh", refresh, methods=["POST"]),
            Route("/hint", hint, methods=["POST"]),
            Route("/retry", retry, methods=["POST"]),
            Route("/worklist/query", query_patient, methods=["POST"]),
            Route("/echo", echo, methods=["POST"]),
            Route("/test", test, methods=["POST"]),
        ],
        middleware=[Middleware(PortGuard)],
    )


def _not_here() -> JSONResponse:
    return error_response(ApplianceError("This process does not do that."), 404)


def _text_of(body: dict[str, Any], key: str) -> str | None:
    value = body.get(key)
    if value is None or isinstance(value, str):
        return value
    raise ApplianceError(f"{key} must be a text.")


def _contexts_of(body: dict[str, Any]) -> tuple[Context, ...]:
    """`contexts`: pairs of an abstract syntax and one transfer syntax."""
    given = body.get("contexts", [])
    if not isinstance(given, list) or len(given) > _MOST_CONTEXTS:
        raise ApplianceError(f"contexts must be a list of at most {_MOST_CONTEXTS}.")
    contexts = []
    for pair in given:
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair)):
            raise ApplianceError("Each of contexts must be an abstract and a transfer syntax.")
        if not all(_UID.fullmatch(one) for one in pair):
            raise ApplianceError(f"{pair[0][:64]!r} in {pair[1][:64]!r} is not a pair of UIDs.")
        contexts.append(Context(pair[0], (pair[1],)))
    return tuple(contexts)


def retry_json(deliveries: Sequence[Delivery], destination: str | None, sop_instance_uid: str | None) -> dict[str, Any]:
    """Let what was refused be tried again, everywhere or at one destination, all of it or one object.

    ApplianceError when no destination is called so, or it has never heard of the object.
    """
    chosen = [one for one in deliveries if destination in (None, one.destination.name)]
    if destination is not None and not chosen:
        known = ", ".join(one.destination.name for one in deliveries)
        raise ApplianceError(f"No destination is called {destination}.", f"Configured are: {known or 'none'}.")
    if sop_instance_uid is not None and not any(one.knows(sop_instance_uid) for one in chosen):
        raise ApplianceError(f"No object {sop_instance_uid} is known there.", "See `appliance queue --all`.")
    return {"retried": sum(one.retry(sop_instance_uid) for one in chosen)}


def _refresh_one(pair: tuple[WorklistSource, WorklistPoller]) -> Any:
    source, poller = pair
    return poller.refresh(source.connect_seconds + source.answer_seconds + 5.0)


def queue_json(parts: Parts, exam_id: str | None, *, is_waiting_only: bool) -> dict[str, Any]:
    """Objects and steps, each with what was said of it, what keeps its peer from being tried, and what is tried now."""
    queue = parts.listing.queue(
        exam_id,
        is_waiting_only=is_waiting_only,
        troubles={one.destination.name: one.trouble for one in parts.deliveries},
        step_trouble=_trouble_of_steps(parts),
    )
    calls = {one.destination.name: one.calls.since_by_uid() for one in parts.deliveries}
    for one in queue["objects"]:
        for name, told in one["destinations"].items():
            told["called_since"] = calls.get(name, {}).get(one["sop_instance_uid"], "")
    called = parts.steps.calls.since_by_uid() if parts.steps else {}
    sent = parts.steps.messages.since_by_uid() if parts.steps else {}
    for step in queue["steps"]:
        uid = step["sop_instance_uid"]
        step |= {"called_since": called.get(uid, ""), "told_since": sent.get(uid, "")}
    return queue


def status_json(parts: Parts) -> dict[str, Any]:
    """Counts for each destination, the steps that are due, and all of it in a sentence.

    A destination that was removed from the configuration is among them while something is unfinished there.
    """
    configured = [one.destination.name for one in parts.deliveries]
    destinations = [_destination_json(parts.listing, one) for one in parts.deliveries]
    destinations += [_removed_json(parts.listing, one.name) for one in parts.listing.removed(configured)]
    steps = {
        "due": parts.step_ledger.count_unfinished(),
        "is_configured": parts.steps is not None,
        "trouble": _trouble_of_steps(parts),
        "seconds_to_next_attempt": round(parts.steps.seconds_left, 1) if parts.steps else 0.0,
        "called_since": parts.steps.calls.since if parts.steps else "",
    }
    return {
        "sentence": sentence_from(destinations, steps),
        "findings": parts.findings.as_json(),
        "destinations": destinations,
        "steps": steps,
    }


def _trouble_of_steps(parts: Parts) -> str:
    if parts.steps:
        return parts.steps.trouble
    return (
        "No performed-step manager is configured any more: configure it again."
        if parts.step_ledger.count_unfinished()
        else ""
    )


def _destination_json(listing: Listing, delivery: Delivery) -> dict[str, Any]:
    return {
        **listing.destination(delivery.destination.name),
        "is_configured": True,
        "commits": delivery.destination.commitment,
        "trouble": delivery.trouble,
        "seconds_to_next_attempt": round(delivery.seconds_left, 1),
        "called_since": delivery.calls.since,
    }


def _removed_json(listing: Listing, name: str) -> dict[str, Any]:
    # Whether it commits is not known any more: what is stored there is not committed, and no more can be said.
    told = {
        "is_configured": False,
        "commits": True,
        "trouble": NOT_CONFIGURED,
        "seconds_to_next_attempt": 0.0,
        "called_since": "",
    }
    return {**listing.destination(name), **told}


def sentence_from(destinations: Sequence[dict[str, Any]], steps: dict[str, Any]) -> str:
    """How delivery stands, for people; the three yeses apart."""
    if not destinations:
        return "No destination is configured: everything stays saved on this box."
    said = []
    for one in destinations:
        stored = "stored, not committed" if one["commits"] else "stored, to be looked for there"
        waiting = [
            f"{one[key]} {words}"
            for key, words in (("pending", "to store"), ("stored", stored), ("refused", "refused"))
            if one[key]
        ]
        said.append(f"{one['name']}: {', '.join(waiting) or 'nothing waits'}{_in_brackets(one['trouble'])}")
    if steps["due"] and steps["trouble"]:
        said.append(f"performed steps: {steps['due']} to tell{_in_brackets(steps['trouble'])}")
    return "; ".join(said) + "."


def _in_brackets(sentence: str) -> str:
    return f" ({sentence.removesuffix('.')})" if sentence else ""
