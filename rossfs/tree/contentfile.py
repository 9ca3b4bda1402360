"""Files whose bytes are stored content: the same inode wherever a digest is shown.

Content is named by its digest and never changes, so the kernel keeps attributes and pages for ever.
Before the first byte is served, bytes that rossfs did not hash on their way in are hashed whole, in
a worker thread, once however many open the file at once; manifests and indexes are hashed in any
case; so are bytes that somebody writes to in place while they are open, as the modification time
tells.  Wrong bytes are EIO and are listed in .ross/damaged.

Opening for writing is Published: the kernel's side may find a writable file by the same path.
Changes of mode, times and owner succeed and change nothing, so that cp -p and install work.
"""

from __future__ import annotations

import errno
import logging
import mmap
import os
import stat
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar

import trio

from rossfs.errors import BlobNotFound, Damaged
from rossfs.image.blobdata import Times, times_of
from rossfs.oci.digest import Digest
from rossfs.store.content import Content, Unproven, is_sealed
from rossfs.store.contents import Contents
from rossfs.store.hashing import hash_file
from rossfs.store.paths import Area
from rossfs.store.verify import Identity, identity_of
from rossfs.tree.handle import Handle
from rossfs.tree.node import (
    FOREVER,
    Attr,
    AttrChange,
    Caller,
    File,
    Node,
    Published,
    is_writing,
    read_only,
)
from rossfs.tree.numbers import Numbers

BUFFER = 1 << 20
"""Bytes of the largest read request that Linux sends."""

_SECOND = 10**9
_DAY = 86400
_TOLD = 1000

_NOTED = 1000
"""Uses that wait to be noted; more that come meanwhile are not."""

_TRUST = 0.01
"""Seconds for which a file that is open is taken to be as it was: asking costs a third of a read
of 4 KiB."""

_log = logging.getLogger("rossfs.tree")


