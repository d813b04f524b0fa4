"""Letting go: a person decides that the box need not wait for an archive that never takes responsibility for an object.

The decision is a fact of the exam, `released-UID.json`, with who, when and why; forward obeys it, and so does any later
rebuild of its journal. Only over the unix socket, since the panel does not know who stands before it.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from appliance.base.clock import Clock
from appliance.base.errors import ApplianceError
from appliance.base.flash import reason_of
from appliance.base.http import error_response, read_json
from appliance.console.guard import is_unix_socket
from appliance.exam.audit import Act, Effect
from appliance.exam.audit_gate import AuditGate
from appliance.exam.decisions import Decision, DecisionKind
from appliance.exam.exam import Closed, Instance
from appliance.exam.facts import DamagedFactError, ExamFacts
from appliance.spool.known_states import States, is_safe, read_states
from appliance.spool.tree import Spool, list_objects

_log = logging.getLogger(__name__)

PATH = "/api/release"
_LONGEST_REASON, _LONGEST_ACTOR = 500, 120
# After these nothing waits for an archive; what is rejected waits like everything else until it is released.
_LET_GO: Final = frozenset({DecisionKind.RELEASED, DecisionKind.DISCARDED, DecisionKind.REASSIGNED})


@dataclass(frozen=True, slots=True)
class Releasable:
    """An object that may be let go of. `states` is by destination, as far as it is known; `place` is the directory
    where its file lies, empty when it lies nowhere."""

    sop_instance_uid: str
    device: str
    modality: str
    bytes: int
    frames: int
    place: str
    states: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Letting:
    """What a release of `what` would let go of; of the exam's other objects so many are committed or decided about.

    `forward` is why the forward process says nothing, in a sentence; empty when it did.
    """

    exam_id: str
    objects: tuple[Releasable, ...]
    committed: int
    decided: int
    forward: str


class Releases:
    """Looks at what can be released, and releases it."""

    def __init__(
        self,
        spool: Spool,
        clock: Clock,
        audit: AuditGate,
        *,
        ask_states: Callable[[str], States],
        hint: Callable[[], None],
    ) -> None:
        """`ask_states(exam_id)` asks forward and may raise ApplianceError, and so may `hint()`."""
        self._spool = spool
        self._facts = ExamFacts(spool.exams)
        self._clock = clock
        self._audit = audit
        self._ask_states = ask_states
        self._hint = hint

    def look(self, what: str) -> Letting:
        """What of `what`, an exam or a SOP Instance UID, can be let go of. ApplianceError when nothing can."""
        exam_id, closed = self._closed_of(what)
        states, silence = self._states_of(exam_id)
        decisions = self._facts.decisions(exam_id)
        decided = {one.sop_instance_uid: one.kind for one in decisions if one.kind in _LET_GO}
        wanted = [one for one in closed.instances if what in (exam_id, one.sop_instance_uid)]
        safe = {uid for uid, told in states.items() if is_safe(told.values())}
        uids = {one.sop_instance_uid for one in wanted}
        objects = tuple(
            self._releasable(one, states.get(one.sop_instance_uid, {}))
            for one in wanted
            if one.sop_instance_uid not in safe and one.sop_instance_uid not in decided
        )
        if not objects:
            raise _nothing_to_release(len(uids), len(uids & safe), sorted(decided[uid] for uid in uids & set(decided)))
        return Letting(exam_id, objects, len(uids & safe), len(uids & set(decided)), silence)

    def release(self, what: str, actor: str, reason: str) -> Letting:
        """Release what `look` tells; durable when this returns. ApplianceError as there, and when flash refuses."""
        actor, reason = _checked("actor", actor, _LONGEST_ACTOR), _checked("reason", reason, _LONGEST_REASON)
        letting = self.look(what)
        exam = self._facts.exam(letting.exam_id)
        uids = [one.sop_instance_uid for one in letting.objects]
        # Before the fact: a power cut leaves a record of what nobody was told of, never an act without one.
        self._audit.record(Act.OBJECT_RELEASED, actor=actor, exam=exam, objects=uids, detail=reason)
        now = self._clock.now()
        for number, uid in enumerate(uids):
            try:
                self._facts.decide(letting.exam_id, Decision(DecisionKind.RELEASED, uid, now, actor, reason))
            except OSError as error:
                said = f"Not written: {reason_of(error)}."
                left = uids[number:]
                self._audit.record(
                    Act.OBJECT_RELEASED,
                    actor=actor,
                    exam=exam,
                    objects=left,
                    outcome=Effect.SERIOUS_FAILURE,
                    detail=said,
                )
                raise ApplianceError(
                    f"The decision cannot be written to flash: {number} of {len(uids)} objects are released.",
                    "Have the box's flash checked; repeat the command for the others.",
                ) from error
        _log.info("exam %s: %d objects released by a person", letting.exam_id, len(uids))
        try:
            self._hint()
        except ApplianceError as error:
            _log.info("no hint given: %s", error.sentence)
        return letting

    # -- what the files say

    def _closed_of(self, what: str) -> tuple[str, Closed]:
        """The ended exam that is `what`, or lists it. ApplianceError when there is none."""
        exam_ids = self._facts.exam_ids()
        if what in exam_ids:
            closed = self._facts.closed(what)
            if closed is None:
                raise ApplianceError(f"The exam {what} is not ended yet.", "End it first; then it can be released.")
            return what, closed
        damaged = ""
        for exam_id in reversed(exam_ids):
            try:
                closed = self._facts.closed(exam_id)
            except DamagedFactError as error:
                damaged = error.sentence
                continue
            if closed is not None and any(one.sop_instance_uid == what for one in closed.instances):
                return exam_id, closed
        if self._lies_elsewhere(what):
            raise ApplianceError(
                "This object belongs to no exam that was ended, so nothing waits for an archive.",
                "If its exam is open, end it first.",
            )
        raise ApplianceError("There is no such exam or object on this box.", damaged or "See `appliance exam list`.")

    def _lies_elsewhere(self, uid: str) -> bool:
        directories = [self._spool.quarantine]
        for device in self._spool.captured_devices():
            directories += list(self._spool.captured(device, None).parent.iterdir())
        return any(name.sop_instance_uid == uid for directory in directories for _, name in list_objects(directory))

    def _states_of(self, exam_id: str) -> tuple[States, str]:
        if states := read_states(self._spool, exam_id):
            return states, ""
        try:
            return self._ask_states(exam_id), ""
        except ApplianceError as error:
            return {}, error.sentence

    def _releasable(self, instance: Instance, states: Mapping[str, str]) -> Releasable:
        return Releasable(
            instance.sop_instance_uid,
            instance.device,
            instance.modality,
            instance.bytes,
            instance.frames,
            next(self._places_of(instance.file_name), ""),
            states,
        )

    def _places_of(self, file_name: str) -> Iterator[str]:
        for directory in (self._spool.outbox, self._spool.kept, self._spool.quarantine):
            if (directory / file_name).exists():
                yield directory.name


def _nothing_to_release(objects: int, committed: int, decided: list[DecisionKind]) -> ApplianceError:
    if not objects:
        return ApplianceError("This exam has no objects.", "There is nothing to release.")
    if not decided:
        return ApplianceError("It is committed already: the archive took responsibility.", "Nothing is to be released.")
    if committed:
        return ApplianceError("What of it is not committed was decided about before.", "Nothing is to be released.")
    return ApplianceError(f"It was {' and '.join(dict.fromkeys(decided))} before.", "Nothing is to be released.")


def _checked(what: str, text: str, longest: int) -> str:
    """`text` on one line, as it is kept and shown. ApplianceError when it is none."""
    text = text.strip()
    if not text:
        raise ApplianceError(f"The {what} is missing.", "Say why these objects need not be committed.")
    if len(text) > longest:
        raise ApplianceError(f"The {what} is longer than {longest} characters.")
    if any(unicodedata.category(letter) in {"Cc", "Cs", "Cn", "Zl", "Zp"} for letter in text):
        raise ApplianceError(f"The {what} holds a character that cannot be kept.")
    return text


def release_routes(releases: Releases) -> list[Route]:
    """GET tells what would be let go of (`?what=`), POST does it: an object with `what`, `actor` and `reason`."""

    async def answer(request: Request) -> Response:
        if not is_unix_socket(request.scope):
            return error_response(ApplianceError("The panel cannot do this.", "Support can: `appliance release`."), 403)
        if request.method == "POST":
            given = await read_json(request)
            words = [str(given.get(key, "")) for key in ("what", "actor", "reason")]
            return JSONResponse(_json_from(await run_in_threadpool(releases.release, *words)))
        return JSONResponse(_json_from(await run_in_threadpool(releases.look, request.query_params.get("what", ""))))

    return [Route(PATH, answer, methods=["GET", "POST"])]


def _json_from(letting: Letting) -> dict[str, Any]:
    return asdict(letting)
