"""modality.bridge.config: a box's configuration, applied, looked at over a new connection, and confirmed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.modality.bridge.plugins.plugin_utils.box import run_on_box

_FROM_INPUT = "-"


class ActionModule(ActionBase):
    """Runs on the controller; on the box only the commands of support run."""

    _supports_check_mode = True
    _supports_diff = True
    TRANSFERS_FILES = False

    def run(self, tmp: object = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(
            argument_spec={
                "src": {"type": "path"},
                "content": {"type": "str"},
                "confirm_within": {"type": "str", "default": "10m"},
                "confirm": {"type": "bool", "default": True},
            },
            mutually_exclusive=[("src", "content")],
            required_one_of=[("src", "content")],
        )
        wanted = self._wanted(given)
        _, difference = run_on_box(self._connection, ["config", "diff", _FROM_INPUT, "--json"], wanted)
        changes = list(difference["changes"])
        result |= {"changed": bool(difference["is_changed"]), "changes": changes}
        result["restarts"] = list(difference.get("restarts", ()))
        if self._play_context.diff:
            result["diff"] = {"prepared": "".join(f"{line}\n" for line in changes)}
        if not result["changed"] or self._task.check_mode:
            return result
        applied = self._apply(wanted, given["confirm_within"])
        result |= {"number": applied["number"], "state": applied["state"]}
        if applied["state"] == "rolled back":
            return result | {"failed": True, "changed": False, "msg": f"The box went back: {applied['why']}"}
        if given["confirm"] and applied["state"] == "waiting":
            # A connection that was there before the change proves nothing: only who comes anew may confirm.
            self._connection.reset()
            _, confirmed = run_on_box(self._connection, ["config", "confirm", "--json"])
            result["state"] = confirmed["state"]
        return result

    def _wanted(self, given: dict[str, Any]) -> bytes:
        if given["content"] is not None:
            return str(given["content"]).encode("utf-8")
        file = Path(self._find_needle("files", given["src"]))
        try:
            return file.read_bytes()
        except OSError as error:
            raise AnsibleActionFail(f"{file} cannot be read: {error.strerror}.") from error

    def _apply(self, wanted: bytes, within: str) -> dict[str, Any]:
        words = ["config", "apply", _FROM_INPUT, "--confirm-within", within, "--json"]
        # 1 with a document: the box tried itself and went back.
        _, applied = run_on_box(self._connection, words, wanted, statuses=(0, 1))
        return applied
