"""What the image's build works out by itself: identifiers, and what is inside."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

_IMAGE = Path(__file__).resolve().parents[2] / "image"
_MOMENT = datetime(2025, 12, 1, tzinfo=UTC)
_STATUS = """\
Package: erofs-utils
Status: install ok installed
Architecture: amd64
Version: 1.8.6-1

Package: left-over
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: zlib1g
Status: install ok installed
Architecture: amd64
Version: 1:1.3.dfsg+really1.3.1-1+b1
"""
_COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
License: GPL-2+

Files: lib/*
License: Apache-2.0

License: GPL-2+
 Text.
"""


def _load(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"image_{name}", _IMAGE / f"{name}.py")
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sbom() -> ModuleType:
    return _load("sbom")


def test_ok__the_root_is_found_by_the_identifiers_that_repart_derives() -> None:
    """Seen on an image: `blkid -p` of the partitions that systemd-repart 257 made with this seed."""
    seed = uuid.UUID("6f7b2f0a-3d2f-4c43-9f0e-0d4a3c5b7e11")
    assert _load("build").root_argument(seed) == (
        "systemd.verity_root_data=/dev/disk/by-uuid/08e7e911-6f93-4792-a3be-34652cea4009"
        " systemd.verity_root_hash=/dev/disk/by-uuid/f4aa451f-3df5-43d9-97c3-93cd5e7ac407"
    )


def test_ok__each_installed_debian_package_is_told_with_its_licences(sbom: ModuleType) -> None:
    found = list(sbom.debian_packages(_STATUS, {"erofs-utils": _COPYRIGHT, "zlib1g": "Free words."}))
    assert [(one.url, one.licences) for one in found] == [
        ("pkg:deb/debian/erofs-utils@1.8.6-1?arch=amd64&distro=debian-13", ("Apache-2.0", "GPL-2+")),
        ("pkg:deb/debian/zlib1g@1%3A1.3.dfsg%2Breally1.3.1-1%2Bb1?arch=amd64&distro=debian-13", ()),
    ]


@pytest.mark.parametrize(
    ("said", "licences"),
    [
        ("License-Expression: MIT\nLicense: as told", ("MIT",)),
        ("License: BSD\nClassifier: License :: OSI Approved :: MIT License", ("MIT License",)),
        ("License: LGPL-2.1\n  and its text", ("LGPL-2.1",)),
        ("Classifier: Programming Language :: Python", ()),
    ],
)
def test_ok__a_python_package_says_its_licence(sbom: ModuleType, said: str, licences: tuple[str, ...]) -> None:
    found = sbom.python_package(
        f"Metadata-Version: 2.4\nName: Typing_Extensions\nVersion: 4.16.0\n{said}\n\nText", "ab"
    )
    assert (found.url, found.licences, found.digest) == ("pkg:pypi/typing-extensions@4.16.0", licences, "ab")


def test_ok__the_same_packages_give_the_same_bill(sbom: ModuleType) -> None:
    packages = list(sbom.debian_packages(_STATUS, {"erofs-utils": _COPYRIGHT}))
    bill = sbom.bill_from(packages, "1", _MOMENT)
    assert json.dumps(bill) == json.dumps(sbom.bill_from(reversed(packages), "1", _MOMENT))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["timestamp"] == "2025-12-01T00:00:00Z"
    assert [one["name"] for one in bill["components"]] == ["erofs-utils", "zlib1g"]
    assert bill["components"][0]["licenses"][0] == {"license": {"name": "Apache-2.0"}}
    assert sbom.licence_list_from(packages).splitlines() == [
        "deb erofs-utils 1.8.6-1: Apache-2.0, GPL-2+",
        "deb zlib1g 1:1.3.dfsg+really1.3.1-1+b1: see /usr/share/doc/zlib1g/copyright",
    ]


def test_ok__what_the_build_asks_of_the_software_is_there() -> None:
    """Its one line of Python; the papers are those of what it names."""
    script = (_IMAGE / "mkosi.build.chroot").read_text()
    (line,) = re.findall(r"-I -c '(.+)'", script)
    said = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True, timeout=60)
    assert Path(said.stdout.strip()).is_file()
