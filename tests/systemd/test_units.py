"""The units as systemd itself reads and judges them; and what they say of each other, of the code and of the files."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from appliance.config.devices import MOST_MEMORY_BYTES
from appliance.services import acquire
from tests.systemd.identity import SYSTEMD, UNITS, identity_of_unit, read_values

_SYSTEM_UNITS = Path("/usr/lib/systemd/system")
# Exposure, in tenths: at most 1.5, also of what ends by itself, and of the kiosk, which may have 4.
_MOST_EXPOSED = 15
_SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
_KIOSK = "appliance-kiosk.service"
# Root, since udev, systemd and sshd believe nobody else; each does one thing and ends.
_ROOTS = [f"appliance-{name}.service" for name in ("names", "attach@", "apply", "restore")]
# What of root's rights is left to whoever changes the configuration: the unit says what for.
_CAPABILITIES = {"appliance-apply.service": ["CAP_NET_ADMIN CAP_DAC_READ_SEARCH"]}
_LONG_RUNNING = ["appliance-acquire@.service", "appliance-console.service", "appliance-forward.service", _KIOSK]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with this system's own units, ours, and something under the name of each program that ours start."""
    root = tmp_path_factory.mktemp("root")
    units = root / "usr/lib/systemd/system"
    shutil.copytree(_SYSTEM_UNITS, units, symlinks=True)
    (root / "lib").symlink_to("usr/lib")
    for path in UNITS.iterdir():
        text = path.read_text()
        shutil.copy(path, units)
        for program in re.findall(r"^Exec\w+=(\S+)", text, re.MULTILINE):
            file = root / program.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy("/bin/true", file)
    return root


def _instance_of(unit: str) -> str:
    return unit.replace("@.", "@one.")


