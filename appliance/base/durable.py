"""Files that survive a pulled plug.

Every function here answers only after what it promises is on the medium. The order is always the same: a temporary
name in the same directory, the bytes, fsync of the file, rename, fsync of the directory. A file that bears its final
name is therefore whole; a name that begins with `TEMPORARY_PREFIX` may be anything and belongs to whoever sweeps.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

TEMPORARY_PREFIX = ".part-"


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` durable (fsync(2) on the directory; OSError when the medium fails)."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(directory: Path, mode: int = 0o2770) -> None:
    """Create `directory` and its missing parents durably.

    A crash leaves a prefix of the path, each level empty; repeating the call completes it.
    """
    if not directory.is_dir():
        make_directory(directory.parent, mode)
        try:
            directory.mkdir()
            # mkdir(2) subtracts the umask, which would cut the group's hand-over right.
            directory.chmod(mode)
        except FileExistsError:
            if not directory.is_dir():
                raise
    # Also of a directory that was there: whoever made it may have been cut off before its own sync.
    sync_directory(directory.parent)


def write_all(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of `data`; write(2) may take less than it was given."""
    view = memoryview(data).cast("B")
    while view:
        view = view[os.write(descriptor, view) :]


def replace_file(path: Path, data: bytes, mode: int = 0o640) -> None:
    """Put `data` under `path`, whatever was there before.

    A crash before the rename leaves the old content and perhaps a temporary file; after it, the new content, which
    may still be the old one until the directory is synced. Never a mixture.
    """
    temporary = _write_temporary(path, data, mode)
    try:
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def _write_temporary(path: Path, data: bytes, mode: int) -> Path:
    """A durable file with `data` beside `path`; nothing when that fails.

    Its name carries the thread, whose number no other living thread of the machine has: no two ever write one file.
    """
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{threading.get_native_id()}-{path.name}")
    # What a crash left under this name may be a second name of a fact, which must not be written to.
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    return temporary


def write_once(path: Path, data: bytes, mode: int = 0o640) -> bool:
    """Write a fact that never changes; false when it had been written before, whose content then stands.

    link(2) refuses an existing name, so of two writers one wins. A crash leaves nothing, a temporary file, or the fact
    (perhaps beside its temporary name, which is a second name of the same file).
    """
    if path.exists():
        sync_directory(path.parent)  # the earlier writer may have been cut off before its own sync
        return False
    temporary = _write_temporary(path, data, mode)
    try:
        os.link(temporary, path)
        written = True
    except FileExistsError:
        written = False
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)
    return written


def move_file(source: Path, target: Path) -> None:
    """Hand a whole file over to the next directory's owner.

    Both parents are synced, the destination first: a crash in between may show the file under both names or under
    either, never under none. Where it lies under both, the old name is taken away. Raises FileNotFoundError when
    someone took it before us.
    """
    # rename(2) of two names of one file does nothing and keeps both.
    if target.exists() and source.samefile(target):
        sync_directory(target.parent)
        source.unlink()
    else:
        source.rename(target)
        sync_directory(target.parent)
    sync_directory(source.parent)


def remove_file(path: Path) -> None:
    """Remove `path` if it is there. A crash leaves it or not; the caller repeats."""
    path.unlink(missing_ok=True)
    sync_directory(path.parent)
