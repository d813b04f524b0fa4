"""`appliance config check FILE`: everything that is wrong with a configuration, and with the files that [tls] names."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from appliance.base.errors import ApplianceError
from appliance.base.paths import Paths
from appliance.cli.config_file import read_given
from appliance.config.load import ConfigurationError, Problem, configuration_from, line_in, tls_from
from appliance.config.schema import Configuration, Tls


def check_files(files: Sequence[Path], *, with_code: bool = False) -> int:
    """Print every problem of each on stderr, or that all is good, and `with_code` its short code; 0 when it is.

    What may not be read here is no problem of the file, and yet the answer is 1: nobody has seen that it is good.
    """
    titles: dict[str, Path] = {}
    good = [_is_good(file, titles, with_code) for file in files]
    return 0 if all(good) else 1


def _is_good(file: Path, titles: dict[str, Path], with_code: bool) -> bool:
    """`titles` are the AE titles of the boxes so far."""
    problems: list[Problem] = []
    pins: Iterable[str] = ()
    notes: list[str] = []
    data = b""
    try:
        data = read_given(file)
        configuration = configuration_from(data, file)
        tls = configuration.tls
        notes = _notes_on(configuration)
        if with_code:
            # Also where a certificate is not here: it lies on the box.
            from appliance.config.short_code import short_code_of

            print(f"{file}: code on a new box's panel: {short_code_of(data)}")
        other = titles.setdefault(configuration.box.ae_title, file)
        if other != file:
            called = f"{configuration.box.ae_title!r} is what the box of {other} is called too"
            sentence = f"{called}: the hospital would mix them up"
            problems.append(Problem(file, "box.ae_title", sentence, line_in(data, ("box", "ae_title"))))
        if tls is not None:
            from appliance.dimse.tls import pins_of

            pins = pins_of(configuration)
    except ConfigurationError as error:
        problems += error.problems
        tls = tls_from(data, file)
    except ApplianceError as error:
        problems.append(Problem(file, "", error.sentence.removeprefix(f"{file} ").rstrip(".")))
        tls = None
    seen: list[str] = []
    unseen = 0
    if tls is not None:
        from appliance.dimse.tls_files import UnseenFile, UnusableFiles

        try:
            seen = _look_at(tls, pins)
        except UnusableFiles as error:
            problems += [
                Problem(file, f"tls.{one.key}", str(one), line_in(data, ("tls", one.key))) for one in error.faults
            ]
            unseen = sum(isinstance(one, UnseenFile) for one in error.faults)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        if unseen == len(problems):
            print(f"{file}: all that could be looked at is good", file=sys.stderr)
        return False
    print("\n".join([f"{file}: good", *(f"  {line}" for line in [*seen, *notes])]))
    return True


def _notes_on(configuration: Configuration) -> list[str]:
    """What is right, and yet not what everybody expects."""
    return [
        f"destinations[{number}] ({one.name}): without commitment and verify_by_find, what only went there is never "
        "deleted by itself, but after `appliance release`"
        for number, one in enumerate(configuration.destinations)
        if not one.commitment and not one.verify_by_find
    ]


def _look_at(tls: Tls, pins: Iterable[str]) -> list[str]:
    """A line for each file of `tls`, as the services find it. UnusableFiles."""
    from appliance.dimse.certificate import validity_of
    from appliance.dimse.tls import identity_from
    from appliance.dimse.tls_files import certificate_of, tls_below, user_of

    identity = identity_from(tls_below(tls, Paths.from_environment().run), pins)
    files = identity.tls
    authorities, pinned = identity.authorities()
    return [
        f"tls.certificate: {files.certificate}, valid until {validity_of(certificate_of(files))[1]:%Y-%m-%d %H:%M} UTC",
        f"tls.key: {files.key}, which only its owner may use: the services must run as {user_of(files.key)}",
        f"tls.authorities: {files.authorities}; authorities: {len(authorities)}, pinned certificates: {len(pinned)}",
    ]
