"""Replies to READDIRPLUS, as the kernel reads them.

Each entry carries all attributes, so that `ls -l` needs no further request, and counts as a lookup.
One without a node counts nothing: a node id of 0 tells the kernel that no attributes come with it
(fs/fuse/readdir.c, fuse_direntplus_link).
"""

from __future__ import annotations

import errno
import logging
from itertools import islice
from struct import Struct

from pyfuse3 import EntryAttributes, FUSEError

from rossfs.errors import RossfsError
from rossfs.fs import wire
from rossfs.fs.attributes import SECTOR
from rossfs.fs.inodes import Inodes
from rossfs.tree.node import BLOCK, FOREVER, Directory, Entry, Listing, Rows, Unsettled
from rossfs.tree.numbers import TREE_SHIFT

log = logging.getLogger("rossfs.fs")

LARGEST = 1 << 17
"""Bytes that are sent at once at most; the kernel asks for the rest."""

DOTS = 2
"""Entries before the first name: "." and "..". """

PACKED = 4096
"""Answers that are kept as they are sent, 500 bytes each: to make one takes longer than all the
rest of an entry."""

UNKNOWN_INO = 0xFFFFFFFF
"""d_ino of a name whose number nobody knows, as libfuse has it (FUSE_UNKNOWN_INO).  0 would make
some programs believe that the entry was deleted."""

_S_IFMT = 0o170000
_S_IFLNK = 0o120000
_DIRECTORY = 0o040000
_FOREVER = int(FOREVER)
_SECOND = 10**9
_LONGEST = 1024  # FUSE_NAME_MAX

_FIXED = wire.DIRENTPLUS.size
_ENTRIES = tuple(Struct(f"{wire.DIRENTPLUS.format}{room}s") for room in range(0, _LONGEST + 1, 8))
"""An entry with its name, by the length of the name in units of 8 bytes."""

_ANSWER = _FIXED - 24
"""Bytes of the attributes of an entry; what follows is `_TAILS`."""

_TAILS = tuple(Struct(f"=QQII{room}s") for room in range(0, _LONGEST + 1, 8))

_NAMES = tuple(Struct(f"={_ANSWER}xQQII{room}s") for room in range(0, _LONGEST + 1, 8))
"""The same without attributes."""


class Page:
    """The entries of a directory of a tree from one offset on, in at most *size* bytes.

    `add` fills it; nobody knows of it until `Pages.sent`.
    """

    __slots__ = (
        "_end", "_kept", "_reply", "_rows", "_size", "directories", "directory", "full", "listing",
        "offset", "told",
    )  # fmt: skip

    def __init__(
        self, directory: Directory, listing: Rows, position: int, reply: memoryview, end: int,
        size: int, kept: int,
    ) -> None:  # fmt: skip
        """*listing*, that of *directory*, from *position* on; *end*: bytes of *reply* that there
        are already; *kept*: the permissions that may be shown."""
        self.directory = directory
        self.listing = listing
        self._rows = iter(listing.rows(position))
        self._reply = reply
        self._end = end
        self._size = size
        self._kept = kept
        self.offset = position + DOTS
        """Of the last entry that is in here."""
        self.full = False
        """There are more entries, which did not fit."""
        self.told: dict[int, int] = {}
        """By the number of a tree, how many of its nodes are in here."""
        self.directories: list[int] = []
        """Their numbers, in order."""

    @property
    def bytes(self) -> memoryview:
        """What there is."""
        return self._reply[: self._end]

    def fits(self, size: int) -> bool:
        """Whether it is what who asks for at most *size* bytes would get, had it not been made
        yet."""
        size = min(size, LARGEST)
        return size == self._size if self.full else self._end <= size

    def add(self, most: int) -> bool:
        """Add as many entries, or until it is full or there are no more; whether it is complete."""
        reply, size, kept, told = self._reply, self._size, self._kept, self.told
        end, offset = self._end, self.offset
        last = time = part = 0
        complete = True
        for name, ino, mode, length, nlink, uid, gid, rdev, mtime_ns in islice(self._rows, most):
            offset += 1
            entry = _ENTRIES[len(name) + 7 >> 3]
            following = end + entry.size
            if following > size:
                self.full = True
                offset -= 1
                break
            kind = mode & _S_IFMT
            if mtime_ns != last:
                last = mtime_ns
                time, part = divmod(mtime_ns, _SECOND)
            entry.pack_into(
                reply, end, ino, 0, _FOREVER, _FOREVER, 0, 0, ino, length,
                (length + SECTOR - 1) // SECTOR, time, time, time, part, part, part,
                mode if kind == _S_IFLNK else mode & kept, nlink, uid, gid, rdev, BLOCK, 0, ino,
                offset, len(name), kind >> 12, name,
            )  # fmt: skip
            tree = ino >> TREE_SHIFT
            told[tree] = told.get(tree, 0) + 1
            if kind == _DIRECTORY:
                self.directories.append(ino)
            end = following
        else:
            complete = offset < self.offset + most
        self._end, self.offset = end, offset
        return complete


