"""The hospital's own encryption: mutual TLS by chain, at its port and towards the box (PS3.15 B.12)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from appliance.base.errors import ApplianceError


@dataclass(frozen=True, slots=True)
class Papers:
    """The hospital's certificate, its key, and the authorities whose certificates it takes: PEM files."""

    certificate: Path
    key: Path
    authorities: Path

    def server_context(self) -> ssl.SSLContext:
        """For those who connect; they must show a certificate. ApplianceError when a file cannot be used."""
        return self._filled(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))

    def client_context(self) -> ssl.SSLContext:
        """For the way to the box, whose certificate is checked by its chain, not its name. Errors as above."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        return self._filled(context)

    def _filled(self, context: ssl.SSLContext) -> ssl.SSLContext:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_cert_chain(self.certificate, self.key)
            context.load_verify_locations(self.authorities)
        except (OSError, ssl.SSLError) as error:
            raise ApplianceError(f"The hospital's certificate, key or authorities cannot be used: {error}.") from error
        return context
