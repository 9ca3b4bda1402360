"""One layer of an image in overlay form (image/overlayform.py): `diff/` of podman/ and als/.

Files are the inodes of the layers (layerinodes.py): the kernel keeps their pages once, whoever
shows them.  Only directories, and the device that stands for all whiteouts, belong to this tree.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from rossfs.image.merged import Merged, Place
from rossfs.image.overlayform import OverlayForm, Whiteout
from rossfs.image.record import RECORD, RECORD_SIZE
from rossfs.image.rootfs import Rootfs
from rossfs.tree.handle import Handle
from rossfs.tree.layerinodes import LayerInodes, attr_of
from rossfs.tree.node import (
    FOREVER,
    Attr,
    Caller,
    Directory,
    File,
    Node,
    Rows,
    Tree,
    is_writing,
    read_only,
)
from rossfs.tree.numbers import INDEX, TREE_SHIFT
from rossfs.tree.rows import DEVICES, Plain, rows_of

OPAQUE = b"trusted.overlay.opaque"
"""The extended attribute of a directory below which overlayfs must not look; its value is "y"."""

OPAQUE_TO_USERS = b"user.overlay.opaque"
"""The same for mounts with the option userxattr.  It is not listed: a mount without it would show
and copy it like any other."""

WHITEOUT_INDEX = 1 << 39
"""The index of all whiteouts of a layer; no record has it (opened.MAX_RECORDS)."""

_unpack = RECORD.unpack_from
_KEPT = 1024


class Stacked:
    """The layers of an image, opened: what all its overlay trees share.

    *layers*: the inodes of each layer of *rootfs*.  *alone*: of one layer of which nobody knows
    what is below it (OverlayForm).
    """

    __slots__ = ("__weakref__", "alone", "layers", "rootfs")

    def __init__(
        self, rootfs: Rootfs, layers: Sequence[LayerInodes], *, alone: bool = False
    ) -> None:
        self.rootfs = rootfs
        self.layers = layers
        self.alone = alone

    @classmethod
    def lone(cls, inodes: LayerInodes) -> Stacked:
        """A layer of which nobody knows what is below it."""
        return cls(Rootfs([inodes.layer]), [inodes], alone=True)


class OverlayTree(Tree):
    """The directories of the layer at *position* of *stacked* (0 is the lowest), for overlayfs.

    It is right only over the layers below it there: what these have decides about whiteouts, hard
    links to them, and directories that the layer names in paths only.  Trees of one image should
    share one Stacked.  *parent*: the number of the directory that this one is in.
    """

    __slots__ = ("_recent", "base", "files", "form", "parent", "stacked")

    def __init__(self, number: int, stacked: Stacked, position: int, parent: int) -> None:
        super().__init__(number)
        self.base = number << TREE_SHIFT
        self.stacked = stacked
        self.files = stacked.layers[position]
        """The inodes of this layer."""
        self.form = OverlayForm(stacked.rootfs, position, alone=stacked.alone)
        self.parent = parent
        self._recent: dict[int, OverlayDirectory] = {}

    @property
    def root(self) -> OverlayDirectory:
        """The directory of the whole layer: diff/ itself."""
        return OverlayDirectory(self, self.form.root)

    def node(self, ino: int) -> Node:
        """See Tree.node."""
        known = self._recent.get(ino)
        if known is not None:
            return known
        index = ino & INDEX
        if index == WHITEOUT_INDEX:
            return WhiteoutDevice(ino)
        directory = self.form.directory(index)
        if directory is None:
            layer = self.files.layer.digest
            raise OSError(errno.ESTALE, f"layer {layer} has no directory {index}")
        return self.remember(OverlayDirectory(self, directory))

    def remember(self, directory: OverlayDirectory) -> OverlayDirectory:
        """Keep *directory* for a while: who met it asks for more of it."""
        if len(self._recent) >= _KEPT:
            self._recent.clear()
        self._recent[directory.ino] = directory
        return directory

    def forgotten(self) -> None:
        """Let nothing that is kept for speed keep this tree."""
        self._recent.clear()


class OverlayDirectory(Directory):
    """A directory of a layer in overlay form."""

    __slots__ = ("_merged", "_tree", "_xattrs")

    ttl: ClassVar[float] = FOREVER
    negative_ttl: ClassVar[float] = FOREVER
    remade: ClassVar[bool] = True
    foreign_xattrs: ClassVar[bool] = True

    def __init__(self, tree: OverlayTree, merged: Merged) -> None:
        super().__init__(tree.base | merged.key.index)
        self._tree = tree
        self._merged = merged
        self._xattrs: Mapping[bytes, bytes] | None = None

    def attr(self) -> Attr:
        return attr_of(self._tree.stacked.rootfs.record(self._merged.owner))

    def parent_ino(self) -> int:
        tree = self._tree
        if not self._merged.key.index:
            return tree.parent
        return tree.base | tree.form.parent(self._merged).key.index

    def xattrs(self) -> Mapping[bytes, bytes]:
        """Those of the tar, and OPAQUE."""
        known = self._xattrs
        if known is None:
            tree = self._tree
            position, index = self._merged.owner
            known = tree.stacked.layers[position].toc.xattrs(index)
            if tree.form.opaque(self._merged):
                known = {**known, OPAQUE: b"y"}
            self._xattrs = known
        return known

    async def xattr(self, name: bytes) -> bytes | None:
        """Besides those: OPAQUE_TO_USERS, and user.ross.layer, .diff_id and .history."""
        if name == OPAQUE_TO_USERS:
            name = OPAQUE
        return self._tree.files.described(name) or self.xattrs().get(name)

    def lookup(self, name: bytes) -> Node | None:
        tree = self._tree
        found = tree.form.lookup(self._merged, name)
        if found is None:
            return None
        if isinstance(found, Place):
            return tree.stacked.layers[found.position].at(found.index)
        if isinstance(found, Whiteout):
            return WhiteoutDevice(tree.base | WHITEOUT_INDEX)
        return tree.remember(OverlayDirectory(tree, found))

    def about(self) -> int:
        return self._tree.stacked.rootfs.about(self._merged)

    def entries(self) -> Rows:
        return OverlayRows(self._tree, self._merged)


class WhiteoutDevice(File):
    """All whiteouts of one layer are one inode, as overlayfs itself makes them."""

    __slots__ = ()

    ttl: ClassVar[float] = FOREVER
    remade: ClassVar[bool] = True
    foreign_xattrs: ClassVar[bool] = True

    def attr(self) -> Attr:
        return Attr(stat.S_IFCHR, uid=0, gid=0)

    async def open(self, flags: int, caller: Caller) -> Handle:
        """The kernel knows no such device and asks nobody."""
        if is_writing(flags):
            raise read_only()
        raise OSError(errno.ENXIO, "a whiteout cannot be opened")


class OverlayRows(Rows):
    """The names in a directory of a layer in overlay form."""

    __slots__ = ("_elsewhere", "_listing", "_tree")

    def __init__(self, tree: OverlayTree, merged: Merged) -> None:
        self._tree = tree
        self._listing = tree.form.entries(merged)
        self._elsewhere: dict[int, Plain] = {}
        """Rows that are more than a record: directories with the attributes of lower layers, and
        hard links to them."""

    def __len__(self) -> int:
        return len(self._listing)

    def rows(self, start: int) -> Iterator[Plain]:
        codes = self._listing.codes
        tree = self._tree
        if isinstance(codes, range):
            return rows_of(tree.files.toc, codes[start:], tree.files.base, tree.base)
        return self._various(start)

    def _various(self, start: int) -> Iterator[Plain]:
        tree, listing = self._tree, self._listing
        toc, files, directories = tree.files.toc, tree.files.base, tree.base
        buffer, heap, records = toc.buffer, toc.heap_offset, toc.records_offset
        for number in range(start, len(listing)):
            index = tree.form.plain(listing.codes[number])
            if index < 0:
                row = self._elsewhere.get(number)
                if row is None:
                    row = self._elsewhere[number] = self._row(number)
                yield row
                continue
            at, length, mode, uid, gid, mtime_ns, size, _, _, nlink, inode, _, _, _ = (
                _unpack(buffer, records + RECORD_SIZE * index)
            )  # fmt: skip
            at += heap
            kind = stat.S_IFMT(mode)
            yield (
                buffer[at : at + length],
                inode + (directories if kind == stat.S_IFDIR else files),
                mode,
                size,
                nlink,
                uid,
                gid,
                toc.rdev(inode) if kind in DEVICES else 0,
                mtime_ns,
            )

    def _row(self, number: int) -> Plain:
        tree = self._tree
        name, found = tree.form.item(self._listing.directory, self._listing.codes[number])
        if isinstance(found, Whiteout):
            return name, tree.base | WHITEOUT_INDEX, stat.S_IFCHR, 0, 1, 0, 0, 0, 0
        if isinstance(found, Merged):
            record = tree.stacked.rootfs.record(found.owner)
            ino = tree.remember(OverlayDirectory(tree, found)).ino
        else:
            record = tree.stacked.rootfs.record(found)
            ino = tree.stacked.layers[found.position].base | record.inode
        mode, size, nlink, uid, gid, rdev, mtime_ns, _, _ = attr_of(record)
        assert uid is not None
        assert gid is not None
        return name, ino, mode, size, nlink, uid, gid, rdev, mtime_ns
