"""The panel's language: what somebody chose on it, which outlives a restart of kiosk and box, or what is configured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from appliance.base.durable import make_directory, replace_file
from appliance.base.errors import ApplianceError
from appliance.base.flash import in_words
from appliance.config.schema import Language

LANGUAGE_COOKIE = "language"
_MOST_BYTES = 16


class PanelLanguage:
    """One for the box. A browser that chose for itself says so by its cookie; the kiosk keeps none."""

    def __init__(self, file: Path, configured: Language) -> None:
        """`file` holds the choice; what flash does not give back is no choice."""
        self._file = file
        try:
            with file.open(encoding="ascii") as kept:
                self._language = _language_from(kept.read(_MOST_BYTES).strip()) or configured
        except (OSError, ValueError):
            self._language = configured

    def of(self, cookie: str | None) -> Language:
        """For a browser with this cookie."""
        return _language_from(cookie) or self._language

    def choose(self, body: dict[str, Any]) -> dict[str, Any]:
        """Somebody chose `language` on the panel. ApplianceError when there is no such one."""
        language = _language_from(body.get("language"))
        if language is None:
            raise ApplianceError("The panel does not speak this language.")
        with in_words("The language cannot be written down"):
            make_directory(self._file.parent)
            replace_file(self._file, f"{language}\n".encode("ascii"))
        self._language = language
        return {"language": language}


def _language_from(code: object) -> Language | None:
    return Language(code) if isinstance(code, str) and code in set(Language) else None
