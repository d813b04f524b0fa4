"""What is asked of a film digitizer, and the command line that asks it of SANE's scanimage(1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_MM_PER_INCH = 25.4


@dataclass(frozen=True, slots=True)
class FilmOptions:
    """One film: `device` is SANE's name; sizes in mm; `extra` are the backend's own options without their dashes.

    `config_directory` is where SANE finds dll.conf (SANE_CONFIG_DIR), `command` what is run in place of scanimage.
    All times in seconds: `warm_up` until the first byte, `stall` between two bytes, `total` for the whole film.
    """

    device: str
    resolution_dpi: int
    width_mm: float
    height_mm: float
    mode: str = "Gray"
    depth: int = 16
    extra: Mapping[str, str] = field(default_factory=dict)
    config_directory: Path | None = None
    command: tuple[str, ...] = ("scanimage",)
    name: str = "film digitizer"
    max_bytes: int = 512 * 1024 * 1024
    warm_up: float = 60.0
    stall: float = 10.0
    total: float = 600.0

    def argv(self) -> list[str]:
        """The command line. An option and its value are one word, so that no value is taken for an option."""
        return [
            *self.command,
            f"--device-name={self.device}",
            "--format=pnm",
            f"--mode={self.mode}",
            f"--depth={self.depth}",
            f"--resolution={self.resolution_dpi}",
            "-x",
            f"{self.width_mm:g}",
            "-y",
            f"{self.height_mm:g}",
            *(f"--{option}={value}" for option, value in self.extra.items()),
        ]

    def expected_size(self) -> tuple[float, float]:
        """Width and height in pixels that the film must come out with."""
        return (
            self.width_mm / _MM_PER_INCH * self.resolution_dpi,
            self.height_mm / _MM_PER_INCH * self.resolution_dpi,
        )
