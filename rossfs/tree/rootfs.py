"""images/sha256/<hex>/rootfs/: all layers of an image, merged.

A directory's number is the key of its `Merged` (image/merged.py): position of the layer and index
in its table; so it is found again from its number alone.  Directories belong to one image; what is
in them belongs to its layer (layerinodes.py).
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from rossfs.image.merged import Merged, Place
from rossfs.image.record import LOWER_LINK, RECORD, RECORD_SIZE
from rossfs.image.rootfs import Rootfs
from rossfs.oci.digest import Digest
from rossfs.tree.layerinodes import LayerInodes, attr_of
from rossfs.tree.node import FOREVER, Attr, Directory, Node, Rows, Tree
from rossfs.tree.numbers import INDEX, TREE_SHIFT
from rossfs.tree.recent import Recent
from rossfs.tree.rows import DEVICES, Plain, rows_of

RECORD_SHIFT = 30
"""Bits of an index that number the record; those above number the layer (opened.MAX_RECORDS)."""

KEPT = 4096
"""Names of a directory whose listing is kept: making one of that size again is not the cost that
matters."""

_S_IFMT = 0o170000
_S_IFDIR = stat.S_IFDIR
_unpack = RECORD.unpack_from

_RECORD = (1 << RECORD_SHIFT) - 1


class RootfsTree(Tree):
    """The directories of one image's root filesystem."""

    __slots__ = ("base", "digest", "layers", "parent", "recent", "rootfs")

    def __init__(
        self,
        number: int,
        digest: Digest,
        rootfs: Rootfs,
        layers: Sequence[LayerInodes],
        parent: int,
        recent: Recent,
    ) -> None:
        """*digest*: of the image that *rootfs* is of, or of the highest layer if it is a part of
        one; *layers*: the inodes of each of its layers."""
        super().__init__(number)
        self.recent = recent
        self.base = number << TREE_SHIFT
        self.digest = digest
        self.rootfs = rootfs
        self.layers = layers
        self.parent = parent
        """The number of the directory that rootfs/ is in."""

    @property
    def root(self) -> RootfsDirectory:
        """rootfs/ itself."""
        return RootfsDirectory(self, self.rootfs.root)

    def ino(self, directory: Merged) -> int:
        """The number of a directory."""
        position, index = directory.key
        return self.base | position << RECORD_SHIFT | index

    def node(self, ino: int) -> Node:
        """See Tree.node."""
        known = self.recent.get(ino)
        if known is not None:
            return known
        key = ino & INDEX
        directory = self.rootfs.directory(Place(key >> RECORD_SHIFT, key & _RECORD))
        if directory is None:
            raise OSError(errno.ESTALE, f"the root filesystem of {self.digest} has no inode {key}")
        node = RootfsDirectory(self, directory)
        self.recent.put(node)
        return node

    def forgotten(self) -> None:
        """Let nothing that is kept for speed keep the layers open."""
        self.recent.forget(self.number)


