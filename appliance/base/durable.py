"""Files that survive a pulled plug.

Every function here answers only after what it promises is on the medium. The order is always the same: a temporary
name in the same directory, the bytes, fsync of the file, rename, fsync of the directory. A file that bears its final
name is therefore whole; a name that begins with `TEMPORARY_PREFIX` may be anything and belongs to whoever sweeps.

The docstrings number the steps, and say what a crash after each, or a power cut, leaves. An OSError says that a step
failed, and leaves what a crash would: what was renamed or linked before a directory's sync failed stands.
Append-and-patch is `spool.writer.ObjectWriter`'s.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

TEMPORARY_PREFIX = ".part-"
SECTOR_BYTES = 512
"""What a medium writes whole or not at all; a power cut may lose any of a file's, and keep its neighbours."""


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` durable (fsync(2) on the directory; OSError when the medium fails).

    A crash before it may undo each rename, link, unlink and creation in it since the last sync, one without the other.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def forget_cached(path: Path) -> None:
    """Let the next reading of `path` come from the medium again, as far as the kernel likes to.

    Nothing is changed: a crash leaves what it would have left without it.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def make_directory(directory: Path, mode: int = 0o770) -> None:
    """Create `directory` and its missing parents durably.

    For each missing level from the top: (1) mkdir: the level may be there or not, with less than `mode` where the umask
    takes from it; (2) chmod, only then; (3) sync of its parent: it is there, empty. So a crash leaves a beginning of
    the path, and repeating the call completes it; a level that was found is not given its mode again.
    """
    if not directory.is_dir():
        make_directory(directory.parent, mode)
    add_directory(directory, mode)


def add_directory(directory: Path, mode: int = 0o770) -> None:
    """`make_directory` in a parent that the caller knows to be durable: the last level's three steps alone."""
    if not directory.is_dir():
        try:
            directory.mkdir(mode)
            # The umask may have cut the group's hand-over right. Where it did not, as on the box, there must be no
            # chmod(2): it would take away the set-group-ID bit that comes from the parent.
            if directory.stat().st_mode & 0o777 != mode:
                directory.chmod(mode)
        except FileExistsError:
            if not directory.is_dir():
                raise
    # Also of a directory that was there: whoever made it may have been cut off before its own sync.
    sync_directory(directory.parent)


def write_all(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of `data`; write(2) may take less than it was given.

    A crash leaves any part of it, in no order, until the file is synced. OSError leaves a beginning of it written.
    """
    view = memoryview(data).cast("B")
    while view:
        view = view[os.write(descriptor, view) :]


def replace_file(path: Path, data: bytes, mode: int = 0o640) -> None:
    """Put `data` under `path`, whatever was there before.

    (1) Temporary file, written and synced: the old content, and perhaps a temporary file of any content; (2) rename:
    the old, perhaps beside the temporary file, or the new; (3) sync of the directory: the new. Never a mixture.
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
    A crash leaves no temporary file, or one of any content.
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

    link(2) refuses an existing name, so of two writers one wins. (1) Temporary file, written and synced: no fact, and
    perhaps a temporary file of any content; (2) link and (3) unlink of the temporary name: the fact or none, and the
    temporary name or none, which may be a second name of the fact; (4) sync of the directory: the fact alone. Where the
    fact is there, (1) sync of the directory: until then a crash may leave none, since its writer may have been cut off.
    """
    if path.exists():
        sync_directory(path.parent)
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

    (1) rename, (2) sync of the destination, (3) sync of the source: a crash after (1) leaves the old name or the new,
    after (2) the new, perhaps beside the old, after (3) the new alone; never none. Where it lies under both, the old
    name is taken away: (1) sync of the destination and (2) unlink leave both, (3) sync of the source the new alone.
    Raises FileNotFoundError when someone took it before us.
    """
    rename_file(source, target)
    sync_directory(target.parent)
    sync_directory(source.parent)


def rename_file(source: Path, target: Path) -> None:
    """The first step of `move_file`, for whoever moves several and then syncs both directories once, `target`'s first.

    A crash before that leaves each under the old name, the new, or both; none is lost. FileNotFoundError as there.
    """
    # rename(2) of two names of one file does nothing and keeps both.
    if target.exists() and source.samefile(target):
        sync_directory(target.parent)
        source.unlink()
    else:
        source.rename(target)


def remove_file(path: Path) -> None:
    """Remove `path` if it is there. (1) unlink: a crash leaves it, whole, or not; (2) sync of the directory: not."""
    path.unlink(missing_ok=True)
    sync_directory(path.parent)


def remove_temporaries(directory: Path) -> int:
    """Remove what a crash left half-written directly in `directory`; how many there were.

    For the directory's one writer, before it writes. (1) unlink of each: a crash leaves any of them; (2) sync of the
    directory: none.
    """
    leftovers = [path for path in directory.iterdir() if path.name.startswith(TEMPORARY_PREFIX)]
    for path in leftovers:
        path.unlink(missing_ok=True)
    if leftovers:
        sync_directory(directory)
    return len(leftovers)
