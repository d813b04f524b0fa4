"""Sending beside DCMTK's storescu, a long worklist beside findscu, and what forward costs while nothing happens."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from appliance.base.asking import Asker
from appliance.base.paths import Paths
from appliance.base.sockets import pick_free_port
from appliance.config.schema import WorklistSource
from appliance.dimse.association import Caller
from appliance.dimse.worklist import query_worklist
from appliance.dimse.worklist_query import query_from
from tests.bench.processes import cpu_seconds
from tests.bench.tables import MIB, BenchError, Table, spread_of
from tests.peers import SECONDARY_CAPTURE, Peer, is_listening, running, small_object, start_wlmscpfs, worklist_file

_ROUNDS = 5
_WORKLIST_ROUNDS = 3
_WORKLIST_ITEMS = 10_000
_IDLE_SECONDS = 20.0
_REPOSITORY = Path(__file__).parents[2]
_NODELAY = {"TCP_NODELAY": "1"}
_MTU = 1500
_HERE, _THERE = "10.203.77.1", "10.203.77.2"
_DAY = date(2026, 11, 22)


@dataclass(frozen=True)
class Load:
    """Files to send on one association, and how storescu is told their transfer syntax."""

    name: str
    files: list[Path]
    transfer_syntax: str
    proposal: str

    @property
    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.files)


def measure_network(directory: Path) -> Iterator[Table]:
    """Every table of this file, one after the other."""
    directory.mkdir(parents=True)
    loads = _make_loads(directory)
    with _sender() as sender:
        for longest in (16_384, 131_072):
            with _storescp([], "127.0.0.1", longest) as port:
                yield _compare(f"store-loopback-{longest}", "loopback, MTU 65536", longest, loads, sender, port)
        yield _measure_at_mtu_1500(loads, sender)
    yield _measure_worklist(directory / "worklist")
    yield _measure_idle(directory / "idle")


def _make_loads(directory: Path) -> list[Load]:
    small = [_save(directory / f"a{number}.dcm", 480, 640, 3, 8) for number in range(200)]
    films = [_save(directory / f"b{number}.dcm", 5120, 4096, 1, 16) for number in range(2)]
    frames = [b"\xff\xd8" + os.urandom(290_000) + b"\xff\xd9"] * 600
    clip = _save(directory / "c.dcm", 1080, 1920, 3, 8, encapsulate(frames, has_bot=False))
    return [
        Load("200 images 640x480 RGB", small, ExplicitVRLittleEndian, "-xe"),
        Load("20 films of 42 MB", films * 10, ExplicitVRLittleEndian, "-xe"),
        Load("clip of 600 JPEG frames", [clip], JPEGBaseline8Bit, "-xy"),
    ]


def _save(path: Path, rows: int, columns: int, samples: int, bits: int, jpeg: bytes = b"") -> Path:
    instance = small_object(size=16)
    instance.Rows, instance.Columns, instance.SamplesPerPixel = rows, columns, samples
    instance.BitsAllocated = instance.BitsStored = bits
    instance.HighBit = bits - 1
    if samples == 3:
        instance.PhotometricInterpretation, instance.PlanarConfiguration = "YBR_FULL_422" if jpeg else "RGB", 0
    instance.PixelData = jpeg or os.urandom(rows * columns * samples * bits // 8)
    if jpeg:
        instance.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        instance["PixelData"].is_undefined_length = True
    instance["PixelData"].VR = "OW" if bits == 16 else "OB"
    instance.save_as(path, enforce_file_format=True)
    return path


@contextlib.contextmanager
def _sender() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.sender"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=_REPOSITORY,
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


@contextlib.contextmanager
def _storescp(prefix: list[str], host: str, longest: int) -> Iterator[int]:
    port = pick_free_port()
    command = [*prefix, "/usr/bin/storescp", "+xa", "--ignore", "--max-pdu", str(longest), str(port)]
    process = subprocess.Popen(
        command, env={**os.environ, **_NODELAY}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + 20
        while not _answers(host, port):
            if process.poll() is not None or time.monotonic() > end:
                raise BenchError("storescp does not start.")
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _answers(host: str, port: int) -> bool:
    if host == "127.0.0.1":
        return is_listening(port)
    return subprocess.run(["/usr/bin/echoscu", host, str(port)], capture_output=True, check=False).returncode == 0


def _compare(
    name: str, line: str, longest: int, loads: list[Load], sender: subprocess.Popen[str], port: int, host: str = ""
) -> Table:
    """Both senders in turns, to the same receiver."""
    table = Table(
        name,
        f"Sending (MB/s): {line}, receiver's maximum PDU {longest}",
        f"peer: {_version('storescp')} +xa --ignore; beside {_version('storescu')} --max-send-pdu 131072; "
        f"TCP_NODELAY=1 at both; {_ROUNDS} runs each, in turns; the whole association, and of storescu its process too",
        ("", "box: median", "least", "most", "storescu: median", "least", "most", "ratio", "peak - idle, MiB"),
    )
    for load in loads:
        ours, theirs, grown = [], [], 0
        for _ in range(_ROUNDS):
            theirs.append(load.bytes / _storescu(load, host or "127.0.0.1", port) / 1e6)
            said = _ask_sender(sender, load, host or "127.0.0.1", port)
            ours.append(load.bytes / said["seconds"] / 1e6)
            grown = max(grown, said["peak"] - said["idle"])
        box, dcmtk = spread_of(ours), spread_of(theirs)
        ratio = box.median / dcmtk.median
        spreads = (f"{one:.0f}" for of in (box, dcmtk) for one in (of.median, of.least, of.most))
        table.rows.append((load.name, *spreads, f"{ratio:.2f}", f"{grown / MIB:.1f}"))
        table.values[load.name] = {"box": ours, "storescu": theirs, "ratio": ratio, "grown_bytes": grown}
    return table


def _version(program: str) -> str:
    said = subprocess.run([f"/usr/bin/{program}", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"v(\d[\d.]+)", said)
    return f"DCMTK {found[1] if found else ''} {program}"


def _storescu(load: Load, host: str, port: int) -> float:
    command = ["/usr/bin/storescu", load.proposal, "--max-send-pdu", "131072", host, str(port), *map(str, load.files)]
    began = time.perf_counter()
    done = subprocess.run(command, env={**os.environ, **_NODELAY}, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise BenchError(f"storescu failed: {done.stderr[-300:]}")
    return seconds


def _ask_sender(sender: subprocess.Popen[str], load: Load, host: str, port: int) -> dict[str, Any]:
    assert sender.stdin is not None
    assert sender.stdout is not None
    asked = {"host": host, "port": port, "files": list(map(str, load.files))}
    asked["context"] = [SECONDARY_CAPTURE, load.transfer_syntax]
    sender.stdin.write(json.dumps(asked) + "\n")
    sender.stdin.flush()
    line = sender.stdout.readline()
    if not line:
        raise BenchError("The box's sender failed.")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _measure_at_mtu_1500(loads: list[Load], sender: subprocess.Popen[str]) -> Table:
    if os.getuid() != 0:
        return Table("store-mtu-1500", f"Sending at MTU {_MTU}: not measured", "needs root for a namespace", ("",))
    with _namespace() as prefix, _storescp(prefix, _THERE, 16_384) as port:
        line = f"a pair of veth at MTU {_MTU}, the receiver in a network namespace"
        return _compare("store-mtu-1500", line, 16_384, loads, sender, port, _THERE)


@contextlib.contextmanager
def _namespace() -> Iterator[list[str]]:
    """A network namespace at the other end of a line of its own; gives what runs a command in it."""
    name = f"bench{os.getpid()}"
    near, far = f"bn{os.getpid()}", f"bf{os.getpid()}"

    def ip(*arguments: str) -> None:
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")

    ip("netns", "add", name)
    try:
        ip("link", "add", near, "mtu", str(_MTU), "type", "veth", "peer", "name", far, "mtu", str(_MTU))
        ip("link", "set", far, "netns", name)
        ip("address", "add", f"{_HERE}/30", "dev", near)
        ip("link", "set", near, "up")
        ip("-n", name, "address", "add", f"{_THERE}/30", "dev", far)
        ip("-n", name, "link", "set", far, "up")
        ip("-n", name, "link", "set", "lo", "up")
        yield ["ip", "netns", "exec", name]
    finally:
        ip("netns", "delete", name)  # and with it the line


def _measure_worklist(directory: Path) -> Table:
    """The same query, as a file, to the same source."""
    directory.mkdir()
    first = worklist_file(directory, character_set="ISO_IR 100", name=b"Bench^Worklist", number=1, day=_DAY)
    items = (first.replace(b"00001", f"{number:05}".encode()) for number in range(_WORKLIST_ITEMS))
    with running(start_wlmscpfs(directory / "wl", "RIS", *items)) as scp:
        source = WorklistSource(name="ris", ae_title="RIS", host="127.0.0.1", port=scp.port, max_items=20_000)
        query = directory / "query.dcm"
        query_from(source, _DAY).save_as(query, implicit_vr=False, little_endian=True)
        command = ["/usr/bin/findscu", "-W", "-aec", "RIS", "127.0.0.1", str(scp.port), str(query)]
        ours, theirs = [], []
        for _ in range(_WORKLIST_ROUNDS):
            began = time.perf_counter()
            subprocess.run(command, env={**os.environ, **_NODELAY}, capture_output=True, check=True)
            theirs.append(time.perf_counter() - began)
            began = time.perf_counter()
            found = query_worklist(source, Caller("BENCH"), _DAY)
            ours.append(time.perf_counter() - began)
            if len(found.entries) != _WORKLIST_ITEMS:
                raise BenchError(f"The worklist brought {len(found.entries)} entries.")
    box, dcmtk = spread_of(ours), spread_of(theirs)
    cells = (f"{one:.2f}" for of in (box, dcmtk) for one in (of.median, of.least, of.most))
    return Table(
        "worklist",
        f"A worklist of {_WORKLIST_ITEMS} entries (s)",
        f"peer: {_version('wlmscpfs')} -csk; beside {_version('findscu')} with the same keys; {_WORKLIST_ROUNDS} runs "
        "each, in turns; the box's includes reading every entry",
        ("", "box: median", "least", "most", "findscu: median", "least", "most", "ratio"),
        [("query", *cells, f"{box.median / dcmtk.median:.2f}")],
        values={"box": ours, "findscu": theirs, "ratio": box.median / dcmtk.median},
    )


def _measure_idle(directory: Path) -> Table:
    """Forward alone with its listener up, one archive and one worklist, and nothing to do."""
    paths = Paths.below(directory)
    paths.configuration.parent.mkdir(parents=True)
    port = pick_free_port()
    paths.configuration.write_text(
        f'[listener]\nport = {port}\n[box]\nae_title = "BRIDGE"\n'
        f'[[destinations]]\nname = "archive"\nae_title = "A"\nhost = "127.0.0.1"\nport = {pick_free_port()}\n'
        f'[[worklist]]\nname = "ris"\nae_title = "R"\nhost = "127.0.0.1"\nport = {pick_free_port()}\n'
        "every_seconds = 3600\n"
    )

    def is_answering() -> bool:
        asker = Asker(paths.forward_socket, "forward")
        with contextlib.suppress(Exception):
            asker.ask("GET", "/status", seconds=5)
            return True
        return False

    environment = {"PYTHONPATH": str(_REPOSITORY), **paths.environment()}
    command = [sys.executable, "-m", "appliance.services.forward"]
    forward = Peer("forward", command, port, directory / "forward.log", environment)
    try:
        forward.start(is_answering)
        assert forward.process is not None
        time.sleep(2)
        before = cpu_seconds(forward.process.pid)
        time.sleep(_IDLE_SECONDS)
        share = (cpu_seconds(forward.process.pid) - before) / _IDLE_SECONDS
    finally:
        forward.stop()
    return Table(
        "forward-idle",
        "Forward while nothing happens (% of one core)",
        f"its listener up, one archive and one worklist that is not due; {_IDLE_SECONDS:g} s, in steps of 10 ms",
        ("", "processor time"),
        [("forward", f"{share * 100:.2f}")],
        values={"share": share},
    )
