"""`appliance device watch`: what is being plugged in, and the rule that would name it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from datetime import datetime

from appliance.base.clock import Deadline, SystemClock
from appliance.base.errors import ApplianceError
from appliance.base.paths import Paths
from appliance.cli.device_configured import read_configured
from appliance.cli.device_table import Seen, known_as, read_seen, way_of
from appliance.cli.table import printable_text
from appliance.devices.plugging.attached import Attached
from appliance.devices.plugging.rules import rule_from
from appliance.devices.plugging.udev import Change, Watch, list_attached

_FOREVER = 10 * 365 * 86_400.0
_PLACEHOLDER = "name"


def watch_plugs(seconds: float | None, *, as_json: bool) -> int:
    """Print each change until `seconds` are over, or Ctrl-C; 0."""
    paths = Paths.from_environment()
    devices = read_configured(paths)
    watch = Watch()
    if not as_json:
        print("Plug the device in, or unplug it. Ctrl-C ends this.", file=sys.stderr, flush=True)
    try:
        for change in watch.changes(Deadline.after(SystemClock(), seconds or _FOREVER)):
            others = list_attached()
            (seen,) = read_seen([change.attached], paths, devices)
            if as_json:
                print(json.dumps(document_of(seen, others, is_here=change.is_here), ensure_ascii=False), flush=True)
            else:
                print("\n".join(lines_of(seen, others, change, datetime.now().astimezone())), flush=True)
    except KeyboardInterrupt:
        pass  # the way to end it
    return 0


def document_of(seen: Seen, others: Iterable[Attached], *, is_here: bool) -> dict[str, object]:
    """One change, for programs."""
    return {"is_here": is_here, **seen.as_json(), "rule": _rule_of(seen, others) if is_here else ""}


def lines_of(seen: Seen, others: Iterable[Attached], change: Change, now: datetime) -> list[str]:
    """One change, for people."""
    attached = seen.attached
    name = seen.device or seen.adopted
    begin = f"{now:%H:%M:%S}  {'plugged in' if change.is_here else 'unplugged'}: {attached.kind} {attached.node}"
    lines = [f"{begin}, {seen.words}{f' ({attached.usb_id})' if attached.usb_id else ''}{f': {name}' if name else ''}"]
    if change.is_here:
        listed = list(others)
        lines += [f"          {note}" for note in (seen.known.notes if seen.known else ())]
        rule = _rule_of(seen, listed)
        if not rule:
            lines.append("          No rule can name it: it has neither a usable serial number nor a port.")
        elif not name:
            lines.append(f"          known by {known_as(attached, way_of(seen, listed))}; the rule that would name it:")
            lines += [f"          {rule}", f"          To write it: appliance device adopt {attached.node} NAME"]
    return [printable_text(line) for line in lines]


def _rule_of(seen: Seen, others: Iterable[Attached]) -> str:
    """Empty where there can be none."""
    try:
        return rule_from(seen.attached, way_of(seen, others), seen.device or seen.adopted or _PLACEHOLDER).strip()
    except ApplianceError:
        return ""
