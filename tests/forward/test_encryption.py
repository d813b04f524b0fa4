"""The certificates that lie on the box, on the panel: unusable, about to expire, well again; file, date and owner."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.base.clock import SystemClock
from appliance.base.errors import Finding
from appliance.base.findings import FindingBoard
from appliance.dimse.certificate import validity_of
from appliance.dimse.tls import Identity
from appliance.forward.encryption import EncryptionWatch
from tests.certificates import EXPIRED, Authority, Credentials, make_authority, sign_itself


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("pki") / "hospital")


class Watched:
    def __init__(self, own: Credentials, pinned_for: dict[str, str] | None = None) -> None:
        self.findings = FindingBoard()
        identity = Identity(own.tls, frozenset(pinned_for or {}))
        self.watch = EncryptionWatch(identity, self.findings, SystemClock(), pinned_for)

    def shown(self) -> list[Finding]:
        assert self.watch.look() > 0
        return self.findings.listing()

    def codes(self) -> set[str]:
        return {one.code for one in self.shown()}


@pytest.mark.parametrize(("valid", "code"), [((-1, 400), None), ((-300, 20), "tls-expires"), (EXPIRED, "tls-unusable")])
def test_ok__how_long_it_is_good(authority: Authority, valid: tuple[int, int], code: str | None) -> None:
    assert Watched(authority.issue("box", valid=valid)).codes() == ({code} if code else set())


def test_ok__the_box_s_own_with_file_and_date(authority: Authority) -> None:
    own = authority.issue("soon", valid=(-300, 20))
    (finding,) = Watched(own).shown()
    end = validity_of(own.der)[1]
    assert finding.sentence == f"The box's certificate {own.certificate} expires on {end:%Y-%m-%d %H:%M} UTC."
    assert str(own.key) in finding.suggestion and "new one issued" in finding.suggestion


def test_ok__whose_of_the_others_with_file_and_date(authority: Authority, tmp_path: Path) -> None:
    """A pinned one by the name of its peer, an authority by its own; those that are good for long are not named."""
    soon = sign_itself(tmp_path / "soon", "device", (-300, 9))
    old = sign_itself(tmp_path / "old", "Former CA", EXPIRED)
    own = authority.issue("box", valid=(-1, 400)).trusting(authority.file, soon.certificate, old.certificate)
    (finding,) = Watched(own, {soon.pin: "archive"}).shown()
    soon_on, old_on = (f"{validity_of(one.der)[1]:%Y-%m-%d %H:%M} UTC" for one in (soon, old))
    assert finding.sentence == (
        f"In {own.authorities}: the authority Former CA has expired on {old_on}; "
        f"the certificate pinned for archive expires on {soon_on}."
    )
    assert "configure the new fingerprint too" in finding.suggestion
    own.authorities.write_bytes(authority.file.read_bytes())
    assert Watched(own).shown() == []


def test_ok__many_that_expire_are_summed_up(authority: Authority, tmp_path: Path) -> None:
    soon = sign_itself(tmp_path / "soon", "device", (-300, 9))
    own = authority.issue("box", valid=(-1, 400)).trusting(*[soon.certificate] * 8)
    (finding,) = Watched(own).shown()
    assert finding.sentence.count("the authority device") == 5
    assert finding.sentence.endswith("; and 3 more.")


def test_ok__a_key_that_becomes_loose_and_tight_again(authority: Authority) -> None:
    own = authority.issue("box", valid=(-1, 20))
    watched = Watched(own)
    assert watched.codes() == {"tls-expires"}
    own.key.chmod(0o640)
    assert watched.codes() == {"tls-unusable"}, "what cannot be used does not expire either"
    own.key.chmod(0o400)
    assert watched.codes() == {"tls-expires"}
