"""The commented example: the demo's own configuration, and the reference of every key."""

from __future__ import annotations

from pathlib import Path

EXAMPLE = Path(__file__).parent / "example.toml"
