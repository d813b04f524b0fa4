"""What is stated of behaviour and stands in no table of the statement's own: held against the code that does it."""

from __future__ import annotations

import re
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Literal

import pytest

from appliance.compose.attributes import DOCUMENT, OBJECT
from appliance.compose.kinds import NOTE_KIND
from appliance.compose.note import NOTE
from appliance.compose.steps import CREATION
from appliance.config.devices import FilmDevice
from appliance.config.example import EXAMPLE
from appliance.config.load import load_configuration
from appliance.config.schema import (
    Configuration,
    Destination,
    Listener,
    PerformedStepManager,
    WorklistSource,
)
from appliance.conformance import box, statuses
from appliance.conformance.box import statement_of
from appliance.conformance.chapters.communication import DEADLINES
from appliance.conformance.document import Document, Flow, Paragraph, Sequence, Table
from appliance.conformance.picture import flow_svg
from appliance.conformance.statement import Matching, Statement
from appliance.conformance.statuses import step_statuses, worklist_statuses
from appliance.conformance.template import document_from
from appliance.dimse import find
from appliance.dimse.association import Caller, _entity
from appliance.dimse.listener import LISTENER_CONTEXTS
from appliance.dimse.status import StepVerdict
from appliance.dimse.store import storable_as
from appliance.dimse.uid_names import KEYWORD_UIDS
from appliance.dimse.worklist_query import (
    PatientQuery,
    patient_query_from,
)
from appliance.exam.decisions import UNDECIDED
from appliance.forward.retention import KeptObject, Proof, proof_of
from appliance.forward.states import DELIVERY, STEPS, DeliveryEvent, DeliveryState, StepEvent, StepState

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
    site = Configuration(destinations=(ARCHIVE,), listener=Listener(host="0.0.0.0"))
    (stated,) = statement_of(site).commitment
    assert stated.report_on_new_association
    # On the loopback it hears an archive of this machine alone.
    at_home = ARCHIVE.model_copy(update={"host": "127.0.0.1"})
    for archive, is_heard in ((ARCHIVE, False), (at_home, True)):
        statement = statement_of(Configuration(destinations=(archive,)))
        assert [one.report_on_new_association for one in statement.commitment] == [is_heard]
        assert "nobody reaches it over the network" in paragraphs_of(statement)
    assert "nobody reaches it over the network" not in paragraphs_of(statement_of(site))
    monkeypatch.setattr(box, "LISTENER_CONTEXTS", ())
    (stated,) = statement_of(site).commitment
    assert not stated.report_on_new_association


def test_ok__a_private_attribute_would_be_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Configuration(performed_step=PerformedStepManager(ae_title="RIS", host="ris", port=104))
    assert statement_of(site).private_attributes == ()
    monkeypatch.setattr(box, "tag_for_keyword", lambda _keyword: 0x00091001)
    assert "PatientID" in statement_of(site).private_attributes


def table_of(document: Document, caption: str) -> Table:
    (found,) = (
        block
        for section in document.sections
        for block in section.blocks
        if isinstance(block, Table) and block.caption.startswith(caption)
    )
    return found


def uid_in(words: str) -> str:
    return words.rsplit("(", 1)[1].rstrip(")")


@pytest.mark.parametrize("compression", ["none", "jpeg-ls"])
def test_ok__what_is_recoded_for_an_archive_is_what_the_code_recodes(compression: str) -> None:
    example = load_configuration(EXAMPLE)
    devices = tuple(
        one.model_copy(update={"compression": compression}) if isinstance(one, FilmDevice) else one
        for one in example.devices
    )
    document = document_from(statement_of(example.model_copy(update={"devices": devices})))
    transcoding = table_of(document, "Table 5-9")
    sent = [uid_in(words) for words in transcoding.columns[1:]]
    allowed = example.destinations[0].transfer_syntaxes
    cells = set()
    for stored, *row in transcoding.rows:
        possible = {syntax for one in storable_as("1.2", uid_in(stored), allowed) for syntax in one.transfer_syntaxes}
        assert row == ["SUPPORTED" if uid in possible else "NOT_SUPPORTED" for uid in sent]
        cells |= set(row)
    assert cells == {"SUPPORTED", "NOT_SUPPORTED"}


