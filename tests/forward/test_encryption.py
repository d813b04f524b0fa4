"""The box's certificate on the panel: unusable, about to expire, well again; and who was refused at the TLS port."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.base.clock import SystemClock
from appliance.base.findings import FindingBoard
from appliance.dimse.tls import Identity
from appliance.dimse.tls_reason import TlsError
from appliance.forward.encryption import EncryptionWatch
from tests.certificates import EXPIRED, Authority, Credentials, make_authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("pki") / "hospital")


class Clock(SystemClock):
    later = 0.0

    def monotonic(self) -> float:
        return self.later


class Watched:
    def __init__(self, own: Credentials) -> None:
        self.findings = FindingBoard()
        self.clock = Clock()
        self.watch = EncryptionWatch(Identity(own.tls), self.findings, self.clock)

    def codes(self) -> set[str]:
        assert self.watch.look() > 0
        return {one.code for one in self.findings.listing()}


@pytest.mark.parametrize(("valid", "code"), [((-1, 400), None), ((-300, 20), "tls-expires"), (EXPIRED, "tls-unusable")])
def test_ok__how_long_it_is_good(authority: Authority, valid: tuple[int, int], code: str | None) -> None:
    assert Watched(authority.issue("box", valid=valid)).codes() == ({code} if code else set())


def test_ok__a_key_that_becomes_loose_and_tight_again(authority: Authority, tmp_path: Path) -> None:
    own = authority.issue("box", valid=(-1, 400))
    watched = Watched(own)
    own.key.chmod(0o640)
    assert watched.codes() == {"tls-unusable"}
    own.key.chmod(0o400)
    assert watched.codes() == set()


def test_ok__who_was_refused_is_told_for_an_hour(authority: Authority) -> None:
    watched = Watched(authority.issue("box", valid=(-1, 400)))
    for number in range(5):
        watched.watch.note_refused(TlsError(f"10.0.0.{number} was refused.", ""))
    (finding,) = watched.findings.listing()
    assert finding.sentence == "10.0.0.4 was refused.", "one line, however many come"
    watched.clock.later = 3000.0
    assert watched.codes() == {"listener-refused"}
    watched.clock.later = 3700.0
    assert watched.codes() == set()
