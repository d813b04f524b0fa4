"""What lasts at a destination, in the words that people read."""

from __future__ import annotations

import pytest

from appliance.config.schema import Destination
from appliance.forward.standing import Standing, findings_from

ARCHIVE = Destination(name="pacs", ae_title="A", host="h", port=104, verify_by_find=True, commitment_rounds=2)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (0, "pacs has not committed 1 object after 2 requests."),
        (1, "pacs has not committed 1 object after 2 requests. C-FIND finds 1 of them there."),
    ],
)
def test_ok__nothing_is_said_of_c_find_before_it_has_found_something(found: int, sentence: str) -> None:
    told = findings_from(ARCHIVE, Standing(waiting=1, unanswered=1, found=found))
    assert [finding.sentence for finding in told] == [sentence]
