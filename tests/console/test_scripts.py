"""The page's scripts are modules without a build step: what one takes from another must be there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance.console import catalogue

_STATIC = Path(catalogue.__file__).parent / "static"
_SCRIPTS = sorted(path.name for path in _STATIC.glob("*.js"))
_IMPORT = re.compile(r'import \{([^}]*)\} from "\./([\w-]+\.js)"')
_EXPORT = re.compile(r"^export (?:async )?(?:function\*?|const|let|class) (?:(\w+)|\{([^}]*)\})", re.MULTILINE)


@pytest.mark.parametrize("name", _SCRIPTS)
def test_ok__what_a_script_imports_is_exported(name: str) -> None:
    text = (_STATIC / name).read_text(encoding="utf-8")
    imports = _IMPORT.findall(text)
    assert len(imports) == len(re.findall(r"^import\b(?! \")", text, re.MULTILINE)), (
        "an import that is not understood here"
    )
    for names, source in imports:
        taken = {one.partition(" as ")[0].strip() for one in names.split(",") if one.strip()}
        missing = taken - _exported_by(source)
        assert not missing, f"{name} takes {missing} from {source}"


def _exported_by(name: str) -> set[str]:
    found = _EXPORT.findall((_STATIC / name).read_text(encoding="utf-8"))
    # Of `{ a, b: c } = ...` the names behind the colons are what is exported.
    return {part.rpartition(":")[2].strip() for one, several in found for part in (one or several).split(",")}