def test_ok__each_destination_is_proposed_what_is_configured_for_it() -> None:
    example = load_configuration(EXAMPLE)
    (archive,) = example.destinations
    implicit = archive.model_copy(update={"name": "implicit", "transfer_syntaxes": ("implicit-little-endian",)})
    site = example.model_copy(update={"destinations": (archive, implicit)})
    proposed = table_of(document_from(statement_of(site)), "Proposed presentation contexts").rows
    to_implicit = {row[2] for row in proposed if "implicit" in row[0].split(", ") and "Secondary Capture" in row[1]}
    assert {uid_in(words) for words in to_implicit} == {KEYWORD_UIDS["ImplicitVRLittleEndian"]}
    assert {"archive", "archive, implicit"} <= {row[0] for row in proposed}


def test_ok__who_has_no_worklist_makes_every_study_himself() -> None:
    example = load_configuration(EXAMPLE)
    alone = statement_of(example.model_copy(update={"worklist": ()}))
    for attributes in (*(kind.attributes for kind in alone.objects), alone.messages[0].attributes):
        studies = [one for one in attributes if one.path[-1] == "StudyInstanceUID"]
        assert [(one.presence, one.sources, one.when) for one in studies] == [("ALWAYS", ("GENERATED",), "")]


def paragraphs_of(statement: Statement) -> str:
    sections = document_from(statement).sections
    return " ".join(block.text for one in sections for block in one.blocks if isinstance(block, Paragraph))


def test_ok__the_overview_says_nothing_that_is_not_configured() -> None:
    example = load_configuration(EXAMPLE)
    said = (
        "the hospital's worklist",
        "hospital's archive: archive.",
        "committed to it",
        "when the examination began and when",
    )
    assert all(words in paragraphs_of(statement_of(example)) for words in said)
    bare = example.model_copy(update={"worklist": (), "destinations": (), "performed_step": None})
    assert not any(words in paragraphs_of(statement_of(bare)) for words in said)


def test_ok__whoever_opens_the_association_points_at_the_other() -> None:
    statement = statement_of(load_configuration(EXAMPLE))
    flows = [block for one in document_from(statement).sections for block in one.blocks if isinstance(block, Flow)]
    asked = ["Verification (SCP)", "Storage Commitment Push Model (SCU)"]
    assert [[flow.rows[at][1] for at in sorted(flow.asked)] for flow in flows] == [asked] * 2
    heads = [one.attrib["points"].split(",")[0] for one in flow_svg(flows[0]).iter() if one.tag.endswith("polygon")]
    assert (len(heads), len(set(heads)), heads.count(heads[1])) == (len(flows[0].rows), 2, 2)


def test_ok__nobody_stands_in_a_picture_who_has_no_part_in_it() -> None:
    example = load_configuration(EXAMPLE)
    statement = statement_of(example.model_copy(update={"performed_step": None}))
    sections = document_from(statement).sections
    pictures = [block for one in sections for block in one.blocks if isinstance(block, Sequence)]
    assert [one.caption.split(" ", 2)[1] for one in pictures] == [f"7-{number}" for number in range(1, 7)]
    for picture in pictures:
        in_it = {place for arrow in picture.arrows for place in (arrow.start, arrow.end)}
        assert in_it == set(range(len(picture.participants)))
    assert all("Performed-step manager" not in one.participants for one in pictures)


def test_ok__the_querys_keys_are_matched_and_filled_as_stated() -> None:
    source = WorklistSource(name="ris", ae_title="RIS", host="ris", port=104, modalities=("US",))
    statement = statement_of(Configuration(worklist=(source,)))
    rows = {row[0]: tuple(row[2:4]) for row in table_of(document_from(statement), "Table 5-2").rows}
    assert rows[">Modality"] == ("SINGLE_VALUE (broad query)", "CONFIGURATION")
    assert rows["Specific Character Set"] == ("none", "EMPTY; GENERATED")
    assert rows[">Scheduled Procedure Step Start Date"] == (
        "SINGLE_VALUE or RANGE (broad query)",
        "GENERATED; CONFIGURATION",
    )
    assert rows["Patient's Name"] == ("SINGLE_VALUE or WILDCARD (patient query)", "USER")
    assert rows["Accession Number"] == ("SINGLE_VALUE or WILDCARD (patient query)", "USER; SCANNED")
    assert "Specific Character Set has a value where what was typed is beyond ASCII" in paragraphs_of(statement)
    asked = [patient_query_from(PatientQuery(patient_name=name), source) for name in ("MULLER*", "Müller*", "山田*")]
    assert [one.get("SpecificCharacterSet") or "" for one in asked] == ["", "ISO_IR 100", "ISO_IR 192"]
    assert {one.matching for one in statement.worklist_keys} == {(), (Matching.BROAD,), (Matching.PATIENT,)}


