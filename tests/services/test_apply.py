"""What speaks against a configuration before its record: certificates that do not fit, and an exam that is open."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from appliance.base.errors import ApplianceError
from appliance.base.paths import Paths
from appliance.config.load import ConfigurationError
from appliance.services.apply import check_exam, check_files
from tests.certificates import EXPIRED, make_authority

FILE = Path("site.toml")


def _tls(certificate: Path, key: Path, authorities: Path) -> bytes:
    return f'# TLS\n[tls]\ncertificate = "{certificate}"\nkey = "{key}"\nauthorities = "{authorities}"\n'.encode()


def test_ok__certificates_that_fit_and_none_at_all(tmp_path: Path) -> None:
    own = make_authority(tmp_path / "hospital").issue("box")
    check_files(_tls(own.certificate, own.key, own.authorities), FILE, Paths.below(tmp_path))
    check_files(b"", FILE, Paths.below(tmp_path))


def test_fail__a_certificate_that_does_not_match_its_key(tmp_path: Path) -> None:
    authority = make_authority(tmp_path / "hospital")
    own, other = authority.issue("box"), authority.issue("other", valid=EXPIRED)
    for certificate, key, line, said in (
        (own.certificate, other.key, 4, "tls.key: .* belongs to another certificate"),
        (other.certificate, other.key, 3, "tls.certificate: .* has expired"),
    ):
        with pytest.raises(ConfigurationError, match=f"site.toml:{line}: {said}"):
            check_files(_tls(certificate, key, own.authorities), FILE, Paths.below(tmp_path))


def test_fail__while_an_exam_is_open(tmp_path: Path) -> None:
    paths = Paths.below(tmp_path)
    check_exam(paths)
    exam = paths.state / "exams/E000007-20261123-170250"
    exam.mkdir(parents=True)
    (exam / "exam.json").write_text("{}")
    with pytest.raises(ApplianceError, match=r"Exam E000007-20261123-170250 is open, since 17:02 of 20261123"):
        check_exam(paths)
    (exam / "closing.json").write_text("{}")
    check_exam(paths)
    shutil.rmtree(exam)
