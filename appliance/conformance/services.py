"""Which services this configuration uses, with whom, in which presentation contexts, and what it does about answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from appliance.compose.kinds import NOTE_KIND, storable_kinds
from appliance.config.schema import Configuration
from appliance.conformance.statement import PresentationContext, Role, Service, Status
from appliance.conformance.statuses import (
    commitment_statuses,
    look_statuses,
    step_statuses,
    store_statuses,
    worklist_statuses,
)
from appliance.dimse.association import Context
from appliance.dimse.commitment import COMMITMENT_CONTEXT
from appliance.dimse.echo import VERIFICATION_CONTEXT
from appliance.dimse.find import FIND_CONTEXT
from appliance.dimse.listener import LISTENER_CONTEXTS
from appliance.dimse.performed_step import STEP_CONTEXT
from appliance.dimse.store import contexts_for
from appliance.dimse.uid_names import uid_name_of
from appliance.dimse.worklist import WORKLIST_CONTEXT

_STORES = "Each object of an examination, when it is closed."
_REJECTS = "What was stored of a wrong patient is rejected, by a person (IHE IOCM)."


def services_of(configuration: Configuration) -> tuple[Service, ...]:
    """Every service that the box uses or offers, with everyone it is configured for."""
    return tuple(_services(configuration))


def _services(configuration: Configuration) -> Iterator[Service]:
    peers = [*(one.name for one in configuration.worklist), *(one.name for one in configuration.destinations)]
    if configuration.performed_step:
        peers.append("performed-step")
    if peers:
        yield _service(
            [VERIFICATION_CONTEXT],
            Role.SCU,
            ("C-ECHO",),
            "A person, or support, verifies that a peer answers.",
            tuple(dict.fromkeys(peers)),
        )
    yield _service(
        [one for one in LISTENER_CONTEXTS if one == VERIFICATION_CONTEXT],
        Role.SCP,
        ("C-ECHO",),
        "Anyone who calls the box by its AE title may verify that it is there.",
    )
    if configuration.worklist:
        yield _service(
            [WORKLIST_CONTEXT],
            Role.SCU,
            ("C-FIND", "C-CANCEL"),
            "The list of scheduled examinations, on a schedule and on demand; one patient by what is known of him.",
            tuple(one.name for one in configuration.worklist),
            worklist_statuses(),
        )
    if configuration.performed_step:
        yield _service(
            [STEP_CONTEXT],
            Role.SCU,
            ("N-CREATE", "N-SET"),
            "An examination began: behind its first durable frame. It ended: with every object that it has.",
            ("performed-step",),
            step_statuses(),
        )
    yield from _storage(configuration)
    if asked := [one for one in configuration.destinations if one.commitment]:
        yield _service(
            [COMMITMENT_CONTEXT],
            Role.SCU,
            ("N-ACTION", "N-EVENT-REPORT"),
            "Everything that was stored is asked for, again and again until it is committed or refused.",
            tuple(one.name for one in asked),
            commitment_statuses(),
        )
    if looked := [one for one in configuration.destinations if one.verify_by_find]:
        yield _service(
            [FIND_CONTEXT],
            Role.SCU,
            ("C-FIND",),
            "An object that was stored is looked for, where commitment is not configured or was asked for in vain.",
            tuple(one.name for one in looked),
            look_statuses(),
        )


def _storage(configuration: Configuration) -> Iterator[Service]:
    """One service for each class that the devices make, with the destinations that it can go to."""
    kinds = storable_kinds(configuration.devices, has_notes=configuration.box.corrections)
    for sop_class in dict.fromkeys(sop_class for sop_class, _ in kinds):
        of_class = [kind for kind in kinds if kind[0] == sop_class]
        proposed: dict[Context, list[str]] = {}
        for one in configuration.destinations:
            for context in contexts_for(of_class, one.transfer_syntaxes):
                proposed.setdefault(context, []).append(one.name)
        if proposed:
            takers = {name for names in proposed.values() for name in names}
            service = _service(
                list(proposed),
                Role.SCU,
                ("C-STORE",),
                _REJECTS if sop_class == NOTE_KIND.sop_class_uid else _STORES,
                tuple(one.name for one in configuration.destinations if one.name in takers),
                store_statuses(),
            )
            contexts = tuple(
                stated if set(names) == takers else stated.model_copy(update={"peers": tuple(names)})
                for stated, names in zip(service.contexts, proposed.values(), strict=True)
            )
            yield service.model_copy(update={"contexts": contexts})


def _service(
    contexts: Sequence[Context],
    role: Role,
    operations: tuple[str, ...],
    activity: str,
    peers: tuple[str, ...] = (),
    statuses: tuple[Status, ...] = (),
) -> Service:
    sop_class = contexts[0].abstract_syntax
    return Service(
        sop_class_uid=sop_class,
        name=uid_name_of(sop_class),
        role=role,
        operations=operations,
        activity=activity,
        peers=peers,
        contexts=tuple(
            PresentationContext(abstract_syntax=one.abstract_syntax, transfer_syntaxes=one.transfer_syntaxes, role=role)
            for one in contexts
        ),
        statuses=statuses,
    )
