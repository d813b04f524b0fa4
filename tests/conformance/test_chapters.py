"""What the chapters say of one configuration: held against the tables, constants and models that they read."""

from __future__ import annotations

import json
import re
import ssl
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydicom.datadict import tag_for_keyword

from appliance.config.example import EXAMPLE
from appliance.config.host import Network, Time
from appliance.config.load import load_configuration
from appliance.config.render import _ports
from appliance.config.schema import (
    AuditCollector,
    Configuration,
    Listener,
    LogCollector,
    Metrics,
    Operator,
    PerformedStepManager,
    Tls,
    WorklistSource,
)
from appliance.conformance.box import statement_of
from appliance.conformance.chapters import communication, services
from appliance.conformance.document import Sequence
from appliance.conformance.judging import judge
from appliance.conformance.needs import WorklistKeyNeed
from appliance.conformance.picture import _LETTER, sequence_svg
from appliance.conformance.printing import Format, print_document
from appliance.conformance.statement import Matching
from appliance.conformance.template import document_from
from appliance.dimse.association import MAX_PDU_BYTES
from appliance.dimse.decoding import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, JPEG_BASELINE
from appliance.dimse.elements import FileMeta
from appliance.dimse.store import _context_for
from appliance.dimse.tls import CIPHER_SUITES
from appliance.dimse.tls_reason import PINNED_TOO
from appliance.dimse.worklist_query import (
    RETURN_KEYS,
    STEP_RETURN_KEYS,
    query_from,
)
from appliance.exam.audit_codes import Event
from appliance.exam.item import PATIENT_NAME, REQUESTED_PROCEDURE_ID, SCHEDULED_STEPS, SHOWN, WorklistItem
from tests.conformance.test_behaviours import paragraphs_of, table_of


def test_ok__each_sources_broad_query_is_stated_as_it_leaves() -> None:
    """What one source is asked with, another is not: neither is stated of both, and no need is met by half of them."""
    first = WorklistSource(name="first", ae_title="A", host="a", port=104, modalities=("US",))
    second = WorklistSource(name="second", ae_title="B", host="b", port=104)
    need = WorklistKeyNeed(
        about="worklist key", path="ScheduledProcedureStepSequence > Modality", matching=Matching.BROAD
    )
    for sources, said, is_met in (
        ((first, second), "SINGLE_VALUE (broad query of first)", False),
        ((first,), "SINGLE_VALUE (broad query)", True),
        ((second,), "UNIVERSAL", False),
    ):
        statement = statement_of(Configuration(worklist=sources))
        rows = {row[0]: row[2] for row in table_of(document_from(statement), "Table 5-2").rows}
        assert (rows[">Modality"], judge(need, statement).is_met) == (said, is_met)
        asked = {one.name: query_from(one, date(2026, 11, 22), "".join(one.modalities[:1])) for one in sources}
        filled = {name for name, one in asked.items() if one.ScheduledProcedureStepSequence[0].Modality}
        assert filled == ({"first"} if first in sources else set())


def test_ok__what_becomes_of_each_key_is_what_is_made_under_this_configuration() -> None:
    example = load_configuration(EXAMPLE)
    corrected = example.model_copy(update={"box": example.box.model_copy(update={"corrections": True})})
    untold = example.model_copy(update={"performed_step": None})

    def uses(configuration: Configuration) -> dict[str, list[str]]:
        return {
            row[0]: list(row[4:7]) for row in table_of(document_from(statement_of(configuration)), "Table 5-2").rows
        }

    assert uses(example)["Specific Character Set"] == ["N", "Y", "Y"]
    assert [uses(one)["Allergies"][0] for one in (example, corrected)] == ["Y", "Y"]
    order = "Filler Order Number / Imaging Service Request"
    assert [uses(one)[order] for one in (example, corrected)] == [["N", "N", "Y"], ["N", "Y", "Y"]]
    assert {row[2] for row in uses(untold).values()} == {"N"}


def test_ok__what_people_are_shown_is_what_is_said_to_be_shown() -> None:
    """By what stands in a view of an entry with a value of its own at every key that is asked for."""
    step = {f"{tag_for_keyword(one):08X}": _marked(f"{tag_for_keyword(one):08X}") for one in STEP_RETURN_KEYS}
    elements = {f"{tag_for_keyword(one):08X}": _marked(f"{tag_for_keyword(one):08X}") for one in RETURN_KEYS}
    view = WorklistItem("ris", elements | {SCHEDULED_STEPS: {"vr": "SQ", "Value": [step]}}).view()
    seen = {one for one in elements.keys() | step.keys() if f"at {one}" in json.dumps(view)}
    # By the procedure's identifier a barcode is found on the list; nobody is shown it.
    assert seen - {REQUESTED_PROCEDURE_ID} == {path[-1] for path in SHOWN}


def _marked(tag: str) -> dict[str, Any]:
    is_name = tag == PATIENT_NAME
    return {"vr": "PN" if is_name else "LO", "Value": [{"Alphabetic": f"at {tag}"} if is_name else f"at {tag}"]}


