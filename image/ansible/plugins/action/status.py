"""modality.bridge.status: how a box is."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.modality.bridge.plugins.plugin_utils.box import run_on_box

_WORDS = ("all is well", "something is wrong", "a part is down, or nothing can be captured")


class ActionModule(ActionBase):
    """Runs on the controller; changes nothing."""

    _supports_check_mode = True
    TRANSFERS_FILES = False

    def run(self, tmp: object = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(argument_spec={"worst": {"type": "int", "default": 0}})
        status, document = run_on_box(self._connection, ["status", "--json"], statuses=(0, 1, 2))
        findings = [f"{one['sentence']} {one['suggestion']}".strip() for one in document["findings"]]
        result |= {"changed": False, "exit_status": status, "box": document, "findings": findings}
        if status > given["worst"]:
            result |= {"failed": True, "msg": f"{_WORDS[status]}: {' '.join(findings)}".rstrip(": ")}
        return result
