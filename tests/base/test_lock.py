"""One of each process: the second is refused in a sentence, and no lock outlives its owner."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from appliance.base.errors import ApplianceError
from appliance.base.lock import ProcessLock

_HOLDER = """
import sys, time
from pathlib import Path
from appliance.base.lock import ProcessLock
lock = ProcessLock(Path(sys.argv[1]), "The console")
print("held", flush=True)
sys.stdin.read()
"""


def test_fail__a_second_process_is_refused_until_the_first_has_died(tmp_path: Path) -> None:
    path = tmp_path / "run" / "console.lock"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ApplianceError, match="The console is running already") as refused:
            ProcessLock(path, "The console")
        assert str(path) in refused.value.suggestion
        holder.kill()
        holder.wait(30)
    ProcessLock(path, "The console").release()


def test_ok__a_released_lock_is_free(tmp_path: Path) -> None:
    for _ in range(3):
        ProcessLock(tmp_path / "lock", "It").release()


def test_fail__the_same_process_cannot_hold_it_twice(tmp_path: Path) -> None:
    lock = ProcessLock(tmp_path / "lock", "It")
    with pytest.raises(ApplianceError):
        ProcessLock(tmp_path / "lock", "It")
    lock.release()


def test_ok__a_child_does_not_inherit_the_lock(tmp_path: Path) -> None:
    """A killed parent's child (a scanner, say) must not keep the next process from starting."""
    lock = ProcessLock(tmp_path / "lock", "It")
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as child:
        lock.release()
        ProcessLock(tmp_path / "lock", "It").release()
        child.kill()
