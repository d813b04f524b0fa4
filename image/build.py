"""Builds the box's image from the description beside this file: `make image`.

Whatever was built is kept below .cache/ under a hash of all that went in: sources, units, wheels by their locks, and
this description. Debian's packages come as its archive has them on that day; the image's manifest names each with its
version. The last line printed is the image's directory. Needs root, as mmdebstrap and mkosi do here, and the network.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
CACHE = REPOSITORY / ".cache"
_IMAGE = REPOSITORY / "image"
_LOCKS = (_IMAGE / "build.lock", _IMAGE / "python.lock")
# What the wheel tags call the machine, and what mkosi does.
MACHINES = {"amd64": ("x86_64", "x86-64"), "arm64": ("aarch64", "arm64")}
# The type of a root partition, by the Discoverable Partitions Specification.
_ROOT_TYPES = {
    "amd64": uuid.UUID("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"),
    "arm64": uuid.UUID("b921b045-1df0-41c3-af44-4c6f280d3fae"),
}
_GLIBC = ("2_28", "2_27", "2_17")
_PYTHON = "3.13"  # Debian 13's

# Debian 13's mkosi, whatever the machine that builds runs: its own small root, entered by pivot_root.
_TOOLS = (
    *("mkosi", "systemd-repart", "systemd-ukify", "systemd-boot-efi", "erofs-utils", "e2fsprogs", "cryptsetup-bin"),
    *("dosfstools", "mtools", "debian-archive-keyring", "ca-certificates", "kmod", "cpio", "zstd", "python3", "uidmap"),
    *("xz-utils", "fdisk", "udev", "rauc", "squashfs-tools"),
)
# mkosi's sandbox refuses a plain chroot, so the tools root becomes the root of a mount namespace of its own.
_ENTER = """
root=$1; cache=$2; image=$3; shift 3
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mkdir -p "$root/cache" "$root/image"
mount --bind "$cache" "$root/cache"
mount --bind -o ro "$image" "$root/image"
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
cd "$root"
pivot_root . mnt
cd /
umount -l /mnt
exec env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@"
"""
# What RAUC knows of the box: see README.md.
_RAUC = """\
[system]
compatible=appliance-{architecture}
bootloader=custom
mountprefix=/run/rauc
data-directory=/var/lib/rauc
bundle-formats=verity

[handlers]
bootloader-custom-backend=/usr/lib/appliance/slots
pre-install=/usr/lib/appliance/check-update

[keyring]
path=/usr/lib/appliance/updates.pem
""" + "".join(
    f"""
[slot.root.{number}]
device=/dev/disk/by-partlabel/root-{slot}
type=raw
bootname={slot}

[slot.verity.{number}]
device=/dev/disk/by-partlabel/verity-{slot}
type=raw
parent=root.{number}

[slot.boot.{number}]
device=/dev/disk/by-partlabel/boot-{slot}
type=raw
parent=root.{number}
"""
    for number, slot in enumerate("ab")
)
_SEEDS = uuid.UUID("6f7b2f0a-3d2f-4c43-9f0e-0d4a3c5b7e11")
# Where the repository's own files go as they are: (below the repository, pattern, below the image's root).
_COPIED = (
    ("systemd/units", "**/*", "usr/lib/systemd/system"),
    ("systemd/sysusers.d", "*", "usr/lib/sysusers.d"),
    ("systemd/tmpfiles.d", "*", "usr/lib/tmpfiles.d"),
    ("systemd/journald.conf.d", "*", "usr/lib/systemd/journald.conf.d"),
    ("systemd/system.conf.d", "*", "usr/lib/systemd/system.conf.d"),
    ("systemd/system-preset", "*", "usr/lib/systemd/system-preset"),
    ("systemd/kiosk", "*.py", "usr/lib/appliance/kiosk"),
    ("udev", "*.rules", "usr/lib/udev/rules.d"),
)


def image_directory(architecture: str, edition: str = "") -> Path:
    """The directory of the image of today's sources, built or not; an edition is the same under another name."""
    inputs = hashlib.sha256(f"{architecture} {_GLIBC} {_PYTHON} {_TOOLS} {edition}".encode())
    for path in sorted({*_description(), *_sources(), *(source for source, _ in _units())}):
        inputs.update(_entry(path))
    inputs.update(update_certificate().read_bytes())
    return CACHE / "image" / f"{architecture}-{inputs.hexdigest()[:16]}"


