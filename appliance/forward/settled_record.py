"""What a record in `settled/` says became of objects and steps: so a lost journal knows what must not be done again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

from appliance.base.durable import forget_cached, make_directory, remove_file, replace_file
from appliance.exam.facts import DamagedFactError
from appliance.forward.states import FINAL_DELIVERIES, FINAL_STEPS, DeliveryState, StepState
from appliance.spool.settled import refused_path
from appliance.spool.tree import Spool

FOREIGN_STEPS: Final = frozenset({StepState.REFUSED, StepState.ENDED_ELSEWHERE})
"""Somebody else ended the step: a rebuilt journal must not take the manager's next no for the end of ours."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How an object's delivery to one destination ended; the times are ISO 8601, empty where there is none.

    `said` are the words that stay: the archive's warning, or what a person decided.
    """

    state: DeliveryState
    stored_at: str
    committed_at: str
    said: str = ""


@dataclass(frozen=True, slots=True)
class EndedStep:
    """How a performed step ended, and what its manager said then; empty where it said nothing of note.

    `managers_uid` is what the manager calls a step that somebody else ended: it may have to hear of it once more.
    """

    state: StepState
    said: str = ""
    managers_uid: str = ""


@dataclass(frozen=True, slots=True)
class SettledRecord:
    """By SOP Instance UID: the deliveries of objects, each by its destination, and the performed steps."""

    objects: Mapping[str, Mapping[str, Ended]] = field(default_factory=dict)
    steps: Mapping[str, EndedStep] = field(default_factory=dict)

    @property
    def destinations(self) -> set[str]:
        """Where the exam went."""
        return {name for deliveries in self.objects.values() for name in deliveries}


def read_record(path: Path) -> SettledRecord:
    """The record; an empty one when there is none. DamagedFactError when it cannot be read, OSError as flash says.

    Only what is final counts: the rest is done again. Words are missing in the records of older releases. What cannot
    be right is read once more: the medium may have given it wrongly once.
    """
    try:
        return _read_record(path)
    except FileNotFoundError:
        return SettledRecord()
    except (ValueError, KeyError, TypeError, AttributeError):
        forget_cached(path)
    try:
        return _read_record(path)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedFactError(f"The file settled/{path.name} is damaged.") from error


def _read_record(path: Path) -> SettledRecord:
    told = json.loads(path.read_bytes())
    objects = {
        one["sop_instance_uid"]: {
            name: Ended(DeliveryState(one["state"]), one["stored_at"], one["committed_at"], one.get("said", ""))
            for name, one in one["destinations"].items()
            if DeliveryState(one["state"]) in FINAL_DELIVERIES
        }
        for one in told["objects"]
    }
    steps = {
        one["sop_instance_uid"]: EndedStep(StepState(one["state"]), one.get("said", ""))
        for one in told["steps"]
        if StepState(one["state"]) in FINAL_STEPS
    }
    return SettledRecord(objects, steps)


@dataclass(frozen=True, slots=True)
class RefusedSteps:
    """`settled/EXAM.refused-MODALITY.json` for each step that somebody else ended, until its exam is settled."""

    spool: Spool

    def write(self, exam_id: str, modality: str, ended: EndedStep) -> None:
        """Make it durable that the step is in one of FOREIGN_STEPS, before the journal has it. OSError of the flash.

        A cut after it leaves a journal that tells the step once more, and hears the same.
        """
        record = {"exam_id": exam_id, "modality": modality, **asdict(ended)}
        make_directory(self.spool.settled)
        replace_file(refused_path(self.spool, exam_id, modality), json.dumps(record, indent=1).encode())

    def read(self, exam_id: str, modality: str) -> EndedStep | None:
        """What is on record; None where nothing is. The name alone says refused: the content may be damaged."""
        path = refused_path(self.spool, exam_id, modality)
        try:
            told = json.loads(path.read_bytes())
            ended = EndedStep(StepState(told["state"]), str(told["said"]), str(told["managers_uid"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            return EndedStep(StepState.REFUSED)
        return ended if ended.state in FOREIGN_STEPS else replace(ended, state=StepState.REFUSED)

    def remove(self, exam_id: str, modality: str) -> None:
        """The step is ours again, or its exam's own record says how it ended. OSError of the flash."""
        path = refused_path(self.spool, exam_id, modality)
        if path.exists():
            remove_file(path)
