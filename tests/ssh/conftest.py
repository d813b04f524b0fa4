"""What a door needs of the machine: the right to mount, as the units' proofs do."""

from __future__ import annotations

from tests.systemd.conftest import mounts

__all__ = ["mounts"]
