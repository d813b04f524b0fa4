"""The medium: a mounted directory, most often a stick with FAT, which has no links, no modes and short names.

Files are written under a temporary name, synced, read back from the medium itself (not from the kernel's memory of what
was just written), and renamed only when they are what they ought to be. A file with its final name was whole once; what
a pulled stick left of others is swept away or written anew by the next run.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from pydicom import dcmread

from appliance.base.durable import forget_cached, write_all
from appliance.base.errors import ApplianceError
from appliance.base.flash import reason_of
from appliance.export.selection import Chosen
from appliance.spool.names import digest_of
from appliance.spool.summary import DamagedObjectError, read_summary

FileId = tuple[str, ...]

DIRECTORY_NAME = "DICOMDIR"
# Name of the file-set (0004,1130), by which a later run knows its own.
FILE_SET_ID = "MODALITY_BRIDGE"
_TEMPORARY_SUFFIX = ".PRT"
_NEW_DIRECTORY_NAME = "DICOMDIR.NEW"
_UNASSIGNED, _ASIDE = "UNASSIGN", "DAMAGED"
# Components of at most eight capitals, digits and _ (PS3.10 8.5); FAT takes them as they are (PS3.12 R.1.1).
_FOLDERS = (re.compile(r"E[0-9]{6}|[0-9]{8}"), re.compile(r"[0-9]{8}|[0-9]{6}"), re.compile(r"[0-9]{6}|[0-9A-F]{4}"))
_FILE = re.compile(r"[A-Z2-7]{8}")
_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_BLOCK = 1024 * 1024
_SYNC_EVERY = 16 * 1024 * 1024
_LEAST_CLUSTER = 4096
_RECORD_BYTES = 1024  # of the DICOMDIR for each object, its share of the records above it included
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}


class MediumError(ApplianceError):
    """The medium does not take or does not give back what is written to it; nothing more can be exported to it."""


class UnreadableError(ApplianceError):
    """The box's own flash does not give an object back as it was; the others can still be exported."""


def file_id_of(chosen: Chosen, attempt: int = 0) -> FileId:
    """Where the object belongs on the medium: the same in every run, whatever else is exported.

    An exam's folders spell its identifier (E000123-20261122-093015: E000123/20261122/093015); the name is made of the
    SOP Instance UID. `attempt` counts on where another object has that name.
    """
    if chosen.is_aside:
        return (_ASIDE, _name_from(chosen.path.name, attempt))
    folders = tuple(chosen.exam_id.upper().split("-")) if chosen.exam_id else (_UNASSIGNED,)
    return (*folders, _name_from(chosen.sop_instance_uid, attempt))


def _name_from(text: str, attempt: int) -> str:
    value = int.from_bytes(hashlib.sha256(f"{text}/{attempt}".encode()).digest()[:5])
    return "".join(_BASE32[value >> 5 * place & 31] for place in range(8))


