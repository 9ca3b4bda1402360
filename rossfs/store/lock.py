"""Who may write and who may sweep, among all processes and threads that have the store open.

Writers share the lock, a sweep (collection, repair) has it alone.  Two locks on the one file `lock`
make that fair, a third makes changes of tags follow one another:

    flock           shared by each writer for as long as it commits, exclusive for a sweep
    turnstile       an open-file-description lock on the first byte (fcntl(2), F_OFD_SETLKW), held
                    by a sweep while it waits and works, passed through by each writer on its way in
    naming          the same on the second byte, held by a writer while it looks at the tags and
                    changes some; shared by a reader who wants to see no change half done

Without the turnstile a steady stream of writers would keep a sweep waiting for ever.  Each
acquisition has an open file description of its own, since both kinds of lock belong to that and not
to a process; so threads exclude each other just as processes do, and the kernel releases everything
when a process dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import threading
from collections.abc import Iterator

from rossfs.store import durable
from rossfs.store.descriptors import open_file

# struct flock of fcntl(2): type, whence, start, length, pid; Linux, 64-bit offsets.
_FLOCK = struct.Struct("hhqqi4x")

_TURNSTILE = 0
_NAMING = 1


class StoreLock:
    """The lock of one store.  Thread safe; `shared` may be nested within one thread, `exclusive`
    may not."""

    __slots__ = ("_held", "_path")

    def __init__(self, path: str) -> None:
        self._path = path
        self._held = threading.local()

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Hold the lock together with other writers; wait while a sweep runs or waits."""
        depth = getattr(self._held, "depth", 0)
        if depth:
            self._held.depth = depth + 1
            try:
                yield
            finally:
                self._held.depth = depth
            return
        fd = self._open()
        try:
            _byte(fd, _TURNSTILE, fcntl.F_WRLCK)
            fcntl.flock(fd, fcntl.LOCK_SH)
            _byte(fd, _TURNSTILE, fcntl.F_UNLCK)
            self._held.depth = 1
            yield
        finally:
            self._held.depth = 0
            os.close(fd)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the lock alone; wait until the writers at work are done, and let no new one in
        meanwhile.

        Nested calls of the same thread pass, `shared` ones too: who may sweep may write.
        """
        if getattr(self._held, "alone", False):
            yield
            return
        assert not getattr(self._held, "depth", 0), (
            "a writer cannot become a sweep: two would wait for each other"
        )
        fd = self._open()
        try:
            _byte(fd, _TURNSTILE, fcntl.F_WRLCK)
            fcntl.flock(fd, fcntl.LOCK_EX)
            self._held.depth = 1
            self._held.alone = True
            yield
        finally:
            self._held.depth = 0
            self._held.alone = False
            os.close(fd)

    @contextlib.contextmanager
    def naming(self) -> Iterator[None]:
        """Hold the names of tags alone; wait for whoever changes one.  May not be nested.

        Requires shared or exclusive.
        """
        assert getattr(self._held, "depth", 0), "the store lock comes first"
        fd = self._open()
        try:
            _byte(fd, _NAMING, fcntl.F_WRLCK)
            yield
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        """Wait for whoever changes names of tags, and keep others from it meanwhile.

        Writes nothing.  May not be nested in `naming`, which would wait for itself; and nothing in
        here may wait for the store lock, for a writer who has that waits for this.
        """
        try:
            fd = open_file(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            # Without the file no writer was ever here; one that may not be read cannot be waited
            # for.
            yield
            return
        try:
            _byte(fd, _NAMING, fcntl.F_RDLCK)
            yield
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def idle(self) -> Iterator[bool]:
        """Whether nobody holds the lock now; then nobody gets it before this is left.

        Never waits, and writes nothing: for a look at a moment at which nothing is half done.
        """
        try:
            fd = open_file(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            # Without the file no writer was ever here.
            yield isinstance(error, FileNotFoundError)
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except OSError:
            # BlockingIOError; or EBADF, where an exclusive lock needs a file open for writing.
            free = False
        try:
            yield free
        finally:
            os.close(fd)

    def _open(self) -> int:
        with durable.explained(self._path):
            return open_file(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)


def _byte(fd: int, start: int, kind: int) -> None:
    fcntl.fcntl(fd, fcntl.F_OFD_SETLKW, _FLOCK.pack(kind, os.SEEK_SET, start, 1, 0))
