"""The box at hand, from its booted state: a shell in it, or one file run in it.

python -m tests.vm shell              lines of standard input, one after the other, as root
python -m tests.vm run FILE [ARG...]  a Python file, by the box's own Python, with the software importable
python -m tests.vm console            what the boot printed
python -m tests.vm bench              how long it booted, what it takes while nothing happens, a frame beside ustreamer
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from tests.vm.beside import measure_beside
from tests.vm.frozen import Frozen, build_image, freeze, thawed
from tests.vm.measure import measure_boot, measure_idle

_PYTHON = "/usr/lib/appliance/venv/bin/python"
_SECONDS = 3600.0


def bench(image: Path, frozen: Frozen) -> int:
    """Print what was measured, a line for each; 0."""
    boot = measure_boot(image)
    print(
        f"boot: ready to capture after {boot.ready:.1f} s, {boot.ready / boot.plain:.2f} times the {boot.plain:.1f} s"
        " that the same image takes to multi-user without our units"
    )
    idle = measure_idle(frozen)
    for unit, mebibytes in idle.mebibytes.items():
        print(f"{unit}: {mebibytes:.1f} MiB, {100 * idle.cpu[unit]:.2f} % of a processor")
    print(f"together: {sum(idle.mebibytes.values()):.1f} MiB, {100 * sum(idle.cpu.values()):.2f} % of a processor")
    print(f"to flash in an idle hour: {idle.flash_bytes / 1e6:.1f} MB")
    for name, cost in zip(("ours", "ustreamer"), measure_beside(frozen), strict=True):
        print(f"{name}: {cost.milliseconds:.2f} ms of processor time for each of {cost.frames} frames")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.vm", description="The box as a virtual machine.")
    parser.add_argument("--fresh", action="store_true", help="boot anew, though a booted state is kept")
    parser.add_argument("--image", type=Path, help="the directory of an image; that of today's sources otherwise")
    parser.add_argument("--before", default="true", help="a command for the guest's shell before: modprobe vivid")
    parser.add_argument("what", choices=("shell", "run", "console", "bench"))
    parser.add_argument("words", nargs=argparse.REMAINDER, help="the file and its arguments")
    given = parser.parse_args()
    image = given.image or build_image()
    frozen = freeze(image, given.fresh)
    if given.what == "console":
        print((frozen.directory / "console.log").read_text(errors="replace"))
        return 0
    if given.what == "bench":
        return bench(image, frozen)
    with thawed(frozen) as guest:
        print(guest.shell.run(given.before, _SECONDS), end="", file=sys.stderr)
        if given.what == "run":
            file, *arguments = given.words
            target = f"/tmp/{Path(file).name}"
            guest.shell.write_file(target, Path(file).read_bytes())
            done = guest.shell.try_run(shlex.join([_PYTHON, target, *arguments]), _SECONDS)
            print(done.output, end="")
            return done.status
        for line in sys.stdin:
            done = guest.shell.try_run(line, _SECONDS)
            print(done.output, end="" if done.status == 0 else f"[{done.status}]\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