def test_ok__who_took_it_is_stated_where_there_are_operators() -> None:
    example = load_configuration(EXAMPLE)
    staffed = example.model_copy(update={"operators": (Operator.model_construct(name="Doe^Jane"),)})
    for site, presences in ((example, {"EMPTY"}), (staffed, {"ANAP", "VNAP"})):
        stated = statement_of(site)
        groups = (*(kind.attributes for kind in stated.objects), *(one.attributes for one in stated.messages))
        assert {one.presence for group in groups for one in group if one.path[-1] == "OperatorsName"} == presences


def test_ok__a_class_is_extended_where_the_worklists_values_go_beyond_it() -> None:
    example = load_configuration(EXAMPLE)
    alone = example.model_copy(update={"worklist": ()})
    for site, created in ((example, {"SE"}), (alone, {"S"})):
        document = document_from(statement_of(site))
        assert {row[4] for row in table_of(document, "Table 1-1").rows} == created
    named = {row[0] for row in table_of(document_from(statement_of(example)), "Attributes beside").rows}
    assert named == {
        *("Route of Admissions", "Requesting Service", "Request Attributes Sequence > Requesting Physician"),
        "Request Attributes Sequence > Requesting Physician Identification Sequence",
        *(f"Request Attributes Sequence > Requesting Service{rest}" for rest in ("", " Code Sequence")),
    }


def test_ok__the_bounds_that_a_peer_meets_are_those_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    example = load_configuration(EXAMPLE)
    right = paragraphs_of(statement_of(example))
    for chapter, names in (
        (services, ("MOST_STORED", "MOST_ASKED", "HOLD_SECONDS", "AFTER_RESTART_SECONDS", "MAX_ANSWER_BYTES")),
        (communication, ("LONGEST_PDU_BYTES", "MAX_MESSAGE_BYTES", "MAX_REFERENCES", "MOST_CONNECTIONS")),
        (communication, ("MAX_DATA_BYTES",)),
    ):
        for name in names:
            with monkeypatch.context() as patched:
                patched.setattr(chapter, name, 7 * 1024 * 1024)
                assert paragraphs_of(statement_of(example)) != right, name
    # A peer that sets no limit is sent no more than that either (PS3.8 D.1: 0).
    rows = dict(table_of(document_from(statement_of(example)), "Table 7-1 General").rows)
    assert f"of C-STORE and C-FIND at most {MAX_PDU_BYTES} bytes" in rows["Maximum PDU Length, sent"]


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ((IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN, JPEG_BASELINE), JPEG_BASELINE),
        ((IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN), EXPLICIT_LITTLE_ENDIAN),
        ((IMPLICIT_LITTLE_ENDIAN,), IMPLICIT_LITTLE_ENDIAN),
    ],
)
def test_ok__of_several_that_are_accepted_one_is_chosen_as_stated(accepted: tuple[str, ...], chosen: str) -> None:
    asked = SimpleNamespace(
        accepted_contexts=[SimpleNamespace(abstract_syntax="1.2", transfer_syntax=[one]) for one in accepted],
        context_for=lambda _class, syntax: syntax,
    )
    assert _context_for(asked, FileMeta("1.2", "1.2.3", JPEG_BASELINE, 0)) == chosen
    said = paragraphs_of(statement_of(load_configuration(EXAMPLE))).split("is and is supported: ")[1]
    order = [uid for uid in re.findall(r"\(([\d.]+)\)", said.split(". ", 1)[0] + ")") if uid in accepted]
    assert order[0] == chosen


def captions_of(configuration: Configuration) -> set[str]:
    sections = document_from(statement_of(configuration)).sections
    return {block.caption.split(" ", 2)[2] for one in sections for block in one.blocks if isinstance(block, Sequence)}


def test_ok__there_is_a_picture_of_what_this_configuration_does_and_of_nothing_else() -> None:
    example = load_configuration(EXAMPLE)
    (archive,) = example.destinations
    looked = archive.model_copy(update={"commitment": False, "verify_by_find": True})
    corrected = example.model_copy(update={"box": example.box.model_copy(update={"corrections": True})})
    every = captions_of(corrected) | captions_of(example.model_copy(update={"destinations": (looked,)}))
    assert len(every) == 8
    assert every - captions_of(corrected) == {"An archive that does not commit is looked at"}
    assert captions_of(corrected) - captions_of(example) == {"Images that went to a wrong patient (IHE IOCM)"}
    gone = captions_of(example) - captions_of(example.model_copy(update={"worklist": ()}))
    assert gone == {"Who is scheduled", "One patient is looked for"}
    assert captions_of(Configuration()) == set()


