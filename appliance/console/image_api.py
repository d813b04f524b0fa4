"""HTTP of what people see of saved images and decide about them: pictures, the tray, the review, the right patient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from appliance.base.errors import ApplianceError
from appliance.base.http import command, error_response
from appliance.console.audit import PANEL
from appliance.console.correcting import Corrections
from appliance.console.deciding import Decisions, list_discarded, list_unassigned
from appliance.console.kinds import Kinds
from appliance.console.objects import Pictures
from appliance.console.views import exam_view_from, object_view_from
from appliance.exam.decisions import UNDECIDED, DecisionKind
from appliance.exam.facts import ExamFacts
from appliance.exam.item import WorklistItem
from appliance.spool.tree import Spool

Body = dict[str, Any]
_MOST_UIDS = 1000


@dataclass(frozen=True, slots=True)
class ImageParts:
    """What these endpoints work with. `items_from(body)` are the entries that a request names, `actor` who asks."""

    spool: Spool
    facts: ExamFacts
    decisions: Decisions
    corrections: Corrections
    pictures: Pictures
    kinds: Kinds
    actor: Callable[[], str] = lambda: PANEL


def image_routes(parts: ImageParts, items_from: Callable[[Body], Sequence[WorklistItem]]) -> list[Route]:
    """All of them."""
    api = _ImageApi(parts, items_from)
    return [
        Route("/api/objects/{uid}", _answering(api.show_object)),
        Route("/api/objects/{uid}/frames/{number:int}", _answering(api.show_frame)),
        Route("/api/objects/{uid}/thumbnail", _answering(api.show_thumbnail)),
        Route("/api/objects/{uid}/grays", _answering(api.show_grays)),
        command("/api/exam/discard", api.discard),
        command("/api/exam/take-back", api.take_back),
        command("/api/exam/describe", api.describe),
        command("/api/exam/move", api.move),
        Route("/api/exam/{exam_id}/correction", _answering(api.show_correction)),
        command("/api/exam/correct", api.correct),
        Route("/api/unassigned", _answering(api.show_unassigned)),
        command("/api/unassigned/assign", api.assign),
        command("/api/unassigned/discard", api.discard_unassigned),
    ]


def _answering(work: Callable[[Request], Response]) -> Callable[[Request], Response]:
    def endpoint(request: Request) -> Response:
        try:
            return work(request)
        except ApplianceError as error:
            return error_response(error, 404)

    return endpoint


class _ImageApi:
    def __init__(self, parts: ImageParts, items_from: Callable[[Body], Sequence[WorklistItem]]) -> None:
        self._parts = parts
        self._items_from = items_from

    # -- pictures

    def show_object(self, request: Request) -> Response:
        return JSONResponse(self._parts.pictures.look(request.path_params["uid"]).view())

    def show_frame(self, request: Request) -> Response:
        picture = self._parts.pictures.frame(request.path_params["uid"], request.path_params["number"])
        return Response(picture, media_type="image/jpeg")

    def show_thumbnail(self, request: Request) -> Response:
        return Response(self._parts.pictures.thumbnail(request.path_params["uid"]), media_type="image/jpeg")

    def show_grays(self, request: Request) -> Response:
        """16-bit little-endian samples; the headers say how many lie in a row, and how many rows there are."""
        columns, rows, samples = self._parts.pictures.grays(request.path_params["uid"])
        size = {"X-Columns": str(columns), "X-Rows": str(rows)}
        return Response(samples, media_type="application/octet-stream", headers=size)

    # -- the open exam

    def discard(self, body: Body) -> Body:
        self._parts.decisions.discard(
            _text(body, "exam_id"), _text(body, "uid"), _text(body, "reason"), self._parts.actor()
        )
        return {}

    def take_back(self, body: Body) -> Body:
        self._parts.decisions.take_back(_text(body, "exam_id"), _text(body, "uid"), self._parts.actor())
        return {}

    def describe(self, body: Body) -> Body:
        self._parts.decisions.describe(
            _text(body, "exam_id"), _text(body, "device"), _text(body, "description"), self._parts.actor()
        )
        return {}

    def move(self, body: Body) -> Body:
        """Answered when the right patient's exam is open; the images follow within moments."""
        exam_id, items = _text(body, "exam_id"), self._items_from(body)
        exam = self._parts.decisions.move(exam_id, _uids_from(body), items, self._parts.actor())
        return exam_view_from(exam, "open")

    # -- an exam that has ended

    def show_correction(self, request: Request) -> Response:
        return JSONResponse(self._parts.corrections.look(request.path_params["exam_id"]).view())

    def correct(self, body: Body) -> Body:
        exam_id, items = _text(body, "exam_id"), self._items_from(body)
        exam = self._parts.corrections.correct(exam_id, _uids_from(body), items, self._parts.actor())
        return exam_view_from(exam, "closing")

    # -- the tray

    def show_unassigned(self, _request: Request) -> Response:
        found = list_unassigned(self._parts.spool, self._parts.facts)
        views = (object_view_from(device, path, name, self._parts.kinds) for device, path, name in found)
        return JSONResponse({"objects": [view for view in views if view is not None]})

    def assign(self, body: Body) -> Body:
        self._parts.decisions.assign(_uids_from(body) or (), _text(body, "exam_id"), self._parts.actor())
        return {}

    def discard_unassigned(self, body: Body) -> Body:
        self._parts.decisions.discard_unassigned(_uids_from(body) or (), _text(body, "reason"), self._parts.actor())
        return {}


def read_discarded(spool: Spool, facts: ExamFacts, kinds: Kinds, exam_id: str) -> list[dict[str, Any]]:
    """What was discarded from the open exam and may be taken back, as the strip shows it."""
    found = list_discarded(spool, exam_id)
    decided = facts.decided(exam_id) if found else {}
    return [
        view
        for device, path, name in found
        if DecisionKind.DISCARDED in decided.get(name.sop_instance_uid, UNDECIDED).kinds
        and (view := object_view_from(device, path, name, kinds)) is not None
    ]


def _text(body: Body, key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str):
        raise ApplianceError(f"The request lacks {key}.")
    return value


def _uids_from(body: Body) -> list[str] | None:
    """The images that a request names; None where it names none, which means all."""
    uids = body.get("uids")
    if uids is None:
        return None
    if not isinstance(uids, list) or len(uids) > _MOST_UIDS or not all(isinstance(uid, str) for uid in uids):
        raise ApplianceError("The request names its images wrongly.")
    return uids
