"""What comes beside the schema as files: the commented example, and the JSON Schema that editors read.

The example is the demo's own configuration and the reference of every key. A test holds that both fit the schema.
"""

from __future__ import annotations

from pathlib import Path

EXAMPLE = Path(__file__).parent / "example.toml"
JSON_SCHEMA = Path(__file__).parent / "schema.json"
