"""What the code of the box says to people: every sentence that stands in it, with `{}` for what is filled in."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import appliance

_PACKAGE = Path(appliance.__file__).parent
_ROOMS = ("base", "exam", "spool", "devices", "acquire", "dimse", "forward", "console", "services")
# Of the rest of that room only who proposes a change is told; on a new box that is whoever stands at the panel.
_FILES = (
    "config/in_force.py",
    "config/applying.py",
    *(f"config/{name}.py" for name in ("first_api", "first_stick", "minimal", "stick")),
)
# Whose sentences reach no screen: what a program, a browser or the command line is told, and what ends a process.
_NOT_SHOWN = (
    "config/applying.py",  # but why a change went back
    *("base/lock.py", "base/pins.py", "base/sockets.py", "base/clock_trust.py", "console/guard.py", "console/audit.py"),
    *(
        "console/releasing.py",
        "console/configuration.py",
        "exam/audit.py",
        "exam/audit_reading.py",
        "exam/decisions.py",
    ),
    *("exam/audit_record.py", "exam/audit_codes.py", "devices/plugging/", "devices/signal/learn.py", "exam/reasons.py"),
    *(
        "services/",
        "forward/metrics",
        "console/correcting.py",
        "forward/self_test",
        "forward/proposals.py",
        "forward/journal.py",
        "dimse/verification",
        "spool/known_states.py",
    ),
)
# Set up by an administrator, who reads the command's English: certificates, TLS, the listener, what is decoded.
_FOR_ADMINISTRATORS = (
    *(
        "dimse/tls",
        "dimse/certificate.py",
        "dimse/listener.py",
        "dimse/decoding.py",
        "dimse/refused",
        "forward/audit_line.py",
    ),
)
# Not said to people: what a caller of the API did wrong, and what only a fault of the code brings about.
_FOR_PROGRAMS = re.compile(
    r"^(The request |Whoever asked|The exam's identifier|The time to wait|The request names|\{\} must be a text"
    r"|contexts |Each of contexts|\{\} in \{\} is not a pair|This process does not|An exam ends COMPLETED"
    r"|No destination is called|Configured are|No object \{\} is known|See `appliance queue|usage:"
    r"|SELECT |UPDATE |INSERT |DELETE |AND |ELSE |THEN |WHERE |FROM |\{\} = \?|The box's clock is believed|Wrong PIN, "
    r"|At the panel|Without a PIN, |Ended by the box|Discarding taken|Made anew|Wrong patient: "
    r"|\{\} refused them\.$|in \{\}\.$)"
)
_PROGRAMMING = {"ValueError", "OSError", "TypeError", "KeyError", "RuntimeError", "NotAnObject", "_MalformedError"}


def _paths() -> Iterator[Path]:
    for room in _ROOMS:
        yield from sorted((_PACKAGE / room).rglob("*.py"))
    yield from (_PACKAGE / file for file in _FILES)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _template_of(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values)
    return None


def _unsaid(tree: ast.AST) -> set[int]:
    """Nodes that nobody is told of: docstrings, what is logged, what only a programmer is to see."""
    unsaid: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            unsaid.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            unsaid |= {id(part) for part in node.values}
        elif isinstance(node, ast.Assert) and node.msg is not None:
            unsaid |= {id(part) for part in ast.walk(node.msg)}
        elif isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            owner = node.func.value if isinstance(node.func, ast.Attribute) else None
            if name in _PROGRAMMING or (isinstance(owner, ast.Name) and owner.id == "_log"):
                unsaid |= {id(part) for part in ast.walk(node)}
    return unsaid


def literals(*, is_all: bool = True) -> Iterator[tuple[str, str]]:
    """Every text in the rooms that speak to the panel, and where it stands; not all: what people are told."""
    for path in _paths():
        place = path.relative_to(_PACKAGE).as_posix()
        tree = _tree(path)
        unsaid = set() if is_all else _unsaid(tree)
        for node in ast.walk(tree):
            template = None if id(node) in unsaid else _template_of(node)
            if template and (is_all or " " in template):
                yield template, f"{place}:{node.lineno}"  # type: ignore[attr-defined]


@cache
def sentences() -> dict[str, str]:
    """Each sentence that may stand on the panel → where it is said first."""
    found: dict[str, str] = {}
    for template, place in literals(is_all=False):
        if place.startswith((*_NOT_SHOWN, *_FOR_ADMINISTRATORS)) or not re.search(r"[.!?]$", template):
            continue
        for one in re.split(r"(?<=[.!?]) (?=[A-Z{`])|\A\{\} (?=[A-Z][a-z])", template.strip()):
            if re.search(r"[a-z]{2}", one) and not _FOR_PROGRAMS.match(one):
                found.setdefault(one, place)
    return found


@cache
def what_failed() -> dict[str, str]:
    """What is said of an OSError before its reason (base/flash.py), which has no full stop, and where."""
    wanted = {"in_words": 0, "flash_error_from": 1, "flash_finding_from": 2, "telling_of_flash": 2}
    found: dict[str, str] = {}
    for path in _paths():
        for node in ast.walk(_tree(path)):
            name = getattr(getattr(node, "func", None), "id", "")
            if not isinstance(node, ast.Call) or name not in wanted or len(node.args) <= wanted[name]:
                continue
            template = _template_of(node.args[wanted[name]])
            place = path.relative_to(_PACKAGE).as_posix()
            if template is not None and not place.startswith(tuple(one for one in _NOT_SHOWN if one != "services/")):
                found.setdefault(template, f"{place}:{node.lineno}")
    return found