class Medium:
    """The directory that was named. One export at a time; OSError is the medium's, UnreadableError the box's."""

    def __init__(self, root: Path, on_block: Callable[[int], None] = lambda _count: None) -> None:
        """Take the medium. MediumError when it cannot be one, or another export is under way on it."""
        self._on_block = on_block
        self.name = str(root)
        try:
            self._descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            said = f"{root} is no directory that can be opened ({error.strerror})."
            raise MediumError(said, "Mount the stick and name its directory.") from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise MediumError(f"Another export to {root} is under way.", "Wait until it has ended.") from None
        # Not by its name: once a pulled stick is unmounted, that is a directory of the box's own flash.
        self.root = Path(f"/proc/self/fd/{self._descriptor}")

    def close(self) -> None:
        os.close(self._descriptor)

    def ensure_mounted(self, own_flash: tuple[Path, ...]) -> None:
        """MediumError when the medium lies on the file system of one of `own_flash`."""
        device = os.fstat(self._descriptor).st_dev
        if any(path.exists() and path.stat().st_dev == device for path in own_flash):
            raise MediumError(
                f"{self.name} lies on the box's own flash: nothing is mounted there.",
                "Mount the stick. To try it out without one, add --own-flash.",
            )

    def ensure_ours(self) -> None:
        """MediumError when another system's file-set is there: a medium holds only one (PS3.12 R.1.1)."""
        path = self.root / DIRECTORY_NAME
        if not path.exists():
            return
        other = MediumError(
            f"{self.name} holds DICOM media of another system ({DIRECTORY_NAME}).",
            "Take an empty stick, or move what is on it.",
        )
        try:
            found = str(dcmread(path, specific_tags=["FileSetID"]).get("FileSetID", ""))
        except OSError:
            raise
        except Exception as error:  # whatever a foreign file makes pydicom raise: it is not ours to overwrite
            raise other from error
        if found != FILE_SET_ID:
            raise other

    # -- room

    def missing_bytes(self, objects: tuple[Chosen, ...]) -> int:
        """How much room is needed for what is not there yet, by its size: clusters, folders and directory included."""
        cluster = max(os.fstatvfs(self._descriptor).f_frsize, _LEAST_CLUSTER)
        missing = [chosen for chosen in objects if not self._has_size(chosen)]
        folders = {file_id_of(chosen)[:-1] for chosen in missing}
        whole = sum(-(-chosen.bytes // cluster) * cluster for chosen in missing)
        return whole + (3 * len(folders) + 4) * cluster + _RECORD_BYTES * len(objects)

    def free_bytes(self) -> int | None:
        """What the medium still takes; None when its file system does not tell (some of FUSE)."""
        found = os.fstatvfs(self._descriptor)
        return found.f_bavail * found.f_frsize if found.f_blocks else None

    def _has_size(self, chosen: Chosen) -> bool:
        try:
            return self.path_of(file_id_of(chosen)).stat().st_size == chosen.bytes
        except FileNotFoundError:
            return False

    # -- objects

    def path_of(self, file_id: FileId) -> Path:
        return self.root.joinpath(*file_id)

    def find_place(self, chosen: Chosen) -> tuple[FileId, bool]:
        """The object's file ID, and whether it is there already, verified from the medium."""
        attempt = 0
        while True:
            file_id = file_id_of(chosen, attempt)
            path = self.path_of(file_id)
            if not path.exists():
                return file_id, False
            if path.stat().st_size == chosen.bytes and self._is_same(path, chosen):
                return file_id, True
            if chosen.is_aside or _uid_in(path) in ("", chosen.sop_instance_uid):
                return file_id, False  # half of it: written anew
            attempt += 1

    def _is_same(self, path: Path, chosen: Chosen) -> bool:
        """Whether `path` on the medium holds the object: by its name, or byte for byte as it lies on the box."""
        try:
            wanted = chosen.digest or _source_digest(chosen.path, chosen)
        except UnreadableError:
            return False  # `write` tells of it
        return self._digest(path, chosen) == wanted

    def write(self, chosen: Chosen, source: Path, file_id: FileId) -> None:
        """Copy `source`, verify it from the medium and give it its name.

        UnreadableError when the box's flash is at fault, MediumError when the medium gives back something else than was
        written, OSError when it takes no more. A crash leaves a temporary file, which `sweep` removes.
        """
        path = self.path_of(file_id)
        temporary = path.with_suffix(_TEMPORARY_SUFFIX)
        self._make_folders(file_id[:-1])
        try:
            read = self._copy(source, temporary)
            if self._digest(temporary, chosen) != (chosen.digest or read):
                if chosen.digest and _source_digest(source, chosen) != chosen.digest:
                    raise UnreadableError("An object's bytes on the box's flash are not those that were saved.")
                raise MediumError("The stick does not give back what was written to it.", "Take another stick.")
            temporary.rename(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)

    def _make_folders(self, folders: FileId) -> None:
        here = self.root
        for folder in folders:
            here = here / folder
            if not here.is_dir():
                here.mkdir()
                _sync_folder(here.parent)

    def _copy(self, source: Path, target: Path) -> str:
        """Copy the bytes, synced; their SHA-256. Synced every few MB, so that a slow stick is seen to get on."""
        digest = hashlib.sha256()
        with _opened(source) as file:
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            try:
                written = 0
                for block in _blocks_of(file):
                    write_all(descriptor, block)
                    digest.update(block)
                    written += len(block)
                    if written % _SYNC_EVERY == 0:
                        os.fdatasync(descriptor)
                    self._on_block(len(block))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return digest.hexdigest()

    def _digest(self, path: Path, chosen: Chosen) -> str:
        forget_cached(path)
        return digest_of(path, chosen.offset, lambda: self._on_block(_BLOCK))

    # -- sweeping, and what lies there

    def sweep(self) -> None:
        """Remove what an interrupted run left half-written; only names that are ours."""
        for folder in self._folders():
            for path in folder.glob(f"*{_TEMPORARY_SUFFIX}"):
                if _FILE.fullmatch(path.stem):
                    path.unlink()
        if (self.root / _NEW_DIRECTORY_NAME).exists():
            (self.root / _NEW_DIRECTORY_NAME).unlink()

    def list_objects(self) -> Iterator[FileId]:
        """The file IDs of everything exported here, by this run or an earlier one, but for what was set aside."""
        for folder in self._folders():
            if folder.name == _ASIDE:
                continue
            for path in sorted(folder.iterdir()):
                if _FILE.fullmatch(path.name):
                    yield path.relative_to(self.root).parts

    def _folders(self) -> Iterator[Path]:
        found = [self.root]
        for pattern in _FOLDERS:
            found = [
                path
                for above in found
                for path in sorted(above.iterdir())
                if pattern.fullmatch(path.name) and path.is_dir()
            ]
        yield from found
        yield from (path for path in (self.root / _UNASSIGNED, self.root / _ASIDE) if path.is_dir())

    def write_directory(self, data: bytes) -> None:
        """Put the DICOMDIR in place, verified. A crash leaves the one before, or none, and perhaps a temporary file."""
        temporary = self.root / _NEW_DIRECTORY_NAME
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        forget_cached(temporary)
        if temporary.read_bytes() != data:
            temporary.unlink()
            raise MediumError("The stick does not give back what was written to it.", "Take another stick.")
        temporary.rename(self.root / DIRECTORY_NAME)
        _sync_folder(self.root)


def _opened(source: Path) -> BinaryIO:
    try:
        return source.open("rb")
    except OSError as error:
        raise UnreadableError(f"An object cannot be read: {reason_of(error)}.") from error


def _blocks_of(file: BinaryIO) -> Iterator[bytes]:
    while True:
        try:
            block = file.read(_BLOCK)
        except OSError as error:
            raise UnreadableError(f"An object cannot be read: {reason_of(error)}.") from error
        if not block:
            return
        yield block


def _source_digest(source: Path, chosen: Chosen) -> str:
    try:
        return digest_of(source, chosen.offset)
    except OSError as error:
        raise UnreadableError(f"An object cannot be read: {reason_of(error)}.") from error


def _uid_in(path: Path) -> str:
    """Which object the file says it is; empty when it is none, such as half of one."""
    try:
        return read_summary(path).sop_instance_uid
    except DamagedObjectError:
        return ""


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems of FUSE know no sync of a folder.
        if error.errno not in _NO_FOLDER_SYNC:
            raise
        os.sync()
    finally:
        os.close(descriptor)
