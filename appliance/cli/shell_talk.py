"""The support shell on a terminal: a prompt, completion by Tab and by `?`, and a history that ends with the session.

readline does the editing; it is part of Python and costs a start nothing. The history is not kept: what was searched
for names patients, and flash is no place for that.
"""

from __future__ import annotations

import argparse
import contextlib
import readline
from collections.abc import Callable, Iterator, Sequence

from appliance.base.errors import ApplianceError
from appliance.base.paths import Paths
from appliance.cli.main import make_parser
from appliance.cli.roles import is_shown, subcommands_of, texts_of
from appliance.cli.shell_session import is_leaving, run_line
from appliance.cli.words import words_from
from appliance.config.support import SupportRole
from appliance.exam.facts import ExamFacts

_MOST_EXAMS = 20
_MOST_LINES = 500


def talk(role: SupportRole) -> int:
    """Lines until `exit` or the end of input; the last command's exit status."""
    completer = Completer(role)
    readline.set_completer(completer)
    readline.set_completer_delims(" \t")
    readline.set_completion_display_matches_hook(completer.show)
    readline.set_history_length(_MOST_LINES)
    readline.set_auto_history(True)
    for setting in ("tab: complete", '"?": possible-completions', "set show-all-if-ambiguous on"):
        readline.parse_and_bind(setting)
    print(f"Support shell of this box ({role}). `help` shows the commands, ? what may come next, exit ends it.")
    status = 0
    while True:
        try:
            line = input(f"appliance ({role})> ")
        except EOFError:
            print()
            return status
        except KeyboardInterrupt:
            print()
            continue
        if is_leaving(line):
            return status
        status = run_line(line, role)


class Completer:
    """What may come next on the line, for readline: called with a number until it gives None."""

    def __init__(self, role: SupportRole) -> None:
        self._role = role
        self._parser = make_parser()
        self._found: list[str] = []

    def __call__(self, begun: str, number: int) -> str | None:
        if number == 0:
            line = readline.get_line_buffer()[: readline.get_begidx()]
            try:
                words = words_from(line)
            except ApplianceError:
                words = None  # within a quote nothing is completed
            self._found = sorted(one for one in self.candidates(words or [], begun)) if words is not None else []
        return f"{self._found[number]} " if number < len(self._found) else None

    def candidates(self, words: Sequence[str], begun: str) -> list[str]:
        """What may stand behind `words` and begins with `begun`: commands, options, and names that are known."""
        return [one for one in self._possible(list(words)) if one.startswith(begun)]

    def show(self, _begun: str, matches: Sequence[str], _longest: int) -> None:
        """Print the matches with what each of them is, below the line that is being typed."""
        words = words_from(readline.get_line_buffer()[: readline.get_begidx()])
        parser, _ = self._reached(words)
        told = dict(_told_of(parser))
        print()
        for match in sorted(matches):
            print(f"  {match.strip():<16} {told.get(match.strip(), '')}".rstrip())
        print(f"appliance ({self._role})> {readline.get_line_buffer()}", end="", flush=True)

    def _possible(self, words: list[str]) -> Iterator[str]:
        parser, command = self._reached(words)
        inner = subcommands_of(parser)
        if not words:
            yield from ("help", "exit")
        if inner:
            yield from (name for name in inner if is_shown(f"{command} {name}".lstrip(), self._role))
        if not command:
            return
        last = words[-1]
        for action in parser._actions:
            if last in action.option_strings and action.nargs != 0:
                yield from _values_of(action)
                return
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                continue
            yield from action.option_strings[-1:] or _values_of(action)

    def _reached(self, words: Sequence[str]) -> tuple[argparse.ArgumentParser, str]:
        """The parser of the command that `words` have named so far, and its name."""
        parser, command = self._parser, ""
        for word in words:
            if word in ("appliance", "help") and not command:
                continue
            below = subcommands_of(parser).get(word)
            if below is None:
                break
            parser, command = below, f"{command} {word}".lstrip()
        return parser, command


def _told_of(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    yield from texts_of(parser).items()
    for action in parser._actions:
        for option in action.option_strings:
            yield option, action.help or ""


def _values_of(action: argparse.Action) -> list[str]:
    """What is known to fit: choices, and for a name or an exam those of this box."""
    if action.choices is not None:
        return [str(one) for one in action.choices]
    wanted = str(action.metavar or "")
    with contextlib.suppress(ApplianceError, OSError):
        for word, names in _KNOWN.items():
            if word in wanted:
                return names()
    return []


def _exams() -> list[str]:
    return ExamFacts(Paths.from_environment().state / "exams").exam_ids()[-_MOST_EXAMS:]


def _names() -> list[str]:
    from appliance.config.in_force import read_in_force

    configuration = read_in_force(Paths.from_environment().configuration).configuration
    return [one.name for one in (*configuration.worklist, *configuration.destinations, *configuration.devices)]


_KNOWN: dict[str, Callable[[], list[str]]] = {"EXAM": _exams, "NAME": _names, "DESTINATION": _names}
