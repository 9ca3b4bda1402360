"""From what a node says of itself to what pyfuse3 wants, and back.

EntryAttributes is pyfuse3's name for struct fuse_entry_param: node id, attributes, cache times.
"""

from __future__ import annotations

from stat import S_IMODE, S_ISLNK

from pyfuse3 import EntryAttributes, SetattrFields

from rossfs.tree.node import Attr, AttrChange, Node

SECTOR = 512
"""Unit of st_blocks (stat(2))."""


class Attributes:
    """Builds answers for one mount: nodes that name no owner get *uid* and *gid*; the bits of
    *umask* are taken from all permissions but those of symbolic links."""

    __slots__ = ("_gid", "_kept", "_uid", "umask")

    def __init__(self, uid: int, gid: int, umask: int = 0) -> None:
        self.umask = umask
        self._uid = uid
        self._gid = gid
        self._kept = ~(umask & 0o777)

    def build(self, node: Node, attr: Attr) -> EntryAttributes:
        """The kernel's answer about *node*, which shows *attr*, with the node's cache time."""
        mode, size, nlink, uid, gid, rdev, mtime_ns, ctime_ns, atime_ns = attr
        entry = EntryAttributes()
        entry.st_ino = node.ino
        entry.st_mode = mode if S_ISLNK(mode) else mode & self._kept
        entry.st_uid = self._uid if uid is None else uid
        entry.st_gid = self._gid if gid is None else gid
        entry.entry_timeout = entry.attr_timeout = node.ttl
        # What pyfuse3 has set already is not set again: it is a tenth of a microsecond each time.
        if nlink != 1:
            entry.st_nlink = nlink
        if rdev:
            entry.st_rdev = rdev
        if size:
            entry.st_size = size
            entry.st_blocks = (size + SECTOR - 1) // SECTOR
        if mtime_ns:
            entry.st_mtime_ns = mtime_ns
        if ctime_ns:
            entry.st_ctime_ns = ctime_ns
        if atime_ns:
            entry.st_atime_ns = atime_ns
        return entry

    def uncached(self, node: Node) -> EntryAttributes:
        """The same, but the kernel shall ask again each time."""
        entry = self.build(node, node.attr())
        entry.entry_timeout = entry.attr_timeout = 0.0
        return entry


def absent(ttl: float) -> EntryAttributes:
    """The answer "no such name" that the kernel may believe for *ttl* seconds."""
    entry = EntryAttributes()
    entry.st_ino = 0
    entry.entry_timeout = ttl
    return entry


def wanted(attr: EntryAttributes, fields: SetattrFields) -> AttrChange:
    """What a SETATTR request asks for."""
    return AttrChange(
        mode=S_IMODE(attr.st_mode) if fields.update_mode else None,
        uid=attr.st_uid if fields.update_uid else None,
        gid=attr.st_gid if fields.update_gid else None,
        size=attr.st_size if fields.update_size else None,
        mtime_ns=attr.st_mtime_ns if fields.update_mtime else None,
        atime_ns=attr.st_atime_ns if fields.update_atime else None,
    )
