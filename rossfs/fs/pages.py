"""Replies to READDIRPLUS for directories of trees, as the kernel reads them."""

from __future__ import annotations

from rossfs.fs import wire
from rossfs.fs.attributes import SECTOR
from rossfs.fs.inodes import Inodes
from rossfs.fs.readdir import DOTS, S_IFLNK, S_IFMT
from rossfs.tree.node import BLOCK, FOREVER, Directory, Rows
from rossfs.tree.numbers import TREE_SHIFT

LARGEST = 1 << 17
"""Bytes that are sent at once at most; the kernel asks for the rest."""

_FOREVER = int(FOREVER)
_SECOND = 10**9
_DIRECTORY = 4  # DT_DIR
_pack_into = wire.DIRENTPLUS.pack_into
_FIXED = wire.DIRENTPLUS.size


class Pages:
    """Makes the replies of one mount; *umask* as in Attributes."""

    __slots__ = ("_above", "_kept", "_lookups", "_reply")

    def __init__(self, inodes: Inodes, umask: int) -> None:
        self._above = inodes.above
        self._lookups = inodes.lookups
        self._kept = ~(umask & 0o777)
        self._reply = memoryview(bytearray(LARGEST))

    def page(self, directory: Directory, listing: Rows, start: int, size: int) -> memoryview:
        """The entries of *listing*, that of *directory*, from offset *start* on, in at most *size*
        bytes; good until the next one is made.  The kernel counts as told of them."""
        limit = min(size, LARGEST)
        end = 0
        if start < DOTS:
            end = self._dots(directory, start, limit)
            start = DOTS
        return self._reply[: self._rows(listing, start - DOTS, end, limit)]

    def _dots(self, directory: Directory, start: int, limit: int) -> int:
        """Put "." and ".." into the reply; where it ends then."""
        end = 0
        for offset in range(start, DOTS):
            name = b".." if offset else b"."
            following = end + _FIXED + 8
            if following > limit:
                break
            ino = self._above(directory) if offset else directory.ino
            # A node id of 0: nothing that the kernel would have to forget.
            _pack_into(self._reply, end, *(0,) * 22, ino, offset + 1, len(name), _DIRECTORY)
            self._reply[following - 8 : following - 8 + len(name)] = name
            end = following
        return end

    def _rows(self, listing: Rows, start: int, end: int, limit: int) -> int:
        """Put rows into the reply from its byte *end* on; where it ends then."""
        reply, kept, lookups, pack = self._reply, self._kept, self._lookups, _pack_into
        offset = start + DOTS
        for name, ino, mode, size, nlink, uid, gid, rdev, mtime_ns in listing.rows(start):
            offset += 1
            length = len(name)
            at = end + _FIXED
            following = at + (length + 7 & -8)
            if following > limit:
                break
            kind = mode & S_IFMT
            time, part = divmod(mtime_ns, _SECOND)
            pack(
                reply, end, ino, 0, _FOREVER, _FOREVER, 0, 0, ino, size,
                (size + SECTOR - 1) // SECTOR, time, time, time, part, part, part,
                mode if kind == S_IFLNK else mode & kept, nlink, uid, gid, rdev, BLOCK, 0, ino,
                offset, length, kind >> 12,
            )  # fmt: skip
            reply[at : at + length] = name
            lookups[ino >> TREE_SHIFT] += 1
            end = following
        return end
