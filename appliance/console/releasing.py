"""Letting go: a person decides that the box need not wait for an archive that never takes responsibility for an object.

The decision is a fact of the exam, `released-UID.json` for all destinations or `released-UID@DESTINATION.json` for one,
with who, when and why; forward obeys it, and so does any later rebuild of its journal. Nothing is taken away from a
destination that is configured and waits for it, but by the word *everywhere*. Only over the unix socket, since the
panel does not know who stands before it.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
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
from appliance.spool.known_states import DONE_STATES, States, is_safe, read_states
from appliance.spool.tree import Spool, list_objects

_log = logging.getLogger(__name__)

PATH = "/api/release"
_LONGEST_REASON, _LONGEST_ACTOR = 500, 120
_UNKNOWN: Final = "unknown"
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

    `destination` is the only one that is let go of, empty for all; `waiting` are those that are configured and would
    not get what they wait for, which only a release of all may do. `forward` is why the forward process says nothing,
    in a sentence; empty when it did.
    """

    exam_id: str
    objects: tuple[Releasable, ...]
    committed: int
    decided: int
    destination: str
    waiting: tuple[str, ...]
    forward: str


class Releases:
    """Looks at what can be released, and releases it."""

    def __init__(
        self,
        spool: Spool,
        clock: Clock,
        audit: AuditGate,
        *,
        destinations: Collection[str],
        ask_states: Callable[[str], States],
        hint: Callable[[], None],
    ) -> None:
        """`destinations` are those that are configured.

        `ask_states(exam_id)` asks forward and may raise ApplianceError, and so may `hint()`.
        """
        self._spool = spool
        self._facts = ExamFacts(spool.exams)
        self._clock = clock
        self._audit = audit
        self._destinations = frozenset(destinations)
        self._ask_states = ask_states
        self._hint = hint

    def look(self, what: str, destination: str = "") -> Letting:
        """What of `what`, an exam or a SOP Instance UID, can be let go of, everywhere or at one destination.

        ApplianceError when nothing can.
        """
        exam_id, closed = self._closed_of(what)
        states, silence = self._states_of(exam_id)
        decisions = self._facts.decisions(exam_id)
        whole = {one.sop_instance_uid: one.kind for one in decisions if one.kind in _LET_GO and not one.destination}
        single = {(one.sop_instance_uid, one.destination) for one in decisions if one.destination}
        expected = dict.fromkeys(closed.destinations or sorted(self._destinations), _UNKNOWN)
        objects: list[Releasable] = []
        decided: list[DecisionKind] = []
        waiting: set[str] = set()
        safe = elsewhere = 0
        for one in closed.instances:
            uid = one.sop_instance_uid
            if what not in (exam_id, uid):
                continue
            told = states.get(uid) or expected
            asked = {name: state for name, state in told.items() if destination in ("", name)}
            left = {name: state for name, state in asked.items() if (uid, name) not in single}
            if uid in whole or (asked and not left):
                decided.append(whole.get(uid, DecisionKind.RELEASED))
            elif destination and not asked:
                elsewhere += 1
            elif is_safe(left.values()):
                safe += 1
            else:
                objects.append(self._releasable(one, told))
                waiting |= {name for name, state in left.items() if state not in DONE_STATES}
        if not objects:
            raise _nothing_to_release(elsewhere, safe, decided)
        kept_from = () if destination else tuple(sorted(waiting & self._destinations))
        return Letting(exam_id, tuple(objects), safe, len(decided), destination, kept_from, silence)

    def release(
        self, what: str, actor: str, reason: str, destination: str = "", *, is_everywhere: bool = False
    ) -> Letting:
        """Release what `look` tells; durable when this returns. ApplianceError as there, and when flash refuses.

        Also when a configured destination waits for some of it, unless `is_everywhere` says that it is not to get it.
        """
        actor, reason = _checked("actor", actor, _LONGEST_ACTOR), _checked("reason", reason, _LONGEST_REASON)
        letting = self.look(what, destination)
        if letting.waiting and not is_everywhere:
            wait = "waits" if len(letting.waiting) == 1 else "wait"
            raise ApplianceError(
                f"{' and '.join(letting.waiting)} still {wait} for it, and would not get it either.",
                "Say --destination NAME to let go of it at one destination alone, or --everywhere.",
            )
        exam = self._facts.exam(letting.exam_id)
        detail = f"at {destination} alone: {reason}" if destination else reason
        uids = [one.sop_instance_uid for one in letting.objects]
        # Before the fact: a power cut leaves a record of what nobody was told of, never an act without one.
        self._audit.record(Act.OBJECT_RELEASED, actor=actor, exam=exam, objects=uids, detail=detail)
        now = self._clock.now()
        for number, uid in enumerate(uids):
            try:
                decision = Decision(DecisionKind.RELEASED, uid, now, actor, reason, destination=destination)
                self._facts.decide(letting.exam_id, decision)
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


def _nothing_to_release(elsewhere: int, committed: int, decided: list[DecisionKind]) -> ApplianceError:
    if not elsewhere + committed + len(decided):
        return ApplianceError("This exam has no objects.", "There is nothing to release.")
    if not committed and not decided:
        return ApplianceError("Nothing of it goes to this destination.", "See `appliance exam show EXAM`.")
    if not decided:
        return ApplianceError("It is committed already: the archive took responsibility.", "Nothing is to be released.")
    if committed:
        return ApplianceError("What of it is not committed was decided about before.", "Nothing is to be released.")
    kinds = " and ".join(dict.fromkeys(sorted(decided)))
    return ApplianceError(f"It was {kinds} before.", "Nothing is to be released.")


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
    """GET tells what would be let go of (`?what=` and `&destination=`), POST does it.

    Its body is an object with `what`, `actor` and `reason`, perhaps a `destination`, or `everywhere`, which is true.
    """

    async def answer(request: Request) -> Response:
        if not is_unix_socket(request.scope):
            return error_response(ApplianceError("The panel cannot do this.", "Support can: `appliance release`."), 403)
        if request.method == "POST":
            given = await read_json(request)
            words = [str(given.get(key, "")) for key in ("what", "actor", "reason", "destination")]
            release = partial(releases.release, *words, is_everywhere=given.get("everywhere") is True)
            return JSONResponse(_json_from(await run_in_threadpool(release)))
        words = [request.query_params.get(key, "") for key in ("what", "destination")]
        return JSONResponse(_json_from(await run_in_threadpool(releases.look, *words)))

    return [Route(PATH, answer, methods=["GET", "POST"])]


def _json_from(letting: Letting) -> dict[str, Any]:
    return asdict(letting)