@pytest.mark.parametrize(
    ("destinations", "said"),
    [
        ((), ""),
        ((PLAIN,), "until a person lets go of it,"),
        ((LOOKED_AT,), "until C-FIND finds it at an archive that does not commit or a person lets go of it,"),
        ((ARCHIVE,), "until an archive has committed to it or a person lets go of it,"),
        ((ARCHIVE, PLAIN), "until an archive has committed to it or a person lets go of it,"),
    ],
)
def test_ok__how_long_an_object_is_kept_is_what_may_end_it(destinations: tuple[Destination, ...], said: str) -> None:
    site = load_configuration(EXAMPLE).model_copy(update={"destinations": destinations})
    text = paragraphs_of(statement_of(site))
    assert (f"An object is kept {said}" in text) == bool(said)
    assert ("14 days where it is committed" in text) == (ARCHIVE in destinations)


def test_ok__each_wait_of_a_connection_is_explained_and_nothing_else() -> None:
    example = load_configuration(EXAMPLE)
    waits = {name for one in statement_of(example).connections for name in one.deadlines}
    assert waits == set(DEADLINES)
    document = document_from(statement_of(example))
    assert {row[0] for row in table_of(document, "What each deadline is").rows} == waits


def test_ok__what_nobody_repeats_is_not_stated_to_be_repeated() -> None:
    """A patient query, a further report's failures, a step that was ended elsewhere twice: the code's own answers."""
    rows = {one.operation: one.behaviour for one in worklist_statuses() if one.first == 0xA700}
    assert "A patient query brings nothing" in rows["C-FIND"] and "it is not repeated" in rows["C-FIND"]
    assert STEPS[StepState.RETRIED, StepEvent.NOT_OURS] is StepState.ENDED_ELSEWHERE
    (final,) = [one for one in step_statuses() if one.first == 0xA710]
    assert "not taken then either, it stays as the manager has it" in final.behaviour
    # A failure of a late report finds no state to act on; a success does.
    late = DeliveryState.STORED
    assert (late, DeliveryEvent.COMMITTED) in DELIVERY and (late, DeliveryEvent.COMMITMENT_REFUSED) not in DELIVERY
    text = paragraphs_of(statement_of(load_configuration(EXAMPLE)))
    assert "Of a late or further report what is committed counts" in text and "what failed does not" in text


def test_ok__an_association_is_waited_for_as_long_as_is_stated() -> None:
    """The library's timer of associations (ARTIM) is shorter than an answer may take."""
    example = load_configuration(EXAMPLE)
    (archive,) = example.destinations
    for answer_seconds, expected in ((60.0, 30.0), (5.0, 5.0)):
        peer = archive.model_copy(update={"answer_seconds": answer_seconds})
        stated = statement_of(example.model_copy(update={"destinations": (peer,)})).connections
        assert _entity(Caller("BRIDGE"), peer).acse_timeout == expected
        assert [one.deadlines["associate_seconds"] for one in stated if one.role == "destination"] == [expected]


def test_ok__a_worklist_is_asked_by_as_many_as_may_search(monkeypatch: pytest.MonkeyPatch) -> None:
    example = load_configuration(EXAMPLE)

    def at_once() -> list[int]:
        return [one.simultaneous for one in statement_of(example).connections if one.role == "worklist"]

    assert at_once() == [3]
    monkeypatch.setattr(box, "MOST_SEARCHES", 5)
    assert at_once() == [6]