class Pages:
    """Makes the replies of one mount; *umask* as in Attributes."""

    __slots__ = ("_inodes", "_kept", "_lookups", "_packed", "_reply")

    def __init__(self, inodes: Inodes, umask: int) -> None:
        self._inodes = inodes
        self._lookups = inodes.lookups
        self._kept = ~(umask & 0o777)
        self._reply = memoryview(bytearray(LARGEST))
        self._packed: dict[int, tuple[EntryAttributes, bytes, int]] = {}
        """By inode number: an answer, as it is sent, and the type."""

    def begin(
        self, directory: Directory, listing: Rows, position: int, size: int,
        reply: memoryview | None = None,
    ) -> Page:  # fmt: skip
        """A page of *directory*, of a tree, whose *listing* it is, from the offset *position* on,
        without any names yet.  *reply*: where to make it; by default in the place of the last
        one.  EINVAL if there is not even room for "."."""
        size = min(size, LARGEST)
        if reply is None:
            reply = self._reply
        end = self._dots(directory, position, 0, size, reply) if position < DOTS else 0
        start = max(position - DOTS, 0)
        return Page(directory, listing, start, reply, end, size, self._kept)

    def sent(self, page: Page) -> memoryview:
        """The reply: the kernel counts as told of what is in it."""
        lookups = self._lookups
        for tree, count in page.told.items():
            lookups[tree] += count
        return page.bytes

    def entries(
        self, directory: Directory, listing: Listing, snapshot: int, position: int, size: int
    ) -> memoryview | None:
        """The reply with what is in *listing*, that of *directory*, from the offset *position* of
        *snapshot* on; good until the next one is made.  The kernel counts as told of it.  None:
        there is no more.

        EINVAL if there is not even room for one entry.
        """
        reply = self._reply
        size = min(size, LARGEST)
        end = 0
        if position < DOTS:
            end = self._dots(directory, position, snapshot, size, reply)
        for index in range(max(position - DOTS, 0), len(listing)):
            try:
                following = self._entry(directory, listing, index, snapshot, end, size)
            except Exception:
                if not end:
                    raise
                break  # what is before it was counted; who asks for the rest will be told
            if following < 0:
                if not end:
                    raise FUSEError(errno.EINVAL)
                break
            end = following
        return reply[:end] if end else None

    def _entry(
        self, directory: Directory, listing: Listing, index: int, snapshot: int, end: int, size: int
    ) -> int:
        """Put one entry at *end*, if it is still there; where it ends, -1 if that is too far."""
        entry = answer = node = None
        try:
            entry = listing[index]
            if entry is None:
                return end  # gone since the snapshot
            node = entry.node
            if node is not None:
                answer = self._inodes.answer(node)
        except Exception as error:
            entry, node = _without_node(entry, error), None
            if entry is None:
                return end
        name = entry.name
        following = end + _FIXED + (len(name) + 7 & -8)
        if following > size:
            return -1
        offset = snapshot | index + DOTS + 1
        if answer is None or node is None:
            _NAMES[len(name) + 7 >> 3].pack_into(
                self._reply, end, entry.ino or UNKNOWN_INO, offset, len(name),
                entry.kind >> 12 & 15, name,
            )  # fmt: skip
            return following
        ino = node.ino
        packed = self._packed.get(ino)
        if packed is None or packed[0] is not answer:
            if len(self._packed) >= PACKED:
                self._packed.clear()
            packed = self._packed[ino] = answer, _pack(answer), answer.st_mode >> 12
        tail = end + _ANSWER
        self._reply[end:tail] = packed[1]
        _TAILS[len(name) + 7 >> 3].pack_into(
            self._reply, tail, ino, offset, len(name), packed[2], name
        )
        self._inodes.count(node, directory.ino)
        return following

    def _dots(
        self, directory: Directory, position: int, snapshot: int, size: int, reply: memoryview
    ) -> int:
        """Put "." and ".." into the reply; where it ends then.  EINVAL without room for one."""
        end = 0
        for offset in range(position, DOTS):
            following = end + _FIXED + 8
            if following > size:
                break
            ino = self._inodes.above(directory) if offset else directory.ino
            name = b".." if offset else b"."
            _NAMES[1].pack_into(
                reply, end, ino, snapshot | offset + 1, len(name), _DIRECTORY >> 12, name
            )
            end = following
        if not end:
            raise FUSEError(errno.EINVAL)
        return end


def _pack(answer: EntryAttributes) -> bytes:
    """struct fuse_entry_out of *answer*."""
    name_ttl, name_part = divmod(int(answer.entry_timeout * _SECOND), _SECOND)
    ttl, ttl_part = divmod(int(answer.attr_timeout * _SECOND), _SECOND)
    atime, atime_part = divmod(answer.st_atime_ns, _SECOND)
    mtime, mtime_part = divmod(answer.st_mtime_ns, _SECOND)
    ctime, ctime_part = divmod(answer.st_ctime_ns, _SECOND)
    return wire.ENTRY.pack(
        answer.st_ino, 0, name_ttl, ttl, name_part, ttl_part, answer.st_ino,
        answer.st_size, answer.st_blocks, atime, mtime, ctime, atime_part, mtime_part, ctime_part,
        answer.st_mode, answer.st_nlink, answer.st_uid, answer.st_gid, answer.st_rdev,
        answer.st_blksize, 0,
    )  # fmt: skip


def _without_node(entry: Entry | None, error: Exception) -> Entry | None:
    """The entry to show although its node answers *error*, so that one bad entry does not hide
    the others: lstat(2) of the name will say what is wrong."""
    if isinstance(error, OSError) and error.errno in (errno.ENOENT, errno.ESTALE):
        return None
    if not isinstance(error, (OSError, RossfsError, Unsettled)):
        log.error("readdir: unforeseen error for %r", entry, exc_info=error)
    if entry is None:
        return None
    return entry._replace(node=None, kind=0)  # DT_UNKNOWN
