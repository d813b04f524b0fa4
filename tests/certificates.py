"""Certificates made on the fly by openssl: an authority, and good, expired, wrong-named and unknown ones of it.

hospital = make_authority(tmp_path / "ca")
box = hospital.issue("box")                                   # valid, for localhost and 127.0.0.1
old = hospital.issue("old", valid=EXPIRED)
other = hospital.issue("other", names=("elsewhere.example",), addresses=())
alone = sign_itself(tmp_path / "alone", "alone")              # known to nobody
Configuration(tls=box.tls, …)
"""

from __future__ import annotations

import hashlib
import ssl
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from appliance.config.schema import Tls

NOW_VALID, EXPIRED, NOT_YET_VALID = (-2, 30), (-30, -1), (1, 30)
"""From which day until which day a certificate is valid, counted from today."""

_CONFIGURATION = """
[ca]
default_ca = this
[this]
dir = {directory}
database = $dir/index
serial = $dir/serial
new_certs_dir = $dir
default_md = sha256
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = supplied
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
{usage}
{alternative}
"""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Somebody's certificate, key and the authorities that he trusts: PEM files."""

    certificate: Path
    key: Path
    authorities: Path

    @property
    def tls(self) -> Tls:
        return Tls(certificate=self.certificate, key=self.key, authorities=self.authorities)

    @property
    def der(self) -> bytes:
        return ssl.PEM_cert_to_DER_cert(self.certificate.read_text("ascii"))

    @property
    def pin(self) -> str:
        """What `tls_pin` takes: SHA-256 of the DER certificate."""
        return hashlib.sha256(self.der).hexdigest()

    def trusting(self, *others: Path) -> Credentials:
        """The same, with a file of its own of the authorities (or pinned certificates) that `others` hold."""
        file = self.certificate.with_suffix(f".{len(list(self.certificate.parent.iterdir()))}.trusted")
        file.write_bytes(b"".join(other.read_bytes() for other in others))
        return Credentials(self.certificate, self.key, file)

    def dcmtk_options(self) -> list[str]:
        """For DCMTK's programs: mutual TLS."""
        return ["+tls", str(self.key), str(self.certificate), "+cf", str(self.authorities)]

    def orthanc_options(self) -> dict[str, object]:
        """What Orthanc is told for mutual TLS, as SCP and as SCU: `start_orthanc(..., tls=...)`."""
        return {
            "DicomTlsEnabled": True,
            "DicomTlsCertificate": str(self.certificate),
            "DicomTlsPrivateKey": str(self.key),
            "DicomTlsTrustedCertificates": str(self.authorities),
            "DicomTlsRemoteCertificateRequired": True,
        }


@dataclass(frozen=True, slots=True)
class Authority:
    """Who signs certificates, in a directory of its own."""

    directory: Path
    name: str

    @property
    def file(self) -> Path:
        return self.directory / "ca.crt"

    def issue(
        self,
        name: str,
        *,
        names: tuple[str, ...] = ("localhost",),
        addresses: tuple[str, ...] = ("127.0.0.1",),
        valid: tuple[int, int] = NOW_VALID,
        usage: str = "serverAuth, clientAuth",
    ) -> Credentials:
        """A certificate for `names` and `addresses` (Subject Alternative Name), whose owner trusts this authority."""
        key, request = self.directory / f"{name}.key", self.directory / f"{name}.csr"
        configuration = _configure(self.directory, name, names, addresses, usage)
        _make_key(key)
        _openssl("req", "-new", "-config", configuration, "-key", key, "-out", request)
        certificate = request.with_suffix(".crt")
        _sign(configuration, request, certificate, valid, "leaf", self.file, self.directory / "ca.key")
        return Credentials(certificate, key, self.file)


def make_authority(directory: Path, name: str = "Hospital CA") -> Authority:
    """An authority that nobody knows yet."""
    directory.mkdir(parents=True)
    key = directory / "ca.key"
    configuration = _configure(directory, name, (), (), "")
    _make_key(key)
    _openssl(
        *("req", "-x509", "-new", "-config", configuration, "-extensions", "authority"),
        *("-key", key, "-days", "60", "-out", directory / "ca.crt"),
    )
    return Authority(directory, name)


def sign_itself(directory: Path, name: str, valid: tuple[int, int] = NOW_VALID) -> Credentials:
    """What a device makes for itself: no name that anyone could check, signed by its own key."""
    directory.mkdir(parents=True)
    key, request, certificate = directory / "own.key", directory / "own.csr", directory / "own.crt"
    configuration = _configure(directory, name, (), (), "")
    _make_key(key)
    _openssl("req", "-new", "-config", configuration, "-key", key, "-out", request)
    _sign(configuration, request, certificate, valid, "leaf", None, key)
    return Credentials(certificate, key, certificate)


def _configure(directory: Path, name: str, names: tuple[str, ...], addresses: tuple[str, ...], usage: str) -> Path:
    alternatives = [f"DNS:{one}" for one in names] + [f"IP:{one}" for one in addresses]
    for state in ("index", "serial"):
        if not (directory / state).exists():
            (directory / state).write_text("" if state == "index" else "1000\n")
    file = directory / f"{name.replace(' ', '-')}.cnf"
    file.write_text(
        _CONFIGURATION.format(
            directory=directory,
            name=name,
            usage=f"extendedKeyUsage = {usage}" if usage else "",
            alternative=f"subjectAltName = {', '.join(alternatives)}" if alternatives else "",
        )
    )
    return file


def _make_key(key: Path) -> None:
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    key.chmod(0o600)


def _sign(
    configuration: Path,
    request: Path,
    certificate: Path,
    valid: tuple[int, int],
    extensions: str,
    authority: Path | None,
    key: Path,
) -> None:
    begin, end = (f"{datetime.now(UTC) + timedelta(days=days):%y%m%d%H%M%SZ}" for days in valid)
    _openssl(
        *("ca", "-batch", "-notext", "-config", configuration, "-extensions", extensions, "-in", request),
        *("-startdate", begin, "-enddate", end, "-out", certificate, "-keyfile", key),
        *(("-cert", authority) if authority else ("-selfsign",)),
    )


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["/usr/bin/openssl", *map(str, arguments)], capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
