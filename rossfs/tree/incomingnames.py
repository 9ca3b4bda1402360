"""The names of incoming/: what each is at this moment.

A name is one of: a directory, a pin (a link to what was committed), a file that waits, or a file
that is being written (`staged.py`), which hides what the disk has under the name until it is
concluded.  A pin that is being written anew is shown as it was until a writer is done, so whoever
reads it finds a whole content; the files that are written meanwhile are its rewriters.  What is
written through another mount of the same store is not shown before it is done there.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Self
from weakref import WeakValueDictionary

from rossfs.errors import DigestMismatch
from rossfs.oci.digest import Digest, hasher_for
from rossfs.oci.quotation import quote
from rossfs.store.incoming import RESERVED, link_text
from rossfs.store.store import Store
from rossfs.tree.incomingname import Name, digest_of_name
from rossfs.tree.lazy import Lazy
from rossfs.tree.node import (
    NLINK_UNKNOWN,
    Attr,
    AttrChange,
    Caller,
    Directory,
    Entry,
    Listing,
    Node,
    Unsettled,
)
from rossfs.tree.numbers import Numbers
from rossfs.tree.pinlink import PinLink
from rossfs.tree.snapshots import Snapshots, is_small
from rossfs.tree.staged import Staged
from rossfs.tree.uploads import Uploads


class Inbox:
    """What all directories of incoming/ share."""

    __slots__ = ("directories", "number_directory", "number_pin", "store", "uploads")

    def __init__(self, store: Store, uploads: Uploads, numbers: Numbers) -> None:
        self.store = store
        self.uploads = uploads
        self.number_directory = numbers.family(b"incoming")
        self.number_pin = numbers.family(b"pin")
        self.directories: WeakValueDictionary[int, IncomingNames] = WeakValueDictionary()


class IncomingNames(Directory):
    """incoming/ or a directory in it, as far as looking goes.  *above* and *name* say where it is,
    and may change."""

    __slots__ = (
        "__weakref__",
        "_rewriters",
        "_snapshots",
        "_wanted",
        "above",
        "files",
        "inbox",
        "name",
        "rewritten",
    )

    ttl: ClassVar[float] = 0.0

    def __init__(self, ino: int, inbox: Inbox, above: Self | None, name: bytes) -> None:
        super().__init__(ino)
        self.inbox = inbox
        self.above = above
        self.name = name
        # Open files are held by their handles, others by the kernel's side while it knows them.
        self.files: WeakValueDictionary[bytes, Staged] = WeakValueDictionary()
        self.rewritten: WeakValueDictionary[tuple[bytes, int], Staged] = WeakValueDictionary()
        """What is about to be opened: by name, and by thread or 0."""
        self._rewriters: dict[bytes, list[Staged]] = {}
        self._snapshots = Snapshots()
        self._wanted: set[Staged] = set()

    def below(self, name: bytes) -> bytes:
        """The path of *name* from incoming/ on."""
        parts = [name]
        directory = self
        while directory.above is not None:
            parts.append(directory.name)
            directory = directory.above
        return b"/".join(reversed(parts))

    @property
    def path(self) -> bytes:
        """Its own path from incoming/ on; b"" for incoming/ itself."""
        return b"" if self.above is None else self.above.below(self.name)

    def attr(self) -> Attr:
        store = self.inbox.store
        status = store.incoming.status(self.path)
        mode = stat.S_IFDIR | (0o755 if store.writable else 0o555)
        if status is None:
            return Attr(mode, nlink=NLINK_UNKNOWN)
        return Attr(
            mode,
            nlink=NLINK_UNKNOWN,
            mtime_ns=status.st_mtime_ns,
            ctime_ns=status.st_ctime_ns,
            atime_ns=status.st_atime_ns,
        )

    async def setattr(self, change: AttrChange, caller: Caller) -> None:
        """Times are set; mode and owner (mkdir -m, cp -a, tar) succeed and change nothing."""
        if change.mtime_ns is not None:
            path = self.inbox.store.incoming.path(self.path)
            os.utime(path, ns=(change.atime_ns or change.mtime_ns, change.mtime_ns))

    # Looking

    def lookup(self, name: bytes) -> Node | None:
        moving = [staged for staged in self._written(name) if staged.is_moving()]
        if moving:
            self._wanted.update(moving)
            raise Unsettled
        return self.find(name)

    def find(self, name: bytes) -> Node | None:
        """As `lookup`, but what is there now: does not wait."""
        staged = self.files.get(name)
        if staged is not None and staged.busy:
            return staged
        if self._is_reserved(name):
            return None
        inbox, path = self.inbox, self.below(name)
        status = inbox.store.incoming.status(path)
        if status is None:
            return None
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFLNK:
            return self._pin(path, status)
        if kind == stat.S_IFDIR:
            return self._directory(name, status)
        if kind != stat.S_IFREG:
            return None
        if staged is None or staged.over:
            staged = inbox.uploads.file(Name(inbox.store, self, name), waits=True)
            self.files[name] = staged
        return staged

    def entries(self) -> Listing:
        """A snapshot; where it is large, or commits are under way, it is made by `settle`."""
        listing = self._snapshots.take()
        if listing is not None:
            return listing
        inbox = self.inbox
        if inbox.uploads.settled() and is_small((inbox.store.incoming.path(self.path),)):
            return self._snapshot(self.path, self._busy())
        self._snapshots.want()
        raise Unsettled

    async def settle(self) -> None:
        """Wait for the commits that lookups and listings asked about."""
        wanted, self._wanted = self._wanted, set()
        for staged in wanted:
            await staged.settle()
        if self._snapshots.wanted:
            await self.inbox.uploads.settle()
            await self._snapshots.make(partial(self._snapshot, self.path, self._busy()))

    def is_busy(self) -> bool:
        """Whether a file in it is open."""
        return bool(self._rewriters or self._busy())

    def _busy(self) -> set[bytes]:
        return {name for name, staged in self.files.items() if staged.busy}

    def _snapshot(self, path: bytes, busy: set[bytes]) -> Listing:
        """Touches nothing that changes: runs in any thread."""
        return _Names(self, tuple(busy.union(self.inbox.store.incoming.names(path))))

    def _is_reserved(self, name: bytes) -> bool:
        return self.above is None and name == RESERVED

    def _pin(self, path: bytes, status: os.stat_result) -> PinLink | None:
        incoming = self.inbox.store.incoming
        digest = incoming.digest(path)
        if digest is None:
            return None
        text = link_text(path, digest).encode()
        identity = b"%b\0%b\0%d\0%d" % (path, text, status.st_ino, status.st_mtime_ns)
        number = self.inbox.number_pin(identity)
        return PinLink(number, text, incoming.path(path), status.st_mtime_ns)

    def _directory(self, name: bytes, status: os.stat_result) -> IncomingNames:
        ino = self.inbox.number_directory(b"%d" % status.st_ino)
        directory = self.inbox.directories.get(ino)
        if directory is None:
            directory = type(self)(ino, self.inbox, self, name)
            self.inbox.directories[ino] = directory
        # It may have been renamed by another process, or removed and its number given to this one.
        directory.above, directory.name = self, name
        return directory

    def show(self, name: bytes, staged: Staged) -> None:
        """*staged* is open: it is what *name* is, or will be if it is hidden."""
        if staged.place.hidden:
            self._rewriters.setdefault(name, []).append(staged)
        else:
            self.files[name] = staged

    def hide(self, name: bytes, staged: Staged) -> None:
        """*staged* was concluded: what the disk has is what *name* is."""
        self.leave(name, staged)
        known = self.files.get(name)
        if not staged.over and (known is None or not known.busy):
            self.files[name] = staged
        elif staged.over and known is staged:
            del self.files[name]

    def leave(self, name: bytes, staged: Staged) -> None:
        """*staged* is no rewriter of *name* any more, if it was one."""
        rewriters = self._rewriters.get(name, [])
        if staged in rewriters:
            rewriters.remove(staged)
            if not rewriters:
                del self._rewriters[name]

    def rewriters(self, name: bytes) -> list[Staged]:
        """The open files that will be what the pin *name* is, the latest last."""
        return [staged for staged in self._rewriters.get(name, ()) if not staged.over]

    # Moving

    def holds(self, staged: Staged) -> bool:
        """Whether *staged* is written in this directory or in one in it."""
        place = staged.place
        above = place.directory if isinstance(place, Name) else None
        while above is not None and above is not self:
            above = above.above
        return above is not None

    def take_place(self, above: Self, name: bytes, written: Sequence[Staged]) -> None:
        """Become *name* in *above*, with all that is *written* here.  Requires the turns of those;
        in a worker thread.

        What is closed meanwhile would be committed under the old path, and make that anew.
        """
        incoming, old = self.inbox.store.incoming, self.path
        with self.inbox.store.access.sweeping():
            incoming.move(old, above.below(name))
            self.above, self.name = above, name
            for staged in written:
                place = staged.place
                if isinstance(place, Name) and self.holds(staged):
                    was = old + place.full[len(self.path) :]
                    staged.relocate(partial(place.follow, was))

    # Inside

    async def changing(self, name: bytes) -> None:
        """*name* is about to be changed: wait for what is under way there."""
        self.inbox.store.access.require_writable()
        if self._is_reserved(name):
            raise failure(errno.EPERM)
        for staged in self._written(name):
            await staged.settle()

    def _written(self, name: bytes) -> list[Staged]:
        """All files that are being written under *name*."""
        staged = self.files.get(name)
        rewriters = self._rewriters.get(name, [])
        return [*rewriters] if staged is None else [staged, *rewriters]

    async def give_up(self, name: bytes, found: Node | None) -> None:
        """Something else takes the place of *found*, or nothing does."""
        if isinstance(found, Staged):
            if self.files.get(name) is found:
                del self.files[name]
            await found.drop()
        for staged in self.rewriters(name):
            await staged.drop()

    async def require_name(self, name: bytes, digest: Digest) -> None:
        """DigestMismatch if *name* is the digest of something else than the stored *digest*;
        BlobNotFound if that must be hashed another way to tell, and is not there."""
        expected = digest_of_name(name)
        if expected is None:
            return
        if expected.algorithm != digest.algorithm:
            store, algorithm = self.inbox.store, expected.algorithm
            digest = await self.inbox.uploads.work(_hashed, store, digest, algorithm)
        if expected != digest:
            raise DigestMismatch(
                f"{quote(b'incoming/' + self.below(name), 300)} cannot name {digest}"
            )

    def _found(self, name: bytes) -> Node:
        found = self.find(name)
        if found is None:
            raise failure(errno.ENOENT)
        return found


class _Names(Lazy):
    """A snapshot of names; what is behind each is looked up when it is asked for."""

    __slots__ = ("_directory", "_names")

    def __init__(self, directory: IncomingNames, names: tuple[bytes, ...]) -> None:
        self._directory = directory
        self._names = names

    def __len__(self) -> int:
        return len(self._names)

    def entry(self, index: int) -> Entry | None:
        name = self._names[index]
        node = self._directory.find(name)
        return None if node is None else Entry(name, node)


def _hashed(store: Store, digest: Digest, algorithm: str) -> Digest:
    """The digest by *algorithm* of the content that is stored as *digest*."""
    hasher = hasher_for(algorithm)
    with store.open_blob(digest) as reader:
        for piece in reader.chunks():
            hasher.update(piece)
    return Digest(algorithm, hasher.hexdigest())


def failure(number: int) -> OSError:
    """The system error *number*."""
    return OSError(number, os.strerror(number))
