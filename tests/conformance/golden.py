"""Golden reports: the three profiles against the example configuration, and against ten deliberately wrong ones.

`python -m tests.conformance.golden` writes them anew, for a person to read as a difference before they are kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from appliance.config.example import EXAMPLE
from appliance.config.load import load_configuration
from appliance.config.schema import Configuration
from appliance.conformance.comparison import compare_box
from appliance.conformance.profile import OWN_PROFILES, own_profile
from appliance.conformance.report import report_lines

DIRECTORY = Path(__file__).parent / "golden"
_PLAIN = {"name": "second", "ae_title": "PLAIN", "host": "plain", "port": 104, "commitment": False}

# What is wrong, and the keys with which it is: each comes to a worse report than the example does.
WRONG: dict[str, dict[str, Any]] = {
    "no-worklist": {"worklist": []},
    "nobody-hears-of-steps": {"performed_step": None},
    "no-archive": {"destinations": []},
    "no-commitment": {"destinations.0.commitment": False},
    "looked-at-instead-of-committed": {"destinations.0.commitment": False, "destinations.0.verify_by_find": True},
    "a-second-archive-without-commitment": {"destinations.1": _PLAIN},
    "explicit-alone": {"destinations.0.transfer_syntaxes": ["explicit-little-endian"]},
    "no-machine": {"devices": []},
    "films-alone": {"devices": [{"name": "film", "driver": "sane", "modality": "RG", "sane_device": "test"}]},
    "no-digitizer": {"devices.2": None},
}


def changed(configuration: Configuration, path: str, value: Any) -> Configuration:
    """The configuration with one key changed; a number in the path is a place in a list, None takes it away."""
    tree = configuration.model_dump(mode="json", exclude_unset=True)
    here: Any = tree
    *above, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in above:
        here = here[part] if isinstance(part, int) else here.setdefault(part, {})
    if isinstance(last, int) and last == len(here):
        here.append(value)
    elif isinstance(last, int) and value is None:
        del here[last]
    else:
        here[last] = value
    return Configuration.model_validate_json(json.dumps(tree))


def configurations() -> Iterator[tuple[str, Configuration]]:
    """The right one, and each wrong one."""
    example = load_configuration(EXAMPLE)
    yield "right", example
    for name, keys in WRONG.items():
        configuration = example
        for path, value in keys.items():
            configuration = changed(configuration, path, value)
        yield name, configuration


def text_of(configuration: Configuration) -> str:
    """The three reports, one below the other."""
    reports = ["\n".join(report_lines(compare_box(own_profile(name), configuration))) for name in OWN_PROFILES]
    return "\n\n\n".join(reports) + "\n"


if __name__ == "__main__":
    DIRECTORY.mkdir(exist_ok=True)
    for written, one in configurations():
        (DIRECTORY / f"{written}.txt").write_text(text_of(one), encoding="utf-8")
