"""Logging for support: one line an event on stderr, priorities as journald reads them, never patient data.

What may be logged of an exam is its exam identifier and its UIDs. A test runs the whole job and searches
every logged line for the names and identifiers that it used.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings

_PRIORITY = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}


def _is_without_patients(record: logging.LogRecord) -> bool:
    # pydicom's warnings quote the value that they complain about; pynetdicom logs identifiers at DEBUG and its own
    # routine at ERROR. What matters of an object or an association we say ourselves, in words. Not by their levels:
    # both set them when they are imported, which may be later than this.
    return record.name.partition(".")[0] not in ("pydicom", "pynetdicom")


class _LineFormatter(logging.Formatter):
    """`<6>name: message` under journald, which keeps the time; with a time of our own elsewhere."""

    def __init__(self, under_journal: bool) -> None:
        super().__init__(
            "%(asctime)s %(levelname)-7s %(name)s: %(message)s" if not under_journal else "%(name)s: %(message)s"
        )
        self._under_journal = under_journal

    def format(self, record: logging.LogRecord) -> str:
        lines = super().format(record).splitlines() or [""]
        if not self._under_journal:
            return "\n    ".join(lines)
        prefix = f"<{_PRIORITY.get(record.levelname, 6)}>"
        return "\n".join(prefix + line for line in lines)


def configure_logging(process: str, level: int = logging.INFO) -> None:
    """Send everything of `level` and above to stderr; libraries that could print datasets only from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_is_without_patients)
    handler.setFormatter(_LineFormatter(under_journal="JOURNAL_STREAM" in os.environ))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for library in ("httpx", "httpcore", "uvicorn", "asyncio", "PIL"):
        logging.getLogger(library).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pydicom")
    logging.getLogger(__name__).info("%s starts", process)
