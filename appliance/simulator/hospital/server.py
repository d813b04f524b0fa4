"""The hospital's one AE, on a port, on an encrypted one, or on both: which contexts it accepts and who answers what."""

from __future__ import annotations

import logging
import ssl
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial, wraps
from typing import Any, cast

import pydicom.config
from pydicom import uid as syntax
from pydicom.dataset import Dataset
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.events import Event, EventHandlerType
from pynetdicom.presentation import AllStoragePresentationContexts

from appliance.base.clock import Clock, Deadline
from appliance.base.errors import ApplianceError
from appliance.simulator.hospital.commitment_service import CommitmentService
from appliance.simulator.hospital.faults import Fault, FaultBoard
from appliance.simulator.hospital.faulty_line import Listener
from appliance.simulator.hospital.sop_classes import COMMITMENT, PERFORMED_STEP, VERIFICATION, WORKLIST
from appliance.simulator.hospital.step_service import StepService
from appliance.simulator.hospital.storage_service import StorageService
from appliance.simulator.hospital.worklist_service import WorklistService

logger = logging.getLogger(__name__)

_UNCOMPRESSED = [syntax.ExplicitVRLittleEndian, syntax.ImplicitVRLittleEndian]
# In the order of preference when a requestor offers several in one context.
_STORED = [
    *_UNCOMPRESSED,
    syntax.JPEGBaseline8Bit,
    syntax.JPEGExtended12Bit,
    syntax.JPEGLossless,
    syntax.JPEGLosslessSV1,
    syntax.JPEGLSLossless,
    syntax.JPEGLSNearLossless,
    syntax.JPEG2000Lossless,
    syntax.JPEG2000,
    syntax.HTJ2KLossless,
    syntax.RLELossless,
    syntax.MPEG2MPML,
    syntax.MPEG2MPHL,
    syntax.MPEG4HP41,
    syntax.MPEG4HP41BD,
    syntax.HEVCMP51,
]

_PROCESSING_FAILURE = 0x0110
_CANNOT_PROCESS = 0xC000


# Result, source, reason (PS3.8 9.3.4).
_REJECTIONS: tuple[tuple[Fault, tuple[int, int, int]], ...] = (
    # Transient, service provider (presentation related), temporary congestion.
    (Fault.REFUSE_ASSOCIATION, (0x02, 0x03, 0x01)),
    # Permanent, service user, called AE title not recognized.
    (Fault.WRONG_AE, (0x01, 0x01, 0x07)),
)


class HospitalServer:
    """Listens from `start` to `stop`."""

    def __init__(
        self,
        ae_title: str,
        address: str,
        ports: Mapping[int, ssl.SSLContext | None],
        *,
        worklist: WorklistService,
        steps: StepService,
        storage: StorageService,
        commitment: CommitmentService,
        faults: FaultBoard,
        clock: Clock,
    ) -> None:
        """Each of `ports` with its encryption, None for a plain one."""
        self._address = address
        self._ports = ports
        self._faults = faults
        self._clock = clock
        self._ae = _application_entity(ae_title)
        self._handlers: list[EventHandlerType] = [
            (evt.EVT_CONN_OPEN, _free_exit_of_threads),
            (evt.EVT_REQUESTED, self._screen_association),
            (evt.EVT_PDU_RECV, storage.watch_pdu),
            (evt.EVT_C_ECHO, _answer_echo),
            (evt.EVT_C_FIND, _logged_answers(worklist.answer_find)),
            (evt.EVT_C_STORE, _logged(storage.answer_store, _CANNOT_PROCESS)),
            (evt.EVT_N_CREATE, _logged(steps.answer_create, (_PROCESSING_FAILURE, None))),
            (evt.EVT_N_SET, _logged(steps.answer_set, (_PROCESSING_FAILURE, None))),
            (evt.EVT_N_ACTION, _logged(commitment.answer_action, (_PROCESSING_FAILURE, None))),
        ]

    def start(self) -> None:
        """Listen. ApplianceError when a port is not free."""
        for port, tls in self._ports.items():
            try:
                listener = self._ae.make_server(
                    (self._address, port),
                    evt_handlers=self._handlers,
                    server_class=partial(Listener, faults=self._faults, tls=tls),  # type: ignore[arg-type]
                )
            except OSError as error:
                raise ApplianceError(
                    f"The hospital cannot listen on port {port}: {error.strerror}.", "Choose another."
                ) from error
            self._ae._servers.append(cast(Listener, listener))
            cast(Listener, listener).begin()

    def stop(self, seconds: float = 3.0) -> None:
        """Close the port and abort what is open, waiting at most `seconds` for it; what is answered is on disk.

        Not by AE.shutdown(), which waits without a limit for a connection that never asked for an association.
        """
        for server in list(self._ae._servers):
            server.shutdown()
        deadline = Deadline.after(self._clock, seconds)
        open_ones = [each for each in self._ae.active_associations if each.is_established]
        for association in open_ones:
            association.abort(block=False)
        for association in open_ones:
            association.join(deadline.remaining())

    def _screen_association(self, event: Event) -> None:
        """The faults that show at association time; contexts here are this association's own copy."""
        for fault, rejection in _REJECTIONS:
            if self._faults.strike(fault) is not None:
                event.assoc.acse.send_reject(*rejection)
                event.assoc.kill()
                return
        if self._faults.strike(Fault.NO_CONTEXT) is not None:
            event.assoc.acceptor.supported_contexts = []
        elif _wants_context(event.assoc, PERFORMED_STEP) and self._faults.strike(Fault.STEPS_DOWN) is not None:
            _drop_context(event.assoc, PERFORMED_STEP)


