"""A support bundle as it is written: members into a tar, the tar into age, age onto standard output.

Nothing of it touches the flash, and nothing leaves the box unencrypted. age is Debian's; it is given the recipients and
a pipe, and no name of a file.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import IO

from appliance.base.clock import SystemClock
from appliance.base.errors import ApplianceError
from appliance.base.flash import in_words
from appliance.base.paths import Paths
from appliance.cli.bundle_contents import Member, read_members, read_transcripts
from appliance.cli.caller import actor_from
from appliance.config.support import is_public_key
from appliance.exam.audit import Act, AuditTrail

_AGE = "age"
_AGE_RECIPIENT = re.compile(r"\Aage1[02-9ac-hj-np-z]{58}\Z")  # Bech32 of an X25519 key
_MOST_RECIPIENTS = 20
_LONGEST_WAIT = 600.0


def write_bundle(recipients: Sequence[str], days: int, *, with_transcripts: bool) -> int:
    """Write it; 0. ApplianceError: nobody could open it, it would go to a terminal, age is missing or failed."""
    check_recipients(recipients)
    if sys.stdout.isatty():
        raise ApplianceError(
            "A bundle is bytes, and this is a terminal.", "ssh BOX support-bundle --to KEY > bundle.age"
        )
    paths, clock = Paths.from_environment(), SystemClock()
    if with_transcripts:  # before they are read: who cannot be written down does not get them
        with in_words("That you take transcripts could not be recorded", "Nothing was written."):
            trail = AuditTrail(paths.audit, "cli", clock)
            trail.record(Act.TRANSCRIPT_READ, actor=actor_from(os.environ), detail="of every line, in a bundle")
    members = read_members(paths, days, clock.now())
    if with_transcripts:
        members += read_transcripts(paths)
    encrypt_into(sys.stdout.buffer, recipients, members, clock.now())
    return 0


def check_recipients(recipients: Sequence[str]) -> None:
    """ApplianceError unless each is one that age knows."""
    if len(recipients) > _MOST_RECIPIENTS:
        raise ApplianceError(f"A bundle has at most {_MOST_RECIPIENTS} recipients.")
    for one in recipients:
        if not (_AGE_RECIPIENT.match(one) or (is_public_key(one) and not one.startswith("sk-"))):
            raise ApplianceError(
                "What is given with --to is no key for which age encrypts.",
                'It is what age-keygen calls public key (age1...), or "ssh-ed25519 AAAA..." or "ssh-rsa AAAA...".',
            )


def encrypt_into(target: IO[bytes], recipients: Sequence[str], members: Iterable[Member], now: datetime) -> None:
    """The members as tar.gz, encrypted. ApplianceError when age is missing, hangs or fails."""
    words = [_AGE, "--encrypt", *(word for one in recipients for word in ("--recipient", one))]
    target.flush()
    try:
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=target, stderr=subprocess.PIPE)
    except FileNotFoundError:
        raise ApplianceError(
            "age, which encrypts the bundle, is not installed.", "It is Debian's package age."
        ) from None
    assert process.stdin is not None and process.stderr is not None
    with process:
        try:
            with process.stdin as pipe:
                write_tar(pipe, members, now)
        except BrokenPipeError:
            pass  # age ended before its time, and says why
        said = process.stderr.read(500).decode("utf-8", "replace").strip().splitlines()
        if process.wait(_LONGEST_WAIT):
            raise ApplianceError(f"age could not encrypt the bundle: {said[0] if said else 'it says no reason'}.")


def write_tar(pipe: IO[bytes], members: Iterable[Member], now: datetime) -> None:
    """A tar.gz of the members, in one directory."""
    directory = f"bundle-{now:%Y%m%d-%H%M%S}"
    with tarfile.open(fileobj=pipe, mode="w|gz", format=tarfile.PAX_FORMAT) as tar:
        for member in members:
            info = tarfile.TarInfo(f"{directory}/{member.name}")
            info.size, info.mode, info.mtime = len(member.data), 0o600, int(now.timestamp())
            tar.addfile(info, io.BytesIO(member.data))