def test_ok__every_word_of_a_picture_stands_in_it() -> None:
    example = load_configuration(EXAMPLE)
    (archive,) = example.destinations
    looked = archive.model_copy(update={"name": "looked", "commitment": False, "verify_by_find": True})
    changes = {"box": example.box.model_copy(update={"corrections": True}), "destinations": (archive, looked)}
    sections = document_from(statement_of(example.model_copy(update=changes))).sections
    pictures = [block for one in sections for block in one.blocks if isinstance(block, Sequence)]
    assert len(pictures) == 8
    for picture in pictures:
        svg = sequence_svg(picture)
        for text in (one for one in svg.iter() if one.tag.endswith("text")):
            x, wide = int(text.attrib["x"]), _LETTER * len(text.text or "")
            left, right = (x, x + wide) if text.attrib["text-anchor"] == "start" else (x - wide / 2, x + wide / 2)
            assert left >= 0 and right <= int(svg.attrib["width"]), (picture.caption, text.text)


def test_ok__every_port_that_is_configured_is_listed_with_its_direction() -> None:
    example = load_configuration(EXAMPLE)
    site = example.model_copy(
        update={
            "metrics": Metrics(host="0.0.0.0"),
            "logs": LogCollector(host="logs"),
            "time": Time(servers=("ntp.hospital.example",)),
        }
    )
    rows = {row[2]: (row[0], row[1], row[3]) for row in table_of(document_from(statement_of(site)), "TCP ports").rows}
    assert rows["listener.port"] == ("11119", "inbound", "N")
    assert rows["metrics.port"] == ("9464", "inbound", "N")
    assert rows["logs.port"] == ("19532", "outbound", "Y")
    assert rows["destinations[0].port"] == ("11112", "outbound", "N")
    assert "listener.tls_port" not in rows
    # What the firewall lets in is listed as inbound.
    let_in = set(_ports(site.model_copy(update={"listener": Listener(host="0.0.0.0")})))
    assert let_in == {int(port) for port, direction, _ in rows.values() if direction == "inbound"}
    assert "ntp.hospital.example (time.servers)" in paragraphs_of(statement_of(site))
    assert "of what DHCP and the operating system name" in paragraphs_of(statement_of(example))


def test_ok__every_message_of_the_audit_trail_is_told_to_be_used_or_not() -> None:
    rows = dict(table_of(document_from(statement_of(load_configuration(EXAMPLE))), "Table A.C-2").rows)
    assert {name for name, used in rows.items() if used == "Y"} == {one.value.meaning for one in Event}
    assert len(rows) == 15 and rows["Query"] == rows["Network Entry"] == "N"


def test_ok__how_connections_are_encrypted_is_what_they_offer() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers(":".join(CIPHER_SUITES))
    older = [one["name"] for one in context.get_ciphers() if one["protocol"] != "TLSv1.3"]
    example = load_configuration(EXAMPLE)
    tls = Tls(certificate=Path("box.pem"), key=Path("box.key"), authorities=Path("ca.pem"))
    (archive,) = example.destinations
    peer = archive.model_copy(update={"tls": True})
    said = paragraphs_of(statement_of(example.model_copy(update={"tls": tls, "destinations": (peer,)})))
    assert f"TLS 1.2 at least. Cipher suites below TLS 1.3: {', '.join(CIPHER_SUITES)}." in said
    assert set(older) == set(CIPHER_SUITES)
    # The listener asks for no name, and finds a pinned certificate among the authorities alone.
    assert "At the listener any certificate of such an authority is let in, whatever its name" in said
    assert PINNED_TOO[1:] in said


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("listener.tls_port", "at least 1, at most 65535"),
        ("panel.language", "en | de | fr | es | ja | ar"),
        ("destinations[0].transfer_syntaxes", "jpeg-baseline | jpeg-ls-lossless | explicit-little-endian | implicit-"),
        ("box.ae_title", "an AE title: 1 to 16 ASCII characters"),
        ("destinations[0].port", "at least 1, at most 65535"),
        ("devices[1].masks", "of length 16 at most"),
        ("box.corrections", ""),
    ],
)
def test_ok__what_a_key_may_be_is_what_its_model_takes(key: str, said: str) -> None:
    ranges = {one.key: one.range for one in statement_of(load_configuration(EXAMPLE)).parameters}
    assert said in ranges[key] and bool(said) == bool(ranges[key])


def test_ok__a_table_that_is_left_out_has_a_row_of_each_key() -> None:
    """With the default and the range that the key would have, and without a value."""
    left_out = statement_of(Configuration())
    rows = {one.key: one for one in left_out.parameters}
    models = {"network": Network, "time": Time, "tls": Tls, "audit": AuditCollector, "logs": LogCollector}
    for name, model in {**models, "metrics": Metrics, "performed_step": PerformedStepManager}.items():
        keys = {f"{name}.{key}" for key in model.model_fields}
        assert {one for one in rows if one.startswith(f"{name}.")} == keys
        assert not any(rows[one].value for one in keys)
    assert (rows["metrics.port"].default, rows["metrics.port"].range) == (9464, "at least 1, at most 65535")
    assert rows["tls.key"].default == "(must be given)"
    assert rows["network.gateway"].range == "an IP address" and "10.0.0.5/24" in rows["network.address"].range
    text = print_document(document_from(left_out), Format.MARKDOWN)
    assert all(one in text for one in ("metrics.port", "time.servers", "audit.host", "performed\\_step.host"))
    assert "metrics.port | N" not in text, "no port is opened for what is not configured"
