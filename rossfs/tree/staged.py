"""A file that is being written: no content yet, and perhaps never.

Its bytes lie in one file of the store, open and locked while anything of it is open here
(`Ingest`), and hashed as they arrive.  FLUSH does all that can fail: it judges the content
(`Place.judge`), which is accepted, refused, or waits; a later write withdraws the judgement.  When
the last writing descriptor is gone, what was accepted is carried out; the rest stays a file.

Changes, judgements and conclusions take turns (`turn`), so that one thread at a time uses the
ingest; writes pass without waiting if it is free.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

import trio

from rossfs.errors import RossfsError, StoreFull
from rossfs.store import durable
from rossfs.store.ingest import Ingest
from rossfs.tree.departure import Departure
from rossfs.tree.node import Attr, AttrChange, Caller, File, is_writing
from rossfs.tree.place import Place
from rossfs.tree.stagedhandle import StagedHandle

if TYPE_CHECKING:
    from rossfs.tree.uploads import Uploads

_log = logging.getLogger("rossfs.tree")


class Staged(File):
    """A file that somebody writes, wrote, or is about to write."""

    __slots__ = (
        "__weakref__",
        "_accepted",
        "_departure",
        "_gid",
        "_handles",
        "_ingest",
        "_judged",
        "_last",
        "_refusal",
        "_removed",
        "_uid",
        "mode",
        "over",
        "place",
        "turn",
        "uploads",
        "waits",
    )

    ttl: ClassVar[float] = 0.0

    def __init__(self, ino: int, uploads: Uploads, place: Place, *, waits: bool) -> None:
        super().__init__(ino)
        self.uploads = uploads
        self.place = place
        self.waits = waits
        """Its bytes lie in `place.path` while it is not open; else there are none yet."""
        self.over = False
        """It is content now, or was removed."""
        self._removed = False
        self.mode = 0o644
        self._uid: int | None = None
        self._gid: int | None = None
        self._ingest: Ingest | None = None
        self._handles: set[StagedHandle] = set()
        self.turn = trio.Lock()
        self._judged = False
        self._accepted = False
        self._refusal: RossfsError | OSError | None = None
        self._departure = Departure()
        self._last = Attr(stat.S_IFREG)

    # What it is

    @property
    def busy(self) -> bool:
        """Whether it is open, or being concluded."""
        return self._ingest is not None

    def attr(self) -> Attr:
        ingest = self._ingest
        # A worker may close the ingest while it is concluded.
        if not self._departure.is_under_way:
            if ingest is not None:
                if not ingest.closed:
                    self._last = self._attr(os.fstat(ingest.fileno()))
            elif self.waits and not self.over:
                self._last = self._attr(os.lstat(self.place.path))
            elif not self.over:
                self._last = Attr(self._mode(), self.place.size(), 1, self._uid, self._gid)
        return self._last

    def _attr(self, status: os.stat_result) -> Attr:
        return Attr.of(status)._replace(mode=self._mode(), uid=self._uid, gid=self._gid)

    def _mode(self) -> int:
        return stat.S_IFREG | self.mode

    def xattrs(self) -> Mapping[bytes, bytes]:
        """user.ross.error: why it was refused."""
        if self._refusal is not None:
            return {b"user.ross.error": str(self._refusal).encode("utf-8", "surrogateescape")}
        reason = None if self.busy else self.place.reason
        return {} if reason is None else {b"user.ross.error": reason}

    async def setxattr(self, name: bytes, value: bytes) -> None:
        """EOPNOTSUPP: content has no attributes of its own; cp -a and mv take that for an
        answer."""
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    async def removexattr(self, name: bytes) -> None:
        """EPERM."""
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    async def setattr(self, change: AttrChange, caller: Caller) -> None:
        """Mode and owner are kept for as long as the kernel knows the file, times too, size is
        obeyed."""
        self.uploads.store.access.require_writable()
        if change.size is not None:
            await self._truncate(change.size, caller)
        self.mode = self.mode if change.mode is None else change.mode
        self._uid = self._uid if change.uid is None else change.uid
        self._gid = self._gid if change.gid is None else change.gid
        if (change.mtime_ns, change.atime_ns) != (None, None):
            async with self.turn:
                self._set_times(change)

    def _set_times(self, change: AttrChange) -> None:
        # Accepted bytes carry a seal in their modification time.
        if self.over or self._accepted or not (self.busy or self.waits):
            return
        where = self.place.path if self._ingest is None else self._ingest.fileno()
        status = os.stat(where)
        atime_ns = status.st_atime_ns if change.atime_ns is None else change.atime_ns
        mtime_ns = status.st_mtime_ns if change.mtime_ns is None else change.mtime_ns
        os.utime(where, ns=(atime_ns, mtime_ns))

    # Opening

    async def open(self, flags: int, caller: Caller) -> StagedHandle:
        """Open for *flags*.  ESTALE if it is no longer a file, Busy if another process writes
        it."""
        async with self.turn:
            if self.over and not self._revive():
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            if is_writing(flags) or not self.waits:
                await self._begin(empty=bool(flags & os.O_TRUNC))
            descriptor = -1
            try:
                if flags & os.O_ACCMODE != os.O_WRONLY:
                    descriptor = self._reading()
                if flags & os.O_TRUNC and self._writable().size:
                    self._withdraw()
                    await self.uploads.work(self._writable().truncate, 0)
            except BaseException:
                if descriptor >= 0:
                    os.close(descriptor)
                await self._close_idle()
                raise
            handle = StagedHandle(self, descriptor, flags)
            self._handles.add(handle)
            return handle

    def _revive(self) -> bool:
        if self._removed or self.busy or not self.place.revive():
            return False
        self.over = self.waits = False
        return True

    async def _begin(self, *, empty: bool) -> None:
        """Have an ingest."""
        if self._ingest is not None:
            if self._ingest.closed:
                # Its content is stored, but not named: there was an error.
                await self._close_idle()
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            return
        contents = self.uploads.store.contents
        self._ingest = await self.uploads.work(self.place.begin, contents, self.waits, empty)
        self._judged, self._refusal = False, None
        self.uploads.began(self)
        self.place.began(self)

    async def _renew(self) -> Ingest:
        """What was judged is to change: the ingest for that.  Requires the turn."""
        if self._writable().closed and not self.over:
            self._ingest = await self.uploads.work(self.place.renew, self.uploads.store.contents)
            for handle in self._handles:
                handle.follow(self._ingest)
        self._withdraw()
        return self._writable()

    def _reading(self) -> int:
        """A descriptor of its own for a reader: it outlives the ingest, and holds no lock."""
        if self._ingest is None:
            return os.open(self.place.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        return os.open(f"/proc/self/fd/{self._ingest.fileno()}", os.O_RDONLY | os.O_CLOEXEC)

    def _writable(self) -> Ingest:
        assert self._ingest is not None
        return self._ingest

    def _is_written(self) -> bool:
        return any(handle.writing for handle in self._handles)

    # Changing

    async def write(self, handle: StagedHandle, offset: int, data: bytes) -> int:
        """write(2) of *handle*."""
        if not self.write_ready(handle, offset, data):
            async with self.turn:
                ingest = await self._renew()
                at = ingest.size if handle.appending else offset
                await self.uploads.work(ingest.write_at, at, data)
            handle.changed()
        return len(data)

    def write_ready(self, handle: StagedHandle, offset: int, data: bytes | memoryview) -> bool:
        """write(2) of *handle*, if that can be done at once; False: nothing was written."""
        ingest = self._writable()
        if self._judged or self.turn.locked() or not self.uploads.is_swift(ingest, len(data)):
            return False
        self.uploads.write(ingest, ingest.size if handle.appending else offset, data)
        handle.changed()
        return True

    async def _truncate(self, size: int, caller: Caller) -> None:
        if not self._is_written():
            handle = await self.open(os.O_WRONLY, caller)
            try:
                await self._truncate(size, caller)
                await self.flush(handle)
            finally:
                await self.release(handle)
            return
        async with self.turn:
            if size == self._writable().size:
                return
            ingest = await self._renew()
            await self.uploads.work(ingest.truncate, size)
        for each in self._handles:
            each.changed()

    def _withdraw(self) -> None:
        """The judgement, if there is one, is about bytes that are to change.  Requires the turn."""
        self._judged, self._refusal = False, None
        if self._accepted:
            self._accepted = False
            self.place.withdraw()
            self._departure.stir()

    # Closing

    async def flush(self, handle: StagedHandle) -> None:
        """A descriptor of *handle* was closed: judge the content, raise what refuses it."""
        if not handle.writing:
            return
        async with self.turn:
            handle.flushed = True
            await self._judge()
            self._departure.expect()
            if self._refusal is not None:
                raise self._refusal

    async def fsync(self) -> None:
        """fsync(2): make it durable; refuse what is wrong already."""
        async with self.turn:
            if self._judged and self._refusal is not None:
                raise self._refusal
            if not (self._judged or self.over or self._ingest is None):
                await self.uploads.work(self.place.check, self._ingest)

    async def _judge(self) -> None:
        """Judge the content unless that is done; the result is kept.  Requires the turn."""
        if self._judged or self.over:
            return
        ingest = self._writable()
        try:
            self._accepted = await self.uploads.work(self.place.judge, ingest)
            self._judged, self._refusal = True, None
        except (RossfsError, OSError) as error:
            self._refusal = error
            # A full disk may have room the next time; what is wrong stays wrong.
            self._judged = not isinstance(error, (StoreFull, OSError))
            if not self._judged:
                _log.warning("%s", error)
            elif ingest.size:
                _log.info("%s", error)
            # Nothing at all may only be what comes before the first byte (a shell's `echo > f`).

    async def release(self, handle: StagedHandle) -> None:
        """The last descriptor of *handle* is gone."""
        with trio.CancelScope(shield=True):
            self.attr()
            self._handles.discard(handle)
            with self._departure.under_way():
                async with self.turn:
                    await self._close_idle()

    async def _close_idle(self) -> None:
        """Conclude if nobody writes any more.  Requires the turn."""
        if self._ingest is not None and not self._is_written():
            await self._conclude(self._ingest)

    async def _conclude(self, ingest: Ingest) -> None:
        # What was written through a mapping after the last close(2) was never judged.
        await self._judge()
        try:
            if self.over:
                await self.uploads.work(ingest.detach)
            elif self._accepted:
                await self.uploads.work(self.place.carry_out, ingest)
                self.over = True
            else:
                reason = None if self._refusal is None else str(self._refusal)
                if self._judged and reason is not None and not ingest.size:
                    _log.info("%s", reason)
                self.waits = await self.uploads.work(self.place.leave, ingest, reason)
                self.over = not self.waits
        except (RossfsError, OSError) as error:
            _log.warning("a closed file is not committed yet: %s", error)
            self._refusal = error
            self._departure.fail()
            return
        self._ingest = None
        self._judged = self._accepted = False
        self._departure.done()
        self.uploads.ended(self)
        self.place.ended(self)

    # Moving

    async def move(self, place: Place, take: Callable[[Ingest], None]) -> None:
        """Go on at *place*.  *take*, in a worker thread, moves what must be moved, or raises: then
        nothing has changed.  It must be open for writing."""
        async with self.turn:
            if self.over or self._ingest is None:
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            await self.uploads.work(take, self._ingest)
            before, self.place = self.place, place
            accepted, self._accepted = self._accepted, False
            if self._judged:
                # Somebody was told already what becomes of it: first promise that again.
                self._judged = False
                await self._judge()
            if accepted:
                before.withdraw()

    def relocate(self, again: Callable[[Ingest], None]) -> None:
        """Its directory has another path: *again* tells what depends on it.  Requires the turn."""
        if self._ingest is not None and not self.over:
            again(self._ingest)

    async def drop(self) -> None:
        """It was removed: whoever has it open goes on, and nothing comes of it.

        The file that waits is left to the caller.
        """
        async with self.turn:
            if self.over:
                return
            self.attr()
            self.over = self._removed = True
            self._withdraw()
            if self._ingest is not None and not self.waits:
                durable.discard(self._ingest.path)
            await self._close_idle()

    # Waiting

    def is_moving(self) -> bool:
        """Whether it is about to become something else: who looks now should wait."""
        if self._ingest is None:
            return False
        if not self._is_written():
            return self._departure.is_under_way or self._departure.is_due
        return (
            (self._accepted or self.place.hidden)
            and self._departure.is_expected
            and all(handle.flushed for handle in self._handles if handle.writing)
        )

    async def settle(self) -> None:
        """Return when `is_moving` is false."""
        while self.is_moving():
            if self._departure.is_due:
                async with self.turn:
                    await self._close_idle()
            else:
                await self._departure.wait()
