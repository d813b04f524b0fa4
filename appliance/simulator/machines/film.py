"""The film digitizer: SANE's own test backend, which needs nothing but two files that switch it on."""

from __future__ import annotations

from pathlib import Path

# A sheet of 14 × 17 inches is 356 × 432 mm; the backend ends at 200 mm unless it is told otherwise.
_TEST_CONF = "number_of_devices 1\ngeometry_max 450\nmode Gray\ndepth 16\nresolution_max 1200\n"


def write_sane_configuration(directory: Path) -> None:
    """Make `directory` a SANE_CONFIG_DIR that knows the test backend and no other."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "dll.conf").write_text("test\n", encoding="ascii")
    (directory / "test.conf").write_text(_TEST_CONF, encoding="ascii")
