"""What is stated of behaviour and stands in no table of the statement's own: held against the code that does it."""

from __future__ import annotations

import re
from itertools import combinations_with_replacement
from pathlib import Path

import pytest

from appliance.compose.steps import CREATION
from appliance.config.schema import Configuration, Destination, PerformedStepManager
from appliance.conformance import box, statuses
from appliance.conformance.box import statement_of
from appliance.dimse.status import StepVerdict
from appliance.exam.decisions import UNDECIDED
from appliance.forward.retention import KeptObject, Proof, proof_of
from appliance.forward.states import DELIVERY, DeliveryEvent, DeliveryState

REPOSITORY = Path(__file__).parents[2]
ARCHIVE = Destination(name="archive", ae_title="A", host="a", port=104)
PLAIN = ARCHIVE.model_copy(update={"name": "plain", "commitment": False})
LOOKED_AT = PLAIN.model_copy(update={"name": "looked-at", "verify_by_find": True})


def states_of(destination: Destination) -> set[DeliveryState]:
    """What can become of an object there without a person: what the table reaches by the destination's own events."""
    never = {DeliveryEvent.WITHDRAWN}
    if destination.commitment:
        never |= {DeliveryEvent.VERIFIED, DeliveryEvent.NEEDS_NO_COMMITMENT}
    else:
        never |= {DeliveryEvent.COMMITTED, DeliveryEvent.COMMITMENT_ASKED}
        never |= {DeliveryEvent.NEEDS_NO_COMMITMENT if destination.verify_by_find else DeliveryEvent.VERIFIED}
    reached = {DeliveryState.PENDING}
    while True:
        more = {to for (state, event), to in DELIVERY.items() if state in reached and event not in never}
        if more <= reached:
            return reached
        reached |= more


def proofs_of(*destinations: Destination) -> set[Proof]:
    """Why anything may ever be deleted under these destinations, by the function that decides it."""
    found = set()
    every = [states_of(one) for one in destinations]
    for states in combinations_with_replacement(sorted(set().union(*every)), len(destinations)):
        if all(state in possible for state, possible in zip(states, every, strict=True)):
            named = dict(zip((one.name for one in destinations), states, strict=True))
            proof = proof_of(KeptObject("1", "2", "E", "f", 1, 1e12, True, named, UNDECIDED))
            found |= {proof} if proof else set()
    return found


@pytest.mark.parametrize(
    ("destinations", "proofs"),
    [
        ((ARCHIVE,), {Proof.COMMITTED}),
        ((PLAIN,), set()),
        ((LOOKED_AT,), {Proof.VERIFIED}),
        ((ARCHIVE, PLAIN), {Proof.COMMITTED}),
    ],
)
def test_ok__what_may_go_by_itself_is_as_stated(destinations: tuple[Destination, ...], proofs: set[Proof]) -> None:
    assert proofs_of(*destinations) == proofs
    retention = statement_of(Configuration(destinations=destinations)).retention
    assert retention is not None
    assert retention.is_kept_until_committed == (Proof.VERIFIED not in proofs)


def test_ok__nothing_expires_but_what_is_committed() -> None:
    assert {state for (state, _), to in DELIVERY.items() if to is DeliveryState.EXPIRED} == {DeliveryState.COMMITTED}


def test_ok__saved_is_proven_by_the_power_cuts() -> None:
    """`is_saved_before_shown` has no table: the proof that it is true is that its opposite is noticed there."""
    text = (REPOSITORY / "tests" / "crash" / "test_crash.py").read_text()
    for proof in ("after_any_power_cut_nothing_acknowledged_is_lost", "a_fault_in_the_order_of_writing_is_noticed"):
        assert re.search(rf"^def test_ok__{proof}\(", text, re.MULTILINE), proof
    retention = statement_of(Configuration()).retention
    assert retention is not None and retention.is_saved_before_shown


def test_ok__what_the_end_tells_is_read_from_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    from appliance.conformance import objects

    site = Configuration(performed_step=PerformedStepManager(ae_title="RIS", host="ris", port=104))
    assert statement_of(site).end_of_study.is_told_what_was_made
    monkeypatch.setattr(objects, "FINAL", CREATION)
    assert not statement_of(site).end_of_study.is_told_what_was_made


def test_ok__that_it_is_told_again_is_what_the_code_makes_of_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Configuration(performed_step=PerformedStepManager(ae_title="RIS", host="ris", port=104))
    assert statement_of(site).end_of_study.is_told_after_failure
    monkeypatch.setattr(statuses, "set_verdict", lambda _code: (StepVerdict.DONE, ""))
    assert not statement_of(site).end_of_study.is_told_after_failure


def test_ok__a_report_on_a_new_association_needs_the_listeners_context(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Configuration(destinations=(ARCHIVE,))
    (stated,) = statement_of(site).commitment
    assert stated.report_on_new_association
    monkeypatch.setattr(box, "LISTENER_CONTEXTS", ())
    (stated,) = statement_of(site).commitment
    assert not stated.report_on_new_association


def test_ok__a_private_attribute_would_be_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Configuration(performed_step=PerformedStepManager(ae_title="RIS", host="ris", port=104))
    assert statement_of(site).private_attributes == ()
    monkeypatch.setattr(box, "tag_for_keyword", lambda _keyword: 0x00091001)
    assert "PatientID" in statement_of(site).private_attributes