@pytest.mark.parametrize("commitment", [True, False])
def test_ok__what_the_listener_takes_is_stated_whatever_is_configured(commitment: bool) -> None:
    """Its contexts do not depend on the destinations."""
    example = load_configuration(EXAMPLE)
    (archive,) = example.destinations
    site = example.model_copy(update={"destinations": (archive.model_copy(update={"commitment": commitment}),)})
    statement = statement_of(site)
    taken = table_of(document_from(statement), "Accepted presentation contexts").rows
    assert [uid_in(row[0]) for row in taken] == [one.abstract_syntax for one in LISTENER_CONTEXTS]
    assert ("A report counts for nothing" in paragraphs_of(statement)) == (not commitment)


def test_ok__the_box_is_no_peer_of_its_own() -> None:
    assert "Peers: ris, performed-step, archive." in paragraphs_of(statement_of(load_configuration(EXAMPLE)))


@pytest.mark.parametrize("compression", ["none", "jpeg-ls"])
def test_ok__what_the_mediums_profile_does_not_have_is_stated(compression: Literal["none", "jpeg-ls"]) -> None:
    film = FilmDevice(name="film", driver="sane", modality="RG", sane_device="test", compression=compression)
    text = paragraphs_of(statement_of(load_configuration(EXAMPLE).model_copy(update={"devices": (film,)})))
    assert ("is no transfer syntax of the profile" in text) == (compression == "jpeg-ls")


def test_ok__a_rejection_note_is_not_told_as_an_object_of_an_examination() -> None:
    example = load_configuration(EXAMPLE)
    site = example.model_copy(update={"box": example.box.model_copy(update={"corrections": True})})
    told = {one.sop_class_uid: one.activity for one in statement_of(site).services if "C-STORE" in one.operations}
    assert [uid for uid, activity in told.items() if "rejected" in activity] == [NOTE_KIND.sop_class_uid]
    (note,) = [one for one in statement_of(site).objects if one.sop_class_uid == NOTE_KIND.sop_class_uid]
    document = document_from(statement_of(site))
    (root,) = table_of(document, "Root templates").rows
    assert (uid_in(root[0]), root[1]) == (note.sop_class_uid, "2010")
    assert table_of(document, "Note: Key Object Selection").rows
    assert "The content of Key Object Selection" in paragraphs_of(statement_of(site))
    assert paragraphs_of(statement_of(example)).count("No structured reports are made.") == 2


def test_ok__burned_in_annotation_is_of_the_type_of_its_module() -> None:
    """Optional in General Image, not in the modules of frames (PS3.3 C.7.6.1, C.8.6.3)."""
    types = {
        (kind.sop_class_uid, one.type)
        for kind in statement_of(load_configuration(EXAMPLE)).objects
        for one in kind.attributes
        if one.path == ("BurnedInAnnotation",)
    }
    single = KEYWORD_UIDS["SecondaryCaptureImageStorage"]
    assert len(types) == 3 and all((kind == "3") == (uid == single) for uid, kind in types)


def test_ok__where_the_doubt_about_the_clock_stands_is_where_the_tables_have_it() -> None:
    """A note's table has no place for it, a document's its title."""
    said = paragraphs_of(statement_of(load_configuration(EXAMPLE)))
    assert "a document in its title; a rejection note does not" in said
    assert not any(row.when == "clock in doubt" for row in (*NOTE, *DOCUMENT))
    assert any(row.when == "clock in doubt" for row in OBJECT) and any(row.when == "clock in doubt" for row in CREATION)


def test_ok__the_query_for_objects_is_stated_as_it_leaves() -> None:
    site = load_configuration(EXAMPLE).model_copy(update={"destinations": (LOOKED_AT,)})
    rows = table_of(document_from(statement_of(site)), "Keys of the query for objects").rows
    query = find.query_from("1.2", "1.3", ["1.4", "1.5"])
    assert [row[1] for row in rows] == [f"({one.tag.group:04X},{one.tag.element:04X})" for one in query]
    assert [row[2] == "UNIVERSAL" for row in rows] == [one.is_empty for one in query]
    assert "at most 100 in a query" in paragraphs_of(statement_of(site))
