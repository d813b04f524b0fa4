"""What a record in `settled/` says became of objects and steps: so a lost journal knows what must not be done again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from appliance.exam.facts import DamagedFactError
from appliance.forward.states import FINAL_DELIVERIES, FINAL_STEPS, DeliveryState, StepState


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
    """How a performed step ended, and what its manager said then; empty where it said nothing of note."""

    state: StepState
    said: str = ""


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

    Only what is final counts: the rest is done again. Words are missing in the records of older releases.
    """
    try:
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
    except FileNotFoundError:
        return SettledRecord()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedFactError(f"The file settled/{path.name} is damaged ({type(error).__name__}).") from error
    return SettledRecord(objects, steps)
