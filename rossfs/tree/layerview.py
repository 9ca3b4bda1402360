"""images/sha256/<hex>/layers/<nn>-<12 hex>/: one layer alone, as its tar has it.

Whiteouts are shown as the files that they are in the tar (image-spec layer.md).  A hard link to a
lower layer is what a later entry has at its path, else a file that cannot be opened here.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator, Mapping
from typing import ClassVar

from rossfs.oci.descriptor import Descriptor
from rossfs.tree.layerinodes import LayerInodes, attr_of
from rossfs.tree.node import FOREVER, Attr, Directory, Node, Rows, Tree
from rossfs.tree.numbers import INDEX, TREE_SHIFT
from rossfs.tree.rows import Plain, rows_of


class LayerViewTree(Tree):
    """The directories of one layer in one image; an index is that of the record."""

    __slots__ = ("base", "descriptor", "inodes", "parent", "toc")

    def __init__(
        self, number: int, inodes: LayerInodes, descriptor: Descriptor, parent: int
    ) -> None:
        super().__init__(number)
        self.base = number << TREE_SHIFT
        self.inodes = inodes
        self.toc = inodes.toc
        self.descriptor = descriptor
        self.parent = parent
        """The number of the directory that this one is in."""

    @property
    def root(self) -> LayerDirectory:
        """The directory of the whole layer."""
        return LayerDirectory(self, 0)

    def node(self, ino: int) -> Node:
        """See Tree.node."""
        index = ino & INDEX
        if index >= self.toc.count or not stat.S_ISDIR(self.toc.record(index).mode):
            raise OSError(errno.ESTALE, f"layer {self.toc.digest} has no directory {index}")
        return LayerDirectory(self, index)


class LayerDirectory(Directory):
    """A directory of a layer."""

    __slots__ = ("_index", "_tree")

    ttl: ClassVar[float] = FOREVER
    negative_ttl: ClassVar[float] = FOREVER
    remade: ClassVar[bool] = True
    foreign_xattrs: ClassVar[bool] = True

    def __init__(self, tree: LayerViewTree, index: int) -> None:
        super().__init__(tree.base | index)
        self._tree = tree
        self._index = index

    def attr(self) -> Attr:
        return attr_of(self._tree.toc.record(self._index))

    def parent_ino(self) -> int:
        tree = self._tree
        return tree.base | tree.toc.parent(self._index) if self._index else tree.parent

    def xattrs(self) -> Mapping[bytes, bytes]:
        """Those of the tar."""
        return self._tree.toc.xattrs(self._index)

    async def xattr(self, name: bytes) -> bytes | None:
        """Besides those: user.ross.layer, .diff_id and .history; for the root of the layer also
        .digest, .media_type and .size of its blob."""
        tree = self._tree
        if not self._index:
            described = {
                b"user.ross.digest": str(tree.descriptor.digest).encode(),
                b"user.ross.media_type": tree.descriptor.media_type.encode(),
                b"user.ross.size": b"%d" % tree.inodes.layer.size,
            }.get(name)
            if described is not None:
                return described
        return tree.inodes.described(name) or self.xattrs().get(name)

    def lookup(self, name: bytes) -> Node | None:
        tree = self._tree
        index = tree.toc.find(self._index, name)
        if index < 0:
            return None
        if stat.S_ISDIR(tree.toc.record(index).mode):
            return LayerDirectory(tree, index)
        return tree.inodes.at(index)

    def about(self) -> int:
        return len(self._tree.toc.children(self._index))

    def entries(self) -> Rows:
        return LayerRows(self._tree, self._tree.toc.children(self._index))


class LayerRows(Rows):
    """The names in a directory of a layer."""

    __slots__ = ("_children", "_tree")

    def __init__(self, tree: LayerViewTree, children: range) -> None:
        self._tree = tree
        self._children = children

    def __len__(self) -> int:
        return len(self._children)

    def rows(self, start: int) -> Iterator[Plain]:
        tree = self._tree
        return rows_of(tree.toc, self._children[start:], tree.inodes.base, tree.base)
