"""Append and patch: one object under a temporary name, its bytes as they come, the fields that are known only at its
end in place, and the answer only when its final name is durable.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.base.durable import make_directory, sync_directory, write_all
from appliance.base.errors import ApplianceError
from appliance.base.flash import reason_of
from appliance.spool.names import ObjectName, TemporaryName, digest_of
from appliance.spool.tree import next_number


class UnconfirmedError(ApplianceError):
    """The object lies whole under its final name, and the flash did not confirm that name: a power cut may take it."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(
            f"The flash did not confirm that the image is safe ({reason_of(error)}). It is on the box and in the list.",
            "Do not switch the box off, and call support. Capture it again if it must not be lost.",
        )
        self.path = path


class ObjectWriter:
    """One object on its way to flash. The first `offset` bytes may be patched until it is published.

    A crash at any moment before `publish` renames leaves a temporary file: with an offset, a header and every frame up
    to the last `sync`; without, something that was never answered *saved*. After the rename there is the whole object.
    What is under a temporary name belongs to the device's salvage (`acquire.salvage`).
    """

    def __init__(self, directory: Path, sop_instance_uid: str, header: bytes, *, is_patched: bool = False) -> None:
        """Create the temporary file with `header`; `is_patched`: some of its fields are known only at the end.

        `directory` is there, durably. (1) open and (2) write: a crash leaves no file or one with any part of the
        header; (3) if patched, sync of the file and of the directory: a file whose header a salvage can read.
        OSError leaves nothing; FileExistsError leaves what was there.
        """
        self._directory = directory
        self._uid = sop_instance_uid
        self._offset = len(header) if is_patched else 0
        self._header = bytearray(header) if is_patched else bytearray()
        self._digest = hashlib.sha256(b"" if is_patched else header)
        self._temporary = directory / str(TemporaryName(sop_instance_uid, self._offset))
        self._descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        self.bytes_written = 0
        self.is_in_doubt = False
        """A sync failed: the kernel may have dropped what it was to write, and no later sync of this file tells."""
        try:
            self._write(header)
            if is_patched:
                # A salvage must find the name and the header, however early the plug is pulled.
                os.fdatasync(self._descriptor)
                sync_directory(directory)
        except BaseException:
            self.abandon()
            raise

    def _write(self, data: bytes | memoryview) -> None:
        write_all(self._descriptor, data)
        self.bytes_written += len(data)

    def append(self, data: bytes | memoryview) -> None:
        """Write `data` behind what is there. OSError when the medium fails or is full; then `abandon` or `publish`.

        A crash leaves any part of it, until the next `sync`.
        """
        self._write(data)
        self._digest.update(data)

    def drop_torn_tail(self) -> None:
        """After an `append` that failed half-way: cut the file back to the appends that were whole.

        A crash leaves the torn end or not; a salvage cuts it off as well.
        """
        os.ftruncate(self._descriptor, self.bytes_written)
        os.lseek(self._descriptor, self.bytes_written, os.SEEK_SET)

    def sync(self) -> None:
        """Make everything up to here durable: after it a crash leaves this, and what is appended later in any part."""
        with self._doubting():
            os.fdatasync(self._descriptor)

    @contextmanager
    def _doubting(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            self.is_in_doubt = True
            raise

    def patch(self, position: int, value: bytes) -> None:
        """Overwrite `value` at `position` inside the header; ValueError outside of it.

        A crash leaves the old value, the new one, or, where it lies across two sectors, a part of each, until the next
        `sync`: a salvage fills in each field that it relies on anew.
        """
        if position < 0 or position + len(value) > len(self._header):
            raise ValueError(f"bytes {position} to {position + len(value)} are not inside the patched header")
        self._header[position : position + len(value)] = value
        os.pwrite(self._descriptor, value, position)

    def publish(self, number: int = 0) -> Path:
        """Give the object its final name, durably, and answer its path: from now on it is *saved*.

        `number` is its place in the order of saving, where that is not the next in this directory.

        (1) fsync: a crash leaves the temporary file, whole, or, if it is not patched, so that nobody synced its name,
        none; (2) rename: that, or the whole object; (3) sync of the directory: the object. OSError when (1) or (2)
        fails: nothing is published. UnconfirmedError when (3) does: the object stands, so that it is neither lost nor,
        where it comes once more, made a second time.
        """
        self._digest.update(self._header)
        number = number or next_number(self._directory)
        target = self._directory / str(ObjectName(self._uid, self._offset, self._digest.hexdigest(), number))
        with self._doubting():
            os.fsync(self._descriptor)
        self._temporary.rename(target)
        self._close()
        try:
            sync_directory(self._directory)
        except OSError as error:
            raise UnconfirmedError(target, error) from error
        return target

    def leave(self) -> Path:
        """Close the temporary file without publishing or removing it, for a salvage; answers where it lies.

        A crash leaves of it what was synced, and anything of what came after.
        """
        self._close()
        return self._temporary

    def abandon(self) -> None:
        """Remove what was written; it was never answered *saved*. Harmless when it was abandoned or published before.

        The directory is not synced: a crash may leave the temporary file, and the next start removes it, or salvages
        the frames of a clip.
        """
        self._close()
        self._temporary.unlink(missing_ok=True)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def publish_salvaged(temporary: Path, name: TemporaryName, target_directory: Path) -> Path:
    """Publish a salvaged temporary file, whose content was repaired in place, into `target_directory`.

    (1) fsync of the file, (2) the directory is made: a crash leaves the temporary file for the next salvage; (3)
    rename: that, the object, or, in another directory, both; (4) sync of the target, then of the directory that it came
    from: the object, after the first perhaps beside the temporary name, which the next salvage takes away. OSError
    after (3) leaves the object.
    """
    descriptor = os.open(temporary, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    make_directory(target_directory)
    digest, number = digest_of(temporary, name.offset), next_number(target_directory)
    published = ObjectName(name.sop_instance_uid, name.offset, digest, number)
    target = target_directory / str(published)
    temporary.rename(target)
    sync_directory(target_directory)
    sync_directory(temporary.parent)
    return target
