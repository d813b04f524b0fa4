"""The console's HTTP: the panel's page, and the questions and commands behind it, on TCP and on console.sock alike.

Whatever may block (a file, another process) runs in Starlette's thread pool, never in the event loop.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from appliance.base.asking import Asker
from appliance.base.clock import Clock
from appliance.base.errors import ApplianceError
from appliance.base.findings import FindingBoard
from appliance.base.flash import in_words
from appliance.base.http import answer_appliance_error, command, error_response, read_json
from appliance.config.schema import Configuration
from appliance.console.access_api import Access, EventsEndpoint, access_routes, refusal_of
from appliance.console.acquires import Acquires, NoSuchDeviceError
from appliance.console.aftercare import count_unassigned
from appliance.console.clock import ClockWatch
from appliance.console.events import Events, Topic
from appliance.console.exams import ExamKeeper
from appliance.console.first import PAGE, FirstContact, first_routes
from appliance.console.guard import Guard
from appliance.console.image_api import ImageParts, image_routes, read_discarded
from appliance.console.language import PanelLanguage
from appliance.console.lights import read_lights
from appliance.console.page import page_routes
from appliance.console.papers import paper_routes
from appliance.console.releasing import Releases, release_routes
from appliance.console.room import Room
from appliance.console.views import (
    NamedExams,
    current_view_from,
    exam_view_from,
    list_undecided,
    object_view_from,
)
from appliance.console.worklist import Worklist
from appliance.exam.exam import Outcome
from appliance.exam.facts import ExamFacts
from appliance.exam.item import WorklistItem
from appliance.exam.reasons import DISCARD_REASONS, REASONS, is_reason
from appliance.exam.unscheduled import emergency_item_from, unscheduled_item_from
from appliance.spool.tree import Spool

_UID = re.compile(r"\A[0-9.]{1,64}\Z")
_MOST_STEPS = 16
# How often what is pushed is looked at, while somebody listens.
_EXAM_SECONDS, _WORKLIST_SECONDS, _STATUS_SECONDS = 0.4, 1.0, 2.0
# Forward asks every source with its own deadlines, one after the other at worst.
_REFRESH_EXTRA_SECONDS = 5.0

Body = dict[str, Any]
Work = Callable[[Body], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the endpoints work with; services.console puts it together."""

    configuration: Configuration
    spool: Spool
    keeper: ExamKeeper
    worklist: Worklist
    acquires: Acquires
    forward: Asker
    findings: FindingBoard
    clock: Clock
    watch: ClockWatch
    releases: Releases
    room: Room
    images: ImageParts
    access: Access
    language: PanelLanguage
    first: FirstContact


def build_app(parts: Parts) -> Starlette:
    """The console's application: the routes below, guarded."""
    api = _Api(parts)
    events = Events(
        (
            Topic("exam", _EXAM_SECONDS, api.exam_state),
            Topic("worklist", _WORKLIST_SECONDS, parts.worklist.head),
            Topic("status", _STATUS_SECONDS, api.status),
        ),
        parts.clock,
    )
    app = Starlette(
        routes=[
            *page_routes(parts.configuration, parts.language, lambda: PAGE if parts.first.is_open() else ""),
            *first_routes(parts.first, parts.configuration, parts.language),
            *paper_routes(parts.configuration, parts.language),
            command("/api/language", parts.language.choose),
            Route("/api/alive", api.show_alive),
            Route("/api/worklist", api.show_worklist),
            command("/api/worklist/refresh", api.refresh_worklist),
            command("/api/worklist/search", api.search_worklist),
            command("/api/exams", api.open_exam),
            Route("/api/exam", api.show_exam),
            command("/api/exam/close", api.close_exam),
            command("/api/exam/go-on", api.go_on),
            Route("/api/devices/{device}/preview", api.show_preview),
            Route("/api/devices/{device}/thumbnail/{uid}", api.show_thumbnail),
            *(
                Route(f"/api/devices/{{device}}/{action}", api.command_endpoint(action), methods=["POST"])
                for action in ("still", "clip/start", "clip/stop", "film", "cancel")
            ),
            Route("/api/queue", api.show_queue),
            command("/api/queue/retry", api.retry_refused),
            Route("/api/status", api.show_status),
            Route("/api/clock", api.show_clock),
            command("/api/clock/trust", api.trust_clock),
            *release_routes(parts.releases),
            *image_routes(parts.images, api.items_from),
            *access_routes(parts.access, api.open_emergency),
            Route("/api/events", EventsEndpoint(parts.access, events), methods=["GET"]),
        ],
        middleware=[
            Middleware(
                Guard,
                allowed_hosts=parts.configuration.panel.allowed_hosts,
                tokens=parts.access.tokens,
                refusal_of_role=partial(refusal_of, parts.access),
            )
        ],
        exception_handlers={
            ApplianceError: answer_appliance_error,
            NoSuchDeviceError: _answer_no_such_device,
            HTTPException: _answer_http_error,
        },
    )
    app.state.on_stop = events.stop
    return app


