"""What a performed-step manager answers, over a real association: which answers mean that the step exists, or ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import ModalityPerformedProcedureStep  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from appliance.config.schema import PerformedStepManager
from appliance.dimse.association import Association, Caller, open_association
from appliance.dimse.performed_step import STEP_CONTEXT, StepAnswer, create_step, set_step
from appliance.dimse.status import StepVerdict
from appliance.exam.exam import Outcome
from appliance.forward.states import StepEvent, event_of_creation, event_of_final

UID = "2.25.4711"


@dataclass
class Manager:
    """A manager that answers what the test wants, and keeps what it was sent."""

    server: ThreadedAssociationServer | None = None
    status: Dataset = field(default_factory=Dataset)
    renames_to: str = ""
    received: list[tuple[str, str, Dataset]] = field(default_factory=list)

    def answer(self, code: int, comment: str = "", error_id: int | None = None) -> None:
        self.status = Dataset()
        self.status.Status = code
        if comment:
            self.status.ErrorComment = comment
        if error_id is not None:
            self.status.ErrorID = error_id

    def create(self, event: Event) -> tuple[Dataset, Dataset | None]:
        self.received.append(("N-CREATE", str(event.request.AffectedSOPInstanceUID), event.attribute_list))
        return self.status, None

    def rename(self, event: Event) -> None:
        """Before it is encoded: the library itself never answers with another name."""
        if self.renames_to and "AffectedSOPInstanceUID" in event.message.command_set:
            event.message.command_set.AffectedSOPInstanceUID = self.renames_to

    def set(self, event: Event) -> tuple[Dataset, Dataset | None]:
        self.received.append(("N-SET", str(event.request.RequestedSOPInstanceUID), event.modification_list))
        return self.status, None

    @property
    def peer(self) -> PerformedStepManager:
        assert self.server is not None
        return PerformedStepManager(ae_title="RIS", host="127.0.0.1", port=self.server.server_address[1])


@pytest.fixture(scope="module")
def running_manager() -> Iterator[Manager]:
    made = Manager()
    entity = AE(ae_title="RIS")
    entity.add_supported_context(ModalityPerformedProcedureStep)
    handlers = [(evt.EVT_N_CREATE, made.create), (evt.EVT_N_SET, made.set), (evt.EVT_DIMSE_SENT, made.rename)]
    made.server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    yield made
    assert made.server is not None
    made.server.shutdown()


@pytest.fixture
def manager(running_manager: Manager) -> Manager:
    running_manager.renames_to = ""
    running_manager.received.clear()
    return running_manager


def tell(manager: Manager, act: Callable[[Association, str, Dataset], StepAnswer], dataset: Dataset) -> StepAnswer:
    with open_association(manager.peer, Caller("BRIDGE"), [STEP_CONTEXT]) as association:
        return act(association, UID, dataset)


def step(status: str) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = "山田^太郎"
    dataset.PerformedProcedureStepStatus = status
    return dataset


@pytest.mark.parametrize("code", [0x0000, 0x0001, 0x0107, 0x0116, 0x0111])
def test_ok__the_step_exists(manager: Manager, code: int) -> None:
    manager.answer(code)
    answer = tell(manager, create_step, step("IN PROGRESS"))
    assert event_of_creation(answer.verdict) is StepEvent.CREATED
    assert answer.sop_instance_uid == UID
    ((operation, uid, dataset),) = manager.received
    assert (operation, uid, dataset.PatientName) == ("N-CREATE", UID, "山田^太郎")


@pytest.mark.parametrize("code", [0x0105, 0x0106, 0x0110, 0x0120, 0x0121, 0x0122, 0x0124, 0x0210, 0x0213, 0xC001])
def test_fail__the_step_does_not_exist(manager: Manager, code: int) -> None:
    manager.answer(code, "the table is locked")
    answer = tell(manager, create_step, step("IN PROGRESS"))
    assert event_of_creation(answer.verdict) is None
    assert "the table is locked" in answer.said
    assert f"{code:04X}H" in answer.said


@pytest.mark.parametrize("code", [0x0000, 0x0107, 0x0116])
def test_ok__the_managers_own_name_for_the_step_is_used(manager: Manager, code: int) -> None:
    """PS3.7 10.1.5.1.4: the answer's Affected SOP Instance UID names what was created."""
    manager.answer(code)
    manager.renames_to = "1.2.840.99.1"
    assert tell(manager, create_step, step("IN PROGRESS")).sop_instance_uid == "1.2.840.99.1"


def _event(answer: StepAnswer, outcome: Outcome, *, may_have_been_sent: bool) -> StepEvent | None:
    is_discontinued = outcome is Outcome.DISCONTINUED
    return event_of_final(answer.verdict, is_discontinued=is_discontinued, may_have_been_sent=may_have_been_sent)


@pytest.mark.parametrize("code", [0x0000, 0x0001, 0x0107, 0x0116])
def test_ok__the_step_ended(manager: Manager, code: int) -> None:
    manager.answer(code)
    answer = tell(manager, set_step, step("DISCONTINUED"))
    assert _event(answer, Outcome.DISCONTINUED, may_have_been_sent=False) is StepEvent.SET_DISCONTINUED


@pytest.mark.parametrize(
    ("code", "comment", "error_id"),
    [
        (0x0110, "Performed Procedure Step Object may no longer be updated", 0xA710),
        (0x0110, "", 0xA710),
        (0x0110, "Performed Procedure Step Object may no longer be updated", None),
        (0xA710, "", None),
    ],
)
def test_ok__the_step_had_ended_before(manager: Manager, code: int, comment: str, error_id: int | None) -> None:
    """What an earlier N-SET of ours did; if there was none, somebody else ended the step, and that is told."""
    manager.answer(code, comment, error_id)
    answer = tell(manager, set_step, step("COMPLETED"))
    assert "no longer" in answer.said
    assert _event(answer, Outcome.COMPLETED, may_have_been_sent=True) is StepEvent.SET_COMPLETED
    assert _event(answer, Outcome.COMPLETED, may_have_been_sent=False) is StepEvent.NOT_OURS


@pytest.mark.parametrize(("comment", "error_id"), [("", None), ("database locked", None), ("", 0x0001)])
def test_fail__a_manager_that_failed_has_ended_nothing(manager: Manager, comment: str, error_id: int | None) -> None:
    """0110H alone says that processing failed: taken for an end, the step would stay in progress there for ever."""
    manager.answer(0x0110, comment, error_id)
    answer = tell(manager, set_step, step("COMPLETED"))
    assert answer.verdict is StepVerdict.RETRY
    assert _event(answer, Outcome.COMPLETED, may_have_been_sent=True) is None


def test_fail__a_manager_that_does_not_know_the_step(manager: Manager) -> None:
    manager.answer(0x0112)
    answer = tell(manager, set_step, step("COMPLETED"))
    assert _event(answer, Outcome.COMPLETED, may_have_been_sent=True) is StepEvent.NOT_KNOWN
