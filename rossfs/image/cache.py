"""The directory of what can be made again: tables, seek points, copies in frames.

Flat: `<hex>.<kind>` for what was made from the blob of that digest, and temporary files.  A file
appears whole, by a rename, and never changes.  Anybody may remove any of them, or the directory, at
any time: whoever uses one holds it open, and the next one makes it again.  Several processes may
share the directory.  Least recently used (modification time) goes first when it is over its limit;
files with other names are not touched.

Nothing is synced: after a power cut a file may hold anything, and those who read one check it.  A
process that dies leaves a temporary file, which is removed when the next one publishes something.

What somebody else could have put there is not used: symbolic links, and files that are not owned by
the user or root, or that others may write.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import time
import uuid
from typing import NamedTuple

from rossfs.errors import CacheFull, TooManyFiles
from rossfs.image.temporary import Temporary
from rossfs.store import smallfile
from rossfs.store.descriptors import open_file

DEFAULT_LIMIT = 4 << 30
"""Bytes of all files together."""

_NAME = re.compile(r"[0-9a-f]{64}(?:[0-9a-f]{64})?\.[a-z]+")
_TEMPORARY = re.compile(r"\.rossfs-[0-9a-f]{32}")

_USED = 60
"""Seconds in which a file that is used again does not become younger."""

_ABANDONED = 3600
"""Seconds after which a temporary file is nobody's, where files cannot be locked."""


class Cache:
    """One cache directory, or none.

    Thread-safe.  *mode* is that of the directory: 0o700 in a user's own, 0o755 in a store, and
    decides who may read the files.  What is not in it is looked for in *shared*, another cache
    directory, which is only read.
    """

    def __init__(
        self,
        directory: str | None,
        limit: int = DEFAULT_LIMIT,
        *,
        mode: int = 0o700,
        shared: str | None = None,
    ) -> None:
        self.directory = directory
        self.shared = shared
        self._distrusted: set[str] = set()
        """Damaged files of the shared directory, which stay there."""
        self.limit = limit
        self.mode = mode

    def open(self, name: str) -> int | None:
        """Open *name* for reading; its descriptor, or None if it is not there or is not ours."""
        fd = self._open_own(name)
        if fd is None and self.shared is not None and name not in self._distrusted:
            opened = _open_trusted(f"{self.shared}/{name}")
            return opened[0] if opened is not None else None
        return fd

    def _open_own(self, name: str) -> int | None:
        path = self._path(name)
        opened = _open_trusted(path) if self.directory is not None else None
        if opened is None:
            return None
        fd, status = opened
        if abs(time.time() - status.st_mtime) > _USED:
            # Another user's file, or a disk that cannot be written, keeps its age.
            with contextlib.suppress(OSError):
                os.utime(fd)
        return fd

    def create(self, *, limit: int | None = None, spill: bool = True) -> Temporary:
        """A new file, for `publish`; close it if it comes to nothing.

        CacheFull, here or when it is written, if there is no room on the disk; with *spill* the
        file is moved to memory first, where it may have 64 MiB.  *limit*: of its bytes.
        """
        try:
            fd, path = self._create()
        except OSError as error:
            if not spill:
                raise CacheFull(f"nothing can be written to the cache: {error.strerror}") from error
            return Temporary.in_memory(limit)
        return Temporary(fd, path, limit, spill)

    def publish(self, temporary: Temporary, name: str) -> int:
        """Make the whole file *temporary* appear as *name*; return a descriptor of it.

        *temporary* is closed.  A file that is in memory, is larger than the limit of the cache, or
        can get no name, is not kept: it lasts as long as its descriptors and maps.
        """
        path = self._path(name)
        with temporary:
            fd = os.dup(temporary.fileno())
            try:
                if temporary.path is not None and os.fstat(fd).st_size <= self.limit:
                    with contextlib.suppress(OSError):
                        os.rename(temporary.path, path)
                        temporary.renamed()
                        fcntl.flock(fd, fcntl.LOCK_UN)
                    self._evict(keep=name)
            except BaseException:
                os.close(fd)
                raise
        return fd

    def discard(self, name: str) -> None:
        """Remove *name*, which was found to be damaged or is no longer needed; that of the shared
        directory is not used again."""
        if self.shared is not None:
            self._distrusted.add(name)
        self._remove(name)

    def _remove(self, name: str) -> None:
        if self.directory is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._path(name))

    def size(self) -> int:
        """Bytes of all published files."""
        return sum(file.size for file in self._files())

    def writable(self) -> bool:
        """Whether a file could be made in the directory now, so that other processes find it."""
        try:
            self.create(spill=False).close()
        except CacheFull:
            return False
        return True

    # --- the directory ---

    def _path(self, name: str) -> str:
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"not the name of a file in the cache: {name}")
        return f"{self.directory}/{name}"

    def _create(self) -> tuple[int, str]:
        if self.directory is None:
            raise FileNotFoundError(errno.ENOENT, "there is no cache directory")
        while True:
            path = f"{self.directory}/.rossfs-{uuid.uuid4().hex}"
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                fd = open_file(path, flags, 0o600)
            except FileNotFoundError:
                os.makedirs(self.directory, self.mode, exist_ok=True)
                fd = open_file(path, flags, 0o600)
            try:
                # The umask does not decide what other users of a shared store may read.
                os.fchmod(fd, self.mode & 0o644)
                _lock(fd)
                if os.fstat(fd).st_nlink:
                    return fd, path
            except BaseException:
                os.close(fd)
                with contextlib.suppress(OSError):
                    os.unlink(path)
                raise
            # Another process tidied it up before it was locked.
            os.close(fd)

    def _files(self) -> list[_File]:
        """All that is published; temporary files that nobody writes any more are removed."""
        files = []
        with contextlib.suppress(OSError), os.scandir(self.directory or "") as entries:
            for entry in entries:
                with contextlib.suppress(OSError, TooManyFiles):
                    if _NAME.fullmatch(entry.name):
                        status = entry.stat(follow_symlinks=False)
                        files.append(_File(status.st_mtime_ns, status.st_size, entry.name))
                    elif _TEMPORARY.fullmatch(entry.name):
                        _remove_if_abandoned(entry.path)
        return files

    def _evict(self, keep: str) -> None:
        """Remove what is least recently used, but not *keep*, until the rest fits."""
        files = self._files()
        total = sum(file.size for file in files)
        for file in sorted(files):
            if total <= self.limit:
                break
            if file.name != keep:
                self._remove(file.name)
                total -= file.size


class _File(NamedTuple):
    """One published file, least recently used first when they are sorted."""

    used_ns: int
    size: int
    name: str


def _open_trusted(path: str) -> tuple[int, os.stat_result] | None:
    """A descriptor and the status of the regular file *path*, if nobody else can have written
    it."""
    try:
        fd, status = smallfile.open_regular(path)
    except OSError:
        return None
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
        os.close(fd)
        return None
    return fd, status


def _lock(fd: int) -> None:
    """Say that somebody uses the file; where files cannot be locked, its age says it."""
    with contextlib.suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_EX)


def _remove_if_abandoned(path: str) -> None:
    """Remove the temporary file *path* unless somebody has locked it."""
    fd, status = smallfile.open_regular(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    except OSError:
        if time.time() - status.st_mtime > _ABANDONED:
            os.unlink(path)
    else:
        # A writer that was about to lock it gets the lock next, and sees that the name is gone.
        os.unlink(path)
    finally:
        os.close(fd)