def _application_entity(ae_title: str) -> AE:
    # Identifiers hold patients, and both default to on; values are judged by our own rules, without warnings that
    # would print them.
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    ae = AE(ae_title=ae_title)
    ae.maximum_associations = 50
    ae.maximum_pdu_size = 131072
    ae.acse_timeout = 30
    ae.dimse_timeout = 60
    ae.network_timeout = 120
    for context in AllStoragePresentationContexts:
        if context.abstract_syntax is not None:
            ae.add_supported_context(context.abstract_syntax, _STORED)
    for sop_class in (VERIFICATION, WORKLIST, PERFORMED_STEP, COMMITMENT):
        ae.add_supported_context(sop_class, _UNCOMPRESSED)
    return ae


def _free_exit_of_threads(event: Event) -> None:
    """Before they start: no thread of a connection shall hold the process at its end."""
    event.assoc.daemon = True
    event.assoc.dul.daemon = True


def _wants_context(association: Association, sop_class: str) -> bool:
    return any(cx.abstract_syntax == sop_class for cx in association.requestor.requested_contexts)


def _drop_context(association: Association, sop_class: str) -> None:
    acceptor = association.acceptor
    acceptor.supported_contexts = [cx for cx in acceptor.supported_contexts if cx.abstract_syntax != sop_class]


def _answer_echo(_event: Event) -> int:
    logger.info("echo: answered")
    return 0x0000


def _logged(answer: Callable[[Event], Any], failure: Any) -> Callable[[Event], Any]:
    """pynetdicom tells only its own log, which is off, of what a handler raises: tell ours, and answer `failure`."""

    @wraps(answer)
    def answer_or_fail(event: Event) -> Any:
        try:
            return answer(event)
        except Exception as error:  # noqa: BLE001 - the outermost frame of ours
            _log_exception(answer.__name__, error)
            return failure

    return answer_or_fail


_Answers = Iterator[tuple[int | Dataset, Dataset | None]]


def _logged_answers(answer: Callable[[Event], _Answers]) -> Callable[[Event], _Answers]:
    """The same for the generator of a C-FIND."""

    @wraps(answer)
    def answer_or_fail(event: Event) -> _Answers:
        try:
            yield from answer(event)
        except Exception as error:  # noqa: BLE001 - the outermost frame of ours
            _log_exception(answer.__name__, error)
            yield _CANNOT_PROCESS, None

    return answer_or_fail


def _log_exception(what: str, error: Exception) -> None:
    """Where it happened, and only the error's type: its message may quote a value out of a data set."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    places = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames)
    logger.error("%s failed: %s at %s", what, type(error).__name__, places)
