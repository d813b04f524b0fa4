"""TLS for associations by the BCP 195 profile (PS3.15 B.12): the box's own identity, and whom it trusts."""

from __future__ import annotations


class Identity:
    """The box's own certificate and key, and the authorities that it trusts."""
