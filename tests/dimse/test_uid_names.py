"""People read names, not UIDs."""

from __future__ import annotations

import pytest

from appliance.dimse.uid_names import uid_name_of


@pytest.mark.parametrize(
    ("uid", "name"),
    [
        ("1.2.840.10008.1.20.1", "Storage Commitment Push Model"),
        ("1.2.840.10008.5.1.4.1.2.2.1", "Study Root Query/Retrieve Information Model - FIND"),
        ("1.2.840.10008.5.1.4.1.1.7", "Secondary Capture"),
        ("1.2.840.10008.1.2.4.50", "JPEG Baseline"),
        ("1.2.3.4", "1.2.3.4"),
    ],
)
def test_ok__a_uid_in_words(uid: str, name: str) -> None:
    assert uid_name_of(uid) == name
