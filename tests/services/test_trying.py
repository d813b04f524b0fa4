"""The self-test behind a change, with the real forward process and a real archive: what is stored, and when."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.base.clock import SystemClock
from appliance.base.durable import make_directory
from appliance.base.paths import Paths
from appliance.config.load import configuration_from
from appliance.config.schema import Configuration
from appliance.config.trying import try_box
from tests.fleet.inside import answer
from tests.peers import Orthanc, Peer, running, start_orthanc
from tests.ports import pick_free_port

_SECONDS = 120.0
_PATIENT = '[test_patient]\npatient_id = "TEST-0001"\n'
_SITE = """
[listener]
port = {listener}
[[destinations]]
name = "archive"
ae_title = "ORTHANC"
host = "127.0.0.1"
port = {archive}
[[devices]]
name = "endoscope"
driver = "grabber"
modality = "ES"
source = "es.sock"
"""


@pytest.fixture
def archive(tmp_path: Path, listener: int) -> Iterator[Orthanc]:
    with running(start_orthanc(tmp_path / "orthanc", box_port=listener)) as started:
        assert isinstance(started, Orthanc)
        yield started


@pytest.fixture
def listener() -> int:
    return pick_free_port()


class Box:
    """A box whose console is played, and whose forward process is real."""

    def __init__(self, directory: Path, archive: Orthanc, listener: int) -> None:
        self.paths = Paths.below(directory)
        for place in (self.paths.configuration, self.paths.console_socket, self.paths.forward_socket):
            make_directory(place.parent)
        self._site = _SITE.format(listener=listener, archive=archive.port)
        threading.Thread(target=answer, args=(self.paths.console_socket,), daemon=True).start()

    def configuration(self, more: str = "") -> Configuration:
        """What forward is started with."""
        text = (self._site + more).encode()
        self.paths.configuration.write_bytes(text)
        return configuration_from(text, self.paths.configuration)

    def forward(self) -> Peer:
        command = [sys.executable, "-m", "appliance.services.forward"]
        log = self.paths.state / "forward.log"
        return Peer("forward", command, 0, log, self.paths.environment())

    def try_it(self, more: str = "") -> list[str]:
        """The box's own self-test, for a change that brought the archive."""
        configuration = self.configuration(more)
        forward = self.forward()
        forward.start(self.paths.forward_socket.is_socket)
        try:
            return try_box(self.paths, Configuration(), configuration, SystemClock(), _SECONDS)
        finally:
            forward.stop()


@pytest.fixture
def box(tmp_path: Path, archive: Orthanc, listener: int) -> Box:
    return Box(tmp_path / "box", archive, listener)


def test_ok__only_under_a_test_patients_name_anything_is_stored(box: Box, archive: Orthanc) -> None:
    """And that is what the archive has then, marked as no examination."""
    said = box.try_it()
    assert any(line.startswith("archive: association: ") for line in said)
    assert archive.stored() == {}
    said = box.try_it(_PATIENT)
    assert any(line.startswith("archive: store at archive: ") for line in said)
    kept: list[dict[str, Any]] = [archive.ask(f"/instances/{one}/simplified-tags") for one in archive.stored().values()]
    assert kept and {(one["PatientID"], one["QualityControlImage"]) for one in kept} == {("TEST-0001", "YES")}