class RootfsDirectory(Directory):
    """A directory of a root filesystem."""

    __slots__ = ("_attr", "_merged", "_parent", "_rows", "_tree")

    ttl: ClassVar[float] = FOREVER
    negative_ttl: ClassVar[float] = FOREVER
    remade: ClassVar[bool] = True
    foreign_xattrs: ClassVar[bool] = True

    def __init__(self, tree: RootfsTree, merged: Merged, parent: int = 0) -> None:
        super().__init__(tree.ino(merged))
        self._tree = tree
        self._merged = merged
        self._rows: RootfsRows | None = None
        self._attr: Attr | None = None
        self._parent = parent
        """The number of the directory that it is in; 0: not known yet."""

    @property
    def weight(self) -> int:
        """Names that are kept here."""
        return len(self._rows) if self._rows is not None else 0

    def attr(self) -> Attr:
        attr = self._attr
        if attr is None:
            attr = self._attr = attr_of(self._tree.rootfs.record(self._merged.owner))
        return attr

    def parent_ino(self) -> int:
        if not self._parent:
            tree = self._tree
            if self._merged.key == tree.rootfs.root.key:
                self._parent = tree.parent
            else:
                self._parent = tree.ino(tree.rootfs.parent(self._merged))
        return self._parent

    def xattrs(self) -> Mapping[bytes, bytes]:
        """Those of the tar."""
        files = self._files()
        return files.toc.xattrs(self._merged.owner.index) if files is not None else {}

    def _files(self) -> LayerInodes | None:
        """The layer whose entry gives the attributes; None in an image without layers."""
        layers = self._tree.layers
        return layers[self._merged.owner.position] if layers else None

    async def xattr(self, name: bytes) -> bytes | None:
        """Besides those: user.ross.layer, .diff_id and .history; .digest of the image for the
        root."""
        tree = self._tree
        if name == b"user.ross.digest" and self._merged.key == tree.rootfs.root.key:
            return str(tree.digest).encode()
        files = self._files()
        if files is None:
            return None
        return files.described(name) or self.xattrs().get(name)

    def lookup(self, name: bytes) -> Node | None:
        tree = self._tree
        found = tree.rootfs.lookup(self._merged, name)
        if found is None:
            return None
        if isinstance(found, Merged):
            return RootfsDirectory(tree, found, self.ino)
        return tree.layers[found.position].at(found.index)

    def about(self) -> int:
        return self._tree.rootfs.about(self._merged)

    def entries(self) -> Rows:
        rows = self._rows
        if rows is None:
            rows = RootfsRows(self._tree, self._merged, self.ino)
            if len(rows) <= KEPT:
                self._rows = rows
                self._tree.recent.grew(len(rows))
        return rows


class RootfsRows(Rows):
    """The names in a directory of a root filesystem."""

    __slots__ = ("_elsewhere", "_entries", "_parent", "_tree")

    def __init__(self, tree: RootfsTree, merged: Merged, parent: int) -> None:
        self._tree = tree
        self._parent = parent
        self._entries = tree.rootfs.entries(merged)
        self._elsewhere: dict[int, Plain] = {}
        """Rows that are more than a record: directories, which may be merged, and hard links to
        lower layers."""

    def __len__(self) -> int:
        return len(self._entries)

    def rows(self, start: int) -> Iterator[Plain]:
        plain = self._entries.plain
        if plain is None:
            return self._merged_rows(start)
        tree = self._tree
        position, children = plain
        files = tree.layers[position]
        return rows_of(
            files.toc, children[start:], files.base, tree.base | position << RECORD_SHIFT
        )

    def _merged_rows(self, start: int) -> Iterator[Plain]:
        tree = self._tree
        tables = [(files.toc, files.toc.buffer, files.base) for files in tree.layers]
        for number, (position, index) in enumerate(self._entries.places(start), start):
            toc, buffer, base = tables[position]
            if index < toc.count:
                (at, length, mode, uid, gid, mtime_ns, size, data, _, nlink, inode, _, flags, _) = (
                    _unpack(buffer, toc.records_offset + RECORD_SIZE * index)
                )
                kind = mode & _S_IFMT
                if kind != _S_IFDIR and not flags & LOWER_LINK:
                    at += toc.heap_offset
                    rdev = data if kind in DEVICES else 0
                    name = buffer[at : at + length]
                    yield name, base + inode, mode, size, nlink, uid, gid, rdev, mtime_ns
                    continue
            row = self._elsewhere.get(number)
            if row is None:
                row = self._elsewhere[number] = self._row(number)
            yield row

    def _row(self, number: int) -> Plain:
        """The row of a directory, or of what is elsewhere."""
        tree = self._tree
        name, found = self._entries[number]
        if isinstance(found, Merged):
            # Who lists it goes there next, and to find it again costs more than all the rest.
            directory = RootfsDirectory(tree, found, self._parent)
            tree.recent.put(directory)
            ino = directory.ino
            record = tree.rootfs.record(found.owner)
        else:
            record = tree.rootfs.record(found)
            ino = tree.layers[found.position].base | record.inode
        mode, size, nlink, uid, gid, rdev, mtime_ns, _, _ = attr_of(record)
        assert uid is not None
        assert gid is not None
        return name, ino, mode, size, nlink, uid, gid, rdev, mtime_ns
