"""All targets, imported so that the fuzzer sees the branches of their code."""

from __future__ import annotations

from contextlib import nullcontext

from tests.fuzz.run import atheris
from tests.fuzz.target import Target

# Only what is tried is instrumented: libraries would cost more than they tell.
_SEEN = ["appliance.devices", "appliance.dimse", "appliance.config.text_profiles", "appliance.cli.words"]


def every_target() -> list[Target]:
    """Lines, pictures, the hospital, support."""
    with atheris.instrument_imports(include=_SEEN) if atheris is not None else nullcontext():
        from tests.fuzz import hospital, lines, pictures, support
    return [*lines.targets(), *pictures.targets(), *hospital.targets(), *support.targets()]
