"""The site's rules, a file for each device that was adopted: what udev reads to name it."""

from __future__ import annotations

import re
from pathlib import Path

from appliance.base.durable import make_directory, remove_file, replace_file
from appliance.base.errors import ApplianceError
from appliance.base.flash import reason_of

# Before 70-appliance.rules, which acts on the name; behind 60-*.rules, which find out what a device is.
_FILE = re.compile(r"69-appliance-([a-z][a-z0-9-]{0,23})\.rules")
_LONGEST_RULE = 4096
_AS_ROOT = "Run the command as root: sudo appliance device …"


class AdoptedDevices:
    """The rules in `directory`, by the names that they give. ApplianceError where it may not be read or written."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self) -> dict[str, str]:
        """Name → rule, in the order of the names. A file of other people is not ours."""
        try:
            found = sorted(self._directory.iterdir()) if self._directory.is_dir() else []
            return {match[1]: _rule_in(path) for path in found if (match := _FILE.fullmatch(path.name))}
        except OSError as error:
            raise ApplianceError(f"The rules in {self._directory} cannot be read: {reason_of(error)}.") from error

    def write(self, name: str, rule: str) -> Path:
        """Have `rule` name a device from now on, also after a power cut; the file."""
        path = self._path(name)
        try:
            make_directory(self._directory, 0o755)
            replace_file(path, rule.encode("ascii"), 0o644)
        except OSError as error:
            raise ApplianceError(f"{path} cannot be written: {reason_of(error)}.", _AS_ROOT) from error
        return path

    def remove(self, name: str) -> None:
        """Forget it. ApplianceError when nothing was adopted under that name."""
        path = self._path(name)
        if not path.exists():
            known = ", ".join(self.read()) or "nothing"
            raise ApplianceError(f"Nothing was adopted as {name!r}.", f"Adopted: {known}.")
        try:
            remove_file(path)
        except OSError as error:
            raise ApplianceError(f"{path} cannot be removed: {reason_of(error)}.", _AS_ROOT) from error

    def _path(self, name: str) -> Path:
        path = self._directory / f"69-appliance-{name}.rules"
        if not _FILE.fullmatch(path.name):
            raise ApplianceError(f"{name!r} is no name for a device.", "Names have small letters, digits and hyphens.")
        return path


def _rule_in(path: Path) -> str:
    with path.open("r", encoding="utf-8", errors="replace") as file:
        lines = file.read(_LONGEST_RULE).splitlines()
    return next((line for line in lines if line and not line.startswith("#")), "")
