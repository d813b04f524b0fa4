"""`appliance conformance statement`, `integration`, `mds2` and `documents`: the papers of the box."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from pathlib import Path

from appliance.base.durable import make_directory, replace_file
from appliance.base.errors import ApplianceError
from appliance.base.flash import reason_of
from appliance.base.paths import Paths
from appliance.config.in_force import read_in_force
from appliance.config.load import load_configuration
from appliance.conformance.papers import Paper, paper_document, paper_json, papers_of
from appliance.conformance.printing import Format, print_document
from appliance.conformance.profile import PROFILES


def print_paper(name: str, configuration: Path | None, form: str) -> int:
    """One paper of this configuration, the box's own if none is given; 0. ApplianceError when it cannot be loaded."""
    (paper,) = (one for one in _papers(configuration) if one.name == name)
    facts = paper.look()
    if form == "json":
        print(paper_json(facts))
    else:
        print(print_document(paper_document(facts, _today()), Format(form)), end="")
    return 0


def write_documents(directory: Path, configuration: Path | None) -> int:
    """Every paper as HTML and JSON into `directory`, and the example of a profile; 0. ApplianceError as above, and when
    it cannot be written.
    """
    try:
        make_directory(directory)
        for paper in _papers(configuration):
            facts = paper.look()
            html = print_document(paper_document(facts, _today()), Format.HTML)
            replace_file(directory / f"{paper.name}.html", html.encode("utf-8"))
            replace_file(directory / f"{paper.name}.json", paper_json(facts).encode("utf-8"))
        replace_file(directory / "profile-example.toml", (PROFILES / "example.toml").read_bytes())
    except OSError as error:
        raise ApplianceError(f"{directory} cannot be written: {reason_of(error)}.") from error
    return 0


def _papers(configuration: Path | None) -> tuple[Paper, ...]:
    known = (
        load_configuration(configuration)
        if configuration
        else read_in_force(Paths.from_environment().configuration).configuration
    )
    return papers_of(known, _today())


def _today() -> date:
    """Of the build where a build says its time (reproducible-builds.org, SOURCE_DATE_EPOCH)."""
    built = os.environ.get("SOURCE_DATE_EPOCH", "")
    moment = datetime.fromtimestamp(int(built), UTC) if built.isdecimal() else datetime.now().astimezone()
    return moment.date()
