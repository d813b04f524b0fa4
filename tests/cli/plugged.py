"""The command, run where handwritten devices are all that is plugged in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def run_appliance(box: Path, *words: str, devices: str = "plugged.umockdev") -> subprocess.CompletedProcess[str]:
    """`appliance device WORDS` of the box in that directory."""
    command = [sys.executable, "-m", "appliance", "--box", str(box), "device", *words]
    return subprocess.run(
        ["umockdev-run", "--device", HERE / devices, "--", *command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
    )
