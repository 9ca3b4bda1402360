"""The only place that syncs, renames, links and removes: every change of the store passes here.

Each function takes *what*, the noun of the thing being changed ("blob", "tag", ...), and calls
`reached` after each of its steps as "<what>: <step>", with the steps written, synced, renamed,
linked, removed, made and directory synced. Nothing is done between two steps but the one that the
second names, so a test that dies at every step has seen every state that a crash can leave.

After a function returned, what it did survives a power cut.  A crash inside leaves either the old
state or the new one, and perhaps a temporary file in the scratch directory.

A full disk is StoreFull, a read-only one ReadOnlyStore; other system errors pass as they are.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import uuid
from collections.abc import Callable, Iterable, Iterator

from rossfs.errors import ReadOnlyStore, StoreFull
from rossfs.store.descriptors import open_file

reached: Callable[[str], None] | None = None
"""Called with the name of each step once it is done; for tests that die there."""

_SYNC_FILE_RANGE_WRITE = 2
_sync_file_range = getattr(ctypes.CDLL(None), "sync_file_range", None)  # Linux, sync_file_range(2)
if _sync_file_range is not None:
    _sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)

_FULL = (errno.ENOSPC, errno.EDQUOT)

_MAKINGS = 3
"""How often a directory is made again that another process removed meanwhile."""

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def step(name: str) -> None:
    """Tell the hook, if there is one, that the step *name* is done."""
    if reached is not None:
        reached(name)


@contextlib.contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn the system errors that users can mend into errors that say so, naming *path*."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StoreFull(f"no room to write {path}: {error.strerror}") from error
        if error.errno == errno.EROFS:
            raise ReadOnlyStore(f"cannot write {path}: read-only file system") from error
        raise


def create(scratch: str, mode: int = 0o644) -> tuple[int, str]:
    """Open a new temporary file in *scratch* for reading and writing; return its descriptor and
    path.

    *mode* is exact: the umask does not change what other users may read of a shared store.
    """
    path = f"{scratch}/{uuid.uuid4().hex}"
    with explained(path):
        try:
            fd = open_file(path, _NEW, 0o600)
        except FileNotFoundError:
            make_directory(scratch, "scratch")
            fd = open_file(path, _NEW, 0o600)
        try:
            os.fchmod(fd, mode)
        except BaseException:
            os.close(fd)
            discard(path)
            raise
    return fd, path


def write_all(fd: int, data: bytes | memoryview, path: str) -> None:
    """Write the whole of *data* at the descriptor's position; *path* is for the message of an
    error."""
    view = memoryview(data)
    with explained(path):
        while view:
            view = view[os.write(fd, view) :]


def sync(fd: int, what: str, path: str) -> None:
    """fsync the file behind *fd*."""
    with explained(path):
        os.fsync(fd)
    step(f"{what}: synced")


def begin_sync(fd: int, offset: int, length: int) -> None:
    """Let the disk begin with *length* bytes at *offset* of the file behind *fd*, so that `sync`
    has less to wait for.  Promises nothing; may take long where the disk has much to do."""
    if _sync_file_range is not None:
        _sync_file_range(fd, offset, length, _SYNC_FILE_RANGE_WRITE)


def sync_directory(path: str, what: str) -> None:
    """fsync the directory *path*, so that the names in it survive."""
    fd = open_file(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with explained(path):
            os.fsync(fd)
    finally:
        os.close(fd)
    step(f"{what}: directory synced")


def publish(source: str, target: str, what: str) -> None:
    """Rename the synced file *source* to *target*, over what is there, and sync the directory of
    *target*."""
    with explained(target):
        try:
            os.rename(source, target)
        except FileNotFoundError:
            if not os.path.lexists(source):
                raise
            make_directory(os.path.dirname(target), what)
            os.rename(source, target)
    step(f"{what}: renamed")
    sync_directory(os.path.dirname(target), what)


@contextlib.contextmanager
def replacing(
    target: str, scratch: str, what: str, mode: int = 0o644, *, name: str | None = None
) -> Iterator[int]:
    """Give a descriptor to write to what *target* is to hold: readers see the old content or the
    new, whole, at any time.

    *target* stays as it is if writing fails.  *name*: what an error calls it.
    """
    fd, temporary = create(scratch, mode)
    try:
        try:
            yield fd
            sync(fd, what, name or target)
        finally:
            os.close(fd)
        publish(temporary, target, what)
    except BaseException:
        discard(temporary)
        raise


def replace_file(target: str, data: bytes, scratch: str, what: str, mode: int = 0o644) -> None:
    """Make *target* hold *data*, as `replacing`."""
    with replacing(target, scratch, what, mode) as fd:
        write_all(fd, data, target)
        step(f"{what}: written")


def rename(source: str, target: str, what: str) -> None:
    """Rename within the store, over what is there, and sync both directories."""
    with explained(target):
        os.rename(source, target)
    step(f"{what}: renamed")
    sync_directory(os.path.dirname(target), what)
    if os.path.dirname(source) != os.path.dirname(target):
        sync_directory(os.path.dirname(source), what)


def link(source: str, target: str, what: str) -> bool:
    """Hard-link *source* as *target*; False if *target* exists already, whatever it is."""
    with explained(target):
        try:
            os.link(source, target)
        except FileExistsError:
            return False
        except FileNotFoundError:
            if not os.path.lexists(source):
                raise
            make_directory(os.path.dirname(target), what)
            try:
                os.link(source, target)
            except FileExistsError:
                return False
    step(f"{what}: linked")
    sync_directory(os.path.dirname(target), what)
    return True


def symlink(text: str, path: str, scratch: str, what: str) -> None:
    """Make *path* a symbolic link to *text*, over what is there."""
    temporary = f"{scratch}/{uuid.uuid4().hex}"
    with explained(path):
        try:
            os.symlink(text, temporary)
        except FileNotFoundError:
            make_directory(scratch, "scratch")
            os.symlink(text, temporary)
    step(f"{what}: written")
    try:
        publish(temporary, path, what)
    except BaseException:
        discard(temporary)
        raise


def remove(path: str, what: str) -> bool:
    """Remove the file *path*; False if it was not there."""
    with explained(path):
        try:
            os.unlink(path)
        except FileNotFoundError:
            return False
    step(f"{what}: removed")
    sync_directory(os.path.dirname(path), what)
    return True


def remove_together(paths: Iterable[str], what: str) -> None:
    """Remove the files that *paths* names, syncing each directory once at the end.

    One path is asked for when the one before is gone.  What is missing is passed over.
    """
    directories = set()
    try:
        for path in paths:
            with explained(path):
                try:
                    os.unlink(path)
                except FileNotFoundError:
                    continue
            directories.add(os.path.dirname(path))
            step(f"{what}: removed")
    finally:
        for directory in directories:
            sync_directory(directory, what)


def discard(path: str) -> None:
    """Remove a file that would do no harm if it came back: nothing is synced, nothing complained
    of."""
    with contextlib.suppress(OSError):
        os.unlink(path)


def make_directory(path: str, what: str, mode: int = 0o755) -> None:
    """Make the directory *path* and those above it that are missing; one that exists is right.

    OSError as mkdir(2) has it.
    """
    with explained(path):
        try:
            _make_below(path, what, mode)
        except FileExistsError:
            return
    step(f"{what}: made")
    sync_directory(os.path.dirname(path), what)


def _make_below(path: str, what: str, mode: int) -> None:
    """mkdir(2) of *path*, after those above it that are missing."""
    for _ in range(_MAKINGS):
        try:
            return os.mkdir(path, mode)
        except FileNotFoundError:
            parent = os.path.dirname(path)
            if parent in ("", path):
                raise
            make_directory(parent, what, mode)
    # Again and no more: /proc says ENOENT of every name in it, and so does a link to nowhere.
    return os.mkdir(path, mode)


def remove_directory(path: str, what: str) -> None:
    """Remove the empty directory *path*; OSError (ENOENT, ENOTEMPTY) as rmdir(2) has it."""
    with explained(path):
        os.rmdir(path)
    step(f"{what}: removed")
    sync_directory(os.path.dirname(path), what)


def touch(path: str, modified_ns: int) -> None:
    """Set the modification time of *path* (nanoseconds since 1970); its access time is left
    alone."""
    with explained(path):
        os.utime(path, ns=(os.stat(path).st_atime_ns, modified_ns))
