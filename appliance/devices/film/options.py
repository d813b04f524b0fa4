"""What is asked of a film digitizer, and the command line that asks it of SANE's scanimage(1)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_MM_PER_INCH = 25.4


@dataclass(frozen=True, slots=True)
class FilmOptions:
    """One film: `device` is SANE's name; sizes in mm; `extra` are the backend's own options without their dashes.

    `depth` is bits of a sample, 8 to 16; `source` where the film comes from, in the backend's words, empty where it has
    one place; `left_mm` and `top_mm` are where the area begins. `config_directory` is where SANE finds dll.conf
    (SANE_CONFIG_DIR), `command` what is run in place of scanimage.
    All times in seconds: `warm_up` until the first byte, `stall` between two bytes, `total` for the whole film.
    """

    device: str
    resolution_dpi: int
    width_mm: float
    height_mm: float
    mode: str = "Gray"
    depth: int = 16
    source: str = ""
    left_mm: float = 0.0
    top_mm: float = 0.0
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
            *([f"--source={self.source}"] if self.source else []),
            *(["-l", f"{self.left_mm:g}"] if self.left_mm else []),
            *(["-t", f"{self.top_mm:g}"] if self.top_mm else []),
            "-x",
            f"{self.width_mm:g}",
            "-y",
            f"{self.height_mm:g}",
            *(f"--{option}={value}" for option, value in self.extra.items()),
        ]

    def environment(self) -> dict[str, str]:
        """For the program: nothing of SANE from our own, and words in one language."""
        found = {name: value for name, value in os.environ.items() if not name.startswith("SANE_")}
        found["LC_ALL"] = "C"
        if self.config_directory is not None:
            found["SANE_CONFIG_DIR"] = str(self.config_directory)
        return found

    @property
    def sample_bytes(self) -> int:
        """Bytes of a sample as it comes."""
        return 1 if self.depth == 8 else 2

    def expected_size(self) -> tuple[float, float]:
        """Width and height in pixels that the film must come out with."""
        return (
            self.width_mm / _MM_PER_INCH * self.resolution_dpi,
            self.height_mm / _MM_PER_INCH * self.resolution_dpi,
        )
