"""As whom each process runs, read from the units and from sysusers.d, so that what is proven is what is installed."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNITS = SYSTEMD / "units"
SYSUSERS = SYSTEMD / "sysusers.d" / "appliance.conf"
TMPFILES = SYSTEMD / "tmpfiles.d" / "appliance.conf"

# Debian's, with which the kiosk reaches its screen, and support the journal.
_SYSTEM_GROUPS = ("video", "render", "systemd-journal")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a process starts with; numbers, as the kernel has them."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    umask: int
    capabilities: tuple[str, ...] | None = None
    """Those that root has left; None: all."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """What sysusers.d makes: users and groups by name, and of which further groups a user is a member."""

    users: dict[str, int]
    groups: dict[str, int]
    members: dict[str, list[str]]


def read_accounts(path: Path = SYSUSERS) -> Accounts:
    accounts = Accounts({}, {}, {})
    for line in path.read_text().splitlines():
        match shlex.split(line, comments=True):
            case ["g", name, number]:
                accounts.groups[name] = int(number)
            case ["u", name, number, *_]:
                accounts.users[name] = accounts.groups[name] = int(number)
            case ["m", user, group]:
                accounts.members.setdefault(user, []).append(group)
            case []:
                pass
            case other:
                raise AssertionError(f"{path.name} has a line of another kind: {other}")
    return accounts


def read_values(unit: str, key: str) -> list[str]:
    """Every value that `unit`, the file's name, gives for `key`, in order."""
    lines = (UNITS / unit).read_text().splitlines()
    return [line.partition("=")[2] for line in lines if line.partition("=")[0] == key]


def identity_of_unit(unit: str) -> Identity:
    """As systemd starts the unit: User=, Group=, SupplementaryGroups=, and no group besides but the system's own."""
    accounts = read_accounts()
    (user,), (group,), (umask,) = (read_values(unit, key) for key in ("User", "Group", "UMask"))
    assert user not in accounts.members, "the services' groups stand in their units"
    named = " ".join(read_values(unit, "SupplementaryGroups")).split()
    assert all(name in accounts.groups or name in _SYSTEM_GROUPS for name in named)
    groups = tuple(accounts.groups[name] for name in named if name in accounts.groups)
    return Identity(accounts.users[user], accounts.groups[group], groups, int(umask, 8))


def identity_of_root_unit(unit: str) -> Identity:
    """As systemd starts a unit without User=: root, of whose rights those of CapabilityBoundingSet= are left."""
    accounts = read_accounts()
    (kept,), (umask,) = (read_values(unit, key) for key in ("CapabilityBoundingSet", "UMask"))
    named = " ".join(read_values(unit, "SupplementaryGroups")).split()
    return Identity(0, 0, tuple(accounts.groups[name] for name in named), int(umask, 8), tuple(kept.split()))


def identity_of_login(user: str) -> Identity:
    """As a login of `user`: its own group, and those of which it is a member."""
    accounts = read_accounts()
    named = accounts.members.get(user, [])
    assert all(name in accounts.groups or name in _SYSTEM_GROUPS for name in named)
    groups = tuple(accounts.groups[name] for name in named if name in accounts.groups)
    return Identity(accounts.users[user], accounts.groups[user], groups, 0o022)