async def _answer_no_such_device(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApplianceError)
    return error_response(error, 404)


async def _answer_http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(ApplianceError(f"The panel has no such address ({error.detail})."), error.status_code)


class _Api:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._facts = ExamFacts(parts.spool.exams)
        self._named = NamedExams(self._facts)

    # -- the clock

    def show_clock(self, _request: Request) -> Response:
        """What the clock shows, and whether it can be believed."""
        return JSONResponse(self._parts.watch.view())

    def trust_clock(self, _body: Body) -> dict[str, Any]:
        """A person says that the clock is right: that holds until somebody sets it, or the box starts again."""
        with in_words("That could not be written down"):
            self._parts.watch.take_word()
        return self._parts.watch.view()

    # -- worklist

    async def show_alive(self, _request: Request) -> Response:
        """Answers at once, whatever the devices do: the panel tells a lost connection by it."""
        return JSONResponse({"now": self._parts.clock.now().isoformat(timespec="seconds")})

    def show_worklist(self, request: Request) -> Response:
        """The list; without its entries when the caller has them in this `version` already."""
        now = self._parts.clock.now().isoformat(timespec="seconds")
        version = request.query_params.get("version", "")
        return Response(self._parts.worklist.view(now, version), media_type="application/json")

    def search_worklist(self, body: Body) -> dict[str, Any]:
        """What the hospital answers for one patient; its entries can be chosen as those of the list can."""
        waits = [source.connect_seconds + source.answer_seconds for source in self._parts.configuration.worklist]
        seconds = max(waits, default=0.0) + _REFRESH_EXTRA_SECONDS
        return self._parts.worklist.take_found(
            self._parts.forward.ask("POST", "/worklist/query", body, seconds=seconds)
        )

    def refresh_worklist(self, _body: Body) -> dict[str, Any]:
        seconds = sum(source.connect_seconds + source.answer_seconds for source in self._parts.configuration.worklist)
        return self._parts.forward.ask("POST", "/worklist/refresh", {}, seconds=seconds + _REFRESH_EXTRA_SECONDS)

    def retry_refused(self, _body: Body) -> dict[str, Any]:
        """What an archive refused is tried again, now that a person did something about it."""
        return self._parts.forward.ask("POST", "/retry", {})

    # -- exam

    def open_exam(self, body: Body) -> dict[str, Any]:
        """Open an exam on the entry `key`, the entries `keys` or the typed `patient`; answered when it is on disk."""
        return exam_view_from(self._parts.keeper.open(*self.items_from(body)), "open")

    def open_emergency(self) -> dict[str, Any]:
        """Open an exam on somebody of whom nothing is known yet."""
        name = self._parts.configuration.unscheduled.emergency_name
        item = emergency_item_from(name, self._parts.clock.now().date())
        return exam_view_from(self._parts.keeper.open(item), "open")

    def items_from(self, body: Body) -> list[WorklistItem]:
        """The entries that a request names, or the patient that it describes."""
        if "patient" in body:
            return [self._typed_item_from(body["patient"])]
        keys = body.get("keys", [body.get("key")])
        if not isinstance(keys, list) or not 1 <= len(keys) <= _MOST_STEPS or not all(isinstance(k, str) for k in keys):
            raise ApplianceError("The request lacks key.")
        return [self._parts.worklist.find(key) for key in dict.fromkeys(keys)]

    def _typed_item_from(self, patient: Any) -> WorklistItem:
        if not isinstance(patient, dict):
            raise ApplianceError("The request lacks patient.")
        name, patient_id = _text_from(patient, "name"), _text_from(patient, "patient_id", default="")
        birth_date, sex = _text_from(patient, "birth_date", default=""), _text_from(patient, "sex", default="")
        return unscheduled_item_from(name, patient_id, birth_date, sex, self._parts.clock.now().date())

    def show_exam(self, _request: Request) -> Response:
        """See `exam_state`; `looked_at` tells an older answer from a newer one, as an event's id does."""
        looked_at = self._parts.clock.monotonic()
        return JSONResponse({**self.exam_state(), "looked_at": looked_at})

    def exam_state(self) -> dict[str, Any]:
        """The exam that occupies the box, what the devices say, and what is saved of it here."""
        parts = self._parts
        statuses = parts.acquires.statuses()
        current = parts.keeper.current()
        configuration = parts.configuration
        return {
            "exam": current_view_from(current),
            "presence": parts.access.presence.view(),
            "devices": statuses,
            "captured": self._captured(current.exam.exam_id) if current else [],
            "discarded": self._discarded(current.exam.exam_id) if current else [],
            "unassigned": sum(count_unassigned(parts.spool, self._facts).values()),
            "destinations": [destination.name for destination in configuration.destinations],
            "tells_performed_step": configuration.performed_step is not None,
            "reasons": [{"code": reason.code, "sentence": reason.sentence} for reason in REASONS],
            "discard_reasons": list(DISCARD_REASONS),
            "findings": parts.findings.as_json(),
        }

    def _captured(self, exam_id: str) -> list[dict[str, Any]]:
        found, kinds = list_undecided(self._parts.spool, self._facts, exam_id), self._parts.images.kinds
        views = (object_view_from(device, path, name, kinds) for device, path, name in found)
        return [view for view in views if view is not None]

    def _discarded(self, exam_id: str) -> list[dict[str, Any]]:
        return read_discarded(self._parts.spool, self._facts, self._parts.images.kinds, exam_id)

    def go_on(self, _body: Body) -> dict[str, Any]:
        """The exam that a restart interrupted goes on."""
        self._parts.keeper.go_on()
        return {}

    def close_exam(self, body: Body) -> dict[str, Any]:
        """End the exam; answered when its objects are in forward's hands. `reason` is a code of exam.reasons."""
        exam_id = _text_from(body, "exam_id")
        try:
            outcome = Outcome(_text_from(body, "outcome"))
        except ValueError:
            raise ApplianceError("An exam ends COMPLETED or DISCONTINUED.") from None
        reason = _text_from(body, "reason", default="")
        if reason and (outcome is Outcome.COMPLETED or not is_reason(reason)):
            raise ApplianceError("This is no reason for which an exam ends like that.")
        closed = self._parts.keeper.close(exam_id, outcome, reason)
        return {
            "exam_id": exam_id,
            "instances": len(closed.instances),
            "outcome": closed.outcome,
            "findings": list(closed.findings),
        }

    # -- devices

    def command_endpoint(self, action: str) -> Callable[[Request], Any]:
        """The endpoint of one command to a device; capturing needs the open exam, and only that one."""

        def work(device: str, body: Body) -> dict[str, Any]:
            if action in {"cancel", "clip/stop"}:
                return self._parts.acquires.command(device, action, {})
            current = self._parts.keeper.current()
            if current is None or current.is_closing:
                raise ApplianceError("No exam is open.", "Choose the patient first.")
            exam_id = current.exam.exam_id
            if body.get("exam_id", exam_id) != exam_id:
                raise ApplianceError(
                    "Another exam is open than the one that this screen shows.",
                    "Look whose exam it is; then try again.",
                )
            self._parts.room.refuse_if_full()
            try:
                return self._parts.acquires.command(device, action, {"exam_id": exam_id})
            finally:
                self._parts.keeper.wake()

        async def endpoint(request: Request) -> Response:
            body = await read_json(request)
            return JSONResponse(await run_in_threadpool(work, request.path_params["device"], body))

        return endpoint

    def show_preview(self, request: Request) -> Response:
        picture = self._parts.acquires.picture(request.path_params["device"], "/preview")
        return Response(picture, media_type="image/jpeg")

    def show_thumbnail(self, request: Request) -> Response:
        uid = request.path_params["uid"]
        if not _UID.match(uid):
            return error_response(ApplianceError("This is not a UID."), 404)
        picture = self._parts.acquires.picture(request.path_params["device"], f"/thumbnail/{uid}")
        return Response(picture, media_type="image/jpeg")

    # -- what became of it

    def show_queue(self, request: Request) -> Response:
        """Forward's queue, the names that belong to its exams, and what is saved of the exam that is still open."""
        parts = self._parts
        exam_id = request.query_params.get("exam_id", "")
        if exam_id and exam_id not in self._facts.exam_ids():
            return error_response(ApplianceError("There is no such exam."), 404)
        queue = parts.forward.ask("GET", f"/queue?exam_id={exam_id}" if exam_id else "/queue", seconds=10.0)
        current = parts.keeper.current()
        captured = self._captured(current.exam.exam_id) if current else []
        for one in queue.get("objects", ()):
            one["kind"] = parts.images.kinds.kind_of(one["device"], one["sop_class_uid"])
        named = {str(entry.get("exam_id", "")) for part in ("objects", "steps") for entry in queue.get(part, ())}
        return JSONResponse(
            {
                **queue,
                "open": {"exam": current_view_from(current), "captured": captured} if current else None,
                "exams": self._named.read(named),
            }
        )

    def show_status(self, _request: Request) -> Response:
        return JSONResponse(self.status())

    def status(self) -> dict[str, Any]:
        """Everything that is wrong anywhere on the box, in sentences, and how the destinations are."""
        parts = self._parts
        findings = parts.findings.as_json()
        statuses, is_silent = parts.acquires.statuses(), False
        for status in statuses:
            findings += status.get("findings", [])
        try:
            forward = parts.forward.ask("GET", "/status", seconds=2.0)
        except ApplianceError as error:
            forward = {"sentence": error.sentence, "destinations": [], "steps": {"due": 0, "trouble": ""}}
            is_silent = True
            findings.append(
                {
                    "code": "forward-silent",
                    "sentence": "The part of the box that sends to the archive does not answer.",
                    "suggestion": "It starts again by itself; what was saved stays saved.",
                    "subject": "forward",
                }
            )
        room = parts.room.view(forward)
        findings += [asdict(finding) for finding in room.findings]
        findings += list(forward.get("findings", []))
        current = parts.keeper.current()
        lights = read_lights(parts.spool, self._facts, current, statuses, findings, is_forward_silent=is_silent)
        return {**forward, "room": room.json, "lights": lights, "findings": findings}


def _text_from(body: Body, key: str, default: str | None = None) -> str:
    value = body.get(key, default)
    if not isinstance(value, str):
        raise ApplianceError(f"The request lacks {key}.")
    return value
