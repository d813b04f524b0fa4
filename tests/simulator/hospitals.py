"""The hospital as tests see it: its process, its directory, associations with it, and DCMTK's programs to ask it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association

from tests.peers import DEADLINE, Peer, start_hospital, wait_until


def run_dcmtk(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """DCMTK's own program: a virtual environment with pynetdicom has scripts of the same names."""
    return subprocess.run(
        [f"/usr/bin/{program}", *map(str, arguments)],
        env={**os.environ, "TCP_NODELAY": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )


@dataclass
class Hospital(Peer):
    """A hospital that reports to `box_port`."""

    box_port: int = 0

    @classmethod
    def in_directory(cls, directory: Path, box_port: int, *arguments: str) -> Self:
        peer = start_hospital(directory, *arguments, box_port=box_port)
        return cls(peer.name, peer.command, peer.port, peer.log, peer.environment, peer.directory, box_port=box_port)

    @property
    def state(self) -> Path:
        assert self.directory is not None
        return self.directory

    def objects(self) -> dict[str, Path]:
        return {path.stem: path for path in (self.state / "objects").glob("*.dcm")}

    def conflicts(self, uid: str) -> list[Path]:
        return sorted((self.state / "conflicts").glob(f"{uid}~*.dcm"))

    def set_faults(self, *lines: str) -> None:
        """These faults and no others are in force from now on. Renamed into place: no request finds half of them."""
        file = self.state / "faults.new"
        file.write_text("\n".join(lines))
        file.rename(self.state / "faults")

    @contextmanager
    def faults(self, *lines: str) -> Iterator[None]:
        """These faults are in force inside the block."""
        self.set_faults(*lines)
        try:
            yield
        finally:
            (self.state / "faults").unlink()

    def request_association(self, *classes: str) -> Association:
        """Ask as BRIDGE for `classes`; established or not."""
        ae = AE(ae_title="BRIDGE")
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = DEADLINE
        for sop_class in classes:
            ae.add_requested_context(sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        return ae.associate("127.0.0.1", self.port, ae_title="HOSPITAL")

    @contextmanager
    def associated(self, *classes: str) -> Iterator[Association]:
        """An established association while the block lasts."""
        association = self.request_association(*classes)
        assert association.is_established
        try:
            yield association
        finally:
            if association.is_established:
                association.release()

    def store(self, *instances: Dataset) -> list[int | None]:
        """The C-STORE statuses of `instances` on one association, None where it was aborted."""
        with self.associated(*{str(each.SOPClassUID) for each in instances}) as association:
            statuses: list[int | None] = []
            for each in instances:
                answer = association.send_c_store(each) if association.is_established else Dataset()
                statuses.append(answer.get("Status"))
                if statuses[-1] is None:  # pynetdicom notices the abort a moment later
                    wait_until(lambda: not association.is_established, "the end of the aborted association")
            return statuses

    def find(self, directory: Path, *keys: str, options: tuple[str, ...] = ()) -> list[Path]:
        """findscu's answers to a worklist query, each as the file that it wrote from the bytes received."""
        target = directory / f"answers-{time.monotonic_ns()}"
        target.mkdir()
        wanted = [argument for key in keys for argument in ("-k", key)]
        done = run_dcmtk("findscu", "-W", "-X", "-od", target, *options, *wanted, "127.0.0.1", str(self.port))
        assert done.returncode == 0, done.stdout
        return sorted(target.iterdir())
