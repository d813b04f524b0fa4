"""The forward process's socket: how things stand, the queue, and two commands. Nothing is handed over here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from appliance.base.findings import FindingBoard
from appliance.config.schema import WorklistSource
from appliance.forward.delivery import Delivery
from appliance.forward.listing import Listing
from appliance.forward.step_ledger import StepLedger
from appliance.forward.steps import StepMessages
from appliance.forward.worklist import WorklistPoller


@dataclass(frozen=True)
class Parts:
    """What the socket shows."""

    listing: Listing
    findings: FindingBoard
    deliveries: Sequence[Delivery]
    steps: StepMessages | None
    step_ledger: StepLedger
    pollers: Sequence[tuple[WorklistSource, WorklistPoller]]
    hint: Callable[[], None]


def make_app(parts: Parts) -> Starlette:
    """The application; its endpoints run in threads, since each asks the journal."""

    def status(_request: Request) -> JSONResponse:
        return JSONResponse(status_json(parts))

    def queue(request: Request) -> JSONResponse:
        return JSONResponse(parts.listing.queue(request.query_params.get("exam_id")))

    def refresh(_request: Request) -> JSONResponse:
        with ThreadPoolExecutor(max_workers=max(1, len(parts.pollers))) as together:
            answers = list(together.map(_refresh_one, parts.pollers))
        return JSONResponse(
            {"answers": [{"source": one.source, "trouble": one.trouble, "items": len(one.items)} for one in answers]}
        )

    def hint(_request: Request) -> JSONResponse:
        parts.hint()
        return JSONResponse({})

    def retry(_request: Request) -> JSONResponse:
        return JSONResponse({"retried": sum(delivery.retry() for delivery in parts.deliveries)})

    return Starlette(
        routes=[
            Route("/status", status, methods=["GET"]),
            Route("/queue", queue, methods=["GET"]),
            Route("/worklist/refresh", refresh, methods=["POST"]),
            Route("/hint", hint, methods=["POST"]),
            Route("/retry", retry, methods=["POST"]),
        ]
    )


def _refresh_one(pair: tuple[WorklistSource, WorklistPoller]) -> Any:
    source, poller = pair
    return poller.refresh(source.connect_seconds + source.answer_seconds + 5.0)


def status_json(parts: Parts) -> dict[str, Any]:
    """Counts for each destination, the steps that are due, and all of it in a sentence."""
    destinations = [
        {**parts.listing.destination(one.destination.name), "trouble": one.trouble} for one in parts.deliveries
    ]
    steps = {"due": parts.step_ledger.count_unfinished(), "trouble": parts.steps.trouble if parts.steps else ""}
    return {
        "sentence": sentence_from(destinations, steps),
        "findings": parts.findings.as_json(),
        "destinations": destinations,
        "steps": steps,
    }


def sentence_from(destinations: Sequence[dict[str, Any]], steps: dict[str, Any]) -> str:
    """How delivery stands, for people; the three yeses apart."""
    if not destinations:
        return "No destination is configured: everything stays saved on this box."
    said = []
    for one in destinations:
        waiting = [
            f"{one[key]} {words}"
            for key, words in (("pending", "to store"), ("stored", "stored, not committed"), ("refused", "refused"))
            if one[key]
        ]
        said.append(f"{one['name']}: {', '.join(waiting) or 'nothing waits'}{_in_brackets(one['trouble'])}")
    if steps["due"] and steps["trouble"]:
        said.append(f"performed steps: {steps['due']} to tell{_in_brackets(steps['trouble'])}")
    return "; ".join(said) + "."


def _in_brackets(sentence: str) -> str:
    return f" ({sentence.removesuffix('.')})" if sentence else ""
