"""`appliance device adopt` and `forget`: the rule that names a device is written, or taken away, for good."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from appliance.base.errors import ApplianceError
from appliance.base.paths import Paths
from appliance.cli.device_configured import read_configured
from appliance.cli.device_table import (
    NODES,
    Seen,
    key_line,
    known_as,
    read_seen,
    snippet_lines,
    twins_of,
    way_of,
)
from appliance.cli.table import printable_text
from appliance.devices.plugging.adopted import AdoptedDevices
from appliance.devices.plugging.attached import Attached
from appliance.devices.plugging.rules import NamedBy, has_name_by, rule_from
from appliance.devices.plugging.udev import list_attached

# Where udev looks for rules that last as long as the system runs: on the box a link to ours (systemd/tmpfiles.d).
_UDEV_READS = Path("/run/udev/rules.d")
_UDEV_SECONDS = 60.0


def adopt_device(node: str, name: str, by: NamedBy | None, *, may_replace: bool) -> int:
    """Write the rule, and say what the configuration needs; 0. ApplianceError: no such device, or the name is taken."""
    paths = Paths.from_environment()
    devices = read_configured(paths)
    found = list_attached()
    attached = _find(node, found)
    adopted = AdoptedDevices(paths.rules)
    rules = adopted.read()
    (seen,) = read_seen([attached], paths, devices)
    configured = next((device for device in devices if device.name == name), None)
    if configured is not None and configured.kind is not attached.kind:
        raise ApplianceError(
            f"{name} is a {configured.kind} device in the configuration, and {attached.node} is none.",
            "Take another name.",
        )
    _check_name(seen, name, rules, twins_of(seen, read_seen(found, paths, devices)), may_replace=may_replace)
    by = by or way_of(seen, found)
    rule = rule_from(attached, by, name)
    path = adopted.write(name, _comment_of(seen) + rule)
    print(printable_text(f"{attached.node}, {seen.words}, is {name} from now on, by {known_as(attached, by)}."))
    if by is NamedBy.PORT and attached.usb_id:
        print("Always plug it into the same port: it is known by that.")
    print(f"{path}:\n    {rule.strip()}")
    _tell_udev(paths, attached)
    if configured is None:
        print("The configuration needs, unless it has it:\n")
        print("\n".join(f"    {line}" for line in snippet_lines(seen, name)))
    elif not configured.path(paths.run).endswith(str(NODES / name)):
        print(f"In the configuration, {name} needs now: {key_line(seen, name)}")
    return 0


def forget_device(name: str) -> int:
    """Remove the rule; 0. ApplianceError when there is none."""
    paths = Paths.from_environment()
    adopted = AdoptedDevices(paths.rules)
    rule = adopted.read().get(name, "")
    adopted.remove(name)
    print(f"{name} has no device any more. What it captured, and the configuration, stay.")
    for attached in list_attached():
        if has_name_by(rule, attached) is not None:
            _tell_udev(paths, attached)
    return 0


def _find(node: str, found: list[Attached]) -> Attached:
    for attached in found:
        if node in (attached.node, *attached.links):
            return attached
    known = ", ".join(one.node for one in found) or "nothing"
    raise ApplianceError(f"{node} is nothing that a machine can be attached by.", f"Plugged in: {known}.")


def _check_name(seen: Seen, name: str, rules: dict[str, str], twins: list[Seen], *, may_replace: bool) -> None:
    if twins:
        raise ApplianceError(
            f"{seen.attached.node} and {twins[0].attached.node} carry the same serial number: both are {seen.adopted}.",
            f"First: appliance device forget {seen.adopted}; then adopt each of them: --by port.",
        )
    if seen.adopted and seen.adopted != name:
        raise ApplianceError(
            f"{seen.attached.node} is called {seen.adopted} already.", f"First: appliance device forget {seen.adopted}"
        )
    if name in rules and seen.adopted != name and not may_replace:
        raise ApplianceError(
            f"{name} is another device so far.", "If this one takes its place, repeat the command with --replace."
        )


def _comment_of(seen: Seen) -> str:
    """For whoever reads the file. Not a word of the device's own: a line of it could be more than a comment."""
    what = seen.known.hardware if seen.known else f"{seen.attached.kind} device"
    return f"# Written by `appliance device adopt`: {what}.\n"


def _tell_udev(paths: Paths, attached: Attached) -> None:
    """Have udev read the rules, and think again of this device. Without a word where it does not read these."""
    if not (_UDEV_READS.is_dir() and paths.rules.is_dir() and _UDEV_READS.samefile(paths.rules)):
        print("udev does not read that directory on this machine: nothing is named by it here.", file=sys.stderr)
        return
    for words in (["control", "--reload"], ["trigger", "--action=add", "--settle", f"--name-match={attached.node}"]):
        done = subprocess.run(
            ["udevadm", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=_UDEV_SECONDS,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            print("udev could not be told: unplug the device and plug it in again.", file=sys.stderr)
            return
