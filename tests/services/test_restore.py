"""At boot: what is in force is rendered before anything else runs, with nothing imported that this does not take."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from appliance.base.paths import Paths

_PROGRAM = """
import sys
from pathlib import Path
from appliance.base.clock import SystemClock
from appliance.base.paths import Paths
from appliance.config.loading import System
from appliance.services.restore import restore
restore(Paths.from_environment(), System(Path(sys.argv[1])), SystemClock())
print(*{"uvicorn", "starlette", "pydicom", "ssl", "appliance.services.apply"} & set(sys.modules))
"""


def test_ok__what_is_in_force_is_rendered_and_kept_and_no_more_imported(tmp_path: Path) -> None:
    paths, root = Paths.below(tmp_path / "box"), tmp_path / "root"
    paths.configuration.parent.mkdir(parents=True)
    paths.configuration.write_text('[time]\nservers = ["ntp.hospital.example"]\n')
    (paths.run / "apply").mkdir(parents=True)
    command = [sys.executable, "-c", _PROGRAM, str(root)]
    done = subprocess.run(
        command, env={**os.environ, **paths.environment()}, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")
    assert "server ntp.hospital.example iburst" in (root / "run/chrony-dhcp/appliance.sources").read_text()
    assert paths.effective.is_file()
