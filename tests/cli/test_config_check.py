"""`appliance config check`: the file, and the certificates that it names, as the services would find them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.base.paths import RUN_VARIABLE
from appliance.cli.main import main
from tests.certificates import EXPIRED, NOT_YET_VALID, Authority, Credentials, make_authority, sign_itself

PEERS = """[listener]
tls_port = 2762
[[destinations]]
name = "archive"
ae_title = "PACS"
host = "10.0.0.7"
port = 2762
tls = true
tls_pin = "{pin}"
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("pki") / "hospital")


@pytest.fixture(scope="module")
def box(authority: Authority) -> Credentials:
    return authority.issue("box")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run directory, which is not the one in which the command is given."""
    directory = tmp_path / "run"
    directory.mkdir()
    monkeypatch.setenv(RUN_VARIABLE, str(directory))
    return directory


def write(directory: Path, own: Credentials, *, pin: str = "ab" * 32, more: str = "") -> Path:
    file = directory / "site.toml"
    names = ("certificate", "key", "authorities")
    tls = "".join(f'{name} = "{getattr(own, name)}"\n' for name in names)
    file.write_text(f"{more}{PEERS.format(pin=pin)}[tls]\n{tls}")
    return file


def test_ok__good_files_and_where_they_lie(
    run: Path, box: Credentials, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = sign_itself(tmp_path / "alone", "alone")
    own = box.trusting(box.authorities, alone.certificate)
    file = write(tmp_path, own, pin=alone.pin)
    assert main(["config", "check", str(file)]) == 0
    good, certificate, key, authorities = capsys.readouterr().out.splitlines()
    assert good == f"{file}: good"
    assert certificate.startswith(f"  tls.certificate: {own.certificate}, valid until 20")
    assert key.startswith(f"  tls.key: {own.key}, which only its owner may use: the services must run as ")
    assert authorities == f"  tls.authorities: {own.authorities}; authorities: 1, pinned certificates: 1"


def test_ok__a_destination_that_proves_nothing_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    destination = '[[destinations]]\nname = "{}"\nae_title = "PACS"\nhost = "h"\nport = 104\n{}\n'
    settings = ("", "commitment = false", "commitment = false\nverify_by_find = true")
    file = tmp_path / "site.toml"
    file.write_text("".join(destination.format(f"pacs-{number}", given) for number, given in enumerate(settings)))
    assert main(["config", "check", str(file)]) == 0
    good, note = capsys.readouterr().out.splitlines()
    assert good == f"{file}: good"
    assert note.startswith("  destinations[1] (pacs-1): ") and "never deleted by itself" in note


def test_ok__a_relative_path_is_below_the_run_directory(
    run: Path, box: Credentials, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = Credentials(Path("tls/box.crt"), Path("tls/box.key"), Path("tls/ca.crt"))
    file = write(tmp_path, names)
    assert main(["config", "check", str(file)]) == 1
    assert f"tls.key: {run / 'tls/box.key'}, the box's key, cannot be read" in capsys.readouterr().err
    (run / "tls").mkdir()
    for source, name in ((box.certificate, "box.crt"), (box.key, "box.key"), (box.authorities, "ca.crt")):
        (run / "tls" / name).write_bytes(source.read_bytes())
    (run / "tls/box.key").chmod(0o400)
    assert main(["config", "check", str(file)]) == 0
    assert str(run / "tls/ca.crt") in capsys.readouterr().out


def test_fail__every_fault_with_its_key(
    run: Path, authority: Authority, box: Credentials, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loose, empty, absent = tmp_path / "loose.key", tmp_path / "empty.crt", tmp_path / "absent"
    loose.write_bytes(box.key.read_bytes())
    loose.chmod(0o640)
    empty.write_text("")
    old, early = authority.issue("old", valid=EXPIRED), authority.issue("early", valid=NOT_YET_VALID)
    for own, faults in (
        (Credentials(absent, box.key, box.authorities), ["tls.certificate: .* cannot be read: No such file"]),
        (Credentials(box.certificate, absent, box.authorities), ["tls.key: .* cannot be read: No such file"]),
        (Credentials(box.certificate, box.key, tmp_path), ["tls.authorities: .* cannot be read: Is a directory"]),
        (Credentials(box.certificate, box.key, empty), ["tls.authorities: .* holds no certificate"]),
        (Credentials(empty, box.key, box.authorities), ["tls.certificate: .* the file holds none"]),
        (Credentials(box.certificate, loose, box.authorities), [r"tls.key: .* by others than its owner \(mode 0640\)"]),
        (Credentials(box.certificate, old.key, box.authorities), ["tls.key: .* belongs to another certificate"]),
        (old, ["tls.certificate: .* has expired on 20"]),
        (early, ["tls.certificate: .* is not valid before 20"]),
        (
            Credentials(old.certificate, loose, empty),
            [
                "tls.certificate: .* has expired",
                "tls.key: .* by others",
                "tls.key: .* another certificate",
                "tls.authorities: .* no cert",
            ],
        ),
    ):
        assert main(["config", "check", str(write(tmp_path, own))]) == 1
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == len(faults), lines
        for line, fault in zip(lines, faults, strict=True):
            assert re.match(f"{re.escape(str(tmp_path / 'site.toml'))}:1[123]: {fault}", line), line


def test_fail__together_with_what_else_is_wrong(
    run: Path, authority: Authority, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, authority.issue("old", valid=EXPIRED), more="[box]\nae_titel = 1\n")
    assert main(["config", "check", str(file)]) == 1
    wrong, expired = capsys.readouterr().err.splitlines()
    assert "box.ae_titel: is not a key" in wrong
    assert "tls.certificate: " in expired and "has expired" in expired


def test_fail__without_usable_names_there_is_nothing_to_look_at(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "site.toml"
    for text, said in (
        ('[tls]\ncertificate = "box.crt"\nkey = 1\nauthorities = "ca.crt"\n', "tls.key: "),
        ("tls = 5\n", "tls: "),
        ("[tls\n", "is not TOML"),
        (None, "cannot be read"),
    ):
        file.unlink(missing_ok=True)
        if text is not None:
            file.write_text(text)
        assert main(["config", "check", str(file)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line


def test_fail__whoever_may_not_read_the_key_does_not_call_it_good(run: Path, box: Credentials, tmp_path: Path) -> None:
    """A person other than its owner: not good, and nothing that is wrong either."""
    key = tmp_path / "closed.key"
    key.write_bytes(box.key.read_bytes())
    key.chmod(0o000)
    file = write(tmp_path, Credentials(box.certificate, key, box.authorities))
    # Who is root reads everything, unless he may not.
    nobody = ["/usr/bin/setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
    command = [*(nobody if os.geteuid() == 0 else []), sys.executable, "-m", "appliance", "config", "check", file]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    unseen, rest = done.stderr.splitlines()
    assert f"tls.key: {key}, the box's key, may not be read by " in unseen and "it belongs to " in unseen
    assert "check" in unseen.rpartition(":")[2] and "as that user" in unseen
    assert rest == f"{file}: all that could be looked at is good"
