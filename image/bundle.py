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


def make_bundle(image: Path, bundle: Path, parts: dict[str, Path] | None = None, compatible: str = "") -> Path:
    """The update to `image`; tests give other contents for some of its partitions, or another board's name."""
    architecture, _, version = image.name.partition("-")
    stage = CACHE / "bundle"
    shutil.rmtree(stage, ignore_errors=True)
    content = stage / "content"
    content.mkdir(parents=True)
    manifest = f"[update]\ncompatible={compatible or f'appliance-{architecture}'}\nversion={version}\n"
    manifest += "\n[bundle]\nformat=verity\n"
    for part in _PARTS:
        shutil.copyfile((parts or {}).get(part, image / f"appliance.{part}.raw"), content / f"{part}.img")
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
    return bundle


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the update to today's image; print where it is.")
    parser.add_argument("architecture", choices=MACHINES, nargs="?", default="amd64")
    parser.add_argument("--edition", default="", help="as in build.py")
    parser.add_argument("--root", type=Path, help="another root than the image's: what becomes of one that is broken")
    parser.add_argument("--compatible", default="", help="another kind of box than the image's")
    given = parser.parse_args()
    image = build_image(given.architecture, given.edition)
    parts = {"root": given.root} if given.root else {}
    kind = f"{given.compatible}{'-'.join(parts)}"
    bundle = image / f"appliance{kind and '-'}{kind}.raucb"
    if not bundle.exists():
        make_bundle(image, bundle, parts, given.compatible)
    sys.stdout.write(f"{bundle}\n")


if __name__ == "__main__":
    main()
