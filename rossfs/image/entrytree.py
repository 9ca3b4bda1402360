"""The names and inodes of a layer while its tar is read.

A directory is a dict from name to inode, as in a filesystem: two names of one inode are hard links,
and an inode without a name is gone.  What an inode is (a packed record without names) is kept in
columns, which only grow.  Directories have one name and know their parent.  Nothing recurses: a
path may have tens of thousands of components.
"""

from __future__ import annotations

import stat
import struct
from array import array
from typing import NamedTuple

from rossfs.errors import InvalidLayer
from rossfs.image import whiteout
from rossfs.image.record import IMPLIED, SPARSE, XATTRS

INODE = struct.Struct("=HIIqQQ")
"""What is kept of an inode, as in a record: mode, uid, gid, mtime_ns, size, data."""

TEXT = 128
"""Beside the flags of records: `data` is the offset of a text in the heap."""

MAX_INODES = 1 << 23
"""Entries and implied directories.  A million of them need 250 MB until the table is written."""
MAX_IMPLIED = 1 << 20
"""Implied directories, which cost a tar next to nothing."""
MAX_HEAP = 1 << 30
"""Bytes of names and texts."""

MAX_HOPS = 40
"""Symlinks on one path, as in the kernel (path_resolution(7))."""
MAX_FOLLOWED = 10_000_000
"""Components of the texts of symlinks that are walked for all entries of a layer: a layer made to
waste time ends here, others use some thousands."""

NAME_MAX = 255
"""Bytes of a name (limits.h)."""

ROOT = 0


class Way(NamedTuple):
    """How far a path of directories leads."""

    directory: int  # the last one that exists
    names: list[bytes]  # the path, without symlinks
    missing: int  # how many of the names, at the end, are not there
    followed: bool  # whether a symlink was on the way
    guessed: bool  # whether `..` led back over a missing name, which may become something else
    obstacle: str = ""  # why there can be nothing at the path


