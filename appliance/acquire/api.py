"""What the console may ask of an acquire process. Commands answer when the object is durable, or with a sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from appliance.acquire.runner import DeviceRunner, json_from
from appliance.base.errors import ApplianceError
from appliance.base.flash import in_words
from appliance.base.http import error_response, read_json

_MAX_DRAIN_SECONDS = 120.0
# Of a transcript: an entry is what one read or one write took, a byte or 64 KiB.
TRANSCRIPT_ENTRIES = 2000


def make_app(runner: DeviceRunner) -> Starlette:
    """The application of one device's process."""

    def command(act: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            body = await read_json(request)
            # Flash, the machine and the gate may all take their time; the loop must stay free to answer /status.
            return JSONResponse(await run_in_threadpool(_without_os_error, act, body))

        return answer

    def still(body: dict[str, Any]) -> dict[str, Any]:
        return json_from(runner.take_still(_exam_id_in(body)))

    def start_clip(body: dict[str, Any]) -> dict[str, Any]:
        return {"sop_instance_uid": runner.start_clip(_exam_id_in(body))}

    def stop_clip(body: dict[str, Any]) -> dict[str, Any]:
        return json_from(runner.stop_clip(_exam_id_in(body)))

    def film(body: dict[str, Any]) -> dict[str, Any]:
        return json_from(runner.scan_film(_exam_id_in(body)))

    def cancel(_body: dict[str, Any]) -> dict[str, Any]:
        runner.cancel()
        return {}

    def drain(body: dict[str, Any]) -> dict[str, Any]:
        exam_id = _exam_id_in(body)
        if exam_id is None:
            raise ApplianceError("The request names no exam.")
        return {"drained": runner.gate.drain(exam_id, _seconds_in(body), lambda: runner.finish(exam_id))}

    async def status(_request: Request) -> Response:
        return JSONResponse(runner.status())

    def preview(_request: Request) -> Response:
        try:
            return Response(runner.preview(), media_type="image/jpeg")
        except ApplianceError as error:
            return error_response(error, 503)

    def transcript(_request: Request) -> Response:
        return JSONResponse({"entries": runner.transcript(TRANSCRIPT_ENTRIES)})

    def thumbnail(request: Request) -> Response:
        picture = runner.thumbnails.get(request.path_params["uid"])
        if not picture:
            return error_response(ApplianceError("There is no small picture of this object any more."), 404)
        return Response(picture, media_type="image/jpeg")

    return Starlette(
        routes=[
            Route("/status", status),
            Route("/preview", preview),
            Route("/transcript", transcript),
            Route("/thumbnail/{uid}", thumbnail),
            Route("/still", command(still), methods=["POST"]),
            Route("/clip/start", command(start_clip), methods=["POST"]),
            Route("/clip/stop", command(stop_clip), methods=["POST"]),
            Route("/film", command(film), methods=["POST"]),
            Route("/cancel", command(cancel), methods=["POST"]),
            Route("/drain", command(drain), methods=["POST"]),
        ]
    )


def _without_os_error(act: Callable[[dict[str, Any]], dict[str, Any]], body: dict[str, Any]) -> dict[str, Any]:
    with in_words("This was not saved", "Nothing of it is in the exam."):
        return act(body)


def _exam_id_in(body: dict[str, Any]) -> str | None:
    exam_id = body.get("exam_id")
    if exam_id is not None and not isinstance(exam_id, str):
        raise ApplianceError("The exam's identifier is not text.")
    return exam_id


def _seconds_in(body: dict[str, Any]) -> float:
    seconds = body.get("seconds", 0.0)
    # JSON as Python reads it knows NaN, which is neither below nor above anything.
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= _MAX_DRAIN_SECONDS:
        raise ApplianceError(f"The time to wait is not a number of seconds from 0 to {_MAX_DRAIN_SECONDS:g}.")
    return float(seconds)
