"""The bytes of one blob at any offset, never unverified.

The blob is known to be right before its first byte is given: rossfs hashed it on its way in, or it
is hashed here.  Each read looks at the modification time afterwards: bytes that somebody writes to
in place are hashed again before anything of that read is given.  A blob that was found wrong is
opened anew by the next read, since somebody may have mended it.
"""

from __future__ import annotations

import os
import threading

from rossfs.errors import BlobNotFound, Damaged
from rossfs.oci.digest import Digest
from rossfs.store.content import Content, is_sealed
from rossfs.store.contents import Contents
from rossfs.store.hashing import hash_file
from rossfs.store.verify import identity_of, wait_for_tick

Times = tuple[int, int]


class BlobBytes:
    """One stored blob.  Opened by the first read.  Thread safe; closed when nobody refers to it."""

    __slots__ = ("_contents", "_lock", "_nowait", "_open", "digest")

    def __init__(self, contents: Contents, digest: Digest) -> None:
        self.digest = digest
        self._contents = contents
        self._open: _Open | None = None
        self._nowait = os.RWF_NOWAIT
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes of the blob.  BlobNotFound, Damaged."""
        return self._opened().size

    @property
    def nameless(self) -> bool:
        """Whether the file is open and was deleted, so that it could not be opened again."""
        opened = self._open
        return opened is not None and opened.nameless

    def read(self, offset: int, length: int) -> bytes:
        """Return a range; fewer bytes than *length* only at the end.

        BlobNotFound; Damaged if the bytes are not those of the digest.  Hashes the whole blob if
        nobody did, or if its file was written to.
        """
        opened = self._opened()
        try:
            return opened.read(offset, length)
        except Damaged:
            self._forget(opened)
            raise

    def read_ready(self, offset: int, length: int) -> bytes | None:
        """As `read`, if it needs no wait for the disk and no hashing; else None."""
        opened = self._open
        if opened is None or not self._nowait:
            return None
        try:
            return opened.read_ready(offset, length, self._nowait)
        except BlockingIOError:
            return None
        except OSError:
            # The file system cannot answer from the page cache only (EOPNOTSUPP).
            self._nowait = 0
            return None

    def fill_ready(self, view: memoryview, offset: int) -> bool:
        """Fill *view* with what is at *offset*, if it is there and that needs no wait for the disk
        and no hashing; what is in *view* otherwise means nothing."""
        opened = self._open
        if opened is None or not self._nowait:
            return False
        try:
            return opened.fill_ready(view, offset, self._nowait)
        except BlockingIOError:
            return False
        except OSError:
            self._nowait = 0  # as above
            return False

    def close(self) -> None:
        """Let go of the file, once reads that are under way are done; the next read opens it."""
        self._open = None

    def _opened(self) -> _Open:
        opened = self._open
        if opened is None:
            with self._lock:
                opened = self._open
                if opened is None:
                    opened = self._open = _Open(self._contents, self.digest)
        return opened

    def _forget(self, opened: _Open) -> None:
        with self._lock:
            if self._open is opened:
                self._open = None


class _Open:
    """An open file of the store whose bytes were right when it was opened."""

    __slots__ = ("_content", "_contents", "_fd", "_times", "size")

    def __init__(self, contents: Contents, digest: Digest) -> None:
        self._fd = -1
        content = contents.settle(digest)
        if content is None:
            raise BlobNotFound(f"{digest} is not stored")
        contents.verifier.check(content)
        self._fd = contents.open(content)
        self._contents = contents
        self._content: Content = content
        # Not those of the open file: it may have been written to since it was found right.
        self._times: Times = content.modified_ns, content.changed_ns
        """Of the bytes that are known to be right."""
        self.size = content.size

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    @property
    def nameless(self) -> bool:
        return os.fstat(self._fd).st_nlink == 0

    def read(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self.size - offset))
        while True:
            data = os.pread(self._fd, length, offset)
            while len(data) < length:
                more = os.pread(self._fd, length - len(data), offset + len(data))
                if not more:
                    raise self._cut_off()
                data += more
            times = times_of(self._fd)
            if times == self._times:
                return data
            self._check_again(times)

    def read_ready(self, offset: int, length: int, nowait: int) -> bytes | None:
        length = max(0, min(length, self.size - offset))
        buffer = bytearray(length)
        if length and not self.fill_ready(buffer, offset, nowait):
            return None
        return bytes(buffer)

    def fill_ready(self, view: bytearray | memoryview, offset: int, nowait: int) -> bool:
        filled = os.preadv(self._fd, (view,), offset, nowait) == len(view)
        return filled and times_of(self._fd) == self._times

    def _check_again(self, times: Times) -> None:
        """Somebody wrote to the file, or gave it another time, while it was open."""
        digest = self._content.digest
        modified_ns = times[0]
        # A seal that was there before says nothing: who writes can put the time back.
        if modified_ns == self._times[0] or not is_sealed(digest, modified_ns):
            now = identity_of(os.fstat(self._fd))
            if self._contents.verifier.verdict(self._content.path, now) is False:
                raise Damaged(f"{digest} is damaged")
            wait_for_tick(modified_ns)
            actual, size = hash_file(self._fd, digest.algorithm)
            if actual != digest:
                raise self._accused(f"{digest} is damaged: its {size} bytes hash to {actual}")
        self._times = times

    def _cut_off(self) -> Damaged:
        left = os.fstat(self._fd).st_size
        return self._accused(
            f"{self._content.digest} is damaged: only {left} of {self.size} bytes are left"
        )

    def _accused(self, reason: str) -> Damaged:
        """Remember what became of the file since it was opened."""
        status = os.fstat(self._fd)
        now = self._content._replace(
            size=status.st_size, modified_ns=status.st_mtime_ns, changed_ns=status.st_ctime_ns
        )
        return self._contents.verifier.accuse(now, reason)


def times_of(fd: int) -> Times:
    """When the file *fd* was last written to, and when anything of it was last changed, in
    nanoseconds; nobody can set the second."""
    status = os.fstat(fd)
    return status.st_mtime_ns, status.st_ctime_ns
