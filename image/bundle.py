"""Makes the one signed file that brings an image onto a box that runs another: `make update`.

The file is RAUC's (its manual, "Bundle formats", verity): the three partitions of a slot, each as the image has it, and
a signature. UPDATE_KEY and UPDATE_CERTIFICATE name the signer, else it is this machine (`build.update_certificate`).
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from build import CACHE, MACHINES, build_image, build_tools, run_inside, update_certificate

_PARTS = ("root", "verity", "boot")
# As dm-verity's superblock names it (Linux, Documentation/admin-guide/device-mapper/verity.rst).
_ALGORITHM = b"sha256"


def make_bundle(image: Path, bundle: Path, is_broken: bool = False, compatible: str = "") -> None:
    """The update to `image`; `is_broken` with a root that no kernel verifies, `compatible` for another kind of box."""
    architecture, _, version = image.name.partition("-")
    stage = CACHE / "bundle"
    shutil.rmtree(stage, ignore_errors=True)
    content = stage / "content"
    content.mkdir(parents=True)
    manifest = f"[update]\ncompatible={compatible or f'appliance-{architecture}'}\nversion={version}\n"
    manifest += "\n[bundle]\nformat=verity\n"
    for part in _PARTS:
        target = content / f"{part}.img"
        if part != "boot" and is_broken:
            with (image / f"appliance.{part}.raw").open("rb") as file:
                # Found by its identifier; of the hash tree no kernel knows the algorithm.
                target.write_bytes(file.read(1 << 20).replace(_ALGORITHM, b"sha000", 1 if part == "verity" else 0))
        else:
            shutil.copyfile(image / f"appliance.{part}.raw", target)
        manifest += f"\n[image.{part}]\nfilename={part}.img\n"
    (content / "manifest.raucm").write_text(manifest, encoding="ascii")
    certificate = update_certificate()
    key = Path(os.environ.get("UPDATE_KEY", certificate.with_suffix(".key")))
    for source, name in ((certificate, "certificate"), (key, "key")):
        shutil.copyfile(source, stage / name)
    run_inside(
        build_tools(),
        stage / "log",
        *("rauc", "--cert", "/cache/bundle/certificate", "--key", "/cache/bundle/key"),
        *("bundle", "--mksquashfs-args=-comp lz4", "/cache/bundle/content", "/cache/bundle/made"),
    )
    bundle.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(stage / "made", bundle)
    shutil.rmtree(stage)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the update to today's image; print where it is.")
    parser.add_argument("architecture", choices=MACHINES, nargs="?", default="amd64")
    parser.add_argument("--edition", default="", help="as in build.py")
    parser.add_argument("--broken", action="store_true", help="with a root that no kernel can verify: for tests")
    parser.add_argument("--compatible", default="", help="for another kind of box: for tests")
    given = parser.parse_args()
    image = build_image(given.architecture, given.edition)
    bundle = image / f"appliance{'-broken' * given.broken}{given.compatible and '-for-'}{given.compatible}.raucb"
    if not bundle.exists():
        make_bundle(image, bundle, given.broken, given.compatible)
    sys.stdout.write(f"{bundle}\n")


if __name__ == "__main__":
    main()
