"""The hospital over TLS, as DCMTK and the box's listener meet it."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from pynetdicom import AE, evt

from appliance.base.sockets import pick_free_port
from appliance.simulator.hospital.options import options_from_arguments
from appliance.simulator.hospital.sop_classes import COMMITMENT
from tests.certificates import Credentials, make_authority
from tests.peers import running, small_object, wait_until
from tests.simulator.hospitals import Hospital, run_dcmtk
from tests.simulator.test_hospital_commitment import Box, ask, request


def test_ok__everything_over_tls(tmp_path: Path) -> None:
    """Both ports at once; the report goes to the box encrypted; who shows no certificate is not heard."""
    authority = make_authority(tmp_path / "ca")
    tls_port, box_port = pick_free_port(), pick_free_port()
    papers = authority.issue("hospital")
    arguments = ["--tls-port", str(tls_port), "--box-tls", "--commitment-delay", "0.1", *_arguments(papers)]
    box_papers = authority.issue("box")
    with running(Hospital.in_directory(tmp_path / "state", box_port, *arguments)) as hospital:
        assert isinstance(hospital, Hospital)
        plain = run_dcmtk("echoscu", "-to", "3", "127.0.0.1", str(tls_port))
        assert plain.returncode != 0
        assert run_dcmtk("echoscu", *box_papers.dcmtk_options(), "127.0.0.1", str(tls_port)).returncode == 0
        assert run_dcmtk("echoscu", "127.0.0.1", str(hospital.port)).returncode == 0
        with hospital.faults("wrong-ae"):
            refused = run_dcmtk("echoscu", *box_papers.dcmtk_options(), "127.0.0.1", str(tls_port))
        assert b"Called AE Title Not Recognized" in refused.stdout
        box = _listen(box_papers, box_port)
        instance = small_object()
        hospital.store(instance)
        wanted = request(instance)
        assert ask(hospital, wanted) == 0x0000
        wait_until(lambda: wanted.TransactionUID in box.reports, "the encrypted report")


def _listen(papers: Credentials, port: int) -> Box:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(papers.authorities))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(papers.certificate, papers.key)
    box = Box()
    ae = AE(ae_title="BRIDGE")
    ae.add_supported_context(COMMITMENT, scu_role=True, scp_role=True)
    handlers = [(evt.EVT_N_EVENT_REPORT, box.take)]
    ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers, ssl_context=context)
    return box


def _arguments(papers: Credentials) -> list[str]:
    return [
        f"--tls-certificate={papers.certificate}",
        f"--tls-key={papers.key}",
        f"--tls-authorities={papers.authorities}",
    ]


@pytest.mark.parametrize("arguments", [[], ["--tls-port", "1"], ["--port", "1", "--box-tls"]])
def test_fail__tls_without_its_files(arguments: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        options_from_arguments(["--directory", str(tmp_path), *arguments])