class EntryTree:
    """What the entries so far have made; inode 0 is the root, an implied directory at first."""

    def __init__(self) -> None:
        self.inodes = bytearray()  # INODE each
        self.flags = bytearray()
        self.rare = array("I")
        self.heap = bytearray()  # texts of symlinks
        self.children: dict[int, dict[bytes, int]] = {}  # of directories that have any
        self.parents: dict[int, int] = {}  # of all directories
        self.void: set[int] = set()  # implied directories that have nothing but whiteouts
        self.linked: set[int] = set()  # inodes that were given a second name
        self._followed = 0
        self._implied_count = 0
        self.parents[self._implied()] = ROOT

    def add(self, mode: int, uid: int, gid: int, mtime_ns: int, size: int, data: int) -> int:
        """Make an inode; raises InvalidLayer if there are too many."""
        number = len(self.flags)
        if number >= MAX_INODES:
            raise InvalidLayer(f"the layer has more than {MAX_INODES} entries")
        self.inodes += INODE.pack(mode, uid, gid, mtime_ns, size, data)
        self.flags.append(0)
        self.rare.append(0)
        return number

    def set(self, inode: int, mode: int, uid: int, gid: int, mtime_ns: int) -> None:
        """Give *inode* other attributes."""
        INODE.pack_into(self.inodes, INODE.size * inode, mode, uid, gid, mtime_ns, 0, 0)

    def imitate(self, inode: int, other: int) -> None:
        """Give *inode* what stat(2) shows of *other*, and its extended attributes; it keeps its
        `data`."""
        *seen, _ = INODE.unpack_from(self.inodes, INODE.size * other)
        data = INODE.unpack_from(self.inodes, INODE.size * inode)[-1]
        INODE.pack_into(self.inodes, INODE.size * inode, *seen, data)
        self.rare[inode] = self.rare[other]
        self.flags[inode] |= self.flags[other] & (SPARSE | XATTRS)

    def size(self, inode: int) -> int:
        """The size of a file, or the length of a symlink's text."""
        return int(INODE.unpack_from(self.inodes, INODE.size * inode)[4])

    def _implied(self) -> int:
        self._implied_count += 1
        if self._implied_count > MAX_IMPLIED:
            raise InvalidLayer(f"the layer names files in more than {MAX_IMPLIED} directories only")
        number = self.add(stat.S_IFDIR | 0o755, 0, 0, 0, 0, 0)
        self.flags[number] = IMPLIED
        return number

    def store(self, text: bytes) -> int:
        """Keep a text in the heap, return its offset; raises InvalidLayer if there are too many."""
        offset = len(self.heap)
        if offset + len(text) > MAX_HEAP:
            raise InvalidLayer(f"the layer has more than {MAX_HEAP} bytes of symlinks")
        self.heap += text
        return offset

    def child(self, directory: int, name: bytes) -> int | None:
        """The inode called *name* in *directory*."""
        names = self.children.get(directory)
        return names.get(name) if names else None

    def put(self, directory: int, name: bytes, inode: int) -> None:
        """Call *inode* *name*; what had that name before is the caller's to remove."""
        names = self.children.get(directory)
        if names is None:
            self.children[directory] = {name: inode}
        else:
            names[name] = inode

    def text(self, inode: int) -> bytes | None:
        """The text of a symlink; None for everything else."""
        mode, _, _, _, size, data = INODE.unpack_from(self.inodes, INODE.size * inode)
        return bytes(self.heap[data : data + size]) if stat.S_ISLNK(mode) else None

    def make(self, way: Way) -> int:
        """The directory at the end of *way*, implied directories made for what is missing; raises
        InvalidLayer if there are too many."""
        directory = way.directory
        for name in way.names[len(way.names) - way.missing :]:
            made = self._implied()
            self.parents[made] = directory
            self.void.add(made)
            self.put(directory, name, made)
            directory = made
        return directory

    def fill(self, directory: int) -> None:
        """Note that an entry is in *directory*, or makes it."""
        while directory in self.void:
            self.void.discard(directory)
            directory = self.parents[directory]

    def remove_below(self, directory: int) -> None:
        """Forget *directory* and all names below it."""
        doomed = [directory]
        while doomed:
            gone = doomed.pop()
            del self.parents[gone]
            names = self.children.pop(gone, None)
            if names:
                doomed += [inode for inode in names.values() if inode in self.parents]

    def is_below(self, directory: int, ancestor: int) -> bool:
        """Whether *directory* is *ancestor* or below it."""
        while directory != ancestor:
            if directory == ROOT:
                return False
            directory = self.parents[directory]
        return True

    def walk(self, path: bytes) -> Way:
        """Follow *path* from the root, symlinks of this layer inside the root.

        A name that is not there may be a directory of a lower layer: what follows it is missing
        too, and `..` leads back over it.
        """
        todo = path.split(b"/")[::-1] if path else []
        names: list[bytes] = []
        directory, missing, hops, guessed, obstacle = ROOT, 0, 0, False, ""
        while todo and not obstacle:
            name = todo.pop()
            if name in (b"", b"."):
                continue
            if name == b"..":
                if missing:
                    missing -= 1
                    guessed = True
                else:
                    directory = self.parents[directory]
                del names[-1:]
                continue
            inode = None if missing else self.child(directory, name)
            if inode is None:
                obstacle = _flaw(name)
                missing += 1
                names.append(name)
            elif inode in self.parents:
                directory = inode
                names.append(name)
            else:
                text = self.text(inode)
                if text is None:
                    obstacle = "is below a file that is no directory"
                    break
                hops += 1
                self._followed += text.count(b"/") + 1
                if hops > MAX_HOPS or self._followed > MAX_FOLLOWED or not text:
                    obstacle = "is below a symbolic link that leads nowhere"
                    break
                if text.startswith(b"/"):
                    directory, names = ROOT, []
                todo += text.split(b"/")[::-1]
        return Way(directory, names, missing, hops > 0, guessed, obstacle)


def _flaw(name: bytes) -> str:
    """Why no directory can be called *name*; empty if one can."""
    if name.startswith(whiteout.PREFIX):
        return "is below a whiteout"
    if len(name) > NAME_MAX or b"\0" in name:
        return "is below a symbolic link that leads to no valid name"
    return ""
