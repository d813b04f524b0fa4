"""What is inside: a bill of materials (CycloneDX 1.6, JSON) and a list of licences, of every Debian and Python package.

Runs within the image's build (mkosi.postinst), where Debian's package database still is:

    sbom.py ROOT WHEELS DIRECTORY    reads the tree ROOT and the locked wheels, writes sbom.cdx.json and licences.txt

Both lie in the box too, in /usr/share/appliance. A package's licences are what it says itself: Debian's copyright file
where it is machine-readable (DEP 5), a Python package's metadata.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.parser import HeaderParser
from pathlib import Path
from urllib.parse import quote

_LICENCE_LINE = re.compile(r"^License:[ \t]*(\S[^\n]*)$", re.MULTILINE)
_SITE = "usr/lib/appliance/venv/lib"


@dataclass(frozen=True, slots=True)
class Package:
    """`licences` is empty when the package does not say them so that a program can read it; `digest` is the wheel's."""

    kind: str
    name: str
    version: str
    licences: tuple[str, ...]
    architecture: str = ""
    digest: str = ""

    @property
    def url(self) -> str:
        """Its package URL (purl)."""
        if self.kind == "deb":
            return f"pkg:deb/debian/{self.name}@{quote(self.version)}?arch={self.architecture}&distro=debian-13"
        return f"pkg:pypi/{self.name}@{quote(self.version)}"


def debian_packages(status: str, copyright_of: dict[str, str]) -> Iterator[Package]:
    """From dpkg's database (deb-control(5)) and each package's copyright file, by its name."""
    for paragraph in status.split("\n\n"):
        fields = HeaderParser().parsestr(paragraph)
        if fields.get("Status", "").endswith(" installed"):
            name = fields["Package"]
            licences = licences_from_copyright(copyright_of.get(name, ""))
            yield Package("deb", name, fields["Version"], licences, fields["Architecture"])


def licences_from_copyright(text: str) -> tuple[str, ...]:
    """The short names of a machine-readable copyright file, each once; none of any other."""
    if "copyright-format" not in text.partition("\n\n")[0]:
        return ()
    return tuple(sorted(set(_LICENCE_LINE.findall(text))))


def python_package(metadata: str, digest: str) -> Package:
    """From a distribution's METADATA (core metadata 2.4)."""
    fields = HeaderParser().parsestr(metadata)
    said = [fields["License-Expression"]] if fields["License-Expression"] else []
    if not said:
        classified = fields.get_all("Classifier") or []
        said = [one.rpartition(" :: ")[2] for one in classified if one.startswith("License :: ")]
    if not said and fields["License"]:
        said = [fields["License"].splitlines()[0]]
    return Package("pypi", fields["Name"].lower().replace("_", "-"), fields["Version"], tuple(said), digest=digest)


def bill_from(packages: Iterable[Package], version: str, moment: datetime) -> dict[str, object]:
    """The bill of materials of the image `version`; the same packages give the same bytes."""
    components = [_component(one) for one in sorted(packages, key=lambda one: one.url)]
    content = json.dumps(components).encode()
    serial = uuid.UUID(bytes=hashlib.sha256(content).digest()[:16], version=4)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": moment.isoformat().replace("+00:00", "Z"),
            "component": {"type": "firmware", "bom-ref": "image", "name": "appliance", "version": version},
        },
        "components": components,
    }


def licence_list_from(packages: Iterable[Package]) -> str:
    """A line for each package: its kind, name, version, and licences or where they stand."""
    lines = []
    for one in sorted(packages, key=lambda one: one.url):
        unsaid = f"see /usr/share/doc/{one.name}/copyright" if one.kind == "deb" else "not said by the package"
        lines.append(f"{one.kind} {one.name} {one.version}: {', '.join(one.licences) or unsaid}\n")
    return "".join(lines)


def _component(package: Package) -> dict[str, object]:
    found: dict[str, object] = {
        "type": "library",
        "bom-ref": package.url,
        "name": package.name,
        "version": package.version,
        "purl": package.url,
    }
    if package.digest:
        found["hashes"] = [{"alg": "SHA-256", "content": package.digest}]
    if package.licences:
        found["licenses"] = [{"license": {"name": one}} for one in package.licences]
    return found


def _packages_in(root: Path, wheels: Path) -> Iterator[Package]:
    documents = {path.parent.name: path for path in (root / "usr/share/doc").glob("*/copyright")}
    texts = {name: path.read_text(encoding="utf-8", errors="replace") for name, path in documents.items()}
    yield from debian_packages((root / "var/lib/dpkg/status").read_text(encoding="utf-8"), texts)
    for metadata in sorted((root / _SITE).glob("python3*/site-packages/*.dist-info/METADATA")):
        name, version = metadata.parent.name.removesuffix(".dist-info").split("-")[:2]
        files = [path for path in wheels.iterdir() if path.name.lower().startswith(f"{name}-{version}".lower())]
        digest = hashlib.sha256(files[0].read_bytes()).hexdigest() if files else ""
        yield python_package(metadata.read_text(encoding="utf-8"), digest)


def main(root: str, wheels: str, directory: str) -> None:
    packages = list(_packages_in(Path(root), Path(wheels)))
    moment = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
    bill = bill_from(packages, os.environ.get("IMAGE_VERSION", ""), moment)
    place = Path(directory)
    place.mkdir(parents=True, exist_ok=True)
    (place / "sbom.cdx.json").write_text(json.dumps(bill, indent=1) + "\n", encoding="utf-8")
    (place / "licences.txt").write_text(licence_list_from(packages), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
