"""Temporary tags: what a running process needs, before or beside any tag.

Each Hold is a file pins/<uuid> that its process keeps locked with flock.  In it are msgpack records
[algorithm, hash], appended only; a torn last one was never promised to anybody.  The kernel
releases the lock when the process dies, so a file that nobody locks holds nothing and may be
removed by anyone.

A digest is added under the store lock, so never amid a sweep: who adds first and then looks whether
the content is there can rely on the answer until the hold is released.

`arrivals.py` keeps its records in the same form.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import uuid
from collections.abc import Iterator
from typing import BinaryIO

from rossfs.errors import Damaged, RossfsError
from rossfs.oci.digest import Digest
from rossfs.store import arrivals, durable, smallfile
from rossfs.store.access import Access
from rossfs.store.descriptors import open_file


class Hold:
    """Content that collection leaves alone for as long as this is held.  Thread safe.

    Several holds may name the same digest; it is free when the last of them is released.  A hold on
    a store that is open for reading protects nothing.
    """

    __slots__ = ("_access", "_fd", "_guard", "_path", "_released")

    def __init__(self, access: Access) -> None:
        self._access = access
        self._fd = -1
        self._path = ""
        self._released = False
        self._guard = threading.Lock()

    def add(self, *digests: Digest) -> None:
        """Hold *digests* too, whether or not they are stored yet."""
        if not digests or not self._access.writable:
            return
        data = b"".join(arrivals.pack(digest) for digest in digests)
        with self._access.writing(), self._guard:
            if self._released:
                raise RossfsError("this hold was released")
            if self._fd < 0:
                self._fd, self._path = _create(self._access.paths.pins)
            size = os.fstat(self._fd).st_size
            try:
                durable.write_all(self._fd, data, self._path)
            except BaseException:
                # A torn record is passed over only where it is the last.
                os.ftruncate(self._fd, size)
                raise
            arrivals.note(self._access.paths, *digests)

    def release(self) -> None:
        """Let go of all of it.  May be called again."""
        with self._guard:
            self._released = True
            if self._fd >= 0:
                durable.discard(self._path)
                os.close(self._fd)
                self._fd = -1

    def __enter__(self) -> Hold:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()


class Pins:
    """The holds of all processes that have the store open.  Thread safe."""

    __slots__ = ("_access",)

    def __init__(self, access: Access) -> None:
        self._access = access

    def hold(self, *digests: Digest) -> Hold:
        """Hold *digests* until `release`, or the end of a with statement."""
        hold = Hold(self._access)
        try:
            hold.add(*digests)
        except BaseException:
            hold.release()
            raise
        return hold

    def live(self) -> Iterator[Digest]:
        """All that is held now, by any process, this one too; some of it several times."""
        for path in self._files():
            with _opened(path) as file:
                if file is not None and not _lock(file, fcntl.LOCK_SH):
                    try:
                        yield from arrivals.unpack(file)
                    except ValueError as error:
                        raise Damaged(f"{path} cannot be read: {error}") from error

    def is_held(self, digest: Digest) -> bool:
        """Whether any process holds *digest*.  Final under `Access.sweeping`."""
        return any(held == digest for held in self.live())

    def tidy(self) -> None:
        """Remove the files of processes that are dead."""
        self._access.require_writable()
        for path in self._files():
            with _opened(path) as file:
                # Still locked by us while it goes: `_create` sees that it lost its file.
                if file is not None and _lock(file, fcntl.LOCK_EX):
                    durable.discard(path)

    def _files(self) -> Iterator[str]:
        try:
            names = os.listdir(self._access.paths.pins)
        except FileNotFoundError:
            return
        for name in names:
            if name != arrivals.NAME:
                yield f"{self._access.paths.pins}/{name}"


def _create(directory: str) -> tuple[int, str]:
    """Make a file of our own in *directory* and lock it; return descriptor and path."""
    while True:
        path = f"{directory}/{uuid.uuid4().hex}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        with durable.explained(path):
            try:
                fd = open_file(path, flags, 0o644)
            except FileNotFoundError:
                durable.make_directory(directory, "pins")
                continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
        except BaseException:
            os.close(fd)
            durable.discard(path)
            raise
        # Somebody who tidies may have met the file before it was locked, and removed it.
        if os.fstat(fd).st_nlink:
            return fd, path
        os.close(fd)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[BinaryIO | None]:
    """Open a file of pins/ for reading; None if it is gone, or no file."""
    try:
        fd, _ = smallfile.open_regular(path)
    except OSError:
        yield None
        return
    with open(fd, "rb") as file:
        yield file


def _lock(file: BinaryIO, kind: int) -> bool:
    """Try to lock *file*; False if its process lives."""
    try:
        fcntl.flock(file.fileno(), kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
