"""Takes patients out of texts: every name and identifier that this box knows, wherever it stands.

No line that is logged names one, by rule. This is the second wall, for what leaves the house.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from appliance.base.errors import ApplianceError
from appliance.base.paths import Paths
from appliance.exam.answers import read_list
from appliance.exam.facts import ExamFacts

MARK: Final = "[patient]"
_WORD: Final = re.compile(r"\w+")
# Shorter pieces of names are words of every language; of identifiers, numbers of every table.
_SHORTEST_NAME, _SHORTEST_ID = 3, 4


class Scrubber:
    """`clean` gives a text without what `names` and `identifiers` are made of."""

    def __init__(self, names: Iterable[str], identifiers: Iterable[str]) -> None:
        self._words = {word.casefold() for text in names for word in _WORD.findall(text) if _is_name(word)}
        self._words |= {word.casefold() for text in identifiers for word in _WORD.findall(text) if _is_identifier(word)}

    def clean(self, text: str) -> str:
        return _WORD.sub(lambda found: MARK if found[0].casefold() in self._words else found[0], text)

    def clean_tree(self, tree: Any) -> Any:
        """JSON's values with every text cleaned; keys stay."""
        if isinstance(tree, dict):
            return {key: self.clean_tree(value) for key, value in tree.items()}
        if isinstance(tree, list | tuple):
            return [self.clean_tree(value) for value in tree]
        return self.clean(tree) if isinstance(tree, str) else tree


def read_scrubber(paths: Paths, sources: Iterable[str]) -> Scrubber:
    """Of everybody whom the worklists and the exams of this box name. What is damaged names nobody. OSError."""
    names: set[str] = set()
    identifiers: set[str] = set()
    for view in (*_worklist_views(paths.worklist, sources), *_exam_views(paths.state / "exams")):
        names.update(view["names"])
        identifiers.update((view["patient_id"], view["accession_number"], view["birth_date"]))
    return Scrubber(names, identifiers)


def _worklist_views(directory: Path, sources: Iterable[str]) -> Iterable[dict[str, Any]]:
    for source in sources:
        try:
            _, entries = read_list(directory, source)
        except ApplianceError:
            continue
        for entry in entries:
            yield json.loads(entry.view)


def _exam_views(directory: Path) -> Iterable[dict[str, Any]]:
    facts = ExamFacts(directory)
    for exam_id in facts.exam_ids():
        try:
            exam = facts.exam(exam_id)
        except ApplianceError:
            continue
        for item in exam.items if exam else ():
            yield {
                "names": item.patient_name.groups(),
                "patient_id": item.patient_id,
                "accession_number": item.accession_number,
                "birth_date": item.birth_date,
            }


def _is_name(word: str) -> bool:
    # A name in ideographs has one or two of them.
    return len(word) >= _SHORTEST_NAME or not word.isascii()


def _is_identifier(word: str) -> bool:
    return len(word) >= _SHORTEST_ID