class ContentFiles:
    """Makes the files of content, and holds what all of them share.

    *mode* are the permission bits of every file.  *note_access*: reading may bring accessed_at in
    .meta up to date.
    """

    __slots__ = (
        "_hashing",
        "_noting",
        "_number",
        "_told",
        "_used",
        "buffer",
        "contents",
        "mode",
        "note_access",
        "nowait",
        "workers",
    )

    def __init__(
        self, contents: Contents, numbers: Numbers, *, mode: int = 0o444, note_access: bool = False
    ) -> None:
        self.contents = contents
        self.mode = stat.S_IFREG | mode
        self.note_access = note_access
        # One buffer, page-aligned so that the kernel copies whole pages, is enough: what `read`
        # returns is on its way to the kernel before another request is looked at.
        self.buffer = memoryview(mmap.mmap(-1, BUFFER))
        self.nowait = os.RWF_NOWAIT
        """0 once the store's file system said that it cannot answer from the page cache only."""
        # Hashing keeps a processor busy: more threads than those only make each file wait longer.
        self.workers = trio.CapacityLimiter(max(2, os.cpu_count() or 1))
        self._number = numbers.family(b"content")
        self._hashing: dict[Digest, trio.Event] = {}
        self._used: dict[Digest, Content] = {}
        """What was read, and may have to be noted."""
        self._noting = False
        self._told: set[str] = set()

    def glance(self, digest: Digest) -> ContentFile | None:
        """The file of *digest*, or None; Unproven when `settle` is needed to tell."""
        status = self.contents.glance(digest)
        if status is None:
            return None
        return self._file(digest, status.st_size, status.st_mtime_ns)

    def find(self, area: Area, digest: Digest) -> ContentFile | None:
        """As `glance`, for content that counts as *area*."""
        content = self.contents.find(digest)
        if content is None or content.area is not area:
            return None
        return self._file(digest, content.size, content.modified_ns)

    def _file(self, digest: Digest, size: int, modified_ns: int) -> ContentFile:
        # The kernel believes the size of an inode for ever: damaged content that is mended must be
        # another one.
        raw = digest.raw
        ino = self._number(raw + size.to_bytes(8, "little"))
        # The nanoseconds are the store's seal and mean nothing to others.
        return ContentFile(ino, self, digest.algorithm, raw, size, modified_ns // _SECOND)

    async def settle(self, digest: Digest) -> None:
        """Find out whether content without .meta is what its name says; `find` answers then."""
        await self._once(digest, lambda: self.contents.settle(digest))

    async def verified(self, digest: Digest) -> Content:
        """What is stored under *digest*, with bytes that are known to be right.

        BlobNotFound or Damaged.  Waits only if something has to be hashed.
        """
        verifier = self.contents.verifier
        while True:
            try:
                content = self.contents.find(digest)
            except Unproven:
                await self.settle(digest)
                continue
            if content is None:
                raise BlobNotFound(f"{digest} is not stored, or no longer")
            path = content.path
            if content.area is Area.BLOBS:
                if not verifier.needs_check(content):
                    return content
                await self._once(digest, partial(verifier.check, content))
            else:
                # Everything else hangs on these few bytes, so nobody's word is taken for them.
                if verifier.verdict(path, _identity(content)) is True:
                    return content
                await self._once(digest, partial(verifier.prove, digest, path))

    async def note(self, content: Content) -> None:
        """Note once a day that *content* was read.

        That syncs a file, and the kernel lets go of few files at once: so one of those who let go
        of many does it for all, and the others need not wait with it.
        """
        if not self.note_access or time.time() - content.accessed_at < _DAY:
            return
        if len(self._used) < _NOTED:
            self._used[content.digest] = content
        if self._noting:
            return
        self._noting = True
        try:
            while self._used:
                used, self._used = self._used, {}
                await trio.to_thread.run_sync(self._note, used, limiter=self.workers)
        finally:
            self._noting = False

    def _note(self, used: Mapping[Digest, Content]) -> None:
        for content in used.values():
            self.contents.note_access(content)

    async def _once(self, digest: Digest, work: Callable[[], object]) -> None:
        """Do *work* in a thread, or wait until whoever is doing it for *digest* is done; then ask
        again."""
        running = self._hashing.get(digest)
        if running is not None:
            await running.wait()
            return
        done = self._hashing[digest] = trio.Event()
        try:
            await trio.to_thread.run_sync(work, limiter=self.workers, abandon_on_cancel=True)
        except Damaged as error:
            self._tell(str(error))
            raise
        finally:
            del self._hashing[digest]
            done.set()

    def _tell(self, reason: str) -> None:
        # Once each, or one program that tries again and again would be all that the log shows.
        if reason not in self._told and len(self._told) < _TOLD:
            self._told.add(reason)
            _log.warning("%s", reason)


class ContentFile(File):
    """The bytes of one digest."""

    __slots__ = ("_algorithm", "_files", "_hash", "_seconds", "_size")

    ttl: ClassVar[float] = FOREVER
    constant: ClassVar[bool] = True

    def __init__(
        self, ino: int, files: ContentFiles, algorithm: str, raw: bytes, size: int, seconds: int
    ) -> None:
        super().__init__(ino)
        self._files = files
        self._algorithm = algorithm
        # There may be as many of these as the kernel caches: a Digest takes a third more of all.
        self._hash = raw
        self._size = size
        self._seconds = seconds

    @property
    def digest(self) -> Digest:
        """What its bytes hash to."""
        return Digest.from_raw(self._algorithm, self._hash)

    def attr(self) -> Attr:
        time_ns = self._seconds * _SECOND
        return Attr.dated(self._files.mode, time_ns, self._size)

    def same(self, other: Node) -> bool:
        return isinstance(other, ContentFile) and other._hash == self._hash

    def xattrs(self) -> Mapping[bytes, bytes]:
        """user.ross.digest, .media_type, .size and .created_at (Unix seconds, decimal)."""
        try:
            content = self._files.contents.find(self.digest)
        except Unproven:
            content = None
        if content is None:
            return {b"user.ross.digest": str(self.digest).encode()}
        return content_xattrs(content)

    async def setattr(self, change: AttrChange, caller: Caller) -> None:
        """EROFS for another size; everything else succeeds and changes nothing."""
        if change.size is not None:
            raise read_only()

    async def open(self, flags: int, caller: Caller) -> Handle:
        """Open for reading, once the bytes are known to be right.

        Published for writing; Damaged; BlobNotFound if it was removed meanwhile, ESTALE if it is
        another inode now.
        """
        if is_writing(flags):
            raise Published
        content = await self._files.verified(self.digest)
        if content.size != self._size:
            # It was damaged when the kernel was told of it.  Now the kernel looks it up again.
            raise OSError(errno.ESTALE, f"{self.digest} was damaged and is mended")
        fd = self._files.contents.open(content)
        return ContentHandle(self._files, content, fd)


class ContentHandle(Handle):
    """An open file of the store."""

    __slots__ = ("_content", "_fd", "_files", "_size", "_times", "_trusted")

    keep_cache: ClassVar[bool] = True

    def __init__(self, files: ContentFiles, content: Content, fd: int) -> None:
        self._files = files
        self._content = content
        self._size = content.size
        self._fd = fd
        # Not those of the open file: it may have been written to since it was found right.
        self._times: Times = content.modified_ns, content.changed_ns
        """Of the bytes that are known to be right."""
        self._trusted = 0.0

    async def read(self, offset: int, size: int) -> bytes | memoryview:
        """From the page cache in place; in a worker thread if that would have to wait for the disk.

        What is returned is valid until the next read of any content.
        """
        data = self.read_ready(offset, size)
        if data is None:
            size = min(size, self._size - offset)
            data = await trio.to_thread.run_sync(self._read_checked, offset, size)
        return data

    def read_ready(self, offset: int, size: int) -> bytes | memoryview | None:
        """As `read`, from the page cache only."""
        files = self._files
        left = self._size - offset
        if size > left:
            if left <= 0:
                return b""
            size = left
        view = files.buffer[:size]
        try:
            if os.preadv(self._fd, (view,), offset, files.nowait) == size and self._is_as_it_was():
                return view
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP or not files.nowait:
                raise
            files.nowait = 0
            return self.read_ready(offset, size)
        return None

    def _is_as_it_was(self) -> bool:
        now = time.monotonic()
        if now >= self._trusted:
            if times_of(self._fd) != self._times:
                return False
            self._trusted = now + _TRUST
        return True

    def _read_checked(self, offset: int, size: int) -> bytes:
        while True:
            data = self._read_all(offset, size)
            times = times_of(self._fd)
            if times == self._times:
                return data
            self._check_again(times)

    def _check_again(self, times: Times) -> None:
        """Somebody wrote to the file, or gave it another time, while it was open."""
        digest, path = self._content.digest, self._content.path
        # A seal that was there before says nothing: who writes can put the time back.
        if times[0] == self._times[0] or not is_sealed(digest, times[0]):
            verifier, now = self._files.contents.verifier, identity_of(os.fstat(self._fd))
            if verifier.verdict(path, now) is False:
                raise Damaged(f"{digest} is damaged")
            actual, size = hash_file(self._fd, digest.algorithm)
            if actual != digest:
                reason = f"{digest} is damaged: its {size} bytes hash to {actual}"
                raise self._accused(reason)
        self._times = times

    def _read_all(self, offset: int, size: int) -> bytes:
        data = os.pread(self._fd, size, offset)
        while len(data) < size:
            more = os.pread(self._fd, size - len(data), offset + len(data))
            if not more:
                raise self._cut_off()
            data += more
        return data

    def _cut_off(self) -> Damaged:
        """Somebody made the file shorter after it was opened."""
        left = os.fstat(self._fd).st_size
        return self._accused(
            f"{self._content.digest} is damaged: only {left} of {self._size} bytes are left"
        )

    def _accused(self, reason: str) -> Damaged:
        """Remember what became of the file since it was opened."""
        status = os.fstat(self._fd)
        now = self._content._replace(
            size=status.st_size, modified_ns=status.st_mtime_ns, changed_ns=status.st_ctime_ns
        )
        return self._files.contents.verifier.accuse(now, reason)

    async def release(self) -> None:
        """Close, and note once a day that the content was used."""
        os.close(self._fd)
        await self._files.note(self._content)


def content_xattrs(content: Content) -> dict[bytes, bytes]:
    """What is known of *content*, as extended attributes."""
    return {
        b"user.ross.digest": str(content.digest).encode(),
        b"user.ross.media_type": content.media_type.encode(),
        b"user.ross.size": b"%d" % content.size,
        b"user.ross.created_at": b"%d" % content.created_at,
    }


def _identity(content: Content) -> Identity:
    return Identity(content.inode, content.size, content.modified_ns, content.changed_ns)