def build_image(architecture: str, edition: str = "") -> Path:
    """Build what is missing. CalledProcessError when a tool fails: it has said why."""
    output = image_directory(architecture, edition)
    if output.exists():
        return output
    tools = build_tools()
    stage = CACHE / "stage"
    seed = uuid.uuid5(_SEEDS, output.name)
    shutil.rmtree(stage, ignore_errors=True)
    _stage_sources(stage / "source", _fetch_wheels(architecture))
    _stage_units(stage / "extra")
    _stage_updates(stage / "extra", architecture)
    unfinished = CACHE / "image" / f"unfinished-{architecture}"
    shutil.rmtree(unfinished, ignore_errors=True)
    for directory in (unfinished, CACHE / "mkosi", CACHE / "packages", CACHE / "workspace"):
        directory.mkdir(parents=True, exist_ok=True)
    run_inside(
        tools,
        CACHE / "image" / f"{architecture}.log",
        *("mkosi", "--directory", "/image", f"--architecture={MACHINES[architecture][1]}", "--force"),
        *("--output-directory", f"/cache/image/{unfinished.name}", "--workspace-directory", "/cache/workspace"),
        *("--cache-directory", "/cache/mkosi", "--package-cache-dir", "/cache/packages"),
        *("--build-sources", "/cache/stage/source", "--extra-tree", "/cache/stage/extra"),
        *("--seed", str(seed), "--image-version", output.name.partition("-")[2]),
        *("--kernel-command-line", root_argument(seed, architecture)),
        "build",
    )
    unfinished.rename(output)
    return output


def root_argument(seed: uuid.UUID, architecture: str = "amd64") -> str:
    """Where the kernel finds this build's root, in whichever slot it was put: by the identifiers of its file systems.

    As systemd-repart derives them from its seed (repart.c of systemd 257: HMAC-SHA256 of the partition's type, and of
    what is named here).
    """
    files = _derived(_derived(seed, _ROOT_TYPES[architecture].bytes), b"file-system-uuid")
    hashes = _derived(seed, b"verity-uuid")
    place = "/dev/disk/by-uuid"
    return f"systemd.verity_root_data={place}/{files} systemd.verity_root_hash={place}/{hashes}"


def _derived(key: uuid.UUID, what: bytes) -> uuid.UUID:
    return uuid.UUID(bytes=hmac.digest(key.bytes, what, "sha256")[:16], version=4)


def update_certificate() -> Path:
    """Whose updates the box takes: UPDATE_CERTIFICATE, else a certificate of this machine's own, made once."""
    if given := os.environ.get("UPDATE_CERTIFICATE"):
        return Path(given)
    made = CACHE / "keys" / "update.pem"
    if not made.exists():
        made.parent.mkdir(parents=True, exist_ok=True)
        key = made.with_suffix(".key")
        request = ("req", "-x509", "-newkey", "rsa:3072", "-noenc", "-days", "7300", "-subj", "/CN=Updates")
        _run("openssl", *request, "-keyout", str(key), "-out", str(made))
    return made


def build_tools() -> Path:
    """The root in which Debian 13's tools run."""
    tools = CACHE / f"tools-{hashlib.sha256(' '.join(_TOOLS).encode()).hexdigest()[:16]}"
    if not tools.exists():
        unfinished = tools.with_name("unfinished-tools")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        _run("mmdebstrap", "--quiet", "--variant=apt", f"--include={','.join(_TOOLS)}", "trixie", str(unfinished))
        unfinished.rename(tools)
    return tools


