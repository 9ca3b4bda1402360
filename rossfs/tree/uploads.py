"""All files that are being written through one mount.

A staged file (`staged.py`) is one that somebody writes or wrote, and that is not content yet.  What
becomes of it is for its Place to say: in incoming/ it becomes a blob and its name a link, in tags/
a manifest and its name a tag.

close(2) does not wait for RELEASE, which carries out what FLUSH accepted, so the caller's next
request may reach us first.  Whoever looks for a name that could come of it asks `settled`, and
raises Unsettled and awaits `settle` if not: then commits under way are done, and a RELEASE that
should come at any moment has come, or has not come within a moment, since its descriptor is open
elsewhere (dup, fork).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Protocol, TypeVar, TypeVarTuple, runtime_checkable

import trio

from rossfs.errors import InvalidDocument
from rossfs.oci.digest import Digest
from rossfs.store.ingest import Ingest
from rossfs.store.paths import Area
from rossfs.store.store import Store
from rossfs.tree.node import Caller
from rossfs.tree.numbers import FIRST_UPLOADED
from rossfs.tree.place import Place
from rossfs.tree.staged import Staged

# Work on uploads sleeps on the disk and on the store lock: it must not use up trio's own threads,
# which readers need.
_WORKERS = 16

INLINE = 256 << 10
"""Bytes that are written in the event loop, as many as cp(1) writes at once: a worker thread costs
several times as much as copying them.  Whoever looks for something meanwhile waits for more."""

SLOW = 5e-3
"""Seconds from which on a write has waited for the disk: so much is copied in a twentieth of that,
and who writes more than the disk takes is put to sleep for 10 ms and more (balance_dirty_pages)."""

PAUSE = 1.0
"""Seconds for which writes are made by worker threads then, so that nobody else waits."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


@runtime_checkable
class Adopter(Protocol):
    """A directory of another kind into which a file of incoming/ can be renamed."""

    async def adopt(self, name: bytes, digest: Digest, flags: int, caller: Caller) -> None:
        """Make *name* stand for the stored content *digest*; *flags* as in renameat2(2).

        The name in incoming/ is removed afterwards, unless this raises.
        """


class Uploads:
    """The staged files of one mount."""

    __slots__ = ("_active", "_numbers", "_slow", "_workers", "store")

    def __init__(self, store: Store) -> None:
        self.store = store
        self._numbers = itertools.count(FIRST_UPLOADED)
        self._workers = trio.CapacityLimiter(_WORKERS)
        self._active: set[Staged] = set()
        self._slow = 0.0
        """Until when writes may take long (time.monotonic)."""

    def file(self, place: Place, *, waits: bool = False) -> Staged:
        """A new node for *place*: of the file that *waits* there, or of one to be made."""
        return Staged(next(self._numbers), self, place, waits=waits)

    def stage(self, publish: Callable[[Digest, str], None], ended: Callable[[], None]) -> Staged:
        """A file whose content is to be a manifest or index with a name of its own.

        When it is closed its content is stored, or refused, and then *publish* is called in a
        worker thread with digest and media type: close(2) gets its errors.  *ended* is called in
        the event loop once the last writer is gone, whether or not anything was published; the node
        is of no use afterwards.  Open it with `Staged.open`.
        """
        return self.file(Publication(self.store, publish, ended))

    def settled(self) -> bool:
        """Whether nothing is under way that a lookup should wait for."""
        return not self._active or not any(staged.is_moving() for staged in self._active)

    async def settle(self) -> None:
        """Wait for what is under way now."""
        for staged in tuple(self._active):
            await staged.settle()

    def active(self) -> tuple[Staged, ...]:
        """Those that are open."""
        return tuple(self._active)

    # For staged files only

    def is_swift(self, ingest: Ingest, size: int) -> bool:
        """Whether *size* bytes for *ingest* can be expected to be copied at once, so that they are
        not worth a worker thread."""
        return size <= INLINE and ingest.keeps_up and time.monotonic() >= self._slow

    def write(self, ingest: Ingest, offset: int, data: bytes | memoryview) -> None:
        """Write in the event loop, and take note of how long that takes."""
        began = time.monotonic()
        ingest.write_at(offset, data)
        now = time.monotonic()
        if now - began > SLOW:
            self._slow = now + PAUSE

    def began(self, staged: Staged) -> None:
        """*staged* has something open."""
        self._active.add(staged)

    def ended(self, staged: Staged) -> None:
        """*staged* has nothing open any more."""
        self._active.discard(staged)

    async def work(self, task: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """Do something that may take long in a worker thread."""
        return await trio.to_thread.run_sync(task, *arguments, limiter=self._workers)


class Publication(Place):
    """The place of a manifest that gets a name of its own: everything happens at FLUSH."""

    __slots__ = ("_ended", "_publish", "_store")

    def __init__(
        self, store: Store, publish: Callable[[Digest, str], None], ended: Callable[[], None]
    ) -> None:
        self._store = store
        self._publish = publish
        self._ended = ended

    def judge(self, ingest: Ingest) -> bool:
        """Store the manifest and publish it; an empty file is nothing yet."""
        if not ingest.size:
            return False
        stored = ingest.finish()
        if stored.area is Area.BLOBS:
            raise InvalidDocument(f"{stored.digest} is neither a manifest nor an index")
        data = ingest.read_at(0, stored.size)
        self._store.put_blob(stored.media_type, data, stored.digest)
        self._publish(stored.digest, stored.media_type)
        return True

    def carry_out(self, ingest: Ingest) -> None:
        ingest.abort()

    def leave(self, ingest: Ingest, reason: str | None) -> bool:
        ingest.abort()
        return False

    def ended(self, staged: Staged) -> None:
        self._ended()
