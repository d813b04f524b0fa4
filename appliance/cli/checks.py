"""What `appliance echo` and `appliance test` ask of the forward process, and its report: each line is one check."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from appliance.base.asking import Asker
from appliance.base.paths import Paths

# The forward process begins no check after five minutes; the longest one waits as long as a peer may be configured to.
_LONGEST_TEST_SECONDS = 1200.0
_LONGEST_ECHO_SECONDS = 800.0
# The verdicts of the checks in the order in which they are counted for people: the worst first.
_COUNTED = ("failed", "skipped", "noted", "good")


def echo_peer(name: str, *, as_json: bool) -> int:
    """Verify one peer; 0 when it answered. ApplianceError with the names there are, when nobody is called so."""
    return _show(ask_echo(name), as_json=as_json)


def ask_echo(name: str) -> dict[str, Any]:
    """The report on one peer. ApplianceError with the names there are, when nobody is called so."""
    return _ask("/echo", {"name": name}, _LONGEST_ECHO_SECONDS)


def test_peer(name: str, *, may_write: bool, as_json: bool) -> int:
    """Try everything with one peer; 0 when all is well. Errors as above, and when it may not be tried now."""
    if sys.stderr.isatty():
        print(f"Trying {name}; this may take some minutes.", file=sys.stderr)
    return _show(ask_test(name, may_write=may_write), as_json=as_json)


def ask_test(name: str, *, may_write: bool, contexts: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    """The report on one peer; `contexts`, abstract and transfer syntax, are proposed besides. Errors as above."""
    body = {"name": name, "write": may_write, "contexts": contexts}
    return _ask("/test", body, _LONGEST_TEST_SECONDS)


def lines_of(report: dict[str, Any]) -> list[str]:
    """The report for people."""
    rows = [
        (check["verdict"], "" if check["seconds"] is None else f"{check['seconds']:.2f} s", check["name"], check)
        for check in report["checks"]
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    lines = [f"{report['name']}: {report['peer']}"]
    for verdict, seconds, name, check in rows:
        lines.append(f"{verdict:<{widths[0]}}  {seconds:>{widths[1]}}  {name:<{widths[2]}}  {check['words']}".rstrip())
        if check["suggestion"]:
            lines.append(" " * (widths[0] + widths[1] + widths[2] + 6) + check["suggestion"])
    if report["written"]:
        lines.append("What stays there, marked as no examination (Quality Control Image):")
        lines += [f"  {what}: {uid}" for what, uid in report["written"].items()]
    counts = ", ".join(f"{report['counts'][verdict]} {verdict}" for verdict in _COUNTED if report["counts"][verdict])
    lines.append("All is well." if report["is_good"] else f"Not all is well: {counts}.")
    return lines


def _ask(path: str, body: dict[str, Any], seconds: float) -> dict[str, Any]:
    asker = Asker(Paths.from_environment().forward_socket, "The forward process")
    try:
        return asker.ask("POST", path, body, seconds=seconds)
    finally:
        asker.close()


def _show(report: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps(report, indent=1, ensure_ascii=False))
    else:
        print("\n".join(lines_of(report)))
    return 0 if report["is_good"] else 1
