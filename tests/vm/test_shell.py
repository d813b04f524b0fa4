"""The shell's wire, spoken by a bash of this machine: what the guest's port carries is the same."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.shell import Done, Shell, ShellError


@pytest.fixture
def shell() -> Iterator[Shell]:
    ours, theirs = socket.socketpair()
    with subprocess.Popen(
        ["bash", "--norc"], stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=theirs.fileno()
    ) as bash:
        theirs.close()
        opened = Shell(ours)
        yield opened
        opened.close()
        bash.wait(30)


def test_ok__output_and_status_of_each_command(shell: Shell) -> None:
    shell.wait_ready(30)
    assert shell.run("echo one; echo two >&2") == "one\ntwo\n"
    assert shell.try_run("printf x; exit 7") == Done(7, "x")
    assert shell.run("cat") == ""  # nothing is left for it to read


@pytest.mark.parametrize("command", ["echo 'a", "fi", "exit 3", "kill -9 $BASHPID", "exec true", "cd /nowhere", ""])
def test_ok__no_command_ends_the_shell(shell: Shell, command: str) -> None:
    shell.try_run(command)
    assert shell.run("echo alive") == "alive\n"


def test_ok__files_pass_as_they_are(shell: Shell, tmp_path: Path) -> None:
    content = bytes(range(256)) * 999 + b"; 0;\n"
    name = str(tmp_path / "a name with 'quotes'")
    shell.write_file(name, content)
    assert Path(name).read_bytes() == content
    assert shell.read_file(name) == content


def test_ok__what_nobody_asked_for_is_stepped_over(shell: Shell) -> None:
    with pytest.raises(TimeoutError):
        shell.try_run("sleep 1; echo late", 0.1)
    shell.wait_ready(30)
    assert shell.run("echo now").splitlines()[-1] == "now"


def test_fail__a_command_that_must_succeed_tells_its_words(shell: Shell) -> None:
    with pytest.raises(ShellError, match="no such thing"):
        shell.run("echo no such thing; false")


def test_fail__a_file_that_is_not_there(shell: Shell) -> None:
    with pytest.raises(ShellError, match="cannot be read"):
        shell.read_file("/nowhere/at all")


def test_fail__a_guest_that_went_away() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    with pytest.raises(ShellError, match="gone away"):
        Shell(ours).run("true")
