"""A box that nobody configured yet takes its configuration over SSH, or from a stick that one of its admins signed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.base.errors import ApplianceError
from appliance.config.change_states import ChangeState
from appliance.config.first import is_new
from appliance.config.history import Change, History, Outcome
from appliance.config.host import SupportKey
from appliance.config.load import configuration_from
from appliance.config.signed import NAMESPACE, signer_of
from appliance.config.stick import FILE
from tests.namespaces import refusal
from tests.support.box import SITE, SupportedBox

# What a hospital's own image would bring: who may log in, and how the box is reached.
_NEW = SITE.partition("[[worklist]]")[0]
_TEXT = b'[box]\nname = "room-9"\n'


def _sign(directory: Path, who: str, text: bytes = _TEXT, namespace: str = NAMESPACE) -> bytes:
    file = directory / "signed.toml"
    file.write_bytes(text)
    file.with_name("signed.toml.sig").unlink(missing_ok=True)
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(directory / who), str(file)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return file.with_name("signed.toml.sig").read_bytes()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("keys")
    for who in ("maria", "otto", "stranger"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", who, "-f", str(directory / who)]
        subprocess.run(command, check=True, timeout=60)
    return directory


def _known(keys: Path) -> list[SupportKey]:
    roles = {"otto": "viewer", "maria": "admin"}
    return [
        SupportKey.model_validate({"name": name, "role": role, "key": (keys / f"{name}.pub").read_text().strip()})
        for name, role in roles.items()
    ]


def test_ok__an_admin_s_signature(keys: Path) -> None:
    assert signer_of(_TEXT, _sign(keys, "maria"), _known(keys)) == "maria"


@pytest.mark.parametrize(
    "trouble", ["a viewer", "a stranger", "changed", "for something else", "no signature", "nonsense", "no admin"]
)
def test_fail__a_signature_that_says_nothing_here(keys: Path, trouble: str) -> None:
    text, known = _TEXT, _known(keys)
    signature = _sign(keys, {"a viewer": "otto", "a stranger": "stranger"}.get(trouble, "maria"))
    match trouble:
        case "changed":
            text += b" "
        case "for something else":
            signature = _sign(keys, "maria", namespace="file")
        case "no signature":
            signature = b""
        case "nonsense":
            signature = bytes(range(256))
        case "no admin":
            known = known[:1]
    with pytest.raises(ApplianceError, match="not signed by anybody who may change"):
        signer_of(text, signature, known)


def test_ok__which_box_is_new(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.active.write_bytes(_TEXT)
    new = configuration_from(_TEXT, Path(FILE))
    destination = b'[[destinations]]\nname = "archive"\nae_title = "A"\nhost = "a"\nport = 104\n'
    assert is_new(new, history)
    assert not is_new(configuration_from(_TEXT + destination, Path(FILE)), history)
    history.begin(Change(0, "maria", "", "apply", (), (), "", 0.0, 0.0), b"", _TEXT)
    history.end(1, Outcome(ChangeState.ROLLED_BACK, "the box", "", ""))
    assert is_new(new, history)
    history.begin(Change(0, "maria", "", "apply", (), (), "", 0.0, 0.0), b"", _TEXT)
    history.end(2, Outcome(ChangeState.CONFIRMED, "maria", "", ""))
    assert not is_new(new, history)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[SupportedBox]:
    if why := refusal():
        pytest.skip(f"NOT PROVEN on this machine, which lets nobody have networks ({why}): run it as root on a Debian")
    box = SupportedBox(tmp_path)
    try:
        box.prepare(_NEW)
        box.start()
        yield box
    finally:
        box.remove()


@pytest.mark.timeout(600)
def test_ok__a_new_box_from_a_stick_and_then_from_no_other(box: SupportedBox) -> None:
    stick = box.directory / "stick"
    stick.mkdir()
    text = SITE.format(maria=box.public_key("maria"), otto=box.public_key("otto")).encode()
    (stick / FILE).write_bytes(text)
    # Nobody signed it: the panel offers it, and nothing is taken by itself.
    assert box.ask("stick", str(stick)) == ""
    assert box.history.numbers() == []
    (stick / f"{FILE}.sig").write_bytes(_sign(box.directory, "stranger", text))
    assert "not signed by anybody" in box.ask("stick", str(stick))
    assert box.history.numbers() == []
    # Signed, and its archive is not there: it goes back, and the box is as new as before.
    wrong = text.replace(b"port = 11112", b"port = 11113")
    (stick / FILE).write_bytes(wrong)
    (stick / f"{FILE}.sig").write_bytes(_sign(box.directory, "maria", wrong))
    assert "went back: ris: association" in box.ask("stick", str(stick))
    (stick / FILE).write_bytes(text)
    (stick / f"{FILE}.sig").write_bytes(_sign(box.directory, "maria", text))
    assert box.ask("stick", str(stick)) == ""
    log = json.loads(box.ssh("config", "log", "--json").stdout)
    assert [(one["state"], one["who"]) for one in log] == [
        ("rolled back", "maria (signed, on a stick)"),
        ("confirmed", "maria (signed, on a stick)"),
    ]
    assert any("worklist query of ris" in check for check in log[1]["checks"])
    (stick / FILE).write_bytes(wrong)
    (stick / f"{FILE}.sig").write_bytes(_sign(box.directory, "maria", wrong))
    assert box.ask("stick", str(stick)) == ""
    assert box.ssh("config", "export").stdout == text


@pytest.mark.timeout(600)
def test_ok__a_new_box_over_ssh(box: SupportedBox) -> None:
    text = SITE.format(maria=box.public_key("maria"), otto=box.public_key("otto")).encode()
    answer = box.ssh("config", "import", given=text)
    assert answer.returncode == 0, answer.stderr
    assert b"ris: verification (C-ECHO): HOSPITAL answered." in answer.stdout
    assert box.ssh("config", "confirm").returncode == 0
    box.pass_time(900)
    assert box.ssh("config", "export").stdout == text
