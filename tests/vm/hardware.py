"""The virtual machine's parts, as QEMU's command line has them."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path

MEMORY_MIB = 1536
DISK_BYTES = 6 << 30
# The firmware's code, and what its variables are on a new board.
_FIRMWARE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
NEW_VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
# What the board calls itself, as the box's identity begins from it.
_BOARD = "3f1d7c52-9a4e-4b0c-8d7e-5a2b6c1e9f00"

# Emulated instruction by instruction: hashes and copies are quickest where nothing finds vector instructions to use.
_PROCESSOR = "qemu64"
# A root shell on a port that only a virtual machine has. It comes by systemd's credentials
# (systemd.system-credentials(7)), so that the image under test is the image that ships, without a way in.
_SHELL_UNIT = """\
[Unit]
Description=Root shell for the tests
DefaultDependencies=no
After=systemd-udevd.service
ConditionPathExists=!/etc/initrd-release

[Service]
ExecStart=/bin/bash -c 'until exec 3<>/dev/virtio-ports/shell; do sleep 0.2; done 2>/dev/null; exec bash <&3 >&3 2>&1'
WorkingDirectory=/
Environment=LANG=C.UTF-8 HOME=/root
Restart=always
RestartSec=200ms
StartLimitIntervalSec=0
"""
# Emulated beside other work a boot may outlast systemd's patience, which knows real machines; what guards against a
# processor's faults, and the kernel's tests of its own ciphers, cost most where the processor is emulated.
_KERNEL = (
    "console=ttyS0 loglevel=4 audit=0 mitigations=off cryptomgr.notests=1"
    " systemd.default_device_timeout_sec=900 systemd.default_timeout_start_sec=900"
    # The screen is there when a case asks for it: all others have no use for a browser.
    " modprobe.blacklist=virtio_gpu"
)
# So do a slot that is tried, and those of our units that a real machine starts in seconds.
_PATIENCE = "[Service]\nEnvironment=PATIENCE=7200\n"
_TIME = "[Service]\nTimeoutStartSec=1h\n"
_TIMED = ("restore", "apply", "recover", "console", "forward")
_WANTS_SHELL = "[Unit]\nWants=vm-shell.service\n"


@dataclass(frozen=True, slots=True)
class Hardware:
    """One machine. `disk` is a qcow2 file, with the firmware's variables in a file beside it; sockets and logs are made
    in `directory`, whose path is short.

    `state` is the content of a second disk, there from the beginning in the place where data_disk.py plugs one in.
    What the guest writes on `disk` is written down in `log`, in its order, when there is one. `kernel` is what is added
    to the kernel's command line.
    """

    directory: Path
    disk: Path
    forwards: dict[int, int] = field(default_factory=dict)  # the host's port on loopback: the guest's
    state: Path | None = None
    log: Path | None = None
    kernel: str = ""

    @property
    def monitor_socket(self) -> Path:
        return self.directory / "monitor"

    @property
    def shell_socket(self) -> Path:
        return self.directory / "shell"

    @property
    def console_log(self) -> Path:
        return self.directory / "console.log"

    def command(self, incoming: Path | None = None) -> list[str]:
        """QEMU's command line; with `incoming` it goes on from that saved memory instead of booting."""
        forwards = "".join(f",hostfwd=tcp:127.0.0.1:{ours}-:{theirs}" for ours, theirs in self.forwards.items())
        strings = (f"io.systemd.stub.kernel-cmdline-extra={_KERNEL} {self.kernel}", *_credentials())
        shell = f"socket,id=shell,path={self.shell_socket},server=on,wait=off"
        return [
            *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"),
            *("-machine", "q35", "-cpu", _PROCESSOR, "-accel", "tcg,thread=multi,tb-size=512"),
            *("-smp", "2", "-m", str(MEMORY_MIB), "-uuid", _BOARD),
            # The board has a watchdog that works. A guest that another process starves is not started anew by it.
            *("-global", "ICH9-LPC.noreboot=false", "-action", "watchdog=none"),
            *("-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={_FIRMWARE}"),
            *("-drive", f"if=pflash,unit=1,format=raw,file={variables_of(self.disk)}"),
            *("-qmp", f"unix:{self.monitor_socket},server=on,wait=off"),
            *("-chardev", f"file,id=console,path={self.console_log},append=on", "-serial", "chardev:console"),
            *("-device", "virtio-serial-pci", "-chardev", shell),
            *("-device", "virtserialport,chardev=shell,name=shell"),
            *self._system_disk(),
            *("-netdev", f"user,id=lan{forwards}", "-device", "virtio-net-pci,netdev=lan,romfile="),
            *("-device", "virtio-rng-pci", "-device", "qemu-xhci,id=usb"),
            *("-device", "virtio-gpu-pci,id=screen,xres=800,yres=480"),
            # Free places for disks that are plugged while it runs.
            *(part for place in range(1, 4) for part in ("-device", f"pcie-root-port,id=slot{place},chassis={place}")),
            *self._state_disk(),
            *(part for text in strings for part in ("-smbios", f"type=11,value={text.replace(',', ',,')}")),
            *(("-incoming", f"exec:cat {incoming}") if incoming else ()),
        ]

    def _system_disk(self) -> list[str]:
        whole = f"driver=qcow2,node-name=whole,discard=unmap,file.driver=file,file.filename={self.disk}"
        # What QEMU was told survives here: a power cut is made of the log, never by ending QEMU.
        disk = ["-blockdev", f"{whole},cache.no-flush=on"]
        if self.log:
            disk += ["-blockdev", f"driver=file,node-name=log,filename={self.log}"]
            recorded = "driver=blklogwrites,node-name=disk,file=whole,log=log"
            disk += ["-blockdev", f"{recorded},log-sector-size=512,log-super-update-interval=1"]
        node = "disk" if self.log else "whole"
        return [*disk, "-device", f"virtio-blk-pci,drive={node},id=disk,serial=system"]

    def _state_disk(self) -> list[str]:
        if not self.state:
            return []
        return [
            *("-blockdev", f"driver=file,node-name=state-file,filename={self.state}"),
            *("-blockdev", "driver=raw,node-name=state-node,file=state-file"),
            *("-device", "virtio-blk-pci,drive=state-node,id=state,bus=slot1,serial=state"),
        ]


def variables_of(disk: Path) -> Path:
    """Where the firmware of the machine with that disk keeps its variables."""
    return disk.with_suffix(".vars")


def _credentials() -> list[str]:
    texts = {
        "systemd.extra-unit.vm-shell.service": _SHELL_UNIT,
        "systemd.unit-dropin.sysinit.target~vm-shell": _WANTS_SHELL,
        "systemd.unit-dropin.appliance-keep.service~slow": _PATIENCE,
        **{f"systemd.unit-dropin.appliance-{name}.service~slow": _TIME for name in _TIMED},
    }
    return [
        f"io.systemd.credential.binary:{name}={base64.b64encode(text.encode()).decode()}"
        for name, text in texts.items()
    ]
