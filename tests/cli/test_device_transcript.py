"""`appliance device transcript`: moments and sizes for whoever asks, bytes for whoever says so and is written down."""

from __future__ import annotations

import json
import os
import tty
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.base.flash import FAILING
from appliance.cli.device_transcript import Passage, lines_of, passages_from
from appliance.cli.main import main
from appliance.exam.audit import Act, AuditTrail
from appliance.exam.audit_reading import read_trail
from tests.acquire.boxes import Box
from tests.acquire.world import CONFIGURATION
from tests.devices.text_world import LENSES, nidek
from tests.peers import wait_until

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
SITE = (
    CONFIGURATION
    + """
[[devices]]
name = "lensmeter"
driver = "text"
profile = "nidek-lm"
modality = "LEN"
line = "lens.tty"
transcript_bytes = 4000
"""
)


@pytest.mark.parametrize(
    ("entries", "wanted"),
    [
        ([], []),
        ([(2.0, "received", "05")], [(58.0, "received", b"\x05")]),
        # In pieces without a pause, then a pause, then the answer.
        (
            [(3.0, "received", "0141"), (2.95, "received", "42"), (2.0, "received", "43"), (1.99, "sent", "06")],
            [(57.0, "received", b"\x01AB"), (58.0, "received", b"C"), (58.01, "sent", b"\x06")],
        ),
    ],
)
def test_ok__pieces_without_a_pause_are_one(
    entries: list[tuple[float, str, str]], wanted: list[tuple[float, str, bytes]]
) -> None:
    given = [{"age": age, "direction": direction, "bytes": data} for age, direction, data in entries]
    found = list(passages_from(given, NOW))
    assert [(round(60 + (one.at - NOW).total_seconds(), 3), one.direction, one.data) for one in found] == wanted


def test_ok__no_byte_is_shown_unless_it_is_asked_for() -> None:
    passages = [Passage(NOW, "received", b"DOE^JANE")]
    private, shown = ("\n".join(lines_of(passages, has_bytes=one)) for one in (False, True))
    assert "8 bytes" in private
    assert "DOE" not in private and "44 4f 45" not in private
    assert "44 4f 45" in shown and "DOE^JANE" in shown
    assert lines_of([], has_bytes=False) == ["Nothing went over the line since its process began."]


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    """A box whose lensmeter has said something."""
    made = Box(tmp_path, SITE)
    for name, value in made.paths.environment().items():
        monkeypatch.setenv(name, value)
    far, near = os.openpty()
    tty.setraw(near)
    (made.paths.run / "lens.tty").symlink_to(os.ttyname(near))
    try:
        made.start("lensmeter")
        made.wait_for_state("lensmeter", "idle")
        os.write(far, nidek(*LENSES))
        wait_until(lambda: made.objects("lensmeter", None), "the page is saved")
        yield made
    finally:
        made.close()
        for descriptor in (far, near):
            os.close(descriptor)


def test_ok__of_a_process_that_runs(
    box: Box, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trail = box.paths.audit / "cli"
    assert main(["device", "transcript", "lensmeter"]) == 0
    told = capsys.readouterr().out
    assert "received" in told and "--bytes" in told and "NIDEK" not in told
    assert not trail.exists()
    assert main(["device", "transcript", "lensmeter", "--json"]) == 0
    assert "bytes" not in json.loads(capsys.readouterr().out)[0]
    assert main(["device", "transcript", "lensmeter", "--bytes", "--json"]) == 0
    said = b"".join(bytes.fromhex(one["bytes"]) for one in json.loads(capsys.readouterr().out))
    assert nidek(*LENSES) in said
    (line,) = read_trail(trail).lines
    assert (line.record.act, line.record.detail) == (Act.TRANSCRIPT_READ, "of lensmeter")

    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(AuditTrail, "record", fail)
    assert main(["device", "transcript", "lensmeter", "--bytes"]) == 1
    said_nothing = capsys.readouterr()
    assert said_nothing.out == ""
    assert FAILING in said_nothing.err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nobody", "There are: ultrasound, lensmeter."),
        ("film", "No device on a line is called 'film'."),
        ("lensmeter", "does not answer"),
    ],
)
def test_fail__nothing_that_could_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, words: str
) -> None:
    box = Box(tmp_path, SITE)
    for key, value in box.paths.environment().items():
        monkeypatch.setenv(key, value)
    assert main(["device", "transcript", name]) == 1
    assert words in capsys.readouterr().err
    box.close()
