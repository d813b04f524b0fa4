"""Which release this is, as objects and associations say it."""

from __future__ import annotations

from importlib.metadata import version

from appliance.base.uids import uid_from_parts

VERSION = version("modality-bridge")
IMPLEMENTATION_CLASS_UID = uid_from_parts("modality-bridge", "implementation", VERSION)
# SH, 16 characters (PS3.7 D.3.3.2)
IMPLEMENTATION_VERSION_NAME = f"MODBRIDGE_{VERSION}"[:16]
