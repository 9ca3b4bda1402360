"""blobs/ of a layout.

    blobs/<algorithm>/<hex>     any content of the store can be looked up; listed is what index.json
                                reaches and what came through this layout
    blobs/<algorithm>/...       other names are files that are put aside

Removing a digest takes it out of the listing, and away from who removed it (`removals.py`): content
is removed by collections.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rossfs.oci.digest import HEX_LENGTHS, Digest, is_hex_name
from rossfs.store.paths import ALGORITHMS, Area
from rossfs.tree.digestlisting import DigestListing
from rossfs.tree.digests import DigestDirectory, Source
from rossfs.tree.layoutparts import BlobPart, Part
from rossfs.tree.node import (
    Attr,
    AttrChange,
    Caller,
    Directory,
    Entries,
    Entry,
    Listing,
    Node,
    Unsettled,
)
from rossfs.tree.snapshots import COMPLETE, Snapshots
from rossfs.tree.workplace import Joined, Workplace, asides, failure

if TYPE_CHECKING:
    from rossfs.tree.oci import OciDirectory

BLOBS = b"blobs"
_USUAL = b"sha256"


class BlobsDirectory(Directory):
    """blobs/ of *layout*: one directory for each algorithm."""

    __slots__ = ("_directories", "_layout", "_repository", "_shop")

    ttl: ClassVar[float] = 0.0

    def __init__(self, layout: OciDirectory) -> None:
        super().__init__(layout.shop.number(f"blobs\0{layout.path}".encode()))
        self._layout = layout
        self._shop = layout.shop
        self._repository = layout.path
        self._directories = {name.encode(): BlobDirectory(layout, name) for name in ALGORITHMS}

    def attr(self) -> Attr:
        return self._layout.attr()

    def same(self, other: Node) -> bool:
        return isinstance(other, BlobsDirectory) and other._repository == self._repository

    async def setattr(self, change: AttrChange, caller: Caller) -> None:
        """Everything succeeds and changes nothing."""

    def lookup(self, name: bytes) -> Node | None:
        directory = self._directories.get(name)
        if directory is None or self._shop.unmade.lacks(self._repository, path_of(name)):
            return None
        return directory

    def entries(self) -> Listing:
        return Entries(
            Entry(name, directory, stat.S_IFDIR)
            for name, directory in self._directories.items()
            if (name == _USUAL or directory.exists()) and self.lookup(name) is not None
        )

    async def mkdir(self, name: bytes, mode: int, caller: Caller) -> Node:
        """Make the directory of an algorithm, if a new layout lacks it; EPERM for other names."""
        self._shop.require_writable()
        directory = self._directories.get(name)
        if directory is None:
            raise failure(errno.EPERM)
        if self.lookup(name) is not None:
            raise failure(errno.EEXIST)
        self._shop.unmade.made(self._repository, path_of(name))
        return directory

    async def rmdir(self, name: bytes, caller: Caller) -> None:
        """Remove the directory of an algorithm that lists nothing."""
        self._shop.require_writable()
        directory = self._directories.get(name)
        if directory is None or self.lookup(name) is None:
            raise failure(errno.ENOENT)
        if not await directory.is_empty():
            raise failure(errno.ENOTEMPTY)
        self._shop.unmade.add(self._repository, path_of(name))

    async def is_empty(self) -> bool:
        """Whether none of them lists anything."""
        return all([await directory.is_empty() for directory in self._directories.values()])


class BlobDirectory(Workplace):
    """blobs/<algorithm>/ of *layout*."""

    __slots__ = ("_algorithm", "_digests", "_layout", "_repository", "_snapshots")

    replaces: ClassVar[bool] = False
    notes_absence: ClassVar[bool] = True

    def __init__(self, layout: OciDirectory, algorithm: str) -> None:
        shop = layout.shop
        super().__init__(shop.number(f"blobs\0{layout.path}\0{algorithm}".encode()), shop)
        self._layout = layout
        """While this is in use there must be no other one, so no other directory above."""
        self._algorithm = algorithm
        self._repository = layout.path
        store = shop.store
        directories = [store.paths.area(area, algorithm) for area in Area]
        source = Source(algorithm, shop.files.glance, store.contents.settle, directories)
        self._digests = DigestDirectory(self.ino, source, shop.uploads)
        self._snapshots = Snapshots()

    @property
    def algorithm(self) -> str:
        return self._algorithm

    @property
    def layout(self) -> str:
        return self._repository

    @property
    def where(self) -> str:
        return f"oci/{self._repository}/blobs/{self._algorithm}"

    def attr(self) -> Attr:
        mode = stat.S_IFDIR | (0o755 if self.shop.writable else 0o555)
        return Attr.dated(mode, self._digests.attr().mtime_ns)

    def same(self, other: Node) -> bool:
        return isinstance(other, BlobDirectory) and other._key() == self._key()

    def _key(self) -> tuple[str, str]:
        return self._repository, self._algorithm

    def exists(self) -> bool:
        """Whether the store has content of this algorithm, or something is put aside here."""
        return bool(self.aside) or self._digests.exists()

    # Looking

    def lookup(self, name: bytes) -> Node | None:
        found = self.aside.get(name)
        if found is not None:
            return found
        node = self._digests.lookup(name)
        removals = self.shop.removals
        if removals and node is not None and removals.hides(self._repository, self._of(name)):
            return None  # `missed` knows who asks
        return node

    def missed(self, name: bytes, caller: Caller) -> Node | None:
        """A digest that somebody else removed."""
        if not self.shop.removals or not self.is_part(name) or self._is_gone(name, caller):
            return None
        return self._digests.lookup(name)

    def entries(self) -> Listing:
        """A snapshot, made by `settle` in a worker thread."""
        listing = self._snapshots.take()
        if listing is None:
            self._snapshots.want()
            raise Unsettled
        return Joined(asides(self), listing)

    async def settle(self) -> None:
        """Wait for what lookups asked about, make a listing."""
        await self._digests.settle()
        if self._snapshots.wanted:
            await self.shop.uploads.settle()
            await self._snapshots.make(self._snapshot)

    def _snapshot(self) -> Listing:
        raw = b"".join(
            digest.raw
            for digest in self.shop.store.layouts.listing(self._repository)
            if digest.algorithm == self._algorithm
        )
        complete = len(raw) <= COMPLETE * (HEX_LENGTHS[self._algorithm] // 2)
        return DigestListing(raw, self._algorithm, self._digests.entry if complete else _name)

    async def is_empty(self) -> bool:
        """Whether it lists nothing."""
        return not self.aside and not len(await self.shop.uploads.work(self._snapshot))

    def watched(self) -> Sequence[str]:
        return self._digests.watched()

    def shown_as(self, name: bytes) -> Sequence[bytes]:
        return self._digests.shown_as(name)

    def changed_by_others(self, name: bytes | None) -> None:
        self._digests.changed_by_others(name)

    def forgotten(self) -> None:
        self._digests.forgotten()

    # Changing

    def is_part(self, name: bytes) -> bool:
        return is_hex_name(name, self._algorithm)

    async def part(self, name: bytes, caller: Caller, size: int) -> Part:
        shop, repository, digest = self.shop, self._repository, self._of(name)
        told = shop.teller(repository, f"blobs/{self._algorithm}/{digest.hex}")

        def tell(reason: str | None) -> None:
            told(reason)
            if reason is None:
                shop.removals.made(repository, digest)

        return BlobPart(shop.store, repository, digest, tell, size)

    async def is_there(self, name: bytes, caller: Caller) -> bool:
        if not self.is_part(name) or self._is_gone(name, caller):
            return False
        return await self._is_stored(name)

    async def _is_stored(self, name: bytes) -> bool:
        contents = self.shop.store.contents
        return await self.shop.uploads.work(contents.settle, self._of(name)) is not None

    def _is_gone(self, name: bytes, caller: Caller) -> bool:
        return self.shop.removals.is_gone(self._repository, self._of(name), caller.pid)

    def _of(self, name: bytes) -> Digest:
        return Digest(self._algorithm, name.decode())

    def must_take(self, name: bytes) -> None:
        if not self.shop.store.layouts.is_layout(self._repository):
            raise failure(errno.ENOENT)

    async def unlink(self, name: bytes, caller: Caller) -> None:
        """Remove what was put aside, or take a digest out of the listing."""
        self.shop.require_writable()
        if await self.remove_aside(name):
            return
        if not (self.is_part(name) and await self._is_stored(name)):
            raise failure(errno.ENOENT)
        # The kernel may know it from others though this caller removed it before.
        digest = self._of(name)
        await self.shop.uploads.work(self.shop.store.layouts.drop, self._repository, digest)
        self.shop.removals.removed(self._repository, digest, caller.pid)

    async def mkdir(self, name: bytes, mode: int, caller: Caller) -> Node:
        """Make a directory among what is put aside; EPERM for a digest."""
        if self.is_part(name):
            raise failure(errno.EPERM)
        return await self.make_aside(name, caller)

    async def rmdir(self, name: bytes, caller: Caller) -> None:
        """Remove an empty directory that was put aside."""
        self.shop.require_writable()
        if not self.remove_aside_directory(name):
            raise failure(errno.ENOTDIR if self.is_part(name) else errno.ENOENT)


def path_of(algorithm: bytes) -> bytes:
    """The path of the directory of an algorithm from the layout on."""
    return BLOBS + b"/" + algorithm


def _name(name: bytes) -> Entry:
    return Entry(name, None, stat.S_IFREG)
