"""No change locks support out: bad configurations over a real SSH server, in networks of their own.

Here a few of them; `make support-test` does all. systemd is played by the test, everything else is real: the services,
the program that changes the configuration, networkd, nft and sshd.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.namespaces import refusal
from tests.peers import wait_until
from tests.support.box import SupportedBox
from tests.support.cases import CASES, Case, Kind

IS_ALL = os.environ.get("SUPPORT_ALL") == "1"
_SAMPLE = ("another gateway", "an archive's port where nobody is", "a key that is misspelt")
_CHOSEN = [case for case in CASES if IS_ALL or case.name in _SAMPLE]
# Support's own desk may come from everywhere or from its network: nothing has to start anew for that.
_HARMLESS = ("firewall.ssh_from", '["10.98.0.0/16"]')

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupportedBox]:
    """One box for all; each test leaves it as it was."""
    why = refusal() if os.geteuid() == 0 else "that takes root"
    if why:
        pytest.skip(f"NOT PROVEN on this machine, which lets nobody have networks ({why}): run it as root on a Debian")
    box = SupportedBox(tmp_path_factory.mktemp("box"))
    try:
        box.prepare()
        box.start()
        assert box.is_reached()
        yield box
    finally:
        box.remove()


def _is_as_it_was(box: SupportedBox) -> None:
    """Reachable from support's desk, by the key, under the old configuration and nothing else."""
    answer = box.ssh("config", "export")
    assert (answer.returncode, answer.stdout.decode()) == (0, box.site), answer.stderr
    assert box.history.under_way() is None


def _number(box: SupportedBox) -> int:
    return max(box.history.numbers(), default=0)


def test_ok__there_are_fifty_and_ten_of_them_cut_the_line() -> None:
    assert len(CASES) >= 50 and len({case.name for case in CASES}) == len(CASES)
    assert sum(case.kind is Kind.CUTS for case in CASES) >= 10
    assert set(_SAMPLE) <= {case.name for case in CASES}


@pytest.mark.parametrize("case", _CHOSEN, ids=lambda case: case.name.replace(" ", "-"))
def test_ok__a_bad_configuration_ends_with_the_box_as_it_was(box: SupportedBox, case: Case) -> None:
    before = _number(box)
    text = case.change(box.site)
    assert text != box.site.encode()
    with box.talk("config", "apply", "-", "--confirm-within", "10m", "--json") as talk:
        assert talk.stdin is not None and talk.stdout is not None and talk.stderr is not None
        with contextlib.suppress(BrokenPipeError):  # a huge one is not read to its end
            talk.stdin.write(text)
            talk.stdin.close()
        if case.kind is Kind.REFUSED:
            said = talk.stderr.read().decode()
            assert talk.wait(90) == 1, said
            assert case.said in said and "Traceback" not in said
            assert _number(box) == before
        elif case.kind is Kind.FAILS:
            said = talk.stdout.read().decode()
            assert talk.wait(90) == 1, said
            assert case.said in json.loads(said)["why"]
        else:
            wait_until(lambda: _number(box) > before, "the change is kept", 60)
            box.await_state(before + 1, is_tested=True)
            # Whoever applied it is cut off, or gone.
            talk.kill()
    if case.kind is Kind.CUTS:
        assert not box.history.has_ended(before + 1), box.history.outcome(before + 1)
        assert box.is_cut(), "this configuration does not cut the line"
        box.pass_time(600)
        box.await_state(before + 1, is_tested=False)
    if case.kind is not Kind.REFUSED:
        outcome = box.history.outcome(before + 1)
        assert outcome is not None and outcome.state == "rolled back"
    _is_as_it_was(box)


def test_ok__what_is_confirmed_stays_and_is_taken_back_by_its_number(box: SupportedBox) -> None:
    before = _number(box)
    applied = box.ssh("config", "set", *_HARMLESS, "--json")
    view = json.loads(applied.stdout)
    assert (applied.returncode, view["state"], view["number"]) == (0, "waiting", before + 1), applied.stderr
    second = box.ssh("config", "apply", "-", given=box.site.encode(), who="otto")
    assert (second.returncode, b"maria" in second.stderr, b"Nothing was changed" in second.stderr) == (1, True, True)
    assert box.ssh("config", "confirm", who="otto").returncode == 0
    box.pass_time(600)
    assert box.ssh("config", "get", _HARMLESS[0]).stdout.decode() == f"{_HARMLESS[1]}\n"
    # As it was before that change: a change of its own.
    assert box.ssh("config", "rollback", "--json").returncode == 0
    assert box.ssh("config", "confirm").returncode == 0
    log = json.loads(box.ssh("config", "log", "--json").stdout)
    assert [(one["number"], one["state"]) for one in log[-2:]] == [(before + n, "confirmed") for n in (1, 2)]
    assert [one["who"].split()[0] for one in log[-2:]] == ["maria", "maria"]
    assert log[-2]["ended_by"].startswith("otto")
    _is_as_it_was(box)


def test_ok__a_power_cut_while_the_line_is_cut(box: SupportedBox) -> None:
    before = _number(box)
    with box.talk("config", "set", "network.gateway", "10.99.0.253") as talk:
        wait_until(lambda: _number(box) > before, "the change is kept", 60)
        box.await_state(before + 1, is_tested=True)
        talk.kill()
    assert box.is_cut()
    box.reboot()
    outcome = box.history.outcome(before + 1)
    assert outcome is not None and outcome.why == "the box was started anew before it was confirmed"
    _is_as_it_was(box)


def test_ok__the_program_is_killed_while_the_line_is_cut(box: SupportedBox) -> None:
    before = _number(box)
    with box.talk("config", "set", "firewall.ssh_from", '["10.97.0.0/16"]') as talk:
        wait_until(lambda: _number(box) > before, "the change is kept", 60)
        box.await_state(before + 1, is_tested=True)
        box.ask("kill", "appliance-apply")
        talk.kill()
    assert box.is_cut()
    assert not box.history.has_ended(before + 1)
    box.pass_time(600)
    box.await_state(before + 1, is_tested=False)
    _is_as_it_was(box)


def test_fail__while_an_exam_is_open_nothing_is_changed(box: SupportedBox) -> None:
    before = _number(box)
    exam = Path(box.directory) / "state/exams/E000001-20261123-093000"
    exam.mkdir(parents=True)
    (exam / "exam.json").write_text("{}")
    answer = box.ssh("config", "set", *_HARMLESS)
    assert answer.returncode == 1
    assert b"Exam E000001-20261123-093000 is open, since 09:30 of 20261123: nothing was changed." in answer.stderr
    with box.talk("config", "set", *_HARMLESS, "--wait") as waiting:
        assert waiting.stderr is not None
        assert b"waiting for its end" in waiting.stderr.readline()
        (exam / "closing.json").write_text("{}")
        wait_until(lambda: _number(box) > before, "the change is kept", 60)
        box.await_state(before + 1, is_tested=True)
        waiting.kill()
    for file in (exam / "exam.json", exam / "closing.json"):
        file.unlink()
    assert box.ssh("config", "rollback").returncode == 0
    _is_as_it_was(box)
