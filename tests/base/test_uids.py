"""UIDs without a registered root (PS3.5 B.2)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.base.uids import new_uid, uid_from_parts
from appliance.base.version import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, VERSION

# PS3.5 9.1: components without leading zeros; 6.2: at most 64 characters. 2.25 takes 44 of them.
_UID = re.compile(r"2\.25\.(0|[1-9][0-9]{0,38})\Z")
_PARTS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))), min_size=1, max_size=4)


def test_ok__fresh_uids_differ_and_have_the_form() -> None:
    uids = {new_uid() for _ in range(1000)}
    assert len(uids) == 1000
    assert all(_UID.match(uid) for uid in uids)


@given(_PARTS)
def test_ok__the_same_parts_give_the_same_uid(parts: list[str]) -> None:
    assert uid_from_parts(*parts) == uid_from_parts(*parts)
    assert _UID.match(uid_from_parts(*parts))


@given(_PARTS, _PARTS)
def test_ok__other_parts_give_another(first: list[str], second: list[str]) -> None:
    assert (uid_from_parts(*first) == uid_from_parts(*second)) == (first == second)


def test_ok__where_a_part_ends_matters() -> None:
    assert len({uid_from_parts("a", "bc"), uid_from_parts("ab", "c"), uid_from_parts("abc")}) == 3


def test_ok__a_uid_from_parts_never_changes_between_releases() -> None:
    """An object that an earlier release made is found again."""
    assert uid_from_parts("reassigned", "1.2.3") == "2.25.79705184833451059718602548555739636627"


def test_fail__a_part_with_the_separator_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        uid_from_parts("a\0b")


def test_ok__the_release_says_who_it_is() -> None:
    assert _UID.match(IMPLEMENTATION_CLASS_UID)
    assert 1 <= len(IMPLEMENTATION_VERSION_NAME) <= 16  # PS3.7 D.3.3.2.4
    assert VERSION[:3] in IMPLEMENTATION_VERSION_NAME
