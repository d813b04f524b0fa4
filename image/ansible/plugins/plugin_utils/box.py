"""One command of the support shell over the connection of a host, and its JSON."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

from ansible.errors import AnsibleActionFail

_LONGEST_SAID = 2000


def run_on_box(
    connection: Any, words: Sequence[str], given: bytes = b"", statuses: Sequence[int] = (0,)
) -> tuple[int, dict[str, Any]]:
    """The exit status and what was printed. AnsibleActionFail with the box's own sentences otherwise.

    The words are quoted for the box's own parser; no shell is at the other end.
    """
    status, out, err = connection.exec_command(shlex.join(["appliance", *words]), in_data=given or None, sudoable=False)
    said = _text_of(err).strip()[:_LONGEST_SAID]
    try:
        document = json.loads(_text_of(out))
    except ValueError:
        document = None
    if status not in statuses or not isinstance(document, dict):
        raise AnsibleActionFail(said or f"`appliance {words[0]}` ended with {status} and said nothing.")
    return status, document


def _text_of(data: bytes | str) -> str:
    return data if isinstance(data, str) else data.decode("utf-8", "replace")