@pytest.mark.parametrize("unit", sorted(path.name for path in UNITS.iterdir()))
def test_ok__systemd_finds_nothing_to_say_about_a_unit(tree: Path, unit: str) -> None:
    command = ["systemd-analyze", "verify", f"--root={tree}", "--man=no", _instance_of(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_fail__a_key_that_systemd_does_not_know_is_told(tree: Path) -> None:
    unit = tree / "usr/lib/systemd/system/appliance-misspelt.service"
    unit.write_text((UNITS / "appliance-forward.service").read_text().replace("TasksMax=", "TaskMax="))
    command = ["systemd-analyze", "verify", f"--root={tree}", "--man=no", unit.name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    unit.unlink()
    assert "Unknown key 'TaskMax'" in done.stderr or "Unknown key name 'TaskMax'" in done.stderr


@pytest.mark.parametrize("unit", _SERVICES)
def test_ok__a_service_exposes_little(tree: Path, unit: str) -> None:
    command = ["systemd-analyze", "security", f"--root={tree}", "--offline=yes", f"--threshold={_MOST_EXPOSED}"]
    command += ["--no-pager", _instance_of(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "Overall exposure level" in done.stdout, done.stderr
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("unit", _SERVICES)
def test_ok__no_service_of_ours_is_root_or_can_become_it(unit: str) -> None:
    if unit in _ROOTS:
        assert read_values(unit, "User") == []
    else:
        assert identity_of_unit(unit).uid > 0
    assert read_values(unit, "CapabilityBoundingSet") == _CAPABILITIES.get(unit, [""])
    assert read_values(unit, "NoNewPrivileges") == ["yes"]
    commands = [line for line in (UNITS / unit).read_text().splitlines() if re.match(r"Exec\w+=", line)]
    assert all(re.match(r"Exec\w+=/", line) for line in commands), "a prefix gives a command other rights"


@pytest.mark.parametrize("unit", _LONG_RUNNING)
def test_ok__a_service_that_lives_on_is_fed_watched_and_never_given_up(unit: str) -> None:
    wanted = {
        "Type": "notify",
        "NotifyAccess": "all" if unit == _KIOSK else "main",
        "WatchdogSec": "60s",
        "Restart": "always",
        "StartLimitIntervalSec": "0",
        "RestartSec": "2s",
    }
    assert {key: read_values(unit, key) for key in wanted} == {key: [value] for key, value in wanted.items()}
    for key in ("MemoryMax", "TasksMax", "TimeoutStartSec", "TimeoutStopSec"):
        assert len(read_values(unit, key)) == 1, key


def test_ok__a_clip_that_the_stop_ends_is_waited_for() -> None:
    (told,) = read_values("appliance-acquire@.service", "TimeoutStopSec")
    assert float(told.removesuffix("s")) > acquire._STOP_SECONDS + 10


def test_ok__what_a_configuration_may_ask_for_fits_into_an_acquires_memory() -> None:
    """No unit has to be edited for it, on a box whose /etc is read-only."""
    assert read_values("appliance-acquire@.service", "MemoryMax") == [f"{(MOST_MEMORY_BYTES >> 20) + 96}M"]


@pytest.mark.parametrize("unit", [unit for unit in _SERVICES if unit not in (_KIOSK, *_ROOTS)])
def test_ok__the_state_is_one_mount_wherever_it_is_written(unit: str) -> None:
    """A rename from one path to another that are mounted apart in the unit is EXDEV."""
    paths = " ".join(read_values(unit, "ReadWritePaths")).split()
    below = [path.lstrip("-") for path in paths if path.lstrip("-").startswith("/var/lib/appliance")]
    # Neither of these renames anything there.
    others = {"appliance-export@.service": ["/var/lib/appliance/audit/export"]}
    others |= {f"appliance-{name}.service": [] for name in ("stick", "first", "logs")}
    assert below == others.get(unit, ["/var/lib/appliance"])


def test_ok__one_wall_for_each_process() -> None:
    """What can touch a device cannot reach the network; what can reach the network cannot touch a device."""
    for unit in set(_SERVICES) - {_KIOSK}:
        has_network = read_values(unit, "PrivateNetwork") != ["yes"]
        has_devices = read_values(unit, "PrivateDevices") != ["yes"]
        assert (has_network, has_devices) == {
            "appliance-forward.service": (True, False),
            "appliance-logs.service": (True, False),
            "appliance-acquire@.service": (False, True),
        }.get(unit, (False, False))
        families = set(" ".join(read_values(unit, "RestrictAddressFamilies")).split())
        assert has_network == bool(families & {"AF_INET", "AF_INET6"})
    assert read_values("appliance-acquire@.service", "DevicePolicy") == ["closed"]
    allowed = ["/dev/appliance/%I rw", "/dev/appliance/%I-trigger rw", "char-input r", "char-gpiochip r"]
    assert read_values("appliance-acquire@.service", "DeviceAllow") == allowed


def test_ok__the_kiosk_reaches_this_box_alone_and_nothing_of_the_spool() -> None:
    wanted = {
        "IPAddressDeny": ["any"],
        "IPAddressAllow": ["localhost"],
        "InaccessiblePaths": ["/var/lib/appliance /run/appliance"],
        # The screen's light, which udev gives it; all else there is root's.
        "ReadWritePaths": ["-/sys/devices"],
        "DevicePolicy": ["closed"],
        "DeviceAllow": ["char-drm rw"],
    }
    assert {key: read_values(_KIOSK, key) for key in wanted} == wanted


def test_ok__what_the_console_asks_of_the_kernels_clock_is_let_through() -> None:
    """The lines are read in their order, and both calls are privileged ones."""
    assert read_values("appliance-console.service", "ProtectClock") == []
    assert read_values("appliance-console.service", "SystemCallFilter")[-1] == "adjtimex clock_adjtime"


def test_ok__who_may_ask_for_a_configuration() -> None:
    """Support, of which the two programs of a new box are; and them, of the panel's server, nobody but that.

    The program that is asked is of support's too, since it asks the console in its self-test.
    """
    assert read_values("appliance-apply.socket", "SocketGroup") == ["appliance-admin"]
    assert read_values("appliance-first.socket", "SocketGroup") == ["appliance-console"]
    groups = {unit: " ".join(read_values(unit, "SupplementaryGroups")).split() for unit in _SERVICES}
    askers = {unit for unit, names in groups.items() if "appliance-admin" in names}
    assert askers == {"appliance-apply.service", "appliance-stick.service", "appliance-first.service"}
    assert {unit for unit, names in groups.items() if "appliance-console" in names} == {"appliance-console.service"}


def test_ok__what_is_enabled_exists_and_can_be() -> None:
    preset = (SYSTEMD / "system-preset" / "80-appliance.preset").read_text().split()
    enabled = set(preset) - {"enable"}
    can_be = {path.name for path in UNITS.iterdir() if "\n[Install]\n" in path.read_text()}
    assert enabled == can_be


def test_ok__what_udev_wants_has_the_acquire_process_of_that_name_started() -> None:
    """Not that process itself: while the last one is still ending, systemd would refuse it."""
    assert read_values("appliance-attach@.service", "ExecStart") == [
        "/usr/bin/systemctl start --no-block appliance-acquire@%i.service"
    ]
    assert read_values("appliance-attach@.service", "RemainAfterExit") == []
