"""The forward process with everything encrypted, and with what must not count."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from appliance.config import schema
from appliance.dimse.association import AssociationRefused, Caller
from appliance.dimse.echo import echo
from appliance.exam.answers import read_answer
from tests.certificates import Authority, Credentials, make_authority
from tests.forward.collector import make_rsyslog, messages_of
from tests.forward.test_service import Box, hospital_objects
from tests.peers import Peer, running, start_hospital, start_storescp, wait_until
from tests.ports import pick_free_port


class EncryptedBox(Box):
    """A box with a certificate, a TLS port, and a plain one; the files are named by paths below its run directory."""

    def __init__(self, directory: Path, own: Credentials) -> None:
        super().__init__(directory)
        names = [Path("tls") / one for one in ("box.crt", "box.key", "ca.crt")]
        self.own = Credentials(*[self.paths.run / one for one in names])
        self.own.key.parent.mkdir(parents=True)
        for source, target in (
            (own.certificate, self.own.certificate),
            (own.key, self.own.key),
            (own.authorities, self.own.authorities),
        ):
            target.write_bytes(source.read_bytes())
        self.own.key.chmod(0o600)
        self.tls_port = pick_free_port()
        self.text = self.text.replace("[box]", f"tls_port = {self.tls_port}\n[box]", 1)
        self.text += '[tls]\ncertificate = "{}"\nkey = "{}"\nauthorities = "{}"\n'.format(*names)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return make_authority(tmp_path / "pki")


@pytest.fixture
def box(tmp_path: Path, authority: Authority) -> Iterator[EncryptedBox]:
    box = EncryptedBox(tmp_path / "box", authority.issue("box"))
    yield box
    if box.process is not None:
        box.process.stop()


def encrypted_hospital(directory: Path, own: Credentials, box_port: int, *arguments: str) -> tuple[Peer, int]:
    port = pick_free_port()
    files = ["--tls-certificate", own.certificate, "--tls-key", own.key, "--tls-authorities", own.authorities]
    options = ["--tls-port", str(port), *map(str, files), "--commitment-delay", "0.2", *arguments]
    return start_hospital(directory, *options, box_port=box_port), port


def test_ok__worklist_step_store_commitment_report_and_audit_over_tls(
    box: EncryptedBox, authority: Authority, tmp_path: Path
) -> None:
    own = authority.issue("hospital")
    hospital, port = encrypted_hospital(tmp_path / "hospital", own, box.tls_port, "--box-tls")
    collector = make_rsyslog(tmp_path / "collector", own)
    with running(hospital), running(collector):
        box.text += f'[audit]\nhost = "localhost"\nport = {collector.port}\n'
        box.add_destination("archive", port, "HOSPITAL", "tls = true")
        box.add_manager(port)
        box.text += "tls = true\n"
        box.add_worklist(port)
        box.text += "tls = true\n"
        job = box.job("archive")
        box.start()
        assert box.ask("/worklist/refresh", "POST")["answers"][0]["trouble"] == ""
        assert read_answer(box.paths.worklist, "ris").count >= 12
        job.capture("ultrasound")
        job.capture("ultrasound", size=700)
        job.close()
        job.hand_over()
        box.ask("/hint", "POST")
        wait_until(lambda: set(box.states("archive").values()) == {"committed"}, "all committed")
        wait_until(lambda: box.steps() == {"US": "completed"}, "the step is completed")
        assert hospital_objects(hospital) == job.uids
        assert box.findings() <= {"tls-expires"}
        wait_until(lambda: _told_of(collector) == (_ACTS, job.uids), "the collector has heard of everything")


_ACTS = {"Application Start", "Transfer begun", "Objects transferred"}


def _told_of(collector: Peer) -> tuple[set[str], set[str]]:
    """What the messages are about: EventTypeCode in words, and the objects that arrived somewhere."""
    messages = [Xml.fromstring(one.partition("\ufeff")[2]) for one in messages_of(collector)]
    arrived = [one for one in messages if one.find("EventIdentification/EventID[@csd-code='110104']") is not None]
    return (
        {kind.get("originalText", "") for one in messages for kind in one.iter("EventTypeCode")},
        {instance.get("UID", "") for one in arrived for instance in one.iter("Instance")},
    )


def test_fail__a_report_without_tls_for_a_destination_with_tls(
    box: EncryptedBox, authority: Authority, tmp_path: Path
) -> None:
    """Its AE title is right, and it changes nothing; the alarm says why."""
    hospital, port = encrypted_hospital(tmp_path / "hospital", authority.issue("hospital"), box.port)
    with running(hospital):
        box.add_destination("archive", port, "HOSPITAL", "tls = true")
        job = box.job("archive")
        box.start()
        job.capture()
        job.close()
        job.hand_over()
        box.ask("/hint", "POST")
        wait_until(lambda: "stranger-report" in box.findings(), "the alarm")
        assert set(box.states("archive").values()) == {"commit_requested"}
        findings = {one["code"]: one["sentence"] for one in box.ask("/status")["findings"]}
        assert "came from HOSPITAL and was not believed: it came without TLS" in findings["stranger-report"]
        misled = schema.Peer(ae_title="BRIGDE", host="127.0.0.1", port=box.port)
        with pytest.raises(AssociationRefused, match="permanently"):
            echo(misled, Caller("ARCHIVE"))
        wait_until(lambda: "listener-refused" in box.findings(), "it is said")
        findings = {one["code"]: one["sentence"] for one in box.ask("/status")["findings"]}
        refused = "ARCHIVE at 127.0.0.1 was refused: it calls the box BRIGDE, and the box's AE title is BRIDGE."
        assert findings["listener-refused"] == refused
        echo(misled.model_copy(update={"ae_title": "BRIDGE"}), Caller("ANYBODY"))


def test_fail__a_key_that_others_may_read(box: EncryptedBox, authority: Authority, tmp_path: Path) -> None:
    """It is not used, and keeps no plain peer waiting; once it is closed, all goes on by itself."""
    box.own.key.chmod(0o640)
    own = authority.issue("archive")
    with (
        running(start_storescp(tmp_path / "encrypted", *own.dcmtk_options())) as encrypted,
        running(start_storescp(tmp_path / "plain")) as plain,
    ):
        box.add_destination("encrypted", encrypted.port, "ARCHIVE", "tls = true\ncommitment = false")
        box.add_destination("plain", plain.port, "ARCHIVE", "commitment = false")
        job = box.job("encrypted", "plain")
        box.start()
        job.capture()
        job.close()
        job.hand_over()
        box.ask("/hint", "POST")
        wait_until(lambda: set(box.states("plain").values()) == {"stored_only"}, "the plain one has it")
        wait_until(lambda: {"tls-unusable", "destination-trouble"} <= box.findings(), "it is said")
        assert set(box.states("encrypted").values()) == {"pending"}
        box.own.key.chmod(0o600)
        wait_until(lambda: set(box.states("encrypted").values()) == {"stored_only"}, "the encrypted one has it")
