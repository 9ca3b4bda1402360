"""What is in a layer besides its directories: files, symbolic links, devices and pipes.

They are the same inodes in every image that has the layer, so the kernel keeps their pages once.
An inode is its record in the layer's table (`Record.inode`, which all hard links share); its nlink
is that of the layer.  Nothing here can change.
"""

from __future__ import annotations

import errno
import logging
import stat
from collections import OrderedDict
from collections.abc import Mapping
from typing import ClassVar

from rossfs.image.layer import Layer
from rossfs.image.record import LOWER_LINK, Record
from rossfs.oci.digest import Digest, hasher_for
from rossfs.oci.quotation import quote
from rossfs.tree.handle import Handle
from rossfs.tree.node import FOREVER, Attr, Caller, File, Node, Symlink, Tree, is_writing, read_only
from rossfs.tree.numbers import INDEX, TREE_SHIFT
from rossfs.tree.workers import Workers

PIECE = 1 << 20
"""Bytes that are hashed at once."""

_DIGESTS = 4096
"""Digests of files that are remembered: who asks for one usually asks for few."""

_log = logging.getLogger("rossfs.tree")


class LayerInodes(Tree):
    """The inodes of one layer.  *history* is what made it, as the image says that was met first."""

    __slots__ = ("_digests", "_workers", "base", "history", "layer", "leases", "toc")

    def __init__(self, number: int, layer: Layer, history: bytes, workers: Workers) -> None:
        super().__init__(number)
        self.base = number << TREE_SHIFT
        self.layer = layer
        self.leases = layer.leases
        self.toc = layer.toc
        self.history = history
        self._workers = workers
        self._digests: OrderedDict[int, bytes] = OrderedDict()

    def node(self, ino: int) -> Node:
        """See Tree.node."""
        index = ino & INDEX
        if index >= self.toc.count or stat.S_ISDIR(self.toc.record(index).mode):
            raise OSError(errno.ESTALE, f"layer {self.layer.digest} has no inode {index}")
        return self.at(index)

    def at(self, index: int) -> Node:
        """The node of the record *index*, which is no directory."""
        record = self.toc.alone(index)
        ino = self.base | record.inode
        if stat.S_ISLNK(record.mode):
            return LayerSymlink(ino, self, record, self.toc.symlink_text(index))
        return LayerFile(ino, self, record)

    def described(self, name: bytes) -> bytes | None:
        """The value of the attributes that say where everything in the layer comes from."""
        if name == b"user.ross.layer":
            return str(self.layer.digest).encode()
        if name == b"user.ross.diff_id":
            return str(self.layer.diff_id).encode()
        if name == b"user.ross.history" and self.history:
            return self.history
        return None

    async def read(self, index: int, offset: int, size: int) -> bytes | memoryview:
        """Bytes of the regular file *index*; in a worker thread if that takes long."""
        data = self.layer.read_ready(index, offset, size)
        if data is not None:
            return data
        if not self.layer.prepared:
            await self._workers.open(self.layer.prepare)
        return await self._workers.read(lambda: self.layer.read(index, offset, size))

    async def digest(self, index: int, size: int) -> bytes:
        """The SHA-256 of the content of the regular file *index*, as text."""
        known = self._digests.get(index)
        if known is None:
            hashed = await self._workers.open(lambda: self._hash(index, size))
            known = self._digests[index] = str(hashed).encode()
            if len(self._digests) > _DIGESTS:
                self._digests.popitem(last=False)
        return known

    def _hash(self, index: int, size: int) -> Digest:
        hasher = hasher_for("sha256")
        for offset in range(0, size, PIECE):
            hasher.update(self.layer.read(index, offset, PIECE))
        return Digest.sha256(hasher.hexdigest())


def attr_of(record: Record) -> Attr:
    """What stat(2) shows of a record.  The table knows one time only."""
    kind = stat.S_IFMT(record.mode)
    rdev = record.data if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0
    time_ns = record.mtime_ns
    return Attr(
        record.mode, record.size, record.nlink, record.uid, record.gid, rdev, time_ns, time_ns,
        time_ns,
    )  # fmt: skip


class LayerFile(File):
    """A regular file of a layer, or a device or pipe, which the kernel opens elsewhere."""

    __slots__ = ("_record", "_tree")

    ttl: ClassVar[float] = FOREVER
    remade: ClassVar[bool] = True
    foreign_xattrs: ClassVar[bool] = True

    def __init__(self, ino: int, tree: LayerInodes, record: Record) -> None:
        super().__init__(ino)
        self._tree = tree
        self._record = record

    def attr(self) -> Attr:
        return attr_of(self._record)

    def xattrs(self) -> Mapping[bytes, bytes]:
        """Those of the tar."""
        return self._tree.toc.xattrs(self._record.inode)

    async def xattr(self, name: bytes) -> bytes | None:
        """Besides those: user.ross.layer, .diff_id, .history, and .digest of the content.  They are
        not listed, or copies of the file would carry them."""
        record = self._record
        has_content = stat.S_ISREG(record.mode) and not record.flags & LOWER_LINK
        if name == b"user.ross.digest" and has_content:
            return await self._tree.digest(record.inode, record.size)
        return self._tree.described(name) or self.xattrs().get(name)

    async def open(self, flags: int, caller: Caller) -> Handle:
        """Open for reading; EROFS for writing."""
        return self.open_ready(flags)

    def open_ready(self, flags: int) -> Handle:
        if is_writing(flags):
            raise read_only()
        record = self._record
        if record.flags & LOWER_LINK:
            target = self._tree.toc.link_target(record.inode)
            reason = f"a hard link to {quote(target)}, which is in a lower layer"
            _log.info("layer %s alone: %s", self._tree.layer.digest, reason)
            raise OSError(errno.ENODATA, reason)
        return LayerHandle(self._tree, record.inode)


class LayerHandle(Handle):
    """An open file of a layer."""

    __slots__ = ("_index", "_lease", "_tree")

    keep_cache: ClassVar[bool] = True
    passive: ClassVar[bool] = True

    def __init__(self, tree: LayerInodes, index: int) -> None:
        self._tree = tree
        self._index = index
        self._lease = tree.leases.current

    def read_ready(self, offset: int, size: int) -> bytes | memoryview | None:
        return self._tree.layer.read_ready(self._index, offset, size)

    async def read(self, offset: int, size: int) -> bytes | memoryview:
        return await self._tree.read(self._index, offset, size)


class LayerSymlink(Symlink):
    """A symbolic link of a layer."""

    __slots__ = ("_record", "_tree")

    ttl: ClassVar[float] = FOREVER
    remade: ClassVar[bool] = True
    foreign_xattrs: ClassVar[bool] = True

    def __init__(self, ino: int, tree: LayerInodes, record: Record, text: bytes) -> None:
        super().__init__(ino, text)
        self._tree = tree
        self._record = record

    def attr(self) -> Attr:
        return attr_of(self._record)

    def xattrs(self) -> Mapping[bytes, bytes]:
        """Those of the tar; Linux allows no user.* on symbolic links (xattr(7))."""
        return self._tree.toc.xattrs(self._record.inode)