def _fetch_wheels(architecture: str) -> Path:
    """The locked packages for the box's Python and machine, each checked against its hash by pip."""
    locked = hashlib.sha256(b"".join(path.read_bytes() for path in _LOCKS)).hexdigest()
    wheels = CACHE / f"wheels-{architecture}-{locked[:16]}"
    if not wheels.exists():
        unfinished = wheels.with_name(f"unfinished-wheels-{architecture}")
        shutil.rmtree(unfinished, ignore_errors=True)
        machine = MACHINES[architecture][0]
        # No dependencies to resolve (the lock names them all), so that what comes as source is taken too.
        _run(
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--require-hashes", "--no-build-isolation"),
            *("--python-version", _PYTHON, "--implementation", "cp"),
            *(part for glibc in _GLIBC for part in ("--platform", f"manylinux_{glibc}_{machine}")),
            *("--platform", f"manylinux2014_{machine}"),
            *(part for lock in _LOCKS for part in ("-r", str(lock))),
            *("-d", str(unfinished)),
        )
        unfinished.rename(wheels)
    return wheels


def _stage_sources(stage: Path, wheels: Path) -> None:
    for source in _sources():
        _copy(source, stage / source.relative_to(REPOSITORY))
    for lock in _LOCKS:
        _copy(lock, stage / lock.name)
    shutil.copytree(wheels, stage / "wheels")
    _copy(_IMAGE / "sbom.py", stage / "sbom.py")


def _stage_units(stage: Path) -> None:
    stage.mkdir(parents=True)
    for source, target in _units():
        _copy(source, stage / target)


def _stage_updates(stage: Path, architecture: str) -> None:
    _copy(update_certificate(), stage / "usr/lib/appliance/updates.pem")
    configuration = stage / "usr/lib/rauc/system.conf"
    configuration.parent.mkdir(parents=True)
    configuration.write_text(_RAUC.format(architecture=architecture), encoding="ascii")
    configuration.chmod(0o644)


def _description() -> Iterable[Path]:
    files = (path for path in _IMAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return (path for path in files if path.suffix != ".md")


def _sources() -> Iterable[Path]:
    yield from (REPOSITORY / name for name in ("pyproject.toml", "README.md", "LICENSE"))
    package = (REPOSITORY / "appliance").rglob("*")
    yield from (path for path in package if path.is_file() and "__pycache__" not in path.parts)


def _units() -> Iterable[tuple[Path, Path]]:
    """(file of the repository, where it goes below the image's root)."""
    for top, pattern, target in _COPIED:
        for source in sorted((REPOSITORY / top).glob(pattern)):
            if source.is_file() and source.suffix != ".md":
                yield source, Path(target) / source.relative_to(REPOSITORY / top)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)


def _entry(path: Path) -> bytes:
    executable = os.access(path, os.X_OK)
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{path.relative_to(REPOSITORY)} {executable} {content}\n".encode()


def run_inside(root: Path, log: Path, *command: str) -> None:
    """Run it in the tools root. What it says goes into `log`; SystemExit with the end of it on failure."""
    enter = ("unshare", "--mount", "--pid", "--fork", "--propagation", "private", "sh", "-euc", _ENTER, "enter")
    with log.open("wb") as said:
        whole = (*enter, str(root), str(CACHE), str(_IMAGE), *command)
        done = subprocess.run(whole, check=False, stdout=said, stderr=said, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        # Progress is drawn with carriage returns.
        lines = log.read_text(errors="replace").replace("\r", "\n").splitlines()
        words = "\n".join([line for line in lines if not line.endswith("%")][-30:])
        raise SystemExit(f"{words}\n{command[0]} failed; all of it stands in {log}.")


def _run(*command: str) -> None:
    # What the tools print goes to stderr: stdout has the answer alone.
    subprocess.run(command, check=True, stdout=sys.stderr, stdin=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the box's image; print its directory.")
    parser.add_argument("architecture", choices=MACHINES, nargs="?", default="amd64")
    parser.add_argument("--edition", default="", help="the same under another name: for tests of updates")
    given = parser.parse_args()
    if os.geteuid() != 0 and not image_directory(given.architecture, given.edition).exists():
        raise SystemExit("Building an image needs root: make image.")
    sys.stdout.write(f"{build_image(given.architecture, given.edition)}\n")


if __name__ == "__main__":
    main()
