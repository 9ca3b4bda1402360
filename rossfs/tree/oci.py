"""oci/: every repository as an OCI image layout that tools read and write (image-spec
image-layout.md).

    oci/<repository...>/          a directory; with a tag, or once a tool made it one, a layout
        oci-layout                {"imageLayoutVersion":"1.0.0"}
        index.json                the tags of the repository, and what else tools wrote there
        blobs/<algorithm>/<hex>   `ociblobs.py`
        ...                       other names: files and directories that are put aside

index.json is another inode whenever it says something else: who has it open reads on in the old
one.  What is written to it is merged with what others wrote since its writer read it
(`readings.py`, oci/layoutmerge.py).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Mapping, Sequence
from typing import ClassVar
from weakref import WeakValueDictionary

from rossfs.errors import InvalidReference, RepositoryNotFound
from rossfs.oci.document import parse_document
from rossfs.oci.layout import INDEX_FILE, LAYOUT_FILE, new_index
from rossfs.oci.layoutmerge import descriptors_of
from rossfs.oci.reference import check_repository
from rossfs.store.tagtree import is_prefix
from rossfs.tree.layoutfiles import IndexFile, LayoutFile
from rossfs.tree.layoutparts import IndexPart, LayoutPart, Part
from rossfs.tree.lazy import Lazy
from rossfs.tree.node import Attr, Caller, Entries, Entry, Listing, Node, Unsettled
from rossfs.tree.numbers import Fixed
from rossfs.tree.ociblobs import BLOBS, BlobsDirectory, path_of
from rossfs.tree.snapshots import COMPLETE, Snapshots
from rossfs.tree.workplace import Joined, Workplace, asides, failure, refused
from rossfs.tree.workshop import Workshop

INDEX = INDEX_FILE.encode()
LAYOUT = LAYOUT_FILE.encode()
_INGEST = b"ingest"  # where containerd and oras put files aside
_ALGORITHMS = (path_of(b"sha256"), path_of(b"sha512"))

_NOTHING: frozenset[bytes] = frozenset()
_OWN = frozenset((INDEX, LAYOUT, BLOBS))
"""What a layout is made of.  In a repository these names mean nothing else, so a repository q/blobs
hides nothing of the layout q: it is reached through tags/."""


def oci_directory(shop: Workshop) -> OciDirectory:
    """oci/ itself."""
    return OciDirectory(shop, "", Fixed.OCI)


class OciDirectory(Workplace):
    """A repository, the first components of some, or (with the path "") oci/ itself."""

    __slots__ = ("_blobs", "_indexes", "_own", "_snapshots", "_versions", "path")

    notes_absence: ClassVar[bool] = True

    def __init__(self, shop: Workshop, path: str, ino: int | None = None) -> None:
        super().__init__(shop.number(f"directory\0{path}".encode()) if ino is None else ino, shop)
        self.path = path
        self._own = _OWN if _is_repository_name(path) else _NOTHING
        self._blobs: BlobsDirectory | None = None
        self._snapshots = Snapshots()
        self._indexes = Snapshots()
        """index.json as a listing of that name alone."""
        self._versions: WeakValueDictionary[str, IndexFile] = WeakValueDictionary()

    @property
    def layout(self) -> str:
        return self.path

    @property
    def where(self) -> str:
        return f"oci/{self.path}" if self.path else "oci"

    def attr(self) -> Attr:
        modified_ns = 0
        paths = self.shop.store.paths
        for directory in (paths.layout(self.path), paths.repository(self.path)):
            with contextlib.suppress(OSError):
                modified_ns = max(modified_ns, os.stat(directory).st_mtime_ns)
        mode = stat.S_IFDIR | (0o755 if self.shop.writable else 0o555)
        return Attr.dated(mode, modified_ns)

    def same(self, other: Node) -> bool:
        return isinstance(other, OciDirectory) and other.path == self.path

    def xattrs(self) -> Mapping[bytes, bytes]:
        """user.ross.error: what was refused last in this layout, and why."""
        reason = self.shop.refusal(self.path)
        return {} if reason is None else {b"user.ross.error": reason}

    # Looking

    def lookup(self, name: bytes) -> Node | None:
        found = self.aside.get(name)
        if found is not None:
            return found
        if name not in self._own:
            return self._repository(name)
        if name == INDEX:
            return self._index()
        if not self._has(name):
            return None
        return self._layout_file() if name == LAYOUT else self.blobs()

    def missed(self, name: bytes, caller: Caller) -> Node | None:
        """Whoever looked for index.json, or for a layout, saw that there was nothing."""
        repository = self.path if name == INDEX else self._below(name)
        self.shop.readings.missed(self.shop.readings.who(caller.pid), repository)
        return None

    def blobs(self) -> BlobsDirectory:
        """blobs/ of this layout."""
        if self._blobs is None:
            self._blobs = BlobsDirectory(self)
        return self._blobs

    def _has(self, name: bytes) -> bool:
        """Whether this is a layout that has the part *name*."""
        shop = self.shop
        return (
            bool(self.path)
            and not shop.unmade.lacks(self.path, name)
            and shop.store.layouts.is_layout(self.path)
        )

    def _repository(self, name: bytes) -> OciDirectory | None:
        path = self._below(name)
        if name in self._own or not self._is_repository(path):
            return None
        return directory_of(self.shop, path)

    def _is_repository(self, path: str) -> bool:
        return self.shop.store.layouts.is_directory(path)

    def _below(self, name: bytes) -> str:
        text = name.decode("utf-8", "surrogateescape")
        return f"{self.path}/{text}" if self.path else text

    def _layout_file(self) -> LayoutFile:
        ino = self.shop.number(f"oci-layout\0{self.path}".encode())
        return LayoutFile(ino, self.shop, self.path, modified_ns=self.attr().mtime_ns)

    def _index(self) -> IndexFile | None:
        found = self._indexes.take()
        if found is None:
            self._indexes.want()
            raise Unsettled
        entry = found[0] if found else None
        return entry.node if entry is not None and isinstance(entry.node, IndexFile) else None

    async def settle(self) -> None:
        """Read index.json for who asked for it, make a listing."""
        if self._indexes.wanted:
            await self._indexes.make(self._index_alone)
        if self._snapshots.wanted:
            await self._snapshots.make(self._snapshot)

    def _index_alone(self) -> Listing:
        node = self._read_index()
        return Entries(() if node is None else (Entry(INDEX, node),))

    def _read_index(self) -> IndexFile | None:
        shop, layouts = self.shop, self.shop.store.layouts
        try:
            text, version = layouts.index(self.path)
        except (RepositoryNotFound, InvalidReference):  # or a registry, which is no repository
            return None
        if shop.unmade.lacks(self.path, INDEX):
            if not descriptors_of(parse_document(text, INDEX_FILE)):
                return None
            shop.unmade.made(self.path)
        node = self._versions.get(version)
        if node is None:
            ino = shop.number(f"index\0{self.path}\0{version}".encode())
            node = IndexFile(ino, shop, self.path, text, layouts.modified_ns(self.path))
            self._versions[version] = node
        return node

    def entries(self) -> Listing:
        """A snapshot, made by `settle` in a worker thread."""
        listing = self._snapshots.take()
        if listing is None:
            self._snapshots.want()
            raise Unsettled
        return Joined(asides(self), listing)

    def _snapshot(self) -> Listing:
        parts = []
        if self._has(LAYOUT):
            parts.append(Entry(LAYOUT, self._layout_file(), stat.S_IFREG))
        if self._has(BLOBS):
            parts.append(Entry(BLOBS, self.blobs(), stat.S_IFDIR))
        index = self._read_index() if self.path else None
        if index is not None:
            parts.append(Entry(INDEX, index, stat.S_IFREG))
        shown = self.aside.keys() | self._own
        try:
            found = self.shop.store.layouts.directories(self.path)
            names = tuple(sorted({name.encode() for name in found} - shown))
        except RepositoryNotFound:
            names = ()
        return Joined(Entries(parts), _Repositories(self, names))

    # Parts

    def is_part(self, name: bytes) -> bool:
        return bool(self.path) and name in (INDEX, LAYOUT)

    async def is_there(self, name: bytes, caller: Caller) -> bool:
        return self.is_part(name) and self._has(name)

    async def part(self, name: bytes, caller: Caller, size: int) -> Part:
        shop, repository = self.shop, self.path
        check_repository(repository)
        is_new = not await shop.uploads.work(shop.store.layouts.is_layout, repository)
        told = shop.teller(repository, name.decode())
        if name == LAYOUT:

            def tell(reason: str | None) -> None:
                told(reason)
                if reason is None:
                    if is_new:
                        shop.unmade.add(repository, INDEX, BLOBS, *_ALGORITHMS)
                    shop.unmade.made(repository, LAYOUT)

            return LayoutPart(shop.store, repository, tell, size)
        base, learn = await shop.base(repository, caller)

        def wrote(text: bytes) -> None:
            learn(text)
            shop.removals.made(repository)
            if descriptors_of(parse_document(text, INDEX_FILE)):
                shop.unmade.made(repository)
            elif is_new:
                shop.unmade.add(repository, LAYOUT, BLOBS, *_ALGORITHMS)
            shop.unmade.made(repository, INDEX)

        return IndexPart(shop.store, repository, told, base, wrote, size)

    def must_take(self, name: bytes) -> None:
        if not self.path or name == BLOBS:
            raise failure(errno.EPERM)
        if not self._is_repository(self.path):
            raise failure(errno.ENOENT)
        if self._is_repository(self._below(name)):
            raise failure(errno.EISDIR)

    # Changing

    async def mkdir(self, name: bytes, mode: int, caller: Caller) -> Node:
        """Make a repository; blobs/, which makes a layout; or a directory that is put aside.

        InvalidReference, Conflict, TagConflict.
        """
        shop = self.shop
        shop.require_writable()
        if name in self.aside:
            raise failure(errno.EEXIST)
        path = self._below(name)
        if name in self._own:
            if name == BLOBS:
                return await self._make_blobs()
            raise refused(
                errno.EEXIST if self._has(name) else errno.EPERM,
                f"{self.named(name)} is a file of a layout: a repository of that name is made in"
                " tags/",
            )
        if self.path and (name == _INGEST or not is_prefix(path)):
            return await self.make_aside(name, caller)
        await shop.uploads.work(shop.store.layouts.make_directory, path)
        return directory_of(shop, path)

    async def _make_blobs(self) -> BlobsDirectory:
        shop = self.shop
        check_repository(self.path)
        if self._has(BLOBS):
            raise failure(errno.EEXIST)
        if not await shop.uploads.work(shop.store.layouts.is_layout, self.path):
            await shop.uploads.work(shop.store.layouts.create, self.path)
            shop.unmade.add(self.path, INDEX, LAYOUT, *_ALGORITHMS)
        shop.unmade.made(self.path, BLOBS)
        return self.blobs()

    async def unlink(self, name: bytes, caller: Caller) -> None:
        """Remove what was put aside; or index.json, and with it all tags; or oci-layout."""
        self.shop.require_writable()
        if await self.remove_aside(name):
            return
        if self.is_part(name) and self._has(name):
            if name == INDEX:
                await self.shop.uploads.work(self._empty)
            self.shop.unmade.add(self.path, name)
            return
        is_directory = (name == BLOBS and self._has(BLOBS)) or self._repository(name) is not None
        raise failure(errno.EISDIR if is_directory else errno.ENOENT)

    def _empty(self) -> None:
        layouts = self.shop.store.layouts
        text, _ = layouts.index(self.path)
        layouts.replace(self.path, text, new_index(()))
        self.shop.teller(self.path, INDEX_FILE)(None)

    async def rmdir(self, name: bytes, caller: Caller) -> None:
        """Remove an empty repository, also a layout that names and lists nothing; ENOTEMPTY."""
        shop = self.shop
        shop.require_writable()
        if self.remove_aside_directory(name):
            return
        if name == BLOBS and self._has(BLOBS):
            if not await self.blobs().is_empty():
                raise failure(errno.ENOTEMPTY)
            shop.unmade.add(self.path, BLOBS, *_ALGORITHMS)
            return
        found = self._repository(name)
        if found is None:
            raise failure(errno.ENOTDIR if self.is_part(name) else errno.ENOENT)
        if found.aside or (found._blobs is not None and not await found._blobs.is_empty()):
            raise failure(errno.ENOTEMPTY)
        await shop.uploads.work(shop.store.layouts.remove_directory, found.path)
        shop.unmade.made(found.path)


class _Repositories(Lazy):
    """The directories of a snapshot; each is made when it is asked for."""

    __slots__ = ("_above", "_names")

    def __init__(self, above: OciDirectory, names: Sequence[bytes]) -> None:
        self._above = above
        self._names = names

    def __len__(self) -> int:
        return len(self._names)

    def entry(self, index: int) -> Entry | None:
        name = self._names[index]
        if len(self._names) > COMPLETE:
            return Entry(name, None, stat.S_IFDIR)
        node = self._above._repository(name)
        return None if node is None else Entry(name, node, stat.S_IFDIR)


def _is_repository_name(path: str) -> bool:
    try:
        check_repository(path)
    except InvalidReference:
        return False  # oci/ itself, or a registry
    return True


def directory_of(shop: Workshop, path: str) -> OciDirectory:
    """The directory of a repository, the same one while it is in use."""
    directory = shop.directories.get(path)
    if directory is None:
        directory = shop.directories[path] = OciDirectory(shop, path)
    return directory
