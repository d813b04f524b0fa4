"""What the units' proofs need of the machine."""

from __future__ import annotations

import subprocess

import pytest

from tests.systemd.box import NAMESPACE


@pytest.fixture(scope="session")
def mounts() -> None:
    """A mount namespace. Where nobody may have one (some containers, a chroot) it is said what is not proven.

    No package brings that right, so `make test` cannot; every other test here still counts.
    """
    tried = subprocess.run([*NAMESPACE, "true"], capture_output=True, text=True, check=False, timeout=60)
    if tried.returncode:
        why = tried.stderr.strip().removeprefix("unshare: ")
        pytest.skip(f"NOT PROVEN on this machine, which lets nobody mount ({why}): run it on a whole Debian, as root")
