"""Blobs being written.

An ingest is a file in incoming/.tmp that no digest names yet, kept locked by its process so that no
collection removes it.  Bytes are hashed as they arrive; those written out of order are read back
once, at the end.  `commit` is the only way out of it: hash checked, file sealed and synced, renamed
into its area, .meta written.  Before the rename the content does not exist; after it, it is
complete.  A crash leaves the file, which a collection removes once nobody holds its lock.

A write that failed leaves a gap: until it is repeated, or cut off, nothing can be committed.  An
extended attribute says so of a file that is left to wait.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from typing import Self

from rossfs.errors import Busy, DigestMismatch, UsageError
from rossfs.oci.digest import Digest
from rossfs.oci.quotation import quote
from rossfs.store import arrivals, durable, smallfile
from rossfs.store.content import seal
from rossfs.store.contents import Contents
from rossfs.store.filing import Stored, area_of, file_away, refresh, require_document
from rossfs.store.hashing import BUFFER, StreamHasher, hash_file
from rossfs.store.meta import is_media_type
from rossfs.store.paths import Area
from rossfs.store.sniffing import DOCUMENT_LIMIT, media_type_of, read_whole

# Overwriting what was hashed starts the hash again.  Who does it this often writes at random.
_RESTARTS = 2

_BEHIND = 8 << 20
"""Bytes that arrive before the disk begins with them: enough for it to write in a row."""

_GAPS = "user.ross.gaps"
_MOST_GAPS = 100
_ANYWHERE = -1  # of gaps beyond those: no write closes it, only cutting off everything


class Ingest:
    """A blob being written.  To be used by one thread at a time.

    As a context manager it is aborted at the end, unless it was committed or detached.
    """

    __slots__ = (
        "_begun",
        "_contents",
        "_fd",
        "_finished",
        "_gaps",
        "_hashed",
        "_hasher",
        "_restarts",
        "algorithm",
        "path",
        "size",
    )

    def __init__(self, contents: Contents, fd: int, path: str, size: int, algorithm: str) -> None:
        self._contents = contents
        self._fd = fd
        self.path = path
        self.size = size
        """Bytes written so far, holes included."""
        self.algorithm = algorithm
        self._hasher = StreamHasher(algorithm, self._begin_sync)
        self._begun = 0
        """The first bytes of the file, with which the disk has begun."""
        self._hashed = 0
        """The first bytes of the file, as many as the hasher has seen."""
        self._restarts = 0
        self._finished: Stored | None = None
        self._gaps: dict[int, int] = {}
        """Where writes failed that were not repeated, and the errno of each."""

    @classmethod
    def create(cls, contents: Contents, algorithm: str = "sha256") -> Self:
        """Begin a blob.  ReadOnlyStore, StoreFull."""
        contents.access.require_writable()
        while True:
            fd, path = durable.create(contents.access.paths.scratch)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                if os.fstat(fd).st_nlink:
                    return cls(contents, fd, path, 0, algorithm)
            except BaseException:
                os.close(fd)
                durable.discard(path)
                raise
            # A collection found the file between its making and its locking.
            os.close(fd)

    @classmethod
    def adopt(cls, contents: Contents, path: str, algorithm: str = "sha256") -> Self:
        """Go on with the file *path* of the store, which an earlier process left.

        Busy if it has an owner; OSError if it is not there or is no regular file.
        """
        contents.access.require_writable()
        with durable.explained(path):
            fd = os.open(path, smallfile.FLAGS | os.O_RDWR)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "not a regular file", path)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its last owner may have committed or removed it before letting go of the lock.
            status = os.fstat(fd)
            if not os.path.samestat(status, os.lstat(path)):
                raise FileNotFoundError(errno.ENOENT, "no longer there", path)
        except BlockingIOError as error:
            os.close(fd)
            raise Busy(f"{path} is being written") from error
        except BaseException:
            os.close(fd)
            raise
        ingest = cls(contents, fd, path, status.st_size, algorithm)
        with contextlib.suppress(OSError, ValueError):
            numbers = [int(number) for number in os.getxattr(fd, _GAPS).split()]
            ingest._gaps = dict(zip(numbers[::2], numbers[1::2], strict=True))
        return ingest

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.abort()

    @property
    def closed(self) -> bool:
        """Whether it was committed, aborted or detached."""
        return self._fd < 0

    def fileno(self) -> int:
        """The descriptor of the file; its position means nothing."""
        if self._fd < 0:
            raise ValueError(f"the ingest {self.path} is closed")
        return self._fd

    @property
    def keeps_up(self) -> bool:
        """Whether a small write would not wait for the hash of earlier ones."""
        return self._hasher.keeps_up

    # Writing

    def append(self, data: bytes) -> None:
        """Write at the end.  StoreFull: nothing was added."""
        self.write_at(self.size, data)

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        """Write at *offset*; a gap before it reads as zeros.

        StoreFull: the size is as before, and nothing can be committed until this was repeated.
        """
        fd = self.fileno()
        if not data:
            # As write(2): no bytes lengthen nothing.
            return
        self._finished = None
        end = offset + len(data)
        if offset < self._hashed:
            self._restart()
        view = memoryview(data)
        try:
            with durable.explained(self.path):
                while view:
                    view = view[os.pwrite(fd, view, end - len(view)) :]
        except BaseException as error:
            told = offset in self._gaps or len(self._gaps) < _MOST_GAPS
            number = getattr(error, "errno", None) or errno.EIO
            self._gaps[offset if told else _ANYWHERE] = number
            with contextlib.suppress(OSError):
                os.ftruncate(fd, self.size)
            raise
        if self._gaps:
            self._close_gaps(offset, end)
        if offset == self._hashed and self._restarts < _RESTARTS:
            self._hasher.update(data)
            self._hashed = end
        self.size = max(self.size, end)

    def truncate(self, size: int) -> None:
        """Cut the file, or lengthen it with zeros."""
        fd = self.fileno()
        self._finished = None
        if size < self._hashed:
            self._restart()
        with durable.explained(self.path):
            os.ftruncate(fd, size)
        self.size = size
        if self._gaps:
            self._close_gaps(size or _ANYWHERE, max(self._gaps) + 1)

    def read_at(self, offset: int, length: int) -> bytes:
        """Read back; fewer bytes than *length* only at the end."""
        return os.pread(self.fileno(), length, offset)

    def sync(self) -> None:
        """Make what was written so far survive a power cut; it stays an unfinished file."""
        durable.sync(self.fileno(), "ingest", self.path)

    def rest(self) -> None:
        """Nothing is written for a while: hash what waits for it, and hold no thread."""
        self._hasher.close()

    def require_whole(self) -> None:
        """StoreFull, or the OSError of then, if a write failed and was not repeated."""
        if self._gaps:
            offset, number = min(self._gaps.items())
            where = "more than can be told" if offset == _ANYWHERE else f"byte {offset}"
            with durable.explained(self.path):
                reason = f"{os.strerror(number)} when {where} was to be written"
                raise OSError(number, reason, self.path)

    # The ways out

    def finish(self, expected: Digest | None = None, media_type: str | None = None) -> Stored:
        """Do all of a commit that can fail, and return what would be stored.

        StoreFull, or the OSError of then, if a write failed and was not repeated.
        Hashes what is not hashed yet, compares with *expected* (DigestMismatch), finds out the
        media type if none is given, checks a manifest (InvalidDocument, MissingContent), seals and
        syncs the file.  A later write withdraws all that.  Free if nothing was written since the
        last time.
        """
        stored = self._prepare(expected, media_type)
        if self._finished != stored:
            self._seal(stored)
            self.sync()
            self._finished = stored
        return stored

    def commit(self, expected: Digest | None = None, media_type: str | None = None) -> Stored:
        """Store the blob, and return what was stored.  Errors as `finish`: then nothing of it is
        visible, and the ingest is as it was."""
        stored = self._prepare(expected, media_type)
        access = self._contents.access
        if self._finished != stored:
            with access.writing():
                arrivals.note(access.paths, stored.digest)
                known = refresh(self._contents, stored)
            if known:
                self.abort()
                return stored
            self.finish(expected, media_type)
        with access.writing():
            arrivals.note(access.paths, stored.digest)
            if stored.area is not Area.BLOBS:
                # Again, now that no collection can remove what it needs.
                data = read_whole(self.fileno(), stored.size)
                require_document(self._contents, data, stored.media_type, stored.digest)
            if time.time() - os.fstat(self.fileno()).st_mtime > 1:
                self._seal(stored)
            file_away(self._contents, self.path, stored)
        self._close()
        return stored

    def abort(self) -> None:
        """Remove the file.  Does nothing if the ingest is closed."""
        if self._fd >= 0:
            durable.discard(self.path)
            self._close()

    def detach(self) -> str:
        """Let go of the file and leave it where it is; return its path.  `adopt` goes on with it.

        A collection may remove it from now on.
        """
        if self._gaps:
            text = " ".join(f"{offset} {number}" for offset, number in self._gaps.items())
            with contextlib.suppress(OSError):  # not every file system keeps attributes
                os.setxattr(self.fileno(), _GAPS, text.encode())
        self._close()
        return self.path

    # Inside

    def _prepare(self, expected: Digest | None, media_type: str | None) -> Stored:
        """Find out what would be stored: `finish` without the seal and the sync."""
        self.require_whole()
        done = self._finished
        if (
            done is not None
            and (expected is None or expected == done.digest)
            and (not media_type or media_type == done.media_type)
        ):
            return done
        if media_type and not is_media_type(media_type):
            raise UsageError(f"no media type: {quote(media_type)}")
        digest = self._digest(expected.algorithm if expected is not None else self.algorithm)
        if expected is not None and digest != expected:
            raise DigestMismatch(f"expected {expected}, but the {self.size} bytes hash to {digest}")
        return self._identify(digest, media_type)

    def _close(self) -> None:
        self._hasher.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _close_gaps(self, start: int, end: int) -> None:
        self._gaps = {at: number for at, number in self._gaps.items() if not start <= at < end}
        if not self._gaps:
            with contextlib.suppress(OSError):
                os.removexattr(self.fileno(), _GAPS)

    def _restart(self) -> None:
        self._hasher.close()
        self._hasher = StreamHasher(self.algorithm, self._begin_sync)
        self._begun = self._hashed = 0
        self._restarts += 1

    def _begin_sync(self, hashed: int) -> None:
        """Let the disk write while more arrives.  In the thread of the hasher, which ends before
        the descriptor is closed."""
        if hashed - self._begun >= _BEHIND:
            durable.begin_sync(self._fd, self._begun, hashed - self._begun)
            self._begun = hashed

    def _digest(self, algorithm: str) -> Digest:
        fd = self.fileno()
        if algorithm != self.algorithm:
            return hash_file(fd, algorithm)[0]
        while self._hashed < self.size:
            data = os.pread(fd, min(BUFFER, self.size - self._hashed), self._hashed)
            if not data:
                raise OSError(f"{self.path} became shorter while it was hashed")
            self._hasher.update(data)
            self._hashed += len(data)
        return self._hasher.digest()

    def _identify(self, digest: Digest, media_type: str | None) -> Stored:
        fd = self.fileno()
        media_type = media_type or media_type_of(fd, self.size)
        area = area_of(media_type)
        if area is not Area.BLOBS:
            data = read_whole(fd, min(self.size, DOCUMENT_LIMIT + 1))
            require_document(self._contents, data, media_type, digest)
        return Stored(digest, self.size, media_type, area)

    def _seal(self, stored: Stored) -> None:
        modified_ns = seal(stored.digest, int(time.time()))
        os.utime(self.fileno(), ns=(modified_ns, modified_ns))
