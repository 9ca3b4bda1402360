"""Whether stored bytes are what their name says, found out once and remembered.

Bytes that do not hash to their digest are never served.  Content with a seal (`content.py`) was
hashed when it was written; all other content is hashed whole here before its first byte is served.
A verdict holds for one state of one file (inode, size, modification and change time): a file that
was replaced or written to is looked at again.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from typing import NamedTuple

from rossfs.errors import BlobNotFound, Damaged
from rossfs.oci.digest import Digest
from rossfs.store import smallfile
from rossfs.store.content import Content, is_sealed
from rossfs.store.hashing import hash_file

REMEMBERED = 1 << 17
"""Verdicts kept; the oldest are forgotten, and their content is hashed again when it is read."""

# A write within the same tick of the kernel's clock would not change the times of the file: wait
# until the last write is older than the slowest tick (10 ms at HZ=100).
_TICK_NS = 20_000_000

_ATTEMPTS = 2

_LOCKS = 16


class Identity(NamedTuple):
    """One state of one file."""

    inode: int
    size: int
    modified_ns: int
    changed_ns: int


def identity_of(status: os.stat_result) -> Identity:
    """The identity of the file with this status."""
    return Identity(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _identity(content: Content) -> Identity:
    return Identity(content.inode, content.size, content.modified_ns, content.changed_ns)


class _Bad(NamedTuple):
    identity: Identity
    digest: Digest
    reason: str


class Verifier:
    """The verdicts of one opened store.  Thread safe; content that several threads ask for at once
    is hashed once."""

    __slots__ = ("_bad", "_good", "_locks")

    def __init__(self) -> None:
        self._good: dict[str, Identity] = {}
        self._bad: dict[str, _Bad] = {}
        self._locks = [threading.Lock() for _ in range(_LOCKS)]

    def needs_check(self, content: Content) -> bool:
        """Whether `check` has work to do, or would raise.  Costs no system call."""
        if content.path in self._bad:
            return True
        return not content.proven and self._good.get(content.path) != _identity(content)

    def check(self, content: Content) -> None:
        """Return once the bytes of *content* are known to be right; raises Damaged.

        May read the whole file, so it belongs in a worker thread if `needs_check` says so.
        """
        if not self.needs_check(content):
            return
        with self._lock(content.path):
            bad = self._bad.get(content.path)
            if bad is not None and bad.identity != _identity(content):
                # `damaged` may have forgotten it meanwhile.
                self._bad.pop(content.path, None)
                bad = None
            if bad is not None:
                raise Damaged(bad.reason)
            if self.needs_check(content):
                self._hash(content.digest, content.path)

    def open(self, content: Content) -> int:
        """Open the file of *content* for reading; return the descriptor.

        BlobNotFound if it is gone.  A file that was replaced or changed since it was found is
        hashed here, unless it is sealed: Damaged if it is wrong.  Content that is the same as it
        was found is not looked at: that is what `check` is for.
        """
        fd, status = open_file(content.digest, content.path)
        if identity_of(status) == _identity(content) or is_sealed(
            content.digest, status.st_mtime_ns
        ):
            return fd
        try:
            identity = identity_of(status)
            with self._lock(content.path):
                if self.verdict(content.path, identity) is not True:
                    # By the path: should it be another file again, the caller finds that out.
                    hashed = self._hash(content.digest, content.path)
                    if hashed != identity:
                        raise Damaged(f"{content.digest} changed while it was opened")
        except BaseException:
            os.close(fd)
            raise
        return fd

    def prove(self, digest: Digest, path: str) -> Identity:
        """Hash the file *path* whatever is known of it; return what was hashed, or raise Damaged.

        BlobNotFound if there is no regular file.
        """
        with self._lock(path):
            return self._hash(digest, path)

    def verdict(self, path: str, identity: Identity) -> bool | None:
        """True if the file was found right in this state, False if wrong, None if not known."""
        if self._good.get(path) == identity:
            return True
        bad = self._bad.get(path)
        return False if bad is not None and bad.identity == identity else None

    def accuse(self, content: Content, reason: str) -> Damaged:
        """Remember that *content* is wrong, which its reader found out; return the error to
        raise."""
        self._remember_bad(content.path, _Bad(_identity(content), content.digest, reason))
        return Damaged(reason)

    def vouch(self, path: str, identity: Identity) -> None:
        """Remember that the file *path* is right in this state: its reader hashed all of it."""
        with self._lock(path):
            self._remember_good(path, identity)

    def damaged(self) -> list[tuple[Digest, str]]:
        """What was found damaged and is still there as it was: digests and one line of reason
        each."""
        found = []
        for path, bad in list(self._bad.items()):
            try:
                same = identity_of(os.lstat(path)) == bad.identity
            except FileNotFoundError:
                same = False
            if same:
                found.append((bad.digest, bad.reason))
            else:
                self._bad.pop(path, None)
        return found

    def _lock(self, path: str) -> threading.Lock:
        return self._locks[hash(path) % _LOCKS]

    def _hash(self, digest: Digest, path: str) -> Identity:
        """Hash and remember.  Requires the lock of *path*."""
        fd, status = open_file(digest, path)
        try:
            for _ in range(_ATTEMPTS):
                wait_for_tick(status.st_mtime_ns)
                before = identity_of(os.fstat(fd))
                try:
                    actual, size = hash_file(fd, digest.algorithm)
                except OSError as error:
                    raise Damaged(f"{digest} cannot be read: {error.strerror}") from error
                status = os.fstat(fd)
                if identity_of(status) == before:
                    break
            else:
                raise Damaged(f"{digest} changed while it was read")
        finally:
            os.close(fd)
        if actual != digest:
            reason = f"{digest} is damaged: its {size} bytes hash to {actual}"
            self._remember_bad(path, _Bad(before, digest, reason))
            raise Damaged(reason)
        self._remember_good(path, before)
        return before

    def _remember_good(self, path: str, identity: Identity) -> None:
        """Requires the lock of *path*."""
        self._bad.pop(path, None)
        self._good.pop(path, None)
        while len(self._good) >= REMEMBERED:
            self._good.pop(next(iter(self._good)), None)
        self._good[path] = identity

    def _remember_bad(self, path: str, bad: _Bad) -> None:
        self._good.pop(path, None)
        while len(self._bad) >= REMEMBERED:
            self._bad.pop(next(iter(self._bad)), None)
        self._bad[path] = bad


def open_file(digest: Digest, path: str) -> tuple[int, os.stat_result]:
    """Open the file of *digest* unverified; return its descriptor and status.  BlobNotFound."""
    try:
        return smallfile.open_regular(path)
    except FileNotFoundError as error:
        raise BlobNotFound(f"{digest} is no longer stored") from error
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EINVAL):
            raise BlobNotFound(f"{digest} is not stored: {path} is no regular file") from error
        raise


def wait_for_tick(modified_ns: int) -> None:
    """Wait until a write after *modified_ns*, the time of the last one, would show in the file's
    times; at most 20 ms."""
    age = time.time_ns() - modified_ns
    # A time in the future says nothing; there is no use in waiting for it.
    if 0 <= age < _TICK_NS:
        time.sleep((_TICK_NS - age) / 1e9)
