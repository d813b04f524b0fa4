"""A line over SSH cut into words: as a shell quotes, and nothing else."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.base.errors import ApplianceError
from appliance.cli.words import LONGEST_LINE, words_from

# What somebody can type: no controls, no halves of characters, no ends of lines.
_TYPED = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=40)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("  \t ", []),
        ("status", ["status"]),
        ("  exam   show E1\t", ["exam", "show", "E1"]),
        ("worklist --name 'Müller Anna'", ["worklist", "--name", "Müller Anna"]),
        ('worklist --name "山田　太郎"', ["worklist", "--name", "山田　太郎"]),
        ("worklist --name mul*", ["worklist", "--name", "mul*"]),
        ("a'b'\"c\"\\ d", ["abc d"]),
        ("''", [""]),
        ('""x', ["x"]),
        (r'"a\"b\\c\$d\`e\fg"', ['a"b\\c$d`e\\fg']),
        (r"'a\b'", [r"a\b"]),
        ("'$(id)' \"`id`\" '; rm -rf /'", ["$(id)", "`id`", "; rm -rf /"]),
        ("~ # ! {a,b} [x] ?", ["~", "#", "!", "{a,b}", "[x]", "?"]),
    ],
)
def test_ok__words(line: str, words: list[str]) -> None:
    assert words_from(line) == words


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("status; id", "; means nothing here"),
        ("status && id", "& means nothing here"),
        ("status | sh", r"\| means nothing here"),
        ("status > /tmp/x", "> means nothing here"),
        ("config apply < x", "< means nothing here"),
        ("echo $HOME", r"\$ means nothing here"),
        ("echo $(id)", r"\$ means nothing here"),
        ("echo `id`", "` means nothing here"),
        ("(status)", r"\( means nothing here"),
        ("status\nid", "nobody types"),
        ("status\x00", "nobody types"),
        ("status \x1b[2J", "nobody types"),
        ("status \udcff", "nobody types"),
        ("status \u2028", "nobody types"),
        ("'status", "is not closed"),
        ('"status', "is not closed"),
        ('"status\\', "ends in a backslash"),
        ("status \\", "ends in a backslash"),
        ("x" * (LONGEST_LINE + 1), "longer than"),
    ],
)
def test_fail__what_only_a_shell_understands_is_refused(line: str, sentence: str) -> None:
    with pytest.raises(ApplianceError, match=sentence):
        words_from(line)


@settings(max_examples=300, deadline=None)
@given(st.lists(_TYPED, max_size=8))
def test_ok__what_was_quoted_arrives_as_it_was(words: list[str]) -> None:
    assert words_from(" ".join(map(shlex.quote, words))) == words


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab \t'\"\\$;&|<>()`*é"), max_size=24))
def test_ok__what_is_taken_means_the_same_to_a_shells_lexer(line: str) -> None:
    try:
        words = words_from(line)
    except ApplianceError:
        return
    if "\\$" not in line and "\\`" not in line:  # which shlex leaves in double quotes, and POSIX does not
        assert words == shlex.split(line, posix=True)


def test_ok__a_real_shell_cuts_the_same_words() -> None:
    lines = [r'a "b c" d\ e', r"""'x'\''y' "p\"q\\r\$s" """, "mix\"ed \"'words' \\\\", '""']
    for line in lines:
        shown = f"set -f; {sys.executable} -c 'import sys; print(sys.argv[1:])' {line}"
        told = subprocess.run(["sh", "-c", shown], capture_output=True, text=True, timeout=60, check=True).stdout
        assert told.strip() == str(words_from(line))
